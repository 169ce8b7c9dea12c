"""
The log on disk: preallocated segment files, to which batches of entries are appended; old files are deleted whole.

Rule 1: one batch is on its way to the disk at a time, in the log's own thread: one write, one fdatasync. Whatever is
appended meanwhile is the next batch (group commit).
Rule 2: nothing that was written is written over. Truncating and resetting are remarks at the head of the next batch, so
that a crash at any moment leaves either the log before or the log after.
Rule 3: what is in memory (L{first}, L{last}, the tail, the terms) is the log as the caller sees it; L{LogIndex} is the
log as the disk has it. They differ by the batch on its way and the one after it.

Sources: Raft (Ongaro and Ousterhout, 2014) 5.3 for what a log must give; the layout is our own, docs/storage.md.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from contextlib import suppress

from twisted.internet.defer import Deferred, fail, succeed
from twisted.logger import Logger
from twisted.python.failure import Failure
from zope.interface import implementer

from txconsul.errors import Corrupt, DiskFailed, DiskFull, GapInLog
from txconsul.interfaces import ILogStore
from txconsul.records.raft import Entry
from txconsul.storage.files import Files, disk_error, write_all
from txconsul.storage.frames import (
    BATCHES_FROM,
    Cut,
    Damaged,
    SegmentHeader,
    batch_bytes,
    decode_frame,
    encode_batch,
    encode_frames,
    encode_segment_header,
)
from txconsul.storage.log_index import LogIndex, Segment, Tail
from txconsul.storage.recovery import NEW_SUFFIX, recover, segment_name
from txconsul.storage.worker import Worker

__all__ = ["SEGMENT_BYTES", "TAIL_BYTES_MAX", "SegmentLog"]

#: Room reserved for a segment. Larger ones are made less often, but are deleted later and read for longer at a start.
SEGMENT_BYTES = 16 * 1024 * 1024
#: What the newest entries may cost in memory: enough for a follower that is a second behind under full load.
TAIL_BYTES_MAX = 8 * 1024 * 1024
#: Bytes read from a segment at once while older entries are asked for.
_READ_BYTES_MAX = 1024 * 1024
#: Entries looked at in one go: a call that wants a few out of a long tail must not copy all of it.
_SLICE_ENTRIES_MAX = 1024


class _Flight:
    """A batch on its way to the disk, and who waits for it."""

    __slots__ = ("count", "cut", "end", "first", "new", "offsets", "segment", "waiters")

    def __init__(self, segment: Segment, new: bool, cut: Cut | None, first: int, count: int) -> None:
        self.segment = segment
        self.new = new
        self.cut = cut
        self.first = first
        self.count = count
        self.offsets: Sequence[int] = ()
        self.end = 0
        self.waiters: list[Deferred[int]] = []


@implementer(ILogStore)
class SegmentLog:
    """
    A log in the segments of one directory.

    @ivar first: see L{ILogStore}.
    @ivar last: see L{ILogStore}.
    @ivar note: what recovery cut away, for the operator, or None.
    """

    log = Logger()

    def __init__(
        self,
        directory: str,
        worker: Worker,
        *,
        segment_bytes: int = SEGMENT_BYTES,
        tail_bytes_max: int = TAIL_BYTES_MAX,
        files: Files | None = None,
        salt: Callable[[int], bytes] = os.urandom,
    ) -> None:
        """
        Read what is there; a torn tail is cut.

        @param directory: it must exist; the log keeps to names of its own in it.
        @param worker: the thread of this log alone (L{DiskThread}); closed with the log.
        @param salt: so many random bytes.
        @raise Corrupt: the log is damaged in a way that no crash explains; the message names file and offset.
        """
        self._directory = directory
        self._worker = worker
        self._segment_bytes = segment_bytes
        self._files = files or Files()
        self._salt = salt
        found = recover(self._files, directory)
        self._index: LogIndex = found.log
        self._terms = found.terms
        self._number = found.number
        self.note = found.note
        if found.note is not None:
            self.log.warn("{note}", note=found.note)
        self._tail = Tail(tail_bytes_max)
        self.last = self._index.last
        self.first = next((segment.first for segment in self._index.segments if segment.offsets), 0)
        self._durable = self.last
        self._tail.first = self.last + 1
        # the next batch: frames of the entries from _pending_first on, behind _cut
        self._parts: list[bytes] = []
        self._lengths: list[int] = []
        self._pending_first = 0
        self._cut: Cut | None = None
        self._waiters: list[Deferred[int]] = []
        self._flight: _Flight | None = None
        self._broken: str | None = None
        self._closing: list[Deferred[None]] | None = None  # who waits for the end, once that was asked for
        self._released = False
        self._ended_already = False
        self._write_descriptor: int | None = None  # of the last segment; used in the thread only
        self._reading: tuple[Segment, int] | None = None
        self._doomed: list[str] = []  # files to delete, the oldest first; used in the thread only

    # ---- the log as the caller sees it ----

    def append(self, entries: Sequence[Entry]) -> None:
        """See L{ILogStore.append}. @raise ValueError: an entry cannot be stored; nothing was taken."""
        self._check()
        if not entries:
            return
        first, newest = entries[0].index, entries[-1]
        if first < 1 or (self.last and first != self.last + 1) or newest.index != first + len(entries) - 1:
            raise GapInLog(f"entries {first} to {newest.index} after {self.last}")
        before = len(self._lengths)
        encode_frames(entries, self._parts, self._lengths)
        if not before:
            self._pending_first = first
            added = sum(self._lengths)
        else:
            added = sum(self._lengths[before:])
        self._tail.append(entries, added)
        if not self.last:
            self.first = first
            self._terms.truncate(0)
        self.last = newest.index
        for entry in entries if entries[0].term != newest.term else entries[:1]:
            self._terms.add(entry.index, entry.term)

    def entry(self, index: int) -> Entry:
        """See L{ILogStore.entry}."""
        self._check_kept(index)
        if index >= self._tail.first:
            return self._tail.get(index)
        return self._stored(index, index + 1, 0)[0]

    def entries(self, low: int, high: int, bytes_max: int) -> list[Entry]:
        """See L{ILogStore.entries}."""
        self._check_kept(low)
        high = min(high, self.last + 1)
        found: list[Entry] = []
        room = bytes_max
        while low < high:
            if low >= self._tail.first:
                more = self._tail.slice(low, min(high, low + _SLICE_ENTRIES_MAX))
            else:
                more = self._stored(low, min(high, self._tail.first), room)
            for entry in more:
                room -= len(entry.data or b"")
                if room < 0 and found:
                    return found
                found.append(entry)
            low += len(more)
        return found

    def term(self, index: int) -> int:
        """See L{ILogStore.term}. No data is read, however old the entry."""
        self._check_kept(index)
        return self._terms.term(index)

    def truncate_after(self, index: int) -> None:
        """See L{ILogStore.truncate_after}."""
        self._check()
        if not self.last or index >= self.last:
            return
        if self._lengths and index >= self._pending_first - 1:
            self._drop_pending(index - self._pending_first + 1)
        else:
            self._drop_pending(0)
            self._cut = _both(self._cut, Cut(max(index, 0), index < self.first))
        self._forget_after(index)

    def reset(self, index: int) -> None:
        """See L{ILogStore.reset}."""
        self._check()
        self._drop_pending(0)
        self._cut = Cut(index, True)
        self._forget_after(0)

    def compact(self, index: int) -> None:
        """See L{ILogStore.compact}. Only what is durable, and all in segments that are full, goes."""
        if self._broken is None and self._closing is None:
            self._delete(self._index.take_old(min(index, self._durable)))

    def _check(self) -> None:
        if self._broken is not None:
            raise DiskFailed(self._broken)
        if self._closing is not None:
            raise DiskFailed(f"the log in {self._directory} was closed")

    def _check_kept(self, index: int) -> None:
        if not self.last or not self.first <= index <= self.last:
            raise KeyError(index)

    def _drop_pending(self, keep: int) -> None:
        del self._parts[3 * keep :], self._lengths[keep:]

    def _forget_after(self, index: int) -> None:
        if index < self.first:
            index = 0  # the tail may still hold entries that were compacted away
            self.first = self.last = 0
        self._tail.truncate(index)
        self._terms.truncate(index)
        self.last = min(self.last, index)
        self._durable = self._still_durable()

    def _still_durable(self) -> int:
        """The newest entry that the disk has and the caller still sees; 0 if there is none."""
        durable = self._index.last
        for cut in (None if self._flight is None else self._flight.cut, self._cut):
            if cut is not None:
                durable = 0 if cut.reset else min(durable, cut.after)
        return durable if self.last and durable >= self.first else 0

    def _delete(self, old: list[Segment]) -> None:
        if not old:
            return
        if self._reading is not None and self._reading[0] in old:
            self._stop_reading()
        newest = max(segment.last for segment in old)
        if newest >= self.first > 0:
            if newest >= self.last:
                self._forget_after(0)
            else:
                self.first = newest + 1
                self._terms.drop_before(self.first)
        self._worker.run(self._unlink, [segment.path for segment in old]).addErrback(self._undeleted)

    def _undeleted(self, failure: Failure) -> None:
        self.log.warn("old segments of the log cannot be deleted now: {reason}", reason=failure.value)

    # ---- to the disk ----

    def sync(self) -> Deferred[int]:
        """See L{ILogStore.sync}. With nothing to write it fires at once with the newest durable index."""
        try:
            self._check()
        except DiskFailed:
            return fail()
        pending = bool(self._lengths) or self._cut is not None
        if not pending and self._flight is None:
            return succeed(self._durable)
        done: Deferred[int] = Deferred()
        if self._flight is None:
            self._waiters.append(done)
            self._start()
        elif pending:
            self._waiters.append(done)
        else:
            self._flight.waiters.append(done)
        return done

    def _start(self) -> None:
        """Send the next batch on its way."""
        segments = self._index.segments
        size = batch_bytes(self._lengths)
        active = segments[-1] if segments else None
        header = b""
        if active is None or active.end + size > active.capacity:
            sequence = 1 if active is None else active.sequence + 1
            path = os.path.join(self._directory, segment_name(sequence))
            segment = Segment(path, sequence, self._salt(8), max(self._segment_bytes, BATCHES_FROM + size))
            end = 0 if active is None else active.end
            header = encode_segment_header(SegmentHeader(sequence, segment.salt, self._number + 1, end))
        else:
            segment = active
        first = self._pending_first if self._lengths else 0
        flight = _Flight(segment, bool(header), self._cut, first, len(self._lengths))
        terms = (self._terms.term(first), self._terms.term(first + flight.count - 1)) if first else (0, 0)
        data, flight.offsets = encode_batch(
            self._parts, self._lengths, terms, first, self._cut, self._number + 1, segment.salt, segment.end
        )
        flight.end = segment.end + size
        flight.waiters, self._waiters = self._waiters, []
        self._parts, self._lengths, self._cut = [], [], None
        self._flight = flight
        work = self._create if header else self._write
        self._worker.run(work, segment, header + data).addCallbacks(self._written, self._unwritten)

    def _written(self, _: None) -> None:
        """The batch is durable: the index takes it, the next one starts, those who waited are told."""
        flight, self._flight = self._flight, None
        assert flight is not None
        self._number += 1
        if flight.new:
            self._index.segments.append(flight.segment)
        if flight.cut is not None:
            self._index.cut(flight.cut)
        self._index.add(flight.first, flight.offsets, flight.end)
        if flight.cut is not None:
            self._delete(self._index.take_old(0))
        self._durable = self._still_durable()
        self._tail.trim(self._durable)
        durable = self._durable
        if self._waiters:
            self._start()
        for done in flight.waiters:
            done.callback(durable)
        self._end()

    def _unwritten(self, failure: Failure) -> None:
        """The disk took nothing: without room, what is not durable is dropped; else the log is broken for good."""
        flight, self._flight = self._flight, None
        assert flight is not None
        waiters = flight.waiters + self._waiters
        self._waiters = []
        if isinstance(failure.value, DiskFull):
            self._drop_pending(0)
            self._cut = _both(flight.cut, self._cut)
            durable = self._still_durable()
            self._forget_after(durable)
        else:
            self._broken = str(failure.value)
            if not isinstance(failure.value, DiskFailed):  # a mistake of ours: the log may be in disorder
                self._broken = f"{DiskFailed.text}: {self._directory}: {failure.value!r}"
                self.log.failure("the log's thread failed", failure)
        for done in waiters:
            done.errback(DiskFailed(self._broken) if self._broken is not None else failure.value)
        self._end()

    def close(self) -> Deferred[None]:
        """See L{ILogStore.close}. Entries for which no sync was asked are dropped."""
        if self._closing is None:
            self._closing = []
        closed: Deferred[None] = Deferred()
        self._closing.append(closed)
        self._end()
        return closed

    def _end(self) -> None:
        """Release everything, once the end was asked for and nothing is on its way."""
        if self._closing is None or self._flight is not None:
            return
        if not self._released:
            self._released = True
            self._stop_reading()
            self._worker.run(self._release)
            self._worker.close().addBoth(self._ended)
        elif self._ended_already:
            self._ended(None)

    def _ended(self, _: object) -> None:
        self._ended_already = True
        assert self._closing is not None
        closing, self._closing = self._closing, []
        for closed in closing:
            closed.callback(None)

    # ---- in the thread ----

    def _create(self, segment: Segment, data: bytes) -> None:
        """A new segment with its header and first batch, under another name until all of it is durable."""
        files, new = self._files, segment.path + NEW_SUFFIX
        try:
            descriptor = files.open(new, os.O_RDWR | os.O_CREAT | os.O_TRUNC)
        except OSError as error:
            raise disk_error(error, new) from None
        try:
            try:
                files.allocate(descriptor, segment.capacity)
                write_all(files, descriptor, data, 0)
                files.sync(descriptor)
            except OSError as error:
                raise disk_error(error, new) from None
            try:
                files.rename(new, segment.path)
                files.sync_directory(self._directory)
            except OSError as error:
                raise DiskFailed(f"{DiskFailed.text}: {segment.path}: {error.strerror}") from None
        except BaseException:
            files.close(descriptor)
            self._try_unlink(new)
            raise
        self._release()
        self._write_descriptor = descriptor

    def _write(self, segment: Segment, data: bytes) -> None:
        """Append one batch."""
        files = self._files
        try:
            if self._write_descriptor is None:
                self._write_descriptor = files.open(segment.path, os.O_RDWR)
            write_all(files, self._write_descriptor, data, segment.end)
        except OSError as error:
            raise disk_error(error, segment.path) from None
        try:
            files.sync_data(self._write_descriptor)
        except OSError as error:  # whatever the reason: what the disk holds now is not known (fsync-gate)
            raise DiskFailed(f"{DiskFailed.text}: {segment.path}: {error.strerror}") from None

    def _release(self) -> None:
        if self._write_descriptor is not None:
            self._files.close(self._write_descriptor)
            self._write_descriptor = None

    def _unlink(self, paths: list[str]) -> None:
        """Delete files in order, each for good before the next, so that no crash leaves a hole between segments."""
        self._doomed += paths
        while self._doomed:
            with suppress(FileNotFoundError):
                self._files.unlink(self._doomed[0])
            self._files.sync_directory(self._directory)
            del self._doomed[0]

    def _try_unlink(self, path: str) -> None:
        with suppress(OSError):  # recovery deletes it
            self._files.unlink(path)

    # ---- from the disk ----

    def _stored(self, low: int, high: int, bytes_max: int) -> list[Entry]:
        """Entries from C{low} on out of one segment: at least one, then up to about C{bytes_max}, without C{high}."""
        segment = self._index.find(low)
        if self._reading is None or self._reading[0] is not segment:
            self._stop_reading()
            self._reading = segment, self._files.open(segment.path, os.O_RDONLY)
        descriptor = self._reading[1]
        offsets, place = segment.offsets, low - segment.first
        begin = offsets[place]
        limit = begin + min(bytes_max, _READ_BYTES_MAX)
        stop = place + 1
        most = min(high - segment.first, len(offsets))
        while stop < most and offsets[stop] < limit:
            stop += 1
        end = offsets[stop] if stop < len(offsets) else segment.end
        try:
            data = self._files.read(descriptor, end - begin, begin)
        except OSError as error:
            raise disk_error(error, segment.path) from None
        found = []
        for index in range(low, segment.first + stop):
            at = offsets[index - segment.first] - begin
            try:
                found.append(decode_frame(data, at, index))
            except Damaged as error:
                raise Corrupt(f"{segment.path}: damaged at offset {at + begin}: {error}") from None
        return found

    def _stop_reading(self) -> None:
        if self._reading is not None:
            self._files.close(self._reading[1])
            self._reading = None


def _both(older: Cut | None, newer: Cut | None) -> Cut | None:
    """One cut for two, with no entries between them."""
    if older is None or newer is None:
        return older or newer
    if older.reset or newer.reset:
        return newer if newer.reset else older
    return min(older, newer)
