"""
Catalog and Health: nodes, services and checks.

A first slice: what sessions hang on, and what shows a server to its clients. What a filter leaves out is left out last,
when the index is known: it says which state was read, not what was shown of it.

Source: Consul's documentation of the catalog and health HTTP APIs; the wire documents' Catalog and Health methods.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import Any, TypeVar
from uuid import UUID

import msgspec

from txconsul.endpoints.authorizing import Authorizer
from txconsul.endpoints.central_config import merged_instance, merged_node, merged_service
from txconsul.endpoints.leading import Leading
from txconsul.endpoints.nearness import by_distance, check_node, instance_node, node_name, order, service_node
from txconsul.endpoints.registry import Decided, read, server, write
from txconsul.endpoints.service_rules import check_service, check_service_name
from txconsul.endpoints.site import Site
from txconsul.errors import InvalidRequest
from txconsul.language.bexpr import Filter, filter_for
from txconsul.records.base import Record
from txconsul.records.catalog import CheckServiceNode, DeregisterRequest, Node, RegisterRequest, ServiceNode
from txconsul.records.command import Command
from txconsul.records.health import ANY, CRITICAL, PASSING, HealthCheck, HealthCheckDefinition
from txconsul.records.queries import (
    ChecksInStateRequest,
    DCSpecificRequest,
    NodeSpecificRequest,
    ServiceSpecificRequest,
)
from txconsul.records.service import NodeService
from txconsul.state.store import Store
from txconsul.state.watches import Key, table
from txconsul.state.watches import checks_in_state as state_key
from txconsul.state.watches import instances as instances_key
from txconsul.state.watches import mesh as mesh_key
from txconsul.state.watches import mesh_instances as mesh_instances_key
from txconsul.state.watches import node_checks as node_checks_key
from txconsul.state.watches import node_services as node_services_key
from txconsul.state.watches import service as service_key
from txconsul.state.watches import service_checks as service_checks_key

__all__ = ["prepare_check", "prepare_node", "prepare_service"]

R = TypeVar("R", bound=Record)

#: The service of the servers themselves, which every agent may register.
CONSUL_SERVICE = "consul"
_ANY_ADDRESSES = frozenset({"0.0.0.0", "::", "[::]"})
_UUID_TEXT = 36


# ---- before a write ----


def prepare_node(name: str, node_id: str) -> None:
    """@raise InvalidRequest: the node has no name, or an id that is no UUID."""
    if not name:
        raise InvalidRequest("Must provide node")
    if node_id:
        if len(node_id) != _UUID_TEXT:
            raise InvalidRequest("Bad node ID: uuid string is wrong length")
        try:
            UUID(node_id)
        except ValueError:
            raise InvalidRequest("Bad node ID: uuid is improperly formatted") from None


def prepare_service(service: NodeService, authorizer: Authorizer) -> NodeService:
    """
    A service made complete: without an id, its name is its id.

    @raise InvalidRequest: it has no name, or one that is none in DNS, an address that no client could reach, or breaks
        a rule of the mesh.
    """
    check_service(service)
    if not service.service:
        if not service.id:
            raise InvalidRequest("Must provide service name (Service.Service)")
        raise InvalidRequest("Must provide service name (Service.Service) when service ID is provided")
    check_service_name(service.service)
    if service.address in _ANY_ADDRESSES:
        raise InvalidRequest("Invalid service address")
    if service.service != CONSUL_SERVICE:
        authorizer.require_service_write(service.service)
    if service.kind == "connect-proxy":
        authorizer.require_service_write(service.proxy.destination_service_name)
    return service if service.id else msgspec.structs.replace(service, id=service.service)


def check_type(definition: HealthCheckDefinition) -> str:
    """What kind of check a definition describes; empty where it describes none."""
    if definition.interval > 0:
        for kind in _INTERVAL_KINDS:
            if getattr(definition, _FIELDS.get(kind, kind)):
                return kind
    if definition.ttl > 0:
        return "ttl"
    return "alias" if definition.alias_node or definition.alias_service else ""


#: Kinds of checks that are run again and again, in the order in which a definition is read.
_INTERVAL_KINDS = ("grpc", "http", "tcp", "udp", "docker", "script", "h2ping", "os_service")
_FIELDS = {"docker": "docker_container_id", "script": "script_args", "h2ping": "h2_ping"}


def prepare_check(check: HealthCheck, node: str) -> HealthCheck:
    """A check made complete: without an id, its name is its id; without a node, it is the request's."""
    changed: dict[str, str] = {}
    if not check.check_id and check.name:
        changed["check_id"] = check.name
    if not check.node:
        changed["node"] = node
    return msgspec.structs.replace(check, **changed) if changed else check


@write("Catalog.Register", RegisterRequest, Command.REGISTER)
def register(store: Store, request: RegisterRequest, authorizer: Authorizer, leading: Leading) -> RegisterRequest:
    """Say that a node, a service on it, or checks of them exist; None."""
    parts = (request, request.service, request.check, *(request.checks or ()))
    if any(part is not None and part.peer_name for part in parts):
        raise InvalidRequest("cannot register requests with PeerName in them")
    prepare_node(request.node, request.id)
    if not request.address and not request.skip_node_update:
        raise InvalidRequest("Must provide address if SkipNodeUpdate is not set")
    authorizer.require_node_write(request.node)
    service = None if request.service is None else prepare_service(request.service, authorizer)
    given = request.checks or ()
    if request.check is not None:
        given = (*given, request.check)
    checks = tuple([_typed(prepare_check(one, request.node)) for one in given if one is not None])
    _vet_checks(store, request.node, service, checks)
    return msgspec.structs.replace(request, service=service, check=None, checks=checks or None, token="")


def _typed(check: HealthCheck) -> HealthCheck:
    """The check with its type, as far as its definition tells."""
    kind = "" if check.type else check_type(check.definition)
    return msgspec.structs.replace(check, type=kind) if kind else check


def _vet_checks(store: Store, node: str, service: NodeService | None, checks: tuple[HealthCheck, ...]) -> None:
    """@raise InvalidRequest: a check is of another node, or of a service that the node does not have."""
    for check in checks:
        if check.node.lower() != node.lower():
            raise InvalidRequest(
                f"Node '{check.node}' for check '{check.check_id}' doesn't match register request node '{node}'"
            )
        if not check.service_id or (service is not None and service.id == check.service_id):
            continue
        other = store.catalog.service(node, check.service_id)
        if other is None or other.id != check.service_id:  # spelled as it is, as in Consul
            raise InvalidRequest(f"Unknown service ID '{check.service_id}' for check ID '{check.check_id}'")


@write("Catalog.Deregister", DeregisterRequest, Command.DEREGISTER)
def deregister(
    store: Store, request: DeregisterRequest, authorizer: Authorizer, leading: Leading
) -> DeregisterRequest | Decided:
    """Forget a check, a service with its checks, or a node with all that it has; None."""
    if not request.node:
        raise InvalidRequest("Must provide node")
    authorizer.require_node_write(request.node)
    return msgspec.structs.replace(request, token="")


# ---- reading ----

# Indexes of answers that are kept. Those to requests with metadata are not: they have no name to be kept under.


def _nodes_kept(store: Store, request: DCSpecificRequest) -> int:
    return 0 if request.node_meta_filters else store.catalog.nodes_index()


def _services_kept(store: Store, request: DCSpecificRequest) -> int:
    return 0 if request.node_meta_filters else store.catalog.services_index()


def _instances_kept(store: Store, request: ServiceSpecificRequest) -> int:
    if request.node_meta_filters or request.service_address:
        return 0
    name = request.service_name
    return store.catalog.mesh_index(name) if request.connect else store.catalog.instances_index(name)


def _health_kept(store: Store, request: ServiceSpecificRequest) -> int:
    if request.node_meta_filters or request.ingress:
        return 0
    name = request.service_name
    return store.catalog.mesh_index(name) if request.connect else store.catalog.health_index(name)


def _asks_gateways(request: ServiceSpecificRequest) -> bool:
    """Consul heeds tags first, and then looks at the service itself."""
    return request.ingress and not request.service_tags


def _health_watched(request: ServiceSpecificRequest) -> tuple[Key]:
    if _asks_gateways(request):
        return (table("gateway-services"),)
    name = request.service_name
    return (mesh_key(name) if request.connect else service_key(name),)


def _instances_watched(request: ServiceSpecificRequest) -> tuple[Key, ...]:
    if request.service_address and not request.connect:
        return (table("services"), table("nodes"))
    name = request.service_name
    return (mesh_instances_key(name) if request.connect else instances_key(name),)


def _services_watched(request: DCSpecificRequest) -> tuple[Key, ...]:
    """Nodes matter only where they are asked about."""
    services = (table("services"),)
    return (*services, table("nodes")) if request.options.filter or request.node_meta_filters else services


#: What may be the beginning of a node's id as well as its name.
_ID_BEGINNING = re.compile("[0-9a-fA-F-]{2,36}")


def _node_watched(request: NodeSpecificRequest) -> tuple[Key, ...]:
    """Which node an id's beginning means is not known beforehand."""
    named = (node_services_key(request.node),)
    return (*named, table("nodes"), table("services")) if _ID_BEGINNING.fullmatch(request.node) else named


def _state_watched(request: ChecksInStateRequest) -> tuple[Key]:
    return (table("checks") if request.state == ANY else state_key(request.state),)


def _filter(request: Any, record: type[Record]) -> Filter | None:
    """
    The request's filter, for rows of this class.

    @raise BadExpression: it is none. Said before anything is read, as Consul does.
    """
    expression = request.options.filter
    return filter_for(expression, record) if expression else None


def _select(chosen: Filter | None, rows: list[R]) -> list[R]:
    return rows if chosen is None else chosen.select(rows)


def _of_peer(request: Any, rows: list[Any]) -> list[Any]:
    """Those rows that came from the peer which the request names; all where it names none."""
    name = request.peer_name
    return [one for one in rows if one.peer_name == name] if name else rows


@server("Catalog.ListDatacenters", DCSpecificRequest)
def datacenters(site: Site, request: DCSpecificRequest, authorizer: Authorizer) -> list[str]:
    """The names of all known datacenters, the nearest first."""
    return [site.me.datacenter, *site.other_datacenters()]


@read("Catalog.ListNodes", DCSpecificRequest, lambda request: (table("nodes"),), kept=_nodes_kept, order=order)
def nodes(store: Store, request: DCSpecificRequest, authorizer: Authorizer) -> tuple[int, Any]:
    """All nodes, or those with certain metadata."""
    chosen = _filter(request, Node)
    index, found = store.catalog.nodes()
    found = _of_peer(request, found)
    wanted = request.node_meta_filters
    if wanted:
        found = [one for one in found if _has_meta(one.meta, wanted)]
    return index, by_distance(store, request, _select(chosen, found), node_name)


def _has_meta(meta: dict[str, str] | None, wanted: dict[str, str]) -> bool:
    return meta is not None and all(meta.get(name) == value for name, value in wanted.items())


@read("Catalog.ListServices", DCSpecificRequest, _services_watched, kept=_services_kept)
def services(store: Store, request: DCSpecificRequest, authorizer: Authorizer) -> tuple[int, Any]:
    """The names of all services, with all tags of their instances; with a filter, of those instances that pass."""
    chosen = _filter(request, ServiceNode)
    index, found = store.catalog.services()
    wanted = request.node_meta_filters
    if wanted:
        index = max(index, store.catalog.nodes_index())
    if chosen is not None or request.peer_name:
        return index, _services_that_pass(store, found, request, chosen)
    if wanted:
        found = _services_of_nodes(store, wanted)
    return index, found


def _services_that_pass(
    store: Store, names: Iterable[str], request: DCSpecificRequest, chosen: Filter | None
) -> dict[str, list[str]]:
    """The services with instances that pass a filter, and all else that is asked of them, with all tags of those."""
    instances = [one for name in names for one in store.catalog.service_nodes(name)[1]]
    wanted = request.node_meta_filters
    if wanted:
        instances = [one for one in instances if _has_meta(one.node_meta, wanted)]
    tags: dict[str, dict[str, None]] = {}
    for one in _select(chosen, _of_peer(request, instances)):
        tags.setdefault(one.service_name, {}).update(dict.fromkeys(one.service_tags or ()))
    return {name: [*given] for name, given in tags.items()}


def _services_of_nodes(store: Store, wanted: dict[str, str]) -> dict[str, list[str]]:
    """The services of the nodes with certain metadata, with all tags of those instances."""
    tags: dict[str, set[str]] = {}
    for node in store.catalog.nodes()[1]:
        if _has_meta(node.meta, wanted):
            _, found = store.catalog.node_services(node.node)
            for service in (found[1] if found else {}).values():
                tags.setdefault(service.service, set()).update(service.tags or ())
    return {name: sorted(given) for name, given in tags.items()}


def _on_nodes(store: Store, found: list[Any], wanted: dict[str, str] | None) -> list[Any]:
    """Those of some checks that are of nodes with certain metadata."""
    if not wanted:
        return found
    nodes = {node.node for node in store.catalog.nodes()[1] if _has_meta(node.meta, wanted)}
    return [one for one in found if one.node in nodes]


@read("Catalog.NodeServices", NodeSpecificRequest, _node_watched)
def node_services(store: Store, request: NodeSpecificRequest, authorizer: Authorizer) -> tuple[int, Any]:
    """C{(node, services)}, or None where there is no such node."""
    chosen = _filter(request, NodeService)
    index, found = store.catalog.node_services(request.node)
    if found is not None and request.peer_name and found[0].peer_name != request.peer_name:
        found = None
    if found is not None and request.merge_central_config:
        found = (found[0], {id: merged_service(one) for id, one in found[1].items()})
    if chosen is None or found is None:
        return index, found
    return index, (found[0], chosen.select_values(found[1]))


@read(
    "Catalog.ServiceNodes",
    ServiceSpecificRequest,
    _instances_watched,
    kept=_instances_kept,
    order=order,
    counted="catalog",
)
def service_nodes(store: Store, request: ServiceSpecificRequest, authorizer: Authorizer) -> tuple[int, Any]:
    """The instances of a service, each with its node."""
    chosen = _filter(request, ServiceNode)
    if request.connect:  # tags do not matter: a proxy need not have those of its service
        index, found = store.catalog.mesh_nodes(request.service_name)
    elif request.service_address:
        index, found = 0, store.catalog.with_address(request.service_address)  # no index tells of these, as in Consul
    else:
        index, found = store.catalog.service_nodes(request.service_name, request.service_tags)
    if request.merge_central_config:
        found = [merged_node(one) for one in found]
    wanted = request.node_meta_filters
    if wanted:
        found = [one for one in found if _has_meta(one.node_meta, wanted)]
    return index, by_distance(store, request, _select(chosen, _of_peer(request, found)), service_node)


@read("Health.NodeChecks", NodeSpecificRequest, lambda request: (node_checks_key(request.node),))
def node_checks(store: Store, request: NodeSpecificRequest, authorizer: Authorizer) -> tuple[int, Any]:
    """The checks of a node and of its services."""
    chosen = _filter(request, HealthCheck)
    index, found = store.catalog.node_checks(request.node)
    return index, _select(chosen, _of_peer(request, found))


@read("Health.ServiceChecks", ServiceSpecificRequest, lambda request: (service_checks_key(request.service_name),))
def service_checks(store: Store, request: ServiceSpecificRequest, authorizer: Authorizer) -> tuple[int, Any]:
    """The checks of a service's instances."""
    chosen = _filter(request, HealthCheck)
    index, found = store.catalog.service_checks(request.service_name)
    found = _select(chosen, _on_nodes(store, _of_peer(request, found), request.node_meta_filters))
    return index, by_distance(store, request, found, check_node)


@read("Health.ChecksInState", ChecksInStateRequest, _state_watched)
def checks_in_state(store: Store, request: ChecksInStateRequest, authorizer: Authorizer) -> tuple[int, Any]:
    """All checks of one status, or of any."""
    chosen = _filter(request, HealthCheck)
    index, found = store.catalog.checks_in_state(request.state)
    found = _select(chosen, _on_nodes(store, _of_peer(request, found), request.node_meta_filters))
    return index, by_distance(store, request, found, check_node)


@read(
    "Health.ServiceNodes",
    ServiceSpecificRequest,
    _health_watched,
    kept=_health_kept,
    order=order,
    counted="health",
)
def health_service_nodes(store: Store, request: ServiceSpecificRequest, authorizer: Authorizer) -> tuple[int, Any]:
    """The instances of a service, each with its node and the checks of both."""
    chosen = _filter(request, CheckServiceNode)
    if request.connect:
        index, found = store.catalog.mesh_instances(request.service_name)
    elif _asks_gateways(request):
        index, found = 1, []  # which gateways let clients in is said by configuration entries, and there are none yet
    else:
        index, found = store.catalog.check_service_nodes(request.service_name, request.service_tags)
    if request.merge_central_config:
        found = [merged_instance(one) for one in found]
    if request.node_meta_filters:
        wanted = request.node_meta_filters
        found = [one for one in found if one.node is not None and _has_meta(one.node.meta, wanted)]
    if request.peer_name:
        found = [one for one in found if one.service is not None and one.service.peer_name == request.peer_name]
    if request.must_be_passing:
        found = [one for one in found if all(check.status == PASSING for check in one.checks or ())]
    elif request.exclude_critical:
        found = [one for one in found if all(check.status != CRITICAL for check in one.checks or ())]
    return index, by_distance(store, request, _select(chosen, found), instance_node)
