"""
Rules for the registration of a service: what a proxy, a gateway, or a service of the mesh must and must not say.

Source: Consul's documentation of proxy service registration, of gateways and of sidecar services.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from ipaddress import IPv6Address, ip_address

from txconsul.codec.goquote import quote
from txconsul.errors import InvalidRequest, several
from txconsul.records.service import ExposePath, NodeService, Upstream

__all__ = ["GATEWAYS", "check_service", "check_service_name", "check_tagged_addresses", "service_problem"]

#: The kinds of gateways; the last two find their ports in their configuration, and need none of their own.
GATEWAYS = ("mesh-gateway", "terminating-gateway", "ingress-gateway", "api-gateway")
_PORTLESS = GATEWAYS[2:]

_PORT_MAX = 65535
_EXPOSED_PROTOCOLS = frozenset({"", "http", "http2"})
_UPSTREAM_TYPES = frozenset({"", "service", "prepared_query"})
_ANYBODY = "*"
#: Envoy's socket lies in this directory under a name of 32 characters, and the whole must stay below what the
#: smallest systems allow: 104.
_SOCKET_DIRECTORY = "envoy_hcp_metrics_bind_socket_dir"
_SOCKET_DIRECTORY_CHARACTERS_MAX = 70

#: What a label of a DNS name must not hold; a backslash passes, as it does in Consul.
_NOT_OF_NAMES = re.compile(r"[^A-Za-z0-9\\-]")
#: Tags of addresses which are of one version of IP. Consul looks at no C{wan_ipv6}.
_VERSION_OF_TAG = {"lan_ipv4": 4, "wan_ipv4": 4, "lan_ipv6": 6}


def check_service(service: NodeService) -> None:
    """
    @raise InvalidRequest: the registration breaks a rule; the text names all that it breaks.
    """
    problem = service_problem(service)
    if problem:
        raise InvalidRequest(problem)


def check_service_name(name: str) -> None:
    """
    @raise InvalidRequest: nobody could ask for the name in DNS.
    """
    if _NOT_OF_NAMES.search(name):
        raise InvalidRequest(
            f"Service name {name} contains invalid characters. Valid characters include all alpha-numerics and dashes."
        )


def check_tagged_addresses(service: NodeService) -> None:
    """
    @raise InvalidRequest: an address whose tag says of which version it is, is of the other, or none at all.
    """
    for tag, version in _VERSION_OF_TAG.items():
        tagged = (service.tagged_addresses or {}).get(tag)
        if tagged is not None and _version_of(tagged.address) != version:
            raise InvalidRequest(f'Service tagged address "{tag}" must be a valid ipv{version} address')


def _version_of(text: str) -> int:
    """4 or 6, where an IPv4 address that is written as one of version 6 is 4; 0 for anything else."""
    try:
        address = ip_address(text)
    except ValueError:
        return 0
    return 4 if isinstance(address, IPv6Address) and address.ipv4_mapped is not None else address.version


def service_problem(service: NodeService, complete: bool = True) -> str:
    """
    All rules that a registration breaks, as one text; empty where it breaks none.

    @param complete: nobody fills in what is missing, as an agent does with the port of a sidecar.
    """
    if not service.kind and service.connect == _PLAIN.connect and service.locality is None:
        return ""  # most of all services
    problems = [*_problems_if_complete(service)] if complete else []
    problems += _problems(service)
    return several(problems) if problems else ""


_PLAIN = NodeService()


def _problems_if_complete(service: NodeService) -> Iterator[str]:
    locality = service.locality
    if locality is not None and locality.zone and not locality.region:
        yield "zone cannot be set without region"
    if service.kind == "connect-proxy" and not (service.port or service.socket_path):
        yield "Port or SocketPath must be set for a connect-proxy"


def _problems(service: NodeService) -> Iterator[str]:
    if service.kind == "connect-proxy":
        yield from _problems_of_proxy(service)
    if service.kind in GATEWAYS:
        yield from _problems_of_gateway(service)
    sidecar = service.connect.sidecar_service
    if sidecar is not None:
        if sidecar.id:
            yield "A SidecarService cannot specify an ID as this is managed by the agent"
        if sidecar.connect is not None and sidecar.connect.sidecar_service is not None:
            yield "A SidecarService cannot have a nested SidecarService"
    if service.connect.native and not (service.port or service.socket_path):
        yield "Port or SocketPath must be set for a Connect native service."


def _problems_of_proxy(service: NodeService) -> Iterator[str]:
    proxy = service.proxy
    if not proxy.destination_service_name.strip():
        yield "Proxy.DestinationServiceName must be non-empty for Connect proxy services"
    if proxy.destination_service_name == _ANYBODY:
        yield "Proxy.DestinationServiceName must not be a wildcard for Connect proxy services"
    if service.connect.native:
        yield "A Proxy cannot also be Connect Native, only typical services"
    directory = (proxy.config or {}).get(_SOCKET_DIRECTORY)
    if isinstance(directory, str) and len(directory) > _SOCKET_DIRECTORY_CHARACTERS_MAX:
        excess = f"length {len(directory)} exceeds max {_SOCKET_DIRECTORY_CHARACTERS_MAX}"
        yield f"Proxy.Config: {_SOCKET_DIRECTORY} {excess}"
    yield from _problems_of_upstreams(proxy.upstreams or ())
    yield from _problems_of_paths(proxy.expose.paths or ())


def _problems_of_upstreams(upstreams: Iterable[Upstream]) -> Iterator[str]:
    keys: set[str] = set()
    places: set[str] = set()
    for one in upstreams:
        problem = _problem_of_partition(one) or _problem_of_upstream(one)
        if problem:
            yield problem
            continue
        key = _key(one)
        if key in keys:
            yield f"upstreams cannot contain duplicates of {key}"
            continue
        keys.add(key)
        place = _place(one)
        # what the configuration entries brought listens nowhere
        if place in places and not one.centrally_configured:
            yield (
                "upstreams cannot contain duplicates by local bind address and port or unix path;"
                f" {quote(place)} is specified twice"
            )
            continue
        places.add(place)


def _problem_of_partition(upstream: Upstream) -> str:
    elsewhere = upstream.destination_partition not in ("", "default")
    if upstream.destination_peer:
        return "upstreams must target peers in the same partition as the service" if elsewhere else ""
    return "upstreams cannot target another datacenter in non default partition" * (
        elsewhere and bool(upstream.datacenter)
    )


def _problem_of_upstream(upstream: Upstream) -> str:
    if upstream.destination_type not in _UPSTREAM_TYPES:
        return f"unknown upstream destination type: {quote(upstream.destination_type)}"
    if not upstream.destination_name:
        return "upstream destination name cannot be empty"
    central = upstream.centrally_configured
    if upstream.destination_name == _ANYBODY and not central:
        return "upstream destination name cannot be a wildcard"
    if upstream.destination_peer and upstream.datacenter:
        return "upstream cannot specify both destination peer and datacenter"
    if not upstream.local_bind_port and not upstream.local_bind_socket_path and not central:
        return "upstream local bind port or local socket path must be defined and nonzero"
    if upstream.local_bind_port and upstream.local_bind_socket_path and not central:
        return "only one of upstream local bind port or local socket path can be defined and nonzero"
    return ""


def _key(upstream: Upstream) -> str:
    """What tells an upstream from others, as it is shown."""
    parts = {
        "type": upstream.destination_type,
        "name": upstream.destination_name,
        "partition": upstream.destination_partition,
        "namespace": upstream.destination_namespace,
        "peer": upstream.destination_peer,
        "datacenter": upstream.datacenter,
    }
    return "[" + ", ".join(f"{name}={quote(value)}" for name, value in parts.items()) + "]"


def _place(upstream: Upstream) -> str:
    """Where a proxy listens for an upstream's clients."""
    if not upstream.local_bind_port and not upstream.local_bind_address and upstream.local_bind_socket_path:
        return upstream.local_bind_socket_path
    host = upstream.local_bind_address or "127.0.0.1"
    return f"[{host}]:{upstream.local_bind_port}" if ":" in host else f"{host}:{upstream.local_bind_port}"


def _problems_of_paths(paths: Iterable[ExposePath]) -> Iterator[str]:
    ports: set[int] = set()
    for one in paths:
        if not one.path:
            yield "expose.paths: empty path exposed"
        if one.listener_port in ports:
            yield "expose.paths: duplicate listener ports exposed"
        ports.add(one.listener_port)
        if not 0 < one.listener_port <= _PORT_MAX:
            yield f"expose.paths: invalid listener port: {one.listener_port}"
        protocol = one.protocol.lower()
        if protocol not in _EXPOSED_PROTOCOLS:
            yield f"protocol '{protocol}' not supported for path: {one.path}, must be in: [http http2]"


def _problems_of_gateway(service: NodeService) -> Iterator[str]:
    kind, proxy = service.kind, service.proxy
    if not service.port and kind not in _PORTLESS:
        yield f"Port must be non-zero for a {kind}"
    if service.connect.sidecar_service is not None:
        yield f"A {kind} cannot have a sidecar service defined"
    given = {
        "DestinationServiceName": proxy.destination_service_name,
        "DestinationServiceID": proxy.destination_service_id,
        "LocalServiceAddress": proxy.local_service_address,
        "LocalServicePort": proxy.local_service_port,
        "LocalServiceSocketPath": proxy.local_service_socket_path,
        "Upstreams": proxy.upstreams,
    }
    for name, value in given.items():
        if value:
            yield f"The Proxy.{name} configuration is invalid for a {kind}"
