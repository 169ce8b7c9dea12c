"""
Commands in pieces: Consul's servers cut a large one into several entries of the log, and only the last makes it happen.

Each entry says in its extensions which command it is a piece of (go-raftchunking's C{ChunkInfo}, in protobuf). The
pieces are part of the state: a snapshot may come between two of them. Those of an older term are dropped with the first
piece of a newer one, since whoever proposed them was told that they failed.

Departure: go-raftchunking forgets at a restart which term the pieces of a snapshot are of, and drops them all with
the next one; here each piece's own term counts, so that a restarted server does not lose a command.

Source: the wire documents, Raft, sections 2 and 3.1.
"""

from __future__ import annotations

from typing import Any

from txconsul.codec.gomsgpack import BadMessage, from_wire, to_wire
from txconsul.errors import Corrupt, InvalidRequest
from txconsul.records.chunk import ChunkInfo
from txconsul.records.command import IGNORABLE, Command

__all__ = ["CHUNKS_MAX", "Chunks", "is_checkpoint", "read_extensions"]

#: Pieces of one command. Consul's have 512 KiB each: no request has so many.
CHUNKS_MAX = 1 << 14
#: With this begins what the checks of Consul's log store write into extensions; no protobuf does.
_CHECKPOINT = (0xAFD1F9D60392A503).to_bytes(8, "little")

#: Types of protobuf's fields.
_VARINT, _FIXED64, _BYTES, _FIXED32 = 0, 1, 2, 5


def is_checkpoint(data: bytes, extensions: bytes) -> bool:
    """Whether an entry is a mark of Consul's log store for itself, which changes nothing."""
    mark = Command.RAFT_LOG_VERIFIER_CHECKPOINT | IGNORABLE
    return len(data) == 2 and data[0] == mark and extensions.startswith(_CHECKPOINT)


def read_extensions(extensions: bytes) -> tuple[int, int, int]:
    """
    The number of a command, the place of this piece, and how many there are.

    @raise InvalidRequest: it is not that.
    """
    found = {1: 0, 2: 0, 3: 0}
    position = 0
    while position < len(extensions):
        key, position = _varint(extensions, position)
        field, kind = key >> 3, key & 7
        if kind == _VARINT:
            value, position = _varint(extensions, position)
            if field in found:
                found[field] = value
        elif kind == _BYTES:
            size, position = _varint(extensions, position)
            position += size
        elif kind in (_FIXED64, _FIXED32):
            position += 8 if kind == _FIXED64 else 4
        else:
            raise InvalidRequest(f"error unmarshaling chunk info: wire type {kind}")
    if position != len(extensions):
        raise InvalidRequest("error unmarshaling chunk info: it is cut short")
    return found[1], found[2], found[3]


def _varint(data: bytes, position: int) -> tuple[int, int]:
    value = 0
    for shift in range(0, 70, 7):
        if position >= len(data):
            break
        byte = data[position]
        position += 1
        value |= (byte & 0x7F) << shift
        if byte < 0x80:
            return value & ((1 << 64) - 1), position
    raise InvalidRequest("error unmarshaling chunk info: a number is cut short")


class Chunks:
    """The pieces of commands that are not whole."""

    def __init__(self) -> None:
        self._commands: dict[int, list[ChunkInfo | None]] = {}
        self._term = 0

    def add(self, term: int, data: bytes, extensions: bytes) -> bytes | None:
        """
        Take one piece.

        @return: the whole command, if that was the last of it.
        @raise InvalidRequest: it cannot be a piece of anything.
        """
        number, place, count = read_extensions(extensions)
        if not place < count <= CHUNKS_MAX:
            raise InvalidRequest(f"piece {place} of {count} of a command")
        if term != self._term:
            self._commands.clear()
            self._term = term
        pieces = self._commands.setdefault(number, [None] * count)
        if place >= len(pieces):
            raise InvalidRequest(f"piece {place} of a command of {len(pieces)}")
        pieces[place] = ChunkInfo(data=data, num_chunks=count, op_num=number, sequence_num=place, term=term)
        whole = [piece.data for piece in pieces if piece is not None and piece.data]
        if len(whole) < len(pieces):
            return None
        del self._commands[number]
        return b"".join(whole)

    # ---- in a snapshot ----

    def frozen(self) -> dict[str, Any]:
        """The record of a snapshot."""
        write = to_wire(ChunkInfo)
        return {
            "ChunkMap": {
                number: [None if piece is None else write(piece) for piece in pieces]
                for number, pieces in sorted(self._commands.items())
            }
        }

    def restore(self, value: Any) -> None:
        """
        Become what a snapshot's record says.

        @raise Corrupt: it is none.
        """
        read = from_wire(ChunkInfo)
        commands = value.get(b"ChunkMap") if type(value) is dict else None
        if type(commands) is not dict:
            raise BadMessage("the chunking state is no map")
        restored: dict[int, list[ChunkInfo | None]] = {}
        for number, pieces in commands.items():
            if type(number) is not int or type(pieces) is not list or not 0 < len(pieces) <= CHUNKS_MAX:
                raise Corrupt("the pieces of a command are no list")
            restored[number] = [None if piece is None else read(piece) for piece in pieces]
        self._commands = restored
        self._term = max(
            (piece.term for pieces in restored.values() for piece in pieces if piece is not None), default=0
        )
