"""
How long a member stays suspect before it is called dead.

It starts long and gets shorter with each other member that suspects it, too: one slow member alone convinces nobody
fast. Source: Lifeguard, section IV-B ("LHA-Suspicion"); the wire documents, GOSSIP section 4.
"""

from __future__ import annotations

from math import floor, log

__all__ = ["Suspicion", "suspicion_timeout"]


def suspicion_timeout(confirmations: int, wanted: int, minimum: float, maximum: float) -> float:
    """
    From the suspicion's start to its end, seconds.

    @param confirmations: how many others have said so, the first accuser not counted.
    @param wanted: how many make it as short as it gets; not 0.
    """
    share = log(confirmations + 1.0) / log(wanted + 1.0)
    return max(minimum, floor(1000.0 * (maximum - share * (maximum - minimum))) / 1000.0)


class Suspicion:
    """
    One member's suspicion.

    @ivar deadline: when it is over.
    @ivar confirmations: how many others have confirmed it.
    """

    __slots__ = ("_accusers", "_maximum", "_minimum", "_start", "_wanted", "confirmations", "deadline")

    def __init__(self, accuser: str, wanted: int, minimum: float, maximum: float, now: float) -> None:
        """
        @param accuser: who said so first; hearing it from there again confirms nothing.
        @param wanted: how many confirmations there can be; 0 in a pool that is too small for any.
        """
        self._accusers = {accuser}
        self._wanted = wanted
        self._minimum = minimum
        self._maximum = maximum
        self._start = now
        self.confirmations = 0
        self.deadline = now + (maximum if wanted > 0 else minimum)

    def confirm(self, accuser: str) -> bool:
        """
        Another member says so, too. The deadline may move, also into the past.

        @return: whether this was new, and worth telling others.
        """
        if self.confirmations >= self._wanted or accuser in self._accusers:
            return False
        self._accusers.add(accuser)
        self.confirmations += 1
        self.deadline = self._start + suspicion_timeout(self.confirmations, self._wanted, self._minimum, self._maximum)
        return True
