"""The thread of a store, with the real reactor."""

from __future__ import annotations

import os
import threading
from typing import Any

from twisted.internet import reactor
from twisted.internet.defer import Deferred, gatherResults
from twisted.trial.unittest import TestCase

from tests.storage.contract import entries
from txconsul.storage.segments import SegmentLog
from txconsul.storage.worker import DiskThread


class DiskThreadTests(TestCase):
    """L{DiskThread}."""

    def test_inOrderElsewhere(self) -> Deferred[Any]:
        """Work is done in order in one other thread; results and exceptions come back to the reactor's."""
        thread = DiskThread(reactor, "test")  # type: ignore[arg-type]
        done: list[Any] = []
        here = threading.get_ident()

        def work(number: int) -> tuple[int, int]:
            return number, threading.get_ident()

        def check(_: object) -> None:
            self.assertEqual([number for number, _, _ in done], list(range(20)))
            self.assertEqual(len({ident for _, ident, _ in done}), 1)
            self.assertNotEqual(done[0][1], here)
            self.assertEqual({back for _, _, back in done}, {here})

        for number in range(20):
            thread.run(work, number).addCallback(lambda found: done.append((*found, threading.get_ident())))
        failing = self.assertFailure(thread.run(lambda: 1 // 0), ZeroDivisionError)
        return gatherResults([failing, thread.close()]).addCallback(check)

    def test_neverUsed(self) -> None:
        """A thread that was given nothing never starts, and closes at once."""
        thread = DiskThread(reactor, "test")  # type: ignore[arg-type]
        self.successResultOf(thread.close())
        self.assertRaises(RuntimeError, thread.run, len, "")

    def test_logInThread(self) -> Deferred[Any]:
        """A log on the real disk, its work in its thread: every sync fires, and all is there afterwards."""
        directory = self.mktemp()
        os.makedirs(directory)
        log = SegmentLog(directory, DiskThread(reactor, "log"), segment_bytes=20_000)  # type: ignore[arg-type]
        synced = []
        for index in range(1, 300):
            log.append(entries(index, 1, size=300))
            synced.append(log.sync())

        def check(found: list[int]) -> Deferred[None]:
            self.assertEqual((found, found[-1]), (sorted(found), 299))
            log.compact(150)
            return log.close()

        def reopen(_: object) -> None:
            again = SegmentLog(directory, DiskThread(reactor, "log"))  # type: ignore[arg-type]
            self.assertEqual(again.last, 299)
            self.assertGreaterEqual(151, again.first)
            self.assertEqual(len(again.entries(151, 300, 1 << 20)), 149)
            again.close()

        return gatherResults(synced).addCallback(check).addCallback(reopen)
