"""
One connection as a small descriptor: its own recv, one send for everything written in a turn.

It is the L{ITCPTransport} of an ordinary protocol. What the socket does not take at once waits here, and only then is
the poller asked about writing: a request answered in its own turn costs one recv and one send, and no other call to the
kernel.
"""

from __future__ import annotations

import socket
from typing import Any

from twisted.internet.address import IPv4Address, IPv6Address, UNIXAddress
from twisted.internet.error import ConnectionAborted, ConnectionDone, ConnectionLost
from twisted.internet.interfaces import (
    IConsumer,
    IHalfCloseableProtocol,
    IPushProducer,
    IReadWriteDescriptor,
    ITCPTransport,
)
from twisted.logger import Logger
from twisted.python.failure import Failure
from zope.interface import implementer

from txconsul.net.poller import Poller

__all__ = ["READ_BYTES_MAX", "WRITE_BYTES_HELD_MAX", "Stream", "address_of"]

#: Read in one turn from one connection: a few hundred requests, or the usual socket buffer.
READ_BYTES_MAX = 1 << 16
#: Unsent bytes beyond which a producer is told to pause; Twisted's own transports use the same.
WRITE_BYTES_HELD_MAX = 1 << 16
#: Joined for one send; more than the kernel usually takes at once would be copied in vain.
SEND_BYTES_MAX = 1 << 18

_log = Logger()


def address_of(family: int, name: Any) -> IPv4Address | IPv6Address | UNIXAddress:
    """Twisted's address for what the socket module calls C{name}."""
    if family == socket.AF_INET:
        return IPv4Address("TCP", *name)
    if family == socket.AF_INET6:
        return IPv6Address("TCP", *name)
    return UNIXAddress(name or None)


@implementer(ITCPTransport, IConsumer, IPushProducer, IReadWriteDescriptor)
class Stream:
    """A connected socket, the protocol above it, and what is still to be sent."""

    __slots__ = (
        "_broken",
        "_family",
        "_gathering",
        "_half_closeable",
        "_held",
        "_lost",
        "_peer",
        "_poller",
        "_producer",
        "_producer_paused",
        "_producer_streaming",
        "_protocol",
        "_reactor",
        "_reading",
        "_recv",
        "_send",
        "_size",
        "_socket",
        "_write_ended",
        "_writing",
        "disconnecting",
    )

    def __init__(self, connected: socket.socket, peer: Any, reactor: Any, poller: Poller) -> None:
        self._socket = connected
        self._peer = peer
        self._family = connected.family
        self._recv = connected.recv
        self._send = connected.send
        self._reactor = reactor
        self._poller = poller
        self._protocol: Any = None
        self._held: list[Any] = []
        self._size = 0
        self._gathering = False
        self._reading = True
        self._writing = False
        self._write_ended = False
        self._lost = False
        self._broken: BaseException | None = None
        self._producer: Any = None
        self._producer_streaming = False
        self._producer_paused = False
        self._half_closeable = False
        self.disconnecting = False

    def start(self, protocol: Any) -> None:
        """Give the connection to its protocol and begin to read."""
        self._protocol = protocol
        self._half_closeable = IHalfCloseableProtocol.providedBy(protocol)
        self._poller.add(self)
        try:
            protocol.makeConnection(self)
        except Exception:
            _log.failure("protocol failed to start")
            self.connectionLost(Failure())  # type: ignore[no-untyped-call]

    # ---- the poller's side ----

    def fileno(self) -> int:
        """The socket's number, or -1."""
        return self._socket.fileno()

    def logPrefix(self) -> str:
        """As the reactor wants it."""
        return type(self._protocol).__name__

    def doRead(self) -> Any:
        """There is input: pass it on, and send what was written meanwhile."""
        try:
            data = self._recv(READ_BYTES_MAX)
        except (BlockingIOError, InterruptedError):
            return None
        except OSError:
            return ConnectionLost()
        if not data:
            return self._read_ended()
        self._gathering = True
        self._protocol.dataReceived(data)
        self._gathering = False
        if self._held and not self._writing:
            return self._flush()
        return self._broken

    def _read_ended(self) -> BaseException | None:
        if not self._half_closeable:
            return ConnectionDone()
        self._reading = False
        self._poller.change(self, False, self._writing)
        self._protocol.readConnectionLost()
        return self._broken

    def doWrite(self) -> Any:
        """The socket takes more: first what waits here, then what the producer has."""
        why = self._flush()
        producer = self._producer
        if why is not None or self._held or producer is None:
            return why
        if self._producer_paused or not self._producer_streaming:
            self._producer_paused = False
            self._gathering = True
            producer.resumeProducing()
            self._gathering = False
            return self._flush()
        return None

    def connectionLost(self, reason: Failure) -> None:
        """It is over: close, tell the protocol, let go of everything."""
        if self._lost:
            return
        self._lost = True
        self._poller.remove(self)
        self._socket.close()
        self._held = []
        producer, self._producer = self._producer, None
        protocol, self._protocol = self._protocol, None
        if producer is not None:
            producer.stopProducing()
        protocol.connectionLost(reason)

    # ---- writing ----

    def write(self, data: bytes) -> None:
        """Send, in order, as soon as the socket takes it. Dropped once the connection is lost or being closed."""
        if self._lost or self.disconnecting or self._write_ended or not data:
            return
        self._held.append(data)
        self._size += len(data)
        if not self._gathering and not self._writing:
            why = self._flush()
            if why is not None:
                self._break(why)
                return
        if self._size > WRITE_BYTES_HELD_MAX:
            self._held_too_much()

    def writeSequence(self, data: Any) -> None:
        """Send all of these."""
        self.write(b"".join(data))

    def _held_too_much(self) -> None:
        if self._gathering and not self._writing:
            why = self._flush()
            if why is not None:
                self._break(why)
                return
        if self._size > WRITE_BYTES_HELD_MAX and self._producer_streaming and not self._producer_paused:
            self._producer_paused = True
            self._producer.pauseProducing()

    def _flush(self) -> BaseException | None:
        """Send until nothing is left, or the socket is full: then ask to be told."""
        held = self._held
        while held:
            count = 1
            data = held[0]
            if len(held) > 1:
                size = len(data)
                while count < len(held) and size < SEND_BYTES_MAX:
                    size += len(held[count])
                    count += 1
                if count > 1:
                    data = b"".join(held[:count])
            try:
                sent = self._send(data)
            except (BlockingIOError, InterruptedError):
                sent = 0
            except OSError as error:
                return ConnectionLost(str(error))
            self._size -= sent
            if sent < len(data):
                held[:count] = [memoryview(data)[sent:]]
                if not self._writing:
                    self._writing = True
                    self._poller.change(self, self._reading, True)
                return None
            del held[:count]
        pulling = self._producer is not None and (self._producer_paused or not self._producer_streaming)
        if self._writing is not pulling:
            self._writing = pulling
            self._poller.change(self, self._reading, pulling)
        if self._write_ended:
            self._shutdown()
        if self.disconnecting:
            return ConnectionDone()
        return self._broken

    def _break(self, why: BaseException) -> None:
        """The connection ended in the middle of somebody's call: tell it in a later turn."""
        if self._broken is None:
            self._broken = why
            self._reactor.callLater(0, self._end_broken)

    def _end_broken(self) -> None:
        if self._broken is not None:
            self.connectionLost(Failure(self._broken))  # type: ignore[no-untyped-call]

    def _shutdown(self) -> None:
        try:
            self._socket.shutdown(socket.SHUT_WR)
        except OSError:
            return  # it is gone altogether, which the poller tells

    # ---- closing ----

    def loseConnection(self) -> None:
        """Close once everything written is sent."""
        if self._lost or self.disconnecting:
            return
        self.disconnecting = True
        if not self._held:
            self._break(ConnectionDone())

    def loseWriteConnection(self) -> None:
        """Tell the other side that nothing follows, once everything written is sent; go on reading."""
        if self._lost or self.disconnecting or self._write_ended:
            return
        self._write_ended = True
        if not self._held:
            self._shutdown()

    def abortConnection(self) -> None:
        """Close now, whatever is unsent."""
        if self._lost:
            return
        self.disconnecting = True
        self._held = []
        self._size = 0
        self._break(ConnectionAborted())

    # ---- producers ----

    def registerProducer(self, producer: Any, streaming: bool) -> None:
        """See L{IConsumer}."""
        if self._producer is not None:
            raise RuntimeError(f"cannot register producer {producer!r}: {self._producer!r} is registered")
        if self._lost:
            producer.stopProducing()
            return
        self._producer = producer
        self._producer_streaming = streaming
        self._producer_paused = False
        if not streaming and not self._writing:
            # A pull producer is asked once a turn, for as long as the socket takes what it gives.
            self._writing = True
            self._poller.change(self, self._reading, True)

    def unregisterProducer(self) -> None:
        """See L{IConsumer}."""
        self._producer = None
        self._producer_paused = False

    def pauseProducing(self) -> None:
        """Stop reading."""
        if self._reading and not self._lost:
            self._reading = False
            self._poller.change(self, False, self._writing)

    def resumeProducing(self) -> None:
        """Read again."""
        if not self._reading and not self._lost:
            self._reading = True
            self._poller.change(self, True, self._writing)

    def stopProducing(self) -> None:
        """No more input is wanted."""
        self.loseConnection()

    # ---- addresses and options ----

    def getPeer(self) -> Any:
        """The other side's address."""
        return address_of(self._family, self._peer)

    def getHost(self) -> Any:
        """This side's address; C{OSError} once the connection is lost."""
        return address_of(self._family, self._socket.getsockname())

    def getTcpNoDelay(self) -> bool:
        """Whether small writes leave at once."""
        return bool(self._socket.getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY))

    def setTcpNoDelay(self, enabled: bool) -> None:
        """Whether small writes leave at once."""
        self._socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, enabled)

    def getTcpKeepAlive(self) -> bool:
        """Whether the kernel tests an idle connection."""
        return bool(self._socket.getsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE))

    def setTcpKeepAlive(self, enabled: bool) -> None:
        """Whether the kernel tests an idle connection."""
        self._socket.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, enabled)
