"""
How the other side of a connection is written down.
"""

from __future__ import annotations

from typing import Any

__all__ = ["host_of", "written"]


def host_of(address: Any) -> str:
    """The host of one of Twisted's addresses, or what else there is to be said of it."""
    host: str = getattr(address, "host", None) or str(address)
    return host


def written(address: Any) -> str:
    """
    One of Twisted's addresses as C{host:port}.

    >>> from twisted.internet.address import IPv6Address
    >>> written(IPv6Address("TCP", "::1", 8300))
    '[::1]:8300'
    """
    host = getattr(address, "host", None)
    if host is None:
        return str(address)
    return f"[{host}]:{address.port}" if ":" in host else f"{host}:{address.port}"
