"""
How well this member itself is, by what it noticed: Lifeguard's local health multiplier.

A member that misses answers which it should have got doubts itself first, and gives others more time. Source:
Lifeguard, section IV-A ("LHA-Probe"); the wire documents, GOSSIP section 4.
"""

from __future__ import annotations

__all__ = ["Awareness"]


class Awareness:
    """
    A score from 0, which is well, to one less than the largest multiplier.
    """

    __slots__ = ("_worst", "score")

    def __init__(self, multiplier_max: int) -> None:
        """@param multiplier_max: 1 switches this off: the score stays 0."""
        self._worst = multiplier_max - 1
        self.score = 0

    def change(self, by: int) -> None:
        """Something spoke for us (below 0) or against us."""
        self.score = min(max(self.score + by, 0), self._worst)

    def scaled(self, timeout: float) -> float:
        """A timeout for others, longer while we are not well."""
        return timeout * (self.score + 1)
