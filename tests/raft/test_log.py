"""
What a core knows of its log.
"""

from __future__ import annotations

from twisted.trial.unittest import SynchronousTestCase

from tests.raft.cluster import entry
from tests.raft.disk import ListLog
from txconsul.errors import Corrupt
from txconsul.raft.log import RaftLog


def log(stored: int = 3, *, snapshot: int = 0, wished: int = 0, first: int = 1) -> RaftLog:
    """Entries first..stored in the store, term 1, and C{wished} more, term 2, that are not durable."""
    store = ListLog(tuple(entry(1, index, f"v{index}") for index in range(first, stored + 1)))
    made = RaftLog(store, snapshot_index=snapshot, snapshot_term=1 if snapshot else 0)
    for index in range(made.last + 1, made.last + wished + 1):
        made.append(entry(2, index, f"v{index}"))
    return made


class ReadingTests(SynchronousTestCase):
    """Entries are found in the store or in the tail that is not durable."""

    def test_terms(self) -> None:
        """Terms come from the store, from the tail, and are 0 before the first; others are not known."""
        made = log(3, wished=2)
        self.assertEqual([made.term(index) for index in range(6)], [0, 1, 1, 1, 2, 2])
        self.assertRaises(KeyError, made.term, 6)

    def test_entriesFromTheStore(self) -> None:
        """What is asked from durable entries on ends with them; the rest is asked for next."""
        made = log(3, wished=2)
        self.assertEqual([each.index for each in made.entries(2, 64, 1000)], [2, 3])
        self.assertEqual([each.index for each in made.entries(4, 64, 1000)], [4, 5])
        self.assertEqual(made.entries(6, 64, 1000), ())

    def test_entriesAreBounded(self) -> None:
        """By their number and by bytes, but the first always comes."""
        made = log(0, wished=9)
        self.assertEqual(len(made.entries(1, 4, 1000)), 4)
        self.assertEqual(len(made.entries(1, 9, 5)), 2)
        self.assertEqual(len(made.entries(3, 9, 1)), 1)

    def test_agreement(self) -> None:
        """It agrees with what it has, and with anything that a snapshot stands in for."""
        made = log(5, snapshot=3)
        self.assertTrue(made.agrees(5, 1))
        self.assertFalse(made.agrees(5, 2))
        self.assertFalse(made.agrees(6, 1))
        self.assertTrue(made.agrees(2, 99))
        self.assertTrue(log().agrees(0, 0))

    def test_onlyASnapshot(self) -> None:
        """With a snapshot and no entries, the log ends where the snapshot does."""
        made = log(0, snapshot=7)
        self.assertEqual((made.last, made.last_term, made.durable, made.term(7)), (7, 1, 7, 1))
        self.assertRaises(KeyError, made.term, 6)
        self.assertRaises(KeyError, made.entries, 7, 1, 1)


class GrowingTests(SynchronousTestCase):
    """Entries are wished, handed over, and become durable."""

    def test_wishedOnce(self) -> None:
        """Each entry is handed to the disk once."""
        made = log(wished=2)
        self.assertEqual([each.index for each in made.take_wished()], [4, 5])
        self.assertEqual(made.take_wished(), ())

    def test_persisted(self) -> None:
        """Durable entries leave the tail."""
        made = log(wished=3)
        self.assertTrue(made.persisted(5, 2))
        self.assertEqual((made.durable, len(made._tail)), (5, 1))
        self.assertFalse(made.persisted(5, 2), "known")
        self.assertFalse(made.persisted(9, 2), "never wished")

    def test_lateNewsOfAnEntryThatWasCut(self) -> None:
        """That an entry is durable says nothing of another at its index."""
        made = log(wished=1)
        made.truncate(3)
        made.append(entry(3, 4))
        self.assertFalse(made.persisted(4, 2))
        self.assertEqual(made.durable, 3)


class ShrinkingTests(SynchronousTestCase):
    """Entries are cut off, compacted, or all replaced."""

    def test_truncate(self) -> None:
        """What is cut is neither known nor wished any more, durable or not."""
        made = log(wished=3)
        made.truncate(4)
        self.assertEqual((made.last, made.last_term, made.durable), (4, 2, 3))
        self.assertEqual([each.index for each in made.take_wished()], [4])
        made.truncate(2)
        self.assertEqual((made.last, made.last_term, made.durable), (2, 1, 2))
        self.assertRaises(KeyError, made.term, 3)
        made.truncate(9)
        self.assertEqual(made.last, 2)

    def test_compacted(self) -> None:
        """The term of the last entry compacted is remembered; going back changes nothing."""
        made = log()
        made.compacted(2, 1)
        made._store.compact(2)  # type: ignore[attr-defined]
        self.assertEqual((made.term(2), made.base), (1, 2))
        self.assertRaises(KeyError, made.term, 1)
        self.assertRaises(KeyError, made.entries, 2, 1, 1)
        made.compacted(1, 1)
        self.assertEqual(made.base, 2)

    def test_reset(self) -> None:
        """After a reset nothing of the store counts, whatever it still holds."""
        made = log(5, wished=2)
        made.reset(3, 9)
        self.assertEqual((made.last, made.last_term, made.durable, made.term(3)), (3, 9, 3, 9))
        self.assertRaises(KeyError, made.term, 2)
        self.assertRaises(KeyError, made.entries, 2, 1, 1)
        self.assertEqual(made.take_wished(), ())


class StartTests(SynchronousTestCase):
    """Log and snapshot as a crash may have left them."""

    def test_continues(self) -> None:
        """A log that follows the snapshot, or reaches back before it, is kept."""
        for made in (log(0), log(0, snapshot=3), log(5, snapshot=3), log(5, snapshot=3, first=4), log(5)):
            self.assertTrue(made.continues_snapshot())

    def test_doesNotContinue(self) -> None:
        """A log that ends before the snapshot, or is of another history, has to go."""
        self.assertFalse(log(2, snapshot=3).continues_snapshot())
        store = ListLog((entry(5, 3), entry(5, 4)))
        self.assertFalse(RaftLog(store, snapshot_index=3, snapshot_term=1).continues_snapshot())

    def test_gap(self) -> None:
        """Entries missing between snapshot and log are damage, and said to be."""
        self.assertRaises(Corrupt, log, 9, snapshot=3, first=5)
        self.assertRaises(Corrupt, log, 9, first=2)
