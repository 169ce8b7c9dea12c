"""
A yamux session on a connection.

It is drained at the end of each turn in which it was fed, like every core (L{txconsul.driver}), but at once for what
the connection brought: nothing else of that turn can concern it. So what is written in a turn leaves with one send.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from typing import Any, Protocol

from twisted.internet.interfaces import IDelayedCall, IPushProducer, IReactorTime
from twisted.internet.protocol import Protocol as BaseProtocol
from twisted.internet.protocol import connectionDone
from twisted.logger import Logger
from twisted.python.failure import Failure
from zope.interface import implementer

from txconsul.driver import Alarm
from txconsul.rpc.streams import Stream
from txconsul.rpc.yamux import Broken, Closed, Ended, Flushed, GoneAway, Opened, Received, Send, Session

__all__ = ["UNSENT_BYTES_MAX", "WRITE_TIMEOUT", "Multiplex", "Receiver"]

#: Seconds for which the other side may take nothing of what is to be sent, as for yamux (ConnectionWriteTimeout).
WRITE_TIMEOUT = 10.0
#: Given to the transport at once while it has room: each that it takes shows that the other side is alive.
_PIECE_BYTES = 1 << 18
#: Frames that wait for the connection, beyond which nothing more is read from it: what the other side makes us answer
#: must not pile up here. What waits for a stream's window is not among them.
UNSENT_BYTES_MAX = 16 << 20

_log = Logger()


class Receiver(Protocol):
    """Who has a stream."""

    def received(self, data: bytes) -> None:
        """The next bytes; L{Multiplex.consumed} makes room for more."""

    def ended(self) -> None:
        """The other side sends nothing more."""

    def flushed(self) -> None:
        """What had to wait is sent."""

    def broken(self, why: str) -> None:
        """The stream is over; it is the last that is told."""


def _refuse(stream: Stream) -> Receiver | None:
    return None


def _ignore(*_: object) -> None:
    """Nobody wants to know."""


@implementer(IPushProducer)
class Multiplex(BaseProtocol):
    """
    One side of a multiplexed connection.

    @ivar session: the core; whoever feeds it directly calls L{fed} afterwards.
    @ivar held_up: the connection takes no more for now. Who could wait with what makes new output should.
    """

    session: Session

    def __init__(
        self,
        clock: IReactorTime,
        client: bool,
        *,
        accept: Callable[[Stream], Receiver | None] = _refuse,
        gone_away: Callable[[], object] = _ignore,
        closed: Callable[[str], object] = _ignore,
    ) -> None:
        """
        @param client: this side opened the connection.
        @param accept: gives whoever is to have a stream that the other side opened; None refuses it.
        @param gone_away: called when the other side takes no new streams.
        @param closed: called once with the reason, when all is over.
        """
        self.held_up = False
        self._clock = clock
        self._client = client
        self._accept = accept
        self._gone_away = gone_away
        self._closed = closed
        self._alarm = Alarm(clock, self._rung)
        self._soon: IDelayedCall | None = None
        self._draining = False
        self._unsent: deque[bytes] = deque()
        self._unsent_bytes = 0
        self._reading = True
        self._write_timer: IDelayedCall | None = None
        self._closing = False
        self._lost = False

    # ---- streams ----

    def open(self, receiver: Receiver) -> Stream:
        """A new stream. @raise SessionOver: there can be none."""
        stream = self.session.open(self._clock.seconds())
        stream.receiver = receiver
        self.fed()
        return stream

    def write(self, stream: Stream, data: bytes) -> None:
        """Send on a stream; see L{Session.write}."""
        self.session.write(stream, data)
        self.fed()

    def consumed(self, stream: Stream, size: int) -> None:
        """So many bytes of what was received are done with."""
        self.session.consumed(stream, size)
        self.fed()

    def end(self, stream: Stream) -> None:
        """Send nothing more on a stream."""
        self.session.end(stream, self._clock.seconds())
        self.fed()

    def reset(self, stream: Stream) -> None:
        """Give a stream up, both ways. Its receiver is told nothing more."""
        stream.receiver = None
        self.session.reset(stream, self._clock.seconds())
        self.fed()

    def close(self, why: str = "") -> None:
        """End everything."""
        self.session.close(why)
        self.fed()

    def fed(self) -> None:
        """The core was given something: drain it at the end of this turn."""
        if self._soon is None and not self._draining and not self._lost:
            self._soon = self._clock.callLater(0, self._turn_ends)

    # ---- the connection ----

    def connectionMade(self) -> None:
        """See L{BaseProtocol}."""
        self.session = Session(self._client, self._clock.seconds())
        transport: Any = self.transport
        transport.registerProducer(self, True)
        self._alarm.set(self.session.next_deadline())

    def dataReceived(self, data: bytes) -> None:
        """See L{BaseProtocol}."""
        self.session.receive(data, self._clock.seconds())
        self._drain()

    def connectionLost(self, reason: Failure = connectionDone) -> None:
        """See L{BaseProtocol}."""
        self._closing = self._lost = True
        self._stop_write_timer()
        self._unsent.clear()
        self.session.lost()
        self._drain()
        if self._soon is not None:
            self._soon.cancel()
            self._soon = None

    def pauseProducing(self) -> None:
        """See L{IPushProducer}: the connection takes no more for now."""
        self.held_up = True
        if self._write_timer is None and not self._closing:
            self._write_timer = self._clock.callLater(WRITE_TIMEOUT, self._stuck)

    def resumeProducing(self) -> None:
        """See L{IPushProducer}: it takes more."""
        self.held_up = False
        self._stop_write_timer()
        self._send_unsent()
        if self.held_up or self._closing:
            return
        for stream in list(self.session.streams.values()):
            if stream.receiver is not None:
                stream.receiver.flushed()
        self.fed()

    def stopProducing(self) -> None:
        """See L{IPushProducer}: it is over, as will be told."""

    # ---- draining ----

    def _turn_ends(self) -> None:
        self._soon = None
        self._drain()

    def _rung(self) -> None:
        self.session.wake(self._clock.seconds())
        self._drain()

    def _drain(self) -> None:
        if self._draining:
            return
        self._draining = True
        try:
            while output := self.session.take_output():
                for one in output:
                    self._carry_out(one)
            self._alarm.set(self.session.next_deadline())
        except Exception:
            _log.failure("a multiplexed connection is given up")
            transport: Any = self.transport
            transport.abortConnection()
        finally:
            self._draining = False

    def _carry_out(self, one: Any) -> None:
        kind = type(one)
        if kind is Received:
            receiver = one.stream.receiver
            if receiver is not None:
                receiver.received(one.data)
        elif kind is Send:
            self._send(one.data)
        elif kind is Opened:
            receiver = self._accept(one.stream)
            if receiver is None:
                self.session.reset(one.stream, self._clock.seconds())
            else:
                one.stream.receiver = receiver
                self.session.accept(one.stream)
        elif kind is Ended:
            if one.stream.receiver is not None:
                one.stream.receiver.ended()
        elif kind is Flushed:
            if one.stream.receiver is not None:
                one.stream.receiver.flushed()
        elif kind is Broken:
            receiver, one.stream.receiver = one.stream.receiver, None
            if receiver is not None:
                receiver.broken(one.why)
        elif kind is GoneAway:
            self._gone_away()
        elif kind is Closed:
            self._close(one.why)

    def _send(self, data: bytes) -> None:
        if not self._unsent and not self.held_up and len(data) <= _PIECE_BYTES:
            transport: Any = self.transport
            transport.write(data)
            return
        for begin in range(0, len(data), _PIECE_BYTES):
            self._unsent.append(data[begin : begin + _PIECE_BYTES])
        self._unsent_bytes += len(data)
        self._send_unsent()

    def _send_unsent(self) -> None:
        unsent = self._unsent
        transport: Any = self.transport
        while unsent and not self.held_up:
            data = unsent.popleft()
            self._unsent_bytes -= len(data)
            transport.write(data)
        reading = self._unsent_bytes < UNSENT_BYTES_MAX
        if reading is not self._reading and not self._closing:
            self._reading = reading
            if reading:
                transport.resumeProducing()
            else:
                transport.pauseProducing()

    def _close(self, why: str) -> None:
        """The session is over: so is the connection, as soon as what is to be sent is out, or after a while."""
        self._alarm.cancel()
        if not self._closing:
            self._closing = True
            transport: Any = self.transport
            transport.unregisterProducer()
            if self._unsent:
                transport.abortConnection()
            else:
                transport.loseConnection()
                if self._write_timer is None:
                    self._write_timer = self._clock.callLater(WRITE_TIMEOUT, self._stuck)
        self._closed(why)

    def _stuck(self) -> None:
        self._write_timer = None
        transport: Any = self.transport
        transport.abortConnection()

    def _stop_write_timer(self) -> None:
        if self._write_timer is not None:
            self._write_timer.cancel()
            self._write_timer = None
