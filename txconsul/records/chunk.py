"""
Commands that came in pieces, as a snapshot holds those that are not whole.

Source: the wire documents, Raft, sections 2 and 3.1; go-raftchunking's records.
"""

from __future__ import annotations

from txconsul.records.base import Record, Uint

__all__ = ["ChunkInfo"]


class ChunkInfo(Record, frozen=True, gc=False):
    """
    One piece.

    @ivar op_num: which command it belongs to.
    @ivar sequence_num: its place, from 0.
    @ivar num_chunks: how many the command has.
    @ivar term: of the entry that brought it.
    """

    data: bytes | None = None
    num_chunks: Uint = 0
    op_num: Uint = 0
    sequence_num: Uint = 0
    term: Uint = 0
