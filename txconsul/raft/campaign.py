"""
One attempt to be elected: who was asked, and what they said (Raft 5.2; pre-votes: dissertation 9.6).
"""

from __future__ import annotations

__all__ = ["Campaign"]


class Campaign:
    """
    The votes, or pre-votes, of one attempt.

    @ivar term: the term to be entered, or entered already.
    @ivar pre: whether only the mood is taken.
    @ivar round: told apart by this from earlier attempts at the same term.
    """

    def __init__(self, term: int, *, pre: bool, voters: frozenset[str], round: int) -> None:
        self.term = term
        self.pre = pre
        self.round = round
        self._voters = voters
        self._granted: set[str] = set()

    def count(self, voter: str) -> None:
        """C{voter} said yes. A voter counts once, and anybody else not at all."""
        if voter in self._voters:
            self._granted.add(voter)

    @property
    def won(self) -> bool:
        """Whether a majority said yes."""
        return len(self._granted) > len(self._voters) // 2
