"""
The bytes of a log segment: its header, batches of entries, and the frame of each entry. No files here.

A segment is C{header, zeros up to BATCHES_FROM, batch, batch, ..., zeros}. A batch is what went down with one sync:
C{batch header, table of frame lengths, frames}. All numbers are little-endian; docs/storage.md has the layout.

The header of a batch has a checksum of its own, seeded with the segment's random salt and the batch's place in the
file. So bytes that look like a batch, left by an earlier write or put into a value on purpose, are not taken for one.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import accumulate
from struct import Struct, error, pack, unpack_from
from typing import NamedTuple
from zlib import crc32

from txconsul.errors import Corrupt
from txconsul.records.raft import Entry

__all__ = [
    "BATCHES_FROM",
    "BATCH_HEADER_BYTES",
    "BATCH_MAGIC",
    "FORMAT_VERSION",
    "Batch",
    "BatchHeader",
    "Cut",
    "Damaged",
    "SegmentHeader",
    "batch_bytes",
    "decode_batch",
    "decode_batch_header",
    "decode_frame",
    "decode_segment_header",
    "encode_batch",
    "encode_frames",
    "encode_segment_header",
    "frame_bytes",
]

#: What a newer program must be able to tell apart; this one reads exactly this number.
FORMAT_VERSION = 1
SEGMENT_MAGIC = b"txcraft\n"
BATCH_MAGIC = b"\xb7tXb"
#: The first batch begins here, so that no later write touches the sector of the header (4096 is the largest in use).
BATCHES_FROM = 4096
#: A batch's place and lengths are 32-bit numbers.
BATCH_BYTES_MAX = 2**32 - 1

#: magic, version, sequence, salt, number of the first batch, end of the segment before.
_SEGMENT = Struct("<8sIQ8sQQ")
#: magic, entries, bytes that follow, kind of cut, index of the cut, number, first index, term (0: they differ),
#: CRC of what follows.
_BATCH = Struct("<4sIIIQQQQI")
#: The same, with its own CRC.
_BATCH_WHOLE = Struct("<4sIIIQQQQII")
_CRC = Struct("<I")
_PLACE = Struct("<8sQ")
BATCH_HEADER_BYTES = _BATCH.size + _CRC.size
#: length of the data, index, term, type, flags, time.
_FRAME = Struct("<IQQBB15s")
_FRAME_BYTES = _FRAME.size + _CRC.size
_TIME_BYTES = 15
#: length of the extensions plus one (0 is None), length of the time.
_EXTRA = Struct("<IB")

_NO_DATA = 1
_HAS_EXTRA = 2


class Damaged(Exception):
    """Bytes that are no header, batch or frame. Whoever knows the file makes L{Corrupt} of it, or cuts."""


class SegmentHeader(NamedTuple):
    """
    @ivar sequence: counts the segments of a log from 1.
    @ivar salt: 8 random bytes.
    @ivar first_batch: number of the first batch in this segment.
    @ivar previous_end: where the last batch of the segment before ends. All up to there was synced before this segment
        came to be; what lies behind it is void. 0 in the first segment of a log.
    """

    sequence: int
    salt: bytes
    first_batch: int
    previous_end: int


class Cut(NamedTuple):
    """
    Entries forgotten at the beginning of a batch: those after index C{after} or, in a reset, all.
    """

    after: int
    reset: bool


class BatchHeader(NamedTuple):
    """
    @ivar number: counts the batches of a log, across segments.
    @ivar term: that of all entries; 0 if they differ.
    @ivar end: offset in the file of what follows.
    """

    entries: int
    cut: Cut | None
    number: int
    first: int
    term: int
    end: int
    payload_crc: int


class Batch(NamedTuple):
    """
    @ivar offsets: where each entry's frame begins in the file.
    @ivar terms: the entries' terms, where they differ; else None.
    """

    header: BatchHeader
    offsets: Sequence[int]
    terms: Sequence[int] | None


def encode_segment_header(header: SegmentHeader) -> bytes:
    """All bytes in front of the first batch."""
    head = _SEGMENT.pack(SEGMENT_MAGIC, FORMAT_VERSION, *header)
    return (head + _CRC.pack(crc32(head))).ljust(BATCHES_FROM, b"\0")


def decode_segment_header(data: bytes) -> SegmentHeader:
    """
    @param data: at least the first C{BATCHES_FROM} bytes of a file.
    @raise Damaged: they are no header.
    @raise Corrupt: a newer program wrote it.
    """
    if len(data) < BATCHES_FROM or data[:8] != SEGMENT_MAGIC:
        raise Damaged("no segment header")
    if crc32(data[: _SEGMENT.size]) != _CRC.unpack_from(data, _SEGMENT.size)[0]:
        raise Damaged("wrong checksum of the segment header")
    if any(data[_SEGMENT.size + _CRC.size : BATCHES_FROM]):
        raise Damaged("something behind the segment header")
    _, version, sequence, salt, first_batch, previous_end = _SEGMENT.unpack_from(data)
    if version != FORMAT_VERSION:
        raise Corrupt(f"log format {version}: this program reads {FORMAT_VERSION} only")
    return SegmentHeader(sequence, salt, first_batch, previous_end)


def encode_frames(entries: Sequence[Entry], parts: list[bytes], lengths: list[int]) -> None:
    """
    Add the frames of entries: three C{parts} and one of C{lengths} for each.

    @raise ValueError: a number does not fit into its field; nothing was added.
    """
    frame, checksum, crc = _FRAME.pack, _CRC.pack, crc32
    before = len(lengths)
    add, measured = parts.extend, lengths.append
    try:
        for entry in entries:
            data = entry.data
            if data is None or entry.extensions is not None or len(entry.appended_at) != _TIME_BYTES:
                head, data = _unusual_frame(entry)
                size = len(head) - _FRAME.size + len(data)
            else:
                size = len(data)
                head = frame(size, entry.index, entry.term, entry.type, 0, entry.appended_at)
            add((head, data, checksum(crc(data, crc(head)))))
            measured(size + _FRAME_BYTES)
    except error as reason:
        del lengths[before:], parts[3 * before :]
        raise ValueError(f"an entry that no log can hold: {reason}") from None


def encode_batch(
    parts: Sequence[bytes],
    lengths: Sequence[int],
    terms: tuple[int, int],
    first: int,
    cut: Cut | None,
    number: int,
    salt: bytes,
    offset: int,
) -> tuple[bytes, list[int]]:
    """
    The bytes of one batch for one place in a segment.

    @param parts: the frames, as L{encode_frames} made them.
    @param terms: those of the first and the last entry. Terms never fall within a log: the two tell of all.
    @param first: index of the first entry.
    @return: the bytes, and where each entry's frame begins in the file.
    """
    count = len(lengths)
    table = pack(f"<{count}I", *lengths)
    payload = b"".join((table, *parts))
    kind, index = (0, 0) if cut is None else (1 + cut.reset, cut.after)
    term = terms[0] if terms[0] == terms[1] else 0
    head = _BATCH.pack(BATCH_MAGIC, count, len(payload), kind, index, number, first, term, crc32(payload))
    offsets = list(accumulate(lengths, initial=offset + BATCH_HEADER_BYTES + len(table)))
    offsets.pop()
    return b"".join((head, _CRC.pack(_header_crc(head, salt, offset)), payload)), offsets


def batch_bytes(lengths: Sequence[int]) -> int:
    """How long the batch of these frames will be."""
    return BATCH_HEADER_BYTES + 4 * len(lengths) + sum(lengths)


def frame_bytes(entry: Entry) -> int:
    """How long the frame of an entry is."""
    size = _FRAME_BYTES + len(entry.data or b"")
    if entry.extensions is not None or len(entry.appended_at) != _TIME_BYTES:
        size += _EXTRA.size + len(entry.extensions or b"") + len(entry.appended_at)
    return size


def _header_crc(head: bytes | memoryview, salt: bytes, offset: int) -> int:
    return crc32(head, crc32(_PLACE.pack(salt, offset)))


def _unusual_frame(entry: Entry) -> tuple[bytes, bytes]:
    """Head and data where there is no data, are extensions, or a time that is not Go's."""
    data = entry.data or b""
    flags = _NO_DATA if entry.data is None else 0
    when = entry.appended_at
    extra = b""
    if entry.extensions is not None or len(when) != _TIME_BYTES:
        flags |= _HAS_EXTRA
        given = entry.extensions
        extra = _EXTRA.pack(0 if given is None else len(given) + 1, len(when)) + (given or b"") + when
        when = b""
    return _FRAME.pack(len(extra) + len(data), entry.index, entry.term, entry.type, flags, when) + extra, data


def decode_batch_header(data: bytes | memoryview, at: int, salt: bytes, offset: int) -> BatchHeader:
    """
    @param at: where it begins in C{data}.
    @param offset: where it begins in the file.
    @raise Damaged: there is no header of a batch.
    """
    if len(data) - at < BATCH_HEADER_BYTES:
        raise Damaged("cut short")
    magic, count, size, kind, cut_index, number, first, term, payload_crc, crc = _BATCH_WHOLE.unpack_from(data, at)
    if magic != BATCH_MAGIC:
        raise Damaged("no batch")
    if _header_crc(data[at : at + _BATCH.size], salt, offset) != crc:
        raise Damaged("wrong checksum of a batch header")
    if kind > 2 or size < 4 * count:
        raise Damaged("impossible batch header")
    cut = None if kind == 0 else Cut(cut_index, kind == 2)
    return BatchHeader(count, cut, number, first, term, offset + BATCH_HEADER_BYTES + size, payload_crc)


def decode_batch(data: bytes | memoryview, at: int, salt: bytes, offset: int) -> Batch:
    """
    One batch, verified as a whole; the entries themselves are not built.

    @param at: where it begins in C{data}, a view of a file.
    @param offset: where it begins in the file.
    @raise Damaged: anything is wrong with it.
    """
    header = decode_batch_header(data, at, salt, offset)
    begin = at + BATCH_HEADER_BYTES
    end = at + header.end - offset
    if end > len(data):
        raise Damaged("cut short")
    if crc32(data[begin:end]) != header.payload_crc:
        raise Damaged("wrong checksum of a batch")
    count = header.entries
    place = offset + BATCH_HEADER_BYTES + 4 * count
    if count == 1:  # a server with one writer has millions of these to read
        offsets, shortest = [place], _CRC.unpack_from(data, begin)[0]
        place += shortest
    else:
        lengths = unpack_from(f"<{count}I", data, begin)
        offsets = list(accumulate(lengths, initial=place))
        place, shortest = offsets.pop(), min(lengths, default=_FRAME_BYTES)
    if place != header.end or shortest < _FRAME_BYTES:
        raise Damaged("the frames do not fill the batch")
    terms = None
    if header.entries and not header.term:
        terms = [_FRAME.unpack_from(data, at + where - offset)[2] for where in offsets]
    return Batch(header, offsets, terms)


def decode_frame(data: bytes | memoryview, at: int, index: int) -> Entry:
    """
    One entry.

    @param at: where its frame begins in C{data}.
    @param index: the index that it must have.
    @raise Damaged: it is cut short, its checksum is wrong, or it is another entry.
    """
    if len(data) - at < _FRAME_BYTES:
        raise Damaged("cut short")
    size, found, term, kind, flags, when = _FRAME.unpack_from(data, at)
    begin = at + _FRAME.size
    end = begin + size
    if end + _CRC.size > len(data):
        raise Damaged("cut short")
    if crc32(data[at:end]) != _CRC.unpack_from(data, end)[0]:
        raise Damaged("wrong checksum of an entry")
    if found != index:
        raise Damaged(f"entry {found} where {index} must be")
    extensions: bytes | None = None
    if flags & _HAS_EXTRA:
        if size < _EXTRA.size:
            raise Damaged("extensions cut short")
        given, time_bytes = _EXTRA.unpack_from(data, begin)
        begin += _EXTRA.size
        if begin + max(given - 1, 0) + time_bytes > end:
            raise Damaged("extensions cut short")
        if given:
            extensions = bytes(data[begin : begin + given - 1])
            begin += given - 1
        when = bytes(data[begin : begin + time_bytes])
        begin += time_bytes
    body: bytes | None = None if flags & _NO_DATA else bytes(data[begin:end])
    return Entry(index=found, term=term, type=kind, data=body, extensions=extensions, appended_at=when)
