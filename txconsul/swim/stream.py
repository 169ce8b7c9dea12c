"""
Streams: exchanges of whole states, pings where packets get lost, long messages of the layer above.

One request a connection, answered at most once. Nothing frames it but the encryption, so a L{StreamReader} takes bytes
as they come and gives the request once it is whole. Source: the wire documents, GOSSIP section 2.3.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import msgpack

from txconsul.codec import gomsgpack
from txconsul.swim.keyring import NotDecrypted
from txconsul.swim.messages import (
    Ack,
    BadGossip,
    ErrorMessage,
    Kind,
    NodeState,
    Ping,
    PushPullHeader,
    User,
    UserHeader,
    read_fields,
    read_record,
    write_message,
)
from txconsul.swim.packet import Wrapping, compressed, decompressed, with_label

__all__ = ["PushPull", "StreamMessage", "StreamReader", "write_stream"]

#: The longest encrypted frame, and the longest bytes of the layer above: memberlist's own limit.
FRAME_BYTES_MAX = 20 << 20
#: The largest state that is unpacked: that of the layer above, and as much again for the members.
UNPACKED_BYTES_MAX = 2 * FRAME_BYTES_MAX
#: The most members in one exchange. A million would not fit into the bytes.
NODES_MAX = 1 << 20
#: States larger than this are sent as they are: compressing takes 0.2 us a byte, during which nothing else is done.
#: Whoever reads takes both.
COMPRESSED_BYTES_MAX = 1 << 18

#: What stands before an encrypted frame: type byte and length.
_FRAME_HEAD_BYTES = 5
#: The longest list or map within a message: room is made as soon as its length is read, true or not.
_FIELDS_MAX = 1 << 10
#: The unpacker's room at first: most streams carry a few kilobytes.
_BUFFER_BYTES = 1 << 14
_SMALL = (Kind.PING, Kind.ACK, Kind.ERROR)


class PushPull(NamedTuple):
    """
    All that a member believes, to be merged (memberlist's anti-entropy).

    @ivar join: whether the asking side has just come.
    @ivar user_state: of the layer above.
    """

    join: bool
    nodes: Sequence[NodeState]
    user_state: bytes


StreamMessage = PushPull | Ping | Ack | User | ErrorMessage


def write_stream(message: StreamMessage, wrapping: Wrapping, *, compress: bool) -> bytes:
    """The bytes of a request or an answer."""
    data = _write(message)
    if compress and len(data) <= COMPRESSED_BYTES_MAX:
        data = compressed(data)
    if wrapping.keyring is not None and wrapping.encrypts:
        head = bytes([Kind.ENCRYPT]) + wrapping.sealed_bytes(len(data)).to_bytes(4, "big")
        data = head + wrapping.encrypt(data, head + wrapping.label)
    return with_label(wrapping.label, data)


def _write(message: StreamMessage) -> bytes:
    if type(message) is PushPull:
        header = PushPullHeader(join=message.join, nodes=len(message.nodes), user_state_len=len(message.user_state))
        nodes = b"".join([gomsgpack.encode(node) for node in message.nodes])
        return bytes([Kind.PUSH_PULL]) + gomsgpack.encode(header) + nodes + message.user_state
    if type(message) is User:
        header_bytes = gomsgpack.encode(UserHeader(user_msg_len=len(message.payload)))
        return bytes([Kind.USER]) + header_bytes + message.payload
    return write_message(message)  # type: ignore[arg-type]


class StreamReader:
    """
    Reads one request, or one answer, from a connection.

    L{feed} it what comes until it gives a message; what follows that is ignored, as memberlist does.
    """

    def __init__(self, wrapping: Wrapping) -> None:
        self._wrapping = wrapping
        self._data = bytearray()
        # Functions, not methods: a reader that is done with, and all that it read, is to be gone at once.
        self._step = StreamReader._label
        self._plain: _PlainReader | None = None

    def feed(self, data: bytes) -> StreamMessage | None:
        """
        @return: the message, once it is whole.
        @raise BadGossip: of another pool, malformed, or beyond a limit. Nothing more is to be read.
        """
        if self._plain is not None:
            return self._plain.feed(data)
        self._data += data
        while True:
            before = self._step
            message = self._step(self)
            if message is not None or before is self._step:
                return message

    def _label(self) -> StreamMessage | None:
        data, wrapping = self._data, self._wrapping
        if not data:
            return None
        label = b""
        if data[0] == Kind.LABEL:
            if len(data) < 2 or len(data) < 2 + data[1]:
                return None
            label = bytes(data[2 : 2 + data[1]])
            if not label:
                raise BadGossip("a label that is empty")
            del data[: 2 + len(label)]
        if wrapping.skip_inbound_label_check:
            if label:
                raise BadGossip("a label that should have been taken away")
        elif label != wrapping.label:
            raise BadGossip(f"label {label!r} is another pool's")
        self._step = StreamReader._encryption
        return None

    def _encryption(self) -> StreamMessage | None:
        data, wrapping = self._data, self._wrapping
        if not data:
            return None
        if data[0] != Kind.ENCRYPT:
            if wrapping.keyring is not None and wrapping.verify_incoming:
                raise BadGossip("encryption is configured but remote state is not encrypted")
            self._step = StreamReader._begin_plain
            return None
        if wrapping.keyring is None:
            raise BadGossip("remote state is encrypted and encryption is not configured")
        if len(data) < _FRAME_HEAD_BYTES:
            return None
        size = int.from_bytes(data[1:_FRAME_HEAD_BYTES], "big")
        if size > FRAME_BYTES_MAX:
            raise BadGossip(f"remote node state is larger than limit ({size})")
        if len(data) < _FRAME_HEAD_BYTES + size:
            return None
        head = bytes(data[:_FRAME_HEAD_BYTES])
        sealed = bytes(data[_FRAME_HEAD_BYTES : _FRAME_HEAD_BYTES + size])
        try:
            plain = wrapping.keyring.open(sealed, head + wrapping.label)
        except NotDecrypted as error:
            raise BadGossip(str(error)) from None
        message = _PlainReader().feed(plain)
        if message is None:
            raise BadGossip("an encrypted message that is cut short")
        return message

    def _begin_plain(self) -> StreamMessage | None:
        self._plain = _PlainReader()
        return self._plain.feed(bytes(self._data))


class _PlainReader:
    """The message itself, from bytes as they come."""

    def __init__(self, compressed: bool = True) -> None:
        """@param compressed: whether a layer of compression may come yet."""
        self._kind: int | None = None
        self._may_compress = compressed
        self._unpacker = msgpack.Unpacker(
            raw=True,
            strict_map_key=False,
            read_size=_BUFFER_BYTES,
            max_buffer_size=UNPACKED_BYTES_MAX,
            max_array_len=_FIELDS_MAX,
            max_map_len=_FIELDS_MAX,
        )
        self._header: PushPullHeader | None = None
        self._user: UserHeader | None = None
        self._nodes: list[NodeState] = []
        self._rest = b""

    def feed(self, data: bytes) -> StreamMessage | None:
        """@raise BadGossip: malformed, or beyond a limit."""
        if self._kind is None:
            if not data:
                return None
            self._kind, data = data[0], data[1:]
        try:
            self._unpacker.feed(data)
            return self._read()
        except msgpack.OutOfData:
            return None
        except (ValueError, msgpack.UnpackException, TypeError, RecursionError, OverflowError) as error:
            raise BadGossip(f"malformed msgpack: {error or type(error).__name__}") from None

    def _read(self) -> StreamMessage | None:
        kind, unpack = self._kind, self._unpacker.unpack
        if kind == Kind.PUSH_PULL:
            return self._read_push_pull()
        if kind == Kind.USER:
            if self._user is None:
                self._user = read_record(UserHeader, unpack())
                _within(self._user.user_msg_len, FRAME_BYTES_MAX, "user message")
            payload = self._read_rest(self._user.user_msg_len)
            return None if payload is None else User(payload=payload)
        if kind == Kind.COMPRESS and self._may_compress:
            message = _PlainReader(compressed=False).feed(decompressed(unpack(), UNPACKED_BYTES_MAX))
            if message is None:
                raise BadGossip("a compressed message that is cut short")
            return message
        if kind in _SMALL:
            return read_fields(kind, unpack())  # type: ignore[return-value]
        raise BadGossip(f"message type {kind} is not for streams")

    def _read_push_pull(self) -> StreamMessage | None:
        header = self._header
        if header is None:
            header = self._header = read_record(PushPullHeader, self._unpacker.unpack())
            _within(header.nodes, NODES_MAX, "number of members")
            _within(header.user_state_len, FRAME_BYTES_MAX, "user state")
        while len(self._nodes) < header.nodes:
            self._nodes.append(read_record(NodeState, self._unpacker.unpack()))
        state = self._read_rest(header.user_state_len)
        return None if state is None else PushPull(header.join, self._nodes, state)

    def _read_rest(self, size: int) -> bytes | None:
        """So many raw bytes, once all of them are there."""
        self._rest += self._unpacker.read_bytes(size - len(self._rest))
        return self._rest if len(self._rest) == size else None


def _within(value: int, most: int, what: str) -> None:
    """@raise BadGossip: there is more than there may be."""
    if value > most:
        raise BadGossip(f"{what} is larger than limit ({value})")
