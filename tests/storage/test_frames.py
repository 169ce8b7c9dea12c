"""The bytes of a segment: what is encoded is decoded, and nothing else is."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from tests.storage.contract import entries
from tests.storage.disk import FakeDisk
from txconsul.errors import Corrupt
from txconsul.records.raft import Entry
from txconsul.storage.frames import (
    BATCHES_FROM,
    Cut,
    Damaged,
    SegmentHeader,
    batch_bytes,
    decode_batch,
    decode_frame,
    decode_segment_header,
    encode_batch,
    encode_frames,
    encode_segment_header,
    frame_bytes,
)
from txconsul.storage.segments import SegmentLog
from txconsul.storage.worker import Inline

SALT = b"saltsalt"
UINT64 = st.integers(0, 2**64 - 1)
ENTRIES = st.lists(
    st.tuples(
        st.integers(0, 3),
        st.integers(0, 255),
        st.none() | st.binary(max_size=50),
        st.none() | st.binary(max_size=20),
        st.binary(min_size=15, max_size=15) | st.binary(max_size=255),
    ),
    max_size=6,
)


def batch(given_entries: list[Entry], cut: Cut | None = None, offset: int = BATCHES_FROM) -> tuple[bytes, list[int]]:
    """Encode a batch."""
    parts: list[bytes] = []
    lengths: list[int] = []
    encode_frames(given_entries, parts, lengths)
    terms = (given_entries[0].term, given_entries[-1].term) if given_entries else (0, 0)
    first = given_entries[0].index if given_entries else 0
    data, offsets = encode_batch(parts, lengths, terms, first, cut, 7, SALT, offset)
    assert len(data) == batch_bytes(lengths)
    return data, offsets


class FrameTests(SynchronousTestCase):
    """Headers, batches and frames."""

    @given(UINT64, st.binary(min_size=8, max_size=8), UINT64, UINT64)
    def test_segmentHeader(self, sequence: int, salt: bytes, first_batch: int, end: int) -> None:
        """A segment's header comes back."""
        header = SegmentHeader(sequence, salt, first_batch, end)
        data = encode_segment_header(header)
        self.assertEqual(len(data), BATCHES_FROM)
        self.assertEqual(decode_segment_header(data + b"more"), header)

    @given(ENTRIES, st.none() | st.builds(Cut, UINT64, st.booleans()), st.integers(0, 1000))
    def test_batch(
        self, drawn: list[tuple[int, int, bytes | None, bytes | None, bytes]], cut: Cut | None, at: int
    ) -> None:
        """A batch comes back, with the place of each entry and its term."""
        term, given_entries = 1, []
        for number, (step, kind, data, extensions, when) in enumerate(drawn):
            term += step
            given_entries.append(
                Entry(index=5 + number, term=term, type=kind, data=data, extensions=extensions, appended_at=when)
            )
        data, offsets = batch(given_entries, cut, offset=at)
        found = decode_batch(bytes(at) + data, at, SALT, at)
        self.assertEqual((found.header.cut, found.header.number, found.header.end), (cut, 7, at + len(data)))
        self.assertEqual(list(found.offsets), offsets)
        terms = found.terms or [found.header.term] * len(offsets)
        self.assertEqual(terms, [entry.term for entry in given_entries])
        for entry, offset in zip(given_entries, offsets, strict=True):
            self.assertEqual(decode_frame(data, offset - at, entry.index), entry)
        self.assertEqual(sum(map(frame_bytes, given_entries)), len(data) - batch_bytes([0] * len(given_entries)))

    @given(st.data())
    def test_damagedBatch(self, drawn: st.DataObject) -> None:
        """Any change of a batch, its place or its salt is seen."""
        data, _ = batch(entries(3, 3), Cut(2, False))
        changed = bytearray(data)
        at = drawn.draw(st.integers(0, len(data) - 1))
        changed[at] ^= drawn.draw(st.integers(1, 255))
        for bad, salt, offset in ((changed, SALT, BATCHES_FROM), (data, b"saltsalz", BATCHES_FROM), (data, SALT, 4097)):
            self.assertRaises(Damaged, decode_batch, bytes(bad), 0, salt, offset)

    @given(st.binary(max_size=300), st.integers(0, 300))
    def test_anyBytes(self, data: bytes, at: int) -> None:
        """Bytes of any kind are Damaged, never another exception."""
        self.assertRaises(Damaged, decode_batch, data, at, SALT, at)
        self.assertRaises(Damaged, decode_frame, data, at, 1)
        self.assertRaises(Damaged, decode_segment_header, data)

    @given(st.integers(0, 700), st.binary(max_size=40), st.booleans())
    def test_scribbledSegment(self, at: int, junk: bytes, header: bool) -> None:
        """Whatever is written over a segment, the log is whole, or Corrupt, or cut where the last batch was hit."""
        disk = FakeDisk("/log")
        log = SegmentLog("/log", Inline(), segment_bytes=5000, files=disk)
        given_entries = entries(1, 6)
        last_batch = 0
        for begin in (0, 2, 4):
            last_batch = log._index.segments[-1].end if begin else 0
            log.append(given_entries[begin : begin + 2])
            log.sync()
        log.close()
        (path,) = disk.names
        at += 0 if header else BATCHES_FROM
        disk.names[path].shown[at : at + len(junk)] = junk
        try:
            found = SegmentLog("/log", Inline(), files=disk)
        except Corrupt as error:
            self.assertIn(path, str(error))
            return
        kept = found.entries(1, 7, 1 << 20) if found.last else []
        if at + len(junk) <= last_batch:
            self.assertEqual(kept, given_entries)
        elif at >= last_batch:
            self.assertIn(kept, [given_entries, given_entries[:4]])
        else:
            self.assertEqual(kept, given_entries[: len(kept)])
