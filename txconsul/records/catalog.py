"""
The catalog: nodes, what registers and deregisters, what the answers show.

Source: Consul's documentation of the catalog; the wire documents' Node, RegisterRequest, DeregisterRequest,
ServiceNode and CheckServiceNode.
"""

from __future__ import annotations

from typing import Annotated

from txconsul.records.base import OMIT_JSON, Record, Uint
from txconsul.records.health import HealthCheck
from txconsul.records.service import ConnectProxyConfig, Locality, NodeService, ServiceAddress, ServiceConnect, Weights

__all__ = ["CheckServiceNode", "DeregisterRequest", "Node", "NodeServices", "RegisterRequest", "ServiceNode"]


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
