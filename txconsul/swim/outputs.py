"""
What a L{SwimNode<txconsul.swim.node.SwimNode>} wishes and tells, in the order of
L{take_output<txconsul.swim.node.SwimNode.take_output>}.
"""

from __future__ import annotations

from enum import Enum
from typing import NamedTuple

from txconsul.swim.members import Address, Member
from txconsul.swim.stream import StreamMessage

__all__ = ["Change", "Conflict", "Exchanged", "MemberChanged", "Output", "Ponged", "Problem", "Request", "Send", "Sent"]
__all__ += ["UserMessage", "UserState"]


class Change(Enum):
    """What became of a member."""

    JOINED = "joined"
    UPDATED = "updated"
    #: It failed (its state says dead) or left.
    GONE = "gone"


class Send(NamedTuple):
    """
    One packet.

    @ivar data: a message, or a compound of some; to be sealed.
    @ivar checksum: the receiver is known to verify one.
    """

    to: Address
    data: bytes
    checksum: bool


class Request(NamedTuple):
    """
    Open a stream, send the message, and give the answer back with C{number}: L{answered} or L{failed}.

    @ivar deadline: when it is to be given up.
    @ivar wants_answer: a message of the layer above has none: it was heard once it is out.
    """

    number: int
    to: Address
    message: StreamMessage
    deadline: float
    wants_answer: bool


class MemberChanged(NamedTuple):
    """@ivar member: as it is believed from now on."""

    change: Change
    member: Member


class Conflict(NamedTuple):
    """Somebody of a name that is taken wants to come in from another address. It was not believed."""

    known: Member
    other: Member


class UserMessage(NamedTuple):
    """A message of the layer above came, by packet or by stream."""

    payload: bytes


class UserState(NamedTuple):
    """The layer above's part of a state that was merged."""

    state: bytes
    join: bool


class Ponged(NamedTuple):
    """A probed member answered directly. @ivar payload: what its layer above said."""

    member: Member
    rtt: float
    payload: bytes | None


class Exchanged(NamedTuple):
    """
    An exchange of states that this node began is over.

    @ivar problem: why it came to nothing; empty if it succeeded.
    """

    number: int
    to: Address
    problem: str


class Sent(NamedTuple):
    """A broadcast was told often enough, or replaced. @ivar token: as it was given with it."""

    token: object


class Problem(NamedTuple):
    """What an operator may want to know. @ivar severe: it should not happen in a pool that is well."""

    text: str
    severe: bool


Output = Send | Request | MemberChanged | Conflict | UserMessage | UserState | Ponged | Exchanged | Sent | Problem
