"""
net/rpc over msgpack: requests and answers on a stream, each a header and a body, back to back. Pure.

A body is handed on as its bytes: what they say is for others (L{txconsul.rpc.methods}).

Source: the wire documents, RPC section 3; Go's net/rpc.
"""

from __future__ import annotations

from functools import lru_cache
from typing import Any, NamedTuple

import msgpack

from txconsul.codec.edges import Edges
from txconsul.codec.gomsgpack import MESSAGE_BYTES_MAX, BadMessage, pack, unpack

__all__ = [
    "CONTAINERS_MAX",
    "EMPTY",
    "HEADER_BYTES_MAX",
    "REQUEST_BYTES_MAX",
    "Reply",
    "ReplyReader",
    "Request",
    "RequestReader",
    "reply",
    "request",
]

#: The body of an error, and of whatever has no fields.
EMPTY = b"\x80"
#: A header is two or three short fields; an error's text is the longest.
HEADER_BYTES_MAX = 1 << 16
#: The largest request that is read. Consul's own requests are bounded by what its HTTP API takes (512 KiB, if it is not
#: configured to take more); a peer that is not well must not fill the memory.
REQUEST_BYTES_MAX = 8 << 20
#: Lists and maps in a request. Each may take a single byte there and many times that in memory; the largest config
#: entry or transaction has some ten thousand.
CONTAINERS_MAX = 200_000
#: A body up to this may be as full of them as it likes.
_PLAIN_BYTES_MAX = 1 << 16
#: Names of methods kept packed; there are about 130.
_NAMES_KEPT = 512


class Request(NamedTuple):
    """
    One request.

    @ivar sequence: what its answer has to repeat.
    @ivar method: such as C{KVS.Get}.
    @ivar body: msgpack.
    """

    sequence: int
    method: str
    body: bytes


class Reply(NamedTuple):
    """
    One answer.

    @ivar error: empty if the call was served.
    @ivar body: msgpack; an empty map beside an error.
    """

    sequence: int
    method: str
    error: str
    body: bytes


@lru_cache(_NAMES_KEPT)
def _method_field(method: str) -> bytes:
    return b"\xadServiceMethod" + pack(method)


def request(sequence: int, method: str, body: bytes) -> bytes:
    """The bytes of a request."""
    return b"\x82\xa3Seq" + pack(sequence) + _method_field(method) + body


def reply(sequence: int, method: str, body: bytes, error: str = "") -> bytes:
    """The bytes of an answer. One of an error has no body of its own."""
    if error:
        return b"\x83\xa5Error" + pack(error) + b"\xa3Seq" + pack(sequence) + _method_field(method) + EMPTY
    return b"\x83\xa5Error\xa0\xa3Seq" + pack(sequence) + _method_field(method) + body


class _Reader:
    """Pairs of messages: a header, then a body."""

    __slots__ = ("_edges", "_header")

    def __init__(self, bytes_max: int) -> None:
        self._edges = Edges(bytes_max)
        self._header: dict[Any, Any] | None = None

    @property
    def held(self) -> int:
        """Bytes that are here and were not yet handed out."""
        return self._edges.held

    @property
    def within(self) -> bool:
        """Whether the last message that began is not whole."""
        return self._header is not None or self._edges.held > 0

    def feed(self, data: bytes) -> None:
        """Take the next bytes. @raise BadMessage: too many without a message's end."""
        self._edges.feed(data)

    def _next(self) -> tuple[dict[Any, Any], bytes] | None:
        header = self._header
        if header is None:
            raw = self._edges.next()
            if raw is None:
                return None
            if len(raw) > HEADER_BYTES_MAX:
                raise BadMessage(f"a header of more than {HEADER_BYTES_MAX} bytes")
            header = unpack(raw)
            if type(header) is not dict:
                raise BadMessage("a header that is no map")
        body = self._edges.next()
        if body is None:
            self._header = header
            return None
        self._header = None
        return header, body


class RequestReader(_Reader):
    """The requests of one stream."""

    def __init__(self, bytes_max: int = REQUEST_BYTES_MAX) -> None:
        super().__init__(bytes_max)

    def next(self) -> Request | None:
        """
        The next whole request; None if the rest of it is not here yet.

        @raise BadMessage: it is none. The stream cannot be read any further.
        """
        found = self._next()
        if found is None:
            return None
        header, body = found
        if len(body) > _PLAIN_BYTES_MAX:
            _refuse_bombs(body)
        return Request(_sequence(header), _text(header, b"ServiceMethod"), body)


class ReplyReader(_Reader):
    """The answers on one stream."""

    def __init__(self, bytes_max: int = MESSAGE_BYTES_MAX) -> None:
        super().__init__(bytes_max)

    def next(self) -> Reply | None:
        """
        The next whole answer; None if the rest of it is not here yet.

        @raise BadMessage: it is none. The stream cannot be read any further.
        """
        found = self._next()
        if found is None:
            return None
        header, body = found
        return Reply(_sequence(header), _text(header, b"ServiceMethod"), _text(header, b"Error"), body)


def _refuse_bombs(body: bytes) -> None:
    """Count lists and maps, of which nothing is kept."""
    left = CONTAINERS_MAX

    def count(_: Any) -> None:
        nonlocal left
        left -= 1
        if left < 0:
            raise BadMessage(f"more than {CONTAINERS_MAX} lists and maps")

    try:
        msgpack.unpackb(body, raw=True, strict_map_key=False, list_hook=count, object_hook=count)
    except (ValueError, msgpack.UnpackException, TypeError, RecursionError, OverflowError) as error:
        raise BadMessage(f"malformed msgpack: {error or type(error).__name__}") from None


def _sequence(header: dict[Any, Any]) -> int:
    sequence = header.get(b"Seq", 0)
    if type(sequence) is not int or not 0 <= sequence < 1 << 64:
        raise BadMessage("a header whose Seq is no number")
    return sequence


def _text(header: dict[Any, Any], name: bytes) -> str:
    value = header.get(name, b"")
    if type(value) is not bytes:
        raise BadMessage(f"a header whose {name.decode()} is no string")
    return value.decode("utf-8", "surrogateescape")
