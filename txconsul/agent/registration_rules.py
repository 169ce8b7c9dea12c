"""
What a service must be for its agent to run it: whatever is wrong with a definition that somebody registers, or that a
configuration file makes.

Source: Consul's documentation of the agent's HTTP API, service registration; RFC 1035, for names.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from ipaddress import ip_address

import msgspec

from txconsul.agent.configuration.definitions import check_problem, metadata_problem, weight_problem
from txconsul.agent.definitions import as_configured
from txconsul.agent.sidecar import as_service, checks_of, sidecar_of
from txconsul.endpoints.service_rules import check_service_name, check_tagged_addresses, service_problem
from txconsul.errors import BadRequest, InvalidRequest
from txconsul.records.health import CRITICAL, PASSING, WARNING
from txconsul.records.service import CheckType, NodeService, ServiceAddress, ServiceDefinition

__all__ = ["STATUSES", "tagged_addresses", "vet_runnable", "vet_service"]

STATUSES = (PASSING, WARNING, CRITICAL)
_ANY_ADDRESSES = frozenset({"0.0.0.0", "::", "[::]"})
#: A mesh gateway may say with this that it serves federation.
_MESH_GATEWAY_KEYS = frozenset({"consul-wan-federation"})


def vet_service(definition: ServiceDefinition) -> None:
    """
    See whether a definition that somebody registers is right.

    @raise BadRequest: it is not; the text says why.
    """
    if not definition.name:
        raise BadRequest("Missing service name")
    if definition.address in _ANY_ADDRESSES:
        raise BadRequest("Invalid service address")
    _vet_weights_and_mesh(definition)
    _vet_checks(checks_of(definition), "Invalid check")
    sidecar = None if definition.connect is None else definition.connect.sidecar_service
    if sidecar is not None:
        _vet_checks(checks_of(sidecar), "Invalid check in sidecar_service")
        problem = _meta_problem(sidecar.kind, sidecar.meta)
        if problem:
            raise BadRequest(f"Invalid SidecarService: {problem}")
        problem = service_problem(sidecar_of(as_service(definition), sidecar), complete=False)
        if problem:
            raise BadRequest(f"Failed Validation: {problem}")


def vet_runnable(definition: ServiceDefinition) -> None:
    """
    See what holds for every service that an agent runs, wherever its definition is from, and for its sidecar first.

    @raise InvalidRequest: a name is none of DNS, or an address by tag is none; the text says which.
    """
    service = as_service(definition)
    nested = None if definition.connect is None else definition.connect.sidecar_service
    if not service.service:
        raise InvalidRequest("Service name missing")
    for one in (service,) if nested is None else (sidecar_of(service, nested), service):
        check_service_name(one.service)
        check_tagged_addresses(one)


def _vet_weights_and_mesh(definition: ServiceDefinition) -> None:
    weights = definition.weights
    if weights is not None:
        problem = weight_problem(weights.passing, weights.warning)
        if problem:
            raise BadRequest(f"Invalid Weights: {problem}")
    problem = _meta_problem(definition.kind, definition.meta)
    if problem:
        raise BadRequest(f"Invalid Service Meta: {problem}")
    registered = as_service(definition)
    if definition.connect is not None:
        registered = msgspec.structs.replace(registered, connect=definition.connect)
    problem = service_problem(registered)
    if problem:
        raise BadRequest(f"Validation failed: {problem}")


def _vet_checks(checks: Iterable[CheckType], what: str) -> None:
    """@raise BadRequest: one is none."""
    given = list(checks)
    for check in given:
        problem = check_problem(as_configured(check))
        if problem:
            raise BadRequest(f"{what}: {problem}")
    for check in given:
        if check.status and check.status not in STATUSES:
            raise BadRequest("Status for checks must 'passing', 'warning', 'critical'")


def _meta_problem(kind: str, meta: Mapping[str, str] | None) -> str:
    return metadata_problem(meta or {}, _MESH_GATEWAY_KEYS if kind == "mesh-gateway" else frozenset())


def tagged_addresses(service: NodeService) -> dict[str, ServiceAddress] | None:
    """The addresses by tag, with those that follow from the service's own."""
    try:
        version = ip_address(service.address).version
    except ValueError:
        return service.tagged_addresses
    own = ServiceAddress(address=service.address, port=service.port)
    found = dict(service.tagged_addresses or {})
    for place in ("lan", "wan"):
        found.setdefault(f"{place}_ipv{version}", own)
    return found
