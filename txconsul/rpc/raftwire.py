"""
The bytes of Raft between servers: hashicorp/raft's transport, both directions of a connection.

A connection carries requests one way and their answers, in the same order, the other way. Neither has a length in
front:

  - request: a byte of type, a msgpack map, and after an InstallSnapshot as many raw bytes as its C{Size} says;
  - answer: a msgpack text (an error, empty for success), then a msgpack map, or nil after some errors.

Every message says who speaks: its L{Header}. What a L{txconsul.raft.messages} class calls "not on the wire" is not
written here; an answer is completed from its request (L{txconsul.rpc.raft_transport}). The one addition of ours is the
C{Term} of a TimeoutNow, which a Go reader skips: by it a server that stood still does not take an old one for new.

Source: the wire documents, Raft, section 1.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any, NamedTuple

import msgpack

from txconsul.codec import gomsgpack
from txconsul.codec.gomsgpack import BadMessage
from txconsul.raft.messages import (
    AppendEntries,
    AppendEntriesReply,
    InstallSnapshot,
    InstallSnapshotReply,
    Message,
    PreVoteReply,
    RequestPreVote,
    RequestVote,
    TimeoutNow,
    VoteReply,
)
from txconsul.records.raft import Configuration, Entry, Suffrage

__all__ = [
    "NOBODY",
    "PROTOCOL_VERSION",
    "PROTOCOL_VERSION_MIN",
    "Answer",
    "BadRaft",
    "Header",
    "Request",
    "RequestEncoder",
    "Requests",
    "Responses",
    "encode_error",
    "encode_reply",
]

#: hashicorp/raft's protocol that is spoken, and the oldest that is understood.
PROTOCOL_VERSION = 3
PROTOCOL_VERSION_MIN = 2

#: The largest request that is read. A leader sends up to 64 entries at once, of which each may be as large as the
#: largest transaction (C{txn_max_req_len}): 512 KiB by default. This is four times that; it is held as it arrives.
REQUEST_BYTES_MAX = 1 << 27
#: The largest answer. They have a few numbers, two names and perhaps an error's text.
RESPONSE_BYTES_MAX = 1 << 18
#: Entries in a request: hashicorp/raft allows its users 1024. Room for a list is made as soon as its length is read.
ENTRIES_MAX = 4096
#: Keys of a map; a request has a dozen.
KEYS_MAX = 256
#: Batches of entries whose bytes are kept for the next follower that is sent the same ones.
_BATCHES_KEPT = 4

_APPEND, _VOTE, _SNAPSHOT, _TIMEOUT_NOW, _PRE_VOTE = range(5)


class BadRaft(BadMessage):
    """The other side of a Raft connection wrote something that is none of the protocol's."""


class Header(NamedTuple):
    """
    Who speaks.

    @ivar id: its server id; empty of a server older than protocol 3.
    @ivar address: its advertised RPC address, C{host:port}.
    @ivar version: of hashicorp/raft's protocol.
    """

    id: str = ""
    address: str = ""
    version: int = PROTOCOL_VERSION


#: As hashicorp/raft writes it where it forgets to say who answers: after snapshots and TimeoutNow.
NOBODY = Header(version=0)


class Request(NamedTuple):
    """
    A request that came in. The bytes of a snapshot follow as events of their own.

    @ivar legacy: of an L{InstallSnapshot} whose C{SnapshotVersion} this is, if it is not 1; else None.
    """

    message: Message
    header: Header
    legacy: int | None = None


class Answer(NamedTuple):
    """
    An answer that came in.

    @ivar error: what went wrong at the other side, or empty.
    @ivar body: the map, or None.
    """

    error: str
    body: dict[bytes, Any] | None

    @property
    def header(self) -> Header:
        """Who answers. @raise BadRaft: what stands in its place makes no sense."""
        return _read_header(self.body or {})

    def reply(self, request: Message) -> Message | None:
        """
        What it says to C{request}, completed by what is not on the wire; None for the answer to a L{TimeoutNow}.

        @raise BadRaft: the map is not one of an answer to this.
        """
        body = self.body
        if body is None:
            raise BadRaft(f"nothing was answered to {type(request).__name__}")
        term = _uint(body, b"Term")
        match request:
            case AppendEntries():
                return AppendEntriesReply(
                    term,
                    _flag(body, b"Success"),
                    _uint(body, b"LastLog"),
                    _flag(body, b"NoRetryBackoff"),
                    request.prev_log_entry + len(request.entries),
                    request.prev_log_entry,
                    request.round,
                )
            case RequestVote():
                return VoteReply(term, _flag(body, b"Granted"), request.round)
            case RequestPreVote():
                return PreVoteReply(term, _flag(body, b"Granted"), request.round)
            case InstallSnapshot():
                return InstallSnapshotReply(term, _flag(body, b"Success"), request.last_log_index, request.round)
        return None


# ---- writing ----


def _signed(number: int) -> bytes:
    """A Go int: above 127 in the signed family, where msgpack's shortest form would be an unsigned one."""
    if -33 < number < 128:
        return gomsgpack.pack(number)
    for tag, size in ((b"\xd1", 2), (b"\xd2", 4)):
        if -(1 << (8 * size - 1)) <= number < 1 << (8 * size - 1):
            return tag + number.to_bytes(size, "big", signed=True)
    return b"\xd3" + number.to_bytes(8, "big", signed=True)


def _map(fields: dict[str, bytes]) -> bytes:
    """A map whose values are written already; its keys are sorted here."""
    pack = gomsgpack.pack
    return bytes([0x80 | len(fields)]) + b"".join([pack(key) + fields[key] for key in sorted(fields)])


def _header(header: Header) -> dict[str, bytes]:
    return {
        "Addr": gomsgpack.pack(header.address or None),
        "ID": gomsgpack.pack(header.id or None),
        "ProtocolVersion": _signed(header.version),
    }


class RequestEncoder:
    """
    Writes one server's requests. Entries that go to several followers are encoded once.
    """

    def __init__(self, header: Header) -> None:
        self._header = _header(header)
        pack = gomsgpack.pack
        self._before = b"\x00\x89" + pack("Addr") + self._header["Addr"] + pack("Entries")
        self._after = pack("ID") + self._header["ID"] + pack("Leader")
        self._middle = pack("ProtocolVersion") + self._header["ProtocolVersion"] + pack("Term")
        self._batches: list[tuple[Entry, Entry, bytes]] = []

    def encode(self, message: Message) -> bytes:
        """
        A request's bytes; those of a snapshot's state are to follow.

        @raise TypeError: it is an answer.
        """
        pack = gomsgpack.pack
        match message:
            case AppendEntries():
                return self._append(message)
            case RequestVote():
                number, fields = (
                    _VOTE,
                    {
                        "Candidate": pack(message.candidate.encode()),
                        "LastLogIndex": pack(message.last_log_index),
                        "LastLogTerm": pack(message.last_log_term),
                        "LeadershipTransfer": pack(message.leadership_transfer),
                        "Term": pack(message.term),
                    },
                )
            case RequestPreVote():
                number, fields = (
                    _PRE_VOTE,
                    {
                        "LastLogIndex": pack(message.last_log_index),
                        "LastLogTerm": pack(message.last_log_term),
                        "Term": pack(message.term),
                    },
                )
            case InstallSnapshot():
                servers = message.configuration.servers
                voters = [server.address for server in servers if server.suffrage == Suffrage.VOTER]
                number, fields = (
                    _SNAPSHOT,
                    {
                        "Configuration": pack(gomsgpack.encode(message.configuration)),
                        "ConfigurationIndex": pack(message.configuration_index),
                        "LastLogIndex": pack(message.last_log_index),
                        "LastLogTerm": pack(message.last_log_term),
                        "Leader": pack(message.leader.encode()),
                        "Peers": pack(pack(voters)),
                        "Size": _signed(message.size),
                        "SnapshotVersion": _signed(1),
                        "Term": pack(message.term),
                    },
                )
            case TimeoutNow():
                number, fields = _TIMEOUT_NOW, {"Term": pack(message.term)} if message.term else {}
            case _:
                raise TypeError(f"{type(message).__name__} is no request")
        return bytes([number]) + _map({**self._header, **fields})

    def _append(self, message: AppendEntries) -> bytes:
        pack = gomsgpack.pack
        return b"".join(
            (
                self._before,
                b"\xc0" if message.is_heartbeat else self._entries(message.entries),
                self._after,
                pack(message.leader.encode()),
                _LEADER_COMMIT_INDEX,
                pack(message.leader_commit_index),
                _PREV_LOG_ENTRY,
                pack(message.prev_log_entry),
                _PREV_LOG_TERM,
                pack(message.prev_log_term),
                self._middle,
                pack(message.term),
            )
        )

    def _entries(self, entries: tuple[Entry, ...]) -> bytes:
        if not entries:
            return b"\x90"
        first, last = entries[0], entries[-1]
        for kept_first, kept_last, written in self._batches:
            # A leader's entry is one object, and what lies between two of its entries never changes.
            if kept_first is first and kept_last is last:
                return written
        write = gomsgpack.to_wire(Entry)
        written = gomsgpack.pack([write(entry) for entry in entries])
        self._batches.append((first, last, written))
        if len(self._batches) > _BATCHES_KEPT:
            del self._batches[0]
        return written


_LEADER_COMMIT_INDEX = gomsgpack.pack("LeaderCommitIndex")
_PREV_LOG_ENTRY = gomsgpack.pack("PrevLogEntry")
_PREV_LOG_TERM = gomsgpack.pack("PrevLogTerm")


def encode_reply(message: Message, header: Header, error: str = "") -> bytes:
    """
    An answer's bytes. A L{TimeoutNow} given here stands for the answer to one.

    @param header: who answers. hashicorp/raft does not say it to snapshots and TimeoutNow: L{NOBODY}.
    @param error: what went wrong.
    @raise TypeError: it is no answer.
    """
    pack = gomsgpack.pack
    match message:
        case AppendEntriesReply():
            fields = {
                "LastLog": pack(message.last_log),
                "NoRetryBackoff": pack(message.no_retry_backoff),
                "Success": pack(message.success),
                "Term": pack(message.term),
            }
        case VoteReply():
            fields = {"Granted": pack(message.granted), "Peers": b"\xc0", "Term": pack(message.term)}
        case PreVoteReply():
            fields = {"Granted": pack(message.granted), "Term": pack(message.term)}
        case InstallSnapshotReply():
            fields = {"Success": pack(message.success), "Term": pack(message.term)}
        case TimeoutNow():
            fields = {}
        case _:
            raise TypeError(f"{type(message).__name__} is no answer")
    return pack(error) + _map({**_header(header), **fields})


def encode_error(text: str) -> bytes:
    """The answer to a request that was not looked at."""
    return gomsgpack.pack(text) + b"\xc0"


# ---- reading ----


def _uint(body: dict[bytes, Any], key: bytes) -> int:
    value = body.get(key)
    if value is None:
        return 0
    if type(value) is not int or value < 0:
        raise BadRaft(f"{key.decode()} is no unsigned number")
    return value


def _int(body: dict[bytes, Any], key: bytes) -> int:
    value = body.get(key)
    if value is None:
        return 0
    if type(value) is not int:
        raise BadRaft(f"{key.decode()} is no number")
    return value


def _flag(body: dict[bytes, Any], key: bytes) -> bool:
    value = body.get(key)
    if value is None:
        return False
    if type(value) is not bool:
        raise BadRaft(f"{key.decode()} is no boolean")
    return value


def _raw(body: dict[bytes, Any], key: bytes) -> bytes:
    value = body.get(key)
    if value is None:
        return b""
    if type(value) is not bytes:
        raise BadRaft(f"{key.decode()} is no text")
    return value


def _text(body: dict[bytes, Any], key: bytes) -> str:
    return _raw(body, key).decode("utf-8", "backslashreplace")


def _read_header(body: dict[bytes, Any]) -> Header:
    return Header(_text(body, b"ID"), _text(body, b"Addr"), _int(body, b"ProtocolVersion"))


_read_entry: Callable[[Any], Entry] = gomsgpack.from_wire(Entry)


def _entry(value: Any) -> Entry:
    if type(value) is dict:
        stamp = value.get(b"AppendedAt")
        if type(stamp) is msgpack.Timestamp:
            value[b"AppendedAt"] = _go_time(stamp)
    entry = _read_entry(value)
    if entry.index < 0 or entry.term < 0:
        raise BadRaft("an entry's index or term is negative")
    return entry


#: Seconds between Go's year 1 and Unix's 1970.
_UNIX_TO_GO = 62135596800


def _go_time(stamp: msgpack.Timestamp) -> bytes:
    """A time that a newer hashicorp/raft writes as msgpack's own, as Go's 15 bytes (UTC)."""
    seconds: int = stamp.seconds + _UNIX_TO_GO
    if not -(1 << 63) <= seconds < 1 << 63:
        raise BadRaft("a time is out of range")
    nanoseconds: int = stamp.nanoseconds
    return b"\x01" + seconds.to_bytes(8, "big", signed=True) + nanoseconds.to_bytes(4, "big") + b"\xff\xff"


def _read_append(body: dict[bytes, Any]) -> AppendEntries:
    entries = body.get(b"Entries")
    if entries is not None and type(entries) is not list:
        raise BadRaft("Entries is no list")
    return AppendEntries(
        _uint(body, b"Term"),
        _leader(body, b"Leader"),
        _uint(body, b"PrevLogEntry"),
        _uint(body, b"PrevLogTerm"),
        _uint(body, b"LeaderCommitIndex"),
        tuple([_entry(entry) for entry in entries or ()]),
    )


def _leader(body: dict[bytes, Any], older: bytes) -> str:
    """An address: the header's, or where old servers said it."""
    return _text(body, b"Addr") or _text(body, older)


def _read_vote(body: dict[bytes, Any]) -> RequestVote:
    return RequestVote(
        _uint(body, b"Term"),
        _leader(body, b"Candidate"),
        _uint(body, b"LastLogIndex"),
        _uint(body, b"LastLogTerm"),
        _flag(body, b"LeadershipTransfer"),
    )


def _read_pre_vote(body: dict[bytes, Any]) -> RequestPreVote:
    return RequestPreVote(_uint(body, b"Term"), _uint(body, b"LastLogIndex"), _uint(body, b"LastLogTerm"))


def _read_snapshot(body: dict[bytes, Any]) -> InstallSnapshot:
    configuration = _raw(body, b"Configuration")
    return InstallSnapshot(
        _uint(body, b"Term"),
        _leader(body, b"Leader"),
        _uint(body, b"LastLogIndex"),
        _uint(body, b"LastLogTerm"),
        gomsgpack.decode(Configuration, configuration) if configuration else Configuration(),
        _uint(body, b"ConfigurationIndex"),
        _uint(body, b"Size"),
    )


_READERS: dict[int, Callable[[dict[bytes, Any]], Message]] = {
    _APPEND: _read_append,
    _VOTE: _read_vote,
    _SNAPSHOT: _read_snapshot,
    _TIMEOUT_NOW: lambda body: TimeoutNow(_uint(body, b"Term")),
    _PRE_VOTE: _read_pre_vote,
}


class _Values:
    """An unframed stream of msgpack values, with raw bytes between them."""

    def __init__(self, bytes_max: int) -> None:
        self._unpacker = msgpack.Unpacker(
            raw=True,
            strict_map_key=False,
            max_buffer_size=bytes_max,
            max_array_len=ENTRIES_MAX,
            max_map_len=KEYS_MAX,
        )

    def add(self, data: bytes) -> None:
        """@raise BadRaft: more is waiting than a message may have."""
        try:
            self._unpacker.feed(data)
        except msgpack.BufferFull:
            raise BadRaft("a message is too large") from None

    def raw(self, size: int) -> bytes:
        """Up to C{size} bytes of those that wait."""
        taken: bytes = self._unpacker.read_bytes(size)
        return taken

    def value(self) -> Any:
        """
        The next value.

        @raise OutOfData: it is not whole yet.
        @raise BadRaft: it is malformed.
        """
        try:
            return self._unpacker.unpack()
        except msgpack.OutOfData:
            raise
        except (ValueError, msgpack.UnpackException, TypeError, RecursionError, OverflowError) as error:
            raise BadRaft(f"malformed msgpack: {error or type(error).__name__}") from None


class Requests:
    """
    Reads the requests of one connection as they arrive.

    @ivar snapshot_left: bytes that are still to come of the snapshot that was announced last.
    """

    def __init__(self) -> None:
        self._values = _Values(REQUEST_BYTES_MAX)
        self._type: int | None = None
        self.snapshot_left = 0

    def feed(self, data: bytes) -> Iterator[Request | bytes]:
        """
        What arrived. It must be taken to its end before more is fed.

        @return: requests; after one with a snapshot its bytes, in pieces as they come.
        @raise BadRaft: the connection cannot be read any further.
        """
        if not data:
            return
        if self.snapshot_left >= len(data):  # nothing of the snapshot ever waits in the buffer
            self.snapshot_left -= len(data)
            yield data
            return
        if self.snapshot_left:
            piece, data = data[: self.snapshot_left], data[self.snapshot_left :]
            self.snapshot_left = 0
            yield piece
        self._values.add(data)
        while True:
            if self.snapshot_left:
                piece = self._values.raw(self.snapshot_left)
                if not piece:
                    return
                self.snapshot_left -= len(piece)
                yield piece
                continue
            request = self._request()
            if request is None:
                return
            yield request

    def _request(self) -> Request | None:
        if self._type is None:
            byte = self._values.raw(1)
            if not byte:
                return None
            if byte[0] not in _READERS:
                raise BadRaft(f"unknown rpc type {byte[0]}")
            self._type = byte[0]
        try:
            body = self._values.value()
        except msgpack.OutOfData:
            return None
        number, self._type = self._type, None
        if type(body) is not dict:
            raise BadRaft("a request is no map")
        try:
            message = _READERS[number](body)
            header = _read_header(body)
            legacy = None
            if isinstance(message, InstallSnapshot):
                self.snapshot_left = message.size
                version = _int(body, b"SnapshotVersion")
                legacy = None if version == 1 else version
        except BadRaft:
            raise
        except BadMessage as error:
            raise BadRaft(str(error)) from None
        return Request(message, header, legacy)


class Responses:
    """Reads the answers of one connection as they arrive."""

    def __init__(self) -> None:
        self._values = _Values(RESPONSE_BYTES_MAX)
        self._error: str | None = None

    def feed(self, data: bytes) -> Iterator[Answer]:
        """
        What arrived. It must be taken to its end before more is fed.

        @raise BadRaft: the connection cannot be read any further.
        """
        self._values.add(data)
        while True:
            try:
                value = self._values.value()
            except msgpack.OutOfData:
                return
            if self._error is None:
                if type(value) is not bytes:
                    raise BadRaft("an answer does not begin with a text")
                self._error = value.decode("utf-8", "backslashreplace")
                continue
            if value is not None and type(value) is not dict:
                raise BadRaft("an answer is no map")
            error, self._error = self._error, None
            yield Answer(error, value)
