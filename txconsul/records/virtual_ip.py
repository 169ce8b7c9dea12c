"""
Virtual addresses of services in the mesh.

Source: Consul's documentation of transparent proxy; the wire documents' ServiceVirtualIP and FreeVirtualIP.
"""

from __future__ import annotations

from txconsul.records.base import Record, Uint

__all__ = ["FreeVirtualIP", "PeeredServiceName", "ServiceName", "ServiceVirtualIP"]


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
