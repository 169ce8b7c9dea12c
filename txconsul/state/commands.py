"""
The table of commands: type byte -> record, and the function that applies it.

An apply function takes the store, the entry's index and the record; it returns what the proposer gets, as Consul's
state machine does: None where there is nothing to say, a bool for a comparison, an exception instance for a refusal.

Source: Consul's documentation of the KV store, sessions and transactions; the wire documents, Raft, section 2.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

from msgspec.structs import replace

from txconsul.codec.gomsgpack import BadMessage, decode, encode, from_wire, pack, to_wire, unpack
from txconsul.errors import Corrupt, InvalidRequest
from txconsul.records.autopilot import AutopilotSetConfigRequest, SystemMetadataEntry, SystemMetadataRequest
from txconsul.records.base import Record
from txconsul.records.catalog import DeregisterRequest, RegisterRequest
from txconsul.records.command import IGNORABLE, Command
from txconsul.records.connect_ca import CALeafRequest, CARequest
from txconsul.records.coordinate import Coordinate, CoordinateBatch
from txconsul.records.federation import FederationState, FederationStateRequest
from txconsul.records.intention import IntentionRequest
from txconsul.records.kv import KVSRequest, TombstoneRequest
from txconsul.records.prepared_query import PreparedQuery, PreparedQueryRequest
from txconsul.records.session import SessionRequest
from txconsul.records.txn import TxnRequest
from txconsul.records.virtual_ip import AssignServiceManualVIPsResponse, ServiceVirtualIP
from txconsul.state.store import Store
from txconsul.state.txn import transact

__all__ = ["COMMANDS", "Row", "UnknownCommand", "apply", "decode_command", "encode_command"]


class UnknownCommand(Corrupt):
    """A committed command that this program cannot apply: the server stops rather than diverge."""


class Row(NamedTuple):
    """
    How one type of command is applied.

    @ivar read: bytes of the body -> record, where the body is not simply the record.
    @ivar write: record -> bytes of the body, likewise.
    """

    record: type[Record]
    function: Callable[[Store, int, Any], object]
    read: Callable[[bytes], Any] | None = None
    write: Callable[[Any], bytes] | None = None


def _kvs(store: Store, index: int, request: KVSRequest) -> object:
    op, entry, kv = request.op, request.dir_ent, store.kv
    if op == "set":
        kv.set(index, entry)
        return None
    if op == "cas":
        return kv.cas(index, entry) is not None
    if op == "lock":
        return kv.lock(index, entry) is not None
    if op == "unlock":
        return kv.unlock(index, entry) is not None
    if op == "delete":
        kv.delete(index, entry.key)
        return None
    if op == "delete-cas":
        return kv.delete_cas(index, entry.modify_index, entry.key)
    if op == "delete-tree":
        kv.delete_tree(index, entry.key)
        return None
    raise InvalidRequest(f"Invalid KVS operation '{op}'")


def _tombstone(store: Store, index: int, request: TombstoneRequest) -> object:
    if request.op != "reap":
        raise InvalidRequest(f"Invalid Tombstone operation '{request.op}'")
    store.kv.reap(request.reap_index)
    return None


def _register(store: Store, index: int, request: RegisterRequest) -> object:
    store.registrations.register(index, request)
    return None


def _deregister(store: Store, index: int, request: DeregisterRequest) -> object:
    registrations = store.registrations
    if request.service_id:
        registrations.delete_service(index, request.node, request.service_id)
    elif request.check_id:
        registrations.delete_check(index, request.node, request.check_id)
    else:
        registrations.delete_node(index, request.node)
    return None


def _session(store: Store, index: int, request: SessionRequest) -> object:
    if request.op == "create":
        return store.sessions.create(index, request.session)
    if request.op != "destroy":
        raise InvalidRequest(f"Invalid Session operation '{request.op}'")
    store.sessions.destroy(index, request.session.id)
    return None


def _prepared_query(store: Store, index: int, request: PreparedQueryRequest) -> object:
    query = request.query or PreparedQuery()
    if request.op == "delete":
        store.prepared_queries.delete(index, query.id)
    elif request.op in ("create", "update"):
        store.prepared_queries.set(index, query)
    else:
        raise InvalidRequest(f"Invalid PreparedQuery operation '{request.op}'")
    return None


def _txn(store: Store, index: int, request: TxnRequest) -> object:
    return transact(store, index, request.ops or ())


def _autopilot(store: Store, index: int, request: AutopilotSetConfigRequest) -> object:
    table = store.tables.autopilot
    present = table.rows.get("")
    if request.cas and (present is None or request.config.modify_index != present.modify_index):
        return False
    created = index if present is None else present.create_index
    table.put("", replace(request.config, create_index=created, modify_index=index))
    return True if request.cas else None


def _metadata(store: Store, index: int, request: SystemMetadataRequest) -> object:
    entry, table = request.entry, store.tables.metadata
    if entry is None or request.op not in ("upsert", "delete"):
        raise InvalidRequest(f"invalid system metadata operation type: {request.op}")
    present = table.rows.get(entry.key)
    if request.op == "delete":
        if present is not None:
            table.remove(entry.key)
            store.tables.indexes.put("system-metadata", index)
        return None
    if not entry.key:
        raise InvalidRequest("missing key on system metadata")
    created = index if present is None else present.create_index
    table.put(entry.key, replace(entry, create_index=created, modify_index=index))
    store.tables.indexes.put("system-metadata", index)
    return True


class LegacyACL(Record, frozen=True):
    """A command of Consul's first ACL system; what it holds does not matter any more."""


def _legacy_acl(store: Store, index: int, request: LegacyACL) -> object:
    raise InvalidRequest("legacy ACL command has been removed with the legacy ACL system")


def _coordinates(store: Store, index: int, batch: CoordinateBatch) -> object:
    store.coordinates.update(index, batch.updates)
    return None


def _intentions(store: Store, index: int, request: IntentionRequest) -> object:
    """Only the end of the old form can be applied; for other changes this program does not know the new one."""
    if request.op != "delete-all" or request.mutation is not None:
        raise UnknownCommand(
            f"cannot apply the change {request.op!r:.40} of an intention: this program does not know it"
        )
    tables = store.tables
    tables.kept.pop(Command.INTENTION, None)
    for name in ("connect-intentions", "config-entries"):
        tables.indexes.put(name, index)
    entry = SystemMetadataEntry(key="intention-format", value="config-entry")
    _metadata(store, index, SystemMetadataRequest(op="upsert", entry=entry))
    return None


def _connect_ca(store: Store, index: int, request: CARequest) -> object:
    return store.connect_ca.change(index, request)


def _leaf_signed(store: Store, index: int, request: CALeafRequest) -> object:
    return store.connect_ca.leaf_signed(index, request)


def _federation_state(store: Store, index: int, request: FederationStateRequest) -> object:
    state, table = request.state or FederationState(), store.tables.federation_states
    name = state.datacenter.lower()
    present = table.rows.get(name)
    if request.op == "upsert":
        if not name:
            raise InvalidRequest("missing datacenter on federation state")
        created = index if present is None else present.create_index
        primary = state.primary_modify_index or index
        table.put(name, replace(state, create_index=created, modify_index=index, primary_modify_index=primary))
        store.tables.indexes.put("federation-states", index)
        return True
    if request.op != "delete":
        raise InvalidRequest(f"invalid federation state operation type: {request.op}")
    if present is not None:
        table.remove(name)
        store.tables.indexes.put("federation-states", index)
    return None


def _virtual_ip(store: Store, index: int, request: ServiceVirtualIP) -> object:
    service, ips = request.service, request.manual_ips or ()
    if store.virtual_ips.manual(service.service_name.name, service.peer) is None:
        return AssignServiceManualVIPsResponse()
    losers = store.virtual_ips.assign_manual(index, service, ips)
    return AssignServiceManualVIPsResponse(found=True, unassigned_from=losers or None)


def _read_coordinates(body: bytes) -> CoordinateBatch:
    updates = unpack(body)
    if updates is not None and not isinstance(updates, list):
        raise BadMessage("expected a list of coordinates")
    read = from_wire(Coordinate)
    return CoordinateBatch(updates=tuple([read(update) for update in updates or ()]))


def _write_coordinates(batch: CoordinateBatch) -> bytes:
    return pack([to_wire(Coordinate)(update) for update in batch.updates])


#: Every command that this state knows how to apply.
COMMANDS: dict[int, Row] = {
    Command.REGISTER: Row(RegisterRequest, _register),
    Command.DEREGISTER: Row(DeregisterRequest, _deregister),
    Command.KVS: Row(KVSRequest, _kvs),
    Command.SESSION: Row(SessionRequest, _session),
    Command.ACL_LEGACY: Row(LegacyACL, _legacy_acl),
    Command.TOMBSTONE: Row(TombstoneRequest, _tombstone),
    Command.COORDINATE_BATCH_UPDATE: Row(CoordinateBatch, _coordinates, _read_coordinates, _write_coordinates),
    Command.PREPARED_QUERY: Row(PreparedQueryRequest, _prepared_query),
    Command.TXN: Row(TxnRequest, _txn),
    Command.AUTOPILOT: Row(AutopilotSetConfigRequest, _autopilot),
    Command.SYSTEM_METADATA: Row(SystemMetadataRequest, _metadata),
    Command.INTENTION: Row(IntentionRequest, _intentions),
    Command.CONNECT_CA: Row(CARequest, _connect_ca),
    Command.CONNECT_CA_LEAF: Row(CALeafRequest, _leaf_signed),
    Command.FEDERATION_STATE: Row(FederationStateRequest, _federation_state),
    Command.UPDATE_VIRTUAL_IP: Row(ServiceVirtualIP, _virtual_ip),
}


def encode_command(type_: int, record: Record, *, ignorable: bool = False) -> bytes:
    """
    A log entry's bytes.

    @param ignorable: whether a server that does not know the command may skip it.
    """
    write = COMMANDS[type_].write
    body = encode(record) if write is None else write(record)
    return bytes([type_ | IGNORABLE if ignorable else type_]) + body


def decode_command(data: bytes) -> tuple[int, Record | None]:
    """
    A log entry's bytes.

    @return: C{(type, record)}; the record is None for a type that may be ignored and is not known.
    @raise UnknownCommand: the type is not known and must not be ignored.
    @raise Corrupt: the body is malformed.
    """
    if not data:
        raise Corrupt("an empty command")
    type_ = data[0] & ~IGNORABLE
    row = COMMANDS.get(type_)
    if row is not None:
        if row.read is not None:
            return type_, row.read(data[1:])
        return type_, decode(row.record, memoryview(data)[1:])
    if data[0] & IGNORABLE:
        return type_, None
    raise UnknownCommand(f"cannot apply a command of type {_name(type_)}: this program does not know it")


def apply(store: Store, index: int, type_: int, record: Any) -> object:
    """
    Apply one command: all that it changes, or nothing.

    @return: the command's result, or an L{InvalidRequest} instance where it was refused.
    @raise UnknownCommand: there is no such command.
    """
    row = COMMANDS.get(type_)
    if row is None:
        raise UnknownCommand(f"cannot apply a command of type {_name(type_)}: this program does not know it")
    tables = store.tables
    mark, delays = len(tables.journal), len(tables.lock_delays)
    try:
        return row.function(store, index, record)
    except InvalidRequest as refusal:
        tables.rollback(mark, delays)
        return refusal


def _name(type_: int) -> str:
    try:
        return f"{type_} ({Command(type_).name})"
    except ValueError:
        return str(type_)
