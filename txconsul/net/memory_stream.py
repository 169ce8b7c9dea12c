"""
One side of a connection on the simulated wire: a Twisted transport without a socket.

What is written travels in order, whatever happens to single packets: loss, and a cut that is mended in time, show as
delay. At most L{WINDOW_BYTES} are on the way or unread; what is written beyond that waits here, and holds producers up.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from twisted.internet.error import ConnectionAborted, ConnectionDone, ConnectionLost
from twisted.internet.interfaces import IConsumer, IHalfCloseableProtocol, IPushProducer, ITCPTransport
from twisted.logger import Logger
from twisted.python.failure import Failure
from zope.interface import implementer

if TYPE_CHECKING:
    from txconsul.net.memory import MemoryNetwork, Wire

__all__ = ["GIVE_UP_SECONDS", "RETRY_SECONDS", "RETRY_SECONDS_MAX", "WINDOW_BYTES", "MemoryStream"]

#: Sent and not yet read by the other side: about what two kernels hold of a connection between two of their buffers.
WINDOW_BYTES = 1 << 18
#: Given to a protocol at once.
READ_BYTES_MAX = 1 << 16
#: Unsent bytes beyond which a producer is told to pause; Twisted's own transports use the same.
WRITE_BYTES_HELD_MAX = 1 << 16
#: Before the first attempt to send again what was not acknowledged; doubled with each (RFC 6298).
RETRY_SECONDS = 0.2
#: Between two attempts at the most.
RETRY_SECONDS_MAX = 120.0
#: When Linux gives a connection up by default (tcp_retries2 of 15).
GIVE_UP_SECONDS = 924.6

_log = Logger()


def _nothing() -> None:
    """Nobody wants to know."""


class _End:
    """The end of what is sent: C{FIN}, or C{RST}."""


_FIN, _RST = _End(), _End()


@implementer(ITCPTransport, IConsumer, IPushProducer)
class MemoryStream:
    """
    The transport of one protocol.

    @ivar other: the other side.
    @ivar disconnecting: it is being closed.
    @ivar ended: called when it is over and the protocol knows it.
    @ivar network: of the host whose process has it.
    """

    def __init__(self, wire: Wire, network: MemoryNetwork, host: Any, peer: Any) -> None:
        """@param host: this side's address, and C{peer} the other's, as Twisted's records."""
        self.other: MemoryStream
        self.network = network
        self.disconnecting = False
        self.ended: Callable[[], object] = _nothing
        self._wire = wire
        self._host = host
        self._peer = peer
        self._protocol: Any = None
        self._half_closeable = False
        self._lost = False
        self._closing: BaseException | None = None
        # Sending: what the window does not take, what travels, and how much of it the other side has not read.
        self._held: deque[bytes] = deque()
        self._held_bytes = 0
        self._unread = 0
        self._transit: deque[list[bytes] | _End] = deque()
        self._segment: list[bytes] | None = None
        self._segment_made = -1.0
        self._arrives = 0.0
        self._due = 0
        self._retry_call: Any = None
        self._retry_seconds = 0.0
        self._retrying_since = -1.0
        self._write_ended = False
        self._fin_sent = False
        # Receiving.
        self._inbox: deque[bytes | _End] = deque()
        self._reading = True
        self._read_soon = False
        self._read_over = False
        self._producer: Any = None
        self._producer_streaming = False
        self._producer_paused = False
        self._options = {"no_delay": True, "keep_alive": True}

    @property
    def is_lost(self) -> bool:
        """Is it over?"""
        return self._lost

    def start(self, protocol: Any) -> None:
        """Give the connection to its protocol."""
        self._protocol = protocol
        self._half_closeable = IHalfCloseableProtocol.providedBy(protocol)
        self.network.streams[self] = None
        try:
            protocol.makeConnection(self)
        except Exception:
            _log.failure("protocol failed to start")
            self._end(Failure(), _RST)  # type: ignore[no-untyped-call]
        else:
            self._read_later()

    # ---- writing ----

    def write(self, data: bytes) -> None:
        """See L{ITCPTransport}: dropped once the connection is lost or being closed."""
        if self._lost or self.disconnecting or self._write_ended or not data:
            return
        if not self._held and self._unread + len(data) <= WINDOW_BYTES:
            self._emit(bytes(data))
            return
        self._held.append(bytes(data))
        self._held_bytes += len(data)
        self._flush()
        if self._held_bytes > WRITE_BYTES_HELD_MAX and self._producer_streaming and not self._producer_paused:
            self._producer_paused = True
            self._producer.pauseProducing()

    def writeSequence(self, data: Any) -> None:
        """See L{ITCPTransport}."""
        self.write(b"".join(data))

    def _emit(self, data: bytes) -> None:
        """Onto the wire; what is written in one moment travels together."""
        self._unread += len(data)
        now = self._wire.clock.seconds()
        if self._segment is not None and self._segment_made == now:
            self._segment.append(data)
            return
        self._segment, self._segment_made = [data], now
        self._depart(self._segment)

    def _depart(self, what: list[bytes] | _End) -> None:
        if what is not self._segment:
            self._segment = None
        self._transit.append(what)
        now = self._wire.clock.seconds()
        seconds = self._wire.stream_way(self.network.name, self.other.network.name)
        self._arrives = max(self._arrives, now + seconds)
        self._wire.clock.callLater(self._arrives - now, self._arrive)

    def _flush(self) -> None:
        """Send what the window takes; what is written first goes first."""
        while self._held and (room := WINDOW_BYTES - self._unread) > 0:
            data = self._held.popleft()
            if len(data) > room:
                self._held.appendleft(data[room:])
                data = data[:room]
            self._held_bytes -= len(data)
            self._emit(data)
        if self._held:
            return
        if (self._write_ended or self.disconnecting) and not self._fin_sent:
            self._fin_sent = True
            self._depart(_FIN)
        if self.disconnecting or (self._write_ended and self._read_over):
            self._close(ConnectionDone())

    # ---- travelling ----

    def _arrive(self) -> None:
        """One more has come to the end of its way."""
        self._due += 1
        if self._retry_call is None:
            self._deliver()

    def _deliver(self) -> None:
        """Hand over what has come to its end, if the way is free."""
        wire, other = self._wire, self.other
        while self._due and self._transit:
            what = self._transit[0]
            if not wire.passes(self.network.name, other.network.name) or not wire.is_up(other.network.name):
                if what is not _RST:
                    self._retry()
                    return
                # It is sent once only: the other side may never hear of it.
                self._transit.popleft()
                self._due -= 1
                continue
            self._transit.popleft()
            self._due -= 1
            self._retrying_since = -1.0
            if what is self._segment:
                self._segment = None
            if other._lost:
                if what is not _RST and not self._lost:
                    other._depart(_RST)
            elif isinstance(what, _End):
                other._take(what)
            else:
                other._take(b"".join(what))
        if not self._transit:
            self._due = 0

    def _retry(self) -> None:
        """Nothing came through: again, later and later."""
        now = self._wire.clock.seconds()
        if self._retrying_since < 0:
            self._retrying_since, self._retry_seconds = now, RETRY_SECONDS
        elif now - self._retrying_since >= GIVE_UP_SECONDS:
            self._transit.clear()
            self._close(ConnectionLost("nothing was acknowledged"))  # type: ignore[no-untyped-call]
            return
        else:
            self._retry_seconds = min(self._retry_seconds * 2, RETRY_SECONDS_MAX)
        self._retry_call = self._wire.clock.callLater(self._retry_seconds, self._retried)

    def _retried(self) -> None:
        self._retry_call = None
        self._deliver()

    # ---- receiving ----

    def _take(self, what: bytes | _End) -> None:
        """It lies in the kernel, until the process reads it."""
        if what is _RST:
            self._inbox.clear()
            if self._protocol is not None:
                self._close(ConnectionLost())
                return
        self._inbox.append(what)
        if self._protocol is not None and not self.network.paused() and not self._read_soon:
            self._read()
        else:
            self._read_later()

    def _read_later(self) -> None:
        if self._inbox and not self._read_soon and self._protocol is not None:
            self._read_soon = True
            self.network.clock.callLater(0, self._read_now)

    def _read_now(self) -> None:
        self._read_soon = False
        self._read()

    def _read(self) -> None:
        """Give the protocol what is there, for as long as it wants it."""
        while self._inbox and self._reading and not (self._lost or self._closing or self.disconnecting):
            what = self._inbox.popleft()
            if what is _RST:
                self._end(Failure(ConnectionLost()), None)  # type: ignore[no-untyped-call]
                return
            if isinstance(what, _End):
                self._other_ended()
                return
            if len(what) > READ_BYTES_MAX:
                self._inbox.appendleft(what[READ_BYTES_MAX:])
                what = what[:READ_BYTES_MAX]
            try:
                self._protocol.dataReceived(what)
            except Exception:
                _log.failure("protocol failed")
                self._end(Failure(), _RST)  # type: ignore[no-untyped-call]
                return
            self._acknowledge(len(what))

    def _other_ended(self) -> None:
        if not self._half_closeable:
            self._end(Failure(ConnectionDone()), None if self._fin_sent else _FIN)  # type: ignore[no-untyped-call]
            return
        self._read_over = True
        try:
            self._protocol.readConnectionLost()
        except Exception:
            _log.failure("protocol failed")
            self._end(Failure(), _RST)  # type: ignore[no-untyped-call]
            return
        if self._fin_sent and not self._closing:
            self._close(ConnectionDone())

    def _acknowledge(self, size: int) -> None:
        """So much was read: the other side may send more, when it hears of it."""
        other = self.other
        other._unread -= size
        if other._held or other._producer is not None:
            seconds = self._wire.stream_way(self.network.name, other.network.name)
            self._wire.clock.callLater(seconds, self._acknowledged)

    def _acknowledged(self) -> None:
        """The other side hears that it may send more."""
        other = self.other
        if other._lost:
            return
        if not self._wire.passes(self.network.name, other.network.name):
            self._wire.clock.callLater(RETRY_SECONDS_MAX / 8, self._acknowledged)
            return
        other._flush()
        if not other._held and other._producer is not None and other._producer_paused:
            other.network.clock.callLater(0, other._resume_producer)

    def _resume_producer(self) -> None:
        if self._producer is not None and self._producer_paused and not self._held and not self._lost:
            self._producer_paused = False
            if self._producer_streaming:
                self._producer.resumeProducing()
            else:
                self._pull()

    # ---- ending ----

    def loseConnection(self) -> None:
        """See L{ITCPTransport}: closed once everything that was written is sent."""
        if self._lost or self.disconnecting:
            return
        self.disconnecting = True
        self._flush()

    def loseWriteConnection(self) -> None:
        """See L{ITCPTransport}: the other side hears that nothing follows; reading goes on."""
        if self._lost or self.disconnecting or self._write_ended:
            return
        self._write_ended = True
        self._flush()

    def abortConnection(self) -> None:
        """See L{ITCPTransport}: closed now, whatever is unsent."""
        if self._lost or isinstance(self._closing, ConnectionAborted):
            return
        self.disconnecting = True
        self._held.clear()
        self._held_bytes = 0
        self._depart(_RST)
        self._closing = None
        self._close(ConnectionAborted())

    def _close(self, reason: BaseException) -> None:
        """Over, in a turn of its own."""
        if self._closing is None and not self._lost:
            self._closing = reason
            self.network.clock.callLater(0, self._closed)

    def _closed(self) -> None:
        if self._closing is not None:
            self._end(Failure(self._closing), None)  # type: ignore[no-untyped-call]

    def _end(self, reason: Failure, last: _End | None) -> None:
        """Over: tell the protocol, and the other side by C{last}."""
        if self._lost:
            return
        if last is not None:
            self._depart(last)
        self._forget()
        producer, self._producer = self._producer, None
        protocol, self._protocol = self._protocol, None
        if producer is not None:
            producer.stopProducing()
        if protocol is not None:
            protocol.connectionLost(reason)
        self.ended()

    def _forget(self) -> None:
        self._lost = True
        self._held.clear()
        self._inbox.clear()
        self.network.streams.pop(self, None)

    def die(self, silent: bool) -> None:
        """The process is gone, and nobody here is told; nor is the other side, if C{silent}."""
        if self._lost:
            return
        self._forget()
        self._producer = self._protocol = None
        if silent:
            self._transit.clear()
        else:
            self._depart(_RST)

    # ---- producers ----

    def registerProducer(self, producer: Any, streaming: bool) -> None:
        """See L{IConsumer}."""
        if self._producer is not None:
            raise RuntimeError(f"cannot register producer {producer!r}: {self._producer!r} is registered")
        if self._lost or self._closing is not None:
            producer.stopProducing()
            return
        self._producer = producer
        self._producer_streaming = streaming
        self._producer_paused = False
        if not streaming:
            self.network.clock.callLater(0, self._pull)

    def unregisterProducer(self) -> None:
        """See L{IConsumer}."""
        self._producer = None
        self._producer_paused = False

    def _pull(self) -> None:
        """A pull producer is asked once a turn, for as long as the window takes what it gives."""
        if self._producer is None or self._producer_streaming or self._lost or self._closing is not None:
            return
        if self._held or self._unread >= WINDOW_BYTES:
            self._producer_paused = True
            return
        self._producer.resumeProducing()
        self.network.clock.callLater(0, self._pull)

    def pauseProducing(self) -> None:
        """See L{IPushProducer}: stop reading."""
        self._reading = False

    def resumeProducing(self) -> None:
        """See L{IPushProducer}: read again."""
        if not self._reading and not self._lost:
            self._reading = True
            self._read_later()

    def stopProducing(self) -> None:
        """See L{IPushProducer}: no more input is wanted."""
        self.loseConnection()

    # ---- addresses and options ----

    def getPeer(self) -> Any:
        """The other side's address."""
        return self._peer

    def getHost(self) -> Any:
        """This side's address."""
        return self._host

    def getTcpNoDelay(self) -> bool:
        """See L{ITCPTransport}."""
        return self._options["no_delay"]

    def setTcpNoDelay(self, enabled: bool) -> None:
        """See L{ITCPTransport}."""
        self._options["no_delay"] = bool(enabled)

    def getTcpKeepAlive(self) -> bool:
        """See L{ITCPTransport}."""
        return self._options["keep_alive"]

    def setTcpKeepAlive(self, enabled: bool) -> None:
        """See L{ITCPTransport}."""
        self._options["keep_alive"] = bool(enabled)
