"""
What the web UI asks: everything at a glance.

Methods named UI are of this program only: Consul's agents have a server send them every instance, and sum up for
themselves.

Source: Consul's internal UI endpoints; the wire documents' Internal methods.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from txconsul.endpoints.authorizing import Authorizer
from txconsul.endpoints.placing import Rule
from txconsul.endpoints.registry import read, server
from txconsul.endpoints.site import Site
from txconsul.errors import InvalidRequest
from txconsul.language.bexpr import filter_for
from txconsul.records.bodies import ServiceDumpBody
from txconsul.records.catalog import CheckServiceNode
from txconsul.records.queries import DCSpecificRequest, NodeSpecificRequest, ServiceSpecificRequest
from txconsul.records.ui import CatalogSummary, NodeInfo, ServiceNeighbours, ServiceTopology
from txconsul.state.listings import Row
from txconsul.state.store import Store
from txconsul.state.summaries import listed, summarize
from txconsul.state.topology import service_neighbours, service_topology
from txconsul.state.watches import Key, table
from txconsul.state.watches import node as node_key

__all__ = ["node_rows", "service_rows", "topologies"]

_EVERYTHING = (table("nodes"), table("services"), table("checks"))
#: Gateways are tied to services by configuration entries, of which there are none yet.
_GATEWAYS = (table("gateway-services"),)
_WITHOUT_GATEWAYS: tuple[int, list[Any]] = (1, [])


def _everything(request: Any) -> tuple[Key, ...]:
    return _EVERYTHING


def _kept_filtered(store: Store, request: DCSpecificRequest) -> int:
    """The lists of all are kept row by row, and what a filter leaves of them as it is."""
    return store.catalog.everything_index() if request.options.filter else 0


def node_rows(nodes: Iterable[NodeInfo]) -> list[Row]:
    """Rows of nodes that somebody else told of."""
    found = {one.node: one for one in nodes}
    return [Row(name, found.get) for name in found]


def service_rows(instances: Iterable[CheckServiceNode]) -> list[Row]:
    """Rows of the services of some instances, each at a glance."""
    found = summarize(instances)
    return [Row(name, lambda name: listed(found[name])) for name in sorted(found)]


@read("UI.Nodes", DCSpecificRequest, _everything, kept=_kept_filtered)
def nodes(store: Store, request: DCSpecificRequest, authorizer: Authorizer) -> tuple[int, list[Row]]:
    """Rows of all nodes, each with all that is on it."""
    rows = store.listings.nodes.rows()
    expression = request.options.filter
    if expression:
        chosen = filter_for(expression, NodeInfo).select_values({row.name: row.record for row in rows})
        rows = [row for row in rows if row.name in chosen]
    return store.catalog.everything_index(), rows


@read("UI.Node", NodeSpecificRequest, lambda request: (node_key(request.node),))
def node(store: Store, request: NodeSpecificRequest, authorizer: Authorizer) -> tuple[int, NodeInfo | None]:
    """One node with all that is on it; None where there is no such node."""
    found = None if request.peer_name else store.listings.node(request.node)
    return store.catalog.everything_index(), found


@read("UI.Services", DCSpecificRequest, _everything, kept=_kept_filtered)
def services(store: Store, request: DCSpecificRequest, authorizer: Authorizer) -> tuple[int, list[Row]]:
    """Rows of all services, each at a glance; a filter says which of their instances count."""
    expression = request.options.filter
    chosen = filter_for(expression, CheckServiceNode) if expression else None
    index = store.catalog.everything_index()
    if request.peer_name:
        return index, []  # nothing is imported from peers
    if chosen is None:
        return index, store.listings.services.rows()
    return index, service_rows(chosen.select(store.listings.instances()))


def _topology_kept(store: Store, request: ServiceSpecificRequest) -> int:
    return store.catalog.everything_index()


def _neighbours(store: Store, request: ServiceSpecificRequest, authorizer: Authorizer) -> ServiceNeighbours:
    authorizer.require_service_read(request.service_name)
    # without ACLs the default is to allow
    return service_neighbours(store.tables, store.catalog, request.service_name, request.service_kind, True)


def topologies(found: ServiceNeighbours) -> list[ServiceTopology]:
    """What L{topology} gives of neighbours that somebody else told of."""
    return [service_topology(found)]


@read("UI.Topology", ServiceSpecificRequest, _everything, kept=_topology_kept)
def topology(
    store: Store, request: ServiceSpecificRequest, authorizer: Authorizer
) -> tuple[int, list[ServiceTopology]]:
    """The neighbours of a service in the mesh at a glance: one L{ServiceTopology}, in a list, as which it is kept."""
    return store.catalog.everything_index(), topologies(_neighbours(store, request, authorizer))


@read("Internal.ServiceTopology", ServiceSpecificRequest, _everything)
def neighbours(store: Store, request: ServiceSpecificRequest, authorizer: Authorizer) -> tuple[int, ServiceNeighbours]:
    """The neighbours of a service in the mesh, with their instances."""
    if not request.service_name:
        raise InvalidRequest("Must provide a service name")
    return store.catalog.everything_index(), _neighbours(store, request, authorizer)


@read("Internal.ServiceDump", ServiceDumpBody, _everything)
def service_dump(store: Store, request: ServiceDumpBody, authorizer: Authorizer) -> tuple[int, list[Any]]:
    """The instances of all services, or of those of one kind."""
    expression = request.options.filter
    chosen = filter_for(expression, CheckServiceNode) if expression else None
    index = store.catalog.everything_index()
    if request.peer_name:
        return index, []  # nothing is imported from peers
    found: Iterable[CheckServiceNode] = store.listings.instances()
    if request.use_service_kind:
        found = [one for one in found if one.service is not None and one.service.kind == request.service_kind]
    return index, [*found] if chosen is None else chosen.select(found)


@read("Internal.GatewayServiceDump", ServiceSpecificRequest, lambda request: _GATEWAYS)
def gateway_service_dump(
    store: Store, request: ServiceSpecificRequest, authorizer: Authorizer
) -> tuple[int, list[Any]]:
    """The instances of the services behind a gateway."""
    authorizer.require_service_read(request.service_name)
    return _WITHOUT_GATEWAYS


@read("Internal.GatewayIntentions", ServiceSpecificRequest, lambda request: _GATEWAYS)
def gateway_intentions(store: Store, request: ServiceSpecificRequest, authorizer: Authorizer) -> tuple[int, list[Any]]:
    """The intentions about the services behind a gateway."""
    authorizer.require_service_read(request.service_name)
    return _WITHOUT_GATEWAYS


@read("Internal.ExportedServicesForPeer", DCSpecificRequest, lambda request: (table("peering"),))
def exported_services(store: Store, request: DCSpecificRequest, authorizer: Authorizer) -> tuple[int, list[Any]]:
    """The services that a peer is given: there are no peers."""
    if not request.peer_name:
        raise InvalidRequest("must provide PeerName")
    return 1, []


@server("Internal.CatalogOverview", DCSpecificRequest, Rule.READ)
def catalog_overview(site: Site, request: DCSpecificRequest, authorizer: Authorizer) -> CatalogSummary:
    """The health of the whole catalog in a few numbers, as it was at most five minutes ago."""
    authorizer.require_operator_read()
    return site.overview.summary(site.store.tables, site.clock.seconds())


@server("UI.Versions", DCSpecificRequest, Rule.AGENT)
def versions(site: Site, request: DCSpecificRequest, authorizer: Authorizer) -> dict[str, str]:
    """Which version of Consul runs at which address, as far as gossip tells this agent."""
    members = [*(site.facts.members(True) or ()), *(site.facts.members() or ())]
    return {one["Addr"]: one["Tags"]["build"].partition(":")[0] for one in members if one["Tags"].get("build")}
