"""
When each of many calls has taken too long, with one delayed call for all of them.

Nearly all calls end long before their time: setting and forgetting a deadline must cost next to nothing.
"""

from __future__ import annotations

from collections.abc import Callable
from heapq import heapify, heappop, heappush
from itertools import count
from typing import Protocol

from twisted.internet.interfaces import IReactorTime

from txconsul.driver import Alarm

__all__ = ["Deadlines"]

#: Entries whose call is over and which wait for their time, beyond as many as are not over.
_SPENT_MAX = 64


class Timed(Protocol):
    """What has a deadline."""

    @property
    def over(self) -> bool:
        """Whether it does not matter any more."""

    def too_late(self) -> None:
        """Its time has come."""


class Deadlines:
    """Tells those who are not over when their time has come."""

    def __init__(self, clock: IReactorTime) -> None:
        self._clock = clock
        self._heap: list[tuple[float, int, Timed]] = []
        self._number = count()
        self._alarm = Alarm(clock, self._ring)
        self._room = _SPENT_MAX

    def add(self, timed: Timed, seconds: float) -> None:
        """Tell C{timed} in so many seconds, unless it is over by then."""
        heap = self._heap
        heappush(heap, (self._clock.seconds() + seconds, next(self._number), timed))
        if len(heap) > self._room:
            heap[:] = [one for one in heap if not one[2].over]
            heapify(heap)
            self._room = 2 * len(heap) + _SPENT_MAX
        self._alarm.set(heap[0][0] if heap else None)

    def stop(self) -> None:
        """Tell nobody any more."""
        self._heap.clear()
        self._alarm.cancel()

    def _ring(self) -> None:
        now = self._clock.seconds()
        heap = self._heap
        due: list[Callable[[], None]] = []
        while heap and (heap[0][0] <= now or heap[0][2].over):
            timed = heappop(heap)[2]
            if not timed.over:
                due.append(timed.too_late)
        self._alarm.set(heap[0][0] if heap else None)
        for tell in due:
            tell()
