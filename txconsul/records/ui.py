"""
What the web UI is told: nodes with all that is on them, services at a glance, who talks to whom.

Source: Consul's internal UI endpoints; the wire documents' NodeInfo, HealthSummary and CatalogSummary.
"""

from __future__ import annotations

from typing import Annotated

import msgspec

from txconsul.records.base import OMIT_JSON, Record
from txconsul.records.catalog import CheckServiceNode
from txconsul.records.health import HealthCheck
from txconsul.records.service import NodeService

__all__ = [
    "CatalogSummary",
    "GatewayConfig",
    "HealthSummary",
    "IntentionDecision",
    "NodeInfo",
    "ServiceListing",
    "ServiceNeighbours",
    "ServiceSummary",
    "ServiceTopology",
    "TopologySummary",
]


class NodeInfo(Record, frozen=True):
    """A node with its services and all their checks."""

    address: str = ""
    checks: tuple[HealthCheck, ...] | None = None
    id: str = ""
    meta: dict[str, str] | None = None
    node: str = ""
    partition: Annotated[str, OMIT_JSON] = ""
    peer_name: Annotated[str, OMIT_JSON] = ""
    services: tuple[NodeService, ...] | None = None
    tagged_addresses: dict[str, str] | None = None


class GatewayConfig(Record, frozen=True):
    """How many services a gateway leads to, or by which addresses a service is reached through gateways."""

    addresses: Annotated[tuple[str, ...] | None, OMIT_JSON] = None
    associated_service_count: Annotated[int, OMIT_JSON] = 0


class ServiceSummary(Record, frozen=True):
    """
    A service at a glance.

    @ivar instance_count: 0 for a service that only a proxy names.
    @ivar nodes: names of the nodes that it runs on.
    @ivar transparent_proxy: whether all its proxies catch its traffic.
    """

    checks_critical: int = 0
    checks_passing: int = 0
    checks_warning: int = 0
    connect_native: bool = False
    datacenter: str = ""
    external_sources: tuple[str, ...] | None = None
    gateway_config: GatewayConfig = GatewayConfig()
    instance_count: int = 0
    kind: Annotated[str, OMIT_JSON] = ""
    name: str = ""
    nodes: tuple[str, ...] | None = None
    peer_name: Annotated[str, OMIT_JSON] = ""
    tags: tuple[str, ...] | None = None
    transparent_proxy: bool = False


class ServiceListing(ServiceSummary, frozen=True):
    """A service in the list of all."""

    connected_with_gateway: bool = False
    connected_with_proxy: bool = False


class IntentionDecision(Record, frozen=True):
    """
    Whether one service may talk to another, and why.

    @ivar default_allow: what holds where nobody said anything.
    @ivar has_exact: whether it was said of these two.
    """

    allowed: bool = False
    default_allow: bool = False
    external_source: str = ""
    has_exact: bool = False
    has_permissions: bool = False


class TopologySummary(ServiceSummary, frozen=True):
    """
    A service that another talks to, or is talked to by.

    @ivar source: how that is known: C{proxy-registration}, C{default-allow}, ...
    """

    intention: IntentionDecision = IntentionDecision()
    source: str = ""


class ServiceNeighbours(Record, frozen=True):
    """
    The instances of the services that one talks to, and is talked to by; Consul's ServiceTopology between servers.

    @ivar upstream_decisions: whether it may, by the other's name; C{upstream_sources}: how that is known.
    @ivar metrics_protocol: for which measurements of it are looked up.
    """

    downstream_decisions: dict[str, IntentionDecision] | None = None
    downstream_sources: dict[str, str] | None = None
    downstreams: tuple[CheckServiceNode, ...] | None = None
    metrics_protocol: str = ""
    transparent_proxy: bool = False
    upstream_decisions: dict[str, IntentionDecision] | None = None
    upstream_sources: dict[str, str] | None = None
    upstreams: tuple[CheckServiceNode, ...] | None = None


class ServiceTopology(Record, frozen=True):
    """
    The neighbours of a service in the mesh.

    @ivar protocol: for which measurements of it are looked up.
    """

    downstreams: tuple[TopologySummary, ...] = ()
    filtered_by_acls: bool = msgspec.field(name="FilteredByACLs", default=False)
    protocol: str = ""
    transparent_proxy: bool = False
    upstreams: tuple[TopologySummary, ...] = ()


class HealthSummary(Record, frozen=True):
    """How many of something are well."""

    critical: int = 0
    name: Annotated[str, OMIT_JSON] = ""
    passing: int = 0
    total: int = 0
    warning: int = 0


class CatalogSummary(Record, frozen=True):
    """The health of all nodes, of each service's instances, and of all checks of each name."""

    checks: tuple[HealthSummary, ...] | None = None
    nodes: tuple[HealthSummary, ...] | None = None
    services: tuple[HealthSummary, ...] | None = None
