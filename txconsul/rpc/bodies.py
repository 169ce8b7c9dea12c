"""
Bodies of RPC messages: how requests and replies stand in them.

A request's options and its token stand among its own fields; so does, in most replies, what is known of the answer.

Source: the wire documents, RPC section 3: QueryOptions, QueryMeta and WriteRequest.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import Any, Protocol

import msgspec

from txconsul.codec.duration import SECOND
from txconsul.codec.fields import Kind, Shape, fields_of
from txconsul.codec.gomsgpack import BadMessage, compiled_map, encode, from_wire, pack, to_wire, unpack
from txconsul.endpoints.registry import Answer
from txconsul.records.base import Record
from txconsul.records.query import DEFAULT, QueryOptions

__all__ = ["EMPTY", "AsItCame", "Indexed", "Nothing", "Plain", "ReplyForm", "RequestForm", "Whole", "rows_of"]

#: An empty map.
EMPTY = b"\x80"

_TEXT = Shape(Kind.SCALAR, str, False)


class RequestForm:
    """
    How requests of one record stand in a body. Unknown keys are ignored, and missing ones are zero.

    @ivar record: the one of the body; its C{options} and its C{token}, if it has them, stand among its fields.
    @param outward: C{request -> body's record}, where that is another than the door's; C{inward}: the way back.
    """

    def __init__(
        self,
        record: type[Record],
        outward: Callable[[Any], Record] | None = None,
        inward: Callable[[Any], Record] | None = None,
    ) -> None:
        self.record = record
        fields = {field.wire: (field.shape, f"r.{field.attribute}") for field in fields_of(record)}
        self._has_options = fields.pop("Options", None) is not None
        if self._has_options:
            fields |= {field.wire: (field.shape, f"r.options.{field.attribute}") for field in fields_of(QueryOptions)}
        if self._has_options or "Token" in fields:
            fields["Token"] = (_TEXT, "t")
        self._map = compiled_map(fields, "r, t")
        self._read = from_wire(record)
        self._outward, self._inward = outward, inward

    def encode(self, request: Any, token: str) -> bytes:
        """@param token: the secret that the request bears; instead of one that it names itself."""
        body = request if self._outward is None else self._outward(request)
        return pack(self._map(body, token or getattr(body, "token", "")))

    def decode(self, body: bytes) -> tuple[Any, str]:
        """
        @return: the request, and its token.
        @raise BadMessage: the body is no map, or a value is of another type than declared.
        """
        fields = _fields(unpack(body))
        request: Any = self._read(fields)
        if self._has_options:
            options = _read_options(fields)
            if options != DEFAULT:
                request = msgspec.structs.replace(request, options=options)
        if self._inward is not None:
            request = self._inward(request)
        token: bytes = fields.get(b"Token") or b""
        return request, token.decode("utf-8", "surrogateescape") if type(token) is bytes else ""


_read_options = from_wire(QueryOptions)


class AsItCame(msgspec.Struct, frozen=True):
    """A reply that another server gave, for whoever is to be given the same."""

    body: bytes


class ReplyForm(Protocol):
    """How a method's answers stand in a body."""

    def encode(self, answer: Any, request: Any) -> bytes:
        """The body that says what the door answered."""

    def decode(self, body: bytes, request: Any) -> Any:
        """
        What the door would have answered.

        @raise BadMessage: the body is not of this form.
        """


class Nothing:
    """That it was done is all that is said. @param value: what the door says of that."""

    def __init__(self, value: Any = None) -> None:
        self._value = value

    def encode(self, answer: Any, request: Any) -> bytes:
        """An empty map."""
        return EMPTY

    def decode(self, body: bytes, request: Any) -> Any:
        """Whatever it is, it means the same."""
        return self._value


class Plain:
    """
    A value of which nothing else is said: a text, a truth value, or a list of texts or records.

    @param outward: C{(value, request) -> plain values}.
    @param inward: C{(plain value, request) -> value}, texts as bytes; it raises L{BadMessage}.
    @param answers: the value is that of an L{Answer}.
    """

    def __init__(
        self, outward: Callable[[Any, Any], Any], inward: Callable[[Any, Any], Any], answers: bool = False
    ) -> None:
        self._outward, self._inward, self._answers = outward, inward, answers

    def encode(self, answer: Any, request: Any) -> bytes:
        """The value alone."""
        return pack(self._outward(answer.value if type(answer) is Answer else answer, request))

    def decode(self, body: bytes, request: Any) -> Any:
        """The value; nothing is known of its index."""
        value = self._inward(unpack(body), request)
        return Answer(1, value) if self._answers else value


class Whole:
    """
    A record. Where it tells itself what is known of the answer, that is written into it.

    @param record: its class.
    """

    def __init__(self, record: type[Record]) -> None:
        names = {field.attribute for field in fields_of(record)}
        self._knows = names >= {"index", "last_contact", "known_leader"}
        self._read = from_wire(record)

    def encode(self, answer: Any, request: Any) -> bytes:
        """The record alone."""
        if type(answer) is not Answer:
            return encode(answer)
        value = answer.value
        if self._knows:
            value = msgspec.structs.replace(
                value,
                index=answer.index,
                last_contact=int(answer.last_contact * SECOND),
                known_leader=answer.known_leader,
            )
        return encode(value)

    def decode(self, body: bytes, request: Any) -> Any:
        """The record, or an answer where it tells what is known of it."""
        value: Any = self._read(unpack(body))
        return Answer(value.index, value, value.last_contact / SECOND, value.known_leader) if self._knows else value


#: What is known of an answer, as long as nothing is.
_META: dict[str, Any] = {
    "Backend": 0,
    "ConsistencyLevel": "",
    "Index": 0,
    "KnownLeader": False,
    "LastContact": 0,
    "NotModified": False,
    "ResultsFilteredByACLs": False,
}
_TRUE, _FALSE = pack(True), pack(False)


class Indexed:
    """
    A value and what is known of it: the maps that Consul calls Indexed.

    @param field: the value's key.
    @param outward: C{value -> plain values}.
    @param inward: C{plain values -> value}, texts as bytes; it raises L{BadMessage}. None stands for what is missing.
    @param beside: other fields, of which nothing is known here.
    """

    def __init__(
        self,
        field: str,
        outward: Callable[[Any], Any],
        inward: Callable[[Any], Any],
        beside: Mapping[str, Any] | None = None,
    ) -> None:
        self._field = field.encode()
        self._outward, self._inward = outward, inward
        constant = {**_META, **(beside or {})}
        places = {field: b"%(value)b", "Index": b"%(index)b", "KnownLeader": b"%(known)b", "LastContact": b"%(last)b"}
        keys = sorted({*constant, field})
        parts = [bytes([0x80 | len(keys)])]
        for key in keys:
            parts += [pack(key), places[key] if key in places else pack(constant[key])]
        #: The map with places for what differs; in what is constant there is no percent sign.
        self._layout = b"".join(parts)

    def encode(self, answer: Answer, request: Any) -> bytes:
        """The map; where the value is kept, its bytes are kept with it."""
        view = answer.view
        return self._layout % {
            b"value": self._written(answer.value) if view is None else view.rendering(self, self._written),
            b"index": pack(answer.index),
            b"known": _TRUE if answer.known_leader else _FALSE,
            b"last": pack(int(answer.last_contact * SECOND)),
        }

    def _written(self, value: Any) -> bytes:
        return pack(self._outward(value))

    def decode(self, body: bytes, request: Any) -> Answer:
        """The answer, as fresh as it says it is."""
        fields = _fields(unpack(body))
        value = self._inward(fields.get(self._field))
        contact = _number(fields.get(b"LastContact")) / SECOND
        return Answer(_number(fields.get(b"Index")), value, contact, fields.get(b"KnownLeader") is True)


def _number(value: Any) -> int:
    return value if type(value) is int else 0


def _fields(value: Any) -> dict[bytes, Any]:
    """@raise BadMessage: it is no map."""
    if type(value) is not dict:
        raise BadMessage(f"expected a map, found {type(value).__name__}")
    return value


def rows_of(
    record: type[Record], none_is_nil: bool = False
) -> tuple[Callable[[Iterable[Any]], Any], Callable[[Any], list[Any]]]:
    """
    The ways out and in of a list of records. A missing list is read as an empty one.

    @param none_is_nil: an empty list is written as nil, as Consul does here and there.
    """
    write, read = to_wire(record), from_wire(record)

    def outward(rows: Iterable[Any]) -> Any:
        written = [write(row) for row in rows]
        return written if written or not none_is_nil else None

    def inward(rows: Any) -> list[Any]:
        if rows is None:
            return []
        if type(rows) is not list:
            raise BadMessage(f"expected a list, found {type(rows).__name__}")
        return [read(row) for row in rows if row is not None]

    return outward, inward
