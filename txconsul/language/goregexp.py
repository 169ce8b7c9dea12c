r"""
Go's regular expressions: does a text have a match?

Python's own module goes back over what it has read, and some patterns make it do so for years: C{(a+)+$} on thirty
letters. Filters come from whoever may read, so this follows RE2 instead: the pattern becomes an automaton, of which
only the states that a text visits are made, and kept for the next text. Each character is looked at once.

What can still be dear is to make states, up to C{PROGRAM_MAX} steps for a character. So that is counted: patterns share
an L{Allowance}, and go on strike once it is spent.

Source: Cox, Regular Expression Matching Can Be Simple And Fast (2007); Regular Expression Matching in the Wild (2010).
"""

from __future__ import annotations

from typing import Never

from txconsul.errors import InvalidRequest
from txconsul.language.goregexp_program import PROGRAM_MAX, Program
from txconsul.language.goregexp_syntax import BadRegexp, Chars, parse

__all__ = ["PROGRAM_MAX", "STEPS_KEPT", "WORK_MAX", "Allowance", "BadRegexp", "Pattern", "TooCostly", "holds"]

#: Steps from a state by a character that are kept, about 100 bytes each. Then all are forgotten, as RE2 does, and what
#: is needed is made anew.
STEPS_KEPT = 10_000
#: Places of states that cost about as much memory as a step.
_PLACES_A_STEP = 12
#: Instructions that are looked at to make states, in all: about half a second of CPU time.
WORK_MAX = 500_000


class TooCostly(InvalidRequest):
    """The patterns made too many states with the texts that they met."""

    text = "Regular expression takes too long to match"


class Allowance:
    """
    What some patterns may spend together.

    @ivar spent: instructions looked at since the last L{refill}.
    """

    __slots__ = ("spent",)

    def __init__(self) -> None:
        self.spent = 0

    def refill(self) -> None:
        """A new request: it may spend anew."""
        self.spent = 0


class _State:
    """
    Where the automaton may be.

    @ivar places: instructions, before empty steps are followed: which of those can be taken depends on what comes next.
    @ivar before: the character before: empty at the beginning of the text.
    @ivar steps: by the next character, the state behind it.
    @ivar at_end: whether the text may end here; None until that was asked.
    """

    __slots__ = ("at_end", "before", "places", "steps")

    def __init__(self, places: tuple[int, ...], before: str) -> None:
        self.places = places
        self.before = before
        self.steps: dict[str, _State] = {}
        self.at_end: bool | None = None


#: A match was found; what follows does not matter.
_FOUND = _State((), "")


class Pattern(Program[Never]):
    """
    A compiled pattern.

    @param allowance: what it may spend, perhaps together with others.
    @param size_max: how many instructions it may have.
    @ivar kept: steps that it remembers, or as much memory.
    @raise BadRegexp: Go would not compile it, or it is too large.
    """

    def __init__(self, pattern: str, allowance: Allowance, size_max: int = PROGRAM_MAX) -> None:
        super().__init__(pattern, size_max)
        self._allowance = allowance
        end = self._emit(None)
        self._start = self._compile(parse(pattern), end)
        self.forget()

    @property
    def size(self) -> int:
        """How many instructions it has."""
        return len(self._tests)

    def search(self, text: str) -> bool:
        """
        Is there a match anywhere in the text?

        @raise TooCostly: to say so would take too long.
        """
        state = self._first
        for letter in text:
            following = state.steps.get(letter)
            if following is None:
                following = self._step(state, letter)
            if following is _FOUND:
                return True
            state = following
        if state.at_end is None:
            state.at_end = self._follow(state, "") is None
        return state.at_end

    def forget(self) -> None:
        """Begin anew with no state but the first."""
        self._states: dict[tuple[tuple[int, ...], str], _State] = {}
        self.kept = 0
        self._first = _State((self._start,), "")

    # ---- states ----

    def _step(self, state: _State, letter: str) -> _State:
        """The state behind a character, made and kept."""
        if self.kept >= STEPS_KEPT:
            self.forget()
        places = self._follow(state, letter)
        if places is None:
            found = _FOUND
        else:
            places.add(self._start)  # a match may begin anywhere
            key = tuple(sorted(places)), _kind(letter)
            known = self._states.get(key)
            if known is None:
                known = self._states[key] = _State(*key)
                self.kept += len(places) // _PLACES_A_STEP
            found = known
        state.steps[letter] = found
        self.kept += 1
        return found

    def _follow(self, state: _State, letter: str) -> set[int] | None:
        """
        Where C{letter} leads to; None where there is a match before it.

        @param letter: the character that comes; empty at the end of the text.
        """
        if self._allowance.spent > WORK_MAX:
            raise TooCostly()
        tests, following = self._tests, self._next
        seen = set(state.places)
        waiting = list(seen)
        reached: set[int] = set()
        while waiting:
            place = waiting.pop()
            test = tests[place]
            if isinstance(test, Chars):
                if letter and test.has(letter):
                    reached.update(following[place])
                continue
            if test is None:
                if not following[place]:
                    return None
            elif not holds(test.kind, state.before, letter):
                continue
            for one in following[place]:
                if one not in seen:
                    seen.add(one)
                    waiting.append(one)
        self._allowance.spent += len(seen)
        return reached


def _kind(letter: str) -> str:
    """A character that is to anchors what this one is."""
    return "\n" if letter == "\n" else "a" if _is_word(letter) else " "


def _is_word(letter: str) -> bool:
    return letter == "_" or (letter.isascii() and letter.isalnum())


def holds(kind: str, before: str, letter: str) -> bool:
    """Is the place between two characters (empty where the text begins or ends) one of this kind?"""
    if kind == "^":
        return not before
    if kind == "$":
        return not letter
    if kind == "<":
        return before in ("", "\n")
    if kind == ">":
        return letter in ("", "\n")
    return (_is_word(before) is not _is_word(letter)) is (kind == "b")
