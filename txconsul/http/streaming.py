"""
An answer's body on its way out, piece by piece.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from twisted.internet.defer import Deferred
from twisted.logger import Logger

__all__ = [
    "PIECE_BYTES_MIN",
    "SLICE_BYTES",
    "TURN_STREAM_BYTES_MAX",
    "WHOLE_BODY_BYTES_MAX",
    "Streaming",
    "close",
    "slices",
]

#: A body up to this is sent with its head; a longer one in slices, as the client takes them, so that the bytes are
#: held once however many clients fetch them.
WHOLE_BODY_BYTES_MAX = 1 << 18
#: Of a stream, given to the transport in one turn.
TURN_STREAM_BYTES_MAX = 1 << 19
#: A piece counts as so many bytes at least: little may have been made of much, by compression.
PIECE_BYTES_MIN = 1 << 15
#: What a long body is cut into.
SLICE_BYTES = 1 << 17

_log = Logger()


def slices(body: bytes) -> Iterator[bytes]:
    """A long body in pieces."""
    for at in range(0, len(body), SLICE_BYTES):
        yield body[at : at + SLICE_BYTES]


class Streaming:
    """An answer that is sent in pieces."""

    __slots__ = ("awaited", "chunked", "left", "pieces")

    def __init__(self, pieces: Iterator[Any], length: int | None, chunked: bool) -> None:
        self.pieces = pieces
        self.left = length
        self.chunked = chunked
        self.awaited: Deferred[Any] | None = None

    def close(self) -> None:
        """Nobody wants the rest."""
        awaited, self.awaited = self.awaited, None
        if awaited is not None:
            awaited.cancel()
        close(self.pieces)


def close(pieces: Any) -> None:
    """Release what makes the pieces."""
    release = getattr(pieces, "close", None)
    if release is not None:
        try:
            release()
        except Exception:  # an application's error must not keep the rest from being released
            _log.failure("could not close a body that nobody wants")
