"""
A record's declaration, read once: names, shapes and remarks of its fields.

Both codecs compile their functions from this. A shape is one of the L{Shape} kinds; C{optional} says that
nil is kept apart from the zero value.
"""

from __future__ import annotations

import types
import typing
from collections.abc import Mapping
from enum import Enum
from typing import Any, NamedTuple

import msgspec

from txconsul.records.base import (
    DURATION_INPUT,
    DURATION_TEXT,
    HIDE_JSON,
    OMIT_JSON,
    OMIT_WIRE,
    TEXT,
    TIME,
    UINT,
    Record,
)

__all__ = ["Field", "Kind", "Shape", "fields_of"]


class Kind(Enum):
    """What a value is, as far as writing it differs."""

    SCALAR = "scalar"  # bool, int, float, str: written as they are
    BYTES = "bytes"
    RECORD = "record"
    LIST = "list"
    MAP = "map"
    ANY = "any"


class Shape(NamedTuple):
    """
    @ivar of: the record class, the shape of a list's or map's values, or the scalar's type.
    """

    kind: Kind
    of: Any
    optional: bool


class Field(NamedTuple):
    """One field: its attribute, its name on the wire, its shape, its remarks and its default."""

    attribute: str
    wire: str
    shape: Shape
    omit_json: bool
    omit_wire: bool
    text: bool
    time: bool
    unsigned: bool
    hide_json: bool
    duration_text: bool
    duration_input: bool
    default: Any


def fields_of(record: type[Record]) -> tuple[Field, ...]:
    """
    The fields of a record class in their declared order.

    @raise TypeError: a field has a type that no codec writes.
    """
    hints = typing.get_type_hints(record, include_extras=True)
    found = []
    for info in msgspec.structs.fields(record):
        remarks: tuple[Any, ...] = ()
        hint = hints[info.name]
        if typing.get_origin(hint) is typing.Annotated:
            hint, *extra = typing.get_args(hint)
            remarks = tuple(extra)
        default = info.default
        if default is msgspec.NODEFAULT and info.default_factory is not msgspec.NODEFAULT:
            default = info.default_factory()  # type: ignore[operator,unused-ignore]
        found.append(
            Field(
                info.name,
                info.encode_name,
                _shape(hint, f"{record.__name__}.{info.name}"),
                OMIT_JSON in remarks,
                OMIT_WIRE in remarks,
                TEXT in remarks,
                TIME in remarks,
                UINT in remarks,
                HIDE_JSON in remarks,
                DURATION_TEXT in remarks,
                DURATION_INPUT in remarks or DURATION_TEXT in remarks,
                default,
            )
        )
    return tuple(found)


def _shape(hint: Any, where: str) -> Shape:
    optional = False
    if isinstance(hint, typing.TypeAliasType if hasattr(typing, "TypeAliasType") else ()):
        hint = hint.__value__
    if typing.get_origin(hint) in (typing.Union, types.UnionType):
        rest = [one for one in typing.get_args(hint) if one is not type(None)]
        optional = len(rest) < len(typing.get_args(hint))
        if len(rest) != 1:
            raise TypeError(f"{where}: a union of several types")
        hint = rest[0]
    if typing.get_origin(hint) is typing.Annotated:
        hint = typing.get_args(hint)[0]
    origin = typing.get_origin(hint) or hint
    if origin is Any:
        return Shape(Kind.ANY, None, True)
    if origin is bytes:
        return Shape(Kind.BYTES, bytes, optional)
    if origin in (bool, int, float, str):
        return Shape(Kind.SCALAR, origin, optional)
    if origin is tuple:
        return Shape(Kind.LIST, _shape(typing.get_args(hint)[0], where), optional)
    if origin in (dict, Mapping):
        return Shape(Kind.MAP, _shape(typing.get_args(hint)[1], where), optional)
    if isinstance(origin, type) and issubclass(origin, msgspec.Struct):
        return Shape(Kind.RECORD, origin, optional)
    raise TypeError(f"{where}: no codec writes {hint!r}")
