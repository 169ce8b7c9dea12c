"""
A transaction's operations as clients write them, and what of them goes into the log.

The two differ: keys are flat here, checks show their durations as text, and much of a service that clients may write
is not taken over, as in Consul.

Source: Consul's documentation of the transaction HTTP API.
"""

from __future__ import annotations

from typing import Any

from msgspec.structs import replace

from txconsul.codec import json
from txconsul.codec.duration import BadDuration, parse_duration
from txconsul.records.base import Record, Text, Uint
from txconsul.records.catalog import Node
from txconsul.records.health import HealthCheck, HealthCheckDefinition
from txconsul.records.kv import DirEntry
from txconsul.records.service import (
    ConnectProxyConfig,
    Locality,
    NodeService,
    ServiceAddress,
    ServiceConnect,
    TransparentProxyConfig,
    Weights,
)
from txconsul.records.txn import TxnCheckOp, TxnKVOp, TxnNodeOp, TxnServiceOp

__all__ = ["CheckInput", "KVInput", "NodeInput", "OpInput", "ServiceInput"]


class KVInput(Record, frozen=True):
    """A key's operation; namespace and partition are taken and mean nothing."""

    verb: str = ""
    key: Text = b""
    value: bytes | None = None
    flags: Uint = 0
    index: Uint = 0
    session: str = ""
    namespace: str = ""
    partition: str = ""

    def logged(self) -> TxnKVOp:
        """The operation for the log."""
        entry = DirEntry(
            key=self.key, value=self.value, flags=self.flags, session=self.session, modify_index=self.index
        )
        return TxnKVOp(verb=self.verb, dir_ent=entry)


class NodeInput(Record, frozen=True):
    """A node's operation."""

    verb: str = ""
    node: Node = Node()

    def logged(self, datacenter: str) -> TxnNodeOp:
        """
        The operation for the log.

        @param datacenter: of a node that names none.
        """
        node = replace(self.node, datacenter=self.node.datacenter or datacenter, locality=None, create_index=0)
        return TxnNodeOp(verb=self.verb, node=node)


class ServiceValue(Record, frozen=True):
    """A service; what L{ServiceInput.logged} does not name is taken and means nothing."""

    kind: str = ""
    id: str = ""
    service: str = ""
    tags: tuple[str, ...] | None = None
    meta: dict[str, str] | None = None
    port: int = 0
    address: str = ""
    socket_path: str = ""
    tagged_addresses: dict[str, ServiceAddress] | None = None
    weights: Weights = Weights()
    enable_tag_override: bool = False
    create_index: Uint = 0
    modify_index: Uint = 0
    content_hash: str = ""
    proxy: ConnectProxyConfig | None = None
    connect: ServiceConnect | None = None
    peer_name: str = ""
    namespace: str = ""
    partition: str = ""
    datacenter: str = ""
    locality: Locality | None = None


class ServiceInput(Record, frozen=True):
    """A service's operation."""

    verb: str = ""
    node: str = ""
    service: ServiceValue = ServiceValue()

    def logged(self) -> TxnServiceOp:
        """The operation for the log."""
        given = self.service
        service = NodeService(
            id=given.id,
            service=given.service,
            kind=given.kind,
            tags=given.tags,
            address=given.address,
            meta=given.meta,
            port=given.port,
            weights=given.weights,
            enable_tag_override=given.enable_tag_override,
            modify_index=given.modify_index,
            tagged_addresses=given.tagged_addresses or None,
            proxy=_proxy(given.proxy or ConnectProxyConfig()),
        )
        return TxnServiceOp(verb=self.verb, node=self.node, service=service)


def _proxy(given: ConnectProxyConfig) -> ConnectProxyConfig:
    transparent = given.transparent_proxy
    return ConnectProxyConfig(
        destination_service_name=given.destination_service_name,
        destination_service_id=given.destination_service_id,
        local_service_address=given.local_service_address,
        local_service_port=given.local_service_port,
        local_service_socket_path=given.local_service_socket_path,
        mesh_gateway=given.mesh_gateway,
        transparent_proxy=TransparentProxyConfig(
            dialed_directly=transparent.dialed_directly, outbound_listener_port=transparent.outbound_listener_port
        ),
    )


class CheckValue(Record, frozen=True):
    """A check; C{definition} is read apart, since unknown names in it are ignored."""

    node: str = ""
    check_id: str = ""
    name: str = ""
    status: str = ""
    notes: str = ""
    output: str = ""
    service_id: str = ""
    service_name: str = ""
    service_tags: tuple[str, ...] | None = None
    type: str = ""
    namespace: str = ""
    partition: str = ""
    exposed_port: int = 0
    peer_name: str = ""
    definition: Any = None
    create_index: Uint = 0
    modify_index: Uint = 0


class CheckInput(Record, frozen=True):
    """A check's operation."""

    verb: str = ""
    check: CheckValue = CheckValue()

    def logged(self) -> TxnCheckOp:
        """
        The operation for the log.

        @raise BadJSON: the definition is none.
        """
        given = self.check
        check = HealthCheck(
            node=given.node,
            check_id=given.check_id,
            name=given.name,
            status=given.status,
            notes=given.notes,
            output=given.output,
            type=given.type,
            service_id=given.service_id,
            service_name=given.service_name,
            service_tags=given.service_tags,
            peer_name=given.peer_name,
            exposed_port=given.exposed_port,
            definition=_definition(given.definition),
            modify_index=given.modify_index,
        )
        return TxnCheckOp(verb=self.verb, check=check)


#: Each duration has two names; the first goes before the second.
_DURATIONS = {
    "interval": ("intervalduration", "interval"),
    "timeout": ("timeoutduration", "timeout"),
    "deregister_critical_service_after": (
        "deregistercriticalserviceafterduration",
        "deregistercriticalserviceafter",
    ),
}


def _definition(value: Any) -> HealthCheckDefinition:
    if value is None:
        return HealthCheckDefinition()
    if not isinstance(value, dict):
        raise json.BadJSON("json: cannot unmarshal a value that is no object into a check's definition")
    given = {name.lower(): one for name, one in value.items()}
    durations: dict[str, Any] = {}
    for attribute, (first, second) in _DURATIONS.items():
        told, older = given.pop(first, None), _duration(given.pop(second, None))
        durations[attribute] = older if told is None else _told_duration(told)
    read = json.from_json(HealthCheckDefinition, given, "Check.Definition")
    return HealthCheckDefinition(
        http=read.http,
        tls_server_name=read.tls_server_name,
        tls_skip_verify=read.tls_skip_verify,
        header=read.header,
        method=read.method,
        body=read.body,
        tcp=read.tcp,
        tcp_use_tls=read.tcp_use_tls,
        grpc=read.grpc,
        grpc_use_tls=read.grpc_use_tls,
        os_service=read.os_service,
        **durations,
    )


def _told_duration(value: Any) -> int:
    """L{_duration}; what is neither text nor number is passed over here, as in Consul."""
    return _duration(value) if isinstance(value, str | int | float) and not isinstance(value, bool) else 0


def _duration(value: Any) -> int:
    """
    Nanoseconds of a text or a number.

    @raise BadJSON: it is no duration, or neither.
    """
    if value is None:
        return 0
    try:
        if isinstance(value, str):
            return parse_duration(value)
        if isinstance(value, int | float) and not isinstance(value, bool):
            found = int(value)
            if -(2**63) <= found < 2**63:
                return found
    except (BadDuration, OverflowError, ValueError) as error:
        raise json.BadJSON(str(error)) from None
    raise json.BadJSON("json: cannot unmarshal this value into a duration")


class OpInput(Record, frozen=True):
    """One operation: the first field that is there counts."""

    kv: KVInput | None = None
    node: NodeInput | None = None
    service: ServiceInput | None = None
    check: CheckInput | None = None
