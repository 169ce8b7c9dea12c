"""
What members say to each other: tables of fields, and the bytes they make.

A message is one type byte and a msgpack map of the fields. Names and types are memberlist's. Source: the wire
documents, GOSSIP section 3; SWIM section 4 for what the messages mean.
"""

from __future__ import annotations

from enum import IntEnum
from functools import cache
from typing import Annotated, TypeVar

from txconsul.codec import gomsgpack
from txconsul.errors import PeerMisbehaved
from txconsul.records.base import OMIT_WIRE, Record

__all__ = [
    "META_BYTES_MAX",
    "NAME_CHARACTERS_MAX",
    "Ack",
    "Alive",
    "BadGossip",
    "Dead",
    "ErrorMessage",
    "IndirectPing",
    "Kind",
    "Message",
    "Nack",
    "NodeState",
    "Ping",
    "PushPullHeader",
    "State",
    "Suspect",
    "User",
    "UserHeader",
    "read_fields",
    "read_message",
    "read_record",
    "write_message",
]

#: The longest name of a member: those of hosts have at most 253 characters, and a datacenter's may follow.
NAME_CHARACTERS_MAX = 512
#: What a member may say of itself.
META_BYTES_MAX = 512
_UINT32_MAX = (1 << 32) - 1
_UINT16_MAX = (1 << 16) - 1
_INT64_MAX = (1 << 63) - 1


class BadGossip(PeerMisbehaved):
    """A packet or stream of another pool, or not of memberlist's at all."""


class Kind(IntEnum):
    """The first byte of a message, or of a layer around messages."""

    PING = 0
    INDIRECT_PING = 1
    ACK = 2
    SUSPECT = 3
    ALIVE = 4
    DEAD = 5
    PUSH_PULL = 6
    COMPOUND = 7
    USER = 8
    COMPRESS = 9
    ENCRYPT = 10
    NACK = 11
    CRC = 12
    ERROR = 13
    LABEL = 244


class State(IntEnum):
    """What is believed of a member."""

    ALIVE = 0
    SUSPECT = 1
    DEAD = 2
    LEFT = 3


class Ping(Record, frozen=True):
    """
    Are you there? (SWIM 4.1)

    @ivar node: who is meant; a member of another name at this address does not answer.
    @ivar source_addr: 4 or 16 bytes; where the answer goes, with C{source_port}. Empty: back the way this came.
    """

    node: str = ""
    seq_no: int = 0
    source_addr: Annotated[bytes, OMIT_WIRE] = b""
    source_node: Annotated[str, OMIT_WIRE] = ""
    source_port: Annotated[int, OMIT_WIRE] = 0


class IndirectPing(Record, frozen=True):
    """
    Ask that member for me (SWIM 4.1, ping-req).

    @ivar nack: say so, too, if it does not answer in time (Lifeguard's local health awareness).
    @ivar target: the member's address, 4 or 16 bytes.
    """

    nack: bool = False
    node: str = ""
    port: int = 0
    seq_no: int = 0
    source_addr: Annotated[bytes, OMIT_WIRE] = b""
    source_node: Annotated[str, OMIT_WIRE] = ""
    source_port: Annotated[int, OMIT_WIRE] = 0
    target: bytes = b""


class Ack(Record, frozen=True):
    """I am here. @ivar payload: what the layer above adds: its network coordinate."""

    payload: bytes | None = None
    seq_no: int = 0


class Nack(Record, frozen=True):
    """The member that you had me ask did not answer me; but I am here, and had your request in time (Lifeguard)."""

    seq_no: int = 0


class Suspect(Record, frozen=True):
    """
    That member did not answer (SWIM 4.2).

    @ivar from_: who says so.
    @ivar incarnation: which life of the member is meant.
    """

    from_: str = ""
    incarnation: int = 0
    node: str = ""


class Alive(Record, frozen=True):
    """
    This member is there (SWIM 4.2).

    @ivar meta: at most 512 bytes about it, of the layer above.
    @ivar vsn: six bytes: smallest, largest and current version of the protocol, then the same of the layer above.
    """

    addr: bytes = b""
    incarnation: int = 0
    meta: bytes | None = None
    node: str = ""
    port: int = 0
    vsn: bytes = b""


class Dead(Record, frozen=True):
    """That member has failed, or, if it says so itself (C{from_} is C{node}), has left."""

    from_: str = ""
    incarnation: int = 0
    node: str = ""


class User(Record, frozen=True):
    """Bytes of the layer above."""

    payload: bytes = b""


class ErrorMessage(Record, frozen=True):
    """Why the other side of a stream did not do what it was asked."""

    error: str = ""


class PushPullHeader(Record, frozen=True):
    """What follows in an exchange of states: so many members, then so many bytes of the layer above."""

    join: bool = False
    nodes: int = 0
    user_state_len: int = 0


class UserHeader(Record, frozen=True):
    """What follows in a stream that carries a message of the layer above."""

    user_msg_len: int = 0


class NodeState(Record, frozen=True):
    """One member as the other side of an exchange believes it to be. @ivar state: a L{State}."""

    addr: bytes = b""
    incarnation: int = 0
    meta: bytes | None = None
    name: str = ""
    port: int = 0
    state: int = State.ALIVE
    vsn: bytes = b""


Message = Ping | IndirectPing | Ack | Nack | Suspect | Alive | Dead | User

_MAPS: dict[int, type[Record]] = {
    Kind.PING: Ping,
    Kind.INDIRECT_PING: IndirectPing,
    Kind.ACK: Ack,
    Kind.SUSPECT: Suspect,
    Kind.ALIVE: Alive,
    Kind.DEAD: Dead,
    Kind.NACK: Nack,
    Kind.ERROR: ErrorMessage,
}
_BYTE_OF: dict[type[Record], bytes] = {record: bytes([kind]) for kind, record in _MAPS.items()}
_USER_BYTE = bytes([Kind.USER])

R = TypeVar("R", bound=Record)


def write_message(message: Message | ErrorMessage) -> bytes:
    """The bytes of one message, with its type byte."""
    if type(message) is User:
        return _USER_BYTE + message.payload
    return _BYTE_OF[type(message)] + gomsgpack.encode(message)


def read_message(data: bytes) -> Message | ErrorMessage:
    """
    One message from its bytes, whose type byte is no layer's.

    @raise BadGossip: an unknown type, malformed, or a number or address that cannot be.
    """
    if data[:1] == _USER_BYTE:
        return User(payload=data[1:])
    if not data:
        raise BadGossip("an empty message")
    try:
        fields = gomsgpack.unpack(data[1:])
    except gomsgpack.BadMessage as error:
        raise BadGossip(str(error)) from None
    return read_fields(data[0], fields)


def read_fields(kind: int, fields: object) -> Message | ErrorMessage:
    """
    One message from its type byte and its unpacked map.

    @raise BadGossip: as L{read_message} does.
    """
    record = _MAPS.get(kind)
    if record is None:
        raise BadGossip(f"message type {kind} is not known")
    return read_record(record, fields)  # type: ignore[return-value]


def read_record(record: type[R], fields: object) -> R:
    """
    A record from an unpacked map.

    @raise BadGossip: a field of another type, a number out of its range, an address of another length.
    """
    try:
        message: R = gomsgpack.from_wire(record)(fields)
    except gomsgpack.BadMessage as error:
        raise BadGossip(f"{record.__name__}: {error}") from None
    numbers, addresses, longest = _limits(record)
    for name, most in numbers:
        if not 0 <= getattr(message, name) <= most:
            raise BadGossip(f"{record.__name__}: {name} is out of range")
    for name, sizes in addresses:
        if len(getattr(message, name)) not in sizes:
            raise BadGossip(f"{record.__name__}: {name} is no IP address")
    for name, most in longest:
        if len(getattr(message, name) or b"") > most:
            raise BadGossip(f"{record.__name__}: {name} is longer than {most}")
    return message


#: The largest value of each number; below zero is none.
_LARGEST = {
    "seq_no": _UINT32_MAX,
    "incarnation": _UINT32_MAX,
    "port": _UINT16_MAX,
    "source_port": _UINT16_MAX,
    "state": State.LEFT,
    "nodes": _INT64_MAX,
    "user_state_len": _INT64_MAX,
    "user_msg_len": _INT64_MAX,
}
#: How many bytes an address has: those of IPv4 or IPv6. A source may be left out: the answer goes back the way it came.
_ADDRESS_BYTES = {"addr": (4, 16), "target": (4, 16), "source_addr": (0, 4, 16)}
#: How long texts and bytes may be that are kept and told to others: together they fit into a packet.
_LONGEST = {
    "node": NAME_CHARACTERS_MAX,
    "from_": NAME_CHARACTERS_MAX,
    "name": NAME_CHARACTERS_MAX,
    "source_node": NAME_CHARACTERS_MAX,
    "meta": META_BYTES_MAX,
    "vsn": 6,
}

_Limits = tuple[list[tuple[str, int]], list[tuple[str, tuple[int, ...]]], list[tuple[str, int]]]


@cache
def _limits(record: type[Record]) -> _Limits:
    """
    The fields that are numbers, with their largest value; that are addresses, with their sizes; and those whose length
    is limited.
    """
    names = record.__struct_fields__
    numbers = [(name, _LARGEST[name]) for name in names if name in _LARGEST]
    addresses = [(name, _ADDRESS_BYTES[name]) for name in names if name in _ADDRESS_BYTES]
    return numbers, addresses, [(name, _LONGEST[name]) for name in names if name in _LONGEST]
