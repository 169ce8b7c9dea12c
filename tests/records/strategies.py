"""
Hypothesis strategies for records, derived from their declarations.
"""

from __future__ import annotations

from functools import cache
from typing import Any

from hypothesis import strategies as st

from txconsul.codec.fields import Field, Kind, Shape, fields_of
from txconsul.records.base import Record

__all__ = ["records"]

_WORDS = st.text(st.characters(codec="utf-8"), max_size=6)
_BYTES = st.binary(max_size=6)
_SCALARS: dict[type, st.SearchStrategy[Any]] = {
    bool: st.booleans(),
    str: _WORDS,
    float: st.floats(allow_nan=False),
    int: st.integers(-(2**63), 2**63 - 1),
}
#: What any field without a declared type may hold and keep: text and bytes are one on the wire.
_ANY = st.none() | st.booleans() | st.integers(0, 2**32) | _WORDS | st.lists(_WORDS, max_size=2)


@cache
def records(record: type[Record], depth: int = 3) -> st.SearchStrategy[Any]:
    """
    Records of a class.

    @param depth: how many records deep lists and optional parts are filled.
    """
    return st.builds(record, **{field.attribute: _field(field, depth) for field in fields_of(record)})


def _field(field: Field, depth: int) -> st.SearchStrategy[Any]:
    return st.just(field.default) | _shape(field.shape, depth, field)


def _shape(shape: Shape, depth: int, field: Field) -> st.SearchStrategy[Any]:
    if shape.kind is Kind.RECORD and depth == 0:
        return st.none() if shape.optional else st.just(shape.of())
    found = _plain(shape, depth, field)
    # what no declaration can tell from the zero value is not written apart: nil is kept only where it is declared
    return st.none() | found if shape.optional else found


def _plain(shape: Shape, depth: int, field: Field) -> st.SearchStrategy[Any]:
    if shape.kind is Kind.ANY:
        return _ANY
    if shape.kind is Kind.BYTES:
        return st.binary(min_size=15, max_size=15) if field.time else _BYTES
    if shape.kind is Kind.SCALAR:
        return st.integers(0, 2**64 - 1) if field.unsigned else _SCALARS[shape.of]
    if shape.kind is Kind.RECORD:
        return records(shape.of, depth - 1)
    inner = _shape(shape.of, depth, field)
    if shape.kind is Kind.LIST:
        return st.lists(inner, max_size=2).map(tuple)
    return st.dictionaries(_WORDS, inner, max_size=2)
