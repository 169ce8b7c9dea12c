"""
Snapshot files on this machine's disk: reading one, and checking one.

The readers of the servers' own storage do it; they are imported when a file is opened, since they bring Twisted along.
"""

from __future__ import annotations

import os
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from typing import BinaryIO

from txconsul.cli.call import Failed
from txconsul.cli.gotext import file_error, system_error
from txconsul.errors import Corrupt, TxconsulError
from txconsul.records.snapshot import SnapshotMeta

__all__ = ["open_snapshot", "verify_snapshot"]

_GZIP_MAGIC = b"\x1f\x8b"


@contextmanager
def open_snapshot(name: str) -> Iterator[tuple[SnapshotMeta, BinaryIO]]:
    """
    What a snapshot says of itself, and its state file at the beginning.

    @param name: of an archive, whose checksums are verified; or of a server's own C{state.bin}, which has a
        C{meta.json} beside it.
    @raise Failed: it is not there, or no snapshot.
    """
    with _open(name, "Error opening snapshot file: ") as file:
        if os.path.basename(name).lower() == "state.bin":
            yield _meta_beside(name), file
            return
        with tempfile.TemporaryFile() as spool:
            yield _read(file, spool, "Error reading snapshot: "), spool


def verify_snapshot(name: str) -> None:
    """
    Check an archive.

    @raise Failed: it is not whole.
    """
    with _open(name, "Error opening snapshot file for verify: ") as file, tempfile.TemporaryFile() as spool:
        _read(file, spool, "Error verifying snapshot file: ")


def _read(file: BinaryIO, spool: BinaryIO, lead: str) -> SnapshotMeta:
    """Copy an archive's state into C{spool}, which stands at its beginning then."""
    from txconsul.storage.archive import open_archive

    begin = file.read(len(_GZIP_MAGIC))
    if begin != _GZIP_MAGIC:
        reason = "gzip: invalid header" if len(begin) == len(_GZIP_MAGIC) else "unexpected EOF" if begin else "EOF"
        raise Failed(f"{lead}failed to decompress snapshot: {reason}")
    file.seek(0)
    try:
        meta, _ = open_archive(file, spool)
    except Corrupt as error:
        raise Failed(f"{lead}{error}") from None
    except OSError as error:  # the file cannot be read, or there is no room for the state
        raise Failed(f"{lead}{system_error(error)}") from None
    return meta


def _open(name: str, lead: str) -> BinaryIO:
    try:
        return open(os.fsencode(name), "rb")
    except OSError as error:
        raise Failed(lead + file_error(error, name)) from None


def _meta_beside(name: str) -> SnapshotMeta:
    from txconsul.storage.snapshots import decode_meta

    beside = os.path.join(os.path.dirname(name), "meta.json")
    with _open(beside, "Error reading meta.json from internal snapshot dir: ") as file:
        try:
            return decode_meta(file.read())
        except TxconsulError as error:
            raise Failed(f"Error parsing meta.json from internal snapshot dir: {error}") from None
