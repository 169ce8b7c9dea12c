"""Files that gossip keeps: appended to, replaced, on disks that are full or break."""

from __future__ import annotations

import contextlib
import errno
import os
import stat
from random import Random

from twisted.internet.defer import Deferred
from twisted.internet.task import Clock
from twisted.logger import globalLogPublisher
from twisted.trial.unittest import SynchronousTestCase

from tests.storage.disk import Crashed, FakeDisk
from txconsul.errors import DiskFailed
from txconsul.storage.files import Files
from txconsul.storage.journal import FLUSH_SECONDS, RETRY_SECONDS, Journal, replace_file
from txconsul.storage.worker import Inline

PATH = "d/snapshot"


class JournalCase(SynchronousTestCase):
    """A journal on a disk in memory."""

    def setUp(self) -> None:
        self.clock = Clock()
        self.disk = FakeDisk("d")
        self.whole = b"whole\n"
        self.journal = self.open()
        self.logged: list[str] = []
        observer = lambda event: self.logged.append(event.get("log_format") or "")  # noqa: E731
        globalLogPublisher.addObserver(observer)
        self.addCleanup(globalLogPublisher.removeObserver, observer)

    def open(self) -> Journal:
        """A journal."""
        return Journal(PATH, self.clock, Inline(), lambda: self.whole, files=self.disk)

    def shown(self) -> bytes:
        """What is in the file."""
        return bytes(self.disk.names[PATH].shown)

    def durable(self) -> bytes:
        """What a crash would leave of it."""
        return bytes(self.disk.names[PATH].durable)

    def failures(self) -> int:
        """How many failures were told of."""
        return sum("is not written" in one for one in self.logged)


class JournalTests(JournalCase):
    """What is written when."""

    def test_append(self) -> None:
        """Lines are written together, half a second after the first one, and are durable then."""
        self.journal.append(b"a\n")
        self.clock.advance(FLUSH_SECONDS / 2)
        self.journal.append(b"b\n")
        self.assertEqual(self.disk.names, {})
        self.clock.advance(FLUSH_SECONDS / 2)
        self.assertEqual(self.durable(), b"a\nb\n")
        self.journal.append(b"c\n")
        self.successResultOf(self.journal.flush())
        self.assertEqual(self.durable(), b"a\nb\nc\n")
        self.assertEqual(self.clock.getDelayedCalls(), [])

    def test_again(self) -> None:
        """A new life reads the lines, and appends to them."""
        self.journal.append(b"a\nbcd\nefghi\n")
        self.successResultOf(self.journal.close())
        journal = self.open()
        self.assertEqual(self.successResultOf(journal.read(4)), [b"a\n", b"bcd\n", b"efgh", b"i\n"])
        journal.append(b"b\n")
        self.successResultOf(journal.close())
        self.assertEqual(self.shown(), b"a\nbcd\nefghi\nb\n")
        self.assertEqual(self.disk.descriptors, {})

    def test_none(self) -> None:
        """A file that is not there is None; one that cannot be read is an error."""
        self.assertIsNone(self.successResultOf(self.journal.read(9)))
        journal = Journal(self.mktemp(), self.clock, Inline(), lambda: b"")
        os.mkdir(journal.path)
        self.failureResultOf(journal.read(9), DiskFailed)

    def test_replace(self) -> None:
        """The file is written anew at once; lines that waited are in the whole, and later ones follow it."""
        self.journal.append(b"a\n")
        self.journal.flush()
        self.journal.append(b"b\n")
        self.journal.replace()
        self.assertEqual(self.durable(), b"whole\n")
        self.journal.append(b"c\n")
        self.clock.advance(FLUSH_SECONDS)
        self.assertEqual(self.durable(), b"whole\nc\n")

    def test_full(self) -> None:
        """A full disk is told of, and tried again after a while, the whole then; meanwhile nothing is piled up."""
        self.disk.room = 3
        self.journal.append(b"abcdef\n")
        self.successResultOf(self.journal.flush())
        self.assertEqual(self.failures(), 1)
        for _ in range(100):
            self.journal.append(b"more\n")
        self.assertEqual(self.journal._pending, [])
        self.clock.advance(RETRY_SECONDS)
        self.assertEqual(self.failures(), 2)
        self.disk.heal()
        self.clock.advance(RETRY_SECONDS)
        self.assertEqual((self.durable(), self.failures()), (b"whole\n", 2))
        self.assertEqual((self.clock.getDelayedCalls(), self.disk.descriptors), ([], {}))

    def test_breaks(self) -> None:
        """Whatever fails is tried again, and nothing stays open."""
        for operation in ("open", "write", "sync", "rename", "sync_directory", "unlink"):
            self.disk.fail(operation, errno.EIO)
            self.journal.append(b"a\n")
            self.clock.advance(FLUSH_SECONDS)
            self.journal.replace()
            self.disk.heal()
            self.clock.advance(RETRY_SECONDS)
            self.assertEqual((self.durable(), self.clock.getDelayedCalls()), (b"whole\n", []))
            self.assertEqual(self.disk.descriptors, {})

    def test_closes(self) -> None:
        """Closing writes what waits, also if a last try fails; nothing is written afterwards."""
        self.disk.fail("write", errno.ENOSPC)
        self.journal.append(b"a\n")
        self.journal.flush()
        self.successResultOf(self.journal.close())
        self.assertEqual((self.failures(), self.clock.getDelayedCalls()), (2, []))
        self.disk.heal()
        self.journal.append(b"b\n")
        self.successResultOf(self.journal.close())
        self.assertEqual(self.clock.getDelayedCalls(), [])

    def test_told(self) -> None:
        """Who has the file replaced is told when it is, or why it is not."""
        self.assertEqual(self.successResultOf(self.journal.replace()), "")
        self.disk.fail("write", errno.ENOSPC)
        self.assertIn("no space left on device", self.successResultOf(self.journal.replace()))
        self.disk.heal()
        self.assertEqual(self.successResultOf(self.journal.flush()), "")
        self.successResultOf(self.journal.close())
        self.assertIn("is not written any more", self.successResultOf(self.journal.replace()))

    def test_slow(self) -> None:
        """While a disk takes its time, lines wait; who waits for them is told when they are there."""
        work: list[tuple[Deferred[None], object]] = []

        class Slow(Inline):
            def run(self, function: object, *arguments: object) -> Deferred[None]:  # type: ignore[override]
                done: Deferred[None] = Deferred()
                done.addCallback(lambda _: function(*arguments))  # type: ignore[operator]
                work.append((done, function))
                return done

        journal = Journal(PATH, self.clock, Slow(), lambda: self.whole, files=self.disk)
        journal.append(b"a\n")
        first = journal.flush()
        journal.append(b"b\n")
        second, closed = journal.flush(), journal.close()
        self.assertEqual(len(work), 1)
        work.pop()[0].callback(None)
        self.successResultOf(first)
        self.assertEqual(self.shown(), b"a\n")
        self.assertNoResult(second)
        work.pop()[0].callback(None)
        self.successResultOf(second)
        self.assertNoResult(closed)
        work.pop()[0].callback(None)
        self.successResultOf(closed)
        self.assertEqual(self.shown(), b"a\nb\n")


class ReplaceTests(SynchronousTestCase):
    """Replacing a file."""

    def test_crash(self) -> None:
        """Whenever the machine stops, and whatever the disk has done by then, there is the old file or the new one."""
        for number in range(8):
            for seed in range(20):
                disk = FakeDisk("d")
                replace_file(disk, PATH, b"old" * 100)
                disk.crash_at(number)
                with contextlib.suppress(Crashed):
                    replace_file(disk, PATH, b"new" * 200)
                found = bytes(disk.after_crash(Random(seed)).names[PATH].shown)
                self.assertIn(found, (b"old" * 100, b"new" * 200))

    def test_mode(self) -> None:
        """Only the owner can read it, whatever was there before."""
        path = self.mktemp()
        for left in (path, path + ".new"):
            with open(left, "w") as file:
                os.chmod(file.fileno(), 0o644)
        replace_file(Files(), path, b"key")
        self.assertEqual(stat.S_IMODE(os.stat(path).st_mode), 0o600)
        with open(path, "rb") as file:
            self.assertEqual(file.read(), b"key")
        self.assertFalse(os.path.exists(path + ".new"))
