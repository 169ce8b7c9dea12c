"""Snapshots: Consul's stream of records, out and in."""

from __future__ import annotations

import io
import tarfile
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from tests.records.test_commands import in_order
from tests.state.driving import Driven, rows
from tests.vectors import data, load
from txconsul.codec.gomsgpack import encode, pack, stream
from txconsul.errors import Corrupt
from txconsul.records.autopilot import AutopilotConfig, AutopilotSetConfigRequest
from txconsul.records.catalog import CheckServiceNode, Node
from txconsul.records.command import Command
from txconsul.records.connect_ca import CAConfiguration, CAConsulProviderState, CARequest, CARoot
from txconsul.records.coordinate import Coordinate, Position
from txconsul.records.federation import FederationState, FederationStateRequest
from txconsul.records.kv import DirEntry
from txconsul.records.prepared_query import PreparedQuery, PreparedQueryRequest, ServiceQuery
from txconsul.records.service import NodeService, ServiceConnect
from txconsul.state.machine import StateMachine
from txconsul.state.snapshot import KEPT, ORDER, PIECE_BYTES
from txconsul.state.watches import kv_key, service

ID = "11111111-aaaa-4aaa-8aaa-000000000001"


def restored(frozen: bytes) -> StateMachine:
    machine = StateMachine()
    for _ in machine.restore(io.BytesIO(frozen)):
        pass
    return machine


def full() -> Driven:
    """A state with something of every kind."""
    it = Driven()
    it.register("n1", service=NodeService(id="web1", service="web", tags=("v1",)), node_meta={"a": "b"})
    it.register("n2")
    it.check("n1", "alive")
    it.check("n1", "web-up", service_id="web1")
    it.session(ID, node_checks=("alive",), lock_delay=15)
    query = PreparedQuery(id=ID, name="web", session=ID, service=ServiceQuery(service="web", tags=("v1",)))
    it.apply(Command.PREPARED_QUERY, PreparedQueryRequest(op="create", query=query))
    it.kv("lock", b"k", b"v", session=ID)
    it.kv("set", b"a/\xff", None, flags=2**63)
    it.kv("set", b"gone")
    it.kv("delete", b"gone")
    it.apply(Command.AUTOPILOT, AutopilotSetConfigRequest(config=AutopilotConfig(min_quorum=3)))
    it.switch_virtual_ips_on()
    it.register("n2", service=NodeService(id="native", service="native", connect=ServiceConnect(native=True)))
    it.register("n2", service=NodeService(id="gone", service="gone", connect=ServiceConnect(native=True)))
    it.deregister("n2", service_id="gone")
    update = pack([{"Coord": {"Vec": [0.5] * 8}, "Node": "n1", "Segment": ""}])
    it.index += 1
    it.machine.apply(it.index, bytes([Command.COORDINATE_BATCH_UPDATE | 0x80]) + update, None)
    it.apply(Command.CONNECT_CA, CARequest(op="set-roots", roots=(CARoot(id="r", active=True),)))
    it.apply(Command.CONNECT_CA, CARequest(op="set-provider-state", provider_state=CAConsulProviderState(id="p")))
    it.apply(Command.CONNECT_CA, CARequest(op="set-config", config=CAConfiguration(cluster_id="c", config={"k": "v"})))
    state = FederationState(datacenter="dc2", mesh_gateways=(CheckServiceNode(node=Node(node="gate")),))
    it.apply(Command.FEDERATION_STATE, FederationStateRequest(op="upsert", state=state))
    it.machine.applied(it.index)
    return it


class RoundTripTests(SynchronousTestCase):
    """What is frozen can be restored, whole."""

    def test_everyKind(self) -> None:
        """A restored state has the same rows, indexes and order, and freezes to the same bytes."""
        it = full()
        frozen = b"".join(it.machine.freeze())
        machine = restored(frozen)
        self.assertEqual(rows(machine.store), rows(it.store))
        self.assertEqual(b"".join(machine.freeze()), frozen)
        self.assertEqual(machine.store.kv.held_by(ID), [b"k"])
        self.assertEqual(machine.store.catalog.check_service_nodes("web"), it.store.catalog.check_service_nodes("web"))
        self.assertEqual(
            machine.store.coordinates.of_node("n1")[1], [Coordinate(node="n1", coord=Position(vec=(0.5,) * 8))]
        )

    def test_restoredStateGoesOn(self) -> None:
        """A restored session still ends with its check, and takes its lock and its query along."""
        it = full()
        frozen = b"".join(it.machine.freeze())
        for _ in it.machine.restore(io.BytesIO(frozen)):
            pass
        it.check("n1", "alive", "critical")
        entry = it.store.kv.get(b"k")[1]
        assert entry is not None
        self.assertEqual(entry.session, "")
        self.assertIsNone(it.store.prepared_queries.resolve("web", ""))
        self.assertEqual(it.store.take_lock_delays(), [(b"k", 15)])

    def test_frozenIsFrozen(self) -> None:
        """What is written after the freeze does not show in the picture."""
        it = full()
        frozen = b"".join(it.machine.freeze())
        picture = it.machine.freeze()
        it.kv("set", b"k", b"other")
        it.kv("delete-tree", b"")
        it.deregister("n1")
        self.assertEqual(b"".join(picture), frozen)

    def test_order(self) -> None:
        """Records come in Consul's order, kinds that are only kept among them."""
        it = full()
        for type_ in ORDER:
            if type_ in KEPT:
                it.store.tables.kept[int(type_)] = [{b"ID": b"%d" % type_}]
        values = stream(io.BytesIO(b"".join(it.machine.freeze())).read)
        self.assertEqual(next(values), {b"LastIndex": 20})
        seen = list(dict.fromkeys(type_ for type_, _ in zip(values, values, strict=True)))
        self.assertEqual(seen, list(map(int, ORDER)))

    def test_piecesAreBounded(self) -> None:
        """Pieces are cut by their bytes, so that large values do not add up."""
        it = Driven()
        for n in range(40):
            it.store.kv.set(n + 1, DirEntry(key=b"k%d" % n, value=bytes(50_000)))
        sizes = [len(piece) for piece in it.machine.freeze()]
        self.assertLess(max(sizes), PIECE_BYTES + 60_000)
        self.assertGreater(len(sizes), 10)


class RestoringTests(SynchronousTestCase):
    """A restore happens whole, at its last step, or not at all."""

    def test_swappedAtTheEnd(self) -> None:
        """Until the last step the old state stands; then it is replaced, and everybody is woken."""
        frozen = b"".join(full().machine.freeze())
        it = Driven()
        it.kv("set", b"old", b"1")
        woken = it.watch(kv_key(b"unrelated"), service("web"))
        shares = []
        for share in it.machine.restore(io.BytesIO(frozen)):
            shares.append(share)
            if share < 1.0:
                self.assertEqual(it.store.kv.get(b"old")[0], 1)
                self.assertEqual(woken, [])
        self.assertEqual(shares, sorted(shares))
        self.assertEqual(shares[-1], 1.0)
        self.assertIsNone(it.store.kv.get(b"old")[1])
        self.assertIs(it.machine.store, it.store)
        self.assertEqual(woken, [1])

    def test_stepsAreBounded(self) -> None:
        """Each step takes a bounded number of records and tells how far it is."""
        it = Driven()
        for n in range(5000):
            it.store.kv.set(n + 1, DirEntry(key=b"k%05d" % n, value=b"v"))
        machine = StateMachine()
        shares = list(machine.restore(io.BytesIO(b"".join(it.machine.freeze()))))
        self.assertGreaterEqual(len(shares), 10)
        self.assertTrue(all(0 <= share <= 1 for share in shares))
        self.assertEqual(rows(machine.store), rows(it.store))

    def test_damageLeavesTheOldState(self) -> None:
        """A stream that ends early, or holds a record of an unknown type, is refused; the old state stands."""
        frozen = b"".join(full().machine.freeze())
        header = pack({"LastIndex": 1})
        for damaged in (
            b"",
            frozen[:-1],
            b"\xc0",
            pack({"Index": 1}),
            header + b"\x02",
            header + b"\x02\xc0",
            header + pack(64) + pack({}),
            header + pack(34) + pack({}),
            header + pack(-1) + pack({}),
            header + b"\x02" + encode(DirEntry(key=b"a"))[:-3],
            header + b"\x00" + pack({"Node": b"n", "Check": {"Node": "m"}}),
            header + b"\x10" + pack({"Key": 1, "Value": 1}),
            header + b"\x06" + pack({}),
        ):
            it = Driven()
            it.kv("set", b"old")
            with self.assertRaises(Corrupt):
                for _ in it.machine.restore(io.BytesIO(damaged)):
                    pass
            self.assertEqual(it.store.kv.get(b"old")[0], 1)

    def test_anyDamageIsCorruptOrHarmless(self) -> None:
        """Whatever bytes are changed, cut or added: the restore ends, or raises Corrupt and nothing else."""
        frozen = bytearray(b"".join(full().machine.freeze()))

        @settings(max_examples=400, deadline=None)
        @given(st.data())
        def decided(draw: Any) -> None:
            damaged = bytearray(frozen)
            for _ in range(draw.draw(st.integers(1, 4))):
                at = draw.draw(st.integers(0, len(damaged) - 1))
                kind = draw.draw(st.sampled_from(["flip", "cut", "insert", "drop"]))
                if kind == "flip":
                    damaged[at] = draw.draw(st.integers(0, 255))
                elif kind == "cut" and at:
                    del damaged[at:]
                elif kind == "insert":
                    damaged[at:at] = draw.draw(st.binary(min_size=1, max_size=8))
                else:
                    del damaged[at : at + 3]
                if not damaged:
                    break
            try:
                machine = restored(bytes(damaged))
            except Corrupt:
                return
            for _ in machine.freeze():
                pass

        decided()


class CapturedTests(SynchronousTestCase):
    """A snapshot of a real cluster."""

    def test_archive(self) -> None:
        """It is restored, read, and written back: the same bytes, but for the order of maps, which Go leaves open."""
        (vector,) = load("snapshot_archive")
        with tarfile.open(fileobj=io.BytesIO(data(vector))) as archive:
            member = archive.extractfile("state.bin")
            assert member is not None
            state = member.read()
        machine = restored(state)
        again = b"".join(machine.freeze())
        ours, theirs = (list(stream(io.BytesIO(one).read)) for one in (again, state))
        self.assertEqual(len(again), len(state))
        self.assertEqual([pack(in_order(one)) for one in ours], [pack(in_order(one)) for one in theirs])
        self.assertEqual([one.node for one in machine.store.catalog.nodes()[1]], ["ext1", "s1", "s3", "txnode"])
        self.assertEqual(machine.store.catalog.service_nodes("db")[0], 39)
        self.assertEqual(machine.store.kv.index, 127)
