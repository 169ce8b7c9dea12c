"""
Answers kept as bytes, by the bytes of their questions, until something that they were made from changes.

The records of an answer are drawn and ordered by lot, so that load spreads. So a few answers are kept to each question
and given in turn, and now and then one is made anew: in the long run, each instance is told as often as if nothing
were kept.
"""

from __future__ import annotations

from collections.abc import Callable

__all__ = ["BYTES_MAX", "QUESTIONS_MAX", "REFRESH_TURNS", "VARIANTS", "AnswerCache"]

#: Questions with answers kept; the oldest goes.
QUESTIONS_MAX = 4096
#: Bytes of kept answers; the oldest questions go. Most answers have some hundred bytes, but they may have 64 KiB.
BYTES_MAX = 16 << 20
#: Answers kept to one question.
VARIANTS = 16
#: How often kept answers are given before one of them is made anew.
REFRESH_TURNS = 64


class _Kept:
    __slots__ = ("answers", "forget", "next", "several", "turns")

    def __init__(self, several: bool) -> None:
        self.answers: list[bytes] = []
        self.several = several
        self.turns = 0
        self.next = 0
        self.forget: Callable[[], None] = _nothing


class AnswerCache:
    """
    Answers without their ids.

    @ivar size: bytes of all kept answers.
    """

    def __init__(self, questions_max: int = QUESTIONS_MAX, bytes_max: int = BYTES_MAX) -> None:
        self._kept: dict[bytes, _Kept] = {}
        self._questions_max = questions_max
        self._bytes_max = bytes_max
        self.size = 0

    def __len__(self) -> int:
        return len(self._kept)

    def get(self, question: bytes) -> bytes | None:
        """An answer; None if one is to be made (and L{put})."""
        kept = self._kept.get(question)
        if kept is None:
            return None
        if not kept.several:
            return kept.answers[0]
        turn = kept.turns
        if not turn:
            return None
        kept.turns = turn - 1
        answers = kept.answers
        return answers[turn % len(answers)]

    def put(
        self,
        question: bytes,
        answer: bytes,
        several: bool,
        watch: Callable[[Callable[[], object]], Callable[[], None] | None],
    ) -> None:
        """
        Keep an answer.

        @param several: another one to the same question might be different.
        @param watch: is given what to call, once, when the answer does not stand any more; it returns what to call when
            nobody wants to know any more, or None where nobody could tell, so that the answer must not be kept.
        """
        kept = self._kept.get(question)
        if kept is None:
            if len(self._kept) >= self._questions_max:
                self._forget_oldest()
            forget = watch(lambda: self._drop(question))
            if forget is None:
                return
            kept = self._kept[question] = _Kept(several)
            kept.forget = forget
        if len(kept.answers) < VARIANTS:
            kept.answers.append(answer)
            kept.turns = REFRESH_TURNS if len(kept.answers) == VARIANTS else 0
        else:
            self.size -= len(kept.answers[kept.next])
            kept.answers[kept.next] = answer
            kept.next = (kept.next + 1) % VARIANTS
            kept.turns = REFRESH_TURNS
        self.size += len(answer)
        while self.size > self._bytes_max:
            self._forget_oldest()

    def _forget_oldest(self) -> None:
        oldest = next(iter(self._kept))
        self._kept[oldest].forget()
        self._drop(oldest)

    def _drop(self, question: bytes) -> None:
        kept = self._kept.pop(question, None)
        if kept is not None:
            self.size -= sum(map(len, kept.answers))

    def clear(self) -> None:
        """Forget all."""
        while self._kept:
            self._forget_oldest()


def _nothing() -> None:
    """Nobody is to be told."""
