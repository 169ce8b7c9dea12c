"""
Catalog: virtual addresses, and the services behind gateways.

Source: Consul's documentation of transparent proxy, of gateways, and of the catalog HTTP API; the wire documents'
Catalog methods.
"""

from __future__ import annotations

from typing import Any

from txconsul.endpoints.authorizing import Authorizer
from txconsul.endpoints.registry import read
from txconsul.records.queries import ServiceSpecificRequest
from txconsul.state.store import Store
from txconsul.state.watches import table, virtual_ip

__all__: list[str] = []


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
