"""
A state machine with a log of its own: commands one after another, each at the next index, bytes and all.
"""

from __future__ import annotations

from typing import Any

from txconsul.codec.gomsgpack import encode
from txconsul.records.autopilot import SystemMetadataEntry, SystemMetadataRequest
from txconsul.records.base import Record
from txconsul.records.catalog import DeregisterRequest, RegisterRequest
from txconsul.records.command import Command
from txconsul.records.coordinate import CoordinateBatch
from txconsul.records.health import HealthCheck
from txconsul.records.kv import DirEntry, KVSRequest, TombstoneRequest
from txconsul.records.service import NodeService
from txconsul.records.session import Session, SessionRequest
from txconsul.records.txn import TxnKVOp, TxnOp, TxnRequest, TxnResponse
from txconsul.state.commands import encode_command
from txconsul.state.machine import StateMachine

__all__ = ["Driven", "key_op", "rows"]


class Driven:
    """
    @ivar index: that of the last command.
    """

    def __init__(self, machine: StateMachine | None = None) -> None:
        self.machine = machine or StateMachine()
        self.store = self.machine.store
        self.index = 0

    def apply(self, type_: int, record: Record) -> Any:
        """Apply a command as a follower does, from its bytes; its result."""
        self.index += 1
        result = self.machine.apply(self.index, bytes([type_]) + encode(record), None)
        self.machine.applied(self.index)
        return result

    def kv(self, op: str, key: bytes, value: bytes | None = b"", **fields: Any) -> Any:
        """One KV command."""
        return self.apply(Command.KVS, KVSRequest(op=op, dir_ent=DirEntry(key=key, value=value, **fields)))

    def reap(self, index: int) -> Any:
        """Forget tombstones."""
        return self.apply(Command.TOMBSTONE, TombstoneRequest(op="reap", reap_index=index))

    def register(self, node: str, *, service: NodeService | None = None, **fields: Any) -> Any:
        """Register a node and what comes with it."""
        fields.setdefault("address", "10.0.0.1")
        return self.apply(Command.REGISTER, RegisterRequest(node=node, service=service, **fields))

    def check(self, node: str, check_id: str, status: str = "passing", **fields: Any) -> Any:
        """Register a check of an existing node."""
        check = HealthCheck(node=node, check_id=check_id, name=check_id, status=status, **fields)
        request = RegisterRequest(node=node, address="10.0.0.1", skip_node_update=True, check=check)
        return self.apply(Command.REGISTER, request)

    def deregister(self, node: str, **fields: Any) -> Any:
        """Deregister a node, or a part of it."""
        return self.apply(Command.DEREGISTER, DeregisterRequest(node=node, **fields))

    def session(self, id: str, node: str = "n1", **fields: Any) -> Any:
        """Create a session."""
        return self.apply(Command.SESSION, SessionRequest(op="create", session=Session(id=id, node=node, **fields)))

    def destroy(self, id: str) -> Any:
        """Destroy a session."""
        return self.apply(Command.SESSION, SessionRequest(op="destroy", session=Session(id=id)))

    def coordinates(self, batch: CoordinateBatch) -> Any:
        """Say where nodes are."""
        self.index += 1
        data = encode_command(Command.COORDINATE_BATCH_UPDATE, batch, ignorable=True)
        result = self.machine.apply(self.index, data, None)
        self.machine.applied(self.index)
        return result

    def switch_virtual_ips_on(self) -> Any:
        """As the leader does."""
        entry = SystemMetadataEntry(key="virtual-ips", value="true")
        return self.apply(Command.SYSTEM_METADATA, SystemMetadataRequest(op="upsert", entry=entry))

    def txn(self, *ops: TxnOp) -> TxnResponse:
        """Run a transaction."""
        response = self.apply(Command.TXN, TxnRequest(ops=ops))
        assert isinstance(response, TxnResponse)
        return response

    def watch(self, *keys: Any) -> list[int]:
        """A list that grows by the index of the command that wakes the wait; once."""
        woken: list[int] = []
        self.store.watches.wait(keys, lambda: woken.append(self.index))
        return woken


def key_op(verb: str, key: bytes, value: bytes | None = None, **fields: Any) -> TxnOp:
    """A KV operation of a transaction."""
    return TxnOp(kv=TxnKVOp(verb=verb, dir_ent=DirEntry(key=key, value=value, **fields)))


def rows(store: Any) -> dict[str, Any]:
    """Everything that a store holds, for comparison."""
    tables = store.tables
    return {table.name: dict(table.rows) for table in tables.all()} | {"kept": tables.kept}
