"""
User events of a Serf node: those that it tells, and those that it hears of, each once.

Source: the wire documents, GOSSIP section 5.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

from txconsul.serf.messages import UserEvent, UserEvents, UserEventsEntry, write
from txconsul.serf.outputs import UserEventCame
from txconsul.serf.recent import Recent
from txconsul.serf.settings import Settings, TooLarge
from txconsul.swim.broadcasts import Broadcasts

__all__ = ["Announcements"]


class Announcements:
    """
    @ivar queue: events to be told.
    @ivar seen: which events came already; it dates those of this node.
    """

    def __init__(self, settings: Settings, tell: Callable[[UserEventCame], None]) -> None:
        """@param tell: takes each event that is new, this node's own included."""
        self.queue = Broadcasts()
        self.seen: Recent[tuple[str, bytes]] = Recent()
        self._settings = settings
        self._tell = tell

    def say(self, name: str, payload: bytes, *, coalesce: bool) -> int:
        """
        Tell all members, this one included, of something.

        @return: its time.
        @raise TooLarge: name and payload have too many bytes.
        """
        most = self._settings.event_bytes_max
        if len(name.encode("utf-8", "surrogateescape")) + len(payload) > most:
            raise TooLarge(f"user event exceeds configured limit of {most} bytes before encoding")
        l_time = self.seen.clock.time
        said = UserEvent(cc=coalesce, l_time=l_time, name=name, payload=payload or None)
        raw = write(said)
        if len(raw) > most:
            raise TooLarge(f"encoded user event exceeds configured limit of {most} bytes after encoding")
        self.hear(said)
        self.queue.queue("", raw)
        return l_time

    def hear(self, said: UserEvent) -> bool:
        """@return: whether others should hear of it."""
        payload = said.payload or b""
        if not self.seen.is_new(said.l_time, (said.name, payload), len(said.name) + len(payload)):
            return False
        self._tell(UserEventCame(said.l_time, said.name, payload, said.cc))
        return True

    def ring(self) -> tuple[UserEvents | None, ...]:
        """The last events, as they stand in an exchange of states."""
        return tuple([None if slot is None else _remembered(*slot) for slot in self.seen.slots()])

    def hear_ring(self, ring: Sequence[UserEvents | None]) -> None:
        """The other side's last events, of which some may be news."""
        for slot in ring:
            if slot is not None:
                for one in slot.events or ():
                    self.hear(UserEvent(l_time=slot.l_time, name=one.name, payload=one.payload))


def _remembered(l_time: int, said: Sequence[tuple[str, bytes]]) -> UserEvents:
    """The events of one time."""
    entries = [UserEventsEntry(name=name, payload=payload or None) for name, payload in said]
    return UserEvents(events=tuple(entries), l_time=l_time)
