"""
Service registrations, with all that a proxy's holds.

Source: Consul's documentation of service definitions and proxy registrations; the wire documents' NodeService.
"""

from __future__ import annotations

from typing import Annotated, Any

import msgspec

from txconsul.records.base import DURATION_INPUT, HIDE_JSON, OMIT_JSON, OMIT_WIRE, Duration, Record, Uint

__all__ = [
    "AccessLogsConfig",
    "CheckType",
    "ConnectProxyConfig",
    "EnvoyExtension",
    "ExposeConfig",
    "ExposePath",
    "Locality",
    "MeshGatewayConfig",
    "NodeService",
    "PeeringServiceMeta",
    "ServiceAddress",
    "ServiceConnect",
    "ServiceDefinition",
    "TransparentProxyConfig",
    "Upstream",
    "Weights",
]


class Weights(Record, frozen=True):
    """How many of the DNS answers an instance gets, by its health."""

    passing: int = 0
    warning: int = 0


class ServiceAddress(Record, frozen=True):
    """An address of a service under one tag."""

    address: str = ""
    port: int = 0


class Locality(Record, frozen=True):
    """Where something runs: cloud region and zone."""

    region: Annotated[str, OMIT_JSON] = ""
    zone: Annotated[str, OMIT_JSON] = ""


class MeshGatewayConfig(Record, frozen=True):
    """Whether traffic goes through a mesh gateway: C{none}, C{local}, C{remote} or empty."""

    mode: Annotated[str, OMIT_JSON] = ""


class TransparentProxyConfig(Record, frozen=True):
    """How a proxy catches the traffic of its service."""

    dialed_directly: Annotated[bool, OMIT_JSON] = False
    outbound_listener_port: Annotated[int, OMIT_JSON] = 0


class AccessLogsConfig(Record, frozen=True):
    """What a proxy logs of its connections."""

    disable_listener_logs: Annotated[bool, OMIT_JSON] = False
    enabled: Annotated[bool, OMIT_JSON] = False
    json_format: Annotated[str, OMIT_JSON] = msgspec.field(name="JSONFormat", default="")
    path: Annotated[str, OMIT_JSON] = ""
    text_format: Annotated[str, OMIT_JSON] = ""
    type: Annotated[str, OMIT_JSON] = ""


class EnvoyExtension(Record, frozen=True):
    """A named change to the configuration of a proxy."""

    arguments: dict[str, Any] | None = None
    consul_version: str = ""
    envoy_version: str = ""
    name: str = ""
    required: bool = False


class ExposePath(Record, frozen=True):
    """A path that a proxy lets through without mutual TLS."""

    listener_port: Annotated[int, OMIT_JSON] = 0
    local_path_port: Annotated[int, OMIT_JSON] = 0
    parsed_from_check: Annotated[bool, OMIT_JSON] = False
    path: Annotated[str, OMIT_JSON] = ""
    protocol: Annotated[str, OMIT_JSON] = ""


class ExposeConfig(Record, frozen=True):
    """The paths that a proxy lets through without mutual TLS."""

    checks: Annotated[bool, OMIT_JSON] = False
    paths: Annotated[tuple[ExposePath, ...] | None, OMIT_JSON] = None


class Upstream(Record, frozen=True):
    """A service that a proxy reaches for its own."""

    centrally_configured: Annotated[bool, OMIT_JSON] = False
    config: Annotated[dict[str, Any] | None, OMIT_JSON] = None
    datacenter: str = ""
    destination_name: str = ""
    destination_namespace: Annotated[str, OMIT_JSON] = ""
    destination_partition: Annotated[str, OMIT_JSON] = ""
    destination_peer: Annotated[str, OMIT_JSON] = ""
    destination_type: str = ""
    ingress_hosts: Annotated[tuple[str, ...] | None, HIDE_JSON] = None
    local_bind_address: Annotated[str, OMIT_JSON] = ""
    local_bind_port: Annotated[int, OMIT_JSON] = 0
    local_bind_socket_mode: Annotated[str, OMIT_JSON] = ""
    local_bind_socket_path: Annotated[str, OMIT_JSON] = ""
    mesh_gateway: MeshGatewayConfig = MeshGatewayConfig()


class ConnectProxyConfig(Record, frozen=True):
    """The proxy part of a service registration."""

    access_logs: Annotated[AccessLogsConfig, OMIT_JSON] = AccessLogsConfig()
    config: Annotated[dict[str, Any] | None, OMIT_JSON] = None
    destination_service_id: Annotated[str, OMIT_JSON] = ""
    destination_service_name: Annotated[str, OMIT_JSON] = ""
    envoy_extensions: Annotated[tuple[EnvoyExtension, ...] | None, OMIT_JSON] = None
    expose: ExposeConfig = ExposeConfig()
    local_service_address: Annotated[str, OMIT_JSON] = ""
    local_service_port: Annotated[int, OMIT_JSON] = 0
    local_service_socket_path: Annotated[str, OMIT_JSON] = ""
    mesh_gateway: MeshGatewayConfig = MeshGatewayConfig()
    mode: str = ""
    mutual_tls_mode: Annotated[str, HIDE_JSON] = ""
    transparent_proxy: Annotated[TransparentProxyConfig, OMIT_JSON] = TransparentProxyConfig()
    upstreams: Annotated[tuple[Upstream, ...] | None, OMIT_JSON] = None


class PeeringServiceMeta(Record, frozen=True):
    """How an imported service is named in its own cluster."""

    protocol: Annotated[str, OMIT_JSON] = ""
    sni: Annotated[tuple[str, ...] | None, OMIT_JSON] = None
    spiffe_id: Annotated[tuple[str, ...] | None, OMIT_JSON] = None


class CheckType(Record, frozen=True):
    """
    What a check does; durations in ns.

    @ivar plugin: the name of a kind that is none of Consul's (L{txconsul.interfaces.ICheckKind}), with its options.
    """

    alias_node: str = ""
    alias_service: str = ""
    body: str = ""
    check_id: str = ""
    deregister_critical_service_after: Annotated[Duration, DURATION_INPUT] = 0
    disable_redirects: bool = False
    docker_container_id: str = ""
    failures_before_critical: int = 0
    failures_before_warning: int = 0
    grpc: str = ""
    grpc_use_tls: bool = False
    h2_ping: str = msgspec.field(name="H2PING", default="")
    h2_ping_use_tls: bool = False
    http: str = ""
    header: dict[str, tuple[str, ...] | None] | None = None
    interval: Annotated[Duration, DURATION_INPUT] = 0
    method: str = ""
    name: str = ""
    notes: str = ""
    os_service: str = ""
    output_max_size: int = 0
    plugin: Annotated[str, OMIT_JSON, OMIT_WIRE] = ""
    plugin_options: Annotated[dict[str, str] | None, OMIT_JSON, OMIT_WIRE] = None
    proxy_grpc: str = ""
    proxy_http: str = ""
    script_args: tuple[str, ...] | None = None
    shell: str = ""
    status: str = ""
    success_before_passing: int = 0
    tcp: str = ""
    tcp_use_tls: bool = False
    tls_server_name: str = ""
    tls_skip_verify: bool = False
    ttl: Annotated[Duration, DURATION_INPUT] = 0
    timeout: Annotated[Duration, DURATION_INPUT] = 0
    udp: str = ""


class ServiceDefinition(Record, frozen=True):
    """A sidecar service, nested in the registration of its service."""

    address: str = ""
    check: CheckType = CheckType()
    checks: tuple[CheckType, ...] | None = None
    connect: ServiceConnect | None = None
    enable_tag_override: bool = False
    id: str = ""
    kind: Annotated[str, OMIT_JSON] = ""
    locality: Locality | None = None
    meta: dict[str, str] | None = None
    name: str = ""
    port: int = 0
    proxy: ConnectProxyConfig | None = None
    socket_path: str = ""
    tagged_addresses: dict[str, ServiceAddress] | None = None
    tags: tuple[str, ...] | None = None
    token: str = ""
    weights: Weights | None = None


class ServiceConnect(Record, frozen=True):
    """The mesh part of a service registration."""

    native: Annotated[bool, OMIT_JSON] = False
    peer_meta: Annotated[PeeringServiceMeta | None, OMIT_JSON] = None
    sidecar_service: Annotated[ServiceDefinition | None, OMIT_JSON] = None


class NodeService(Record, frozen=True):
    """
    One instance of a service on a node.

    @ivar id: unique on its node; C{service} is the name.
    @ivar kind: empty for an ordinary service, C{connect-proxy}, C{mesh-gateway}, ...
    @ivar weights: None where none were given, which counts as one each.
    """

    address: str = ""
    connect: ServiceConnect = ServiceConnect()
    create_index: Uint = 0
    enable_tag_override: bool = False
    id: str = ""
    kind: Annotated[str, OMIT_JSON] = ""
    locality: Annotated[Locality | None, OMIT_JSON] = None
    locally_registered_as_sidecar: Annotated[bool, HIDE_JSON] = False
    meta: dict[str, str] | None = None
    modify_index: Uint = 0
    peer_name: str = ""
    port: Annotated[int, OMIT_JSON] = 0
    proxy: ConnectProxyConfig = ConnectProxyConfig()
    service: str = ""
    socket_path: Annotated[str, OMIT_JSON] = ""
    tagged_addresses: Annotated[dict[str, ServiceAddress] | None, OMIT_JSON] = None
    tags: tuple[str, ...] | None = None
    weights: Weights | None = None
