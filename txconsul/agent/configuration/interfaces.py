"""
The network interfaces of this machine, asked of the Linux kernel.

Only addresses are read; nothing is changed. A machine whose kernel does not answer has no interfaces, and addresses
must then be configured.

Source: rtnetlink(7), proc(5).
"""

from __future__ import annotations

import ipaddress
import socket
import struct
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

__all__ = ["IPInterface", "Interface", "is_private", "private_ipv4", "public_ipv6", "read_interfaces"]

IPInterface = ipaddress.IPv4Interface | ipaddress.IPv6Interface


@dataclass(frozen=True)
class Interface:
    """
    One address of one interface.

    @ivar address: with its network.
    @ivar up: it is in use.
    @ivar loopback: it leads nowhere but to this machine.
    @ivar default: the default route leads through it.
    """

    name: str
    address: IPInterface
    up: bool = True
    loopback: bool = False
    default: bool = False


_RTM_GETLINK, _RTM_GETADDR = 18, 22
_NLMSG_ERROR, _NLMSG_DONE = 2, 3
_NLM_F_DUMP_REQUEST = 0x301
_IFA_ADDRESS, _IFA_LOCAL = 1, 2
_IFLA_IFNAME = 3
_IFF_UP, _IFF_LOOPBACK = 0x1, 0x8


def read_interfaces() -> list[Interface]:
    """
    All addresses of all interfaces, in the kernel's order.

    @return: an empty list where the kernel cannot be asked.
    """
    try:
        links = {}
        for body in _dump(_RTM_GETLINK, struct.pack("=BxHiII", socket.AF_UNSPEC, 0, 0, 0, 0)):
            _, _, index, flags, _ = struct.unpack_from("=BxHiII", body)
            links[index] = (_attributes(body[16:]).get(_IFLA_IFNAME, b"").rstrip(b"\0").decode(), flags)
        routes = _default_routes()
        found = []
        for body in _dump(_RTM_GETADDR, struct.pack("=BBBBi", socket.AF_UNSPEC, 0, 0, 0, 0)):
            family, prefix, _, _, index = struct.unpack_from("=BBBBi", body)
            attributes = _attributes(body[8:])
            packed = attributes.get(_IFA_LOCAL) or attributes.get(_IFA_ADDRESS)
            if packed is None or index not in links or family not in (socket.AF_INET, socket.AF_INET6):
                continue
            name, flags = links[index]
            address = ipaddress.ip_interface((packed, prefix))
            found.append(Interface(name, address, bool(flags & _IFF_UP), bool(flags & _IFF_LOOPBACK), name in routes))
    except (OSError, AttributeError, struct.error):
        # No netlink: another system than Linux, or a sandbox.
        return []
    return found


def private_ipv4(interfaces: Sequence[Interface]) -> list[str]:
    """The private IPv4 addresses of the interfaces in use; those of loopback where there is no other."""
    active = _active(interfaces)
    return [str(one.address.ip) for one in active if one.address.version == 4 and is_private(one.address)]


def public_ipv6(interfaces: Sequence[Interface]) -> list[str]:
    """The IPv6 addresses of the interfaces in use that can be reached from elsewhere."""
    active = _active(interfaces)
    return [str(one.address.ip) for one in active if one.address.version == 6 and not is_private(one.address)]


#: Networks that RFC 6890 keeps from the public internet.
_NOT_PUBLIC = tuple(
    ipaddress.ip_network(network)
    for network in (
        *("0.0.0.0/8", "10.0.0.0/8", "100.64.0.0/10", "127.0.0.0/8", "169.254.0.0/16", "172.16.0.0/12"),
        *("192.0.0.0/24", "192.0.2.0/24", "192.88.99.0/24", "192.168.0.0/16", "198.18.0.0/15", "198.51.100.0/24"),
        *("203.0.113.0/24", "240.0.0.0/4", "::1/128", "::/128", "64:ff9b::/96", "::ffff:0:0/96", "100::/64"),
        *("2001::/23", "2001:db8::/32", "2002::/16", "fc00::/7", "fe80::/10"),
    )
)


def is_private(address: IPInterface) -> bool:
    """Whether an address is not for the public internet."""
    return any(address.ip in network for network in _NOT_PUBLIC if network.version == address.version)


def _active(interfaces: Sequence[Interface]) -> list[Interface]:
    up = [one for one in interfaces if one.up]
    return [one for one in up if not one.loopback] or up


def _dump(message_type: int, body: bytes) -> list[bytes]:
    """Ask for a whole table; the bodies of the answers."""
    found: list[bytes] = []
    with socket.socket(socket.AF_NETLINK, socket.SOCK_RAW, 0) as kernel:
        kernel.settimeout(5)
        kernel.send(struct.pack("=IHHII", 16 + len(body), message_type, _NLM_F_DUMP_REQUEST, 1, 0) + body)
        while True:
            data = kernel.recv(1 << 16)
            at = 0
            while at + 16 <= len(data):
                length, kind, _, _, _ = struct.unpack_from("=IHHII", data, at)
                if kind == _NLMSG_DONE:
                    return found
                if kind == _NLMSG_ERROR or length < 16:
                    raise OSError("the kernel refused")
                found.append(data[at + 16 : at + length])
                at += (length + 3) & ~3


def _attributes(data: bytes) -> dict[int, bytes]:
    found, at = {}, 0
    while at + 4 <= len(data):
        length, kind = struct.unpack_from("=HH", data, at)
        if length < 4:
            break
        found[kind] = data[at + 4 : at + length]
        at += (length + 3) & ~3
    return found


def _default_routes() -> set[str]:
    """Names of the interfaces that default routes lead through."""
    found = set()
    for path, destination, width in (("/proc/net/route", 1, 0), ("/proc/net/ipv6_route", 0, 1)):
        try:
            lines = Path(path).read_text(encoding="ascii").splitlines()
        except OSError:
            continue
        for line in lines:
            fields = line.split()
            if len(fields) < 8 or set(fields[destination]) != {"0"}:
                continue
            if width:
                if fields[1] == "00" and fields[-1] != "lo":
                    found.add(fields[-1])
            elif set(fields[7]) == {"0"}:
                found.add(fields[0])
    return found
