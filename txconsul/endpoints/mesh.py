"""
Catalog: virtual addresses, and the services behind gateways.

Source: Consul's documentation of transparent proxy, of gateways, and of the catalog HTTP API; the wire documents'
Catalog methods.
"""

from __future__ import annotations

from ipaddress import IPv6Address, ip_address
from typing import Any

from txconsul.endpoints.authorizing import Authorizer
from txconsul.endpoints.leading import Leading
from txconsul.endpoints.registry import Decided, read, write
from txconsul.errors import InvalidRequest
from txconsul.records.command import Command
from txconsul.records.queries import ServiceSpecificRequest
from txconsul.records.virtual_ip import (
    AssignServiceManualVIPsRequest,
    AssignServiceManualVIPsResponse,
    PeeredServiceName,
    ServiceName,
    ServiceVirtualIP,
)
from txconsul.state.store import Store
from txconsul.state.watches import table, virtual_ip

__all__ = ["MANUAL_MAX"]

#: Addresses that an operator may give one service: Consul's bound.
MANUAL_MAX = 8


@read(
    "Catalog.VirtualIPForService",
    ServiceSpecificRequest,
    lambda request: (virtual_ip(request.service_name, request.peer_name),),
)
def virtual_ip_for_service(store: Store, request: ServiceSpecificRequest, authorizer: Authorizer) -> tuple[int, str]:
    """The address that a service has been given in the mesh; empty where it has none."""
    authorizer.require_service_read(request.service_name)
    index = store.tables.index("service-virtual-ips") or 1
    return index, store.virtual_ips.of_service(request.service_name, request.peer_name)


@read("Catalog.GatewayServices", ServiceSpecificRequest, lambda request: (table("gateway-services"),))
def gateway_services(store: Store, request: ServiceSpecificRequest, authorizer: Authorizer) -> tuple[int, Any]:
    """The services behind a gateway: none, as long as no configuration entry can tie one to it."""
    authorizer.require_service_read(request.service_name)
    return 1, []


@write("Internal.AssignManualServiceVIPs", AssignServiceManualVIPsRequest, Command.UPDATE_VIRTUAL_IP)
def assign_manual_service_vips(
    store: Store, request: AssignServiceManualVIPsRequest, authorizer: Authorizer, leading: Leading
) -> ServiceVirtualIP | Decided:
    """Give a service virtual addresses of an operator's choice; L{AssignServiceManualVIPsResponse}."""
    authorizer.require_mesh_write()
    given = tuple(dict.fromkeys(request.manual_vips or ()))
    if len(request.manual_vips or ()) > MANUAL_MAX:
        raise InvalidRequest(f"cannot associate more than {MANUAL_MAX} manual virtual IPs with the same service")
    for text in given:
        _check_ipv4(text)
    present = store.virtual_ips.manual(request.service)
    if present is not None and set(present) == set(given):
        return Decided(AssignServiceManualVIPsResponse(found=True))
    return ServiceVirtualIP(
        service=PeeredServiceName(service_name=ServiceName(name=request.service)), manual_ips=given or None
    )


def _check_ipv4(text: str) -> None:
    """@raise InvalidRequest: it is no IPv4 address, in whatever notation."""
    try:
        address = None if "%" in text else ip_address(text)
    except ValueError:
        address = None
    if address is None or (isinstance(address, IPv6Address) and address.ipv4_mapped is None):
        shown = "<nil>" if address is None else str(address)
        raise InvalidRequest(f'"{shown}" is not a valid IPv4 address')
