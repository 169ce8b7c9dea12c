"""
The tables of one store: a declaration of each with its keys, its indexes and what its changes touch.

Names of nodes, services and checks are found whatever their case, as Consul finds them: keys of those tables are in
lower case. C{indexes} is Consul's own table of table indexes, from which C{X-Consul-Index} comes.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from txconsul.records.autopilot import AutopilotConfig, SystemMetadataEntry
from txconsul.records.catalog import Node
from txconsul.records.connect_ca import CAConfiguration, CAConsulProviderState, CARoot
from txconsul.records.coordinate import Coordinate
from txconsul.records.federation import FederationState
from txconsul.records.health import HealthCheck
from txconsul.records.kv import DirEntry
from txconsul.records.prepared_query import PreparedQuery
from txconsul.records.service import NodeService
from txconsul.records.session import Session
from txconsul.records.virtual_ip import FreeVirtualIP, ServiceVirtualIP
from txconsul.state.chunks import Chunks
from txconsul.state.service_tags import ServiceTags
from txconsul.state.table import Index, Journal, Table
from txconsul.state.usage import Usage
from txconsul.state.watches import Key

__all__ = ["NAMELESS_CHECK", "PEER", "Pair", "Tables", "kinds_and_names", "mesh_name", "reached", "session_check_ids"]

#: Consul keeps the catalog's indexes by the peer that a row came from; C{~} is this cluster itself.
PEER = "peer.~:"

#: Said where a check without a node or without an id is written or looked for.
NAMELESS_CHECK = "index error: object is missing a value for this index"

#: C{(node, id)} of a service or a check, in lower case.
Pair = tuple[str, str]


class Tables:
    """
    @ivar journal: the changes since the last batch was finished.
    @ivar lock_delays: C{(key, ns)} of keys whose session was invalidated, for whoever keeps the time.
    @ivar chunks: pieces of commands that are not whole.
    @ivar kept: snapshot records that this program cannot read yet, as they came: type byte -> values.
    """

    def __init__(self) -> None:
        journal: Journal = []
        self.journal = journal
        self.lock_delays: list[tuple[bytes, int]] = []
        self.chunks = Chunks()
        self.kept: dict[int, list[Any]] = {}

        #: Consul's index table: name of a table, or of a part of one, in lower case -> index of its last change.
        self.indexes: Table[str, int] = Table("index", journal)

        self.kv_by_session: Index[bytes, DirEntry] = Index(_holder)
        self.kv: Table[bytes, DirEntry] = Table(
            "kvs", journal, indexes=(self.kv_by_session,), ordered=True, touches=_kv_touched
        )
        #: A deleted key, or the prefix of a deleted tree -> index of the deletion.
        self.tombstones: Table[bytes, int] = Table("tombstones", journal, ordered=True)

        self.sessions_by_node: Index[str, Session] = Index(lambda key, session: (session.node.lower(),))
        self.sessions_by_check: Index[str, Session] = Index(_checks_of_session)
        self.sessions: Table[str, Session] = Table(
            "sessions", journal, indexes=(self.sessions_by_node, self.sessions_by_check), touches=_session_touched
        )

        self.nodes_by_id: Index[str, Node] = Index(lambda key, node: (node.id.lower(),) if node.id else ())
        self.nodes_by_address: Index[str, Node] = Index(lambda key, node: (node.address,))
        self.nodes: Table[str, Node] = Table(
            "nodes", journal, indexes=(self.nodes_by_id, self.nodes_by_address), touches=self._node_touched
        )
        self.services_by_node: Index[Pair, NodeService] = Index(lambda key, service: (key[0],))
        self.services_by_name: Index[Pair, NodeService] = Index(lambda key, service: (service.service.lower(),))
        #: Proxies by the service they stand before, and services that speak the mesh's protocol themselves.
        self.services_by_mesh_name: Index[Pair, NodeService] = Index(_mesh_names)
        #: Proxies by the services that they reach for their own.
        self.services_by_upstream: Index[Pair, NodeService] = Index(lambda key, service: reached(service))
        #: By C{(kind, name)}; what can be reached in the mesh also by C{("connect-enabled", name)}.
        self.services_by_kind_and_name: Index[Pair, NodeService] = Index(lambda key, service: kinds_and_names(service))
        self.services: Table[Pair, NodeService] = Table(
            "services",
            journal,
            indexes=(
                self.services_by_node,
                self.services_by_name,
                self.services_by_mesh_name,
                self.services_by_upstream,
                self.services_by_kind_and_name,
            ),
            touches=_service_touched,
        )
        self.service_tags = ServiceTags(self.services.rows, self.services_by_name)
        self.services.follow(self.service_tags)
        self.usage = Usage()
        self.services.follow(self.usage)
        self.checks_by_node: Index[Pair, HealthCheck] = Index(lambda key, check: (key[0],))
        #: By C{(node, service id)}; the checks of the node itself have an empty service id.
        self.checks_by_instance: Index[Pair, HealthCheck] = Index(lambda key, c: ((key[0], c.service_id.lower()),))
        self.checks_by_service: Index[Pair, HealthCheck] = Index(
            lambda key, check: (check.service_name.lower(),) if check.service_name else ()
        )
        self.checks_by_status: Index[Pair, HealthCheck] = Index(lambda key, check: (check.status.lower(),))
        self.checks: Table[Pair, HealthCheck] = Table(
            "checks",
            journal,
            indexes=(self.checks_by_node, self.checks_by_instance, self.checks_by_service, self.checks_by_status),
            touches=self._check_touched,
        )
        self.coordinates_by_node: Index[Pair, Coordinate] = Index(lambda key, coordinate: (key[0],))
        #: By C{(node, segment)}.
        self.coordinates: Table[Pair, Coordinate] = Table(
            "coordinates", journal, indexes=(self.coordinates_by_node,), touches=_coordinate_touched
        )

        #: By C{(peer, service)}.
        self.virtual_ips_by_manual: Index[Pair, ServiceVirtualIP] = Index(lambda key, row: row.manual_ips or ())
        self.virtual_ips: Table[Pair, ServiceVirtualIP] = Table(
            "service-virtual-ips", journal, indexes=(self.virtual_ips_by_manual,), touches=_virtual_ip_touched
        )
        self.ca_roots: Table[str, CARoot] = Table("connect-ca-roots", journal)
        self.ca_builtin: Table[str, CAConsulProviderState] = Table("connect-ca-builtin", journal)
        self.ca_config: Table[str, CAConfiguration] = Table("connect-ca-config", journal)
        self.federation_states: Table[str, FederationState] = Table("federation-states", journal)

        #: By whether it is the counter.
        self.free_virtual_ips: Table[bool, FreeVirtualIP] = Table("free-virtual-ips", journal)

        self.prepared_queries_by_name: Index[str, PreparedQuery] = Index(_query_names)
        self.prepared_queries_by_session: Index[str, PreparedQuery] = Index(
            lambda key, query: (query.session.lower(),) if query.session else ()
        )
        self.query_templates_by_name: Index[str, PreparedQuery] = Index(
            lambda key, query: (query.name.lower(),) if query.template.type else ()
        )
        #: By the lengths of their names, after which a name may go on.
        self.query_templates_by_length: Index[str, PreparedQuery] = Index(
            lambda key, query: (len(query.name.lower()),) if query.template.type else ()
        )
        #: By their ids' digits, see L{txconsul.state.prepared_queries.query_key}.
        self.prepared_queries: Table[str, PreparedQuery] = Table(
            "prepared-queries",
            journal,
            indexes=(
                self.prepared_queries_by_name,
                self.prepared_queries_by_session,
                self.query_templates_by_name,
                self.query_templates_by_length,
            ),
            touches=lambda key, before, after: (("table", "prepared-queries"), ("query", key)),
        )

        #: The one row has the empty key.
        self.autopilot: Table[str, AutopilotConfig] = Table(
            "autopilot-config", journal, touches=lambda key, before, after: (("table", "autopilot-config"),)
        )
        self.metadata: Table[str, SystemMetadataEntry] = Table("system-metadata", journal)

    def all(self) -> tuple[Table[Any, Any], ...]:
        """Every table."""
        return tuple([value for value in vars(self).values() if isinstance(value, Table)])

    def index(self, *names: str) -> int:
        """The highest of these entries of the index table; 0 where there is none."""
        rows = self.indexes.rows
        return max([rows.get(name, 0) for name in names])

    def raise_index(self, index: int, *names: str) -> None:
        """Set these entries of the index table, unless they are higher already."""
        rows = self.indexes.rows
        for name in names:
            if rows.get(name, 0) < index:
                self.indexes.put(name, index)

    def rollback(self, mark: int, delays: int) -> None:
        """Take back every change since the journal, and the list of lock delays, had these lengths."""
        journal = self.journal
        for table, key, before, after in reversed(journal[mark:]):
            table.undo(key, before, after)
        del journal[mark:]
        del self.lock_delays[delays:]

    # Answers about services show their nodes; those about health, the checks of the nodes and their own, too.

    def _services_on(self, node: str) -> Iterator[NodeService]:
        return (self.services.rows[key] for key in self.services_by_node.keys(node))

    def _node_touched(self, key: str, before: Node | None, after: Node | None) -> Iterator[Key]:
        yield ("table", "nodes")
        yield ("node", key)
        yield ("node-services", key)
        for service in self._services_on(key):
            yield from _whole_answers_with(service)

    def _check_touched(self, key: Pair, before: HealthCheck | None, after: HealthCheck | None) -> Iterator[Key]:
        yield ("table", "checks")
        yield ("node", key[0])
        yield ("node-checks", key[0])
        yield ("check", key)
        for check in (before, after):
            if check is not None:
                yield ("status", check.status.lower())
                if check.service_id:
                    yield ("service-checks", check.service_name.lower())
                    instance = self.services.rows.get((key[0], check.service_id.lower()))
                    if instance is not None:
                        yield from _health_answers_with(instance)
                else:
                    for service in self._services_on(key[0]):
                        yield from _health_answers_with(service)


def session_check_ids(session: Session) -> list[str]:
    """The ids of all checks that a session depends on, in old words and new, each once."""
    ids = dict.fromkeys(session.checks or ())
    ids |= dict.fromkeys(session.node_checks or ())
    ids |= dict.fromkeys([check.id for check in session.service_checks or ()])
    return list(ids)


def _holder(key: bytes, entry: DirEntry) -> tuple[str, ...]:
    return (entry.session.lower(),) if entry.session else ()


def _kv_touched(key: bytes, before: DirEntry | None, after: DirEntry | None) -> tuple[Key, ...]:
    return (("kv", key), ("table", "kvs"))


def _checks_of_session(key: str, session: Session) -> tuple[Pair, ...]:
    node = session.node.lower()
    return tuple([(node, id.lower()) for id in session_check_ids(session)])


def _session_touched(key: str, before: Session | None, after: Session | None) -> Iterator[Key]:
    yield ("session", key)
    yield ("table", "sessions")
    for session in (before, after):
        if session is not None:
            yield ("node-sessions", session.node.lower())


def _service_touched(key: Pair, before: NodeService | None, after: NodeService | None) -> Iterator[Key]:
    yield ("table", "services")
    yield ("node", key[0])
    yield ("node-services", key[0])
    for service in (before, after):
        if service is not None:
            yield from _whole_answers_with(service)


def _health_answers_with(service: NodeService) -> Iterator[Key]:
    """Whose answers show an instance's checks: its own name's, and those of what it makes reachable in the mesh."""
    yield ("service", service.service.lower())
    reachable = mesh_name(service)
    if reachable:
        yield ("mesh", reachable.lower())


def _whole_answers_with(service: NodeService) -> Iterator[Key]:
    """Whose answers show an instance and its node."""
    name = service.service.lower()
    yield ("service", name)
    yield ("instances", name)
    reachable = mesh_name(service)
    if reachable:
        yield ("mesh", reachable.lower())
        yield ("mesh-instances", reachable.lower())


def _virtual_ip_touched(key: Pair, before: ServiceVirtualIP | None, after: ServiceVirtualIP | None) -> Iterator[Key]:
    yield ("table", "service-virtual-ips")
    yield ("virtual-ip", key)


def mesh_name(service: NodeService) -> str | None:
    """The service that an instance makes reachable in the mesh; None for an instance outside the mesh."""
    if service.kind == "connect-proxy":
        return service.proxy.destination_service_name
    return service.service if service.connect.native else None


def reached(service: NodeService) -> tuple[str, ...]:
    """The services that a proxy reaches for its own, by their names in lower case."""
    upstreams = service.proxy.upstreams
    if not upstreams or service.kind != "connect-proxy":
        return ()
    names = [one.destination_name.lower() for one in upstreams if one.destination_type != "prepared_query"]
    return tuple(dict.fromkeys(names))


def kinds_and_names(service: NodeService) -> tuple[Pair, ...]:
    """Kind and name, in lower case, under which an instance is listed."""
    own = (service.kind or "typical", service.service.lower())
    reachable = mesh_name(service)
    return (own,) if reachable is None else (own, ("connect-enabled", reachable.lower()))


def _query_names(key: str, query: PreparedQuery) -> tuple[str, ...]:
    return (query.name.lower(),) if query.name else ()


def _mesh_names(key: Pair, service: NodeService) -> tuple[str, ...]:
    name = mesh_name(service)
    return () if name is None else (name.lower(),)


def _coordinate_touched(key: Pair, before: Coordinate | None, after: Coordinate | None) -> tuple[Key, ...]:
    return (("table", "coordinates"), ("coordinate", key[0]))
