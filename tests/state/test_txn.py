"""Transactions: all or nothing, and every failure is told."""

from __future__ import annotations

from twisted.trial.unittest import SynchronousTestCase

from tests.state.driving import Driven, key_op, rows
from txconsul.records.catalog import Node
from txconsul.records.health import HealthCheck
from txconsul.records.kv import DirEntry
from txconsul.records.service import NodeService
from txconsul.records.session import Session
from txconsul.records.txn import (
    TxnCheckOp,
    TxnError,
    TxnNodeOp,
    TxnOp,
    TxnRequest,
    TxnResponse,
    TxnServiceOp,
    TxnSessionOp,
)
from txconsul.state.txn import UnknownVerb
from txconsul.state.watches import kv_key

ID = "11111111-aaaa-4aaa-8aaa-000000000001"


def node_op(verb: str, node: str, **fields: object) -> TxnOp:
    return TxnOp(node=TxnNodeOp(verb=verb, node=Node(node=node, address="10.0.0.1", **fields)))  # type: ignore[arg-type]


def service_op(verb: str, node: str, **fields: object) -> TxnOp:
    return TxnOp(service=TxnServiceOp(verb=verb, node=node, service=NodeService(**fields)))  # type: ignore[arg-type]


def check_op(verb: str, node: str, **fields: object) -> TxnOp:
    return TxnOp(check=TxnCheckOp(verb=verb, check=HealthCheck(node=node, **fields)))  # type: ignore[arg-type]


class KeyTests(SynchronousTestCase):
    """Verbs on keys."""

    def setUp(self) -> None:
        self.it = Driven()
        self.it.kv("set", b"old", b"1")

    def failures(self, *ops: TxnOp) -> list[str]:
        response = self.it.txn(*ops)
        self.assertIsNone(response.results)
        return [error.what for error in response.errors or ()]

    def test_writesAndReads(self) -> None:
        """Operations see what earlier ones wrote; writes answer without the value, reads with it."""
        response = self.it.txn(
            key_op("set", b"a/1", b"x", flags=3),
            key_op("get", b"a/1"),
            key_op("cas", b"old", b"2", modify_index=1),
            key_op("get-tree", b""),
            key_op("delete", b"a/1"),
            key_op("get-or-empty", b"a/1", flags=9),
            key_op("check-not-exists", b"a/1"),
            key_op("check-index", b"old", modify_index=2),
            key_op("delete-cas", b"old", modify_index=2),
            key_op("delete-tree", b"a/"),
        )
        self.assertIsNone(response.errors)
        a = DirEntry(key=b"a/1", flags=3, create_index=2, modify_index=2)
        old = DirEntry(key=b"old", create_index=1, modify_index=2)
        full = [
            a,
            DirEntry(key=b"a/1", flags=3, create_index=2, modify_index=2, value=b"x"),
            old,
            DirEntry(key=b"a/1", flags=3, create_index=2, modify_index=2, value=b"x"),
            DirEntry(key=b"old", create_index=1, modify_index=2, value=b"2"),
            DirEntry(key=b"a/1", flags=9),
            old,
        ]
        self.assertEqual([result.kv for result in response.results or ()], full)

    def test_oneFailureUndoesAll(self) -> None:
        """If any operation fails, nothing has happened, nobody is woken, and each failure is told with its place."""
        before = rows(self.it.store)
        woken = self.it.watch(kv_key(b"new"), kv_key(b"old"))
        response = self.it.txn(
            key_op("set", b"new", b"1"),
            key_op("get", b"none"),
            key_op("delete-tree", b""),
            key_op("cas", b"x", modify_index=8),
        )
        self.assertEqual(
            response.errors,
            (
                TxnError(op_index=1, what='key "none" doesn\'t exist'),
                TxnError(op_index=3, what='failed to set key "x", index is stale'),
            ),
        )
        self.assertEqual(rows(self.it.store), before)
        self.assertEqual(list(self.it.store.tables.kv.ordered or ()), [b"old"])
        self.assertEqual(woken, [])

    def test_failures(self) -> None:
        """Each verb fails in Consul's words."""
        self.it.register("n1")
        self.it.session(ID)
        told = self.failures(
            key_op("delete-cas", b"old", modify_index=9),
            key_op("lock", b"old"),
            key_op("lock", b"old", session="no"),
            key_op("unlock", b"old", session=ID),
            key_op("check-index", b"old", modify_index=9),
            key_op("check-index", b"none", modify_index=9),
            key_op("check-session", b"old", session=ID),
            key_op("check-session", b"none", session=ID),
            key_op("check-not-exists", b"old"),
        )
        self.assertEqual(
            told,
            [
                'failed to delete key "old", index is stale',
                "missing session",
                'invalid session "no"',
                'failed to unlock key "old", lock isn\'t held, or is held by another session',
                'failed index check for key "old", current modify index 1 != 9',
                'failed to check index, key "none" doesn\'t exist',
                f'failed session check for key "old", current session "" != "{ID}"',
                'failed to check session, key "none" doesn\'t exist',
                'key "old" exists',
            ],
        )

    def test_locks(self) -> None:
        """Locks are had and given back in a transaction."""
        self.it.register("n1")
        self.it.session(ID)
        response = self.it.txn(key_op("lock", b"k", b"v", session=ID), key_op("check-session", b"k", session=ID))
        self.assertIsNone(response.errors)
        response = self.it.txn(key_op("lock", b"k", session="22222222"), key_op("unlock", b"k", session=ID))
        self.assertEqual([error.op_index for error in response.errors or ()], [0])
        self.assertIsNone(self.it.txn(key_op("unlock", b"k", session=ID)).errors)

    def test_readingOnly(self) -> None:
        """A transaction that only reads runs without a command."""
        response = self.it.store.read_txn([key_op("get", b"old"), key_op("get-tree", b"o")])
        self.assertEqual([result.kv and result.kv.value for result in response.results or ()], [b"1", b"1"])

    def test_unknownVerbStops(self) -> None:
        """A verb, or an operation, that nobody knows is not refused but raised: the server stops."""
        for op in (
            key_op("twist", b"a"),
            node_op("twist", "n"),
            service_op("twist", "n"),
            check_op("twist", "n"),
            TxnOp(),
        ):
            with self.assertRaises(UnknownVerb):
                self.it.txn(op)


class CatalogTests(SynchronousTestCase):
    """Verbs on nodes, services, checks and sessions."""

    def setUp(self) -> None:
        self.it = Driven()

    def test_everything(self) -> None:
        """Node, service and check are set, read, compared and deleted."""
        response = self.it.txn(
            node_op("set", "n1"),
            service_op("set", "n1", id="web1", service="web"),
            check_op("set", "n1", check_id="up", service_id="web1", status="passing"),
        )
        self.assertIsNone(response.errors)
        node, service, check = response.results or ()
        assert node.node is not None and service.service is not None and check.check is not None
        self.assertEqual((node.node.node, service.service.id, check.check.service_name), ("n1", "web1", "web"))
        response = self.it.txn(
            node_op("cas", "n1", modify_index=1, meta={"a": "b"}),
            service_op("cas", "n1", id="web1", service="web", port=80, modify_index=1),
            check_op("cas", "n1", check_id="up", service_id="web1", status="warning", modify_index=1),
            node_op("get", "n1"),
            service_op("get", "n1", id="web1"),
            check_op("get", "n1", check_id="up"),
        )
        self.assertIsNone(response.errors)
        self.assertEqual(len(response.results or ()), 6)
        response = self.it.txn(
            check_op("delete-cas", "n1", check_id="up", modify_index=2),
            service_op("delete-cas", "n1", id="web1", modify_index=2),
            node_op("delete-cas", "n1", modify_index=2),
            check_op("delete", "n1", check_id="up"),
            service_op("delete", "n1", id="web1"),
            node_op("delete", "n1"),
        )
        self.assertEqual(response, TxnResponse(results=()))
        self.assertEqual(self.it.store.catalog.nodes()[1], [])

    def test_failures(self) -> None:
        """Each fails in Consul's words, and nothing has happened."""
        response = self.it.txn(
            node_op("get", "n1"),
            node_op("cas", "n1", modify_index=3),
            node_op("delete-cas", "n1"),
            service_op("get", "n1", id="w"),
            service_op("set", "n1", id="w", service="w"),
            service_op("cas", "n1", id="w", modify_index=3),
            service_op("delete-cas", "n1", id="w"),
            check_op("get", "n1", check_id="c"),
            check_op("set", "n1", check_id="c"),
            check_op("cas", "n1", check_id="c", modify_index=3),
            check_op("delete-cas", "n1", check_id="c"),
        )
        self.assertEqual(
            [error.what for error in response.errors or ()],
            [
                'node "n1" doesn\'t exist',
                'failed to set node "n1", index is stale',
                'failed to delete node "n1", index is stale',
                'service "w" on node "n1" doesn\'t exist',
                "Missing node registration",
                'failed to set service "w" on node "n1", index is stale',
                'failed to delete service "w" on node "n1", index is stale',
                'check "c" on node "n1" doesn\'t exist',
                "Missing node registration",
                'failed to set check "c" on node "n1", index is stale',
                'failed to delete check "c" on node "n1", index is stale',
            ],
        )
        self.assertEqual(self.it.store.index, 0)

    def test_comparedAndRefused(self) -> None:
        """What a comparison lets through and the catalog refuses is no failure, and changes nothing."""
        self.it.register("n1")
        self.it.txn(node_op("set", "n1", id=ID), check_op("set", "n1", check_id="serfHealth", status="passing"))
        other = ID.replace("1", "2")
        before = rows(self.it.store)
        response = self.it.txn(
            check_op("cas", "n2", check_id="c"),
            check_op("cas", "n1", check_id="c", service_id="nothing"),
            node_op("cas", "n1", id=other, modify_index=2),
        )
        self.assertEqual(response, TxnResponse(results=()))
        self.assertEqual(rows(self.it.store), before)

    def test_namelessCheck(self) -> None:
        """A check without a node or an id is not found, in the words of Consul's table; whatever is done with it."""
        self.it.register("n1")
        response = self.it.txn(
            check_op("get", "n1"),
            check_op("set", "n1"),
            check_op("cas", "n1"),
            check_op("delete", "", check_id="c"),
            check_op("delete-cas", "n1"),
        )
        missing = "index error: object is missing a value for this index"
        self.assertEqual(
            [error.what for error in response.errors or ()],
            [
                f"failed check lookup: {missing}",
                f"failed health check lookup: {missing}",
                f"failed check lookup: {missing}",
                f"check lookup failed: {missing}",
                f"check lookup failed: failed check lookup: {missing}",
            ],
        )

    def test_sessions(self) -> None:
        """A session is deleted without a word about its keys."""
        self.it.register("n1")
        self.it.session(ID)
        self.it.kv("lock", b"k", session=ID)
        self.it.txn(TxnOp(session=TxnSessionOp(verb="delete", session=Session(id=ID))))
        self.assertEqual(self.it.store.sessions.list(), (4, []))
        entry = self.it.store.kv.get(b"k")[1]
        assert entry is not None
        self.assertEqual(entry.session, ID)

    def test_undoneEndOfASession(self) -> None:
        """A session that ended in a transaction which fails is there again, and no lock delay remains."""
        self.it.register("n1")
        self.it.session(ID, lock_delay=15)
        self.it.kv("lock", b"k", session=ID)
        before = rows(self.it.store)
        self.it.txn(node_op("delete", "n1"), key_op("get", b"none"))
        self.assertEqual(rows(self.it.store), before)
        self.assertEqual(self.it.store.take_lock_delays(), [])
        self.assertEqual(self.it.store.kv.held_by(ID), [b"k"])

    def test_emptyTransaction(self) -> None:
        """A transaction of nothing succeeds."""
        self.assertEqual(self.it.apply(8, TxnRequest()), TxnResponse(results=()))
