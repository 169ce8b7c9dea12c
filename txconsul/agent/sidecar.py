"""
The sidecar that a service's registration asks for in passing: a proxy's registration, filled in from the service's.

Source: Consul's documentation of sidecar service registration.
"""

from __future__ import annotations

from collections.abc import Container, Iterable

import msgspec

from txconsul.errors import BadRequest, InvalidRequest
from txconsul.records.service import CheckType, ConnectProxyConfig, NodeService, ServiceDefinition, Upstream

__all__ = ["SUFFIX", "as_service", "checks_of", "free_port", "listening_checks", "sidecar_of"]

SUFFIX = "-sidecar-proxy"
LOOPBACK = "127.0.0.1"
_NO_CHECK = CheckType()


def checks_of(definition: ServiceDefinition) -> tuple[CheckType, ...]:
    """The checks of a definition: the one, then the many."""
    one = () if definition.check == _NO_CHECK else (definition.check,)
    return (*one, *(definition.checks or ()))


def as_service(definition: ServiceDefinition) -> NodeService:
    """The service that a definition describes; without an id, its name is its id."""
    proxy = definition.proxy or ConnectProxyConfig()
    if proxy.upstreams:
        proxy = msgspec.structs.replace(proxy, upstreams=tuple([_typed(one) for one in proxy.upstreams]))
    connect = definition.connect
    plain = NodeService()
    return msgspec.structs.replace(
        plain,
        kind=definition.kind,
        id=definition.id or definition.name,
        service=definition.name,
        tags=definition.tags,
        address=definition.address,
        meta=definition.meta,
        port=definition.port,
        socket_path=definition.socket_path,
        weights=definition.weights,
        enable_tag_override=definition.enable_tag_override,
        locality=definition.locality,
        tagged_addresses=definition.tagged_addresses,
        proxy=proxy,
        connect=plain.connect if connect is None else msgspec.structs.replace(connect, sidecar_service=None),
    )


def _typed(upstream: Upstream) -> Upstream:
    return upstream if upstream.destination_type else msgspec.structs.replace(upstream, destination_type="service")


def sidecar_of(service: NodeService, definition: ServiceDefinition) -> NodeService:
    """
    The sidecar of a service, its port still as it was given.

    @raise BadRequest: the definition asks for what a sidecar cannot have.
    """
    if definition.id:
        raise BadRequest("Invalid SidecarService: sidecar service cannot specify an ID as it's managed by the agent")
    if definition.connect is not None and definition.connect.sidecar_service is not None:
        raise BadRequest("Invalid SidecarService: sidecar service cannot have a nested sidecar service")
    it = as_service(definition)
    proxy = it.proxy
    changed: dict[str, object] = {}
    if not proxy.local_service_socket_path and not (proxy.local_service_address and proxy.local_service_port > 0):
        if service.socket_path:
            changed["local_service_socket_path"] = service.socket_path
        else:
            changed["local_service_address"] = proxy.local_service_address or LOOPBACK
            changed["local_service_port"] = proxy.local_service_port if proxy.local_service_port > 0 else service.port
    weights = it.weights
    if (weights is None or (weights.passing, weights.warning) == (1, 1)) and service.weights is not None:
        weights = service.weights
    return msgspec.structs.replace(
        it,
        id=f"{service.id}{SUFFIX}",
        service=it.service or f"{service.service}{SUFFIX}",
        kind=it.kind or "connect-proxy",
        address=it.address or service.address,
        meta=it.meta or service.meta,
        tags=it.tags or service.tags,
        locality=it.locality or service.locality,
        weights=weights,
        locally_registered_as_sidecar=True,
        proxy=msgspec.structs.replace(
            proxy,
            destination_service_name=proxy.destination_service_name or service.service,
            destination_service_id=proxy.destination_service_id or service.id,
            **changed,
        ),
    )


def free_port(low: int, high: int, used: Container[int]) -> int:
    """
    The lowest port of a range that no service has.

    @raise InvalidRequest: there is none, or the range is.
    """
    if low < 1 or high < 1:
        raise InvalidRequest("no port provided for sidecar_service and auto-assignment disabled in config")
    for port in range(low, high + 1):
        if port not in used:
            return port
    raise InvalidRequest(f"no port provided for sidecar_service and none left in the configured range [{low}, {high}]")


def listening_checks(sidecar: NodeService, given: Iterable[CheckType]) -> tuple[CheckType, ...]:
    """The checks that were given, or else: it listens, and its service is well."""
    found = tuple(given)
    if found:
        return found
    host = sidecar.address or LOOPBACK
    alias = CheckType(
        name=f"Connect Sidecar Aliasing {sidecar.proxy.destination_service_id}",
        alias_service=sidecar.proxy.destination_service_id,
    )
    if not sidecar.port:
        return (alias,)
    shown = f"[{host}]" if ":" in host else host
    listens = CheckType(name="Connect Sidecar Listening", tcp=f"{shown}:{sidecar.port}", interval=10_000_000_000)
    return (listens, alias)
