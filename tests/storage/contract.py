"""
What every provider of ILogStore, IStableStore and ISnapshotStore keeps to.

A provider's test case mixes one of these classes in and says how to make a store and how to open it again.
"""

from __future__ import annotations

from typing import Any

from twisted.internet.defer import Deferred
from zope.interface.verify import verifyObject

from txconsul.errors import TxconsulError
from txconsul.interfaces import ILogStore, ISnapshotSink, ISnapshotStore, IStableStore
from txconsul.records.raft import Configuration, Entry, EntryType, Server, Suffrage

SERVERS = Configuration(
    servers=(
        Server(id="a" * 36, address="127.0.0.1:8300"),
        Server(id="b" * 36, address="127.0.0.2:8300", suffrage=Suffrage.NONVOTER),
    )
)


def entries(first: int, count: int, term: int = 1, size: int = 10) -> list[Entry]:
    """Consecutive commands."""
    return [Entry(index=first + i, term=term, data=bytes([i % 251]) * size) for i in range(count)]


class LogStoreContract:
    """ILogStore."""

    def make_store(self) -> Any:
        """A new, empty log."""
        raise NotImplementedError

    def reopen(self, store: Any) -> Any:
        """What a new process finds of this log."""
        raise NotImplementedError

    def settle(self) -> None:
        """Let the disk finish what it was given."""

    def result(self, waited: Deferred[Any]) -> Any:
        """What a Deferred fires with, once the disk is done."""
        self.settle()
        return self.successResultOf(waited)  # type: ignore[attr-defined]

    def test_interface(self) -> None:
        """The store provides ILogStore."""
        verifyObject(ILogStore, self.make_store())

    def test_emptyLog(self) -> None:
        """An empty log begins and ends at 0, knows no entry and syncs at once."""
        log = self.make_store()
        self.assertEqual((log.first, log.last), (0, 0))
        self.assertEqual(self.result(log.sync()), 0)
        for ask in (log.entry, log.term):
            self.assertRaises(KeyError, ask, 1)
            self.assertRaises(KeyError, ask, 0)
        self.assertRaises(KeyError, log.entries, 1, 2, 100)

    def test_appendedAtOnceDurableLater(self) -> None:
        """Entries can be read as soon as they are appended, and sync tells that the newest is durable."""
        log = self.make_store()
        given = entries(1, 3)
        log.append(given)
        self.assertEqual((log.first, log.last), (1, 3))
        self.assertEqual([log.entry(i) for i in (1, 2, 3)], given)
        self.assertEqual(self.result(log.sync()), 3)

    def test_everyFieldComesBack(self) -> None:
        """All fields of an entry survive, None and empty bytes apart."""
        log = self.make_store()
        given = [
            Entry(index=7, term=3, type=EntryType.NOOP, data=None),
            Entry(index=8, term=3, type=EntryType.CONFIGURATION, data=b"", extensions=b""),
            Entry(
                index=9, term=4, type=EntryType.COMMAND, data=b"\0" * 5, extensions=b"e" * 300, appended_at=b"\1" * 15
            ),
            Entry(index=10, term=2**63, type=EntryType.BARRIER, data=bytes(100_000), appended_at=b"odd"),
        ]
        log.append(given)
        self.result(log.sync())
        again = self.reopen(log)
        self.assertEqual(again.entries(7, 11, 1 << 30), given)
        self.assertEqual([again.term(i) for i in (7, 8, 9, 10)], [3, 3, 4, 2**63])

    def test_anyFirstIndex(self) -> None:
        """The first entry of an empty log may have any index."""
        log = self.make_store()
        log.append(entries(1000, 2))
        self.assertEqual((log.first, log.last), (1000, 1001))

    def test_gapIsRefused(self) -> None:
        """Entries that do not follow the newest one are refused, and nothing is taken."""
        log = self.make_store()
        log.append(entries(1, 3))
        for first in (3, 5):
            self.assertRaises(ValueError, log.append, entries(first, 2))
        self.assertEqual(log.last, 3)

    def test_rangesAreBoundedByBytes(self) -> None:
        """A range gives its first entry in any case, and then as many as fit."""
        log = self.make_store()
        log.append(entries(1, 10, size=10))
        self.result(log.sync())
        for store in (log, self.reopen(log)):
            self.assertEqual([e.index for e in store.entries(2, 9, 35)], [2, 3, 4])
            self.assertEqual([e.index for e in store.entries(2, 9, 30)], [2, 3, 4])
            self.assertEqual([e.index for e in store.entries(2, 9, 0)], [2])
            self.assertEqual([e.index for e in store.entries(9, 99, 1000)], [9, 10])

    def test_syncsFireInOrder(self) -> None:
        """Overlapping syncs fire in order, the later ones with the later entries."""
        log = self.make_store()
        fired: list[tuple[str, int]] = []
        log.append(entries(1, 1))
        log.sync().addCallback(lambda index: fired.append(("a", index)))
        log.append(entries(2, 1))
        log.sync().addCallback(lambda index: fired.append(("b", index)))
        log.append(entries(3, 1))
        log.sync().addCallback(lambda index: fired.append(("c", index)))
        self.settle()
        self.assertEqual([name for name, _ in fired], ["a", "b", "c"])
        for (_, index), least in zip(fired, (1, 2, 3), strict=True):
            self.assertGreaterEqual(index, least)
        self.assertEqual(fired[-1][1], 3)

    def test_syncedEntriesSurvive(self) -> None:
        """What was synced is there after a restart."""
        log = self.make_store()
        log.append(entries(1, 5))
        log.append(entries(6, 5, term=2))
        self.result(log.sync())
        again = self.reopen(log)
        self.assertEqual((again.first, again.last), (1, 10))
        self.assertEqual(again.entries(1, 11, 1 << 20), entries(1, 5) + entries(6, 5, term=2))
        self.assertEqual([again.term(5), again.term(6)], [1, 2])

    def test_truncate(self) -> None:
        """After truncation others may take the place of the forgotten entries, and it lasts."""
        log = self.make_store()
        log.append(entries(1, 10))
        self.result(log.sync())
        log.truncate_after(4)
        self.assertEqual((log.first, log.last), (1, 4))
        self.assertRaises(KeyError, log.entry, 5)
        self.assertRaises(KeyError, log.term, 5)
        log.append(entries(5, 2, term=3))
        for store in (log, self._synced(log)):
            self.assertEqual(store.last, 6)
            self.assertEqual([e.term for e in store.entries(1, 7, 1 << 20)], [1, 1, 1, 1, 3, 3])
            self.assertEqual([store.term(i) for i in (4, 5)], [1, 3])

    def test_truncateUnsynced(self) -> None:
        """Entries may be forgotten before they are durable."""
        log = self.make_store()
        log.append(entries(1, 10))
        log.truncate_after(4)
        log.append(entries(5, 1, term=2))
        log.truncate_after(2)
        log.append(entries(3, 1, term=3))
        again = self._synced(log)
        self.assertEqual([e.term for e in again.entries(1, 9, 1 << 20)], [1, 1, 3])

    def test_truncateAll(self) -> None:
        """Truncation before the first entry leaves an empty log."""
        log = self.make_store()
        log.append(entries(5, 3))
        self.result(log.sync())
        log.truncate_after(4)
        self.assertEqual((log.first, log.last), (0, 0))
        self.assertEqual(self._synced(log).last, 0)

    def test_truncateNothing(self) -> None:
        """Truncation at or after the newest entry changes nothing."""
        log = self.make_store()
        log.append(entries(1, 3))
        log.truncate_after(3)
        log.truncate_after(9)
        self.assertEqual(log.last, 3)

    def test_reset(self) -> None:
        """After a reset the log is empty and goes on after a hole."""
        log = self.make_store()
        log.append(entries(1, 10))
        self.result(log.sync())
        log.reset(100)
        self.assertEqual((log.first, log.last), (0, 0))
        self.assertRaises(KeyError, log.entry, 10)
        log.append(entries(101, 2, term=5))
        self.assertEqual(self.result(log.sync()), 102)
        again = self.reopen(log)
        self.assertEqual((again.first, again.last), (101, 102))
        self.assertRaises(KeyError, again.term, 10)

    def test_compactKeepsTheRest(self) -> None:
        """Compaction takes nothing after its index away."""
        log = self.make_store()
        for first in range(1, 200, 10):
            log.append(entries(first, 10, size=100))
            self.result(log.sync())
        log.compact(150)
        self.settle()
        for store in (log, self._synced(log)):
            self.assertLessEqual(store.first, 151)
            self.assertEqual(store.last, 200)
            self.assertEqual(len(store.entries(151, 201, 1 << 20)), 50)
            if store.first > 1:
                self.assertRaises(KeyError, store.entry, store.first - 1)
                self.assertRaises(KeyError, store.term, store.first - 1)

    def test_closeFinishes(self) -> None:
        """Closing waits for what is on its way."""
        log = self.make_store()
        log.append(entries(1, 2))
        synced = log.sync()
        closed = log.close()
        self.assertEqual(self.result(synced), 2)
        self.assertIsNone(self.result(closed))

    def _synced(self, log: Any) -> Any:
        self.result(log.sync())
        return self.reopen(log)


class StableStoreContract:
    """IStableStore."""

    def make_store(self) -> Any:
        """A new store."""
        raise NotImplementedError

    def reopen(self, store: Any) -> Any:
        """What a new process finds of this store."""
        raise NotImplementedError

    def test_interface(self) -> None:
        """The store provides IStableStore."""
        verifyObject(IStableStore, self.make_store())

    def test_newStore(self) -> None:
        """A new store has term 0 and no vote."""
        self.assertEqual(self.make_store().load(), (0, ""))

    def test_lastStoreCounts(self) -> None:
        """What was stored last is loaded, by the same and by the next process."""
        store = self.make_store()
        for term, vote in [(1, ""), (1, "a" * 36), (2, ""), (2**63, "b-ü")]:
            store.store(term, vote)
            self.assertEqual(store.load(), (term, vote))
            store = self.reopen(store)
            self.assertEqual(store.load(), (term, vote))


class SnapshotStoreContract:
    """ISnapshotStore."""

    def make_store(self) -> Any:
        """A new store."""
        raise NotImplementedError

    def reopen(self, store: Any) -> Any:
        """What a new process finds of this store."""
        raise NotImplementedError

    def result(self, waited: Deferred[Any]) -> Any:
        """What a Deferred fires with."""
        return self.successResultOf(waited)  # type: ignore[attr-defined]

    def save(self, store: Any, index: int, state: bytes = b"state", term: int = 2) -> Any:
        """Write one snapshot in two pieces."""
        sink = store.create(index, term, SERVERS, 1)
        sink.write(state[:2])
        sink.write(state[2:])
        return self.result(sink.finish())

    def test_interface(self) -> None:
        """Store and sink provide ISnapshotStore and ISnapshotSink."""
        store = self.make_store()
        verifyObject(ISnapshotStore, store)
        sink = store.create(1, 1, SERVERS, 1)
        verifyObject(ISnapshotSink, sink)
        sink.abort()

    def test_whatWasWrittenIsRead(self) -> None:
        """State and meta come back, in this process and the next."""
        store = self.make_store()
        meta = self.save(store, 10, b"the state")
        self.assertEqual((meta.index, meta.term, meta.size), (10, 2, 9))
        self.assertEqual((meta.configuration, meta.configuration_index), (SERVERS, 1))
        for again in (store, self.reopen(store)):
            self.assertEqual(list(again.list()), [meta])
            found, stream = again.open(meta.id)
            self.assertEqual(found, meta)
            self.assertEqual(stream.read(), b"the state")
            stream.close()

    def test_newestFirst(self) -> None:
        """The newest snapshot, by term and then index, comes first; two are kept."""
        store = self.make_store()
        for index, term in [(10, 2), (30, 2), (20, 3)]:
            self.save(store, index, term=term)
        self.assertEqual([(m.index, m.term) for m in store.list()], [(20, 3), (30, 2)])

    def test_sameIndexTwice(self) -> None:
        """Two snapshots of one index have different ids."""
        store = self.make_store()
        self.assertNotEqual(self.save(store, 10).id, self.save(store, 10).id)

    def test_unfinishedIsNothing(self) -> None:
        """A snapshot that is being written, or was given up, is not listed."""
        store = self.make_store()
        unfinished = store.create(5, 1, SERVERS, 1)
        unfinished.write(b"x")
        self.assertEqual(list(store.list()), [])
        given_up = store.create(6, 1, SERVERS, 1)
        given_up.abort()
        self.assertEqual(list(self.reopen(store).list()), [])

    def test_unknownId(self) -> None:
        """An id that there is not is a KeyError."""
        store = self.make_store()
        for id in ("1-1-1", "", "..", "../x"):
            self.assertRaises(KeyError, store.open, id)

    def test_emptyState(self) -> None:
        """A state of no bytes is a state."""
        store = self.make_store()
        meta = self.save(store, 1, b"")
        _, stream = self.reopen(store).open(meta.id)
        self.assertEqual(stream.read(), b"")
        stream.close()


def refusal(case: Any, waited: Deferred[Any], *kinds: type[TxconsulError]) -> TxconsulError:
    """The error with which a Deferred has failed."""
    error: TxconsulError = case.failureResultOf(waited, *kinds).value
    return error
