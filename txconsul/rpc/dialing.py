"""
Connections to the server port of others: TLS first where they speak it, then the byte that says what follows.

Source: the wire documents, RPC sections 1 and 9.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

from twisted.internet.defer import Deferred, fail
from twisted.internet.error import TimeoutError
from twisted.internet.interfaces import (
    IDelayedCall,
    IHandshakeListener,
    IOpenSSLClientConnectionCreator,
    IProtocol,
    IReactorTime,
)
from twisted.internet.protocol import Factory, connectionDone
from twisted.python.failure import Failure
from zope.interface import implementer

from txconsul.errors import Unreachable
from txconsul.net.dial_errors import dial_error
from txconsul.net.tls_halves import HalfClosableTLSFactory
from txconsul.rpc.demux import FirstByte
from txconsul.rpc.handover import Handover

__all__ = ["DIAL_TIMEOUT", "Dialer", "Peer"]

#: Seconds in which a connection must come about (Consul's default dial timeout).
DIAL_TIMEOUT = 10.0


class Peer(NamedTuple):
    """
    A server of this or another datacenter.

    @ivar name: its node's.
    @ivar address: of its server port, C{10.0.0.1:8300} or C{[fd00::1]:8300}.
    @ivar use_tls: whether it is to be spoken to inside TLS.
    """

    name: str
    address: str
    datacenter: str = ""
    use_tls: bool = False


#: How a peer is called inside TLS.
Secure = Callable[[Peer], IOpenSSLClientConnectionCreator]


class Dialer:
    """Opens connections to server ports."""

    def __init__(self, network: Any, secure: Secure | None = None, *, bind_address: str = "") -> None:
        """
        @param network: an L{INetwork<txconsul.interfaces.INetwork>}.
        @param secure: None where this agent cannot speak TLS: then peers that want it cannot be reached.
        @param bind_address: where connections come from; empty for wherever the system takes them from.
        """
        self._network = network
        self._secure = secure
        self._bind_address = bind_address

    def dial(self, peer: Peer, kind: FirstByte, protocol: IProtocol) -> Deferred[None]:
        """
        Open a connection, say what it is, and give it to C{protocol}.

        @return: a Deferred firing when the protocol has it, or failing with L{Unreachable}. Inside TLS that is when
            this side trusts the other one; whether that one is content shows later only.
        """
        host, separator, port = peer.address.rpartition(":")
        host = host.removeprefix("[").removesuffix("]")
        if not separator or not host or not port.isdigit():
            return fail(Unreachable(f"failed to get conn: address {peer.address}: missing port in address"))
        first: IProtocol = _Announcing(kind, protocol)
        secured: _Secured | None = None
        if peer.use_tls:
            if self._secure is None:
                return fail(Unreachable(f"failed to get conn: {peer.name} wants TLS, which is not configured"))
            secured = _Secured(kind, protocol, self._network.clock)
            inside = HalfClosableTLSFactory(  # type: ignore[no-untyped-call]
                self._secure(peer), True, _factory(secured), self._network.clock
            ).buildProtocol(None)
            first = _Announcing(FirstByte.TLS, inside)
        description = f"tcp:host={_escaped(host)}:port={port}:timeout={DIAL_TIMEOUT:g}"
        if self._bind_address:
            description += f":bindAddress={_escaped(self._bind_address)}"
        connecting: Deferred[Any] = self._network.connect(description, _factory(first))
        if secured is not None:
            ready = secured.ready
            connecting.addCallback(lambda _: ready)
        return connecting.addCallbacks(lambda _: None, _unreachable, errbackArgs=(f"tcp {peer.address}", host))


def _unreachable(failure: Failure, target: str, host: str) -> Any:
    raise Unreachable(f"failed to get conn: {dial_error(failure, target, host) or failure.getErrorMessage()}")


def _factory(protocol: Any) -> Factory:
    factory = Factory.forProtocol(lambda: protocol)  # type: ignore[arg-type]
    factory.noisy = False
    return factory  # type: ignore[no-any-return]


def _escaped(text: str) -> str:
    return text.replace("\\", "\\\\").replace(":", "\\:").replace("=", "\\=")


class _Announcing(Handover):
    """Says what follows, and hands over."""

    def __init__(self, kind: FirstByte, protocol: IProtocol) -> None:
        self._kind = kind
        self._protocol = protocol

    def connectionMade(self) -> None:
        """See L{IProtocol}."""
        self.announce()

    def announce(self) -> None:
        """Do it."""
        transport: Any = self.transport
        transport.write(bytes([self._kind]))
        self.hand_over(self._protocol)


@implementer(IHandshakeListener)
class _Secured(_Announcing):
    """
    The same inside TLS, as soon as the other side is trusted: nothing is sent to anybody else.

    @ivar ready: fires then, or fails with why that is not so.
    """

    def __init__(self, kind: FirstByte, protocol: IProtocol, clock: IReactorTime) -> None:
        super().__init__(kind, protocol)
        self.ready: Deferred[None] = Deferred(self._given_up)
        self._clock = clock
        self._timer: IDelayedCall | None = None

    def connectionMade(self) -> None:
        """See L{IProtocol}: the handshake begins."""
        self._timer = self._clock.callLater(DIAL_TIMEOUT, self._too_late)

    def handshakeCompleted(self) -> None:
        """See L{IHandshakeListener}: it is also called when the other side turned out to be somebody else."""
        transport: Any = self.transport
        if transport.disconnecting:
            return
        self._stop_timer()
        self.announce()
        self.ready.callback(None)

    def connectionLost(self, reason: Failure = connectionDone) -> None:
        """See L{IProtocol}."""
        self._stop_timer()
        if not self.ready.called:
            self.ready.errback(reason)
        super().connectionLost(reason)

    def _too_late(self) -> None:
        self._timer = None
        self.ready.cancel()

    def _given_up(self, ready: Deferred[None]) -> None:
        self._stop_timer()
        if self.transport is not None:
            transport: Any = self.transport
            transport.abortConnection()
        if not ready.called:
            ready.errback(TimeoutError())

    def _stop_timer(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
