"""
Connections out, for checks: where to, by which TLS, for how long, and in which words they fail.
"""

from __future__ import annotations

from typing import Any, NamedTuple

from OpenSSL import SSL
from twisted.internet.defer import Deferred
from twisted.internet.defer import TimeoutError as DeferredTimeout
from twisted.internet.error import ConnectError, ConnectionRefusedError, DNSLookupError, TimeoutError
from twisted.internet.interfaces import IOpenSSLClientConnectionCreator
from twisted.internet.ssl import CertificateOptions, optionsForClientTLS
from twisted.protocols.tls import TLSMemoryBIOFactory
from twisted.python.failure import Failure
from zope.interface import implementer

from txconsul.errors import Unavailable
from txconsul.interfaces import INetwork

__all__ = ["CannotDial", "Target", "dial", "split_address"]

PORT_MAX = 65535


class CannotDial(Unavailable):
    """No connection; the text says where to and why."""


class Target(NamedTuple):
    """
    @ivar server_name: in the certificate; the host where it is empty.
    @ivar verify: whether the certificate must be trusted.
    """

    host: str
    port: int
    tls: bool = False
    server_name: str = ""
    verify: bool = True


def split_address(address: str, default_port: int | None = None) -> tuple[str, int]:
    """
    Host and port of C{host:port}.

    @raise ValueError: there is no port, or none that can be.

    >>> split_address("[::1]:80"), split_address("web", 443)
    (('::1', 80), ('web', 443))
    """
    host, separator, port = address.rpartition(":")
    if not separator or port.endswith("]"):
        host, port = address, ""
    if host.startswith("[") and host.endswith("]"):
        host = host[1:-1]
    if not port:
        if default_port is None:
            raise ValueError(f"address {address}: missing port in address")
        return host, default_port
    if not (port.isascii() and port.isdigit()) or int(port) > PORT_MAX:
        raise ValueError(f"address {address}: invalid port")
    return host, int(port)


@implementer(IOpenSSLClientConnectionCreator)
class _Unverified:
    """TLS with whoever answers."""

    def __init__(self, name: str) -> None:
        self._name = name.encode("idna") if name.isascii() else b""
        self._context = CertificateOptions(verify=False).getContext()

    def clientConnectionForTLS(self, protocol: Any) -> SSL.Connection:
        """See L{IOpenSSLClientConnectionCreator}."""
        connection = SSL.Connection(self._context, None)
        if self._name:
            connection.set_tlsext_host_name(self._name)
        return connection


def dial(network: INetwork, target: Target, factory: Any, timeout: float) -> Deferred[Any]:
    """
    Connect.

    @param timeout: seconds.
    @return: fires with the protocol; fails with L{CannotDial}.
    """
    factory.noisy = False  # two lines of log a connection tell nobody anything
    host = target.host.replace("\\", "\\\\").replace(":", "\\:").replace("=", "\\=")
    if target.tls:
        name = target.server_name or target.host
        creator: Any = optionsForClientTLS(name) if target.verify else _Unverified(name)
        factory = TLSMemoryBIOFactory(creator, True, factory)
    connected: Deferred[Any] = network.connect(f"tcp:host={host}:port={target.port}", factory)
    connected.addTimeout(timeout, network.clock)
    return connected.addErrback(_in_words, target)


def _in_words(reason: Failure, target: Target) -> Any:
    shown = f"[{target.host}]" if ":" in target.host else target.host
    if reason.check(ConnectionRefusedError):
        why = "connect: connection refused"
    elif reason.check(TimeoutError, DeferredTimeout):
        why = "i/o timeout"
    elif reason.check(DNSLookupError):
        why = "lookup: no such host"
    elif reason.check(ConnectError, OSError):
        why = reason.getErrorMessage()
    else:
        return reason
    raise CannotDial(f"dial tcp {shown}:{target.port}: {why}")
