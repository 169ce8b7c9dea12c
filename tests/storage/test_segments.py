"""The log's own rules: group commit, what a start finds, what happens when the disk fails."""

from __future__ import annotations

import errno
from random import Random

from twisted.internet.defer import Deferred
from twisted.trial.unittest import SynchronousTestCase

from tests.storage.contract import entries, refusal
from tests.storage.disk import FakeDisk, Stepped
from txconsul.errors import Corrupt, DiskFailed, DiskFull
from txconsul.records.raft import Entry
from txconsul.storage.frames import BATCHES_FROM
from txconsul.storage.log_index import ENTRY_OVERHEAD_BYTES
from txconsul.storage.segments import SegmentLog
from txconsul.storage.worker import Inline

FIRST = "/log/000000000001.log"


def open_log(disk: FakeDisk, *, segment_bytes: int = 1 << 16, tail_bytes_max: int = 1 << 20) -> SegmentLog:
    """A log that works on the spot."""
    return SegmentLog("/log", Inline(), segment_bytes=segment_bytes, tail_bytes_max=tail_bytes_max, files=disk)


def contents(log: SegmentLog) -> list[Entry]:
    """All entries."""
    return log.entries(log.first, log.last + 1, 1 << 30) if log.last else []


def written(*batches: list[Entry], segment_bytes: int = 1 << 16) -> tuple[FakeDisk, list[int]]:
    """A disk with these batches, and where each ends in the newest segment."""
    disk = FakeDisk("/log")
    log = open_log(disk, segment_bytes=segment_bytes)
    ends = []
    for batch in batches:
        log.append(batch)
        log.sync()
        ends.append(log._index.segments[-1].end)
    log.close()
    disk.settle()
    return disk, ends


class GroupCommitTests(SynchronousTestCase):
    """One batch is on its way; what comes meanwhile is the next one."""

    def setUp(self) -> None:
        self.disk = FakeDisk("/log")
        self.worker = Stepped()
        self.log_store = SegmentLog("/log", self.worker, files=self.disk)
        self.log_store.append(entries(1, 1))
        self.log_store.sync()
        self.worker.settle()
        self.disk.operations.clear()

    def test_oneWriteAndOneSync(self) -> None:
        """What was appended in many calls goes down in one write and one fdatasync."""
        for index in range(2, 100):
            self.log_store.append(entries(index, 1))
        synced = self.log_store.sync()
        self.worker.settle()
        self.assertEqual(self.disk.operations, [("write", FIRST), ("sync", FIRST)])
        self.assertEqual(self.successResultOf(synced), 99)

    def test_appendedDuringSync(self) -> None:
        """Entries appended while a batch is on its way go down together, once it has arrived."""
        self.log_store.append(entries(2, 1))
        first = self.log_store.sync()
        later = []
        for index in (3, 4, 5):
            self.log_store.append(entries(index, 1))
            later.append(self.log_store.sync())
        self.assertEqual(len(self.worker.waiting), 1)
        self.worker.step()
        self.assertEqual(self.successResultOf(first), 2)
        self.assertEqual(len(self.worker.waiting), 1)
        for one in later:
            self.assertNoResult(one)
        self.worker.step()
        self.assertEqual([self.successResultOf(one) for one in later], [5, 5, 5])

    def test_nothingToSync(self) -> None:
        """A sync with nothing new waits for the batch on its way, or for nothing."""
        self.assertEqual(self.successResultOf(self.log_store.sync()), 1)
        self.log_store.append(entries(2, 1))
        self.log_store.sync()
        again = self.log_store.sync()
        self.worker.step()
        self.assertEqual(self.successResultOf(again), 2)
        self.assertEqual(self.worker.waiting, [])

    def test_truncatedDuringSync(self) -> None:
        """Truncating into the batch on its way costs its entries, and the sync tells what is left."""
        self.log_store.append(entries(2, 5))
        synced = self.log_store.sync()
        self.log_store.truncate_after(3)
        self.log_store.append(entries(4, 1, term=2))
        self.worker.step()
        self.assertEqual(self.successResultOf(synced), 3)
        self.successResultOf(self._settled(self.log_store.sync()))
        self.assertEqual([e.term for e in contents(self.log_store)], [1, 1, 1, 2])
        self.assertEqual([e.term for e in contents(SegmentLog("/log", Inline(), files=self.disk))], [1, 1, 1, 2])

    def _settled(self, waited: Deferred[int]) -> Deferred[int]:
        self.worker.settle()
        return waited

    def test_impossibleEntry(self) -> None:
        """An entry with a number that no log can hold is refused; the rest of the batch is not harmed."""
        self.log_store.append(entries(2, 2))
        self.assertRaises(ValueError, self.log_store.append, [*entries(4, 1), Entry(index=5, term=1, type=300)])
        self.assertEqual(self.log_store.last, 3)
        self.log_store.append(entries(4, 1))
        self.log_store.sync()
        self.worker.settle()
        self.assertEqual(SegmentLog("/log", Inline(), files=self.disk).last, 4)


class TailTests(SynchronousTestCase):
    """The newest entries stay in memory, within a bound."""

    def test_bounded(self) -> None:
        """Durable entries beyond the bound are dropped from memory and read from the disk."""
        disk = FakeDisk("/log")
        log = open_log(disk, tail_bytes_max=10 * (ENTRY_OVERHEAD_BYTES + 200))
        for first in range(1, 1000, 10):
            log.append(entries(first, 10, size=100))
            log.sync()
            self.assertLessEqual(log._tail.bytes, 10 * (ENTRY_OVERHEAD_BYTES + 200))
            self.assertLessEqual(len(log._tail._entries), 600)
        disk.operations.clear()
        self.assertEqual(log.entry(1000).index, 1000)
        self.assertEqual(disk.operations, [])
        self.assertEqual(log.entry(5).index, 5)
        self.assertEqual([e.index for e in contents(log)], list(range(1, 1001)))

    def test_unsyncedStays(self) -> None:
        """What is not durable is kept, whatever the bound."""
        log = open_log(FakeDisk("/log"), tail_bytes_max=0)
        log.append(entries(1, 50))
        self.assertEqual(len(contents(log)), 50)
        log.sync()
        self.assertEqual(len(log._tail), 0)
        self.assertEqual(log._tail.bytes, 0)

    def test_termReadsNothing(self) -> None:
        """The term of any entry is known without a look at the disk."""
        disk = FakeDisk("/log")
        log = open_log(disk, tail_bytes_max=0)
        for term in (1, 2, 5):
            log.append(entries(log.last + 1, 20, term=term))
            log.sync()
        log = open_log(disk, tail_bytes_max=0)
        disk.operations.clear()
        self.assertEqual([log.term(i) for i in (1, 20, 21, 40, 41, 60)], [1, 1, 2, 2, 5, 5])
        self.assertEqual(disk.operations, [])


class SegmentFileTests(SynchronousTestCase):
    """Files are made, filled and deleted whole."""

    def test_segmentsFollow(self) -> None:
        """A batch that does not fit begins a new segment, a huge one gets one of its size."""
        disk, _ = written(
            entries(1, 1, size=1000), entries(2, 1, size=3000), entries(3, 1, size=50_000), segment_bytes=8000
        )
        self.assertEqual(len(disk.names), 3)
        self.assertEqual([e.index for e in contents(open_log(disk))], [1, 2, 3])

    def test_compactedSegmentsGo(self) -> None:
        """Compaction deletes the oldest files, each for good before the next."""
        disk, _ = written(*[entries(i, 1, size=2000) for i in range(1, 11)], segment_bytes=7000)
        log = open_log(disk, segment_bytes=7000)
        disk.operations.clear()
        log.compact(5)
        self.assertEqual(log.first, 6)
        gone = [FIRST.replace("1", str(n)) for n in range(1, 6)]
        deletions = [(o, p) for o, p in disk.operations if o in ("unlink", "sync_directory")]
        self.assertEqual(deletions, [step for path in gone for step in (("unlink", path), ("sync_directory", "/log"))])
        self.assertEqual((open_log(disk).first, open_log(disk).last), (6, 10))

    def test_resetDeletesAll(self) -> None:
        """Once a reset is durable the old segments go."""
        disk, _ = written(*[entries(i, 1, size=2000) for i in range(1, 11)], segment_bytes=7000)
        log = open_log(disk, segment_bytes=7000)
        log.reset(50)
        log.append(entries(51, 1, size=2000))
        log.sync()
        self.assertEqual(len(disk.names), 1)
        self.assertEqual([e.index for e in contents(open_log(disk))], [51])

    def test_compactDuringTruncation(self) -> None:
        """Compaction counts only entries that are durable in the log as it is now."""
        disk, _ = written(*[entries(i, 1, size=2000) for i in range(1, 11)], segment_bytes=7000)
        worker = Stepped()
        log = SegmentLog("/log", worker, segment_bytes=7000, files=disk)
        log.truncate_after(5)
        log.append(entries(6, 2, term=2))
        synced = log.sync()
        log.truncate_after(6)
        log.compact(7)
        self.assertEqual((log.first, log.last), (6, 6))
        worker.settle()
        self.assertEqual(self.successResultOf(synced), 6)
        log.sync()
        worker.settle()
        self.assertEqual([(e.index, e.term) for e in contents(log)], [(6, 2)])
        self.assertEqual([(e.index, e.term) for e in contents(open_log(disk))], [(6, 2)])

    def test_undeletableSegment(self) -> None:
        """A file that cannot be deleted is tried again, and never leaves a hole behind it."""
        disk, _ = written(*[entries(i, 1, size=2000) for i in range(1, 11)], segment_bytes=7000)
        log = open_log(disk, segment_bytes=7000)
        disk.fail("unlink", errno.EIO, path="2.log")
        log.compact(3)
        self.assertEqual(min(disk.names), FIRST.replace("1", "2"))
        self.assertEqual(open_log(disk).first, 2)
        disk.heal()
        log.compact(5)
        self.assertEqual(open_log(disk).first, 6)

    def test_noPreallocation(self) -> None:
        """Preallocation makes the file as long as a segment from the beginning."""
        disk, _ = written(entries(1, 1))
        self.assertEqual(len(disk.names[FIRST].durable), 1 << 16)


class TornTailTests(SynchronousTestCase):
    """Whatever is wrong in the last batch is cut; anything before it stops the server."""

    def test_tornAtEveryByte(self) -> None:
        """A last batch of which only the first bytes, or only the last, were written is cut."""
        first, second = entries(1, 3), entries(4, 2, size=5)
        disk, (begin, end) = written(first, second)
        whole = bytes(disk.names[FIRST].durable)
        for at in range(begin, end):
            for torn in (
                whole[:at] + bytes(len(whole) - at),
                whole[:begin] + bytes(at - begin) + whole[at:]
                if at > begin
                else whole[:begin] + bytes(len(whole) - begin),
            ):
                disk.names[FIRST].shown[:] = torn
                log = open_log(disk)
                self.assertEqual(contents(log), first, f"torn at {at}")
                self.assertEqual(log.note is None, not any(torn[begin:]))
                # the cut is for good, and the log goes on
                self.assertIsNone(open_log(disk).note)
                log.append(entries(4, 1, term=9))
                log.sync()
                self.assertEqual(open_log(disk).term(4), 9)

    def test_shortFile(self) -> None:
        """A file that ends within the last batch is a torn tail, too."""
        first = entries(1, 3)
        disk, (begin, end) = written(first, entries(4, 2))
        whole = bytes(disk.names[FIRST].durable)
        for at in range(begin, end, 7):
            disk.names[FIRST].shown[:] = whole[:at]
            self.assertEqual(contents(open_log(disk)), first)

    def test_flipInLastBatch(self) -> None:
        """Any flipped bit in the last batch cuts it."""
        first = entries(1, 3)
        disk, (begin, end) = written(first, entries(4, 2, size=5))
        whole = bytes(disk.names[FIRST].durable)
        for at in range(begin, end):
            for bit in (0, 7):
                disk.names[FIRST].shown[:] = whole
                disk.names[FIRST].shown[at] ^= 1 << bit
                self.assertEqual(contents(open_log(disk)), first, f"byte {at}")

    def test_flipBeforeLastBatch(self) -> None:
        """Any flipped bit before the last batch stops the server, and the message names file and offset."""
        disk, (middle, begin, _) = written(entries(1, 3, size=5), entries(4, 2, size=5), entries(6, 1))
        whole = bytes(disk.names[FIRST].durable)
        for at in range(begin):
            disk.names[FIRST].shown[:] = whole
            disk.names[FIRST].shown[at] ^= 1 << at % 8
            error = self.assertRaises(Corrupt, open_log, disk)
            self.assertIn(FIRST, str(error))
            if at >= BATCHES_FROM:
                self.assertIn(f"offset {BATCHES_FROM if at < middle else middle}", str(error))

    def test_flipInEarlierSegment(self) -> None:
        """In a segment that others follow every batch counts, the last one, too."""
        disk, _ = written(*[entries(i, 1, size=2000) for i in range(1, 4)], segment_bytes=7000)
        content = disk.names[FIRST.replace("1", "2")]
        end = BATCHES_FROM + 2100
        rng = Random(3)
        whole = bytes(content.shown)
        for _ in range(200):
            at = rng.randrange(BATCHES_FROM, end)
            content.shown[:] = whole
            content.shown[at] ^= 1 << rng.randrange(8)
            error = self.assertRaises(Corrupt, open_log, disk)
            self.assertIn("000000000002.log", str(error))

    def test_missingSegment(self) -> None:
        """A segment missing in between is named."""
        disk, _ = written(*[entries(i, 1, size=2000) for i in range(1, 6)], segment_bytes=7000)
        del disk.names[FIRST.replace("1", "3")]
        error = self.assertRaises(Corrupt, open_log, disk)
        self.assertIn("000000000003.log: this segment of the log is missing", str(error))

    def test_flipWhileRunning(self) -> None:
        """An entry that has changed on the disk is not given out."""
        disk, _ = written(entries(1, 3, size=500), entries(4, 1))
        log = open_log(disk, tail_bytes_max=0)
        disk.names[FIRST].shown[BATCHES_FROM + 700] ^= 1
        error = self.assertRaises(Corrupt, log.entries, 1, 4, 1 << 20)
        self.assertIn(f"{FIRST}: damaged at offset ", str(error))

    def test_valuesThatLookLikeBatches(self) -> None:
        """A value that holds a copy of the log's own bytes is not taken for a batch behind a torn one."""
        disk, (_, end) = written(entries(1, 3), entries(4, 2))
        copy = bytes(disk.names[FIRST].durable[BATCHES_FROM:end])
        log = open_log(disk)
        log.append([Entry(index=6, term=1, data=copy * 3)])
        log.sync()
        disk.names[FIRST].shown[end + 3] ^= 1
        self.assertEqual(open_log(disk).last, 5)

    def test_laterFormat(self) -> None:
        """A segment of a newer format is refused by its number."""
        from zlib import crc32

        disk, _ = written(entries(1, 1))
        shown = disk.names[FIRST].shown
        shown[8:12] = (2).to_bytes(4, "little")
        shown[44:48] = crc32(shown[:44]).to_bytes(4, "little")
        error = self.assertRaises(Corrupt, open_log, disk)
        self.assertIn("format 2", str(error))

    def test_leftovers(self) -> None:
        """A segment that was being made when the power went is removed; foreign files are left alone."""
        disk, _ = written(entries(1, 1))
        for name in ("/log/000000000002.log.new", "/log/vote", "/log/notes.txt"):
            descriptor = disk.open(name, 0o100)
            disk.write(descriptor, b"x", 0)
            disk.close(descriptor)
        self.assertEqual(open_log(disk).last, 1)
        self.assertEqual(sorted(disk.names), [FIRST, "/log/notes.txt", "/log/vote"])


class DiskFullTests(SynchronousTestCase):
    """Without room nothing is taken, reads go on, and all is well when there is room again."""

    def test_noRoomForSegment(self) -> None:
        """A segment that cannot be allocated costs the entries that are not durable, and no more."""
        disk, _ = written(*[entries(i, 1, size=2000) for i in range(1, 4)], segment_bytes=7000)
        log = open_log(disk, segment_bytes=7000)
        disk.room = 5000
        log.append(entries(4, 2, size=2000))
        error = refusal(self, log.sync(), DiskFull)
        self.assertIn("no space left on device", str(error))
        self.assertEqual((log.last, log.entry(3).index), (3, 3))
        self.assertRaises(KeyError, log.entry, 4)
        self.assertNotIn(True, [name.endswith(".new") for name in disk.names])
        disk.heal()
        log.append(entries(4, 1, term=2))
        self.assertEqual(self.successResultOf(log.sync()), 4)
        self.assertEqual(open_log(disk).term(4), 2)

    def test_partialWrites(self) -> None:
        """However much of a batch was written before the disk was full, the next one stands in its place."""
        batch = entries(4, 3, size=5)
        _, (begin, end) = written(entries(1, 3), batch)
        for room in range(0, end - begin, 3):
            disk, _ = written(entries(1, 3))
            log = open_log(disk)
            disk.room = room
            log.append(batch)
            refusal(self, log.sync(), DiskFull)
            disk.heal()
            self.assertEqual(contents(open_log(disk.after_crash(Random(room)))), entries(1, 3))
            for term in (2, 3):
                log.append(entries(log.last + 1, 1, term=term, size=1))
                log.sync()
            self.assertEqual([e.term for e in contents(open_log(disk))], [1, 1, 1, 2, 3])

    def test_everyWaiterIsTold(self) -> None:
        """Those who wait for the batch on its way and for the next one are all told, and both are dropped."""
        disk, worker = FakeDisk("/log"), Stepped()
        log = SegmentLog("/log", worker, files=disk)
        disk.room = 0
        log.append(entries(1, 1))
        first = log.sync()
        log.append(entries(2, 1))
        second = log.sync()
        worker.settle()
        for one in (first, second):
            refusal(self, one, DiskFull)
        self.assertEqual((log.first, log.last), (0, 0))

    def test_truncationIsNotForgotten(self) -> None:
        """A truncation that met a full disk goes down with the next batch."""
        disk, _ = written(entries(1, 10))
        log = open_log(disk)
        log.truncate_after(5)
        log.append(entries(6, 2, term=2))
        disk.room = 0
        refusal(self, log.sync(), DiskFull)
        self.assertEqual((log.first, log.last), (1, 5))
        disk.heal()
        self.assertEqual(self.successResultOf(log.sync()), 5)
        self.assertEqual(open_log(disk).last, 5)

    def test_quota(self) -> None:
        """A quota is a full disk."""
        disk, _ = written(entries(1, 1))
        log = open_log(disk)
        disk.fail("write", errno.EDQUOT)
        log.append(entries(2, 1))
        refusal(self, log.sync(), DiskFull)

    def test_filesRunOut(self) -> None:
        """No descriptor left for a new segment is a full disk too: it passes, and nothing was written."""
        disk, _ = written(entries(1, 1, size=2000), segment_bytes=7000)
        log = open_log(disk, segment_bytes=7000)
        disk.fail("open", errno.EMFILE)
        log.append(entries(2, 3, size=2000))
        self.assertIn("open files", str(refusal(self, log.sync(), DiskFull)).lower())
        disk.heal()
        log.append(entries(2, 3, size=2000))
        self.assertEqual(self.successResultOf(log.sync()), 4)


class DiskFailedTests(SynchronousTestCase):
    """After a failed sync nobody knows what the disk holds: the store refuses all work."""

    def test_failedSync(self) -> None:
        """A failed fdatasync fails the sync, and everything after it, even when the disk would work again."""
        for number in (errno.EIO, errno.ENOSPC):
            disk, _ = written(entries(1, 2))
            log = open_log(disk)
            disk.fail("sync", number)
            log.append(entries(3, 1))
            error = refusal(self, log.sync(), DiskFailed)
            self.assertIn(FIRST, str(error))
            disk.heal()
            refusal(self, log.sync(), DiskFailed)
            self.assertRaises(DiskFailed, log.append, entries(4, 1))
            self.assertRaises(DiskFailed, log.truncate_after, 1)
            self.assertRaises(DiskFailed, log.reset, 9)
            self.assertEqual(log.entry(1).index, 1)
            self.successResultOf(log.close())

    def test_failedWrite(self) -> None:
        """A write that fails for another reason than room counts as a failed disk."""
        disk, _ = written(entries(1, 2))
        log = open_log(disk)
        disk.fail("write", errno.EIO)
        log.append(entries(3, 1))
        refusal(self, log.sync(), DiskFailed)

    def test_failedRename(self) -> None:
        """A new segment that cannot get its name counts as a failed disk."""
        for operation in ("rename", "sync_directory"):
            disk = FakeDisk("/log")
            log = open_log(disk)
            disk.fail(operation, errno.EIO)
            log.append(entries(1, 1))
            refusal(self, log.sync(), DiskFailed)

    def test_unreadable(self) -> None:
        """A segment that cannot be read at the start is a failed disk, and is named."""
        disk, _ = written(entries(1, 2))
        disk.fail("read", errno.EIO)
        error = self.assertRaises(DiskFailed, open_log, disk)
        self.assertIn(FIRST, str(error))

    def test_mistakeInThread(self) -> None:
        """Whatever else goes wrong in the thread stops the log instead of hanging it."""
        disk = FakeDisk("/log")
        log = open_log(disk)

        def hook(operation: str, path: str) -> None:
            raise ZeroDivisionError

        disk.hook = hook
        log.append(entries(1, 1))
        refusal(self, log.sync(), DiskFailed)
        self.assertEqual(len(self.flushLoggedErrors(ZeroDivisionError)), 1)
