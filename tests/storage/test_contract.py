"""The contracts, over every provider."""

from __future__ import annotations

import os
from typing import Any

from twisted.trial.unittest import SynchronousTestCase

from tests.storage.contract import LogStoreContract, SnapshotStoreContract, StableStoreContract
from tests.storage.disk import FakeDisk, Stepped
from txconsul.storage.memory import MemoryDisk, MemoryLogStore, MemorySnapshotStore, MemoryStableStore
from txconsul.storage.segments import SegmentLog
from txconsul.storage.snapshots import SnapshotStore
from txconsul.storage.stable import StableStore
from txconsul.storage.worker import Inline


class SegmentLogTests(LogStoreContract, SynchronousTestCase):
    """Segments on the real file system, the work done on the spot."""

    def make_store(self) -> SegmentLog:
        self.directory = self.mktemp()
        os.makedirs(self.directory)
        return SegmentLog(self.directory, Inline())

    def reopen(self, store: Any) -> SegmentLog:
        store.close()
        return SegmentLog(self.directory, Inline())


class SmallSegmentLogTests(LogStoreContract, SynchronousTestCase):
    """Many small segments, no tail in memory, on a disk that works when it is told to."""

    def make_store(self) -> SegmentLog:
        self.disk = FakeDisk("/log")
        self.worker = Stepped()
        return self._open()

    def _open(self) -> SegmentLog:
        return SegmentLog("/log", self.worker, segment_bytes=6000, tail_bytes_max=0, files=self.disk)

    def settle(self) -> None:
        self.worker.settle()

    def reopen(self, store: Any) -> SegmentLog:
        store.close()
        self.worker.settle()
        self.assertEqual(self.disk.descriptors, {}, "files left open")
        return self._open()


class MemoryLogTests(LogStoreContract, SynchronousTestCase):
    """The log in memory."""

    def make_store(self) -> MemoryLogStore:
        self.disk = MemoryDisk()
        return MemoryLogStore(self.disk)

    def reopen(self, store: Any) -> MemoryLogStore:
        return MemoryLogStore(self.disk)


class StableStoreTests(StableStoreContract, SynchronousTestCase):
    """Two copies in a file."""

    def make_store(self) -> StableStore:
        directory = self.mktemp()
        os.makedirs(directory)
        self.path = os.path.join(directory, "vote")
        return StableStore(self.path)

    def reopen(self, store: Any) -> StableStore:
        return StableStore(self.path)


class MemoryStableTests(StableStoreContract, SynchronousTestCase):
    """Term and vote in memory."""

    def make_store(self) -> MemoryStableStore:
        self.disk = MemoryDisk()
        return MemoryStableStore(self.disk)

    def reopen(self, store: Any) -> MemoryStableStore:
        return MemoryStableStore(self.disk)


class SnapshotDirectoryTests(SnapshotStoreContract, SynchronousTestCase):
    """Directories on the real file system."""

    def make_store(self) -> SnapshotStore:
        self.directory = self.mktemp()
        os.makedirs(self.directory)
        return SnapshotStore(self.directory, Inline())

    def reopen(self, store: Any) -> SnapshotStore:
        return SnapshotStore(self.directory, Inline())


class MemorySnapshotTests(SnapshotStoreContract, SynchronousTestCase):
    """Snapshots in memory."""

    def make_store(self) -> MemorySnapshotStore:
        self.disk = MemoryDisk()
        return MemorySnapshotStore(self.disk)

    def reopen(self, store: Any) -> MemorySnapshotStore:
        return MemorySnapshotStore(self.disk)
