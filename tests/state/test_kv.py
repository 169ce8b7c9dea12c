"""The key-value store, through commands."""

from __future__ import annotations

from twisted.trial.unittest import SynchronousTestCase

from tests.state.driving import Driven
from txconsul.errors import InvalidRequest
from txconsul.records.kv import DirEntry, TombstoneRequest
from txconsul.state.watches import kv_key, kv_prefix

S1, S2 = "11111111-aaaa-4aaa-8aaa-000000000001", "22222222-aaaa-4aaa-8aaa-000000000002"


class WritingTests(SynchronousTestCase):
    """Set, compare, delete."""

    def setUp(self) -> None:
        self.it = Driven()
        self.kv = self.it.store.kv

    def test_setKeepsTheCreateIndex(self) -> None:
        """A key keeps the index of its creation and gets that of its last change."""
        self.it.kv("set", b"a", b"1", flags=7)
        self.it.kv("set", b"a", b"2")
        self.assertEqual(self.kv.get(b"a"), (2, DirEntry(key=b"a", value=b"2", create_index=1, modify_index=2)))

    def test_sameValueChangesNothing(self) -> None:
        """Writing what is there keeps the index and wakes nobody; other flags are a change."""
        self.it.kv("set", b"a", b"1")
        woken = self.it.watch(kv_key(b"a"), kv_prefix(b""))
        self.it.kv("set", b"a", b"1")
        self.assertEqual(self.kv.get(b"a")[0], 1)
        self.assertEqual(self.kv.index, 1)
        self.assertEqual(woken, [])
        self.it.kv("set", b"a", b"1", flags=1)
        self.assertEqual(self.kv.get(b"a")[0], 3)
        self.assertEqual(woken, [3])

    def test_nothingIsLikeEmpty(self) -> None:
        """No value and an empty one are the same when writing."""
        self.it.kv("set", b"a", None)
        self.it.kv("set", b"a", b"")
        self.assertEqual(self.kv.get(b"a")[0], 1)

    def test_cas(self) -> None:
        """cas writes at the right index; 0 means that there is none yet."""
        self.assertIs(self.it.kv("cas", b"a", b"1", modify_index=4), False)
        self.assertIs(self.it.kv("cas", b"a", b"1", modify_index=0), True)
        self.assertIs(self.it.kv("cas", b"a", b"2", modify_index=0), False)
        self.assertIs(self.it.kv("cas", b"a", b"2", modify_index=2), True)
        self.assertEqual(self.kv.get(b"a")[0], 4)

    def test_deleteCAS(self) -> None:
        """delete-cas deletes at the right index; what is not there counts as deleted."""
        self.it.kv("set", b"a")
        self.assertIs(self.it.kv("delete-cas", b"a", modify_index=9), False)
        self.assertIs(self.it.kv("delete-cas", b"a", modify_index=1), True)
        self.assertIs(self.it.kv("delete-cas", b"a", modify_index=1), True)
        self.assertIsNone(self.kv.get(b"a")[1])

    def test_deleteTree(self) -> None:
        """delete-tree takes everything under the prefix; without a prefix, everything."""
        for key in (b"a", b"a/1", b"a/2", b"ab", b"b"):
            self.it.kv("set", key)
        self.it.kv("delete-tree", b"a/")
        self.assertEqual(self.kv.keys(b"")[1], [b"a", b"ab", b"b"])
        self.it.kv("delete-tree", b"")
        self.assertEqual(self.kv.keys(b"")[1], [])
        self.assertEqual(self.kv.index, 7)

    def test_unknownOperation(self) -> None:
        """A KV operation that nobody knows is refused with Consul's words."""
        refusal = self.it.kv("twist", b"a")
        self.assertIsInstance(refusal, InvalidRequest)
        self.assertEqual(str(refusal), "Invalid KVS operation 'twist'")


class IndexTests(SynchronousTestCase):
    """The index of a prefix goes neither back nor forth when something else is written."""

    def setUp(self) -> None:
        self.it = Driven()
        self.kv = self.it.store.kv

    def test_emptyStore(self) -> None:
        """The index is never 0."""
        self.assertEqual(self.kv.get(b"a"), (1, None))
        self.assertEqual(self.kv.list(b""), (1, []))
        self.assertEqual(self.kv.keys(b"a/"), (1, []))

    def test_prefix(self) -> None:
        """A prefix has the highest index below it; an empty one, or a missing key, the whole store's."""
        self.it.kv("set", b"x/1")
        self.it.kv("set", b"x/2")
        self.it.kv("set", b"y")
        self.assertEqual(self.kv.list(b"x/")[0], 2)
        self.assertEqual(self.kv.keys(b"x/", b"/")[0], 2)
        self.assertEqual(self.kv.list(b"")[0], 3)
        self.assertEqual(self.kv.list(b"none/")[0], 3)
        self.assertEqual(self.kv.get(b"none")[0], 3)

    def test_tombstones(self) -> None:
        """After a delete the prefix has the index of the delete, also once others are written."""
        self.it.kv("set", b"x/1")
        self.it.kv("set", b"x/2")
        self.it.kv("delete", b"x/2")
        self.it.kv("set", b"y")
        self.assertEqual(self.kv.list(b"x/")[0], 3)
        self.it.kv("delete", b"x/2")
        self.assertEqual(self.kv.list(b"x/")[0], 3)
        self.it.kv("delete-tree", b"x/")
        self.it.kv("set", b"y", b"2")
        self.assertEqual(self.kv.list(b"x/"), (6, []))

    def test_reaping(self) -> None:
        """Reaped tombstones are forgotten up to an index; then the prefix has the store's index."""
        for key in (b"x", b"y"):
            self.it.kv("set", key)
            self.it.kv("delete", key)
        self.it.reap(2)
        self.assertEqual(self.it.store.tables.tombstones.rows, {b"y": 4})
        self.assertEqual(self.kv.list(b"y")[0], 4)
        self.it.kv("set", b"z")
        self.assertEqual(self.kv.list(b"x")[0], 6)
        refusal = self.it.apply(5, TombstoneRequest(op="sow"))
        self.assertEqual(str(refusal), "Invalid Tombstone operation 'sow'")

    def test_keysAreCutAtTheSeparator(self) -> None:
        """Keys are cut behind the first separator after the prefix, each once, in order."""
        for key in (b"a", b"a/b", b"a/b/c", b"a/d/e", b"a/d/f", b"b"):
            self.it.kv("set", key)
        self.assertEqual(self.kv.keys(b"", b"/")[1], [b"a", b"a/", b"b"])
        self.assertEqual(self.kv.keys(b"a/", b"/")[1], [b"a/b", b"a/b/", b"a/d/"])
        self.assertEqual(self.kv.keys(b"a", b"/")[1], [b"a", b"a/"])


class LockTests(SynchronousTestCase):
    """Locks held by sessions."""

    def setUp(self) -> None:
        self.it = Driven()
        self.kv = self.it.store.kv
        self.it.register("n1")
        self.it.session(S1)
        self.it.session(S2)

    def test_lockAndUnlock(self) -> None:
        """A lock is had by one session at a time; the lock index counts how often it was acquired."""
        self.assertIs(self.it.kv("lock", b"k", b"1", session=S1), True)
        self.assertIs(self.it.kv("lock", b"k", b"2", session=S2), False)
        self.assertIs(self.it.kv("lock", b"k", b"2", session=S1), True)
        self.assertIs(self.it.kv("unlock", b"k", b"3", session=S2), False)
        self.assertIs(self.it.kv("unlock", b"k", b"3", session=S1), True)
        self.assertIs(self.it.kv("lock", b"k", b"4", session=S2), True)
        entry = self.kv.get(b"k")[1]
        assert entry is not None
        self.assertEqual((entry.lock_index, entry.session, entry.value), (2, S2, b"4"))
        self.assertEqual(self.kv.held_by(S2), [b"k"])

    def test_sessionIsChecked(self) -> None:
        """A lock needs a session that exists."""
        self.assertEqual(str(self.it.kv("lock", b"k")), "missing session")
        self.assertEqual(str(self.it.kv("lock", b"k", session="gone")), 'invalid session "gone"')
        self.assertEqual(str(self.it.kv("unlock", b"k")), "missing session")
        self.assertIs(self.it.kv("unlock", b"k", session=S1), False)

    def test_setKeepsTheHolder(self) -> None:
        """Locks are advisory: anybody may write; the holder stays."""
        self.it.kv("lock", b"k", b"1", session=S1)
        self.it.kv("set", b"k", b"2", session=S2)
        entry = self.kv.get(b"k")[1]
        assert entry is not None
        self.assertEqual((entry.session, entry.value), (S1, b"2"))
