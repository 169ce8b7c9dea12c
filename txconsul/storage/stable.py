"""
Term and vote on disk: two copies with checksums, written one after the other.

Each L{StableStore.store} writes and syncs the first copy, then the second. So a vote that anybody was told of stands in
both, and no interrupted write can touch more than one:

  - both copies whole: the one of the higher generation counts (they differ only after a crash between the two writes);
  - one damaged: the other counts, and the damaged one is written anew. The write was interrupted, and what it was to
    store was never answered for;
  - one damaged in a single bit, compared with the other: no interrupted write leaves that, as records of different
    generations differ in their first and last byte by eight bits each; a bit has flipped on the disk: L{Corrupt};
  - both damaged, or the file has another length: L{Corrupt}.

Source: Raft 5.1 and figure 2 (currentTerm and votedFor are on stable storage before answering).
"""

from __future__ import annotations

import os
from struct import Struct
from typing import NamedTuple
from zlib import crc32

from zope.interface import implementer

from txconsul.errors import Corrupt, DiskFailed, DiskFull
from txconsul.interfaces import IStableStore
from txconsul.storage.files import Files, disk_error, write_all

__all__ = ["COPY_BYTES", "VOTE_BYTES_MAX", "StableStore", "Vote", "decode_copy", "encode_copy"]

#: Bytes of one copy: the largest sector in use, so that writing one cannot damage the other.
COPY_BYTES = 4096
FORMAT_VERSION = 1
_MAGIC = b"txcvote\n"
#: edge, magic, version, generation, term, bytes of the vote.
_HEAD = Struct("<B8sIQQH")
#: CRC of all before it, edge.
_TAIL = Struct("<IB")
#: A server's id is a UUID of 36 characters; this is the room there is.
VOTE_BYTES_MAX = COPY_BYTES - _HEAD.size - _TAIL.size
#: First and last byte of a copy, by generation: all bits differ from one to the next.
_EDGES = (0x55, 0xAA)


class Vote(NamedTuple):
    """What one copy says. @ivar generation: counts the stores."""

    generation: int
    term: int
    vote: str


def encode_copy(vote: Vote) -> bytes:
    """
    The bytes of one copy.

    @raise ValueError: the vote is longer than C{VOTE_BYTES_MAX} bytes, or a number does not fit.
    """
    name = vote.vote.encode("utf-8", "surrogateescape")
    if len(name) > VOTE_BYTES_MAX or not 0 <= vote.term < 1 << 64:
        raise ValueError(f"no room for term {vote.term} and a vote of {len(name)} bytes")
    edge = _EDGES[vote.generation % 2]
    head = _HEAD.pack(edge, _MAGIC, FORMAT_VERSION, vote.generation, vote.term, len(name)) + name
    body = head.ljust(COPY_BYTES - _TAIL.size, b"\0")
    return body + _TAIL.pack(crc32(body), edge)


def decode_copy(data: bytes) -> Vote | None:
    """
    What a copy says, or None if it is damaged.

    @raise Corrupt: a newer program wrote it.
    """
    if len(data) != COPY_BYTES:
        return None
    edge, magic, version, generation, term, size = _HEAD.unpack_from(data)
    crc, last_edge = _TAIL.unpack_from(data, COPY_BYTES - _TAIL.size)
    if magic != _MAGIC or crc32(data[: -_TAIL.size]) != crc or size > VOTE_BYTES_MAX:
        return None
    if edge != _EDGES[generation % 2] or last_edge != edge:
        return None
    if version != FORMAT_VERSION:
        raise Corrupt(f"format {version} of term and vote: this program reads {FORMAT_VERSION} only")
    name = data[_HEAD.size : _HEAD.size + size].decode("utf-8", "surrogateescape")
    return Vote(generation, term, name)


@implementer(IStableStore)
class StableStore:
    """Term and vote in one file. It appears with the first L{store}."""

    def __init__(self, path: str, *, files: Files | None = None) -> None:
        """@param path: of the file; its directory must exist."""
        self._path = path
        self._files = files or Files()
        self._generation: int | None = None  # of what was stored last; None: not looked at yet
        self._exists = False
        self._broken: str | None = None

    def load(self) -> tuple[int, str]:
        """See L{IStableStore.load}. A store that a crash interrupted is completed or undone."""
        try:
            data = self._read()
        except OSError as error:
            raise disk_error(error, self._path) from None
        self._exists = data is not None
        if data is None:
            self._generation = 0
            return 0, ""
        newest = self._judge(data)
        self._generation = newest.generation
        whole = encode_copy(newest)
        if data != whole * 2:
            self._write(whole)
        return newest.term, newest.vote

    def store(self, term: int, vote: str) -> None:
        """See L{IStableStore.store}. @raise ValueError: there is no room for such a vote."""
        if self._broken is not None:
            raise DiskFailed(self._broken)
        if self._generation is None:
            self.load()
        assert self._generation is not None
        # A store that failed may have left its first copy. The next one has the same generation: it differs from
        # the second copy in its edges, and begins by writing over the first.
        copy = encode_copy(Vote(self._generation + 1, term, vote))
        if self._exists:
            self._write(copy)
        else:
            self._create(copy)
        self._generation += 1

    def _judge(self, data: bytes) -> Vote:
        if len(data) != 2 * COPY_BYTES:
            raise Corrupt(f"{self._path}: it has {len(data)} bytes, not {2 * COPY_BYTES}: term and vote are lost")
        copies = data[:COPY_BYTES], data[COPY_BYTES:]
        try:
            votes = [decode_copy(copy) for copy in copies]
        except Corrupt as error:
            raise Corrupt(f"{self._path}: {error}") from None
        first, second = votes
        if first is not None and second is not None:
            return max(first, second)
        whole = first or second
        if whole is None:
            raise Corrupt(f"{self._path}: both copies of term and vote are damaged")
        differing = (int.from_bytes(copies[0], "big") ^ int.from_bytes(copies[1], "big")).bit_count()
        if differing == 1:
            place = 0 if first is None else COPY_BYTES
            raise Corrupt(f"{self._path}: a bit has flipped in the copy of term and vote at offset {place}")
        return whole

    def _read(self) -> bytes | None:
        files = self._files
        try:
            descriptor = files.open(self._path, os.O_RDONLY)
        except FileNotFoundError:
            return None
        try:
            size = files.size(descriptor)
            data = b""
            while len(data) < min(size, 3 * COPY_BYTES) and (
                more := files.read(descriptor, size - len(data), len(data))
            ):
                data += more
            return data
        finally:
            files.close(descriptor)

    def _write(self, copy: bytes) -> None:
        """Both copies in place, one after the other."""
        files = self._files
        try:
            descriptor = files.open(self._path, os.O_RDWR)
        except OSError as error:
            raise disk_error(error, self._path) from None
        try:
            for offset in (0, COPY_BYTES):
                try:
                    write_all(files, descriptor, copy, offset)
                except OSError as error:
                    raise self._noted(disk_error(error, self._path)) from None
                try:
                    files.sync_data(descriptor)
                except OSError as error:
                    raise self._noted(DiskFailed(f"{DiskFailed.text}: {self._path}: {error.strerror}")) from None
        finally:
            files.close(descriptor)

    def _create(self, copy: bytes) -> None:
        """The file with both copies, under another name until all of it is durable."""
        files, new = self._files, self._path + ".new"
        try:
            descriptor = files.open(new, os.O_RDWR | os.O_CREAT | os.O_TRUNC)
            try:
                write_all(files, descriptor, copy * 2, 0)
                files.sync(descriptor)
            finally:
                files.close(descriptor)
        except OSError as error:
            raise self._noted(disk_error(error, new)) from None
        try:
            files.rename(new, self._path)
            files.sync_directory(os.path.dirname(self._path) or ".")
        except OSError as error:
            raise self._noted(DiskFailed(f"{DiskFailed.text}: {self._path}: {error.strerror}")) from None
        self._exists = True

    def _noted(self, error: DiskFull | DiskFailed) -> DiskFull | DiskFailed:
        if isinstance(error, DiskFailed):
            self._broken = str(error)
        return error
