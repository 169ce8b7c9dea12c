"""
What members mean to do: intents to join and to leave, those of this node and of others; and members forgotten.

Source: the wire documents, GOSSIP section 5.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

from txconsul.codec.duration import parse_duration
from txconsul.serf.lamport import LTIME_MAX, LamportClock
from txconsul.serf.members import Member, MemberStates, Word
from txconsul.serf.messages import JoinIntent, LeaveIntent, Status, write
from txconsul.serf.outputs import EventKind, MemberEvent
from txconsul.serf.settings import Settings
from txconsul.swim.broadcasts import Broadcasts

__all__ = ["Intents"]


class Intents:
    """
    @ivar queue: intents to be told.
    @ivar clock: dates intents.
    """

    def __init__(
        self,
        name: str,
        settings: Settings,
        members: MemberStates,
        *,
        staying: Callable[[], bool],
        tell: Callable[[MemberEvent], None],
        later: Callable[[float, Callable[[float], object]], None],
    ) -> None:
        """
        @param name: of this node.
        @param staying: whether this node does not mean to leave: who says so is contradicted.
        @param tell: takes what becomes of members.
        @param later: has a function called at a time.
        """
        self.queue = Broadcasts()
        self.clock = LamportClock()
        self._name = name
        self._settings = settings
        self._members = members
        self._staying = staying
        self._tell = tell
        self._later = later
        self._erasing: set[str] = set()

    # ---- this node's own ----

    def say_join(self, now: float) -> None:
        """This node is a member, and means to be."""
        said = JoinIntent(l_time=self.clock.time, node=self._name)
        self.hear_join(said.node, said.l_time, now)
        self.queue.queue("", write(said))

    def say_leave(self, name: str, now: float, *, prune: bool = False, token: object = None) -> None:
        """
        This node leaves; or another one is to be taken for gone.

        @param prune: it is forgotten too.
        @param token: given back when that was told often enough; see L{Broadcasts}.
        """
        said = LeaveIntent(l_time=self.clock.next(), node=name, prune=prune)
        self.hear_leave(said, now)
        if self.has_others():
            self.queue.queue("", write(said), token)

    def has_others(self) -> bool:
        """Whether there is anybody to tell."""
        return any(one.status is Status.ALIVE and one.name != self._name for one in self._members)

    # ---- those that come ----

    def hear_join(self, name: str, l_time: int, now: float) -> bool:
        """Somebody means to be a member. @return: whether others should hear of it."""
        self.clock.witness(l_time)
        return self._members.hear_join(name, l_time, now) is not Word.OLD

    def hear_leave(self, said: LeaveIntent, now: float) -> bool:
        """Somebody leaves, or is to be taken for gone. @return: whether others should hear of it."""
        self.clock.witness(said.l_time)
        word = self._members.hear_leave(said.node, said.l_time, now, staying=self._staying())
        if word is Word.REFUTE:
            self.say_join(now)
        if word is Word.FORCED:
            member = self._members.get(said.node)
            assert member is not None
            self._tell(MemberEvent(EventKind.LEAVE, member))
        if said.prune and word in (Word.NEW, Word.FORCED):
            self._prune(said.node, now)
        return word in (Word.NEW, Word.FORCED)

    def hear_times(self, times: Mapping[str, int], left: Sequence[str], now: float) -> None:
        """
        The other side's part of an exchange of states.

        @param times: when each member's last intent was meant.
        @param left: who has left.
        """
        gone = set(left)
        for name in left:
            # The time of its leaving is not said; it was after that of its joining.
            self.hear_leave(LeaveIntent(l_time=min(times.get(name, 0) + 1, LTIME_MAX), node=name), now)
        for name, l_time in times.items():
            if name not in gone:
                self.hear_join(name, l_time, now)

    # ---- forgetting ----

    def reap(self, now: float) -> None:
        """Forget who has been gone for long."""
        for member in self._members.reap(now, self._remembered_for, self._settings.tombstone_timeout):
            self._tell(MemberEvent(EventKind.REAP, member))

    def _remembered_for(self, member: Member) -> float:
        """How long a failed member is: it may say so itself."""
        try:
            return parse_duration(member.tags["rc_tm"]) / 1e9
        except (KeyError, ValueError):
            return self._settings.reconnect_timeout

    def _prune(self, name: str, now: float) -> None:
        """Forget a member; one that is just leaving after it had time to."""
        member = self._members.get(name)
        if member is None or member.status is not Status.LEAVING:
            self._erase(name)
        elif name not in self._erasing:
            self._erasing.add(name)
            wait = self._settings.broadcast_timeout + self._settings.leave_propagate_delay
            self._later(now + wait, lambda _: self._erase(name))

    def _erase(self, name: str) -> None:
        self._erasing.discard(name)
        member = self._members.erase(name)
        if member is not None:
            self._tell(MemberEvent(EventKind.REAP, member))
