"""
What a snapshot says of itself: C{meta.json} on disk and in the archive.

Source: Consul's snapshot archive (the wire documents, Raft, section 3.2).
"""

from __future__ import annotations

from typing import Annotated

import msgspec

from txconsul.records.base import OMIT_JSON, Record
from txconsul.records.raft import Configuration

__all__ = ["SnapshotMeta"]


class SnapshotMeta(Record, frozen=True):
    """
    @ivar id: C{TERM-INDEX-MILLISECONDS}.
    @ivar size: bytes of C{state.bin}.
    @ivar crc: CRC-64 (ECMA) of C{state.bin}, big-endian; on disk only.
    @ivar peers: the members' addresses as msgpack, for readers of old.
    """

    version: int = 1
    id: str = ""
    index: int = 0
    term: int = 0
    peers: bytes | None = None
    configuration: Configuration = Configuration()
    configuration_index: int = 0
    size: int = 0
    crc: Annotated[bytes | None, OMIT_JSON] = msgspec.field(name="CRC", default=None)
