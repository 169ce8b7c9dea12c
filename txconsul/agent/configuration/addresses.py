"""
Addresses to bind, to listen on and to tell others.

Source: the address keys of Consul's "Agent configuration file reference".
"""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Callable, Sequence

import msgspec

from txconsul.agent.configuration.interfaces import Interface
from txconsul.agent.configuration.sockaddr import BadTemplate, expand

__all__ = ["Address", "Expander", "is_any", "make_addresses"]


class Address(msgspec.Struct, frozen=True):
    """
    Where something listens: a host and port, or the path of a Unix socket.

    @ivar host: an IP address without brackets; empty for a Unix socket.
    """

    host: str = ""
    port: int = 0
    path: str = ""

    @property
    def is_unix(self) -> bool:
        return bool(self.path)

    def __str__(self) -> str:
        if self.path:
            return self.path
        return f"[{self.host}]:{self.port}" if ":" in self.host else f"{self.host}:{self.port}"

    def endpoint(self, unix_mode: str = "") -> str:
        """
        The Twisted endpoint string that listens here.

        @param unix_mode: octal permissions of a Unix socket.
        """
        if self.path:
            mode = f":mode={unix_mode}" if unix_mode else ""
            return f"unix:{_quoted(self.path)}{mode}"
        return f"tcp:{self.port}:interface={_quoted(self.host)}"

    def datagrams(self) -> str:
        """The description of a place for datagrams here, for L{INetwork}."""
        return f"udp:{self.port}:interface={_quoted(self.host)}"


def _quoted(text: str) -> str:
    """A text within an endpoint string, where three signs have a meaning."""
    return re.sub(r"([\\:=])", r"\\\1", text)


def is_any(text: str) -> bool:
    """Whether an address stands for all addresses of a machine, and so cannot be told to others."""
    return text in ("0.0.0.0", "::", "[::]")


class Expander:
    """
    Texts with templates to addresses.

    @ivar errors: what was wrong, with the key before it; a wrong address is left out.
    """

    def __init__(self, interfaces: Callable[[], Sequence[Interface]]) -> None:
        self._interfaces = interfaces
        self.errors: list[str] = []

    def addresses(self, key: str, text: str | None) -> list[Address]:
        """Hosts (without ports) and Unix sockets, parted by spaces."""
        found = []
        for word in self._words(key, text):
            if word.startswith("unix://"):
                found.append(Address(path=word.removeprefix("unix://")))
                continue
            host = _ip(word)
            if host is None:
                self.errors.append(f"{key}: invalid ip address: {word}")
                return []
            found.append(Address(host))
        return found

    def hosts(self, key: str, text: str | None) -> list[str]:
        """Hosts only."""
        found = self.addresses(key, text)
        if any(address.is_unix for address in found):
            self.errors.append(f"{key} cannot be a unix socket")
            return []
        return [address.host for address in found]

    def host(self, key: str, text: str | None) -> str:
        """One host, or an empty string."""
        found = self.addresses(key, text)
        if len(found) > 1:
            self.errors.append(f"{key}: multiple addresses found: " + " ".join(one.host or one.path for one in found))
            return ""
        if found and found[0].is_unix:
            self.errors.append(f"{key} cannot be a unix socket")
            return ""
        return found[0].host if found else ""

    def texts(self, key: str, texts: Sequence[str]) -> list[str]:
        """Anything: a template gives several words, every other text is kept whole."""
        found: list[str] = []
        for text in texts:
            if "{{" in text:
                found.extend(self._words(key, text))
            elif text:
                found.append(text)
        return found

    def _words(self, key: str, text: str | None) -> list[str]:
        try:
            return expand(text or "", self._interfaces).split()
        except BadTemplate as error:
            self.errors.append(f'{key}: error parsing "{text}": {error}')
            return []


def _ip(word: str) -> str | None:
    """An address as it is usually written; None where it is none, or names a zone."""
    try:
        address = ipaddress.ip_address("::" if word == "[::]" else word)
    except ValueError:
        return None
    if isinstance(address, ipaddress.IPv6Address):
        if address.scope_id is not None:
            return None
        address = address.ipv4_mapped or address
    return str(address)


def make_addresses(own: Sequence[Address], clients: Sequence[str], port: int) -> tuple[Address, ...]:
    """
    Where a service listens.

    @param own: the addresses configured for it; if there are none, the client addresses count.
    @param port: nothing is listened on if it is not positive.
    """
    if port <= 0:
        return ()
    chosen = own or [Address(host) for host in clients]
    return tuple(address if address.is_unix else Address(address.host, port) for address in chosen)
