"""
Timeouts of one length for many connections: a queue, because whoever starts later is due later.

Starting and stopping is a dictionary entry, and looking costs nothing while nobody is due; a delayed call each would
cost more than the request it guards.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

__all__ = ["Deadlines"]


class Deadlines:
    """
    @param seconds: how long each waits.
    @param expired: called with whoever waited that long; it is no longer in the queue then.
    """

    __slots__ = ("_due", "_expired", "_seconds")

    def __init__(self, seconds: float, expired: Callable[[Any], None]) -> None:
        self._seconds = seconds
        self._expired = expired
        self._due: dict[Any, float] = {}

    def start(self, who: Any, now: float) -> None:
        """Begin to wait, or begin anew."""
        self._due.pop(who, None)
        self._due[who] = now + self._seconds

    def stop(self, who: Any) -> None:
        """Wait no longer, if it did."""
        self._due.pop(who, None)

    def look(self, now: float) -> None:
        """Tell those who are due."""
        due = self._due
        while due:
            who = next(iter(due))
            if due[who] > now:
                return
            del due[who]
            self._expired(who)

    def __len__(self) -> int:
        return len(self._due)
