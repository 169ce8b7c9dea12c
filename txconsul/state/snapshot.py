"""
The state as Consul's stream of snapshot records.

A header, then for each record its type byte and one msgpack value; type bytes are below 128, so the whole is simply a
sequence of msgpack values. Freezing copies the tables' dicts (their rows never change) and writes at leisure while the
live store goes on. The way back is L{txconsul.state.restoring}.

What this program does not understand yet but may meet in a snapshot (tokens, config entries, ...) is kept as it came
and written back.

Source: the wire documents, Raft, section 3.1.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from typing import Any

import msgpack

from txconsul.codec.gomsgpack import to_wire
from txconsul.records.autopilot import AutopilotConfig, SystemMetadataEntry
from txconsul.records.base import Record
from txconsul.records.catalog import Node, RegisterRequest
from txconsul.records.command import Command
from txconsul.records.connect_ca import CAConfiguration, CAConsulProviderState, CARoot
from txconsul.records.coordinate import Coordinate
from txconsul.records.federation import FederationState, FederationStateRequest
from txconsul.records.kv import DirEntry
from txconsul.records.prepared_query import PreparedQuery
from txconsul.records.session import Session
from txconsul.records.virtual_ip import FreeVirtualIP, ServiceVirtualIP
from txconsul.state.ordered import OrderedKeys
from txconsul.state.store import Store

__all__ = ["KEPT", "ORDER", "freeze"]

#: In this order Consul writes its records, each kind after what it refers to.
ORDER = (
    *(Command.SERVICE_VIRTUAL_IP, Command.FREE_VIRTUAL_IP),
    *(Command.REGISTER, Command.COORDINATE_BATCH_UPDATE, Command.SESSION),
    *(Command.ACL_TOKEN_SET, Command.ACL_POLICY_SET, Command.ACL_ROLE_SET),
    *(Command.ACL_BINDING_RULE_SET, Command.ACL_AUTH_METHOD_SET),
    *(Command.KVS, Command.TOMBSTONE, Command.PREPARED_QUERY, Command.AUTOPILOT, Command.INTENTION),
    *(Command.CONNECT_CA, Command.CONNECT_CA_PROVIDER_STATE, Command.CONNECT_CA_CONFIG),
    *(Command.CONFIG_ENTRY, Command.FEDERATION_STATE, Command.SYSTEM_METADATA, Command.INDEX),
    *(Command.PEERING_WRITE, Command.PEERING_TRUST_BUNDLE_WRITE, Command.PEERING_SECRETS_WRITE),
    *(Command.RESOURCE_OPERATION, Command.CHUNKING_STATE),
)

#: A piece of the stream is cut once it holds this many bytes of keys and values ...
PIECE_BYTES = 128 * 1024
#: ... or this many records, whichever comes first: about 1 ms of work, so that heartbeats are not kept waiting.
PIECE_RECORDS = 500

#: Types that are understood; all others of L{ORDER} are kept as they come.
_UNDERSTOOD = frozenset(
    {
        Command.SERVICE_VIRTUAL_IP,
        Command.FREE_VIRTUAL_IP,
        Command.REGISTER,
        Command.COORDINATE_BATCH_UPDATE,
        Command.SESSION,
        Command.KVS,
        Command.TOMBSTONE,
        Command.PREPARED_QUERY,
        Command.AUTOPILOT,
        Command.SYSTEM_METADATA,
        Command.INDEX,
        Command.CONNECT_CA,
        Command.CONNECT_CA_PROVIDER_STATE,
        Command.CONNECT_CA_CONFIG,
        Command.FEDERATION_STATE,
        Command.CHUNKING_STATE,
    }
)
KEPT = frozenset(ORDER) - _UNDERSTOOD


# ---- writing ----


def freeze(store: Store) -> Iterator[bytes]:
    """
    A picture of now.

    @return: the pieces of the stream; they show the state at this call, whatever is written meanwhile.
    """
    tables = store.tables
    copies = {table.name: dict(table.rows) for table in tables.all()}
    ordered = tables.kv.ordered
    assert ordered is not None
    kept = {type_: list(values) for type_, values in tables.kept.items()}
    return _pieces(store.index, _kinds(copies, ordered.copy(), tables.chunks.frozen(), kept))


#: The values of one type, each with about how many bytes it takes.
_Values = Iterator[tuple[Any, int]]


def _pieces(index: int, kinds: Iterable[tuple[int, _Values]]) -> Iterator[bytes]:
    packer = msgpack.Packer(use_bin_type=False, autoreset=False, unicode_errors="surrogateescape")
    pack = packer.pack
    pack({"LastIndex": index})
    count = size = 0
    for type_, values in kinds:
        for value, weight in values:
            pack(type_)
            pack(value)
            count += 1
            size += weight
            if count >= PIECE_RECORDS or size >= PIECE_BYTES:
                yield packer.bytes()
                packer.reset()
                count = size = 0
    yield packer.bytes()


#: Assumed size of a record other than a key, in bytes.
_WEIGHT = 512


def _kinds(
    rows: dict[str, dict[Any, Any]], keys: OrderedKeys, chunks: dict[str, Any], kept: dict[int, list[Any]]
) -> Iterator[tuple[int, _Values]]:
    """The values of each type, in Consul's order; made as they are asked for."""
    writers: dict[int, Callable[[], _Values]] = {
        Command.SERVICE_VIRTUAL_IP: lambda: _plain(rows["service-virtual-ips"], ServiceVirtualIP),
        Command.FREE_VIRTUAL_IP: lambda: _plain(rows["free-virtual-ips"], FreeVirtualIP),
        Command.REGISTER: lambda: _registrations(rows),
        Command.COORDINATE_BATCH_UPDATE: lambda: _plain(rows["coordinates"], Coordinate, alone=False),
        Command.SESSION: lambda: _plain(rows["sessions"], Session),
        Command.KVS: lambda: _entries(rows["kvs"], keys),
        Command.TOMBSTONE: lambda: _tombstones(rows["tombstones"]),
        Command.PREPARED_QUERY: lambda: _plain(rows["prepared-queries"], PreparedQuery),
        Command.AUTOPILOT: lambda: _plain(rows["autopilot-config"], AutopilotConfig),
        Command.SYSTEM_METADATA: lambda: _plain(rows["system-metadata"], SystemMetadataEntry),
        Command.INDEX: lambda: _indexes(rows["index"]),
        Command.CONNECT_CA: lambda: _plain(rows["connect-ca-roots"], CARoot),
        Command.CONNECT_CA_PROVIDER_STATE: lambda: _plain(rows["connect-ca-builtin"], CAConsulProviderState),
        Command.CONNECT_CA_CONFIG: lambda: _plain(rows["connect-ca-config"], CAConfiguration),
        Command.FEDERATION_STATE: lambda: _federation_states(rows["federation-states"]),
        Command.CHUNKING_STATE: lambda: iter([(chunks, _WEIGHT)]),
    }
    for type_ in map(int, ORDER):
        if type_ in writers:
            yield type_, writers[type_]()
        elif type_ in kept:
            yield type_, ((value, _WEIGHT) for value in kept[type_])


def _plain(rows: dict[Any, Any], record: type[Record], *, alone: bool = True) -> _Values:
    write = to_wire(record)
    for key in sorted(rows):
        value = write(rows[key])
        yield value if alone else [value], _WEIGHT


def _entries(rows: dict[bytes, DirEntry], keys: OrderedKeys) -> _Values:
    write = to_wire(DirEntry)
    for key in keys:
        entry = rows[key]
        yield write(entry), len(key) + len(entry.value or b"")


def _tombstones(rows: dict[bytes, int]) -> _Values:
    write = to_wire(DirEntry)
    for key in sorted(rows):
        yield write(DirEntry(key=key, modify_index=rows[key])), len(key)


def _federation_states(rows: dict[str, FederationState]) -> _Values:
    write = to_wire(FederationStateRequest)
    for name in sorted(rows):
        yield write(FederationStateRequest(op="upsert", state=rows[name])), _WEIGHT


def _indexes(rows: dict[str, int]) -> _Values:
    for name in sorted(rows):
        yield {"Key": name, "Value": rows[name]}, len(name)


def _registrations(rows: dict[str, dict[Any, Any]]) -> _Values:
    """Each node alone, then with each of its services, then with each of its checks."""
    write = to_wire(RegisterRequest)
    services, checks = _by_node(rows["services"]), _by_node(rows["checks"])
    for key, node in sorted(rows["nodes"].items()):
        yield write(_registration(node)), _WEIGHT
        for service in services.get(key, ()):
            yield write(_registration(node, service=service)), _WEIGHT
        for check in checks.get(key, ()):
            yield write(_registration(node, check=check)), _WEIGHT


def _by_node(rows: dict[tuple[str, str], Any]) -> dict[str, list[Any]]:
    found: dict[str, list[Any]] = {}
    for key in sorted(rows):
        found.setdefault(key[0], []).append(rows[key])
    return found


def _registration(node: Node, **parts: Any) -> RegisterRequest:
    return RegisterRequest(
        datacenter=node.datacenter,
        id=node.id,
        node=node.node,
        address=node.address,
        tagged_addresses=node.tagged_addresses,
        node_meta=node.meta,
        locality=node.locality,
        peer_name=node.peer_name,
        create_index=node.create_index,
        modify_index=node.modify_index,
        **parts,
    )
