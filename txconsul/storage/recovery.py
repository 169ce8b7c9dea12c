"""
Reading the segments of a log after a start: what is whole is taken, a torn tail is cut, anything else stops the server.

A batch is written only after the one before it was synced. So whatever is wrong in the last batch of the last segment
may come from a crash while it went down, and nobody was told that it is durable: it is cut. Whatever is wrong before it
was durable once: L{Corrupt}. The last batch is known by what follows: no header of a later batch (headers have a
checksum over their place and a salt, so that neither old bytes nor a value can pass for one), and no later segment.
"""

from __future__ import annotations

import os
import re
from typing import NamedTuple

from txconsul.errors import Corrupt
from txconsul.storage.files import Files, disk_error, write_all
from txconsul.storage.frames import (
    BATCH_MAGIC,
    BATCHES_FROM,
    Batch,
    Damaged,
    SegmentHeader,
    decode_batch,
    decode_batch_header,
    decode_segment_header,
)
from txconsul.storage.log_index import LogIndex, Segment, TermRuns

__all__ = ["NEW_SUFFIX", "Recovered", "recover", "segment_name"]

#: A segment that is being made; after a crash it is nothing.
NEW_SUFFIX = ".new"
_NAME = re.compile(r"(\d{12})\.log")


class Recovered(NamedTuple):
    """
    @ivar number: of the last batch; 0 if there is none.
    @ivar note: what was cut, for the operator; None if the log was whole.
    """

    log: LogIndex
    terms: TermRuns
    number: int
    note: str | None


def segment_name(sequence: int) -> str:
    """
    >>> segment_name(7)
    '000000000007.log'
    """
    return f"{sequence:012d}.log"


def recover(files: Files, directory: str) -> Recovered:
    """
    Read all segments of a directory.

    @raise Corrupt: something is wrong that no crash explains; the message names file and offset.
    @raise DiskFailed: a file cannot be read.
    """
    try:
        return _Recovery(files, directory).run()
    except OSError as error:
        raise disk_error(error, error.filename or directory) from None


class _Recovery:
    def __init__(self, files: Files, directory: str) -> None:
        self._files = files
        self._directory = directory
        self._index = LogIndex()
        self._terms = TermRuns()
        self._last = 0
        self._number = 0
        self._note: str | None = None

    def run(self) -> Recovered:
        """Every segment, the oldest first."""
        sequences = self._sequences()
        data, header = b"", None
        if sequences:
            data, header = self._load(sequences[0])
        for place, sequence in enumerate(sequences):
            assert header is not None
            following: tuple[bytes, SegmentHeader] | None = None
            if place + 1 < len(sequences):
                if sequences[place + 1] != sequence + 1:
                    raise Corrupt(f"{self._path(sequence + 1)}: this segment of the log is missing")
                following = self._load(sequence + 1)
            self._segment(sequence, data, header, None if following is None else following[1].previous_end)
            if following is not None:
                data, header = following
        return Recovered(self._index, self._terms, self._number, self._note)

    def _path(self, sequence: int) -> str:
        return os.path.join(self._directory, segment_name(sequence))

    def _sequences(self) -> list[int]:
        found = []
        for name in self._files.list(self._directory):
            if name.endswith(NEW_SUFFIX) and _NAME.fullmatch(name.removesuffix(NEW_SUFFIX)):
                self._files.unlink(os.path.join(self._directory, name))
            elif match := _NAME.fullmatch(name):
                found.append(int(match[1]))
        return sorted(found)

    def _load(self, sequence: int) -> tuple[bytes, SegmentHeader]:
        path = self._path(sequence)
        descriptor = self._files.open(path, os.O_RDONLY)
        try:
            size = self._files.size(descriptor)
            pieces, have = [], 0
            while have < size and (piece := self._files.read(descriptor, size - have, have)):
                pieces.append(piece)
                have += len(piece)
        finally:
            self._files.close(descriptor)
        data = pieces[0] if len(pieces) == 1 else b"".join(pieces)
        try:
            header = decode_segment_header(data)
        except (Damaged, Corrupt) as error:
            raise Corrupt(f"{path}: {error}") from None
        if header.sequence != sequence:
            raise Corrupt(f"{path}: its header says that it is segment {header.sequence}")
        return data, header

    def _segment(self, sequence: int, data: bytes, header: SegmentHeader, end: int | None) -> None:
        """@param end: where the last batch ends, as the next segment says; None in the last segment."""
        path = self._path(sequence)
        segment = Segment(path, sequence, header.salt, len(data))
        if not self._index.segments:
            self._number = header.first_batch - 1
        elif header.first_batch != self._number + 1:
            raise Corrupt(f"{path}: it begins with batch {header.first_batch}, not {self._number + 1}")
        self._index.segments.append(segment)
        at, stop = BATCHES_FROM, len(data) if end is None else end
        while at < stop:
            try:
                batch = decode_batch(data, at, header.salt, at)
            except Damaged as error:
                if end is not None:
                    raise Corrupt(f"{path}: damaged at offset {at}: {error}") from None
                self._tail(path, data, at, header.salt, str(error))
                return
            self._take(path, at, batch)
            at = batch.header.end
        if end is not None and at != end:
            raise Corrupt(f"{path}: damaged at offset {at}: its batches must end at {end}")

    def _take(self, path: str, at: int, batch: Batch) -> None:
        """A whole batch, which must continue the log."""
        header = batch.header
        if header.number != self._number + 1:
            raise Corrupt(f"{path}: damaged at offset {at}: batch {header.number} follows {self._number}")
        self._number = header.number
        if header.cut is not None:
            self._index.cut(header.cut)
            self._terms.truncate(0 if header.cut.reset else header.cut.after)
            self._last = self._index.last
        if batch.offsets:
            if header.first < 1 or (self._last and header.first != self._last + 1):
                raise Corrupt(f"{path}: damaged at offset {at}: entry {header.first} follows {self._last}")
            if not self._last:
                self._terms.truncate(0)
            if batch.terms is None:
                self._terms.add(header.first, header.term)
            else:
                for index, term in enumerate(batch.terms, header.first):
                    self._terms.add(index, term)
            self._last = header.first + len(batch.offsets) - 1
        self._index.add(header.first, batch.offsets, header.end)

    def _tail(self, path: str, data: bytes, at: int, salt: bytes, reason: str) -> None:
        """What follows the last whole batch of the last segment: zeros, or a batch that went down only in part."""
        torn = data[at:].rstrip(b"\0")
        if not torn:
            return
        place = data.find(BATCH_MAGIC, at + 1)
        while place >= 0:
            try:
                later = decode_batch_header(data, place, salt, place)
            except Damaged:
                place = data.find(BATCH_MAGIC, place + 1)
                continue
            raise Corrupt(f"{path}: damaged at offset {at} ({reason}), before batch {later.number} at offset {place}")
        self._note = f"{path}: cut {len(torn)} bytes of an unfinished write at offset {at} ({reason})"
        descriptor = self._files.open(path, os.O_RDWR)
        try:
            write_all(self._files, descriptor, bytes(len(torn)), at)
            self._files.sync_data(descriptor)
        finally:
            self._files.close(descriptor)
