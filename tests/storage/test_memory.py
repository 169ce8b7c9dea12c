"""Stores in memory: what a crash leaves, whatever was under way."""

from __future__ import annotations

from random import Random

from hypothesis import given, settings
from hypothesis import strategies as st
from twisted.internet.task import Clock
from twisted.trial.unittest import SynchronousTestCase

from txconsul.errors import DiskFailed, DiskFull
from txconsul.records.raft import Entry
from txconsul.storage.memory import MemoryDisk, MemoryLogStore, MemoryStableStore


def entries(first: int, count: int, term: int = 1) -> list[Entry]:
    """Some that follow each other."""
    return [Entry(index=index, term=term, data=b"%d" % index) for index in range(first, first + count)]


class CrashTests(SynchronousTestCase):
    """A disk keeps what was synced."""

    def setUp(self) -> None:
        self.clock = Clock()
        self.disk = MemoryDisk(self.clock, lambda: 1.0)

    @settings(max_examples=200, deadline=None)
    @given(
        st.lists(st.tuples(st.sampled_from(["append", "sync", "truncate", "wait"]), st.integers(1, 5)), max_size=20),
        st.integers(0, 99),
    )
    def test_syncedSurvives(self, steps: list[tuple[str, int]], seed: int) -> None:
        """After a crash the log is what was synced, and perhaps some of what was done after, in order."""
        clock = Clock()
        disk = MemoryDisk(clock, lambda: 1.0)
        store = MemoryLogStore(disk)
        states = [[]]
        synced = [0]
        term = 1
        for what, number in steps:
            if what == "append":
                for entry in entries(store.last + 1, number, term):
                    states.append([*states[-1], entry])
                store.append(states[-1][-number:])
            elif what == "truncate" and store.last > number:
                term += 1
                store.truncate_after(store.last - number)
                states.append(states[-1][:-number])
            elif what == "sync":
                place = len(states) - 1
                store.sync().addCallback(lambda _, place=place: synced.append(place))
            elif what == "wait":
                clock.advance(1.0)
        disk.crash(Random(seed))
        left = MemoryLogStore(disk)
        held = [left.entry(index) for index in range(1, left.last + 1)]
        self.assertIn(held, states[max(synced) :])

    def test_deadStoresDoNothing(self) -> None:
        """A store of a process that has died changes nothing more on the disk."""
        store, stable = MemoryLogStore(self.disk), MemoryStableStore(self.disk)
        store.append(entries(1, 2))
        waiting = store.sync()
        self.disk.crash()
        store.append(entries(3, 2))
        stable.store(5, "x")
        self.clock.advance(5.0)
        self.assertNoResult(waiting)
        self.assertEqual((self.disk.log.entries, self.disk.stable), ([], (0, "")))

    def test_fullDuringASync(self) -> None:
        """A disk that is full when a sync ends drops what was not durable, and all who wait hear of it."""
        store = MemoryLogStore(self.disk)
        store.append(entries(1, 2))
        store.sync()
        self.clock.advance(1.0)
        store.append(entries(3, 2))
        one = store.sync()
        store.append(entries(5, 1))
        other = store.sync()
        self.disk.full = True
        self.clock.advance(1.0)
        self.failureResultOf(one, DiskFull)
        self.failureResultOf(other, DiskFull)
        self.assertEqual(store.last, 2)

    def test_failedSync(self) -> None:
        """After a failed sync the store refuses all work."""
        store = MemoryLogStore(self.disk)
        store.append(entries(1, 2))
        waiting = store.sync()
        self.disk.failing = True
        self.clock.advance(1.0)
        self.failureResultOf(waiting, DiskFailed)
        self.assertRaises(DiskFailed, store.append, entries(3, 1))
        self.failureResultOf(store.sync(), DiskFailed)

    def test_closeWaitsForTheSync(self) -> None:
        """A store is closed when nothing is under way."""
        store = MemoryLogStore(self.disk)
        store.append(entries(1, 2))
        store.sync()
        closing = store.close()
        self.assertNoResult(closing)
        self.clock.advance(1.0)
        self.successResultOf(closing)
