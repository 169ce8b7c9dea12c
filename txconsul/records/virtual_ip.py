"""
Virtual addresses of services in the mesh.

Source: Consul's documentation of transparent proxy; the wire documents' ServiceVirtualIP and FreeVirtualIP.
"""

from __future__ import annotations

import msgspec

from txconsul.records.base import Record, Uint

__all__ = [
    "AssignServiceManualVIPsRequest",
    "AssignServiceManualVIPsResponse",
    "FreeVirtualIP",
    "PeeredServiceName",
    "ServiceName",
    "ServiceVirtualIP",
]


class ServiceName(Record, frozen=True):
    """A service by its name alone."""

    name: str = ""


class PeeredServiceName(Record, frozen=True):
    """A service and the peer that it was imported from; empty is this cluster itself."""

    peer: str = ""
    service_name: ServiceName = ServiceName()


class ServiceVirtualIP(Record, frozen=True):
    """
    The address of a service.

    @ivar ip: 16 bytes: how far it is from the first address that is given out.
    @ivar manual_ips: addresses that an operator gave it.
    """

    create_index: Uint = 0
    ip: bytes | None = None
    manual_ips: tuple[str, ...] | None = None
    modify_index: Uint = 0
    service: PeeredServiceName = PeeredServiceName()


class FreeVirtualIP(Record, frozen=True):
    """
    An address to be given out.

    @ivar is_counter: not an address that came back, but the last one that was given out for the first time.
    """

    ip: bytes | None = None
    is_counter: bool = False


class AssignServiceManualVIPsRequest(Record, frozen=True):
    """
    Give a service virtual addresses of an operator's choice, instead of those of this kind that it has.

    @ivar manual_vips: IPv4 addresses.
    """

    datacenter: str = ""
    manual_vips: tuple[str, ...] | None = msgspec.field(name="ManualVIPs", default=None)
    node_meta_filters: dict[str, str] | None = None
    peer_name: str = ""
    service: str = ""


class AssignServiceManualVIPsResponse(Record, frozen=True):
    """
    @ivar found: whether the service has a virtual address, without which it can have no others.
    @ivar unassigned_from: services that had some of the addresses, and have them no more.
    """

    found: bool = False
    unassigned_from: tuple[PeeredServiceName, ...] | None = None
