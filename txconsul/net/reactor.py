"""
The network of Twisted's endpoints: whatever an endpoint string can say, TLS included.
"""

from __future__ import annotations

import re
from typing import Any

from twisted.internet.abstract import isIPAddress, isIPv6Address
from twisted.internet.defer import Deferred, fail, maybeDeferred, succeed
from twisted.internet.endpoints import clientFromString, serverFromString
from twisted.internet.error import DNSLookupError
from twisted.internet.interfaces import IResolutionReceiver
from zope.interface import implementer

from txconsul.interfaces import INetwork

__all__ = ["DATAGRAM_BYTES_MAX", "ReactorNetwork", "parse_datagrams", "parse_description"]

#: The largest datagram that is read whole: all that UDP's length can say.
DATAGRAM_BYTES_MAX = 65535


def parse_description(description: str) -> tuple[str, list[str], dict[str, str]]:
    r"""
    Take an endpoint string apart: kind, positional arguments, named arguments. C{\:} and C{\=} stand for themselves.

    >>> parse_description(r"tcp:8500:interface=\:\:1")
    ('tcp', ['8500'], {'interface': '::1'})
    """
    positional: list[str] = []
    named: dict[str, str] = {}
    kind, *rest = re.findall(r"(?:^|:)((?:[^:\\]|\\.)*)", description)
    for part in rest:
        match = re.fullmatch(r"([a-zA-Z]+)=(.*)", part, re.DOTALL)
        if match:
            named[match[1]] = re.sub(r"\\(.)", r"\1", match[2])
        else:
            positional.append(re.sub(r"\\(.)", r"\1", part))
    return kind, positional, named


def parse_datagrams(description: str) -> tuple[int, str]:
    """
    Port and interface of a place for datagrams.

    @raise ValueError: the description is of another kind, or names no port.
    """
    kind, positional, named = parse_description(description)
    port = named.get("port") or (positional[0] if positional else "")
    if kind != "udp" or not port.isdigit():
        raise ValueError(f"no description of a place for datagrams: {description}")
    return int(port), named.get("interface", "")


@implementer(IResolutionReceiver)
class _Addresses:
    """Waits for the addresses that a name has."""

    def __init__(self, name: str) -> None:
        self._name = name
        self._found: dict[str, None] = {}
        self.addresses: Deferred[list[str]] = Deferred()

    def resolutionBegan(self, resolutionInProgress: Any) -> None:
        """See L{IResolutionReceiver}."""

    def addressResolved(self, address: Any) -> None:
        """See L{IResolutionReceiver}."""
        self._found[address.host] = None

    def resolutionComplete(self) -> None:
        """See L{IResolutionReceiver}."""
        if self._found:
            self.addresses.callback(list(self._found))
        else:
            self.addresses.errback(DNSLookupError(f"no address found for {self._name}"))


@implementer(INetwork)
class ReactorNetwork:
    """
    An L{INetwork} over Twisted's endpoints.

    @param reactor: given to the endpoints; its C{seconds()} is monotonic.
    """

    def __init__(self, reactor: Any) -> None:
        self.clock = reactor

    def listen(self, description: str, factory: Any) -> Deferred[Any]:
        """See L{INetwork}."""
        return maybeDeferred(self._listen, description, factory)

    def connect(self, description: str, factory: Any) -> Deferred[Any]:
        """See L{INetwork}."""
        return maybeDeferred(self._connect, description, factory)

    def resolve(self, name: str) -> Deferred[str]:
        """See L{INetwork}."""
        return self.resolve_all(name).addCallback(lambda addresses: addresses[0])

    def resolve_all(self, name: str) -> Deferred[list[str]]:
        """See L{INetwork}."""
        if isIPAddress(name) or isIPv6Address(name):
            return succeed([name])
        try:
            possible = b"\0" not in name.encode("idna")
        except UnicodeError:
            possible = False
        if not possible:  # Twisted's resolver would never answer.
            return fail(DNSLookupError(f"{name} is no host's name"))
        found = _Addresses(name)
        self.clock.nameResolver.resolveHostName(found, name)
        return found.addresses

    def datagrams(self, description: str, receiver: Any) -> Deferred[Any]:
        """See L{INetwork}."""
        return maybeDeferred(self._datagrams, description, receiver)

    def _datagrams(self, description: str, receiver: Any) -> Any:
        port, interface = parse_datagrams(description)
        return self.clock.listenUDP(port, receiver, interface, DATAGRAM_BYTES_MAX)

    def _listen(self, description: str, factory: Any) -> Deferred[Any]:
        listening: Deferred[Any] = serverFromString(self.clock, description).listen(factory)  # type: ignore[no-untyped-call]
        return listening

    def _connect(self, description: str, factory: Any) -> Deferred[Any]:
        connected: Deferred[Any] = clientFromString(self.clock, description).connect(factory)  # type: ignore[no-untyped-call]
        return connected
