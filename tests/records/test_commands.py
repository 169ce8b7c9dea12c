"""
The records of log commands and of snapshots: Consul's bytes in, the same bytes out.
"""

from __future__ import annotations

import contextlib
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from tests.records.strategies import records
from tests.vectors import data, load
from txconsul.codec.gomsgpack import decode, encode, pack, unpack
from txconsul.errors import Corrupt
from txconsul.records.autopilot import AutopilotConfig, AutopilotSetConfigRequest, SystemMetadataRequest
from txconsul.records.base import Record
from txconsul.records.catalog import DeregisterRequest, RegisterRequest
from txconsul.records.command import IGNORABLE, Command
from txconsul.records.connect_ca import CAConfiguration, CAConsulProviderState, CALeafRequest, CARequest, CARoot
from txconsul.records.coordinate import Coordinate
from txconsul.records.federation import FederationStateRequest
from txconsul.records.kv import DirEntry, KVSRequest, TombstoneRequest
from txconsul.records.prepared_query import PreparedQuery, PreparedQueryRequest
from txconsul.records.session import Session, SessionRequest
from txconsul.records.txn import TxnRequest, TxnResponse

COMMAND_RECORDS: dict[int, type[Record]] = {
    Command.REGISTER: RegisterRequest,
    Command.DEREGISTER: DeregisterRequest,
    Command.KVS: KVSRequest,
    Command.SESSION: SessionRequest,
    Command.TOMBSTONE: TombstoneRequest,
    Command.PREPARED_QUERY: PreparedQueryRequest,
    Command.TXN: TxnRequest,
    Command.AUTOPILOT: AutopilotSetConfigRequest,
    Command.SYSTEM_METADATA: SystemMetadataRequest,
    Command.CONNECT_CA: CARequest,
    Command.CONNECT_CA_LEAF: CALeafRequest,
    Command.FEDERATION_STATE: FederationStateRequest,
}
SNAPSHOT_RECORDS: dict[int, type[Record]] = {
    Command.REGISTER: RegisterRequest,
    Command.KVS: DirEntry,
    Command.SESSION: Session,
    Command.TOMBSTONE: DirEntry,
    Command.PREPARED_QUERY: PreparedQuery,
    Command.AUTOPILOT: AutopilotConfig,
    Command.CONNECT_CA: CARoot,
    Command.CONNECT_CA_PROVIDER_STATE: CAConsulProviderState,
    Command.CONNECT_CA_CONFIG: CAConfiguration,
    Command.FEDERATION_STATE: FederationStateRequest,
}
#: Bodies that are protobuf, not msgpack.
PROTOBUF = {*range(35, 41), 42}


def in_order(value: Any) -> Any:
    """The same value with every map's keys sorted: Go writes its maps in no order, its structures in theirs."""
    if isinstance(value, dict):
        return {key: in_order(one) for key, one in sorted(value.items())}
    return [in_order(one) for one in value] if isinstance(value, list) else value


class VectorTests(SynchronousTestCase):
    """What Consul wrote."""

    def check(self, name: str, records_by_type: dict[int, type[Record]]) -> int:
        seen = 0
        for vector in load(name):
            if "type_byte" not in vector["decoded"] or vector["decoded"]["type_byte"] < 0:
                continue
            type_, body = data(vector)[0] & ~IGNORABLE, data(vector)[1:]
            record = records_by_type.get(type_)
            if record is not None:
                again = encode(decode(record, body))
                self.assertEqual(again, pack(in_order(unpack(body))), vector["name"])
                if again != body:  # the same but for the order of a map
                    self.assertEqual(sorted(again), sorted(body), vector["name"])
                seen += 1
            elif type_ not in PROTOBUF:
                self.assertEqual(pack(unpack(body)), body, vector["name"])
        return seen

    def test_logCommands(self) -> None:
        """Each command that the state applies is decoded and encoded again byte for byte, full and at its zero."""
        self.assertGreaterEqual(self.check("log_commands", COMMAND_RECORDS), 20)

    def test_capturedCommands(self) -> None:
        """So is what a real cluster logged; other commands survive as plain values."""
        self.assertGreater(self.check("log_captured", COMMAND_RECORDS), 5)

    def test_snapshotRecords(self) -> None:
        """So are the records of a snapshot."""
        self.assertGreaterEqual(self.check("fsm_snapshot_records", SNAPSHOT_RECORDS), 3)

    def test_capturedSnapshotRecords(self) -> None:
        """So are those of a real snapshot."""
        self.assertGreaterEqual(self.check("snapshot_records_captured", SNAPSHOT_RECORDS), 3)


class RoundTripTests(SynchronousTestCase):
    """The leader applies the record that it holds, the followers the one that they read: both must be the same."""

    def check(self, record: type[Record]) -> None:
        @settings(max_examples=60, deadline=None)
        @given(records(record))
        def same(one: Record) -> None:
            self.assertEqual(decode(type(one), encode(one)), one)

        same()

    def test_everyCommand(self) -> None:
        """decode(encode(r)) == r for every command's record."""
        for record in (*COMMAND_RECORDS.values(), Coordinate, TxnResponse):
            self.check(record)

    def test_anyBytesDecodeOrAreRefused(self) -> None:
        """Whatever the bytes: a record, or Corrupt."""

        @settings(max_examples=300, deadline=None)
        @given(st.sampled_from([*COMMAND_RECORDS.values()]), st.binary(max_size=80))
        def decided(record: type[Record], garbage: bytes) -> None:
            with contextlib.suppress(Corrupt):
                decode(record, garbage)

        decided()
