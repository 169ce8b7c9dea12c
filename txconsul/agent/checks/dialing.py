"""
Connections out, for checks: where to, by which TLS, for how long, and in which words they fail.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

from OpenSSL import SSL
from twisted.internet.defer import Deferred
from twisted.internet.error import ConnectionClosed
from twisted.internet.interfaces import IHandshakeListener
from twisted.internet.protocol import Factory, Protocol, connectionDone
from twisted.protocols.tls import TLSMemoryBIOFactory
from twisted.python.failure import Failure
from zope.interface import implementer

from txconsul.errors import PeerMisbehaved, Unavailable
from txconsul.interfaces import INetwork
from txconsul.net.dial_errors import dial_error
from txconsul.net.tls_client import ANONYMOUS, ClientTLS, Identity, Untrusted, why_untrusted

__all__ = ["CannotDial", "CheckTLS", "Connect", "Secure", "Target", "dial", "in_tls_words", "split_address"]

PORT_MAX = 65535
#: What OpenSSL calls an answer that is no TLS.
_NO_TLS = frozenset({"wrong version number", "http request", "packet length too long", "record layer failure"})


class CannotDial(Unavailable):
    """No connection; the text says where to and why."""


class CheckTLS:
    """
    The TLS by which an agent's checks call: as strangers, or with the agent's own certificate and authorities
    (Consul's C{enable_agent_tls_for_checks}).

    @param server_name: the name to expect where a check names none; that of the address where it is empty.
    """

    def __init__(self, identity: Identity = ANONYMOUS, server_name: str = "") -> None:
        self._made: dict[tuple[bool, Sequence[bytes]], ClientTLS] = {}
        self.change(identity, server_name)

    def change(self, identity: Identity, server_name: str) -> None:
        """Be somebody else from the next connection on, as after a reload."""
        self._identity = identity
        self.server_name = server_name
        self._made.clear()

    def client(self, verify: bool, protocols: Sequence[bytes]) -> ClientTLS:
        """What is shared by all checks that call alike."""
        key = (verify, tuple(protocols))
        if key not in self._made:
            self._made[key] = ClientTLS(self._identity, verify=verify, protocols=protocols)
        return self._made[key]


class Secure(NamedTuple):
    """
    How a check speaks TLS.

    @ivar server_name: in the certificate; what L{CheckTLS} says, else the host, where it is empty.
    @ivar verify: whether the certificate must be trusted.
    @ivar protocols: what may be spoken inside (ALPN).
    """

    settings: CheckTLS
    server_name: str = ""
    verify: bool = True
    protocols: tuple[bytes, ...] = ()

    def name(self, host: str) -> str:
        """Who must answer at a host."""
        return self.server_name or self.settings.server_name or host


class Target(NamedTuple):
    """
    @ivar secure: None for a connection without TLS.
    @ivar path: of a unix socket, instead of host and port.
    """

    host: str
    port: int
    secure: Secure | None = None
    path: str = ""

    def __str__(self) -> str:
        """As Go's errors show it."""
        if self.path:
            return f"unix {self.path}"
        return f"tcp [{self.host}]:{self.port}" if ":" in self.host else f"tcp {self.host}:{self.port}"

    def description(self) -> str:
        """Twisted's endpoint string."""
        if self.path:
            return f"unix:path={_escaped(self.path)}"
        return f"tcp:host={_escaped(self.host)}:port={self.port}"


#: Reaches a target, with a protocol of the factory.
Connect = Callable[[Target, Any], Deferred[Any]]


def _escaped(text: str) -> str:
    return text.replace("\\", "\\\\").replace(":", "\\:").replace("=", "\\=")


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


@implementer(IHandshakeListener)
class Shaking(Protocol):
    """
    Stands between TLS and a protocol, and begins that one only when the other side has shown its certificate.

    @ivar shaken: fires with the protocol.
    """

    def __init__(self, factory: Factory) -> None:
        self._factory = factory
        self.shaken: Deferred[Protocol] = Deferred(lambda _: self._abort())

    def _abort(self) -> None:
        if self.transport is not None:
            self.transport.abortConnection()  # type: ignore[attr-defined]  # TLS has it, and Twisted's TCP

    def handshakeCompleted(self) -> None:
        assert self.transport is not None
        if why_untrusted(self.transport.getHandle()):  # type: ignore[attr-defined]  # TLS has it
            return  # the connection is being given up for that
        inner = self._factory.buildProtocol(self.transport.getPeer())
        assert inner is not None
        inner.makeConnection(self.transport)
        self.dataReceived = inner.dataReceived  # type: ignore[method-assign]
        self.connectionLost = inner.connectionLost  # type: ignore[method-assign,assignment]
        self.shaken.callback(inner)  # type: ignore[arg-type]

    def connectionLost(self, reason: Failure = connectionDone) -> None:
        if not self.shaken.called:
            self.shaken.errback(in_tls_words(reason, self.transport))


def in_tls_words(reason: Failure, transport: Any = None) -> Failure:
    """Why a connection with TLS was lost, as Go tells it; any other reason as it is."""
    untrusted = why_untrusted(transport.getHandle()) if transport is not None else ""
    if reason.check(Untrusted):
        untrusted = reason.getErrorMessage()
    if untrusted:
        return Failure(PeerMisbehaved(f"tls: failed to verify certificate: x509: {untrusted}"))
    if reason.check(SSL.Error):
        entries = reason.value.args[0] if reason.value is not None and reason.value.args else ()
        text = entries[0][-1] if entries and isinstance(entries, list) else ""
        if text in _NO_TLS:
            return Failure(PeerMisbehaved("tls: first record does not look like a TLS handshake"))
        if " alert " in text:
            return Failure(PeerMisbehaved(f"remote error: tls: {text.partition(' alert ')[2]}"))
        return Failure(PeerMisbehaved(f"tls: {text or 'handshake failed'}"))
    return Failure(PeerMisbehaved("EOF")) if reason.check(ConnectionClosed) else reason


def dial(
    network: INetwork, target: Target, factory: Any, timeout: float, connect: Connect | None = None
) -> Deferred[Any]:
    """
    Connect, and see the certificate if there is TLS.

    @param factory: makes the protocol; a L{Factory}.
    @param timeout: seconds for all of it.
    @param connect: reaches the target in another way than directly.
    @return: fires with the protocol; fails with L{CannotDial}, or with L{PeerMisbehaved} where TLS was not to be had.
    """
    connected = Deferred.fromCoroutine(_dialled(network, target, factory, connect))
    connected.addTimeout(timeout, network.clock)
    return connected.addErrback(_in_words, target)


async def _dialled(network: INetwork, target: Target, factory: Any, connect: Connect | None) -> Any:
    factory.noisy = False  # two lines of log a connection tell nobody anything
    secure = target.secure
    if connect is None:
        connect = lambda target, factory: network.connect(target.description(), factory)  # noqa: E731
    if secure is None:
        return await connect(target, factory)
    creator = secure.settings.client(secure.verify, secure.protocols).creator(secure.name(target.host))
    shaking: Any = Factory.forProtocol(lambda: Shaking(factory))  # type: ignore[arg-type]
    shaking.noisy = False
    wrapped = TLSMemoryBIOFactory(creator, True, shaking, network.clock)
    wrapped.noisy = False
    outer = await connect(target, wrapped)
    return await outer.wrappedProtocol.shaken


def _in_words(reason: Failure, target: Target) -> Any:
    why = dial_error(reason, str(target), target.host)
    if why is None:
        return reason
    raise CannotDial(why)
