"""
Which events and queries were seen already: a ring of the last times, each with what was said at it.

Source: the wire documents, GOSSIP section 5 (events and queries).
"""

from __future__ import annotations

from collections.abc import Hashable, Iterator
from typing import Generic, TypeVar

from txconsul.serf.lamport import LamportClock

__all__ = ["RING_SLOTS", "Recent"]

#: How many times back are remembered; what is older is taken for seen.
RING_SLOTS = 512
#: Different things said at one time. A clock gives each of a node's messages a time of its own; that several nodes
#: choose the same one is rare, and that hundreds do is made up.
PER_TIME_MAX = 512
#: Of all that is remembered: it must fit into an exchange of states.
RING_BYTES_MAX = 8 << 20
#: What each costs beside its bytes.
_ENTRY_BYTES = 64


T = TypeVar("T", bound=Hashable)


class Recent(Generic[T]):
    """
    @ivar clock: the clock by which these messages are dated.
    @ivar minimum: what is older was before this node's time.
    """

    def __init__(self) -> None:
        self.clock = LamportClock()
        self.minimum = 0
        self._slots: list[tuple[int, list[T]] | None] = [None] * RING_SLOTS
        self._sizes = [0] * RING_SLOTS
        self._bytes = 0

    def is_new(self, l_time: int, what: T, size: int) -> bool:
        """
        Whether this was not seen before. From now on it was.

        @param size: how many bytes it has. Where all that is remembered has too many, nothing is new.
        """
        size += _ENTRY_BYTES
        self.clock.witness(l_time)
        if l_time < self.minimum or (self.clock.time > RING_SLOTS and l_time < self.clock.time - RING_SLOTS):
            return False
        place = l_time % RING_SLOTS
        slot = self._slots[place]
        if slot is None or slot[0] != l_time:
            slot = self._slots[place] = (l_time, [])
            self._bytes -= self._sizes[place]
            self._sizes[place] = 0
        if what in slot[1] or len(slot[1]) >= PER_TIME_MAX or self._bytes + size > RING_BYTES_MAX:
            return False
        slot[1].append(what)
        self._sizes[place] += size
        self._bytes += size
        return True

    def slots(self) -> Iterator[tuple[int, list[T]] | None]:
        """The ring as it stands: each slot's time and what was said at it."""
        return iter(self._slots)
