"""
JSON as Go's clients and Consul's handlers write and read it.

Writing: one function a record class is compiled from its declaration; nil is C{null}, an empty list C{[]},
bytes are base64, fields marked C{OMIT_JSON} are left out while they are empty.

Reading: names match whatever their case, unknown ones are ignored, C{null} leaves a field as it is, a value of
another type is refused, and what follows the first value is ignored: the habits of Go's encoding/json.
"""

from __future__ import annotations

import base64
import binascii
import re
from collections.abc import Callable
from decimal import Decimal
from functools import cache
from math import copysign, isfinite
from typing import Any, TypeVar

import msgspec

from txconsul.codec.duration import BadDuration, format_duration, parse_duration
from txconsul.codec.fields import Field, Kind, Shape, fields_of
from txconsul.codec.gotime import format_time
from txconsul.errors import BadRequest
from txconsul.records.base import Record

__all__ = ["BadJSON", "decode", "encode", "from_json", "indent", "parse", "to_json"]

R = TypeVar("R", bound=Record)

_encoder = msgspec.json.Encoder()
_decoder = msgspec.json.Decoder()

_UINT_MAX = 2**64 - 1
_INT_MIN, _INT_MAX = -(2**63), 2**63 - 1

#: Lists and maps within each other. What is read here is logged, read again and shown by functions that call
#: themselves: what is accepted must never be too deep for one of those. No request comes near it.
DEPTH_MAX = 100


class BadJSON(BadRequest):
    """The text is no JSON, or a value has another type than its field."""


# ---- writing ----


def encode(value: object) -> bytes:
    """A record, or lists and maps of them, or plain values, as JSON."""
    plain = _any_out(value)
    try:
        return _encoder.encode(plain)
    except (UnicodeEncodeError, UnicodeDecodeError):  # text that is no UTF-8: Go writes U+FFFD
        return _encoder.encode(_clean(plain))


def indent(data: bytes) -> bytes:
    """The same JSON, four spaces a level, as C{?pretty} asks."""
    return msgspec.json.format(data, indent=4)


@cache
def to_json(record: type[Record]) -> Callable[[Any], dict[str, Any]]:
    """The function from a record of this class to plain values for the encoder."""
    names: dict[str, Any] = {
        "_any": _any_out,
        "_text": _show_text,
        "_time": format_time,
        "_duration": format_duration,
        "_float": _show_float,
    }
    fields = [f for f in fields_of(record) if not f.hide_json]
    always = ", ".join(f"{f.wire!r}: {_out(f, names)}" for f in fields if not f.omit_json)
    lines = ["def f(r):", f"    d = {{{always}}}"]
    for f in fields:
        if f.omit_json:
            empty = f"r.{f.attribute}"
            if f.shape.kind is Kind.RECORD and not f.shape.optional:
                names[f"_zero_{f.attribute}"] = f.default
                empty += f" != _zero_{f.attribute}"
            lines.append(f"    if {empty}: d[{f.wire!r}] = {_out(f, names)}")
    exec("\n".join([*lines, "    return d"]), names)  # our own text, made from declarations only
    compiled: Callable[[Any], dict[str, Any]] = names["f"]
    return compiled


def _out(field: Field, names: dict[str, Any]) -> str:
    expression = f"r.{field.attribute}"
    if field.text:
        return f"_text({expression})"
    if field.time:
        return f"_time({expression})"
    if field.duration_text:
        return f"_duration({expression})"
    return _expression(field.shape, expression)


def _expression(shape: Shape, expression: str) -> str:
    if shape.kind is Kind.SCALAR and shape.of is float:
        return f"_float({expression})"
    if shape.kind in (Kind.SCALAR, Kind.BYTES):
        return expression
    if shape.kind in (Kind.LIST, Kind.MAP) and shape.of.kind is Kind.SCALAR and shape.of.of is not float:
        return expression
    return f"_any({expression})"


#: What the encoder writes as it is.
_PLAIN = frozenset({str, int, bool, bytes, type(None)})


def _any_out(value: Any) -> Any:
    if type(value) in _PLAIN:
        return value
    if isinstance(value, Record):
        return to_json(type(value))(value)
    if isinstance(value, (list, tuple)):
        return [one if type(one) is str else _any_out(one) for one in value]
    if isinstance(value, dict):
        return {_show_text(key) if type(key) is bytes else key: _any_out(one) for key, one in value.items()}
    return _show_float(value) if type(value) is float else value


#: Whole numbers below this are the same as floats; beyond it, a float's shortest digits are not the whole number's.
_WHOLE_END = 2.0**53
#: Go writes digits and zeros alone from a millionth up to this, and an exponent beyond.
_POINT_MIN, _POINT_END = 1e-6, 1e21


def _show_float(value: float | None) -> Any:
    """
    A float as Go writes it: C{1} for 1.0, C{0.00001} for 1e-05. Python's shortest digits are Go's.
    """
    if value is None or not isfinite(value):
        return None
    if value.is_integer() and abs(value) < _WHOLE_END and (value or copysign(1.0, value) > 0):
        return int(value)
    digits = Decimal(repr(value))
    if not value or _POINT_MIN <= abs(value) < _POINT_END:
        text = format(digits, "f")
        return msgspec.Raw((text.removesuffix(".0")).encode())
    mantissa, _, exponent = repr(value).partition("e")
    sign, number = exponent[0] if exponent[0] == "-" else "+", exponent.lstrip("+-0")
    return msgspec.Raw(f"{mantissa}e{sign}{number}".encode())


def _show_text(value: bytes | None) -> str | None:
    return None if value is None else value.decode("utf-8", "replace")


def _clean(value: Any) -> Any:
    if isinstance(value, str):
        return value.encode("utf-8", "surrogateescape").decode("utf-8", "replace")
    if isinstance(value, list | tuple):
        return [_clean(one) for one in value]
    if isinstance(value, dict):
        return {_clean(key): _clean(one) for key, one in value.items()}
    return value


# ---- reading ----


def parse(data: bytes) -> Any:
    """
    The first JSON value of a text; what follows is ignored.

    @raise BadJSON: there is none, or it is nested deeper than L{DEPTH_MAX}.
    """
    value = _parse(data)
    if data.count(b"{") + data.count(b"[") > DEPTH_MAX and _is_deep(value):
        raise BadJSON("invalid JSON: exceeded max depth")
    return value


def _is_deep(value: Any) -> bool:
    level = [value]
    for _ in range(DEPTH_MAX + 1):
        level = [
            inner
            for outer in level
            if type(outer) in (dict, list)
            for inner in (outer.values() if type(outer) is dict else outer)
        ]
    return bool(level)


def _parse(data: bytes) -> Any:
    try:
        return _decoder.decode(data)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        repaired = _repaired(data)
        if repaired != data:
            return _parse(repaired)
        first = _first_value(data)
        if first is not None:
            return first[0]
        if not data.strip(b" \t\r\n"):
            raise BadJSON("EOF") from None
        if str(error) == "Input data was truncated":
            raise BadJSON("unexpected EOF") from None
        raise BadJSON(f"invalid JSON: {error}") from None


#: An escaped character: half of a surrogate pair, a whole one, or another.
_ESCAPE = re.compile(
    r"(?P<whole>\\u[dD][89abAB][0-9a-fA-F]{2}\\u[dD][c-fC-F][0-9a-fA-F]{2})|(?P<half>\\u[dD][89a-fA-F][0-9a-fA-F]{2})|\\.",
    re.DOTALL,
)


def _repaired(data: bytes) -> bytes:
    """The text with U+FFFD for bytes that are no UTF-8, and for halves of surrogate pairs, as Go reads both."""
    text = _NO_UTF8.sub("\ufffd", data.decode("utf-8", "surrogateescape"))
    if "\\u" in text:
        text = _ESCAPE.sub(lambda found: r"\ufffd" if found["half"] else found[0], text)
    return text.encode()


_NO_UTF8 = re.compile("[\udc80-\udcff]")


def _first_value(data: bytes) -> tuple[Any] | None:
    """The value that a text with something behind it begins with, in a tuple; None where there is none."""
    import json  # the rare way: msgspec reads whole texts only

    try:
        text = data.decode("utf-8").lstrip(" \t\r\n")
        end = json.JSONDecoder().raw_decode(text)[1]
        # Python's reader only says where it ends: it lets NaN and half surrogate pairs pass, which cannot be stored
        return (_decoder.decode(text[:end]),) if text[end:].strip() else None
    except (ValueError, msgspec.DecodeError, RecursionError):
        return None


def decode(record: type[R], data: bytes, strict: bool = False) -> R:
    """
    A record from JSON.

    @param strict: refuse names that are not the record's, at any depth.
    @raise BadJSON: no JSON, or a value of another type than its field.
    """
    return from_json(record, parse(data), strict=strict)


def from_json(record: type[R], value: Any, where: str = "", strict: bool = False) -> R:
    """
    A record from parsed JSON; C{null} is a record of defaults.

    @param strict: refuse names that are not the record's, at any depth.
    @raise BadJSON: a value has another type than its field; the text names the field.
    """
    if value is None:
        return record()
    if not isinstance(value, dict):
        raise _mismatch(value, where or record.__name__, record.__name__)
    table = _readers(record)
    found: dict[str, Any] = {}
    for name, one in value.items():
        field = table.get(name) or table.get(name.lower())
        if field is None:
            if strict:
                raise BadJSON(f'json: unknown field "{name}"')
        elif one is not None:
            inner = f"{where}.{field.wire}" if where else field.wire
            found[field.attribute] = _in(field, field.shape, one, inner, strict)
    return record(**found)


@cache
def _readers(record: type[Record]) -> dict[str, Field]:
    table: dict[str, Field] = {}
    for field in fields_of(record):
        if field.hide_json:
            continue
        table.setdefault(field.wire.lower(), field)
        table[field.wire] = field
    return table


def _in(field: Field, shape: Shape, value: Any, where: str, strict: bool) -> Any:
    kind = shape.kind
    if kind is Kind.ANY:
        return _any_in(value, where)
    if value is None:
        return None if shape.optional else shape.of() if kind in (Kind.SCALAR, Kind.BYTES, Kind.RECORD) else None
    if kind is Kind.SCALAR:
        return _scalar(field, shape.of, value, where)
    if kind is Kind.RECORD:
        return from_json(shape.of, value, where, strict)
    if kind is Kind.BYTES:
        return _bytes(field, value, where)
    if kind is Kind.LIST:
        if not isinstance(value, list):
            raise _mismatch(value, where, "list")
        return tuple([_in(field, shape.of, one, where, strict) for one in value])
    if not isinstance(value, dict):
        raise _mismatch(value, where, "map")
    return {name: _in(field, shape.of, one, f"{where}.{name}", strict) for name, one in value.items()}


def _any_in(value: Any, where: str) -> Any:
    """A value without a declared type: numbers that no integer on the wire holds become floats, as all do in Go."""
    if type(value) is int and not _INT_MIN <= value <= _UINT_MAX:
        return _float(value, where)
    if type(value) is list:
        return [_any_in(one, where) for one in value]
    if type(value) is dict:
        return {name: _any_in(one, f"{where}.{name}") for name, one in value.items()}
    return value


def _float(value: float, where: str) -> float:
    try:
        return float(value)
    except OverflowError:
        raise BadJSON(f"json: cannot unmarshal number into field {where} of type float64") from None


def _scalar(field: Field, wanted: type, value: Any, where: str) -> Any:
    if wanted is float and type(value) in (int, float):
        return _float(value, where)
    if field.duration_input and isinstance(value, str):
        try:
            return parse_duration(value)
        except BadDuration as error:
            raise BadJSON(str(error)) from None
    if type(value) is not wanted:
        raise _mismatch(value, where, wanted.__name__)
    if isinstance(value, int) and wanted is int:
        low, high = (0, _UINT_MAX) if field.unsigned else (_INT_MIN, _INT_MAX)
        if not low <= value <= high:
            raise BadJSON(f"json: cannot unmarshal number {value} into field {where}")
    return value


def _bytes(field: Field, value: Any, where: str) -> bytes:
    if not isinstance(value, str):
        raise _mismatch(value, where, "string")
    if field.text:
        return value.encode("utf-8", "surrogateescape")
    try:
        return base64.b64decode(value.replace("\r", "").replace("\n", ""), validate=True)
    except (binascii.Error, ValueError):
        raise BadJSON(f"illegal base64 data in field {where}") from None


_GO_NAMES = {bool: "bool", int: "number", float: "number", str: "string", list: "array", dict: "object"}


def _mismatch(value: Any, where: str, wanted: str) -> BadJSON:
    return BadJSON(f"json: cannot unmarshal {_GO_NAMES.get(type(value), 'null')} into field {where} of type {wanted}")
