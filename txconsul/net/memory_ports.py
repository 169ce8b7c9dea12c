"""
Places where hosts on the simulated wire listen, and how connections to them come about.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from twisted.internet.address import IPv4Address, IPv6Address, UNIXAddress
from twisted.internet.defer import Deferred, succeed
from twisted.internet.error import ConnectingCancelledError, ConnectionRefusedError, NoProtocol, TimeoutError
from twisted.internet.interfaces import IListeningPort
from twisted.logger import Logger
from twisted.python.failure import Failure
from zope.interface import implementer

from txconsul.net.memory_stream import MemoryStream

if TYPE_CHECKING:
    from txconsul.net.memory import MemoryNetwork

__all__ = ["Connecting", "DatagramPort", "Port", "StreamPort", "is_loopback"]

#: Before a connection is tried again of which nothing was heard; doubled each time (RFC 6298's initial timeout).
SYN_RETRY_SECONDS = 1.0
#: What UDP over IPv4 can carry.
DATAGRAM_BYTES_MAX = 65507

_log = Logger()


def _address(kind: str, host: str, port: int) -> IPv4Address | IPv6Address:
    if ":" in host:
        return IPv6Address(kind, host, port)  # type: ignore[arg-type]
    return IPv4Address(kind, host, port)  # type: ignore[arg-type]


def is_loopback(address: str) -> bool:
    return address == "::1" or address.startswith("127.")


@implementer(IListeningPort)
class Port:
    """A place where a host listens, for connections or for datagrams."""

    def __init__(self, network: MemoryNetwork, kind: str, interface: str, number: int) -> None:
        self.network = network
        self.kind = kind
        self.interface = interface
        self.number = number
        self.open = False

    def startListening(self) -> None:
        """See L{IListeningPort}."""
        self.network.bind(self)
        self.open = True

    def stopListening(self) -> Deferred[None]:
        """See L{IListeningPort}: what is connected stays."""
        if self.open:
            self.open = False
            self.network.unbind(self)
            self.stopped()
        return succeed(None)

    def stopped(self) -> None:
        """Nobody is listened to any more."""

    def getHost(self) -> Any:
        """See L{IListeningPort}."""
        if self.kind == "UNIX":
            return UNIXAddress(self.interface)
        return _address(self.kind, self.interface or "0.0.0.0", self.number)


class StreamPort(Port):
    """Takes connections."""

    def __init__(self, network: MemoryNetwork, kind: str, interface: str, number: int, factory: Any) -> None:
        super().__init__(network, kind, interface, number)
        self._factory = factory

    def startListening(self) -> None:
        """See L{IListeningPort}."""
        super().startListening()
        self._factory.doStart()

    def stopped(self) -> None:
        """The factory is told."""
        self._factory.doStop()

    def accept(self, stream: MemoryStream) -> None:
        """A connection is there, of which the process learns in its own time."""
        self.network.clock.callLater(0, self._accepted, stream)

    def _accepted(self, stream: MemoryStream) -> None:
        try:
            protocol = self._factory.buildProtocol(stream.getPeer()) if self.open else None
        except Exception:
            _log.failure("no protocol for a new connection")
            protocol = None
        if protocol is None:
            stream.abortConnection()
        elif not stream.is_lost:
            stream.start(protocol)


class DatagramPort(Port):
    """
    A place for datagrams: the port and the C{transport} of its receiver.

    @ivar lost: those that were too large, or had no way to go.
    """

    def __init__(self, network: MemoryNetwork, interface: str, number: int, receiver: Any) -> None:
        super().__init__(network, "UDP", interface, number)
        self._receiver = receiver
        self._to: tuple[str, int] | None = None
        self.lost = 0

    def startListening(self) -> None:
        """See L{IListeningPort}."""
        super().startListening()
        self._receiver.makeConnection(self)

    def stopped(self) -> None:
        """The receiver is told."""
        self._receiver.doStop()

    def connect(self, host: str, port: int) -> None:
        """Deal with this address only, and be told where nobody is there."""
        self._to = (host, port)

    def write(self, data: bytes, address: tuple[str, int] | None = None) -> None:
        """
        Send one, which may get lost.

        @param address: where to; needed unless L{connect} said it.
        """
        to = address or self._to
        if not self.open or to is None:
            return
        network, wire = self.network, self.network.wire
        host, port = to[0], to[1]
        name = network.host_at(host)
        if len(data) > DATAGRAM_BYTES_MAX or name is None:
            self.lost += 1
            return
        sender = (network.own_address(host, self.interface), self.number)
        for seconds in wire.datagram_ways(network.name, name):
            wire.clock.callLater(seconds, self._arrive, bytes(data), sender, name, host, port)

    def _arrive(self, data: bytes, sender: tuple[str, int], name: str, host: str, port: int) -> None:
        wire = self.network.wire
        network = wire.hosts.get(name)
        if network is None or not wire.passes(self.network.name, name):
            return
        there = network.bound("UDP", host, port)
        if isinstance(there, DatagramPort):
            if network.paused():
                network.clock.callLater(0, there.take, data, sender)
            else:
                there.take(data, sender)
        elif self._to == (host, port) and self.open and wire.passes(name, self.network.name):
            self.network.clock.callLater(0, self._refused)

    def _refused(self) -> None:
        if self.open:
            self._receiver.connectionRefused()

    def take(self, data: bytes, sender: tuple[str, int]) -> None:
        """One has come."""
        if not self.open or (self._to is not None and self._to != sender):
            return
        try:
            self._receiver.datagramReceived(data, sender)
        except Exception:
            _log.failure("a datagram was not dealt with")


class Connecting:
    """
    A connection that is to come about.

    @ivar done: fires with the protocol; cancelling it gives up.
    """

    def __init__(
        self, network: MemoryNetwork, factory: Any, seconds: float, host: str, port: int | str, bound: str = ""
    ) -> None:
        """
        @param seconds: how long it is tried.
        @param port: a unix socket's path, where C{host} is empty.
        @param bound: the address of this host that it comes from.
        """
        self._network = network
        self._factory = factory
        self._host = host
        self._port = port
        self._bound = bound
        self._streams: tuple[MemoryStream, MemoryStream] | None = None
        self._retry_seconds = SYN_RETRY_SECONDS
        self._again: Any = None
        self.done: Deferred[Any] = Deferred(self._cancelled)
        factory.doStart()
        self._timeout = network.clock.callLater(seconds, self._fail, TimeoutError())  # type: ignore[no-untyped-call]
        self._try()

    def _try(self) -> None:
        wire, network = self._network.wire, self._network
        name = network.host_at(self._host) if self._host else network.name
        if name is not None:
            wire.clock.callLater(wire.stream_way(network.name, name), self._arrive, name)
        self._again = wire.clock.callLater(self._retry_seconds, self._try)
        self._retry_seconds *= 2

    def _arrive(self, name: str) -> None:
        """The other machine hears of it, if the way is free."""
        network, wire = self._network, self._network.wire
        there = wire.hosts.get(name)
        if self.done.called or there is None or not wire.passes(network.name, name):
            return
        if self._streams is None:
            kind = "TCP" if self._host else "UNIX"
            listener = there.bound(kind, self._host or str(self._port), self._port)
            if not isinstance(listener, StreamPort):
                self._answer(name, self._fail, ConnectionRefusedError())  # type: ignore[no-untyped-call]
                return
            self._streams = self._pair(there)
            listener.accept(self._streams[1])
        self._answer(name, self._accepted)

    def _pair(self, there: MemoryNetwork) -> tuple[MemoryStream, MemoryStream]:
        network = self._network
        own: Any
        other: Any
        if isinstance(self._port, int):
            own = _address("TCP", network.own_address(self._host, self._bound), network.free_port("TCP"))
            other = _address("TCP", self._host, self._port)
        else:
            own, other = UNIXAddress(None), UNIXAddress(self._port)
        here = MemoryStream(network.wire, network, own, other)
        far = MemoryStream(network.wire, there, other, own)
        here.other, far.other = far, here
        return here, far

    def _answer(self, name: str, function: Any, *arguments: Any) -> None:
        """What the other machine answers is on its way back."""
        network, wire = self._network, self._network.wire

        def came() -> None:
            if network.alive and wire.passes(name, network.name):
                network.clock.callLater(0, function, *arguments)

        wire.clock.callLater(wire.stream_way(name, network.name), came)

    def _accepted(self) -> None:
        if self.done.called or self._streams is None:
            return
        stream = self._streams[0]
        try:
            protocol = self._factory.buildProtocol(stream.getPeer())
        except Exception:
            self._fail(Failure())  # type: ignore[no-untyped-call]
            return
        if protocol is None:
            self._fail(NoProtocol())
            return
        self._end()
        stream.ended = self._factory.doStop
        stream.start(protocol)
        self.done.callback(protocol)

    def _cancelled(self, _: Deferred[Any]) -> None:
        if self._host and isinstance(self._port, int):
            address: Any = _address("TCP", self._host, self._port)
        else:
            address = UNIXAddress(str(self._port))
        self._fail(ConnectingCancelledError(address))

    def _fail(self, reason: Exception | Failure) -> None:
        if self.done.called:
            return
        self._end()
        if self._streams is not None:
            self._streams[0].die(silent=False)
        self._factory.doStop()
        self.done.errback(reason)

    def _end(self) -> None:
        for call in (self._again, self._timeout):
            if call.active():
                call.cancel()
