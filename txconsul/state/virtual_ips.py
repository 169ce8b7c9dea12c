"""
Virtual addresses: each service of the mesh gets one, from 240.0.0.0/4, for as long as it has instances.

An address that came back is given out before new ones. The leader switches this on by a system metadata entry, once
every server of the group knows how.

Source: Consul's documentation of transparent proxy.
"""

from __future__ import annotations

from collections.abc import Iterable

from msgspec.structs import replace

from txconsul.errors import InvalidRequest
from txconsul.records.virtual_ip import FreeVirtualIP, PeeredServiceName, ServiceName, ServiceVirtualIP
from txconsul.state.tables import Tables

__all__ = ["SWITCH", "TAG", "VirtualIPs"]

#: The system metadata entry that switches virtual addresses on.
SWITCH = "virtual-ips"
#: Under this name an instance's virtual address stands among its tagged ones.
TAG = "consul-virtual"

#: Where the addresses begin, and how many there are (the last one is broadcast).
_BEGIN = 240 << 24
_COUNT = (16 << 24) - 2
#: Go keeps IPv4 addresses in 16 bytes, behind this.
_IPV4_IN_16 = bytes(10) + b"\xff\xff"


class VirtualIPs:
    """The part of a store that gives virtual addresses out."""

    def __init__(self, tables: Tables) -> None:
        self._tables = tables

    @property
    def enabled(self) -> bool:
        """Whether the leader has switched them on."""
        switch = self._tables.metadata.rows.get(SWITCH)
        return switch is not None and bool(switch.value)

    def of_service(self, name: str, peer: str = "") -> str:
        """A service's virtual address; empty where it has none."""
        row = self._tables.virtual_ips.rows.get((peer.lower(), name.lower()))
        return "" if row is None else _shown(row.ip)

    def assign(self, index: int, name: str, peer: str = "") -> str:
        """
        The address of a service, given out now if it has none.

        @raise InvalidRequest: there are no more.
        """
        tables = self._tables
        key = (peer.lower(), name.lower())
        if key in tables.virtual_ips.rows:
            return self.of_service(name, peer)
        free = tables.free_virtual_ips
        back, counter = free.rows.get(False), free.rows.get(True)
        if back is not None:
            free.remove(False)
            ip = back.ip
        else:
            number = 1 + (0 if counter is None else _number(counter.ip))
            if number >= _COUNT:
                raise InvalidRequest("cannot allocate any more unique service virtual IPs")
            ip = _IPV4_IN_16 + number.to_bytes(4, "big")
            free.put(True, FreeVirtualIP(ip=ip, is_counter=True))
        service = PeeredServiceName(peer=peer, service_name=ServiceName(name=name))
        row = ServiceVirtualIP(service=service, ip=ip, create_index=index, modify_index=index)
        tables.virtual_ips.put(key, row)
        tables.raise_index(index, "service-virtual-ips")
        return _shown(ip)

    def manual(self, name: str, peer: str = "") -> tuple[str, ...] | None:
        """The addresses that an operator gave a service; None where it has no virtual address at all."""
        row = self._tables.virtual_ips.rows.get((peer.lower(), name.lower()))
        return None if row is None else row.manual_ips or ()

    def assign_manual(
        self, index: int, service: PeeredServiceName, ips: Iterable[str]
    ) -> tuple[PeeredServiceName, ...]:
        """
        Give a service, which has a virtual address, others of an operator's choice instead of those that it has of
        this kind. Whoever else has one of them loses it.

        @return: who lost some, in the order of names.
        """
        tables = self._tables
        rows = tables.virtual_ips.rows
        own = (service.peer.lower(), service.service_name.name.lower())
        wanted = set(ips)
        losers = {key for ip in wanted for key in tables.virtual_ips_by_manual.keys(ip)} - {own}
        changes = {key: set(rows[key].manual_ips or ()) - wanted for key in sorted(losers)}
        if set(rows[own].manual_ips or ()) != wanted:
            changes[own] = wanted
        for key, kept in changes.items():
            row = replace(rows[key], manual_ips=tuple(sorted(kept)) or None, modify_index=index)
            tables.virtual_ips.put(key, row)
            tables.raise_index(index, "service-virtual-ips")
        return tuple([rows[key].service for key in sorted(losers)])

    def release(self, index: int, name: str, peer: str = "") -> None:
        """A service has no instances any more: its address, if it has one, may be given to another."""
        tables = self._tables
        key = (peer.lower(), name.lower())
        row = tables.virtual_ips.rows.get(key)
        if row is None or not self.enabled:
            return
        tables.virtual_ips.remove(key)
        # Consul remembers one address that came back; the next one takes its place
        tables.free_virtual_ips.put(False, FreeVirtualIP(ip=row.ip))
        tables.raise_index(index, "service-virtual-ips")


def _number(ip: bytes | None) -> int:
    return int.from_bytes((ip or b"")[-4:], "big")


def _shown(ip: bytes | None) -> str:
    return ".".join(map(str, (_BEGIN + _number(ip)).to_bytes(5, "big")[-4:]))
