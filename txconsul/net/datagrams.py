"""
UDP as one descriptor of our own: what has come is taken in a bounded loop, what is sent goes at once.
"""

from __future__ import annotations

import socket
from typing import Any

from twisted.internet.address import IPv4Address, IPv6Address
from twisted.internet.defer import Deferred, succeed
from twisted.internet.error import CannotListenError
from twisted.internet.interfaces import IListeningPort, IReadDescriptor
from twisted.logger import Logger
from twisted.python.failure import Failure
from zope.interface import implementer

from txconsul.net.reactor import DATAGRAM_BYTES_MAX

__all__ = ["RECEIVE_BUFFER_BYTES", "TURN_DATAGRAMS_MAX", "DirectDatagrams", "open_datagrams"]

#: Taken in one turn, before anybody else has theirs: at some 10 us each, that is below 2 ms.
TURN_DATAGRAMS_MAX = 128
#: Asked of the kernel for what waits to be read, so that a burst survives a busy moment; it may give less.
RECEIVE_BUFFER_BYTES = 4 << 20

_log = Logger()


@implementer(IListeningPort, IReadDescriptor)
class DirectDatagrams:
    """
    A place from and to which datagrams go: the port and the C{transport} of its receiver.

    @ivar lost: datagrams that the kernel did not take.
    """

    def __init__(self, place: socket.socket, receiver: Any, reactor: Any) -> None:
        self._socket = place
        self._receiver = receiver
        self._reactor = reactor
        self._open = False
        self._connected = False
        self.lost = 0

    def startListening(self) -> None:
        """Begin to receive."""
        self._open = True
        self._receiver.makeConnection(self)
        self._reactor.addReader(self)

    def stopListening(self) -> Deferred[None]:
        """Receive and send no more."""
        self.connectionLost(None)
        return succeed(None)

    def connectionLost(self, reason: Failure | None) -> None:
        """As L{stopListening}: the reactor calls it when it stops."""
        if not self._open:
            return
        self._open = False
        self._reactor.removeReader(self)
        self._socket.close()
        self._receiver.doStop()

    def getHost(self) -> IPv4Address | IPv6Address:
        """The address that it is bound to."""
        name = self._socket.getsockname()
        if self._socket.family == socket.AF_INET6:
            return IPv6Address("UDP", *name)
        return IPv4Address("UDP", *name)

    def fileno(self) -> int:
        """The socket's number, or -1."""
        return self._socket.fileno()

    def logPrefix(self) -> str:
        """As the reactor wants it."""
        return type(self._receiver).__name__

    def doRead(self) -> None:
        """Take what waits, up to L{TURN_DATAGRAMS_MAX}."""
        receive = self._socket.recvfrom
        received = self._receiver.datagramReceived
        for _ in range(TURN_DATAGRAMS_MAX):
            try:
                data, name = receive(DATAGRAM_BYTES_MAX)
            except (BlockingIOError, InterruptedError):
                return
            except ConnectionRefusedError:
                if self._connected:
                    self._receiver.connectionRefused()
            except OSError:
                if not self._open:
                    return
                # Otherwise it is news of an earlier datagram which the network did not carry.
            else:
                try:
                    received(data, name[:2])
                except Exception:
                    _log.failure("a datagram was not dealt with")
            if not self._open:
                return

    def write(self, data: bytes, address: tuple[str, int] | None = None) -> None:
        """
        Send one. It is lost if the kernel has no room for it, or no way to there.

        @param address: where to; needed unless L{connect} said it.
        """
        if not self._open:
            return
        try:
            if address is None:
                self._socket.send(data)
            else:
                self._socket.sendto(data, address)
        except OSError:
            self.lost += 1

    def connect(self, host: str, port: int) -> None:
        """
        Send to, and receive from, this address only; the receiver is told C{connectionRefused()} if nobody is there.
        Under epoll, the reactor takes that for the end, and the receiver is told C{stopProtocol()}.
        """
        try:
            self._socket.connect((host, port))
            self._connected = True
        except OSError:
            self.lost += 1
            self._receiver.connectionRefused()


def open_datagrams(port: int, interface: str, receiver: Any, reactor: Any) -> DirectDatagrams:
    """
    Bind, and begin to receive.

    @raise CannotListenError: the address is taken, or not of this machine.
    """
    host, _, zone = interface.partition("%")
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    place = socket.socket(family, socket.SOCK_DGRAM)
    try:
        place.setblocking(False)
        place.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, RECEIVE_BUFFER_BYTES)
        if family == socket.AF_INET6:
            place.bind((host, port, 0, socket.if_nametoindex(zone) if zone else 0))
        else:
            place.bind((host, port))
    except OSError as error:
        place.close()
        raise CannotListenError(interface, port, error) from error  # type: ignore[no-untyped-call]
    opened = DirectDatagrams(place, receiver, reactor)
    opened.startListening()
    return opened
