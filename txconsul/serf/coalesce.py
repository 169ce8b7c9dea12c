"""
Coalescing: events that come in quick succession are held back a little, and told as what they come to.

A L{Coalescer} has the shape of a core: what L{Coalescer.hear} takes comes out of L{Coalescer.take_output} when its time
has come: C{period} after the first event, or C{quiescent} after the last one, whichever is earlier.

Source: Serf's documentation of its configuration (coalesce and quiescent periods).
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import Generic, TypeVar

from txconsul.serf.members import Member
from txconsul.serf.outputs import EventKind, MemberEvent, MembersChanged, UserEventCame

__all__ = ["Coalescer", "MemberCoalescer", "UserEventCoalescer"]

Heard = TypeVar("Heard")
Told = TypeVar("Told")


class Coalescer(ABC, Generic[Heard, Told]):
    """The times of coalescing. What is taken and what it comes to, subclasses say."""

    def __init__(self, period: float, quiescent: float) -> None:
        """
        @param period: no event is held longer, seconds.
        @param quiescent: nothing is held longer once no more events come, seconds.
        """
        self._period = period
        self._quiescent = quiescent
        self._flush_by: float | None = None
        self._quiet_at = 0.0
        self._outputs: list[Told] = []

    def hear(self, event: Heard, now: float) -> bool:
        """@return: whether the event is held back. Otherwise it is told as it is, by whoever asks."""
        if not self._take(event):
            return False
        if self._flush_by is None:
            self._flush_by = now + self._period
        self._quiet_at = now + self._quiescent
        return True

    def next_deadline(self) -> float | None:
        """When L{wake} is wanted."""
        return None if self._flush_by is None else min(self._flush_by, self._quiet_at)

    def wake(self, now: float) -> None:
        """L{next_deadline} has passed."""
        deadline = self.next_deadline()
        if deadline is not None and deadline <= now:
            self.flush()

    def flush(self) -> None:
        """Tell now what is held back."""
        self._flush_by = None
        self._outputs += self._flushed()

    def take_output(self) -> list[Told]:
        """What is to be told since last time, in order."""
        taken, self._outputs = self._outputs, []
        return taken

    @abstractmethod
    def _take(self, event: Heard) -> bool:
        """Hold an event back. @return: whether it can be."""

    @abstractmethod
    def _flushed(self) -> list[Told]:
        """What was held back comes to this."""


class MemberCoalescer(Coalescer[MemberEvent, MembersChanged]):
    """
    Of each member, only the last event of a while is told; and not if it is what was told of it before, as when a
    member fails and is back in time. That a member was updated is told each time.
    """

    def __init__(self, period: float, quiescent: float) -> None:
        super().__init__(period, quiescent)
        self._latest: dict[str, MemberEvent] = {}
        self._told: dict[str, EventKind] = {}

    def _take(self, event: MemberEvent) -> bool:
        self._latest[event.member.name] = event
        return True

    def _flushed(self) -> list[MembersChanged]:
        """One event of each kind, in the order of L{EventKind}."""
        latest, self._latest = self._latest, {}
        members: dict[EventKind, list[Member]] = {kind: [] for kind in EventKind}
        for name, (kind, member) in latest.items():
            if self._told.get(name) is kind and kind is not EventKind.UPDATE:
                continue
            self._told[name] = kind
            if kind is EventKind.REAP:  # it is forgotten, here too
                del self._told[name]
            members[kind].append(member)
        return [MembersChanged(kind, tuple(changed)) for kind, changed in members.items() if changed]


class UserEventCoalescer(Coalescer[UserEventCame, UserEventCame]):
    """Of the events of one name that may be coalesced, only those of the latest Lamport time are told."""

    def __init__(self, period: float, quiescent: float) -> None:
        super().__init__(period, quiescent)
        self._latest: dict[str, list[UserEventCame]] = {}

    def _take(self, event: UserEventCame) -> bool:
        if not event.coalesce:
            return False
        latest = self._latest.get(event.name)
        if latest is None or latest[0].l_time < event.l_time:
            self._latest[event.name] = [event]
        elif latest[0].l_time == event.l_time:
            latest.append(event)
        return True

    def _flushed(self) -> list[UserEventCame]:
        latest, self._latest = self._latest, {}
        return [event for events in latest.values() for event in events]
