"""
The DNS edge of an agent: what the configuration says, in the edge's terms.
"""

from __future__ import annotations

import ipaddress
import socket

from txconsul.agent.configuration.model import Configuration
from txconsul.agent.outside import Outside
from txconsul.dns.lookups import IDoor
from txconsul.dns.server import DNSServer
from txconsul.dns.settings import DNSSettings
from txconsul.interfaces import INetwork
from txconsul.metrics.metrics import Metrics

__all__ = ["dns_server", "dns_settings", "recursor_address"]

#: Where DNS servers listen.
DNS_PORT = 53


def recursor_address(text: str) -> tuple[str, int]:
    """
    An address and port of C{HOST}, C{HOST:PORT} or C{[IPV6]:PORT}. A host name is looked up, once, with the system's
    means.

    @raise ValueError: the port is none, or the host name is not known.
    """
    host, port = text, str(DNS_PORT)
    if text.startswith("["):
        host, _, rest = text[1:].partition("]")
        port = rest.removeprefix(":") or port
    elif text.count(":") == 1:
        host, _, port = text.partition(":")
    if not (port.isascii() and port.isdigit() and 0 < int(port) < 65536):
        raise ValueError(f"invalid recursor address: {text}")
    try:
        return str(ipaddress.ip_address(host)), int(port)
    except ValueError:
        pass
    try:
        found = socket.getaddrinfo(host, int(port), type=socket.SOCK_DGRAM)
    except OSError as error:
        raise ValueError(f"invalid recursor address: {text}: {error}") from error
    return str(found[0][4][0]), int(port)


def dns_settings(configuration: Configuration) -> DNSSettings:
    """
    C{dns_config} and what goes with it.

    @raise ValueError: a domain or a recursor is none.
    """
    it = configuration.dns
    return DNSSettings(
        datacenter=configuration.datacenter,
        node_name=configuration.node_name,
        domain=configuration.domain,
        alternative=configuration.alt_domain,
        node_ttl=int(it.node_ttl),
        service_ttl={name: int(ttl) for name, ttl in it.service_ttl.items()},
        only_passing=it.only_passing,
        node_meta_txt=it.node_meta_txt,
        allow_stale=it.allow_stale,
        max_stale=it.max_stale,
        use_cache=it.use_cache,
        cache_max_age=it.cache_max_age,
        a_record_limit=it.a_record_limit,
        udp_answer_limit=it.udp_answer_limit,
        enable_truncate=it.enable_truncate,
        disable_compression=it.disable_compression,
        translate_wan_addrs=configuration.translate_wan_addrs,
        soa_refresh=it.soa.refresh,
        soa_retry=it.soa.retry,
        soa_expire=it.soa.expire,
        soa_minimum=it.soa.min_ttl,
        recursors=tuple([recursor_address(text) for text in it.recursors]),
        recursor_timeout=it.recursor_timeout,
        recursor_random=it.recursor_strategy == "random",
    )


def dns_server(
    configuration: Configuration, door: IDoor, network: INetwork, metrics: Metrics, outside: Outside
) -> DNSServer:
    """The edge, not yet listening."""
    return DNSServer(
        door,
        dns_settings(configuration),
        network,
        rng=outside.fork_random(),
        secret_rng=outside.random,
        now_utc=outside.now_utc,
        metrics=metrics,
        node=configuration.node_name,
    )
