"""
Whole states as Consul's snapshot archives, from the snapshot store and back.
"""

from __future__ import annotations

import tempfile
import time
from collections.abc import Iterator
from typing import BinaryIO

from twisted.internet.defer import Deferred
from twisted.internet.interfaces import IReactorTime

from txconsul.consensus import Consensus
from txconsul.driver import Slices
from txconsul.endpoints.site import Saved
from txconsul.errors import Corrupt, InvalidRequest
from txconsul.interfaces import ISnapshotStore
from txconsul.records.snapshot import SnapshotMeta
from txconsul.storage.archive import ArchiveReader, write_archive

__all__ = ["Archives"]

#: Bytes of an archive that are unpacked before the reactor has its turn, at least.
_PIECE_BYTES = 1 << 16


class Archives:
    """The L{txconsul.endpoints.site.SnapshotDesk} of a server."""

    def __init__(self, consensus: Consensus, snapshots: ISnapshotStore, clock: IReactorTime) -> None:
        self._consensus = consensus
        self._snapshots = snapshots
        self._slices = Slices(clock)

    def save(self) -> Deferred[Saved]:
        """Take a snapshot now, and read it as an archive."""
        return self._consensus.snapshot().addCallback(self._open)

    def _open(self, taken: SnapshotMeta) -> Saved:
        meta, stream = self._snapshots.open(taken.id)
        return Saved(meta.index, _closing(write_archive(meta, stream, int(time.time())), stream))

    def restore(self, archive: BinaryIO) -> Deferred[None]:
        """Replace the whole state by an archive's."""
        return Deferred.fromCoroutine(self._restore(archive))

    async def _restore(self, archive: BinaryIO) -> None:
        with tempfile.TemporaryFile() as state:
            reader = ArchiveReader(state)
            try:
                await self._slices.run(_feed(reader, archive))
                meta = reader.finish()
                state.seek(0)
                await self._consensus.restore(meta, state)
            except Corrupt as error:
                raise InvalidRequest(str(error)) from None


def _feed(reader: ArchiveReader, archive: BinaryIO) -> Iterator[None]:
    while piece := archive.read(_PIECE_BYTES):
        reader.feed(piece)
        yield


def _closing(pieces: Iterator[bytes], stream: BinaryIO) -> Iterator[bytes]:
    try:
        yield from pieces
    finally:
        stream.close()
