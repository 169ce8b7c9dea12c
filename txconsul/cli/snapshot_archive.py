"""
Reading Consul's snapshot archive from a file: gzip of a tar with C{meta.json}, C{state.bin} and C{SHA256SUMS}.

Members come in any order; there is no other. Both checksums must be there and be right. Source: the wire documents,
Raft, section 3.2.
"""

from __future__ import annotations

import gzip
import hashlib
import tarfile
import zlib
from collections.abc import Iterator
from typing import BinaryIO

from txconsul.codec import json
from txconsul.errors import Corrupt, TxconsulError
from txconsul.records.snapshot import SnapshotMeta

__all__ = ["BadArchive", "read_archive"]

#: meta.json lists the servers and SHA256SUMS two files: more than this is no snapshot of ours.
_SMALL_BYTES_MAX = 1 << 20
_CHUNK_BYTES = 1 << 18
_MEMBERS = ("meta.json", "state.bin")


class BadArchive(Corrupt):
    """The file is no snapshot archive, or not a whole one."""


def read_archive(file: BinaryIO, state: BinaryIO) -> SnapshotMeta:
    """
    Verify an archive and copy its state file.

    @param state: written from where it stands; what is in it after an error is of no use.
    @raise BadArchive: the archive is not whole.
    @raise OSError: C{state} cannot be written.
    """
    _expect_gzip(file)
    unpacked = gzip.GzipFile(fileobj=file, mode="rb")
    sums: dict[str, str] = {}
    listed: dict[str, str] = {}
    meta: SnapshotMeta | None = None
    try:
        with tarfile.open(fileobj=unpacked, mode="r|") as tar:
            for member in tar:
                content = _content(tar, member)
                if member.name == "SHA256SUMS":
                    listed = _listed(b"".join(content))
                    continue
                digest = hashlib.sha256()
                pieces = []
                for piece in content:
                    digest.update(piece)
                    if member.name == "state.bin":
                        state.write(piece)
                    else:
                        pieces.append(piece)
                sums[member.name] = digest.hexdigest()
                if member.name == "meta.json":
                    meta = _meta(b"".join(pieces))
        while unpacked.read(_CHUNK_BYTES):
            pass  # what follows the tar is padding; gzip's own checksum stands behind it
    except EOFError:
        raise BadArchive("failed to read snapshot file: unexpected EOF") from None
    except (tarfile.TarError, gzip.BadGzipFile, zlib.error) as error:
        raise BadArchive(f"failed to read snapshot file: failed reading snapshot: {error}") from None
    _compare(listed, sums)
    if meta is None:  # not reached: its sum would be missing
        raise BadArchive("failed to read snapshot file: no meta.json")
    return meta


def _expect_gzip(file: BinaryIO) -> None:
    begin = file.read(2)
    if not begin:
        raise BadArchive("failed to decompress snapshot: EOF")
    if begin != b"\x1f\x8b":
        raise BadArchive("failed to decompress snapshot: gzip: invalid header")
    file.seek(-2, 1)


def _content(tar: tarfile.TarFile, member: tarfile.TarInfo) -> Iterator[bytes]:
    if member.name not in (*_MEMBERS, "SHA256SUMS") or not member.isreg():
        raise BadArchive(f'failed to read snapshot file: unexpected file "{member.name}" in snapshot')
    if member.name != "state.bin" and member.size > _SMALL_BYTES_MAX:
        raise BadArchive(f"failed to read snapshot file: {member.name} is too large")
    source = tar.extractfile(member)
    left = member.size
    while source is not None and left:
        piece = source.read(min(_CHUNK_BYTES, left))
        if not piece:
            raise EOFError
        left -= len(piece)
        yield piece


def _meta(data: bytes) -> SnapshotMeta:
    try:
        return json.decode(SnapshotMeta, data)
    except TxconsulError as error:
        raise BadArchive(f"failed to read snapshot file: failed to decode snapshot metadata: {error}") from None


def _listed(data: bytes) -> dict[str, str]:
    """Names to checksums, out of lines of checksum, two spaces and name."""
    found = {}
    for line in data.decode("ascii", "replace").splitlines():
        checksum, _, name = line.partition("  ")
        found[name] = checksum
    return found


def _compare(listed: dict[str, str], sums: dict[str, str]) -> None:
    lead = "failed to read snapshot file: failed checking integrity of snapshot: "
    for name, checksum in listed.items():
        if name not in sums:
            raise BadArchive(f'{lead}list missing hash for "{name}"')
        if checksum != sums[name]:
            raise BadArchive(f'{lead}hash check failed for "{name}"')
    for name in _MEMBERS:
        if name not in listed:
            raise BadArchive(f'{lead}file missing for "{name}"')
