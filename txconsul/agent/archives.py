"""
Whole states as Consul's snapshot archives, from the snapshot store and back.
"""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from typing import BinaryIO

from twisted.internet.defer import Deferred

from txconsul.consensus import Consensus
from txconsul.endpoints.site import Saved
from txconsul.errors import Corrupt, InvalidRequest, RequestRefused
from txconsul.interfaces import ISnapshotStore
from txconsul.storage.archive import read_archive, write_archive

__all__ = ["Archives"]


class Archives:
    """The L{txconsul.endpoints.site.SnapshotDesk} of a server."""

    def __init__(self, consensus: Consensus, snapshots: ISnapshotStore) -> None:
        self._consensus = consensus
        self._snapshots = snapshots

    def save(self) -> Deferred[Saved]:
        """Take a snapshot now, and read it as an archive."""
        return self._consensus.snapshot().addCallback(self._open)

    def _open(self, taken: object) -> Saved:
        meta, stream = self._snapshots.open(taken.id)
        return Saved(meta.index, _closing(write_archive(meta, stream), stream))

    def restore(self, archive: BinaryIO) -> Deferred[None]:
        """Replace the whole state by an archive's."""
        state = tempfile.TemporaryFile()  # noqa: SIM115
        try:
            meta = read_archive(archive, state)
        except (Corrupt, RequestRefused) as error:
            state.close()
            raise InvalidRequest(str(error)) from None
        state.seek(0)
        done = self._consensus.restore(meta, state)
        done.addBoth(_closed, state)
        done.addErrback(_refused)
        return done


def _closed(result: object, stream: BinaryIO) -> object:
    stream.close()
    return result


def _refused(reason: object) -> None:
    error = reason.value
    if isinstance(error, Corrupt):
        raise InvalidRequest(f"failed to restore the snapshot: {error}")
    raise error


def _closing(pieces: Iterator[bytes], stream: BinaryIO) -> Iterator[bytes]:
    try:
        yield from pieces
    finally:
        stream.close()
