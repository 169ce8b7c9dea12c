"""
The two messages in front of a snapshot's archive, on a connection of its own.

Source: the wire documents, RPC section 7.
"""

from __future__ import annotations

from enum import IntEnum
from typing import TypeVar

import msgspec

from txconsul.codec import gomsgpack
from txconsul.codec.edges import Edges
from txconsul.records.base import Duration, Record

__all__ = ["MESSAGE_BYTES_MAX", "Beginning", "Op", "SnapshotReply", "SnapshotWish"]

#: The longest of these messages: a few names, a token, an error's text.
MESSAGE_BYTES_MAX = 1 << 16

R = TypeVar("R", bound=Record)


class Op(IntEnum):
    """What is wanted."""

    SAVE = 0
    RESTORE = 1


class SnapshotWish(Record, frozen=True):
    """
    What is asked; the archive follows if it is to be restored.

    @ivar op: an L{Op}.
    """

    datacenter: str = ""
    token: str = ""
    allow_stale: bool = False
    op: int = 0


class SnapshotReply(Record, frozen=True):
    """
    The answer; the archive follows if it was saved.

    @ivar error: empty if it went well.
    """

    error: str = ""
    index: int = 0
    last_contact: Duration = 0
    known_leader: bool = False
    consistency_level: str = ""
    not_modified: bool = False
    backend: int = 0
    results_filtered_by_acls: bool = msgspec.field(name="ResultsFilteredByACLs", default=False)


class Beginning:
    """Reads the message at the beginning of a stream, and leaves the rest alone."""

    def __init__(self) -> None:
        self._edges = Edges(MESSAGE_BYTES_MAX)

    def feed(self, data: bytes, kind: type[R]) -> tuple[R, bytes] | None:
        """
        Take the next bytes.

        @return: the message and what followed it; None if it is not whole yet.
        @raise BadMessage: it is no such message.
        """
        self._edges.feed(data)
        found = self._edges.next()
        if found is None:
            return None
        return gomsgpack.decode(kind, found), self._edges.rest()
