"""
What users write to say where an agent is: C{10.0.0.1}, C{10.0.0.1:8301}, C{[fd00::1]:8301}, C{consul.example.com}.

Source: memberlist's documentation of C{Join}; the texts of errors are those that Go's programs have for such addresses.
"""

from __future__ import annotations

from ipaddress import ip_address
from typing import NamedTuple

from txconsul.errors import RequestRefused

__all__ = ["BadAddress", "Place", "address_of", "parse", "shown"]

PORT_MAX = 65535


class BadAddress(RequestRefused):
    """This is no address; the text says why."""


class Place(NamedTuple):
    """
    @ivar node: the name of the node that is expected there, which may stand before the address with a slash; empty
        where it does not matter.
    @ivar host: an IP address, or a name.
    """

    node: str
    host: str
    port: int


def parse(text: str, default_port: int) -> Place:
    """
    Take an address apart.

    @param default_port: where the text names none.
    @raise BadAddress: it is none.

    >>> parse("[fd00::1]:8301", 1)
    Place(node='', host='fd00::1', port=8301)
    >>> parse("fd00::1", 1)
    Place(node='', host='fd00::1', port=1)
    """
    node, slash, rest = text.partition("/")
    if not slash:
        node, rest = "", text
    elif not node:
        raise BadAddress("empty node name provided")
    if not _has_port(rest):
        return Place(node, rest.strip("[]"), default_port)
    host, _, digits = rest.rpartition(":")
    if host.startswith("["):
        if "]" not in host:
            raise BadAddress(f"address {rest}: missing ']' in address")
        behind = host.partition("]")[2]
        if behind:
            what = "too many colons" if behind.startswith(":") else "missing port"
            raise BadAddress(f"address {rest}: {what} in address")
        host = host[1:-1]
    for bracket in "[]":
        if bracket in host:
            raise BadAddress(f"address {rest}: unexpected '{bracket}' in address")
    if not (digits.isascii() and digits.isdigit()):
        raise BadAddress(f'strconv.ParseUint: parsing "{digits}": invalid syntax')
    port = int(digits) if len(digits.lstrip("0")) <= len(str(PORT_MAX)) else PORT_MAX + 1
    if port > PORT_MAX:
        raise BadAddress(f'strconv.ParseUint: parsing "{digits}": value out of range')
    return Place(node, host, port)


def _has_port(text: str) -> bool:
    if text.startswith("["):
        return text.rfind(":") > text.rfind("]")
    return text.count(":") == 1  # several are those of an IPv6 address


def address_of(text: str) -> str | None:
    """
    An IP address as it is usually written, without a zone; None for anything else.

    >>> address_of("FD00:0::1"), address_of("fe80::1%eth0"), address_of("db1")
    ('fd00::1', 'fe80::1', None)
    """
    try:
        address = ip_address(text.partition("%")[0])
    except ValueError:
        return None
    return str(getattr(address, "ipv4_mapped", None) or address)


def shown(host: str, port: int) -> str:
    """
    As users would write it.

    >>> shown("fd00::1", 8301)
    '[fd00::1]:8301'
    """
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"
