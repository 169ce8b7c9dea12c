"""
Resource records from rows of the catalog.

Source: Consul's page on DNS; RFC 1464 for metadata in TXT; RFC 2782 for SRV.
"""

from __future__ import annotations

from collections.abc import Iterator
from ipaddress import IPv4Address, IPv6Address, ip_address
from struct import Struct

from txconsul.dns.message import (
    AAAA,
    ANY,
    NS,
    SRV,
    TXT,
    A,
    BadName,
    Name,
    Record,
    make_name,
    make_text,
)
from txconsul.dns.settings import DNSSettings
from txconsul.records.catalog import CheckServiceNode, Node
from txconsul.records.health import CRITICAL, MAINTENANCE, PASSING, WARNING
from txconsul.records.service import NodeService, Weights

__all__ = [
    "Address",
    "address_name",
    "address_record",
    "metadata_records",
    "node_address",
    "node_name",
    "parse_address",
    "service_address",
    "service_port",
    "srv_record",
    "weight_of",
]

Address = IPv4Address | IPv6Address

_SRV = Struct("!3H")
_PORT_MAX = 65535
_PRIORITY = 1
#: Metadata under keys that begin so is told without its key.
_BARE = "rfc1035-"
_STATUSES = frozenset({PASSING, WARNING, CRITICAL, MAINTENANCE})
#: The checks by which a node, and a service, is out of use.
_NODE_MAINTENANCE, _SERVICE_MAINTENANCE = "_node_maintenance", "_service_maintenance:"
#: Questions that an address of either family answers, beside its own type.
_ANY_ADDRESS = frozenset({SRV, ANY, NS, TXT})


def parse_address(text: str) -> Address | None:
    """An address; None for a host name. IPv4 within IPv6 is IPv4."""
    if "%" in text:
        return None
    try:
        address = ip_address(text)
    except ValueError:
        return None
    if isinstance(address, IPv6Address):
        return address.ipv4_mapped or address
    return address


def _translated(kind: int, plain: str, v4: str, v6: str) -> str:
    """The address that suits a question's type."""
    if v6 and kind != A:
        return v6
    if v4 and kind != AAAA:
        return v4
    return plain


def _elsewhere(settings: DNSSettings, datacenter: str) -> bool:
    """Whether addresses for the outside are to be told."""
    return settings.translate_wan_addrs and datacenter != settings.datacenter


def node_address(settings: DNSSettings, node: Node, kind: int) -> str:
    """The address of a node that suits a question's type."""
    tagged = node.tagged_addresses or {}
    plain, v4, v6 = node.address, tagged.get("lan_ipv4", ""), tagged.get("lan_ipv6", "")
    if tagged and _elsewhere(settings, node.datacenter):
        plain = tagged.get("wan", plain)
        v4 = tagged.get("wan_ipv4", v4)
        v6 = tagged.get("wan_ipv6", v6)
    return _translated(kind, plain, v4, v6)


def service_address(settings: DNSSettings, service: NodeService, datacenter: str, kind: int) -> str:
    """The address of an instance that suits a question's type; empty where it is its node's."""
    tagged = service.tagged_addresses
    if not tagged:
        return service.address
    texts = {tag: one.address for tag, one in tagged.items()}
    plain, v4, v6 = service.address, texts.get("lan_ipv4", ""), texts.get("lan_ipv6", "")
    if _elsewhere(settings, datacenter):
        plain = texts.get("wan", plain)
        v4 = texts.get("wan_ipv4", v4)
        v6 = texts.get("wan_ipv6", v6)
    return _translated(kind, plain, v4, v6)


def service_port(settings: DNSSettings, service: NodeService, datacenter: str) -> int:
    """The port of an instance, as it is reached from here."""
    if service.tagged_addresses and _elsewhere(settings, datacenter):
        wan = service.tagged_addresses.get("wan")
        if wan is not None and wan.port:
            return wan.port
    return service.port


def weight_of(instance: CheckServiceNode) -> int:
    """
    The weight of an instance, by the worst of its and its node's checks. One in maintenance has none, whatever that
    check says; with a status that is none of the three, an instance counts as one.
    """
    service = instance.service
    assert service is not None
    weights = service.weights or Weights(passing=1, warning=1)
    statuses = {PASSING}
    for check in instance.checks or ():
        if check.service_name in ("", service.service):
            statuses.add(MAINTENANCE if _is_maintenance(check.check_id) else check.status)
    if statuses == {PASSING}:
        return weights.passing
    if not statuses <= _STATUSES:
        return 1
    return weights.warning if statuses <= {PASSING, WARNING} else 0


def _is_maintenance(check_id: str) -> bool:
    return check_id == _NODE_MAINTENANCE or check_id.startswith(_SERVICE_MAINTENANCE)


def address_record(name: Name, address: Address, ttl: int, kind: int) -> Record | None:
    """An address as the answer to a question of some type; None where it is none."""
    own = A if isinstance(address, IPv4Address) else AAAA
    if kind != own and kind not in _ANY_ADDRESS:
        return None
    return Record(name, own, ttl, (address.packed,))


def srv_record(name: Name, ttl: int, instance: CheckServiceNode, port: int, target: Name) -> Record:
    """Where an instance is."""
    return Record(name, SRV, ttl, (_SRV.pack(_PRIORITY, weight_of(instance) & _PORT_MAX, port & _PORT_MAX), target))


def node_name(node: Node, domain: Name) -> Name:
    """
    The name of a node, as answers have it.

    @raise BadName: no DNS name can be made of its own.
    """
    name = (*make_name(node.node), b"node", *make_name(node.datacenter), *domain)
    return _checked(name)


def address_name(address: Address, datacenter: str, domain: Name) -> Name:
    """A name that means just this address."""
    return _checked((address.packed.hex().encode(), b"addr", *make_name(datacenter), *domain))


def _checked(name: Name) -> Name:
    if sum(map(len, name)) + len(name) >= 255:
        raise BadName(b".".join(name))
    return name


def metadata_records(name: Name, node: Node, ttl: int) -> Iterator[Record]:
    """What is known of a node, as text."""
    for key, value in (node.meta or {}).items():
        text = value if key.lower().startswith(_BARE) else _attribute(key, value)
        yield Record(name, TXT, ttl, (make_text(text.encode("utf-8", "surrogateescape")),))


def _attribute(key: str, value: str) -> str:
    """RFC 1464: a grave accent quotes itself, an equals sign, and blanks around the key."""
    key = key.replace("`", "``").replace("=", "`=")
    inner = key.strip(" ")
    if inner != key:
        before = len(key) - len(key.lstrip(" "))
        key = "` " * before + inner + "` " * (len(key) - before - len(inner))
    return key + "=" + value.replace("`", "``")
