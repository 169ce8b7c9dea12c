"""
What the configuration says of the HTTP API, in the form in which answers need it.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from ipaddress import IPv4Network, IPv6Network

from txconsul.http.parameters import ReadDefaults

__all__ = ["HTTPSettings"]

_CANONICAL_BREAKS = "-"


def _canonical(name: str) -> str:
    """A header's name as Go writes it: C{x-custom} is C{X-Custom}."""
    return _CANONICAL_BREAKS.join(word[:1].upper() + word[1:].lower() for word in name.split(_CANONICAL_BREAKS))


class HTTPSettings:
    """
    @ivar common_head: the header lines of every answer, each ending in CRLF.
    @ivar index_head: those of answers outside the API, which tell no ACL policy.
    @ivar write_networks: who may write; empty is everybody.
    @ivar blocked: prefixes of paths that are refused.
    @ivar prometheus: whether metrics are kept in the form that Prometheus reads.
    @ivar coordinates: whether network coordinates are told and taken.
    """

    def __init__(
        self,
        *,
        node_name: str,
        datacenter: str,
        response_headers: Mapping[str, str],
        blocked: Iterable[str],
        write_networks: Iterable[IPv4Network | IPv6Network],
        default_policy: str,
        translate_wan_addrs: bool,
        read_defaults: ReadDefaults,
        kv_max_value_size: int,
        txn_max_req_len: int,
        always_pretty: bool,
        keep_unprintable: bool,
        prometheus: bool = False,
        coordinates: bool = True,
    ) -> None:
        own = b"".join(
            b"%b: %b\r\n" % (_canonical(name).encode(), value.encode()) for name, value in response_headers.items()
        )
        self.index_head = own
        self.common_head = (
            own + b"X-Consul-Default-Acl-Policy: %b\r\nVary: Accept-Encoding\r\n" % default_policy.encode()
        )
        if translate_wan_addrs:
            self.common_head += b"X-Consul-Translate-Addresses: true\r\n"
        self.node_name = node_name
        self.datacenter = datacenter
        self.blocked = tuple(prefix.encode() for prefix in blocked)
        self.write_networks = tuple(write_networks)
        self.read_defaults = read_defaults
        self.kv_max_value_size = kv_max_value_size
        self.txn_max_req_len = max(txn_max_req_len, kv_max_value_size)
        self.always_pretty = always_pretty
        self.keep_unprintable = keep_unprintable
        self.prometheus = prometheus
        self.coordinates = coordinates
