"""
What a name of the domain asks for.

Source: Consul's page on DNS lookups: C{[TAG.]NAME.service[.DC]}, C{_NAME._TAG[.service][.DC]}, C{NAME.node[.DC]},
C{NAME.query[.DC]}, C{NAME.connect}, C{NAME.virtual}, C{NAME.ingress} and C{HEX.addr[.DC]}, each below the domain; RFC
1035 3.5 and RFC 3596 2.5 for names of addresses.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from ipaddress import IPv4Address, IPv6Address
from typing import NamedTuple

from txconsul.dns.message import Name

__all__ = ["Asked", "Zone", "address_of", "is_arpa", "parse", "reversed_address"]

Address = IPv4Address | IPv6Address

_KINDS = frozenset({"service", "connect", "virtual", "ingress", "node", "query", "addr"})
_ARPA = b"arpa"
_IPV4_DIGITS, _IPV6_DIGITS = 8, 32
_DIGITS = re.compile(r"[0-9a-f]+")


class Asked(NamedTuple):
    """
    What is asked for.

    @ivar kind: C{service}, C{connect}, C{virtual}, C{ingress}, C{node}, C{query} or C{addr}.
    @ivar name: of the service, node or query; of C{addr}, hexadecimal digits.
    @ivar datacenter: empty for that of the agent.
    @ivar peer: a cluster peer; empty for none.
    @ivar place: a word which names a peer where virtual addresses are asked for, and a datacenter everywhere else. It
        is in C{datacenter} too.
    """

    kind: str
    name: str
    tag: str = ""
    datacenter: str = ""
    peer: str = ""
    place: str = ""


class Zone(NamedTuple):
    """
    The domains that are answered for.

    @ivar domain: in lower case.
    @ivar alternative: in lower case; empty for none.
    """

    domain: Name
    alternative: Name

    def split(self, name: Name) -> tuple[Name, Name] | None:
        """
        A name below the domain and the domain, both as they were asked for; None if it is elsewhere. Of two domains
        that fit, the longer one counts.
        """
        for zone in sorted((self.domain, self.alternative), key=len, reverse=True):
            size = len(zone)
            if size and len(name) >= size and tuple([label.lower() for label in name[-size:]]) == zone:
                return name[:-size], name[-size:]
        return None


class _Elsewhere(NamedTuple):
    datacenter: str = ""
    peer: str = ""
    place: str = ""


def _elsewhere(words: Sequence[str]) -> _Elsewhere | None:
    """What follows the kind: nothing, C{DC}, C{DC.dc}, C{PEER.peer}; None if it is anything else."""
    if not words:
        return _Elsewhere()
    if len(words) == 1:
        return _Elsewhere(words[0], "", words[0])
    if len(words) not in (2, 4):
        return None
    found: dict[str, str] = {}
    for value, what in zip(words[::2], words[1::2], strict=True):
        if what not in ("dc", "peer"):
            return None
        found[what] = value
    if len(found) == 2:
        return None
    return _Elsewhere(found.get("dc", ""), found.get("peer", ""))


def parse(name: Name, for_srv: bool) -> Asked | None:
    """
    What a name asks for; None if it means nothing.

    @param name: below the domain.
    @param for_srv: SRV records are wanted, for which C{.service} may be left out after labels that begin with C{_}.
    """
    words = [label.decode("utf-8", "surrogateescape").lower() for label in name]
    for number in range(len(words) - 1, -1, -1):
        if words[number] in _KINDS:
            return _asked(words[number], words[:number], words[number + 1 :])
        if for_srv and words[number].startswith("_"):
            return _asked("service", words[: number + 1], words[number + 1 :])
    return None


def _asked(kind: str, parts: list[str], rest: list[str]) -> Asked | None:
    if not parts:
        return None
    if kind == "addr":
        return Asked(kind, parts[0]) if len(parts) == 1 else None
    if kind == "query":
        if len(rest) > 1:
            return None
        underlined = len(parts) > 1 and parts[0].startswith("_") and parts[-1].startswith("_")
        name = ".".join(parts[:-1])[1:] if underlined else ".".join(parts)
        return Asked(kind, name, datacenter=rest[0] if rest else "")
    where = _elsewhere(rest)
    if where is None:
        return None
    if kind == "node":
        return Asked(kind, ".".join(parts), "", *where)
    if kind == "service":
        if len(parts) == 2 and parts[0].startswith("_") and parts[1].startswith("_"):
            tag = parts[1][1:]
            return Asked(kind, parts[0][1:], "" if tag == "tcp" else tag, *where)
        return Asked(kind, parts[-1], ".".join(parts[:-1]), *where)
    return Asked(kind, parts[-1], "", *where)


def address_of(digits: str) -> Address | None:
    """The address that the digits of C{HEX.addr} mean, or None."""
    if not _DIGITS.fullmatch(digits):
        return None
    if len(digits) == _IPV4_DIGITS:
        return IPv4Address(bytes.fromhex(digits))
    return IPv6Address(bytes.fromhex(digits)) if len(digits) == _IPV6_DIGITS else None


def is_arpa(name: Name) -> bool:
    """Whether a name is among those of addresses."""
    return bool(name) and name[-1].lower() == _ARPA


def reversed_address(name: Name) -> Address | None:
    """The address whose name this is; None if it is part of one, or something else."""
    labels = [label.lower() for label in name]
    try:
        if labels[-2:] == [b"in-addr", _ARPA] and len(labels) == 6:
            return IPv4Address(".".join([label.decode("ascii") for label in labels[3::-1]]))
        if labels[-2:] == [b"ip6", _ARPA] and len(labels) == 34 and all(len(label) == 1 for label in labels[:32]):
            address = address_of(b"".join(labels[31::-1]).decode("ascii"))
            return address if isinstance(address, IPv6Address) else None
    except ValueError:
        return None
    return None
