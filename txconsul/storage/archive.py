"""
The archive of C{consul snapshot save} and GET /v1/snapshot: a gzipped tar of meta.json, state.bin and SHA256SUMS.

Writing streams: the sums come last, so the state is read once. Reading takes pieces as they come from a socket
(L{ArchiveReader}), keeps the small members in memory and spools the state into a file of the caller's. The tar is read
by this module rather than by C{tarfile}, whose extended headers ask for as much memory as the sender likes.

Source: the wire documents, Raft, section 3.2; POSIX.1-1988 ustar.
"""

from __future__ import annotations

import hashlib
import re
import tarfile
import zlib
from collections.abc import Iterator
from typing import BinaryIO

import msgspec

from txconsul.errors import Corrupt
from txconsul.records.snapshot import SnapshotMeta
from txconsul.storage.snapshots import META_BYTES_MAX, META_NAME, STATE_NAME, SUMS_NAME, decode_meta, encode_meta

__all__ = ["STATE_BYTES_MAX", "ArchiveReader", "open_archive", "write_archive"]

#: Level of gzip: the fastest. Level 6 takes five times as long for a fifth less.
COMPRESSION_LEVEL = 1
#: The largest state that is taken: what a sender can make us write to the disk. Thousands of times a usual one.
STATE_BYTES_MAX = 16 * 1024 * 1024 * 1024
#: SHA256SUMS has two lines of at most 76 bytes; whoever writes it otherwise gets some room.
SUMS_BYTES_MAX = 4096
#: Bytes unpacked at once: a piece of input may grow a thousandfold.
_PIECE_BYTES = 256 * 1024
#: Zeros after the last member: two blocks end a tar, and writers fill up a record of 20.
_FILLING_BYTES_MAX = 64 * 1024
_BLOCK = 512
_GZIP = 31  # zlib's way to say: window of 32 KiB, gzip header and trailer
_MEMBERS = (META_NAME, STATE_NAME, SUMS_NAME)
_SUM_LINE = re.compile(r"([0-9a-fA-F]{64}) [ *](\S+)")


def write_archive(meta: SnapshotMeta, state: BinaryIO, modified: int) -> Iterator[bytes]:
    """
    The bytes of an archive, in pieces.

    @param meta: C{meta.size} is the number of bytes that C{state} gives. Its CRC is left out, as Consul leaves it.
    @param state: read up to its end; not closed.
    @param modified: Unix seconds, the date of the members.
    @raise Corrupt: (from the iterator) the state has another length.
    """
    packer = zlib.compressobj(COMPRESSION_LEVEL, zlib.DEFLATED, _GZIP)
    line = encode_meta(msgspec.structs.replace(meta, crc=None))
    yield packer.compress(_member(META_NAME, len(line), modified) + _filled(line))
    digest, size = hashlib.sha256(), 0
    yield packer.compress(_member(STATE_NAME, meta.size, modified))
    while piece := state.read(_PIECE_BYTES):
        size += len(piece)
        digest.update(piece)
        if packed := packer.compress(piece):
            yield packed
    if size != meta.size:
        raise Corrupt(f"{STATE_NAME} has {size} bytes, {META_NAME} says {meta.size}")
    sums = f"{hashlib.sha256(line).hexdigest()}  {META_NAME}\n{digest.hexdigest()}  {STATE_NAME}\n".encode()
    end = bytes(-size % _BLOCK) + _member(SUMS_NAME, len(sums), modified) + _filled(sums) + bytes(2 * _BLOCK)
    yield packer.compress(end) + packer.flush()


def _member(name: str, size: int, modified: int) -> bytes:
    info = tarfile.TarInfo(name)
    info.size, info.mode, info.mtime = size, 0o600, modified
    return info.tobuf(tarfile.GNU_FORMAT)  # which differs from ustar only above 8 GiB


def _filled(data: bytes) -> bytes:
    return data + bytes(-len(data) % _BLOCK)


class ArchiveReader:
    """
    Reads an archive that comes in pieces: L{feed} them, then L{finish}.

    Members may come in any order; each of the three must be there, once, and nothing else.
    """

    def __init__(self, spool: BinaryIO, *, state_bytes_max: int = STATE_BYTES_MAX) -> None:
        """
        @param spool: where the bytes of state.bin are written. After an error its contents mean nothing.
        """
        self._spool = spool
        self._limits = {META_NAME: META_BYTES_MAX, STATE_NAME: state_bytes_max, SUMS_NAME: SUMS_BYTES_MAX}
        self._unpacker = zlib.decompressobj(_GZIP)
        self._digests: dict[str, str] = {}
        self._small: dict[str, bytes] = {}
        self._pending = bytearray()  # of a header block, or of a small member
        self._name = ""  # of the member that is being read
        self._left = 0  # bytes of it that are still to come
        self._filling = 0  # bytes of filling behind it
        self._digest = hashlib.sha256()
        self._size = 0
        self._zeros = 0  # bytes after the last member; 0 before its end
        self._ended = False

    def feed(self, data: bytes) -> None:
        """
        The next bytes.

        @raise Corrupt: they are no part of an archive; the text says what is wrong.
        @raise OSError: the spool cannot be written.
        """
        while data:
            if self._unpacker.eof:
                raise Corrupt("snapshot archive: something follows its end")
            try:
                plain = self._unpacker.decompress(data, _PIECE_BYTES)
            except zlib.error as error:
                raise Corrupt(f"snapshot archive: not gzip, or damaged: {error}") from None
            self._tar(plain)
            data = self._unpacker.unused_data if self._unpacker.eof else self._unpacker.unconsumed_tail

    def finish(self) -> SnapshotMeta:
        """
        All bytes came.

        @return: what the snapshot says of itself. The spool holds its state and is flushed.
        @raise Corrupt: the archive is cut short, a member is missing, or a checksum is wrong.
        """
        try:
            while not self._unpacker.eof and (plain := self._unpacker.decompress(b"", _PIECE_BYTES)):
                self._tar(plain)
        except zlib.error as error:
            raise Corrupt(f"snapshot archive: not gzip, or damaged: {error}") from None
        if not self._unpacker.eof or self._name or self._pending:
            raise Corrupt("snapshot archive: it ends too early")
        for name in _MEMBERS:
            if name not in self._digests:
                raise Corrupt(f"snapshot archive: {name} is missing")
        self._verify()
        meta = decode_meta(self._small[META_NAME])
        if meta.size != self._size:
            raise Corrupt(f"snapshot archive: {STATE_NAME} has {self._size} bytes, {META_NAME} says {meta.size}")
        self._spool.flush()
        return meta

    def _verify(self) -> None:
        sums: dict[str, str] = {}
        for line in self._small[SUMS_NAME].decode("utf-8", "replace").splitlines():
            match = _SUM_LINE.fullmatch(line)
            if match is None or match[2] in sums:
                raise Corrupt(f"snapshot archive: {SUMS_NAME} cannot be understood: {line[:80]!r}")
            sums[match[2]] = match[1].lower()
        for name in (META_NAME, STATE_NAME):
            if name not in sums:
                raise Corrupt(f"snapshot archive: {SUMS_NAME} has no sum of {name}")
            if sums.pop(name) != self._digests[name]:
                raise Corrupt(f"snapshot archive: wrong checksum of {name}")
        if sums:
            raise Corrupt(f"snapshot archive: {SUMS_NAME} names {min(sums)!r}, which is not there")

    def _tar(self, plain: bytes) -> None:
        """Unpacked bytes: headers, members, filling."""
        at, size = 0, len(plain)
        while at < size:
            if self._name and self._left:
                take = min(self._left, size - at)
                self._content(plain[at : at + take])
                self._left -= take
                at += take
                if not self._left:
                    self._end_member()
            elif self._filling:
                take = min(self._filling, size - at)
                self._filling -= take
                at += take
            elif self._ended:
                rest = plain[at:]
                self._zeros += len(rest)
                if self._zeros > _FILLING_BYTES_MAX or rest.strip(b"\0"):
                    raise Corrupt("snapshot archive: something follows its last member")
                return
            else:
                take = min(_BLOCK - len(self._pending), size - at)
                self._pending += plain[at : at + take]
                at += take
                if len(self._pending) == _BLOCK:
                    block = bytes(self._pending)
                    self._pending.clear()
                    self._header(block)

    def _header(self, block: bytes) -> None:
        if not any(block):
            self._ended = True
            return
        try:
            info = tarfile.TarInfo.frombuf(block, "utf-8", "replace")
        except (tarfile.TarError, ValueError) as error:
            raise Corrupt(f"snapshot archive: no tar header: {error}") from None
        if info.name not in _MEMBERS or info.type not in (tarfile.REGTYPE, tarfile.AREGTYPE):
            raise Corrupt(f"snapshot archive: unexpected member {info.name[:80]!r}")
        if info.name in self._digests:
            raise Corrupt(f"snapshot archive: {info.name} is there twice")
        if not 0 <= info.size <= self._limits[info.name]:
            raise Corrupt(f"snapshot archive: {info.name} has {info.size} bytes, more than {self._limits[info.name]}")
        self._name, self._left, self._filling = info.name, info.size, -info.size % _BLOCK
        self._digest = hashlib.sha256()
        if not self._left:
            self._end_member()

    def _content(self, data: bytes) -> None:
        self._digest.update(data)
        if self._name == STATE_NAME:
            self._spool.write(data)
            self._size += len(data)
        else:
            self._pending += data

    def _end_member(self) -> None:
        self._digests[self._name] = self._digest.hexdigest()
        if self._name != STATE_NAME:
            self._small[self._name] = bytes(self._pending)
            self._pending.clear()
        self._name = ""


def open_archive(
    source: BinaryIO, spool: BinaryIO, *, state_bytes_max: int = STATE_BYTES_MAX
) -> tuple[SnapshotMeta, BinaryIO]:
    """
    Read a whole archive from a file, to look into it or to restore it.

    @param spool: a file to write and read, where the state goes.
    @return: what the snapshot says of itself, and the spool, at the beginning of the state.
    @raise Corrupt: the archive is damaged; the text says how.
    """
    reader = ArchiveReader(spool, state_bytes_max=state_bytes_max)
    while piece := source.read(_PIECE_BYTES):
        reader.feed(piece)
    meta = reader.finish()
    spool.seek(0)
    return meta, spool
