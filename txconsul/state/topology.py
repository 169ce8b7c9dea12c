"""
Who talks to whom in the mesh: the neighbours of one service.

A proxy says which services its own reaches: its upstreams. Proxies that catch all traffic, and services that speak the
mesh's protocol themselves, may reach whatever intentions allow: everything, while there are none and the default is to
allow.

Departures: Consul forgets that one service reaches another when the proxy that said so last goes, though others still
say it; here the registrations are what counts.

Source: Consul's internal UI endpoints and its documentation of transparent proxy.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import cast

from txconsul.errors import InvalidRequest
from txconsul.records.catalog import CheckServiceNode
from txconsul.records.service import NodeService
from txconsul.records.ui import IntentionDecision, ServiceNeighbours, ServiceTopology, TopologySummary
from txconsul.state.catalog import Catalog
from txconsul.state.summaries import summarize
from txconsul.state.tables import Tables, mesh_name, reached

__all__ = ["service_neighbours", "service_topology"]

_REGISTERED = "proxy-registration"
_BY_DEFAULT = "default-allow"
#: Kinds of services that are shown as neighbours; proxies are shown as the services before which they stand.
_SHOWN_KINDS = frozenset({"", "ingress-gateway", "api-gateway"})
#: The servers themselves are nobody's neighbour.
_SERVERS = "consul"


def service_neighbours(
    tables: Tables, catalog: Catalog, name: str, kind: str, default_allow: bool
) -> ServiceNeighbours:
    """
    The neighbours of a service, with their instances.

    @param kind: the service's: empty, C{ingress-gateway} or C{api-gateway}.
    @param default_allow: whether services may talk to each other where no intention says so.
    @raise InvalidRequest: an API gateway is none without its configuration entry.
    """
    own = [] if kind else _mesh_services(tables, name)
    if kind == "api-gateway":
        raise InvalidRequest("not an APIGateway")
    open_ended = any(_reaches_all(service) for service in own)
    upstreams = dict.fromkeys(_upstreams(tables, name), _REGISTERED)
    downstreams = dict.fromkeys(_downstreams(tables, name), _REGISTERED)
    if default_allow:
        if open_ended:
            _add_default(upstreams, _reachable(tables), name)
        _add_default(downstreams, _open_ended(tables), name)
    decision = IntentionDecision(allowed=default_allow, default_allow=default_allow)
    return ServiceNeighbours(
        # nothing but configuration entries can say that a service speaks anything else
        metrics_protocol="" if kind else "tcp",
        transparent_proxy=bool(own) and all(service.proxy.mode == "transparent" for service in own),
        upstreams=_instances(catalog, upstreams),
        upstream_sources=upstreams,
        upstream_decisions=dict.fromkeys(upstreams, decision),
        downstreams=_instances(catalog, downstreams),
        downstream_sources=downstreams,
        downstream_decisions=dict.fromkeys(downstreams, decision),
    )


def service_topology(found: ServiceNeighbours) -> ServiceTopology:
    """The same at a glance."""
    return ServiceTopology(
        protocol=found.metrics_protocol,
        transparent_proxy=found.transparent_proxy,
        upstreams=_summaries(found.upstreams, found.upstream_sources, found.upstream_decisions),
        downstreams=_summaries(found.downstreams, found.downstream_sources, found.downstream_decisions),
    )


def _mesh_services(tables: Tables, name: str) -> list[NodeService]:
    return [tables.services.rows[key] for key in tables.services_by_mesh_name.keys(name.lower())]


def _reaches_all(service: NodeService) -> bool:
    return service.proxy.mode == "transparent" or service.connect.native


def _upstreams(tables: Tables, name: str) -> Iterator[str]:
    """Names, in lower case, of the services that the proxies of one reach."""
    for service in _mesh_services(tables, name):
        yield from reached(service)


def _downstreams(tables: Tables, name: str) -> Iterator[str]:
    """Names, in lower case, of the services whose proxies reach one."""
    for key in tables.services_by_upstream.keys(name.lower()):
        reachable = mesh_name(tables.services.rows[key])
        if reachable:
            yield reachable.lower()


def _reachable(tables: Tables) -> Iterator[str]:
    """Names, in lower case, of all services that a request could be meant for."""
    for kind, name in cast("Iterable[tuple[str, str]]", tables.services_by_kind_and_name.names()):
        if kind == "typical":
            yield name
    for peer, name in tables.virtual_ips.rows:
        if not peer:
            yield name


def _open_ended(tables: Tables) -> Iterator[str]:
    """Names, in lower case, of the services that may reach any other."""
    for name in tables.services_by_mesh_name.names():
        if any(_reaches_all(service) for service in _mesh_services(tables, str(name))):
            yield str(name)


def _add_default(neighbours: dict[str, str], names: Iterable[str], own: str) -> None:
    for name in names:
        if name not in (own.lower(), _SERVERS):
            neighbours.setdefault(name, _BY_DEFAULT)


def _instances(catalog: Catalog, names: Iterable[str]) -> tuple[CheckServiceNode, ...]:
    """The instances of services, and of the proxies before them."""
    found: dict[tuple[str, str], CheckServiceNode] = {}
    for name in names:
        for one in (*catalog.check_service_nodes(name)[1], *catalog.mesh_instances(name)[1]):
            assert one.node is not None and one.service is not None
            found[one.node.node, one.service.id] = one
    return tuple([found[key] for key in sorted(found)])


_UNDECIDED = IntentionDecision()


def _summaries(
    instances: Iterable[CheckServiceNode] | None,
    sources: Mapping[str, str] | None,
    decisions: Mapping[str, IntentionDecision] | None,
) -> tuple[TopologySummary, ...]:
    """Services by their names, each at a glance, with where it is known from. Names are the same in whatever case."""
    known = {name.lower(): source for name, source in (sources or {}).items()}
    decided = {name.lower(): decision for name, decision in (decisions or {}).items()}
    shown = [
        one.summary(
            TopologySummary, intention=decided.get(one.name.lower(), _UNDECIDED), source=known[one.name.lower()]
        )
        for one in summarize(instances or ()).values()
        if one.kind in _SHOWN_KINDS and one.name.lower() in known
    ]
    return tuple(sorted(shown, key=lambda one: one.name))  # type: ignore[arg-type]
