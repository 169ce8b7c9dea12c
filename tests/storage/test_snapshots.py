"""Snapshot directories: whole ones only, and no byte without a checksum."""

from __future__ import annotations

import errno
import os
from random import Random

from hypothesis import given
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from tests.storage.contract import SERVERS, refusal
from tests.storage.disk import Crashed, Direct, FakeDisk
from txconsul.errors import Corrupt, DiskFailed, DiskFull
from txconsul.records.snapshot import SnapshotMeta
from txconsul.storage.crc64 import CRC64, XZCRC64, crc64
from txconsul.storage.snapshots import SnapshotStore, decode_meta, encode_meta
from txconsul.storage.worker import Inline


def plain_crc64(data: bytes) -> bytes:
    """CRC-64 by its definition, a bit at a time."""
    crc = (1 << 64) - 1
    for byte in data:
        crc ^= byte
        for _ in range(8):
            crc = crc >> 1 ^ (0xC96C5795D7870F42 if crc & 1 else 0)
    return (crc ^ (1 << 64) - 1).to_bytes(8, "big")


class CRC64Tests(SynchronousTestCase):
    """Both ways to the checksum agree with its definition."""

    def test_check(self) -> None:
        """The standard's check value."""
        self.assertEqual(plain_crc64(b"123456789").hex(), "995dc9bbdf1939fa")

    def test_fastHere(self) -> None:
        """Here the fast way is found."""
        self.assertIsInstance(crc64(), CRC64)

    @given(st.lists(st.binary(max_size=300), max_size=4))
    def test_agree(self, pieces: list[bytes]) -> None:
        """Pieces of any length give the checksum of the whole."""
        fast, packed = crc64(), XZCRC64()
        for piece in pieces:
            fast.update(piece)
            packed.update(piece)
        whole = plain_crc64(b"".join(pieces))
        self.assertEqual((fast.digest(), packed.digest()), (whole, whole))

    def test_agreeOnMuch(self) -> None:
        """The two agree on two megabytes, too."""
        data = Random(1).randbytes(1 << 20) + bytes(1 << 20)
        fast, packed = crc64(), XZCRC64()
        fast.update(data)
        packed.update(data)
        self.assertEqual(fast.digest(), packed.digest())


class MetaTests(SynchronousTestCase):
    """meta.json."""

    def test_asConsulWritesIt(self) -> None:
        """One line with Consul's names; the CRC in base64."""
        line = encode_meta(SnapshotMeta(id="2-3-4", index=3, term=2, size=5, crc=bytes(range(8))))
        self.assertEqual(
            line,
            b'{"Version":1,"ID":"2-3-4","Index":3,"Term":2,"Peers":null,"Configuration":{"Servers":[]},'
            b'"ConfigurationIndex":0,"Size":5,"CRC":"AAECAwQFBgc="}\n',
        )

    @given(st.binary(max_size=200), st.integers(0, 150), st.integers(0, 40))
    def test_anyBytes(self, junk: bytes, at: int, gone: int) -> None:
        """Whatever the bytes are, they are a meta or Corrupt."""
        line = encode_meta(SnapshotMeta(id="2-3-4", index=3, term=2, configuration=SERVERS, size=5, crc=bytes(8)))
        for data in (junk, line[:at] + junk + line[at + gone :], line[:at]):
            try:
                self.assertIsInstance(decode_meta(data), SnapshotMeta)
            except Corrupt as error:
                self.assertIn("meta.json", str(error))


def new_store(disk: FakeDisk, **options: int) -> SnapshotStore:
    """A store on a disk in memory."""
    return SnapshotStore("/snapshots", Direct(), files=disk, wall=lambda: 1.5, **options)


def save(store: SnapshotStore, index: int, state: bytes = b"state") -> SnapshotMeta:
    """Write one snapshot."""
    sink = store.create(index, 2, SERVERS, 1)
    sink.write(state)
    found: list[SnapshotMeta] = []
    sink.finish().addCallback(found.append)
    return found[0]


class SnapshotFaultTests(SynchronousTestCase):
    """Crashes, flipped bits, full and failed disks."""

    def test_names(self) -> None:
        """A snapshot is called TERM-INDEX-MILLISECONDS."""
        self.assertEqual(save(new_store(FakeDisk("/snapshots")), 7).id, "2-7-1500")

    def test_flippedBit(self) -> None:
        """A flipped bit in any file of a snapshot stops the server; the message names a file of it."""
        disk = FakeDisk("/snapshots")
        meta = save(new_store(disk), 7)
        for path, content in disk.names.items():
            for at in range(len(content.shown)):
                content.shown[at] ^= 1 << at % 8
                store = new_store(disk)

                def read(store: SnapshotStore = store) -> None:
                    store.open(store.list()[0].id)

                error = self.assertRaises(Corrupt, read)
                self.assertIn(f"/snapshots/{meta.id}/", str(error))
                if path.endswith("state.bin"):
                    self.assertIn(path, str(error))
                content.shown[at] ^= 1 << at % 8

    def test_missingParts(self) -> None:
        """A snapshot of which a file is gone is not passed over."""
        for name in ("meta.json", "state.bin"):
            disk = FakeDisk("/snapshots")
            meta = save(new_store(disk), 7)
            del disk.names[f"/snapshots/{meta.id}/{name}"]
            error = self.assertRaises(Corrupt, new_store(disk).open, meta.id)
            self.assertIn(name, str(error))

    def test_consulsOwn(self) -> None:
        """A directory without our sums, as Consul writes it, can be read."""
        disk = FakeDisk("/snapshots")
        meta = save(new_store(disk), 7)
        del disk.names[f"/snapshots/{meta.id}/SHA256SUMS"]
        self.assertEqual(new_store(disk).open(meta.id)[0], meta)

    def test_crashAtEveryOperation(self) -> None:
        """After a crash at any moment the newest finished snapshot, or a newer one, is there and whole."""
        number, crashed = 0, True
        while crashed:
            disk = FakeDisk("/snapshots")
            store = new_store(disk)
            disk.crash_at(number)
            finished, crashed = 0, False
            try:
                for index in (1, 2, 3, 4):
                    save(store, index, b"state %d" % index)
                    finished = index
            except Crashed:
                crashed = True
            for again in range(6):
                found = new_store(disk.after_crash(Random(again)))
                metas = found.list()
                if finished:
                    self.assertGreaterEqual(metas[0].index, finished)
                for meta in metas:
                    self.assertEqual(found.open(meta.id)[1].read(), b"state %d" % meta.index)
                self.assertFalse([name for name in found.files.list("/snapshots") if name.endswith(".tmp")])
            number += 1
        self.assertGreater(number, 40)

    def test_diskFull(self) -> None:
        """Without room the snapshot is refused and leaves nothing; the ones before stay."""
        disk = FakeDisk("/snapshots")
        store = new_store(disk)
        before = save(store, 1)
        disk.room = 100
        sink = store.create(2, 2, SERVERS, 1)
        self.assertRaises(DiskFull, sink.write, bytes(200))
        sink.abort()
        disk.room = 100
        sink = store.create(2, 2, SERVERS, 1)
        sink.write(bytes(50))
        refusal(self, sink.finish(), DiskFull)
        disk.heal()
        self.assertEqual(disk.list("/snapshots"), [before.id])
        self.assertEqual(disk.descriptors, {})
        self.assertEqual(save(store, 3).index, 3)

    def test_failedSync(self) -> None:
        """A failed sync fails the snapshot, not the store."""
        disk = FakeDisk("/snapshots")
        store = new_store(disk)
        sink = store.create(2, 2, SERVERS, 1)
        disk.fail("sync", errno.EIO)
        refusal(self, sink.finish(), DiskFailed)
        disk.heal()
        self.assertEqual(save(store, 3).index, 3)

    def test_writeAfterEnd(self) -> None:
        """A snapshot that was finished takes no more, and cannot be finished twice."""
        store = new_store(FakeDisk("/snapshots"))
        sink = store.create(2, 2, SERVERS, 1)
        self.successResultOf(sink.finish())
        self.assertRaises(ValueError, sink.write, b"x")
        self.failureResultOf(sink.finish(), ValueError)
        sink.abort()
        self.assertEqual(len(store.list()), 1)

    def test_kept(self) -> None:
        """As many as were asked for are kept."""
        store = new_store(FakeDisk("/snapshots"), kept=3)
        for index in range(1, 7):
            save(store, index)
        self.assertEqual([meta.index for meta in store.list()], [6, 5, 4])

    def test_foreignNames(self) -> None:
        """What is not called like a snapshot is left alone."""
        directory = self.mktemp()
        os.makedirs(os.path.join(directory, "notes.tmp"))
        os.makedirs(os.path.join(directory, "1-2-3.tmp"))
        store = SnapshotStore(directory, Inline())
        self.assertEqual(list(store.list()), [])
        self.assertEqual(os.listdir(directory), ["notes.tmp"])
