"""
What Serf nodes say to each other, within memberlist's user messages and exchanges of states.

A message is one type byte and a msgpack map. Names are Serf's. Source: the wire documents, GOSSIP section 5.
"""

from __future__ import annotations

from enum import IntEnum, IntFlag
from functools import cache
from typing import TypeVar

import msgspec

from txconsul.codec import gomsgpack
from txconsul.errors import PeerMisbehaved
from txconsul.records.base import Record
from txconsul.records.member import Member
from txconsul.serf.lamport import LTIME_MAX
from txconsul.swim.messages import NAME_CHARACTERS_MAX

__all__ = [
    "BadSerfMessage",
    "ConflictResponse",
    "Destination",
    "JoinIntent",
    "KeyRequest",
    "KeyResponse",
    "Kind",
    "LeaveIntent",
    "PushPullState",
    "Query",
    "QueryFlag",
    "QueryResponse",
    "RelayHeader",
    "Status",
    "UserEvent",
    "UserEvents",
    "UserEventsEntry",
    "read",
    "read_any",
    "read_relay",
    "write",
    "write_relay",
]


class BadSerfMessage(PeerMisbehaved):
    """Not a message of Serf's, or one that cannot be."""


class Kind(IntEnum):
    """The first byte of a message."""

    LEAVE = 0
    JOIN = 1
    PUSH_PULL = 2
    USER_EVENT = 3
    QUERY = 4
    QUERY_RESPONSE = 5
    CONFLICT_RESPONSE = 6
    KEY_REQUEST = 7
    KEY_RESPONSE = 8
    RELAY = 9


class Status(IntEnum):
    """What has become of a member."""

    NONE = 0
    ALIVE = 1
    LEAVING = 2
    LEFT = 3
    FAILED = 4


class QueryFlag(IntFlag):
    """How a query, or an answer to it, is meant."""

    #: Of a query: say that you have it. Of an answer: only that.
    ACK = 1
    #: Do not tell others.
    NO_BROADCAST = 2


class JoinIntent(Record, frozen=True):
    """A member came, or has not left as was said. @ivar l_time: of the clock of members."""

    l_time: int = 0
    node: str = ""


class LeaveIntent(Record, frozen=True):
    """A member goes, or, if it has failed, is to be taken for gone. @ivar prune: and to be forgotten at once."""

    l_time: int = 0
    node: str = ""
    prune: bool = False


class UserEventsEntry(Record, frozen=True):
    """An event as it is remembered, under its time."""

    name: str = ""
    payload: bytes | None = None


class UserEvents(Record, frozen=True):
    """All events of one time."""

    events: tuple[UserEventsEntry, ...] | None = None
    l_time: int = 0


class PushPullState(Record, frozen=True):
    """
    Serf's part of an exchange of states.

    @ivar events: the ring of recent events, unused places None.
    @ivar left_members: who has left, and is remembered.
    @ivar status_l_times: when each member's last intent was meant.
    """

    event_l_time: int = 0
    events: tuple[UserEvents | None, ...] | None = None
    l_time: int = 0
    left_members: tuple[str, ...] | None = None
    query_l_time: int = 0
    status_l_times: dict[str, int] | None = None


class UserEvent(Record, frozen=True):
    """
    Something happened that users gave a meaning. @ivar cc: of several of one name, only the last one is of interest.
    """

    cc: bool = msgspec.field(default=False, name="CC")
    l_time: int = 0
    name: str = ""
    payload: bytes | None = None


class Query(Record, frozen=True):
    """
    A question to all, or to those who pass its filters.

    @ivar addr: where answers go, with C{port}.
    @ivar id: a random number, to tell queries of one time apart.
    @ivar relay_factor: through how many members each answer comes a second time.
    @ivar timeout: nanoseconds.
    """

    addr: bytes = b""
    filters: tuple[bytes, ...] | None = None
    flags: int = 0
    id: int = 0
    l_time: int = 0
    name: str = ""
    payload: bytes | None = None
    port: int = 0
    relay_factor: int = 0
    source_node: str = ""
    timeout: int = 0


class QueryResponse(Record, frozen=True):
    """One member's answer, or its word that it has the query. @ivar from_: its name."""

    flags: int = 0
    from_: str = ""
    id: int = 0
    l_time: int = 0
    payload: bytes | None = None


class ConflictResponse(Member, frozen=True):
    """Whom a member knows under a name that two claim."""


class KeyRequest(Record, frozen=True):
    """A key to be installed, used or removed."""

    key: bytes | None = None


class KeyResponse(Record, frozen=True):
    """
    What became of that on one member.

    @ivar keys: its keys in base64, where they were asked for.
    @ivar result: whether it did what it should.
    """

    keys: tuple[str, ...] | None = None
    message: str = ""
    primary_key: str = ""
    result: bool = False


class Destination(Record, frozen=True):
    """An address as Go writes one. @ivar zone: of IPv6."""

    ip: bytes = b""
    port: int = 0
    zone: str = ""


class RelayHeader(Record, frozen=True):
    """What stands before a message that is to be passed on."""

    dest_addr: Destination = Destination()
    dest_name: str = ""


_KINDS: dict[int, type[Record]] = {
    Kind.LEAVE: LeaveIntent,
    Kind.JOIN: JoinIntent,
    Kind.PUSH_PULL: PushPullState,
    Kind.USER_EVENT: UserEvent,
    Kind.QUERY: Query,
    Kind.QUERY_RESPONSE: QueryResponse,
    Kind.CONFLICT_RESPONSE: ConflictResponse,
    Kind.KEY_REQUEST: KeyRequest,
    Kind.KEY_RESPONSE: KeyResponse,
}
_BYTE_OF = {record: bytes([kind]) for kind, record in _KINDS.items()}

#: The longest message in a packet or a stream of its own. Serf's own limit of an event is 9 KiB.
MESSAGE_BYTES_MAX = 1 << 14

#: The largest value of each number; below zero is none.
_LARGEST = {
    "l_time": LTIME_MAX,
    "event_l_time": LTIME_MAX,
    "query_l_time": LTIME_MAX,
    "id": (1 << 32) - 1,
    "flags": (1 << 32) - 1,
    "port": (1 << 16) - 1,
    "relay_factor": (1 << 8) - 1,
    "timeout": (1 << 63) - 1,
}

R = TypeVar("R", bound=Record)


def write(message: Record) -> bytes:
    """A message's bytes, with its type byte."""
    return _BYTE_OF[type(message)] + gomsgpack.encode(message)


def read(kind: type[R], data: bytes) -> R:
    """
    A message from its bytes.

    @param kind: the record that it must be.
    @raise BadSerfMessage: it is another, malformed, or has a number out of range.
    """
    if data[:1] != _BYTE_OF[kind]:
        raise BadSerfMessage(f"expected a {kind.__name__}, found type {data[0] if data else 'nothing'}")
    try:
        message = gomsgpack.decode(kind, data[1:])
    except gomsgpack.BadMessage as error:
        raise BadSerfMessage(f"{kind.__name__}: {error}") from None
    for name, most in _limits(kind):
        if not 0 <= getattr(message, name) <= most:
            raise BadSerfMessage(f"{kind.__name__}: {name} is out of range")
    for name in _names(kind):
        if len(getattr(message, name)) > NAME_CHARACTERS_MAX:
            raise BadSerfMessage(f"{kind.__name__}: {name} is longer than {NAME_CHARACTERS_MAX} characters")
    if isinstance(message, Query):
        _check_address(message.addr)
    elif isinstance(message, PushPullState):
        times = [slot.l_time for slot in message.events or () if slot is not None]
        for l_time in (*times, *(message.status_l_times or {}).values()):
            if not 0 <= l_time <= LTIME_MAX:
                raise BadSerfMessage("PushPullState: a time is out of range")
    return message


def _check_address(addr: bytes) -> None:
    """@raise BadSerfMessage: nothing can be sent there."""
    if len(addr) not in (4, 16):
        raise BadSerfMessage("no IP address")


def read_any(data: bytes) -> Record:
    """
    A message of whatever kind.

    @raise BadSerfMessage: as L{read} does, or of no kind that is known.
    """
    if len(data) > MESSAGE_BYTES_MAX:
        raise BadSerfMessage(f"a message of {len(data)} bytes is longer than {MESSAGE_BYTES_MAX}")
    record = _KINDS.get(data[0]) if data else None
    if record is None:
        raise BadSerfMessage(f"message type {data[0]} is not known" if data else "an empty message")
    return read(record, data)


def write_relay(header: RelayHeader, message: bytes) -> bytes:
    """A message to be passed on, within one that says to whom."""
    return bytes([Kind.RELAY]) + gomsgpack.encode(header) + message


def read_relay(data: bytes) -> tuple[RelayHeader, bytes]:
    """
    To whom a message is to be passed on, and the message.

    @raise BadSerfMessage: malformed.
    """
    try:
        fields, rest = gomsgpack.unpack_first(data[1:])
        header: RelayHeader = gomsgpack.from_wire(RelayHeader)(fields)
    except gomsgpack.BadMessage as error:
        raise BadSerfMessage(f"RelayHeader: {error}") from None
    _check_address(header.dest_addr.ip)
    if not 0 <= header.dest_addr.port <= _LARGEST["port"]:
        raise BadSerfMessage("RelayHeader: port is out of range")
    return header, rest


@cache
def _limits(record: type[Record]) -> list[tuple[str, int]]:
    return [(name, _LARGEST[name]) for name in record.__struct_fields__ if name in _LARGEST]


@cache
def _names(record: type[Record]) -> list[str]:
    """The fields that name members."""
    return [name for name in record.__struct_fields__ if name in ("node", "from_", "source_node")]
