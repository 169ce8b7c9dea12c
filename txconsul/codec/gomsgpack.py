"""
HashiCorp's msgpack: the bytes of RPC bodies, log commands and snapshot records.

The old specification's raw family carries text and bytes alike; the keys of a map are sorted; a field is
present even when it is zero, unless marked C{OMIT_WIRE}. Reading is lenient as Go's is: an unknown key is
ignored, a missing or nil value is the field's default; a value of another type is refused.

For each record class one encoding and one decoding function is compiled from the declaration (the way
dataclasses and attrs make C{__init__}): 0.6 us for a KV command, against 1.6 us for a walk of the structure.

Source: the wire documents, RPC section 3.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from functools import cache
from typing import Any, TypeVar

import msgpack

from txconsul.codec.fields import Field, Kind, Shape, fields_of
from txconsul.errors import Corrupt
from txconsul.records.base import Record

__all__ = [
    "BadMessage",
    "compiled_map",
    "decode",
    "encode",
    "encode_apart",
    "from_wire",
    "pack",
    "stream",
    "to_wire",
    "unpack",
    "unpack_first",
]

R = TypeVar("R", bound=Record)

#: The largest single message that is read: Consul's own bound on a Raft entry is far below it, and a length
#: that lies cannot ask for more memory than this.
MESSAGE_BYTES_MAX = 512 * 1024 * 1024
#: The longest list in a stream, for which room is made as soon as its length is read. Nothing that is kept has so many.
_STREAM_LIST_MAX = 1 << 17
#: Lists and maps within each other, in a value without a declared type; far below what Python's stack bears.
DEPTH_MAX = 200


class BadMessage(Corrupt):
    """The bytes are no msgpack, or not of the shape that was expected."""


_packer = msgpack.Packer(use_bin_type=False, autoreset=True, unicode_errors="surrogateescape")
_packer_apart = msgpack.Packer(use_bin_type=True, autoreset=True, unicode_errors="surrogateescape")


def pack(value: object) -> bytes:
    """Any value as old-specification msgpack; maps must be in order already."""
    packed: bytes = _packer.pack(value)
    return packed


def unpack(data: bytes | memoryview) -> Any:
    """
    One whole message, texts and bytes both as bytes.

    @raise BadMessage: it is cut short, followed by something, or malformed.
    """
    try:
        return msgpack.unpackb(data, raw=True, strict_map_key=False)
    except (ValueError, msgpack.UnpackException, TypeError, RecursionError, OverflowError) as error:
        raise BadMessage(f"malformed msgpack: {error or type(error).__name__}") from None


def unpack_first(data: bytes) -> tuple[Any, bytes]:
    """
    The message at the beginning, and the bytes after it.

    @raise BadMessage: it is cut short or malformed.
    """
    unpacker = msgpack.Unpacker(raw=True, strict_map_key=False, max_buffer_size=max(1, len(data)))
    unpacker.feed(data)
    try:
        value = unpacker.unpack()
    except (ValueError, msgpack.UnpackException, TypeError, RecursionError, OverflowError) as error:
        raise BadMessage(f"malformed msgpack: {error or type(error).__name__}") from None
    return value, data[unpacker.tell() :]


def stream(read: Callable[[int], bytes]) -> Iterator[Any]:
    """
    The messages of an unframed stream, texts and bytes as bytes.

    @param read: gives up to so many bytes, none at the end.
    @raise BadMessage: something in it is malformed, or it ends within a message.
    """

    class Source:
        """What C{Unpacker} calls a file, counting what it was given."""

        given = 0

        def read(self, size: int) -> bytes:
            data = read(size)
            self.given += len(data)
            return data

    source = Source()
    unpacker = msgpack.Unpacker(
        source,
        raw=True,
        strict_map_key=False,
        read_size=1 << 18,
        max_buffer_size=MESSAGE_BYTES_MAX,
        max_array_len=_STREAM_LIST_MAX,
    )
    while True:
        begin = unpacker.tell()
        try:
            value = unpacker.unpack()
        except msgpack.OutOfData:
            if begin != source.given:
                raise BadMessage("the stream ends within a message") from None
            return
        except (ValueError, msgpack.UnpackException, TypeError, RecursionError, OverflowError) as error:
            raise BadMessage(f"malformed msgpack: {error or type(error).__name__}") from None
        yield value


def encode(record: Record) -> bytes:
    """A record's bytes."""
    packed: bytes = _packer.pack(to_wire(type(record))(record))
    return packed


def encode_apart(record: Record) -> bytes:
    """A record's bytes in the specification of today, which tells texts and bytes apart: Go's C{WriteExt}."""
    packed: bytes = _packer_apart.pack(to_wire(type(record))(record))
    return packed


def decode(record: type[R], data: bytes | memoryview) -> R:
    """
    A record from its bytes.

    @raise BadMessage: the bytes are malformed, or a value is of another type than declared.
    """
    try:
        read: R = from_wire(record)(unpack(data))
    except RecursionError:  # a record may hold one of its own class
        raise BadMessage("malformed msgpack: nested too deeply") from None
    return read


# ---- compiling ----


@cache
def to_wire(record: type[Record]) -> Callable[[Any], dict[str, Any]]:
    """The function from a record of this class to plain values, keys sorted."""
    names: dict[str, Any] = {"_any": _any_out}
    kept = sorted(fields_of(record), key=lambda field: field.wire.encode())
    always = ", ".join(f"{f.wire!r}: {_out(f.shape, f'r.{f.attribute}', names)}" for f in kept if not f.omit_wire)
    omitted = [f for f in kept if f.omit_wire]
    if not omitted:
        plain: Callable[[Any], dict[str, Any]] = _compile(f"def f(r): return {{{always}}}", names)
        return plain
    lines = ["def f(r):", f"    d = {{{always}}}"]
    for f in omitted:
        lines += [f"    if r.{f.attribute}: d[{f.wire!r}] = {_out(f.shape, f'r.{f.attribute}', names)}"]
    compiled: Callable[[Any], dict[str, Any]] = _compile(
        "\n".join([*lines, "    return dict(sorted(d.items()))"]), names
    )
    return compiled


def compiled_map(parts: Mapping[str, tuple[Shape, str]], arguments: str) -> Callable[..., dict[str, Any]]:
    """
    The function that makes a map of plain values, keys sorted, out of several records.

    @param parts: each key with its value's shape and the Python expression for it.
    @param arguments: what those expressions name, as in C{"r, o"}.
    """
    names: dict[str, Any] = {"_any": _any_out}
    written = ", ".join(f"{key!r}: {_out(*parts[key], names)}" for key in sorted(parts, key=str.encode))
    compiled: Callable[..., dict[str, Any]] = _compile(f"def f({arguments}): return {{{written}}}", names)
    return compiled


@cache
def from_wire(record: type[R]) -> Callable[[Any], R]:
    """
    The function from plain values (keys and texts as bytes) to a record of this class.
    It raises L{BadMessage}.
    """
    names: dict[str, Any] = {"_Record": record, "_bad": _bad, "_any": _any_in, "_text": _text, "_bytes": _bytes}
    names |= {"_number": _number, "_list": _list, "_map": _map, "_float": _float, "_flag": _flag}
    parts = [_field_in(field, names) for field in fields_of(record)]
    source = (
        "def f(d):\n"
        "    if type(d) is not dict: _bad('map', d)\n"
        "    get = d.get\n"
        f"    return _Record({', '.join(parts)})"
    )
    compiled: Callable[[Any], R] = _compile(source, names)
    return compiled


def _compile(source: str, names: dict[str, Any]) -> Any:
    exec(source, names)  # our own text, made from declarations only
    return names["f"]


def _bind(names: dict[str, Any], value: Any) -> str:
    name = f"_v{len(names)}"
    names[name] = value
    return name


def _out(shape: Shape, expression: str, names: dict[str, Any]) -> str:
    """The expression that writes C{expression}."""
    if shape.kind is Kind.SCALAR or shape.kind is Kind.BYTES:
        return expression
    if shape.kind is Kind.ANY:
        return f"_any({expression})"
    if shape.kind is Kind.RECORD:
        inner = _bind(names, _Later(to_wire, shape.of))
        written = f"{inner}({expression})"
    elif shape.kind is Kind.LIST:
        if shape.of.kind in (Kind.SCALAR, Kind.BYTES):
            return expression
        written = f"[{_out(shape.of, 'x', names)} for x in {expression}]"
    else:
        written = f"{{k: {_out(shape.of, 'x', names)} for k, x in sorted({expression}.items())}}"
    return f"(None if {expression} is None else {written})" if shape.optional else written


def _field_in(field: Field, names: dict[str, Any]) -> str:
    default = _bind(names, field.default)
    got = f"get({field.wire.encode()!r})"
    return f"{field.attribute}=({_in(field.shape, 'v', names)} if (v := {got}) is not None else {default})"


def _in(shape: Shape, expression: str, names: dict[str, Any]) -> str:
    """The expression that reads C{expression}, which is not nil."""
    if shape.kind is Kind.SCALAR:
        reader = {str: "_text", int: "_number", float: "_float", bool: "_flag"}[shape.of]
        return f"{reader}({expression})"
    if shape.kind is Kind.BYTES:
        return f"_bytes({expression})"
    if shape.kind is Kind.ANY:
        return f"_any({expression})"
    if shape.kind is Kind.RECORD:
        return f"{_bind(names, _Later(from_wire, shape.of))}({expression})"
    zero = _bind(names, _zero(shape.of))
    inner = f"({_in(shape.of, 'x', names)} if x is not None else {zero})"
    if shape.kind is Kind.LIST:
        return f"tuple([{inner} for x in _list({expression})])"
    return f"{{_text(k): {inner} for k, x in _map({expression}).items()}}"


def _zero(shape: Shape) -> Any:
    """What nil within a list or map is read as."""
    if shape.optional:
        return None
    if shape.kind is Kind.LIST:
        return ()
    if shape.kind is Kind.MAP:
        return {}
    if shape.kind is Kind.RECORD:
        return shape.of()
    return shape.of()


class _Later:
    """Compiles an inner record's function at its first use, so that records may be recursive."""

    __slots__ = ("compile", "function", "record")

    def __init__(self, compile: Callable[[Any], Callable[[Any], Any]], record: Any) -> None:
        self.compile = compile
        self.record = record
        self.function: Callable[[Any], Any] | None = None

    def __call__(self, value: Any) -> Any:
        if self.function is None:
            self.function = self.compile(self.record)
        return self.function(value)


def _bad(wanted: str, got: object) -> Any:
    raise BadMessage(f"expected a {wanted}, found {type(got).__name__}")


def _text(value: Any) -> str:
    if type(value) is not bytes:
        _bad("string", value)
    text: str = value.decode("utf-8", "surrogateescape")
    return text


def _bytes(value: Any) -> bytes:
    return value if type(value) is bytes else _bad("string of bytes", value)


def _number(value: Any) -> int:
    return value if type(value) is int else _bad("number", value)


def _float(value: Any) -> float:
    return float(value) if type(value) in (float, int) else _bad("float", value)


def _flag(value: Any) -> bool:
    return value if type(value) is bool else _bad("boolean", value)


def _list(value: Any) -> list[Any]:
    return value if type(value) is list else _bad("list", value)


def _map(value: Any) -> dict[Any, Any]:
    return value if type(value) is dict else _bad("map", value)


def _any_in(value: Any, room: int = DEPTH_MAX) -> Any:
    """An opaque value: text where it can be text, since the wire does not tell the two apart."""
    if type(value) is bytes:
        try:
            return value.decode("utf-8")
        except UnicodeDecodeError:
            return value
    if type(value) in (list, dict) and not room:
        raise BadMessage("malformed msgpack: nested too deeply")
    if type(value) is list:
        return [_any_in(one, room - 1) for one in value]
    if type(value) is dict:
        return {_text(key): _any_in(one, room - 1) for key, one in value.items()}
    if value is not None and type(value) not in (bool, int, float):
        _bad("value that is no extension", value)
    return value


def _any_out(value: Any) -> Any:
    if isinstance(value, Record):
        return to_wire(type(value))(value)
    if isinstance(value, list | tuple):
        return [_any_out(one) for one in value]
    if isinstance(value, dict):
        return {key: _any_out(one) for key, one in sorted(value.items())}
    return value
