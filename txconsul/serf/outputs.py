"""
What a L{SerfNode<txconsul.serf.node.SerfNode>} tells, beside the wishes of its SWIM node, in the order of
L{take_output<txconsul.serf.node.SerfNode.take_output>}.
"""

from __future__ import annotations

from enum import Enum
from typing import NamedTuple

from txconsul.serf.members import Member
from txconsul.swim.members import Address

__all__ = ["Asked", "Event", "EventKind", "Joined", "Left", "MemberEvent", "NameLost", "QueryAck", "QueryAnswer"]
__all__ += ["MembersChanged", "QueryEnded", "RingChanged", "UserEventCame"]


class EventKind(Enum):
    """What became of a member; the values are Serf's own names."""

    JOIN = "member-join"
    LEAVE = "member-leave"
    FAILED = "member-failed"
    UPDATE = "member-update"
    REAP = "member-reap"


class MemberEvent(NamedTuple):
    """@ivar member: as it is from now on."""

    kind: EventKind
    member: Member


class MembersChanged(NamedTuple):
    """The same of several members, where events are coalesced; each as it is from now on."""

    kind: EventKind
    members: tuple[Member, ...]


class UserEventCame(NamedTuple):
    """
    Somebody, perhaps this node, told all of something.

    @ivar coalesce: of several of one name, only the last one is of interest.
    """

    l_time: int
    name: str
    payload: bytes
    coalesce: bool


class Asked(NamedTuple):
    """
    Somebody asks, and this node is meant. L{SerfNode.answer<txconsul.serf.node.SerfNode.answer>} with C{key} answers.

    @ivar deadline: when nobody listens any more.
    """

    key: tuple[int, int]
    name: str
    payload: bytes
    source: str
    deadline: float


class QueryAck(NamedTuple):
    """A member has a query of this node. @ivar key: as C{SerfNode.query} gave it."""

    key: tuple[int, int]
    sender: str


class QueryAnswer(NamedTuple):
    """A member has answered a query of this node."""

    key: tuple[int, int]
    sender: str
    payload: bytes


class QueryEnded(NamedTuple):
    """A query's time is over: no more answers are given."""

    key: tuple[int, int]


class Joined(NamedTuple):
    """An attempt to join by one address is over. @ivar problem: why it came to nothing; empty if it did not."""

    number: int
    to: Address
    problem: str


class Left(NamedTuple):
    """This node has left as gracefully as it could: it may be stopped."""


class NameLost(NamedTuple):
    """Another node bears this one's name, and the others hold that one for the true bearer: this one must stop."""


class RingChanged(NamedTuple):
    """
    A query has changed the keys: they are to be written down, and then
    L{SerfNode.keys_kept<txconsul.serf.node.SerfNode.keys_kept>} is to be called with C{key}, which answers the query.
    """

    key: tuple[int, int]


Event = (
    MemberEvent
    | MembersChanged
    | UserEventCame
    | Asked
    | QueryAck
    | QueryAnswer
    | QueryEnded
    | Joined
    | Left
    | NameLost
    | RingChanged
)
