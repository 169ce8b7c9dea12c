"""The state machine: which commands it takes, and what it does with those it does not know."""

from __future__ import annotations

from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase
from zope.interface.verify import verifyObject

from tests.records.strategies import records
from tests.state.driving import Driven
from tests.vectors import data, load
from txconsul.codec.gomsgpack import encode, pack
from txconsul.errors import Corrupt, InvalidRequest
from txconsul.interfaces import IStateMachine
from txconsul.records.autopilot import (
    AutopilotConfig,
    AutopilotSetConfigRequest,
    SystemMetadataEntry,
    SystemMetadataRequest,
)
from txconsul.records.command import IGNORABLE, Command
from txconsul.records.coordinate import Coordinate, CoordinateBatch, Position
from txconsul.records.kv import DirEntry, KVSRequest
from txconsul.state.commands import COMMANDS, UnknownCommand, decode_command, encode_command
from txconsul.state.machine import StateMachine
from txconsul.state.watches import coordinate, kv_key

SET = KVSRequest(op="set", dir_ent=DirEntry(key=b"a", value=b"1"))


class MachineTests(SynchronousTestCase):
    """L{IStateMachine} over a store."""

    def test_interface(self) -> None:
        """It provides the interface."""
        verifyObject(IStateMachine, StateMachine())

    def test_bytesOrRecord(self) -> None:
        """The leader's record and a follower's bytes give the same state."""
        leader, follower = StateMachine(), StateMachine()
        bytes_ = bytes([Command.KVS]) + encode(SET)
        leader.apply(3, bytes_, SET)
        follower.apply(3, bytes_, None)
        self.assertEqual(leader.store.kv.get(b"a"), follower.store.kv.get(b"a"))

    def test_wakesAtTheEndOfABatch(self) -> None:
        """Waiters are woken once, when the batch ends, and find all of it."""
        machine = StateMachine()
        woken: list[object] = []
        machine.store.watches.wait([kv_key(b"a")], lambda: woken.append(machine.store.kv.get(b"a")[1]))
        for n in (b"1", b"2"):
            request = KVSRequest(op="set", dir_ent=DirEntry(key=b"a", value=n))
            machine.apply(int(n), bytes([Command.KVS]) + encode(request), request)
        self.assertEqual(woken, [])
        machine.applied(2)
        self.assertEqual(woken, [DirEntry(key=b"a", value=b"2", create_index=1, modify_index=2)])

    def test_unknownCommandStops(self) -> None:
        """A command that is not known raises, unless its bit 128 says that it may be ignored."""
        machine = StateMachine()
        for type_ in range(IGNORABLE):
            if type_ not in COMMANDS:
                with self.assertRaises(UnknownCommand):
                    machine.apply(1, bytes([type_]) + pack({}), None)
                self.assertIsNone(machine.apply(1, bytes([type_ | IGNORABLE]) + pack({}), None))
        self.assertEqual(machine.store.index, 0)

    def test_legacyACLsAreRefused(self) -> None:
        """Commands of the ACL system that Consul has dropped may stand in old logs: they do nothing."""
        refusal = StateMachine().apply(1, bytes([Command.ACL_LEGACY]) + pack({"Op": "set", "ACL": {}}), None)
        self.assertIsInstance(refusal, InvalidRequest)

    def test_malformedCommandStops(self) -> None:
        """An entry without a command, or with one that cannot be read, raises."""
        for damaged in (b"", b"\x02", b"\x02\x81", b"\x02" + pack([]), b"\x06" + pack({})):
            with self.assertRaises(Corrupt):
                StateMachine().apply(1, damaged, None)

    def test_encodingAndDecoding(self) -> None:
        """Every command that can be written can be read: the same record, marked as ignorable or not."""
        for type_ in COMMANDS:
            self.check(type_)

    def check(self, type_: int) -> None:
        @settings(max_examples=20, deadline=None)
        @given(records(COMMANDS[type_].record), st.booleans())
        def same(record: Any, ignorable: bool) -> None:
            encoded = encode_command(type_, record, ignorable=ignorable)
            self.assertEqual(encoded[0] & IGNORABLE != 0, ignorable)
            self.assertEqual(decode_command(encoded), (type_, record))

        same()

    def test_coordinates(self) -> None:
        """Positions of registered nodes are kept; those of others, and such that are none, are dropped."""
        it = Driven()
        it.register("n1")
        sound, unsound = Position(vec=(0.1,) * 8, error=1.5), Position(height=float("inf"))
        updates = [Coordinate(node=node, coord=at) for node, at in (("N1", sound), ("n2", sound), ("n1", unsound))]
        woken = it.watch(coordinate("n1"))
        it.index += 1
        batch = encode_command(Command.COORDINATE_BATCH_UPDATE, CoordinateBatch(updates=tuple(updates)), ignorable=True)
        it.machine.apply(it.index, batch, None)
        it.machine.applied(it.index)
        self.assertEqual(it.store.coordinates.all(), (2, [updates[0]]))
        self.assertEqual(woken, [2])
        it.deregister("n1")
        self.assertEqual(it.store.coordinates.of_node("n1"), (3, []))

    def test_capturedLog(self) -> None:
        """What a real cluster logged is applied as far as it is known; nothing is refused for its form."""
        machine = StateMachine()
        applied = 0
        for index, vector in enumerate(load("log_captured"), 1):
            if vector["decoded"].get("type_byte") is None:
                continue
            try:
                machine.apply(index, data(vector), None)
                applied += 1
            except UnknownCommand:
                pass
        self.assertGreater(applied, 10)


class SettingsTests(SynchronousTestCase):
    """Small things that the leader keeps."""

    def test_autopilot(self) -> None:
        """Settings are written, or compared first; the creation index stays."""
        it = Driven()

        def write(cas: bool, index: int, quorum: int) -> object:
            config = AutopilotConfig(modify_index=index, min_quorum=quorum)
            return it.apply(Command.AUTOPILOT, AutopilotSetConfigRequest(cas=cas, config=config))

        self.assertIs(write(True, 0, 1), False)
        self.assertIsNone(write(False, 0, 1))
        self.assertIs(write(True, 9, 2), False)
        self.assertIs(write(True, 2, 3), True)
        self.assertEqual(
            it.store.tables.autopilot.rows[""], AutopilotConfig(create_index=2, modify_index=4, min_quorum=3)
        )

    def test_systemMetadata(self) -> None:
        """Facts are written and deleted by their key."""
        it = Driven()

        def write(op: str, **fields: str) -> object:
            return it.apply(Command.SYSTEM_METADATA, SystemMetadataRequest(op=op, entry=SystemMetadataEntry(**fields)))

        self.assertIs(write("upsert", key="a", value="b"), True)
        self.assertEqual(it.store.tables.metadata.rows["a"].create_index, 1)
        self.assertEqual(str(write("upsert", key="")), "missing key on system metadata")
        self.assertEqual(str(write("x", key="a")), "invalid system metadata operation type: x")
        self.assertIsNone(write("delete", key="a"))
        self.assertEqual(it.store.tables.metadata.rows, {})
        self.assertEqual(it.store.tables.index("system-metadata"), 4)
