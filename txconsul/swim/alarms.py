"""
What a core wants to do later, in the order of time; of one time, in the order in which it was set.
"""

from __future__ import annotations

import heapq
from collections.abc import Callable

__all__ = ["Alarms"]


class Alarms:
    """A heap of events. None is ever taken back: whoever is called looks whether it is still wanted."""

    __slots__ = ("_heap", "_set")

    def __init__(self) -> None:
        self._heap: list[tuple[float, int, Callable[[float], object]]] = []
        self._set = 0

    @property
    def next(self) -> float | None:
        """When L{ring} is wanted."""
        return self._heap[0][0] if self._heap else None

    def set(self, when: float, event: Callable[[float], object]) -> None:
        """Have C{event} called with the time, once it is C{when}."""
        self._set += 1
        heapq.heappush(self._heap, (when, self._set, event))

    def ring(self, now: float) -> None:
        """Call what is due; also what is set for now meanwhile."""
        while self._heap and self._heap[0][0] <= now:
            heapq.heappop(self._heap)[2](now)
