"""
Lamport's logical clock: which of two messages was meant later.

Source: Lamport, "Time, Clocks, and the Ordering of Events in a Distributed System" (1978); the wire documents, GOSSIP
section 5, for how Serf counts.
"""

from __future__ import annotations

__all__ = ["LTIME_MAX", "LamportClock"]

#: A time is an unsigned number of 64 bits.
LTIME_MAX = (1 << 64) - 1


class LamportClock:
    """@ivar time: what the next message of this node bears."""

    __slots__ = ("time",)

    def __init__(self, time: int = 1) -> None:
        self.time = time

    def next(self) -> int:
        """The time for a message; the clock goes on."""
        time = self.time
        self.witness(time)
        return time

    def witness(self, time: int) -> None:
        """A message of this time was seen. Nothing follows the last time there is: it is not believed."""
        if self.time <= time < LTIME_MAX:
            self.time = time + 1
