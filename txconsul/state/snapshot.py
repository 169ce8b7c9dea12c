"""
The state as Consul's stream of snapshot records, and back.

A header, then for each record its type byte and one msgpack value; type bytes are below 128, so the whole is simply a
sequence of msgpack values. Freezing copies the tables' dicts (their rows never change) and writes at leisure while the
live store goes on; restoring fills a second store, a slice at a time.

What this program does not understand yet but may meet in a snapshot (tokens, config entries, ...) is kept as it came
and written back.

Source: the wire documents, Raft, section 3.1.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from typing import Any, BinaryIO

import msgpack

from txconsul.codec.gomsgpack import BadMessage, from_wire, stream, to_wire
from txconsul.errors import Corrupt, InvalidRequest
from txconsul.records.autopilot import AutopilotConfig, SystemMetadataEntry
from txconsul.records.base import Record
from txconsul.records.catalog import Node, RegisterRequest
from txconsul.records.command import Command
from txconsul.records.coordinate import Coordinate
from txconsul.records.kv import DirEntry
from txconsul.records.session import Session
from txconsul.records.virtual_ip import FreeVirtualIP, ServiceVirtualIP
from txconsul.state.ordered import OrderedKeys
from txconsul.state.store import Store

__all__ = ["ORDER", "freeze", "load"]

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
#: A restore's step ends after this many records.
STEP_RECORDS = 500

#: Types that are read and written below; all others of L{ORDER} are kept as they are.
_UNDERSTOOD = frozenset(
    {
        Command.SERVICE_VIRTUAL_IP,
        Command.FREE_VIRTUAL_IP,
        Command.REGISTER,
        Command.COORDINATE_BATCH_UPDATE,
        Command.SESSION,
        Command.KVS,
        Command.TOMBSTONE,
        Command.AUTOPILOT,
        Command.SYSTEM_METADATA,
        Command.INDEX,
    }
)
_KEPT = frozenset(ORDER) - _UNDERSTOOD

_NOTHING = object()


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
    return _pieces(store.index, _kinds(copies, ordered.copy(), kept))


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
    rows: dict[str, dict[Any, Any]], keys: OrderedKeys, kept: dict[int, list[Any]]
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
        Command.AUTOPILOT: lambda: _plain(rows["autopilot-config"], AutopilotConfig),
        Command.SYSTEM_METADATA: lambda: _plain(rows["system-metadata"], SystemMetadataEntry),
        Command.INDEX: lambda: _indexes(rows["index"]),
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


# ---- reading ----


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
        except InvalidRequest as error:
            raise Corrupt(f"a snapshot record of type {type_} does not fit: {error}") from None
        count += 1
        if count == STEP_RECORDS:
            count = 0
            # the order and the indexes, built at the end, are the last twentieth
            yield 0.95 * source.tell() / total if total else 0.0
    tables = store.tables
    for table in (tables.kv, tables.tombstones):
        for _ in table.reindex():
            yield 0.95
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
    readers: dict[int, Callable[[Any], object]] = {int(type_): _keep(tables.kept, int(type_)) for type_ in _KEPT}
    entry, kv, indexes, stones = from_wire(DirEntry), tables.kv.rows, tables.indexes, tables.tombstones.rows
    registration, coordinate, session = from_wire(RegisterRequest), from_wire(Coordinate), from_wire(Session)
    autopilot, fact = from_wire(AutopilotConfig), from_wire(SystemMetadataEntry)
    virtual_ip, free_virtual_ip = from_wire(ServiceVirtualIP), from_wire(FreeVirtualIP)

    def read_entry(value: Any) -> None:
        record = entry(value)
        kv[record.key] = record

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

    def read_index(value: Any) -> None:
        if type(value) is not dict or type(value.get(b"Key")) is not bytes or type(value.get(b"Value")) is not int:
            raise BadMessage("expected an entry of the index table")
        indexes.put(value[b"Key"].decode("utf-8", "surrogateescape").lower(), value[b"Value"])

    readers |= {
        int(Command.SERVICE_VIRTUAL_IP): read_virtual_ip,
        int(Command.FREE_VIRTUAL_IP): read_free_virtual_ip,
        int(Command.REGISTER): lambda v: store.registrations.register(last, registration(v), restoring=True),
        int(Command.COORDINATE_BATCH_UPDATE): read_coordinates,
        int(Command.SESSION): read_session,
        int(Command.KVS): read_entry,
        int(Command.TOMBSTONE): read_tombstone,
        int(Command.AUTOPILOT): lambda value: tables.autopilot.put("", autopilot(value)),
        int(Command.SYSTEM_METADATA): read_fact,
        int(Command.INDEX): read_index,
    }
    return readers


def _keep(kept: dict[int, list[Any]], type_: int) -> Callable[[Any], object]:
    return lambda value: kept.setdefault(type_, []).append(value)
