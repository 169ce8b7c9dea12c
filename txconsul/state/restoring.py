"""
Filling an empty store from Consul's stream of snapshot records.

Records are put where they belong as they are, whatever order of events led to them: a restored state is the one that
was frozen, also where a command would now write something else. Indexes come from the records of the index table, and
from the other records' own where it has none.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any, BinaryIO

from txconsul.codec.gomsgpack import BadMessage, from_wire, stream
from txconsul.errors import Corrupt, InvalidRequest
from txconsul.records.autopilot import AutopilotConfig, SystemMetadataEntry
from txconsul.records.catalog import Node, RegisterRequest
from txconsul.records.command import Command
from txconsul.records.connect_ca import CAConfiguration, CAConsulProviderState, CARoot
from txconsul.records.coordinate import Coordinate
from txconsul.records.federation import FederationStateRequest
from txconsul.records.kv import DirEntry
from txconsul.records.prepared_query import PreparedQuery
from txconsul.records.session import Session
from txconsul.records.virtual_ip import FreeVirtualIP, ServiceVirtualIP
from txconsul.state.prepared_queries import query_key
from txconsul.state.registrations import kind_indexes, node_index, service_index
from txconsul.state.snapshot import KEPT
from txconsul.state.store import Store
from txconsul.state.tables import PEER, Tables

__all__ = ["load"]

#: A restore's step ends after this many records: a few milliseconds.
STEP_RECORDS = 500

_NOTHING = object()


def load(store: Store, source: BinaryIO) -> Iterator[float]:
    """
    Fill an empty store.

    @param source: the stream; where it can tell its length, the share done can be told.
    @return: steps, each a bounded part of the work; they yield the share done.
    @raise Corrupt: (from a step) the stream is malformed, ends early, or holds a record of an unknown type.
    """
    total = _length(source)
    values = stream(source.read)
    header = next(values, None)
    if type(header) is not dict or type(header.get(b"LastIndex")) is not int:
        raise Corrupt("a snapshot begins with a header that names its last index")
    readers = _readers(store, header[b"LastIndex"])
    count = 0
    for type_ in values:
        read = readers.get(type_) if type(type_) is int else None
        if read is None:
            raise Corrupt(f"a snapshot record of the unknown type {type_!r:.40}")
        value = next(values, _NOTHING)
        if value is _NOTHING:
            raise BadMessage("the stream ends after a record's type")
        try:
            read(value)
        except RecursionError:  # a registration may hold one of its own class
            raise BadMessage("a snapshot record is nested too deeply") from None
        count += 1
        if count == STEP_RECORDS:
            count = 0
            # the order, built at the end, is the last twentieth
            yield 0.95 * source.tell() / total if total else 0.0
    tables = store.tables
    yield 0.95
    tables.kv.order()
    yield 0.99
    tables.tombstones.order()
    tables.journal.clear()


def _length(source: BinaryIO) -> int:
    if not source.seekable():
        return 0
    here = source.tell()
    total = source.seek(0, 2)
    source.seek(here)
    return total


def _readers(store: Store, last: int) -> dict[int, Callable[[Any], object]]:
    """Type -> what takes a value of it."""
    tables = store.tables
    readers: dict[int, Callable[[Any], object]] = {int(type_): _keep(tables.kept, int(type_)) for type_ in KEPT}
    # a million keys go past the tables' own way of being changed, which would keep a journal
    entry, kv, held = from_wire(DirEntry), tables.kv.rows, tables.kv_by_session
    indexes, stones = tables.indexes, tables.tombstones.rows
    registration, coordinate, session = from_wire(RegisterRequest), from_wire(Coordinate), from_wire(Session)
    prepared_query = from_wire(PreparedQuery)
    autopilot, fact = from_wire(AutopilotConfig), from_wire(SystemMetadataEntry)
    root, provider_state, ca_config = from_wire(CARoot), from_wire(CAConsulProviderState), from_wire(CAConfiguration)
    federation = from_wire(FederationStateRequest)
    virtual_ip, free_virtual_ip = from_wire(ServiceVirtualIP), from_wire(FreeVirtualIP)

    def read_entry(value: Any) -> None:
        record = entry(value)
        if record.key in kv:
            raise Corrupt(f"the key {record.key!r:.80} stands twice in the snapshot")
        kv[record.key] = record
        if record.session:
            held.move(record.key, None, record)

    def read_tombstone(value: Any) -> None:
        record = entry(value)
        stones[record.key] = record.modify_index

    def read_coordinates(value: Any) -> None:
        if type(value) is not list:
            raise BadMessage("expected a list of coordinates")
        store.coordinates.update(last, [coordinate(one) for one in value], restoring=True)

    def read_session(value: Any) -> None:
        record = session(value)
        tables.sessions.put(record.id.lower(), record)

    def read_prepared_query(value: Any) -> None:
        record = prepared_query(value)
        try:
            key = query_key(record.id)
        except InvalidRequest:
            raise Corrupt(f"the id of the prepared query {record.id!r:.80} is no UUID") from None
        tables.prepared_queries.put(key, record)
        tables.raise_index(record.modify_index, "prepared-queries")

    def read_fact(value: Any) -> None:
        record = fact(value)
        tables.metadata.put(record.key, record)

    def read_virtual_ip(value: Any) -> None:
        record = virtual_ip(value)
        tables.virtual_ips.put((record.service.peer.lower(), record.service.service_name.name.lower()), record)
        tables.raise_index(record.modify_index, "service-virtual-ips")

    def read_free_virtual_ip(value: Any) -> None:
        record = free_virtual_ip(value)
        tables.free_virtual_ips.put(record.is_counter, record)

    def read_root(value: Any) -> None:
        record = root(value)
        tables.ca_roots.put(record.id, record)
        tables.raise_index(record.modify_index, "connect-ca-roots")

    def read_provider_state(value: Any) -> None:
        record = provider_state(value)
        tables.ca_builtin.put(record.id, record)
        tables.raise_index(record.modify_index, "connect-ca-builtin")

    def read_federation_state(value: Any) -> None:
        record = federation(value).state
        if record is None or not record.datacenter:
            raise Corrupt("a federation state of no datacenter")
        tables.federation_states.put(record.datacenter.lower(), record)
        tables.raise_index(record.modify_index, "federation-states")

    def read_index(value: Any) -> None:
        if type(value) is not dict or type(value.get(b"Key")) is not bytes or type(value.get(b"Value")) is not int:
            raise BadMessage("expected an entry of the index table")
        indexes.put(value[b"Key"].decode("utf-8", "surrogateescape").lower(), value[b"Value"])

    readers |= {
        int(Command.SERVICE_VIRTUAL_IP): read_virtual_ip,
        int(Command.FREE_VIRTUAL_IP): read_free_virtual_ip,
        int(Command.REGISTER): lambda value: _register(tables, registration(value)),
        int(Command.COORDINATE_BATCH_UPDATE): read_coordinates,
        int(Command.SESSION): read_session,
        int(Command.KVS): read_entry,
        int(Command.TOMBSTONE): read_tombstone,
        int(Command.PREPARED_QUERY): read_prepared_query,
        int(Command.AUTOPILOT): lambda value: tables.autopilot.put("", autopilot(value)),
        int(Command.SYSTEM_METADATA): read_fact,
        int(Command.INDEX): read_index,
        int(Command.CONNECT_CA): read_root,
        int(Command.CONNECT_CA_PROVIDER_STATE): read_provider_state,
        int(Command.CONNECT_CA_CONFIG): lambda value: tables.ca_config.put("", ca_config(value)),
        int(Command.FEDERATION_STATE): read_federation_state,
        int(Command.CHUNKING_STATE): tables.chunks.restore,
    }
    return readers


def _register(tables: Tables, request: RegisterRequest) -> None:
    """A node, or one of its services or checks, as it was."""
    name = request.node.lower()
    if name not in tables.nodes.rows:
        node = Node(
            id=request.id,
            node=request.node,
            address=request.address,
            datacenter=request.datacenter,
            tagged_addresses=request.tagged_addresses,
            meta=request.node_meta,
            peer_name=request.peer_name,
            locality=request.locality,
            create_index=request.create_index,
            modify_index=request.modify_index,
        )
        tables.nodes.put(name, node)
        tables.raise_index(node.modify_index, "nodes", PEER + "nodes", node_index(name))
    service = request.service
    if service is not None:
        tables.services.put((name, service.id.lower()), service)
        own = (service_index(service.service), *kind_indexes(service.kind))
        tables.raise_index(service.modify_index, "services", PEER + "services", *own)
    for check in (*([request.check] if request.check is not None else []), *(request.checks or ())):
        if check.node.lower() != name:
            raise Corrupt(f"a check of the node {check.node!r:.80} stands in a record of the node {name!r:.80}")
        if check.service_id and (name, check.service_id.lower()) not in tables.services.rows:
            raise Corrupt(f"the check {check.check_id!r:.80} is of a service that its node does not have")
        tables.checks.put((name, check.check_id.lower()), check)
        tables.raise_index(check.modify_index, "checks", PEER + "checks")


def _keep(kept: dict[int, list[Any]], type_: int) -> Callable[[Any], object]:
    return lambda value: kept.setdefault(type_, []).append(value)
