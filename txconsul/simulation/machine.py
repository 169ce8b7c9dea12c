"""
A state machine small enough to be checked: lists that only grow.

A command appends a unique value to the list of a key. The state keeps of each list how long it is and a checksum of
all its values in order, so two states can be compared at any length without keeping the values. A user's restore
begins the lists anew in a later I{epoch}; places are compared by epoch first.
"""

from __future__ import annotations

import struct
from collections.abc import Callable, Iterator
from typing import BinaryIO
from zlib import crc32

from zope.interface import implementer

from txconsul.errors import Corrupt
from txconsul.interfaces import IStateMachine

__all__ = ["ListMachine", "Place", "command", "epoch_stream"]

#: How far a list has come: epoch, length, checksum.
Place = tuple[int, int, int]

_HEADER = struct.Struct(">IQI")
_ROW = struct.Struct(">HQI")


def command(key: str, value: int) -> bytes:
    """The entry's data that appends C{value} to the list of C{key}; the first byte stands for a command's type."""
    return b"\x02" + struct.pack(">Q", value) + key.encode()


def epoch_stream(epoch: int) -> bytes:
    """The stream of an empty state in a later epoch."""
    return _HEADER.pack(epoch, 0, 0)


@implementer(IStateMachine)
class ListMachine:
    """
    @ivar epoch: how often the state was replaced by a user's restore.
    @ivar lists: of each key, its length and the checksum of its values.
    """

    def __init__(self, applied_to: Callable[[int, bytes, str, int, Place], None]) -> None:
        """@param applied_to: told of each entry: index, data, key, value and the place it got."""
        self._applied_to = applied_to
        self.epoch = 0
        self.index = 0
        self.lists: dict[str, tuple[int, int]] = {}

    def place(self, key: str) -> Place:
        """How far a list is."""
        length, checksum = self.lists.get(key, (0, 0))
        return (self.epoch, length, checksum)

    def apply(self, index: int, data: bytes, record: object) -> Place:
        """See L{IStateMachine.apply}."""
        (value,) = struct.unpack_from(">Q", data, 1)
        key = data[9:].decode()
        length, checksum = self.lists.get(key, (0, 0))
        self.lists[key] = length + 1, crc32(data, checksum)
        self.index = index
        place = self.place(key)
        self._applied_to(index, data, key, value, place)
        return place

    def apply_piece(self, index: int, term: int, data: bytes, extensions: bytes) -> object:
        """See L{IStateMachine.apply_piece}: nobody cuts up a command here."""
        return None

    def applied(self, index: int) -> None:
        """See L{IStateMachine.applied}."""

    def freeze(self) -> Iterator[bytes]:
        """See L{IStateMachine.freeze}."""
        rows = sorted(self.lists.items())
        header = _HEADER.pack(self.epoch, self.index, len(rows))

        def pieces() -> Iterator[bytes]:
            yield header
            for key, (length, checksum) in rows:
                yield _ROW.pack(len(key), length, checksum) + key.encode()

        return pieces()

    def restore(self, stream: BinaryIO) -> Iterator[float]:
        """See L{IStateMachine.restore}."""
        epoch, index, count = _HEADER.unpack(_read(stream, _HEADER.size))
        lists: dict[str, tuple[int, int]] = {}
        for done in range(count):
            size, length, checksum = _ROW.unpack(_read(stream, _ROW.size))
            lists[_read(stream, size).decode()] = length, checksum
            yield done / count
        if stream.read(1):
            raise Corrupt("bytes after the last list")
        self.epoch, self.index, self.lists = epoch, index, lists
        yield 1.0


def _read(stream: BinaryIO, size: int) -> bytes:
    data = stream.read(size)
    if len(data) != size:
        raise Corrupt("a snapshot ends too early")
    return data
