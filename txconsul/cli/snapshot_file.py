"""
Snapshot files on this machine's disk: reading one, and checking one.
"""

from __future__ import annotations

import os
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from typing import BinaryIO

from txconsul.cli.call import Failed
from txconsul.cli.gotext import file_error
from txconsul.cli.snapshot_archive import BadArchive, read_archive
from txconsul.codec import json
from txconsul.errors import TxconsulError
from txconsul.records.snapshot import SnapshotMeta

__all__ = ["open_snapshot", "verify_snapshot"]


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
        with tempfile.TemporaryFile() as state:
            try:
                meta = read_archive(file, state)
            except BadArchive as error:
                raise Failed(f"Error reading snapshot: {error}") from None
            state.seek(0)
            yield meta, state


def verify_snapshot(name: str) -> None:
    """
    Check an archive.

    @raise Failed: it is not whole.
    """
    with _open(name, "Error opening snapshot file for verify: ") as file, open(os.devnull, "wb") as nowhere:
        try:
            read_archive(file, nowhere)
        except BadArchive as error:
            raise Failed(f"Error verifying snapshot file: {error}") from None


def _open(name: str, lead: str) -> BinaryIO:
    try:
        return open(os.fsencode(name), "rb")
    except OSError as error:
        raise Failed(lead + file_error(error, name)) from None


def _meta_beside(name: str) -> SnapshotMeta:
    beside = os.path.join(os.path.dirname(name), "meta.json")
    with _open(beside, "Error reading meta.json from internal snapshot dir: ") as file:
        try:
            return json.decode(SnapshotMeta, file.read())
        except TxconsulError as error:
            raise Failed(f"Error parsing meta.json from internal snapshot dir: {error}") from None
