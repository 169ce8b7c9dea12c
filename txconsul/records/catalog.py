"""
The catalog: nodes, what registers and deregisters, what the answers show.

Source: Consul's documentation of the catalog; the wire documents' Node, RegisterRequest, DeregisterRequest,
ServiceNode, CheckServiceNode and the request records.
"""

from __future__ import annotations

from typing import Annotated

from txconsul.records.base import OMIT_JSON, Record, Uint
from txconsul.records.health import HealthCheck
from txconsul.records.query import DEFAULT, QueryOptions
from txconsul.records.service import ConnectProxyConfig, Locality, NodeService, ServiceAddress, ServiceConnect, Weights

__all__ = [
    "CheckServiceNode",
    "ChecksInStateRequest",
    "DCSpecificRequest",
    "DeregisterRequest",
    "Node",
    "NodeServices",
    "NodeSpecificRequest",
    "QuerySource",
    "RegisterRequest",
    "ServiceNode",
    "ServiceSpecificRequest",
]


class Node(Record, frozen=True):
    """
    A machine, or whatever else has an address.

    @ivar node: its name, found whatever its case.
    @ivar id: a UUID; empty for nodes that no agent runs on.
    """

    address: str = ""
    create_index: Uint = 0
    datacenter: str = ""
    id: str = ""
    locality: Annotated[Locality | None, OMIT_JSON] = None
    meta: dict[str, str] | None = None
    modify_index: Uint = 0
    node: str = ""
    partition: Annotated[str, OMIT_JSON] = ""
    peer_name: Annotated[str, OMIT_JSON] = ""
    tagged_addresses: dict[str, str] | None = None


class ServiceNode(Record, frozen=True):
    """An instance of a service together with its node."""

    address: str = ""
    create_index: Uint = 0
    datacenter: str = ""
    id: str = ""
    modify_index: Uint = 0
    node: str = ""
    node_meta: dict[str, str] | None = None
    peer_name: Annotated[str, OMIT_JSON] = ""
    service_address: str = ""
    service_connect: ServiceConnect = ServiceConnect()
    service_enable_tag_override: bool = False
    service_id: str = ""
    service_kind: str = ""
    service_locality: Locality | None = None
    service_meta: dict[str, str] | None = None
    service_name: str = ""
    service_port: int = 0
    service_proxy: ConnectProxyConfig = ConnectProxyConfig()
    service_socket_path: str = ""
    service_tagged_addresses: Annotated[dict[str, ServiceAddress] | None, OMIT_JSON] = None
    service_tags: tuple[str, ...] | None = None
    service_weights: Weights = Weights()
    tagged_addresses: dict[str, str] | None = None


class NodeServices(Record, frozen=True):
    """A node and its services, by id."""

    node: Node | None = None
    services: dict[str, NodeService] | None = None


class CheckServiceNode(Record, frozen=True):
    """An instance of a service, its node, and the checks of both."""

    checks: tuple[HealthCheck, ...] | None = None
    node: Node | None = None
    service: NodeService | None = None


class RegisterRequest(Record, frozen=True):
    """
    Register a node and, with it, a service and checks. In a snapshot, one of these at a time.

    @ivar skip_node_update: leave the node as it is if it exists.
    @ivar create_index: in a snapshot, the node's.
    """

    address: str = ""
    check: HealthCheck | None = None
    checks: tuple[HealthCheck, ...] | None = None
    create_index: Uint = 0
    datacenter: str = ""
    id: str = ""
    locality: Locality | None = None
    modify_index: Uint = 0
    node: str = ""
    node_meta: dict[str, str] | None = None
    peer_name: str = ""
    service: NodeService | None = None
    skip_node_update: bool = False
    tagged_addresses: dict[str, str] | None = None
    token: str = ""


class DeregisterRequest(Record, frozen=True):
    """Deregister a service, a check or, where neither is named, a node with all that it has."""

    check_id: str = ""
    datacenter: str = ""
    node: str = ""
    peer_name: str = ""
    service_id: str = ""
    token: str = ""


class QuerySource(Record, frozen=True):
    """From where an answer is to be seen: the node whose network distance orders it."""

    datacenter: str = ""
    segment: str = ""
    node: str = ""
    node_partition: Annotated[str, OMIT_JSON] = ""
    disable_node: Annotated[bool, OMIT_JSON] = False


class DCSpecificRequest(Record, frozen=True):
    """Ask for everything of a kind in a datacenter: nodes, services."""

    datacenter: str = ""
    node_meta_filters: dict[str, str] | None = None
    source: QuerySource = QuerySource()
    peer_name: str = ""
    options: QueryOptions = DEFAULT


class NodeSpecificRequest(Record, frozen=True):
    """Ask for what a node has: services, checks, sessions."""

    datacenter: str = ""
    node: str = ""
    peer_name: str = ""
    merge_central_config: bool = False
    options: QueryOptions = DEFAULT


class ServiceSpecificRequest(Record, frozen=True):
    """
    Ask for the instances of a service.

    @ivar tag_filter: whether C{service_tags} are asked for.
    """

    datacenter: str = ""
    service_name: str = ""
    service_kind: str = ""
    service_tag: str = ""
    service_tags: tuple[str, ...] | None = None
    service_address: str = ""
    tag_filter: bool = False
    connect: bool = False
    ingress: bool = False
    node_meta_filters: dict[str, str] | None = None
    source: QuerySource = QuerySource()
    peer_name: str = ""
    sameness_group: str = ""
    merge_central_config: bool = False
    health_filter_type: int = 0
    options: QueryOptions = DEFAULT


class ChecksInStateRequest(Record, frozen=True):
    """Ask for all checks that say C{state}, or C{any}."""

    datacenter: str = ""
    state: str = ""
    node_meta_filters: dict[str, str] | None = None
    source: QuerySource = QuerySource()
    peer_name: str = ""
    options: QueryOptions = DEFAULT
