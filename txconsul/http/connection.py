"""
One HTTP connection: requests in their order, answers out in the same order.

Rule 1: a request answered at once costs no queue, no Deferred and no delayed call.
Rule 2: nothing grows without bound: requests waiting for their answers (L{PIPELINED_MAX}), answers the client does
not read (the transport pauses us, and we stop reading requests), bodies (the parser's limits).
Rule 3: when the client is gone, whatever waits for it is cancelled.

Works on any L{ITransport}; on one that can close one direction only, an error's answer also survives input that was
still on its way.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from twisted.internet.defer import Deferred
from twisted.internet.error import ConnectionDone
from twisted.internet.interfaces import IHalfCloseableProtocol, INegotiated, IProtocol, IPushProducer
from twisted.logger import Logger
from twisted.python.failure import Failure
from zope.interface import implementer

from txconsul.http.parser import RequestReader
from txconsul.http.request import BodyRefused, Request, RequestUnreadable
from txconsul.http.response import Response, unreadable
from txconsul.http.streaming import (
    PIECE_BYTES_MIN,
    TURN_STREAM_BYTES_MAX,
    WHOLE_BODY_BYTES_MAX,
    Streaming,
    close,
    slices,
)

if TYPE_CHECKING:
    from txconsul.http.server import HTTPFactory

__all__ = ["PIPELINED_MAX", "TURN_REQUESTS_MAX", "HTTPConnection", "Response"]

#: Requests of one connection that wait for answers. Clients that pipeline at all keep a few in flight.
PIPELINED_MAX = 32
#: Their bodies, which stay in memory as long as they wait.
PIPELINED_BYTES_MAX = 1 << 20
#: Read ahead while a connection can take no more requests: that is how it learns that the client is gone.
AHEAD_BYTES_MAX = 1 << 16
#: Requests of one connection served before the others have their turn.
TURN_REQUESTS_MAX = 32
#: An answer counts as a further request of those for each so many bytes.
REQUEST_BYTES = 1 << 13
#: Read and thrown away after a last answer, so that a client which first sends all its body sees the answer and not a
#: reset; a few times Consul's largest limit.
LINGER_BYTES_MAX = 1 << 23

_CONTINUE = b"HTTP/1.1 100 Continue\r\n\r\n"
_NO_BODY = (204, 304)
#: Only these may be served side by side with those that follow them (RFC 9112, 9.3.2): a read must see the write that
#: was sent before it on the same connection.
_SAFE = frozenset({b"GET", b"HEAD", b"OPTIONS"})

_DONE = Failure(ConnectionDone())  # type: ignore[no-untyped-call]

_log = Logger()


class _Slot:
    """A request whose answer cannot be sent yet: it waits for its own, or for those before it."""

    __slots__ = ("deferred", "request", "response")

    def __init__(self, request: Request) -> None:
        self.request = request
        self.response: Response | None = None
        self.deferred: Deferred[Any] | None = None


@implementer(IProtocol, IHalfCloseableProtocol, IPushProducer)
class HTTPConnection:
    """
    The protocol of one connection, made by L{HTTPFactory}.

    @ivar client: C{"ip:port"} or C{"unix"}.
    @ivar host: the client's address without port, for counting; C{""} where it has none.
    """

    __slots__ = (
        "_closing",
        "_ended",
        "_half_closed",
        "_lingered",
        "_lost",
        "_paused",
        "_queue",
        "_reader",
        "_reading",
        "_serving",
        "_stream",
        "_timing",
        "_waited",
        "_yielded",
        "factory",
        "host",
        "transport",
    )

    def __init__(self, factory: HTTPFactory, client: str, host: str) -> None:
        self.factory = factory
        self.host = host
        self.transport: Any = None
        self._reader = RequestReader(client, factory.rules)
        self._queue: list[_Slot] = []
        self._stream: Streaming | None = None
        self._yielded = False  # it waits for its next turn
        self._timing: Any = None
        self._waited: Any = None
        self._lingered = 0
        self._closing = False  # no request is read any more
        self._ended = False  # nothing is written any more
        self._half_closed = False  # the client sends no more
        self._lost = False
        self._paused = False  # the transport holds enough
        self._reading = True
        self._serving = False

    # ---- the transport's side ----

    def makeConnection(self, transport: Any) -> None:
        """See L{IProtocol}."""
        self.transport = transport
        self.factory.connected(self)
        transport.registerProducer(self, True)
        if INegotiated.providedBy(transport):
            self._time(self.factory.handshaking)

    def connectionMade(self) -> None:
        """See L{IProtocol}; L{makeConnection} does it all."""

    def dataReceived(self, data: bytes) -> None:
        """See L{IProtocol}."""
        if self._closing:
            self._lingered += len(data)
            if self._lingered > LINGER_BYTES_MAX:
                self.transport.abortConnection()
        elif self._reading and not (self._queue and self._full()) and self._stream is None:
            self._serve(data)
        else:
            self._reader.hold(data)
            self._set_reading()

    def readConnectionLost(self) -> None:
        """
        The client sends no more, or is gone altogether: which of them cannot be told yet. What is being answered may
        still be; what waits longer is cancelled.
        """
        self._half_closed = True
        if self._ended:
            self.transport.loseConnection()
            return
        if self._queue or self._stream is not None:
            self._time(self.factory.half_closed)
        self._settle(False)

    def writeConnectionLost(self) -> None:
        """The client takes no more: nothing can be answered."""
        self.transport.abortConnection()

    def connectionLost(self, reason: Failure = _DONE) -> None:
        """See L{IProtocol}: release all that waits for this client."""
        if self._lost:
            return
        self._lost = self._closing = self._ended = True
        if self._timing is not None:
            self._timing.stop(self)
        stream, self._stream = self._stream, None
        self.transport = None
        self._reader.abandon()
        if stream is not None:
            stream.close()
        self._drop_queue()
        self.factory.disconnected(self)

    def pauseProducing(self) -> None:
        """The transport holds enough: neither read nor answer more."""
        self._paused = True
        self._set_reading()
        self._time(self.factory.unread)

    def resumeProducing(self) -> None:
        """The client took it."""
        self._paused = False
        self._time(self.factory.half_closed if self._half_closed else None)
        self._advance()

    def stopProducing(self) -> None:
        """The transport is gone; L{connectionLost} follows."""

    # ---- requests in ----

    def _serve(self, data: bytes = b"") -> None:
        """Read requests and answer them, until they end, wait, or have had their share of this turn."""
        reader = self._reader
        factory = self.factory
        out: list[bytes] = []
        left = TURN_REQUESTS_MAX
        self._serving = True
        try:
            request = reader.receive(data) if data else reader.next()
            while request is not None:
                try:
                    answer = factory.application(request)
                except Exception:  # whatever it is: one request's failure must not be another's
                    answer = factory.failed(request, Failure())  # type: ignore[no-untyped-call]
                if answer.__class__ is Response and not self._queue and self._stream is None:
                    self._put(request, answer, out)
                else:
                    self._wait(request, answer)
                    self._put_ready(out)
                if reader.empty or self._closing:
                    break
                left -= 1 + (len(out[-1]) // REQUEST_BYTES if out else 0)
                if left <= 0 or self._paused or self._stream is not None or self._full():
                    break
                request = reader.next()
        except RequestUnreadable as error:
            self._refuse(None, unreadable(error), out)
        except BodyRefused as error:
            self._refuse(error.request, factory.refused(error.request, error.reason), out)
        self._serving = False
        if out:
            self.transport.write(out[0] if len(out) == 1 else b"".join(out))
        if not reader.empty or self._unsettled():
            self._settle(left <= 0)

    def _unsettled(self) -> bool:
        """There is more to decide than what the next request decides."""
        return (
            self._timing is not None
            or self._stream is not None
            or self._closing
            or self._half_closed
            or not self._reading
        )

    def _settle(self, turn_over: bool) -> None:
        """After a turn that left something over: what is it waiting for?"""
        if self._lost:
            return
        reader, factory = self._reader, self.factory
        if self._stream is not None:
            self._set_reading()
            self._advance()
            return
        if self._closing:
            if not self._queue:
                self._finish()
            elif self._timing is factory.slow_heads or self._timing is factory.slow_bodies:
                self._time(None)
            return
        wanting = False
        if turn_over and not reader.empty:
            self._yield()
        elif reader.waiting is not None:
            self._wait_for_sink()
        elif not self._queue and not self._paused and not self._yielded:
            if self._half_closed:
                self._closing = True
                self._finish()
                return
            if reader.expecting:
                reader.expecting = False
                self.transport.write(_CONTINUE)
            wanting = not reader.empty
        if wanting:
            # A head has its time from its first byte on, a body from its last one.
            if reader.in_body:
                self._time(factory.slow_bodies)
            elif self._timing is not factory.slow_heads:
                self._time(factory.slow_heads)
        elif self._timing in (factory.slow_heads, factory.slow_bodies, factory.handshaking):
            self._time(None)
        self._set_reading()

    def _wait_for_sink(self) -> None:
        waited: Any = self._reader.waiting
        if self._waited is waited:
            return
        self._waited = waited

        def proceed(result: Any) -> None:
            self._reader.waiting = self._waited = None
            if isinstance(result, Failure):
                _log.failure("a body's sink failed", result)
                if not self._lost:
                    self.transport.abortConnection()
            elif not self._lost:
                self._serve()

        waited.addBoth(proceed)

    def _set_reading(self) -> None:
        busy = self._stream is not None or self._full()
        wanted = self._closing or (
            not self._paused
            and not self._yielded
            and self._reader.waiting is None
            and (not busy or self._reader.held < AHEAD_BYTES_MAX)
        )
        if wanted is not self._reading and not self._lost and not self._half_closed:
            self._reading = wanted
            if wanted:
                self.transport.resumeProducing()
            else:
                self.transport.pauseProducing()

    def _full(self) -> bool:
        """Enough requests wait for their answers; or the last one may change something, so that the next must wait."""
        queue = self._queue
        if not queue:
            return False
        if queue[-1].response is None and queue[-1].request.method not in _SAFE:
            return True
        if len(queue) < 2:
            return False
        return len(queue) >= PIPELINED_MAX or sum(len(slot.request.body) for slot in queue) > PIPELINED_BYTES_MAX

    def _yield(self) -> None:
        """Go on in a later turn: the others come first."""
        if not self._yielded:
            self._yielded = True
            self.factory.yielded(self)
            self._set_reading()

    def go_on(self) -> None:
        """It is this connection's turn again, unless it has ended meanwhile."""
        self._yielded = False
        if not self._lost:
            self._advance()

    def _time(self, deadlines: Any) -> None:
        """Be watched by this one of the factory's L{Deadlines} and no other."""
        if self._timing is not None and self._timing is not deadlines:
            self._timing.stop(self)
        self._timing = deadlines
        if deadlines is not None:
            deadlines.start(self, self.factory.clock.seconds())

    def timed_out(self) -> None:
        """A deadline passed."""
        factory, timing = self.factory, self._timing
        self._timing = None
        if timing is factory.slow_heads or timing is factory.slow_bodies:
            out: list[bytes] = []
            self._refuse(None, unreadable(RequestUnreadable(408)), out)
            self.transport.write(b"".join(out))
            self._settle(False)
        elif timing is factory.lingering:
            self.transport.loseConnection()
        else:
            self.transport.abortConnection()

    # ---- answers out ----

    def _wait(self, request: Request, answer: Any) -> None:
        slot = _Slot(request)
        self._queue.append(slot)
        if isinstance(answer, Deferred):
            slot.deferred = answer
            answer.addCallbacks(self._answered, self._failed, callbackArgs=(slot,), errbackArgs=(slot,))
        else:
            self._answered(answer, slot)
        if not request.keep_alive:
            self._closing = True

    def _answered(self, response: Any, slot: _Slot) -> None:
        slot.deferred = None
        if not isinstance(response, Response):
            response = self.factory.failed(slot.request, Failure(TypeError(f"not a response: {response!r}")))  # type: ignore[no-untyped-call]
        if slot not in self._queue:
            close(response.body)
            return
        slot.response = response
        if not self._serving and slot is self._queue[0]:
            self._advance()

    def _failed(self, failure: Failure, slot: _Slot) -> None:
        slot.deferred = None
        if slot in self._queue:
            self._answered(self.factory.failed(slot.request, failure), slot)

    def _put_ready(self, out: list[bytes]) -> None:
        """Add the answers that are ready and whose turn it is."""
        while self._queue and self._queue[0].response is not None and self._stream is None:
            slot = self._queue.pop(0)
            self._put(slot.request, slot.response, out)

    def _drop_queue(self) -> None:
        """Nobody waits any more for these."""
        queue, self._queue = self._queue, []
        for slot in queue:
            deferred, slot.deferred = slot.deferred, None
            if deferred is not None:
                deferred.cancel()
            elif slot.response is not None:
                close(slot.response.body)

    def _advance(self) -> None:
        """Send what can be sent in order, then read on."""
        streamed = self._stream is not None
        if streamed and not self._pump():
            return
        out: list[bytes] = []
        self._put_ready(out)
        if out:
            self.transport.write(b"".join(out))
        if self._stream is not None or (streamed and not self._closing and not self._reader.empty):
            self._yield()
        elif self._closing or self._reader.empty or self._paused or self._full():
            if not self._reader.empty or self._unsettled():
                self._settle(False)
        else:
            self._serve()

    def _put(self, request: Request, response: Any, out: list[bytes]) -> None:
        """Add the answer's bytes to C{out}, or begin to stream it."""
        factory = self.factory
        prefix = factory.prefixes.get(response.status) or factory.prefix(response.status)
        if request.version == 11 and request.keep_alive and not response.close and not self._closing:
            connection = b""
        else:
            connection = self._connection_header(request, response)
        body = response.body
        if body.__class__ is bytes and len(body) <= WHOLE_BODY_BYTES_MAX:
            if not body and response.status in _NO_BODY:
                out.append(b"%b%b%b\r\n" % (prefix, response.head, connection))
            else:
                out.append(
                    b"%b%b%bContent-Length: %d\r\n\r\n%b"
                    % (
                        prefix,
                        response.head,
                        connection,
                        len(body),
                        body if request.method != b"HEAD" else b"",
                    )
                )
            return
        if isinstance(body, bytes):
            length: int | None = len(body)
            pieces = slices(body)
        else:
            length = response.length
            pieces = body
        if length is not None:
            framing = b"Content-Length: %d\r\n" % length
        elif request.version == 11:
            framing = b"Transfer-Encoding: chunked\r\n"
        else:
            framing = b""
            connection = b"Connection: close\r\n"
            self._closing = True
        out.append(b"%b%b%b%b\r\n" % (prefix, response.head, connection, framing))
        if request.method == b"HEAD":
            close(pieces)
        else:
            self._stream = Streaming(pieces, length, length is None and request.version == 11)

    def _connection_header(self, request: Request, response: Response) -> bytes:
        if response.close:
            self._drop_queue()
        if not self._queue and (response.close or self._closing or not request.keep_alive):
            self._closing = True
            return b"Connection: close\r\n"
        return b"Connection: keep-alive\r\n" if request.version == 10 else b""

    def _pump(self) -> bool:
        """Give the transport more of the stream. @return: whether it is over."""
        stream = self._stream
        assert stream is not None
        if stream.awaited is not None:
            return False
        given = 0
        while not self._paused:
            if given > TURN_STREAM_BYTES_MAX:
                self._yield()
                return False
            try:
                piece = next(stream.pieces)
            except StopIteration:
                return self._stream_ended(stream)
            except Exception:  # the head is out: all that can be said now is that the body is not whole
                _log.failure("a body broke off")
                self._break_stream(stream)
                return False
            if isinstance(piece, Deferred):
                stream.awaited = piece
                piece.addCallbacks(self._piece, self._piece_failed, callbackArgs=(stream,), errbackArgs=(stream,))
                if stream.awaited is not None or self._stream is not stream:
                    return False
            else:
                given += max(len(piece), PIECE_BYTES_MIN)
                if not self._write_piece(stream, piece):
                    return False
        return False

    def _piece(self, piece: bytes, stream: Streaming) -> None:
        stream.awaited = None
        if self._stream is stream and self._write_piece(stream, piece) and not self._paused:
            self._yield()

    def _piece_failed(self, failure: Failure, stream: Streaming) -> None:
        stream.awaited = None
        if self._stream is stream:
            _log.failure("a body broke off", failure)
            self._break_stream(stream)

    def _write_piece(self, stream: Streaming, piece: bytes) -> bool:
        if not piece:
            return True
        if stream.left is not None:
            stream.left -= len(piece)
            if stream.left < 0:
                _log.error("a body is longer than announced")
                self._break_stream(stream)
                return False
        if stream.chunked:
            self.transport.write(b"%x\r\n%b\r\n" % (len(piece), piece))
        else:
            self.transport.write(piece)
        return self._stream is stream

    def _stream_ended(self, stream: Streaming) -> bool:
        if stream.left:
            _log.error("a body is shorter than announced, by {left} bytes", left=stream.left)
            self._break_stream(stream)
            return False
        self._stream = None
        if stream.chunked:
            self.transport.write(b"0\r\n\r\n")
        return True

    def _break_stream(self, stream: Streaming) -> None:
        self._stream = None
        self._closing = self._ended = True
        stream.close()
        self.transport.abortConnection()

    # ---- endings ----

    def _refuse(self, request: Request | None, response: Response, out: list[bytes]) -> None:
        """Answer, after all that is still waiting, and end the connection."""
        self._closing = True
        self._reader.abandon()
        request = Request(b"GET", b"", {}, "", 11, False) if request is None else request
        if self._queue or self._stream is not None:
            slot = _Slot(request)
            slot.response = response
            self._queue.append(slot)
        else:
            self._put(request, response, out)
        self._lingered = 1  # input that was on its way may still come

    def close_soon(self) -> None:
        """The server stops: end after the answers that are under way."""
        if self._lost or self._ended:
            return
        if self._reader.in_body:
            self._reader.make_last()
            return
        self._closing = True
        if not self._queue and self._stream is None:
            self._finish()

    def abort(self) -> None:
        """End at once."""
        if not self._lost:
            self.transport.abortConnection()

    def _finish(self) -> None:
        """All is answered: close, in such a way that the client can still read the answer."""
        if self._ended:
            return
        self._ended = True
        transport = self.transport
        transport.unregisterProducer()
        half_close = None
        if self._lingered and not self._half_closed and not INegotiated.providedBy(transport):
            half_close = getattr(transport, "loseWriteConnection", None)
        if half_close is None:
            self._time(self.factory.unread)
            transport.loseConnection()
        else:
            self._time(self.factory.lingering)
            half_close()
            self._set_reading()
