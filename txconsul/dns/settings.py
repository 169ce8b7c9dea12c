"""
What the DNS edge is told to be: C{dns_config} and what goes with it, in the terms of messages.
"""

from __future__ import annotations

from collections.abc import Mapping

import msgspec

from txconsul.dns.message import Name, make_name
from txconsul.dns.names import Zone

__all__ = ["DNSSettings", "ServiceTTLs"]


class DNSSettings(msgspec.Struct, frozen=True, kw_only=True):
    """
    @ivar domain: dotted text; C{alternative}: likewise, empty for none.
    @ivar node_name: that of the agent's own node.
    @ivar node_ttl: seconds; C{service_ttl}: seconds by name, where C{*} at the end stands for any rest.
    @ivar recursors: C{(host, port)} of who is asked for all other names.
    @ivar recursor_timeout: seconds for each of them.
    @ivar max_stale: seconds that an answer may be behind the leader.
    @ivar use_cache: what the agent keeps is told, rather than what its servers know; where that is not kept current in
        the background, it is C{cache_max_age} seconds old at most, 0 for any age.
    @ivar a_record_limit: the most addresses in an answer; 0 is no bound. C{udp_answer_limit}: the most records in a
        small UDP message.
    @ivar soa_minimum: seconds that nothing's absence may be remembered.
    """

    datacenter: str
    node_name: str = ""
    domain: str = "consul."
    alternative: str = ""
    node_ttl: int = 0
    service_ttl: Mapping[str, int] = {}
    only_passing: bool = False
    node_meta_txt: bool = True
    allow_stale: bool = True
    max_stale: float = 87600 * 3600.0
    use_cache: bool = False
    cache_max_age: float = 0.0
    a_record_limit: int = 0
    udp_answer_limit: int = 3
    enable_truncate: bool = False
    disable_compression: bool = False
    translate_wan_addrs: bool = False
    soa_refresh: int = 3600
    soa_retry: int = 600
    soa_expire: int = 86400
    soa_minimum: int = 0
    recursors: tuple[tuple[str, int], ...] = ()
    recursor_timeout: float = 2.0
    recursor_random: bool = False

    def zone(self) -> Zone:
        """The domains that are answered for, in lower case."""
        return Zone(_lower(self.domain), _lower(self.alternative))


def _lower(domain: str) -> Name:
    return make_name(domain.lower())


class ServiceTTLs:
    """The TTL of each service: that of its own name, or of the longest C{*} that fits; 0 otherwise."""

    def __init__(self, configured: Mapping[str, int]) -> None:
        self._exact = {name: ttl for name, ttl in configured.items() if not name.endswith("*")}
        prefixes = [(name[:-1], ttl) for name, ttl in configured.items() if name.endswith("*")]
        self._prefixes = sorted(prefixes, key=lambda one: len(one[0]), reverse=True)

    def __call__(self, service: str) -> int:
        """Seconds."""
        exact = self._exact.get(service)
        if exact is not None:
            return exact
        return next((ttl for prefix, ttl in self._prefixes if service.startswith(prefix)), 0)
