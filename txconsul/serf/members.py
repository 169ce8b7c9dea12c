"""
Members as Serf knows them: with tags, with the intents to join and to leave, remembered for a while after they go.

memberlist says who is there and who is not; intents say why. A member that was leaving has left; another one has
failed. Source: the wire documents, GOSSIP section 5.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from enum import Enum

import msgspec
from msgspec.structs import replace

from txconsul.serf.messages import Status
from txconsul.swim.members import Address
from txconsul.swim.messages import State

__all__ = ["STATUS_OF", "Intent", "Member", "MemberStates", "Word"]


#: What SWIM's word means here, where no intent says otherwise.
STATUS_OF = {
    State.ALIVE: Status.ALIVE,
    State.SUSPECT: Status.ALIVE,
    State.DEAD: Status.FAILED,
    State.LEFT: Status.LEFT,
}


class Member(msgspec.Struct, frozen=True):
    """
    A member.

    @ivar addr: 4 or 16 bytes.
    @ivar vsn: six bytes of versions: of memberlist's protocol and of Serf's.
    """

    name: str
    addr: bytes
    port: int
    tags: Mapping[str, str]
    status: Status
    vsn: bytes

    @property
    def address(self) -> Address:
        """Where it is reached."""
        return self.addr, self.port


class Intent(Enum):
    """What somebody means to do."""

    JOIN = "join"
    LEAVE = "leave"


class Word(Enum):
    """What an intent was worth."""

    #: Known already, or about an older time.
    OLD = "old"
    #: To be passed on.
    NEW = "new"
    #: This node is said to leave, and does not.
    REFUTE = "refute"
    #: To be passed on; a failed member is now taken for one that left.
    FORCED = "forced"


class _Known:
    """One member, and what is remembered of it."""

    __slots__ = ("gone_at", "l_time", "member")

    def __init__(self, member: Member, l_time: int) -> None:
        self.member = member
        self.l_time = l_time
        self.gone_at = 0.0


class MemberStates:
    """
    All members, those who are gone included until they are reaped.

    @ivar failed: names of those who have failed, in the order in which they did.
    @ivar left: names of those who have left.
    """

    #: Intents about nodes that are not members yet. A pool has few; whoever makes them up fills no memory.
    INTENTS_MAX = 4096
    #: Members that are gone, and remembered; of more, those who went first are forgotten early.
    GONE_MAX = 1 << 14

    def __init__(self, name: str, intent_timeout: float) -> None:
        """
        @param name: of this node.
        @param intent_timeout: how long the intent of somebody unknown is remembered, seconds.
        """
        self._name = name
        self._known: dict[str, _Known] = {}
        self._intents: dict[str, tuple[Intent, int, float]] = {}
        self._intent_timeout = intent_timeout
        self.failed: dict[str, None] = {}
        self.left: dict[str, None] = {}

    def __len__(self) -> int:
        return len(self._known)

    def __iter__(self) -> Iterator[Member]:
        return iter([known.member for known in self._known.values()])

    def get(self, name: str) -> Member | None:
        """The member of this name."""
        known = self._known.get(name)
        return None if known is None else known.member

    def l_times(self) -> dict[str, int]:
        """When each member's last intent was meant."""
        return {name: known.l_time for name, known in self._known.items()}

    # ---- memberlist's word ----

    def came(self, member: Member) -> Member:
        """A member is there. @return: how it is known from now on."""
        known = self._known.get(member.name)
        if known is None:
            known = self._known[member.name] = _Known(member, 0)
            intent = self._intents.get(member.name)
            if intent is not None:
                known.l_time = intent[1]
                if intent[0] is Intent.LEAVE:
                    known.member = replace(member, status=Status.LEAVING)
        else:
            known.member = member
            self.failed.pop(member.name, None)
            self.left.pop(member.name, None)
        return known.member

    def changed(self, member: Member) -> Member | None:
        """A member says something else of itself. @return: how it is known from now on, if it is."""
        known = self._known.get(member.name)
        if known is None:
            return None
        known.member = replace(member, status=known.member.status)
        return known.member

    def went(self, name: str, now: float) -> Member | None:
        """A member is not there any more. @return: it, as left or failed; None if that is nothing new."""
        known = self._known.get(name)
        if known is None or known.member.status not in (Status.LEAVING, Status.ALIVE):
            return None
        left = known.member.status is Status.LEAVING
        known.member = replace(known.member, status=Status.LEFT if left else Status.FAILED)
        known.gone_at = now
        (self.left if left else self.failed)[name] = None
        return known.member

    # ---- intents ----

    def hear_join(self, name: str, l_time: int, now: float) -> Word:
        """Somebody means to be a member."""
        known = self._known.get(name)
        if known is None:
            return self._remember(Intent.JOIN, name, l_time, now)
        if l_time <= known.l_time:
            return Word.OLD
        known.l_time = l_time
        if known.member.status is Status.LEAVING:
            known.member = replace(known.member, status=Status.ALIVE)
        return Word.NEW

    def hear_leave(self, name: str, l_time: int, now: float, *, staying: bool) -> Word:
        """
        Somebody means to leave, or is to be taken for gone.

        @param staying: this node itself does not mean to leave.
        """
        known = self._known.get(name)
        if known is None:
            return self._remember(Intent.LEAVE, name, l_time, now)
        if l_time <= known.l_time:
            return Word.OLD
        if name == self._name and staying:
            return Word.REFUTE
        # Also where nothing else changes: or two such words would be passed on for ever.
        known.l_time = l_time
        if known.member.status is Status.ALIVE:
            known.member = replace(known.member, status=Status.LEAVING)
        elif known.member.status is Status.FAILED:
            known.member = replace(known.member, status=Status.LEFT)
            self.failed.pop(name, None)
            self.left[name] = None
            return Word.FORCED
        return Word.NEW

    def _remember(self, intent: Intent, name: str, l_time: int, now: float) -> Word:
        """Nobody of this name is known yet: the newest word about it is kept for a while."""
        old = self._intents.get(name)
        if old is not None and l_time <= old[1]:
            return Word.OLD
        if old is None and len(self._intents) >= self.INTENTS_MAX:
            return Word.OLD
        self._intents[name] = (intent, l_time, now)
        return Word.NEW

    # ---- forgetting ----

    def erase(self, name: str) -> Member | None:
        """A member is forgotten. @return: as it was known."""
        self.failed.pop(name, None)
        self.left.pop(name, None)
        known = self._known.pop(name, None)
        return None if known is None else known.member

    def reap(self, now: float, failed_for: Callable[[Member], float], left_for: float) -> list[Member]:
        """
        Forget who has been gone for long.

        @param failed_for: how long a failed member is remembered, seconds.
        @param left_for: how long one that left is.
        @return: who was forgotten.
        """
        gone = []
        for name in list(self.failed):
            known = self._known[name]
            if now - known.gone_at > failed_for(known.member):
                gone.append(name)
        gone += [name for name in self.left if now - self._known[name].gone_at > left_for]
        for names in (self.failed, self.left):
            gone += list(names)[: max(0, len(names) - self.GONE_MAX)]
        for name, (_, _, heard) in list(self._intents.items()):
            if now - heard > self._intent_timeout:
                del self._intents[name]
        return [member for name in gone if (member := self.erase(name)) is not None]
