"""
Lists that are too long to be rendered at once.

Their rows never change, so that they can be rendered piece by piece as the client takes them: nobody else is kept
waiting by a million rows, and a client that does not read holds some hundred kilobytes, however much it asked for.
"""

from __future__ import annotations

from base64 import b64encode
from collections.abc import Callable, Iterator, Sequence
from typing import Any, TypeVar

import msgspec

from txconsul.codec import json
from txconsul.records.kv import DirEntry

__all__ = ["PIECE_BYTES", "PIECE_ROWS", "entries", "is_long", "names", "rendered_rows", "weigh_entry"]

Row = TypeVar("Row")

#: A piece ends after so many rows, about a millisecond of work ...
PIECE_ROWS = 500
#: ... or after so many bytes of keys and values. A value that is longer is cut up; three divide it, as base64 asks.
PIECE_BYTES = 48 * 1024


def is_long(rows: Sequence[Row], weigh: Callable[[Row], int]) -> bool:
    """Is it more than one piece? C{weigh} tells about how many bytes a row has."""
    return len(rows) > PIECE_ROWS or sum(map(weigh, rows)) > PIECE_BYTES


def weigh_entry(entry: DirEntry) -> int:
    """The bytes of its value."""
    return len(entry.value or b"")


def entries(rows: Sequence[DirEntry]) -> Iterator[bytes]:
    """The pieces of a JSON list of keys with their values."""
    opening = b"["
    for group in _groups(rows, weigh_entry):
        if len(group) == 1 and weigh_entry(group[0]) > PIECE_BYTES:
            for piece in _large(group[0]):
                yield opening + piece
                opening = b""
        else:
            yield opening + json.encode(group)[1:-1]
        opening = b","
    yield b"]"


def rendered_rows(rows: Sequence[Row], render: Callable[[Row], bytes]) -> Iterator[bytes]:
    """
    The pieces of a JSON list of rows that are rendered one by one.

    @param render: a row as JSON; empty for one that is left out.
    """
    opening = b"["
    for at in range(0, len(rows), PIECE_ROWS):
        piece = b",".join([data for row in rows[at : at + PIECE_ROWS] if (data := render(row))])
        if piece:
            yield opening + piece
            opening = b","
    yield b"[]" if opening == b"[" else b"]"


def names(keys: Sequence[bytes]) -> Iterator[bytes]:
    """The pieces of a JSON list of keys."""
    opening = b"["
    for group in _groups(keys, len):
        yield opening + json.encode([key.decode("utf-8", "replace") for key in group])[1:-1]
        opening = b","
    yield b"]"


def _groups(rows: Sequence[Row], weigh: Callable[[Row], int]) -> Iterator[list[Any]]:
    """Consecutive rows, as many as make a piece, and at least one."""
    group: list[Row] = []
    size = 0
    for row in rows:
        weight = weigh(row)
        if group and (len(group) >= PIECE_ROWS or size + weight > PIECE_BYTES):
            yield group
            group, size = [], 0
        group.append(row)
        size += weight
    if group:
        yield group


def _large(entry: DirEntry) -> Iterator[bytes]:
    """One entry, whose value is made piece by piece. Quotes in a key are escaped, so that the place is certain."""
    value = entry.value or b""
    before, name, after = json.encode(msgspec.structs.replace(entry, value=b"")).partition(b'"Value":"')
    yield before + name
    for at in range(0, len(value), PIECE_BYTES):
        yield b64encode(value[at : at + PIECE_BYTES])
    yield after
