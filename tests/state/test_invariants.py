"""
What must hold after any commands on the catalog and its sessions, whatever they are.
"""

from __future__ import annotations

import io
import os
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from tests.state.driving import Driven, key_op, rows
from txconsul.records.catalog import Node
from txconsul.records.health import HealthCheck
from txconsul.records.service import ConnectProxyConfig, NodeService, ServiceConnect
from txconsul.records.txn import TxnCheckOp, TxnNodeOp, TxnOp, TxnServiceOp
from txconsul.state.machine import StateMachine
from txconsul.state.table import Index
from txconsul.state.tables import PEER

EXAMPLES = int(os.environ.get("TXCONSUL_EXAMPLES", "150"))

NODES = st.sampled_from(["n1", "N1", "n2", "n3"])
IDS = st.sampled_from(["", "", "40e4a748-2192-161a-0510-9bf59fe950b5", "50e4a748-2192-161a-0510-9bf59fe950b5"])
SERVICES = st.builds(
    NodeService,
    id=st.sampled_from(["a", "A", "b"]),
    service=st.sampled_from(["web", "Web", "db"]),
    port=st.sampled_from([0, 80]),
    kind=st.sampled_from(["", "", "connect-proxy"]),
    connect=st.builds(ServiceConnect, native=st.sampled_from([False, False, True])),
    proxy=st.builds(ConnectProxyConfig, destination_service_name=st.sampled_from(["web", "db"])),
)
CHECK_IDS = st.sampled_from(["serfHealth", "c", "C"])
STATUSES = st.sampled_from(["passing", "passing", "warning", "critical"])
SESSIONS = st.sampled_from(["1", "2"])
STEPS = st.lists(
    st.one_of(
        st.tuples(st.just("register"), NODES, IDS, SERVICES | st.none()),
        st.tuples(st.just("register"), NODES, IDS, SERVICES),
        st.tuples(st.just("check"), NODES, CHECK_IDS, STATUSES, st.sampled_from(["", "", "a", "b"])),
        st.tuples(st.just("session"), SESSIONS, NODES, st.sampled_from([(), ("serfHealth",), ("c",)])),
        st.tuples(st.just("lock"), SESSIONS, st.sampled_from([b"k", b"l"])),
        st.tuples(st.just("deregister"), NODES, st.sampled_from(["", "a", "b"]), st.sampled_from(["", "c"])),
        st.tuples(st.just("txn"), NODES, SERVICES, CHECK_IDS, STATUSES, st.booleans()),
        st.tuples(st.just("switch")),
    ),
    min_size=5,
    max_size=30,
)


def perform(it: Driven, step: tuple[Any, ...]) -> Any:
    kind, *given_ = step
    if kind == "register":
        node, id, service = given_
        return it.register(node, id=id, service=service)
    if kind == "check":
        node, check_id, status, service_id = given_
        return it.check(node, check_id, status, service_id=service_id)
    if kind == "session":
        id, node, checks = given_
        return it.session(id, node=node, node_checks=checks)
    if kind == "lock":
        return it.kv("lock", given_[1], session=given_[0])
    if kind == "deregister":
        node, service_id, check_id = given_
        return it.deregister(node, service_id=service_id, check_id=check_id)
    if kind == "switch":
        return it.switch_virtual_ips_on()
    node, service, check_id, status, failing = given_
    return it.txn(
        TxnOp(node=TxnNodeOp(verb="set", node=Node(node=node, address="10.0.0.9"))),
        TxnOp(service=TxnServiceOp(verb="set", node=node, service=service)),
        TxnOp(check=TxnCheckOp(verb="set", check=HealthCheck(node=node, check_id=check_id, status=status))),
        TxnOp(service=TxnServiceOp(verb="delete", node=node, service=NodeService(id="b"))),
        *([key_op("get", b"none")] if failing else []),
    )


class InvariantTests(SynchronousTestCase):
    """Tables, their indexes and Consul's index table fit together."""

    def test_anyCommands(self) -> None:
        """Secondary indexes fit their rows, parts have a whole, indexes do not go back, refusals leave nothing."""

        @settings(max_examples=EXAMPLES, deadline=None)
        @given(STEPS)
        def hold(steps: list[tuple[Any, ...]]) -> None:
            it = Driven()
            for step in steps:
                before = rows(it.store)
                result = perform(it, step)
                if isinstance(result, Exception) or (step[0] == "txn" and result.errors):
                    self.assertEqual(rows(it.store), before, step)
                self.secondary_indexes_fit(it)
                self.parts_have_a_whole(it)
                for name, index in it.store.tables.indexes.rows.items():
                    self.assertLessEqual(before["index"].get(name, 0), index, name)
                    self.assertLessEqual(index, it.index, name)

        hold()

    def test_snapshotRoundTrip(self) -> None:
        """A restored state is the same, and goes on in the same way."""

        @settings(max_examples=EXAMPLES, deadline=None)
        @given(STEPS, STEPS)
        def same(steps: list[tuple[Any, ...]], more: list[tuple[Any, ...]]) -> None:
            it = Driven()
            for step in steps:
                perform(it, step)
            other = Driven()
            other.index = it.index
            for _ in other.machine.restore(io.BytesIO(b"".join(it.machine.freeze()))):
                pass
            self.assertEqual(rows(other.store), rows(it.store))
            for step in more:
                self.assertEqual(str(perform(other, step)), str(perform(it, step)))
            self.assertEqual(rows(other.store), rows(it.store))

        same()

    def secondary_indexes_fit(self, it: Driven) -> None:
        for table in it.store.tables.all():
            for index in table._indexes:
                if not isinstance(index, Index):
                    continue
                fresh: Index[Any, Any] = Index(index._names)
                for key, row in table.rows.items():
                    fresh.move(key, None, row)
                self.assertEqual(index._rows, fresh._rows, table.name)
            if table.ordered is not None:
                self.assertEqual(list(table.ordered), sorted(table.rows))

    def parts_have_a_whole(self, it: Driven) -> None:
        tables = it.store.tables
        indexes = tables.indexes.rows
        for key, check in tables.checks.rows.items():
            self.assertIn(key[0], tables.nodes.rows)
            if check.service_id:
                self.assertIn((key[0], check.service_id.lower()), tables.services.rows)
        for key, service in tables.services.rows.items():
            self.assertIn(key[0], tables.nodes.rows)
            self.assertIn(f"{PEER}service.{service.service.lower()}", indexes)
        for key in tables.nodes.rows:
            self.assertIn(f"{PEER}node.{key}", indexes)
        for session in tables.sessions.rows.values():
            self.assertIn(session.node.lower(), tables.nodes.rows)
            for id in session.node_checks or ():
                check = tables.checks.rows[session.node.lower(), id.lower()]
                self.assertNotEqual(check.status, "critical")
        for entry in tables.kv.rows.values():
            self.assertTrue(not entry.session or entry.session in tables.sessions.rows)
        ids = [node.id for node in tables.nodes.rows.values() if node.id]
        self.assertEqual(len(ids), len(set(ids)))


class FreshMachineTests(SynchronousTestCase):
    """A state without anything in it."""

    def test_emptySnapshot(self) -> None:
        """An empty state has a snapshot too."""
        machine = StateMachine()
        for _ in machine.restore(io.BytesIO(b"".join(StateMachine().freeze()))):
            pass
        self.assertEqual(rows(machine.store), rows(StateMachine().store))
