"""Term and vote: no crash loses what was answered for, no flipped bit passes."""

from __future__ import annotations

import errno
from random import Random

from hypothesis import given
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from tests.storage.disk import Crashed, FakeDisk
from txconsul.errors import Corrupt, DiskFailed, DiskFull
from txconsul.storage.stable import COPY_BYTES, VOTE_BYTES_MAX, StableStore, Vote, decode_copy, encode_copy

PATH = "/raft/vote"


def stored(*votes: tuple[int, str]) -> FakeDisk:
    """A disk on which these were stored, one after the other."""
    disk = FakeDisk("/raft")
    store = StableStore(PATH, files=disk)
    for term, vote in votes:
        store.store(term, vote)
    disk.settle()
    return disk


class CopyTests(SynchronousTestCase):
    """The bytes of one copy."""

    @given(st.integers(0, 2**64 - 1), st.integers(0, 2**64 - 1), st.binary(max_size=VOTE_BYTES_MAX))
    def test_roundTrip(self, generation: int, term: int, name: bytes) -> None:
        """What was encoded is decoded."""
        vote = Vote(generation, term, name.decode("utf-8", "surrogateescape"))
        self.assertEqual(decode_copy(encode_copy(vote)), vote)

    @given(st.integers(0, COPY_BYTES - 1), st.integers(1, 255))
    def test_damage(self, at: int, change: int) -> None:
        """No changed byte goes unseen, wherever it is."""
        data = bytearray(encode_copy(Vote(7, 9, "x" * 36)))
        data[at] ^= change
        self.assertIsNone(decode_copy(bytes(data)))

    @given(st.binary(max_size=2 * COPY_BYTES))
    def test_anyBytes(self, data: bytes) -> None:
        """Bytes of any kind are damaged, not an exception."""
        self.assertIsNone(decode_copy(data))

    def test_tooLong(self) -> None:
        """A vote for which there is no room is refused before anything is written."""
        disk = stored((1, "a"))
        disk.operations.clear()
        store = StableStore(PATH, files=disk)
        self.assertRaises(ValueError, store.store, 2, "x" * (VOTE_BYTES_MAX + 1))
        self.assertRaises(ValueError, store.store, 2**64, "x")
        self.assertNotIn("write", [operation for operation, _ in disk.operations])


class StableFaultTests(SynchronousTestCase):
    """Crashes, flipped bits, full and failed disks."""

    def test_crashAtEveryOperation(self) -> None:
        """After a crash at any moment what was stored last, or what was being stored, is found."""
        for sector in (1, 64, 512):
            for number in range(40):
                disk = FakeDisk("/raft")
                store = StableStore(PATH, files=disk)
                disk.crash_at(number)
                done, begun = (0, ""), (0, "")
                try:
                    for term in range(1, 6):
                        begun = (term, f"server {term}")
                        store.store(*begun)
                        done = begun
                except Crashed:
                    pass
                for again in range(5):
                    found = StableStore(PATH, files=disk.after_crash(Random(again), sector)).load()
                    self.assertIn(found, (done, begun), f"crash at {number}")

    def test_tornAtEveryByte(self) -> None:
        """Either copy torn at any byte, from either end, leaves a vote that was stored whole."""
        old, new = encode_copy(Vote(1, 5, "a")), encode_copy(Vote(2, 6, "b"))
        for at in range(COPY_BYTES + 1):
            for torn in (new[:at] + old[at:], old[:at] + new[at:]):
                for data, allowed in ((torn + old, {(5, "a"), (6, "b")}), (new + torn, {(6, "b")})):
                    disk = stored((1, "z"))
                    disk.names[PATH].shown[:] = data
                    found = StableStore(PATH, files=disk).load()
                    self.assertIn(found, allowed)
                    self.assertEqual(disk.names[PATH].durable[:COPY_BYTES], disk.names[PATH].durable[COPY_BYTES:])

    def test_flippedBit(self) -> None:
        """A flipped bit anywhere stops the server, and the message names the file."""
        for at in range(2 * COPY_BYTES):
            disk = stored((1, "a" * 36), (2, "b" * 36))
            disk.names[PATH].shown[at] ^= 1 << at % 8
            error = self.assertRaises(Corrupt, StableStore(PATH, files=disk).load)
            self.assertIn(PATH, str(error))

    def test_bothDamaged(self) -> None:
        """With both copies damaged nothing is guessed."""
        disk = stored((1, "a"), (2, "b"))
        shown = disk.names[PATH].shown
        shown[100:110] = shown[COPY_BYTES + 100 : COPY_BYTES + 110] = b"0123456789"
        error = self.assertRaises(Corrupt, StableStore(PATH, files=disk).load)
        self.assertIn("both copies", str(error))

    def test_wrongLength(self) -> None:
        """A file of another length is damaged, even an empty one."""
        for length in (0, COPY_BYTES, 2 * COPY_BYTES - 1, 2 * COPY_BYTES + 1, 10 * COPY_BYTES):
            disk = stored((1, "a"))
            disk.names[PATH].shown[:] = bytes(disk.names[PATH].shown).ljust(length, b"\0")[:length]
            self.assertIn(PATH, str(self.assertRaises(Corrupt, StableStore(PATH, files=disk).load)))

    @given(st.binary(max_size=64), st.integers(0, 2 * COPY_BYTES))
    def test_scribbled(self, junk: bytes, at: int) -> None:
        """Whatever is written over the file, the outcome is a vote that was stored, or Corrupt."""
        disk = stored((1, "a"), (2, "b"))
        disk.names[PATH].shown[at : at + len(junk)] = junk
        try:
            self.assertEqual(StableStore(PATH, files=disk).load(), (2, "b"))
        except Corrupt as error:
            self.assertIn(PATH, str(error))

    def test_diskFull(self) -> None:
        """Without room the earlier record stands, and the next store succeeds when there is room."""
        for room in (0, 100, COPY_BYTES, COPY_BYTES + 100):
            disk = stored((1, "a"))
            store = StableStore(PATH, files=disk)
            disk.room = room
            self.assertRaises(DiskFull, store.store, 2, "b")
            self.assertIn(StableStore(PATH, files=disk.after_crash(Random(room))).load(), [(1, "a"), (2, "b")])
            disk.heal()
            store.store(3, "c")
            self.assertEqual(StableStore(PATH, files=disk).load(), (3, "c"))

    def test_firstStoreWithoutRoom(self) -> None:
        """A first store that fails leaves a new store."""
        disk = FakeDisk("/raft")
        store = StableStore(PATH, files=disk)
        disk.room = 10
        self.assertRaises(DiskFull, store.store, 1, "a")
        self.assertEqual(store.load(), (0, ""))
        disk.heal()
        store.store(1, "b")
        self.assertEqual(store.load(), (1, "b"))

    def test_failedSync(self) -> None:
        """After a failed sync all is refused."""
        disk = stored((1, "a"))
        store = StableStore(PATH, files=disk)
        disk.fail("sync", errno.EIO)
        self.assertIn(PATH, str(self.assertRaises(DiskFailed, store.store, 2, "b")))
        disk.heal()
        self.assertRaises(DiskFailed, store.store, 2, "b")
