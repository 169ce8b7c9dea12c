"""
What this node believes of each member.

A simulation of ten thousand nodes would hold a hundred million beliefs, nearly all of them alike. So records are
immutable and shared, a table may stand on a L{Base} that many tables share, and holds only its own differences. In
production the base is empty, and the table is a dict and a list.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import msgspec

from txconsul.swim.messages import Alive, NodeState, State

__all__ = ["Address", "Base", "Member", "MemberTable"]

#: 4 or 16 bytes of an IP address, and a port.
Address = tuple[bytes, int]


class Member(msgspec.Struct, frozen=True):
    """
    A member as believed.

    @ivar vsn: six bytes of versions, as in L{Alive}.
    @ivar changed: when the state last changed here, in this node's time.
    """

    name: str
    addr: bytes
    port: int
    meta: bytes
    vsn: bytes
    incarnation: int
    state: State
    changed: float

    @property
    def address(self) -> Address:
        """Where its packets and streams go."""
        return self.addr, self.port

    @property
    def is_gone(self) -> bool:
        """Whether it failed or left: nobody to talk to."""
        return self.state is State.DEAD or self.state is State.LEFT

    @property
    def protocol_max(self) -> int:
        """The newest protocol that it understands: 3 has pings over streams, 4 nacks, 5 checksums."""
        return self.vsn[1] if len(self.vsn) > 1 else 0

    def alive(self) -> Alive:
        """What says so to others."""
        return Alive(
            addr=self.addr,
            incarnation=self.incarnation,
            meta=self.meta,
            node=self.name,
            port=self.port,
            vsn=self.vsn,
        )

    def node_state(self) -> NodeState:
        """This belief in an exchange of states."""
        return NodeState(
            addr=self.addr,
            incarnation=self.incarnation,
            meta=self.meta,
            name=self.name,
            port=self.port,
            state=int(self.state),
            vsn=self.vsn,
        )


class Base:
    """Members that many tables begin with: all of them alive. It never changes."""

    __slots__ = ("members", "places")

    def __init__(self, members: Sequence[Member] = ()) -> None:
        self.members = tuple(members)
        self.places = {member.name: place for place, member in enumerate(self.members)}


_EMPTY = Base()


class MemberTable:
    """
    Members by name, and by place: a number below L{places}, some of which may be free.

    @ivar places: how many places there are.
    """

    __slots__ = ("_added", "_base", "_forgotten", "_own", "places")

    def __init__(self, base: Base = _EMPTY) -> None:
        self._base = base
        #: What differs from the base: None for who is forgotten.
        self._own: dict[str, Member | None] = {}
        #: Names that are not in the base, by their place after it.
        self._added: list[str] = []
        self._forgotten = 0  # of the base
        self.places = len(base.members)

    def __len__(self) -> int:
        return self.places - self._forgotten

    def __iter__(self) -> Iterator[Member]:
        for place in range(self.places):
            member = self.at(place)
            if member is not None:
                yield member

    def get(self, name: str) -> Member | None:
        """The member of this name."""
        if name in self._own:
            return self._own[name]
        place = self._base.places.get(name)
        return None if place is None else self._base.members[place]

    def at(self, place: int) -> Member | None:
        """The member at a place, or None if it is free. Places change when members are forgotten."""
        shared = self._base.members
        if place < len(shared):
            member = shared[place]
            return self._own.get(member.name, member) if self._own else member
        return self._own[self._added[place - len(shared)]]

    def put(self, member: Member) -> None:
        """What is believed of a member from now on."""
        name = member.name
        if name not in self._own:
            if name not in self._base.places:
                self._added.append(name)
                self.places += 1
        elif self._own[name] is None:
            self._forgotten -= 1
        self._own[name] = member

    def forget(self, gone: Sequence[Member]) -> None:
        """Members are no longer known."""
        names = {member.name for member in gone}
        for name in names:
            if name in self._base.places:
                self._own[name] = None
                self._forgotten += 1
            else:
                self._own.pop(name, None)
        self._added = [name for name in self._added if name not in names]
        self.places = len(self._base.members) + len(self._added)
