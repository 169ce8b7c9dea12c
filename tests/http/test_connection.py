"""One connection, and the factory that makes them: order, bounds, endings."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import pairwise
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st
from twisted.internet.address import IPv4Address, IPv6Address, UNIXAddress
from twisted.internet.defer import CancelledError, Deferred, succeed
from twisted.internet.error import ConnectionDone
from twisted.internet.interfaces import IProtocolFactory
from twisted.internet.task import Clock
from twisted.internet.testing import StringTransport
from twisted.python.failure import Failure
from twisted.trial.unittest import SynchronousTestCase
from zope.interface.verify import verifyObject

from txconsul.errors import DiskFull
from txconsul.http import connection as limits
from txconsul.http import server
from txconsul.http.connection import HTTPConnection, Response
from txconsul.http.request import Request
from txconsul.http.server import HTTPFactory, connections_allowed

DATE = b"Date: Thu, 01 Jan 1970 00:00:00 GMT\r\n"


class Transport(StringTransport):
    """Counts writes, and can close one direction."""

    def __init__(self) -> None:
        super().__init__()
        self.writes = 0
        self.write_ended = False
        self.aborted = False

    def write(self, data: bytes) -> None:
        self.writes += 1
        super().write(data)

    def loseWriteConnection(self) -> None:
        self.write_ended = True

    def abortConnection(self) -> None:
        self.aborted = True

    @property
    def paused(self) -> bool:
        return self.producerState == "paused"

    def taken(self) -> bytes:
        data = self.value()
        self.clear()
        return data


class Application:
    """Answers C{/wait...} later, C{/raise} never, C{/stream} with C{pieces}, and everything else with its target."""

    def __init__(self) -> None:
        self.requests: list[Request] = []
        self.waiting: dict[bytes, Deferred[Any]] = {}
        self.cancelled: list[bytes] = []
        self.pieces: Any = None
        self.length: int | None = None

    def __call__(self, request: Request) -> Any:
        self.requests.append(request)
        target = request.target
        if target.startswith(b"/wait"):
            deferred: Deferred[Any] = Deferred(lambda _: self.cancelled.append(target))
            self.waiting[target] = deferred
            return deferred
        if target == b"/raise":
            raise ZeroDivisionError
        if target == b"/nonsense":
            return 7
        if target == b"/stream":
            return Response(200, b"", self.pieces, self.length)
        if target == b"/last":
            return Response(200, b"", b"last", None, True)
        return Response(200, b"X: y\r\n", target + request.body)

    def answer(self, target: bytes) -> None:
        self.waiting.pop(target).callback(Response(200, b"", target))


class Case(SynchronousTestCase):
    """A factory, its application and a clock."""

    def setUp(self) -> None:
        self.clock = Clock()
        self.application = Application()
        self.factory = self.make_factory()

    def make_factory(self, **options: Any) -> HTTPFactory:
        return HTTPFactory(self.application, self.clock, now_utc=self.clock.seconds, **options)

    def open(self, factory: HTTPFactory | None = None, host: str = "10.0.0.1") -> tuple[HTTPConnection, Transport]:
        protocol = (factory or self.factory).buildProtocol(IPv4Address("TCP", host, 5))
        transport = Transport()
        protocol.makeConnection(transport)
        return protocol, transport

    def close(self, protocol: HTTPConnection) -> None:
        protocol.connectionLost(Failure(ConnectionDone()))


def get(target: bytes = b"/", *lines: bytes, method: bytes = b"GET", version: bytes = b"1.1") -> bytes:
    return b"".join(line + b"\r\n" for line in (b"%b %b HTTP/%b" % (method, target, version), b"Host: a", *lines, b""))


def put(size: int, *lines: bytes) -> bytes:
    return get(b"/put", b"Content-Length: %d" % size, *lines, method=b"PUT")


def bodies(data: bytes) -> list[bytes]:
    """The bodies of the answers in C{data}, all of known length."""
    found = []
    while data:
        head, _, data = data.partition(b"\r\n\r\n")
        size = int(head.lower().partition(b"content-length: ")[2].split(b"\r\n")[0])
        found.append(data[:size])
        data = data[size:]
    return found


class AnswerTests(Case):
    """What is written for one request."""

    def test_answer(self) -> None:
        """Status, date, the application's head, length and body; the connection stays."""
        protocol, transport = self.open()
        protocol.dataReceived(get(b"/a"))
        self.assertEqual(transport.taken(), b"HTTP/1.1 200 OK\r\n" + DATE + b"X: y\r\nContent-Length: 2\r\n\r\n/a")
        self.assertFalse(transport.disconnecting)
        self.assertEqual(self.application.requests[0].client, "10.0.0.1:5")

    def test_noLoopForAnAnswer(self) -> None:
        """A request answered at once leaves no delayed call behind but the factory's one."""
        protocol, _ = self.open()
        calls = self.clock.getDelayedCalls()
        protocol.dataReceived(get() * 3)
        self.assertEqual(self.clock.getDelayedCalls(), calls)
        self.assertEqual(len(calls), 1)

    def test_date(self) -> None:
        """The date is right to the second."""
        protocol, transport = self.open()
        protocol.dataReceived(get())
        self.clock.advance(61)
        transport.clear()
        protocol.dataReceived(get())
        self.assertIn(b"Date: Thu, 01 Jan 1970 00:01:01 GMT\r\n", transport.value())

    def test_head(self) -> None:
        """An answer to HEAD has the length of the body, and no body."""
        protocol, transport = self.open()
        protocol.dataReceived(get(b"/a", method=b"HEAD"))
        self.assertTrue(transport.value().endswith(b"Content-Length: 2\r\n\r\n"))

    def test_close(self) -> None:
        """C{Connection: close} is honoured and answered; what follows is not read."""
        protocol, transport = self.open()
        protocol.dataReceived(get(b"/a", b"Connection: close") + get(b"/b"))
        self.assertIn(b"Connection: close\r\n", transport.value())
        self.assertEqual(bodies(transport.value()), [b"/a"])
        self.assertTrue(transport.disconnecting)

    def test_closeAfterWaiting(self) -> None:
        """The same where the answer takes time."""
        protocol, transport = self.open()
        protocol.dataReceived(get(b"/wait", b"Connection: close") + get(b"/b"))
        self.assertFalse(transport.disconnecting)
        self.application.answer(b"/wait")
        self.assertIn(b"Connection: close\r\n", transport.value())
        self.assertEqual(bodies(transport.value()), [b"/wait"])
        self.assertTrue(transport.disconnecting)

    def test_applicationCloses(self) -> None:
        """An answer can be the last; those that wait behind it are cancelled."""
        protocol, transport = self.open()
        protocol.dataReceived(get(b"/wait1") + get(b"/last") + get(b"/wait2"))
        self.application.answer(b"/wait1")
        self.assertEqual(bodies(transport.value()), [b"/wait1", b"last"])
        self.assertEqual(transport.value().count(b"Connection: close"), 1)
        self.assertTrue(transport.disconnecting)
        self.assertEqual(self.application.cancelled, [b"/wait2"])

    def test_http10(self) -> None:
        """An HTTP/1.0 client is told that the connection stays, if it asked for it."""
        protocol, transport = self.open()
        protocol.dataReceived(get(b"/a", b"Connection: keep-alive", version=b"1.0"))
        self.assertIn(b"Connection: keep-alive\r\n", transport.taken())
        protocol.dataReceived(get(b"/a", version=b"1.0"))
        self.assertIn(b"Connection: close\r\n", transport.value())
        self.assertTrue(transport.disconnecting)

    def test_noContent(self) -> None:
        """204 has no length."""
        factory = HTTPFactory(lambda request: Response(204), self.clock, now_utc=self.clock.seconds)
        protocol, transport = self.open(factory)
        protocol.dataReceived(get())
        self.assertEqual(transport.value(), b"HTTP/1.1 204 No Content\r\n" + DATE + b"\r\n")

    def test_applicationFails(self) -> None:
        """An application that raises, fails, or answers nonsense: 500, logged, and the next request is answered."""
        protocol, transport = self.open()
        protocol.dataReceived(get(b"/raise") + get(b"/a") + get(b"/nonsense") + get(b"/wait") + get(b"/b"))
        self.application.waiting[b"/wait"].errback(ZeroDivisionError())
        self.assertEqual(transport.value().count(b"HTTP/1.1 500 Internal Server Error"), 3)
        self.assertEqual(bodies(transport.value())[1::3], [b"/a", b"/b"])
        self.assertEqual(len(self.flushLoggedErrors(ZeroDivisionError)), 2)
        self.assertEqual(len(self.flushLoggedErrors(TypeError)), 1)

    def test_sharedResponse(self) -> None:
        """One response object may answer many requests: it is never changed."""
        shared = Response(200, b"", b"true")
        factory = HTTPFactory(lambda request: shared, self.clock)
        for line in (b"Connection: close", b"X: y"):
            protocol, transport = self.open(factory)
            protocol.dataReceived(get(b"/", line))
            self.assertEqual(transport.disconnecting, line == b"Connection: close")
        self.assertEqual(shared, Response(200, b"", b"true"))


class PipelineTests(Case):
    """Many requests in flight on one connection."""

    def test_oneWrite(self) -> None:
        """Requests that came together are answered together."""
        protocol, transport = self.open()
        protocol.dataReceived(b"".join(get(b"/%d" % i) for i in range(20)))
        self.assertEqual(bodies(transport.value()), [b"/%d" % i for i in range(20)])
        self.assertEqual(transport.writes, 1)

    def test_order(self) -> None:
        """Answers leave in the order of the requests, whichever is ready first."""
        protocol, transport = self.open()
        protocol.dataReceived(get(b"/0") + get(b"/wait1") + get(b"/2") + get(b"/wait3") + get(b"/wait4"))
        self.assertEqual(bodies(transport.taken()), [b"/0"])
        self.application.answer(b"/wait3")
        self.assertEqual(transport.taken(), b"")
        self.application.answer(b"/wait1")
        self.assertEqual(bodies(transport.taken()), [b"/wait1", b"/2", b"/wait3"])
        protocol.dataReceived(get(b"/5"))
        self.assertEqual(transport.taken(), b"")
        self.application.answer(b"/wait4")
        self.assertEqual(bodies(transport.taken()), [b"/wait4", b"/5"])

    def test_firedDeferreds(self) -> None:
        """Deferreds that have fired already are as good as answers, however many there are."""
        factory = HTTPFactory(lambda request: succeed(Response(200, b"", request.target)), self.clock)
        protocol, transport = self.open(factory)
        protocol.dataReceived(b"".join(get(b"/%d" % i) for i in range(1000)))
        self.clock.pump([0] * 20)
        self.assertEqual(bodies(transport.value()), [b"/%d" % i for i in range(1000)])

    def test_boundedQueue(self) -> None:
        """No more than PIPELINED_MAX requests wait; the rest are read when there is room."""
        protocol, transport = self.open()
        count = limits.PIPELINED_MAX + 5
        protocol.dataReceived(b"".join(get(b"/wait%d" % i) for i in range(count)))
        self.clock.advance(0)
        self.assertEqual(len(self.application.requests), limits.PIPELINED_MAX)
        self.assertFalse(transport.paused)
        protocol.dataReceived(get(b"/late"))
        self.assertEqual(len(self.application.requests), limits.PIPELINED_MAX)
        for i in range(count):
            self.application.answer(b"/wait%d" % i)
            self.clock.advance(0)
        self.assertEqual(bodies(transport.value()), [*[b"/wait%d" % i for i in range(count)], b"/late"])
        self.assertFalse(transport.paused)

    def test_boundedAhead(self) -> None:
        """Behind a full queue it reads on, so as to see the client go, but not without bound."""
        protocol, transport = self.open()
        protocol.dataReceived(b"".join(get(b"/wait%d" % i) for i in range(limits.PIPELINED_MAX)))
        late = limits.AHEAD_BYTES_MAX // len(get(b"/a")) + 1
        for _ in range(late):
            self.assertFalse(transport.paused)
            protocol.dataReceived(get(b"/a"))
        self.assertTrue(transport.paused)
        for i in range(limits.PIPELINED_MAX):
            self.application.answer(b"/wait%d" % i)
        self.clock.advance(0)
        self.assertEqual(len(bodies(transport.value())), limits.PIPELINED_MAX + late)
        self.assertFalse(transport.paused)

    def test_boundedQueueBytes(self) -> None:
        """Large bodies fill the queue sooner."""
        waiting: list[Deferred[Response]] = []

        def later(request: Request) -> Deferred[Response]:
            waiting.append(Deferred())
            return waiting[-1]

        protocol, transport = self.open(HTTPFactory(later, self.clock))
        protocol.dataReceived((put(400_000).replace(b"PUT", b"GET") + b"a" * 400_000) * 10)
        self.assertEqual(len(waiting), 3)
        self.assertTrue(transport.paused)  # the rest is ahead already
        for deferred in waiting:
            deferred.callback(Response(200))
        self.assertEqual(len(waiting), 10)
        self.assertEqual(len(bodies(transport.value())), 10)

    def test_writesGoFirst(self) -> None:
        """What follows a request that may change something is served only after it (RFC 9112, 9.3.2)."""
        asked: list[bytes] = []
        written: Deferred[Response] = Deferred()

        def later(request: Request) -> Deferred[Response] | Response:
            asked.append(request.method)
            return written if request.method == b"PUT" else Response(200, b"", request.method)

        protocol, transport = self.open(HTTPFactory(later, self.clock))
        protocol.dataReceived(get(b"/") + put(1) + b"a" + get(b"/") * 2)
        self.assertEqual(asked, [b"GET", b"PUT"])
        written.callback(Response(200, b"", b"PUT"))
        self.assertEqual(bodies(transport.value()), [b"GET", b"PUT", b"GET", b"GET"])

    def test_boundedTurn(self) -> None:
        """No more than TURN_REQUESTS_MAX are answered in a turn; the others go on in the next ones."""
        protocol, transport = self.open()
        count = limits.TURN_REQUESTS_MAX * 2 + 10
        protocol.dataReceived(b"".join(get(b"/%d" % i) for i in range(count)))
        self.assertEqual(len(self.application.requests), limits.TURN_REQUESTS_MAX)
        self.assertTrue(transport.paused)
        self.clock.advance(0)  # this clock runs the turns that follow at once
        self.assertEqual(bodies(transport.value()), [b"/%d" % i for i in range(count)])
        self.assertEqual(transport.writes, 3)
        self.assertFalse(transport.paused)

    def test_boundedTurnBytes(self) -> None:
        """Large answers use up a turn sooner."""
        factory = HTTPFactory(lambda request: Response(200, b"", b"a" * 100_000), self.clock)
        protocol, transport = self.open(factory)
        protocol.dataReceived(get() * 40)
        self.assertLess(len(transport.value()), 1_000_000)
        self.clock.pump([0] * 20)
        self.assertEqual(len(bodies(transport.value())), 40)

    def test_backPressure(self) -> None:
        """While the transport holds enough, nothing is read or answered."""
        protocol, transport = self.open()
        protocol.pauseProducing()
        self.assertTrue(transport.paused)
        protocol.dataReceived(get(b"/a"))
        self.assertEqual(self.application.requests, [])
        protocol.resumeProducing()
        self.assertEqual(bodies(transport.value()), [b"/a"])
        self.assertFalse(transport.paused)


class TurnTests(Case):
    """Connections that have much to do, and the others."""

    def test_turnsAreShared(self) -> None:
        """Those that had their share go on in turns of bounded time, one after the other."""
        clock = self.clock

        def slow(request: Request) -> Response:
            clock.rightNow += server.TURN_SECONDS_MAX / 50
            return Response(200)

        factory = HTTPFactory(slow, clock)
        many = [self.open(factory) for _ in range(5)]
        for protocol, _ in many:
            protocol.dataReceived(get() * (limits.TURN_REQUESTS_MAX * 3))
        began = clock.seconds()
        calls = clock.getDelayedCalls()
        self.assertEqual(len([call for call in calls if call.getTime() <= began]), 1)
        factory._turn.cancel()
        factory._next_turns()
        self.assertLess(clock.seconds() - began, server.TURN_SECONDS_MAX * 2)
        done = [transport.value().count(b"HTTP/1.1") for _, transport in many]
        self.assertEqual(sorted(set(done)), [limits.TURN_REQUESTS_MAX, limits.TURN_REQUESTS_MAX * 2])
        clock.pump([0] * 20)
        for _, transport in many:
            self.assertEqual(transport.value().count(b"HTTP/1.1"), limits.TURN_REQUESTS_MAX * 3)

    def test_goneBeforeItsTurn(self) -> None:
        """A connection that ended meanwhile has no turn; one that fails keeps nobody from theirs."""
        gone, _ = self.open()
        broken, broken_transport = self.open()
        well, transport = self.open()
        for protocol in (gone, broken, well):
            protocol.dataReceived(get() * (limits.TURN_REQUESTS_MAX + 1))
        self.close(gone)
        broken_transport.write = None  # type: ignore[assignment]
        self.clock.advance(0)
        self.assertEqual(len(bodies(transport.value())), limits.TURN_REQUESTS_MAX + 1)
        self.assertTrue(broken_transport.aborted)
        self.assertEqual(len(self.flushLoggedErrors(TypeError)), 1)


class RefusalTests(Case):
    """What never reaches the application."""

    def test_malformed(self) -> None:
        """400 in Go's words; then the connection ends, in a way that leaves the client time to read it."""
        protocol, transport = self.open()
        protocol.dataReceived(b"nonsense\r\n\r\n")
        self.assertEqual(
            transport.taken(),
            b"HTTP/1.1 400 Bad Request\r\n"
            + DATE
            + b"Content-Type: text/plain; charset=utf-8\r\nConnection: close\r\nContent-Length: 15\r\n\r\n"
            + b"400 Bad Request",
        )
        self.assertTrue(transport.write_ended)
        self.assertFalse(transport.disconnecting)
        protocol.dataReceived(get())
        self.assertEqual(transport.value(), b"")
        self.clock.pump([1, 1, 1])
        self.assertTrue(transport.disconnecting)

    def test_texts(self) -> None:
        """The others' texts."""
        for data, status, text in [
            (b"GET / HTTP/1.1\r\n\r\n", 400, b"400 Bad Request: missing required Host header"),
            (b"GET / HTTP/3.0\r\n\r\n", 505, b"505 HTTP Version Not Supported: unsupported protocol version"),
            (get(b"/", b"Transfer-Encoding: x"), 501, b"Unsupported transfer encoding"),
            (get(b"/", b"X: " + b"a" * (2 << 20)), 431, b"431 Request Header Fields Too Large"),
        ]:
            protocol, transport = self.open()
            protocol.dataReceived(data)
            self.assertTrue(transport.value().startswith(b"HTTP/1.1 %d " % status), transport.value())
            self.assertEqual(bodies(transport.value()), [text])

    def test_clientCloses(self) -> None:
        """A client that has read the refusal and closes is not lingered for."""
        protocol, transport = self.open()
        protocol.dataReceived(b"nonsense\r\n\r\n")
        protocol.readConnectionLost()
        self.assertTrue(transport.disconnecting)

    def test_lingerIsBounded(self) -> None:
        """A client that goes on sending after the last answer is cut off."""
        protocol, transport = self.open()
        protocol.dataReceived(b"nonsense\r\n\r\n")
        for _ in range(limits.LINGER_BYTES_MAX >> 20):
            protocol.dataReceived(b"a" * (1 << 20))
        self.assertTrue(transport.aborted)

    def test_afterOthers(self) -> None:
        """A refusal waits for the answers to the requests before it, and is the only one that says close."""
        protocol, transport = self.open()
        protocol.dataReceived(get(b"/wait") + b"nonsense\r\n\r\n")
        self.assertEqual(transport.value(), b"")
        self.application.answer(b"/wait")
        self.assertEqual(bodies(transport.value()), [b"/wait", b"400 Bad Request"])
        self.assertEqual(transport.value().count(b"Connection: close"), 1)
        self.assertTrue(transport.write_ended)

    def test_tooLarge(self) -> None:
        """The application answers for bodies over its limit, which it gives a request."""
        refused: list[Any] = []

        def refuse(request: Request, reason: Exception) -> Response:
            refused.append((request.target, reason.length, reason.limit))  # type: ignore[attr-defined]
            return Response(413, b"", b"no")

        factory = self.make_factory(body_limit=lambda request: len(request.target), refused=refuse)
        protocol, transport = self.open(factory)
        protocol.dataReceived(put(4) + b"abcd" + put(5) + b"abcde")
        self.assertEqual(bodies(transport.value()), [b"/putabcd", b"no"])
        self.assertIn(b"413 Request Entity Too Large", transport.value())
        self.assertTrue(transport.write_ended)
        self.assertEqual(refused, [(b"/put", 5, 4)])

    def test_applicationsOwnRefusal(self) -> None:
        """Without the application's own words, an error's status and text are the answer; others are 500 and logged."""
        for error, status, text in [
            (DiskFull(), 500, DiskFull.text.encode()),
            (OSError(), 500, b"Internal Server Error"),
        ]:

            def limit(request: Request, error: Exception = error) -> int:
                raise error

            protocol, transport = self.open(self.make_factory(body_limit=limit))
            protocol.dataReceived(put(1))
            self.assertTrue(transport.value().startswith(b"HTTP/1.1 %d " % status))
            self.assertEqual(bodies(transport.value()), [text])
        self.assertEqual(len(self.flushLoggedErrors(OSError)), 1)


class BodyTests(Case):
    """Bodies on their way in."""

    def test_continue(self) -> None:
        """A client that asks is told to go on, after the answers before."""
        protocol, transport = self.open()
        protocol.dataReceived(put(2, b"Expect: 100-continue"))
        self.assertEqual(transport.taken(), b"HTTP/1.1 100 Continue\r\n\r\n")
        protocol.dataReceived(b"ab")
        self.assertEqual(bodies(transport.taken()), [b"/putab"])
        protocol.dataReceived(get(b"/wait") + put(1, b"Expect: 100-continue"))
        self.assertEqual(transport.taken(), b"")
        self.application.answer(b"/wait")
        self.assertTrue(transport.taken().endswith(b"/waitHTTP/1.1 100 Continue\r\n\r\n"))
        protocol.dataReceived(b"c")
        self.assertEqual(bodies(transport.value()), [b"/putc"])

    def test_noContinueForTooLarge(self) -> None:
        """A body over the limit is refused before it is sent."""
        protocol, transport = self.open()
        protocol.dataReceived(put(1 << 30, b"Expect: 100-continue"))
        self.assertTrue(transport.value().startswith(b"HTTP/1.1 413 "))

    def test_sink(self) -> None:
        """A sink that waits stops the reading until it is ready."""
        sink = WaitingSink()
        protocol, transport = self.open(self.make_factory(body_sink=lambda request: sink))
        protocol.dataReceived(put(4) + b"ab")
        self.assertTrue(transport.paused)
        self.assertEqual(sink.data, b"ab")
        protocol.dataReceived(b"cd" + get(b"/next"))  # what a transport had read already
        self.assertEqual(sink.data, b"ab")
        sink.ready()
        self.assertEqual(sink.data, b"abcd")
        sink.ready()
        self.assertEqual(bodies(transport.value()), [b"/put", b"/next"])
        self.assertIs(self.application.requests[0].sink, sink)
        self.assertFalse(transport.paused)

    def test_sinkAbandoned(self) -> None:
        """A client that goes away in the middle abandons the sink."""
        sink = WaitingSink()
        protocol, _ = self.open(self.make_factory(body_sink=lambda request: sink))
        protocol.dataReceived(put(4) + b"ab")
        self.close(protocol)
        self.assertEqual(sink.abandoned, 1)
        sink.ready()

    def test_sinkFails(self) -> None:
        """A sink that fails later ends the connection."""
        sink = WaitingSink()
        protocol, transport = self.open(self.make_factory(body_sink=lambda request: sink))
        protocol.dataReceived(put(4) + b"ab")
        sink.fail(OSError())
        self.assertTrue(transport.aborted)
        self.assertEqual(len(self.flushLoggedErrors(OSError)), 1)


class WaitingSink:
    """Wants to be waited for after each piece."""

    def __init__(self) -> None:
        self.data = b""
        self.abandoned = 0
        self.waiting: list[Deferred[None]] = []

    def write(self, data: bytes) -> Deferred[None]:
        self.data += data
        self.waiting.append(Deferred())
        return self.waiting[-1]

    def ready(self) -> None:
        self.waiting.pop(0).callback(None)

    def fail(self, error: Exception) -> None:
        self.waiting.pop(0).errback(error)

    def abandon(self) -> None:
        self.abandoned += 1


class StreamTests(Case):
    """Answers in pieces."""

    def stream(self, pieces: Any, length: int | None = None, request: bytes = b"") -> tuple[HTTPConnection, Transport]:
        self.application.pieces, self.application.length = pieces, length
        protocol, transport = self.open()
        protocol.dataReceived(request or get(b"/stream"))
        return protocol, transport

    def test_chunked(self) -> None:
        """A body of unknown length is chunked; then come the answers behind it."""
        _, transport = self.stream(iter([b"ab", b"", b"c" * 20]), request=get(b"/stream") + get(b"/a"))
        self.clock.advance(0)
        head, _, rest = transport.value().partition(b"\r\n\r\n")
        self.assertEqual(head, b"HTTP/1.1 200 OK\r\n" + DATE + b"Transfer-Encoding: chunked")
        body, _, rest = rest.partition(b"0\r\n\r\n")
        self.assertEqual(body, b"2\r\nab\r\n14\r\n" + b"c" * 20 + b"\r\n")
        self.assertEqual(bodies(rest), [b"/a"])
        self.assertFalse(transport.disconnecting)

    def test_knownLength(self) -> None:
        """A body of known length is not."""
        _, transport = self.stream(iter([b"ab", b"c"]), 3)
        self.assertTrue(transport.value().endswith(b"Content-Length: 3\r\n\r\nabc"))

    def test_http10(self) -> None:
        """For HTTP/1.0 the end of the connection is that of the body."""
        _, transport = self.stream(iter([b"ab"]), request=get(b"/stream", b"Connection: keep-alive", version=b"1.0"))
        self.assertTrue(transport.value().endswith(b"Connection: close\r\n\r\nab"), transport.value())
        self.assertTrue(transport.disconnecting)

    def test_head(self) -> None:
        """HEAD releases the pieces unread."""
        pieces = Pieces([b"a"])
        _, transport = self.stream(pieces, 1, get(b"/stream", method=b"HEAD"))
        self.assertTrue(transport.value().endswith(b"Content-Length: 1\r\n\r\n"))
        self.assertTrue(pieces.closed)
        self.assertEqual(pieces.left, [b"a"])

    def test_backPressure(self) -> None:
        """Pieces are asked for as the client takes them, and nothing else is answered meanwhile."""
        pieces = Pieces([b"a" * 1000] * 10)
        protocol, transport = self.stream(pieces, 10_000)
        self.assertEqual(len(pieces.left), 0)
        pieces.left = [b"a" * 1000] * 10
        protocol, transport = self.open()
        pieces.at_two = protocol.pauseProducing
        protocol.dataReceived(get(b"/stream") + get(b"/a"))
        self.assertEqual(len(pieces.left), 8)
        self.assertTrue(transport.paused)
        protocol.resumeProducing()
        self.clock.advance(0)
        self.assertEqual(bodies(transport.value()), [b"a" * 10_000, b"/a"])
        self.assertFalse(transport.paused)

    def test_sharedTurn(self) -> None:
        """A fast client does not get all of a large stream in one turn."""
        pieces = Pieces([b"a" * 100_000] * 20)
        _, transport = self.stream(pieces, 2_000_000)
        self.assertGreater(len(pieces.left), 10)
        self.clock.pump([0] * 10)
        self.assertEqual(bodies(transport.value()), [b"a" * 2_000_000])

    def test_largeBody(self) -> None:
        """A large body is sent in slices, too, and one after it is unharmed."""
        body = bytes(range(256)) * 4096
        factory = HTTPFactory(lambda request: Response(200, b"", body), self.clock)
        protocol, transport = self.open(factory)
        protocol.dataReceived(get() * 3)
        self.assertLess(len(transport.value()), len(body))
        self.clock.pump([0] * 20)
        self.assertEqual(bodies(transport.value()), [body] * 3)

    def test_laterPieces(self) -> None:
        """A piece may be a Deferred; the next is asked for once it fired."""
        first: Deferred[bytes] = Deferred()
        second: Deferred[bytes] = Deferred()
        _, transport = self.stream(iter([first, second, succeed(b"c")]), 3)
        transport.clear()
        first.callback(b"a")
        self.clock.advance(0)
        self.assertEqual(transport.value(), b"a")
        second.callback(b"b")
        self.clock.pump([0, 0, 0])
        self.assertEqual(transport.value(), b"abc")
        self.assertFalse(transport.disconnecting)

    def test_broken(self) -> None:
        """A body that raises, fails, or has another length than said, breaks the connection off."""

        def raising() -> Iterator[bytes]:
            yield b"a"
            raise ZeroDivisionError

        failing: Deferred[bytes] = Deferred()
        for pieces, length in [(raising(), None), (iter([b"a"]), 2), (iter([b"abc"]), 2), (iter([failing]), 2)]:
            _, transport = self.stream(pieces, length)
            if not failing.called and length == 2 and not transport.aborted:
                failing.errback(ZeroDivisionError())
            self.assertTrue(transport.aborted)
            self.assertNotIn(b"0\r\n\r\n", transport.value())
        self.assertEqual(len(self.flushLoggedErrors(ZeroDivisionError)), 2)

    def test_clientGone(self) -> None:
        """A client that goes away releases the pieces, and cancels the one that is awaited."""
        cancelled: list[Any] = []
        pieces = Pieces([Deferred(cancelled.append)])
        protocol, _ = self.stream(pieces)
        self.close(protocol)
        self.assertTrue(pieces.closed)
        self.assertEqual(len(cancelled), 1)
        self.flushLoggedErrors(CancelledError)


class Pieces:
    """An iterator that tells what became of it."""

    def __init__(self, left: list[Any]) -> None:
        self.left = list(left)
        self.given = 0
        self.closed = False
        self.at_two: Any = None

    def __iter__(self) -> Pieces:
        return self

    def __next__(self) -> Any:
        if not self.left:
            raise StopIteration
        if self.at_two is not None:
            self.given += 1
            if self.given == 2:
                self.at_two()
        return self.left.pop(0)

    def close(self) -> None:
        self.closed = True


class EndingTests(Case):
    """Clients that leave, and clients that do not move."""

    def test_gone(self) -> None:
        """What waits for a client that is gone is cancelled, and nothing is left behind."""
        protocol, _ = self.open()
        protocol.dataReceived(get(b"/wait1") + get(b"/wait2") + b"GET")
        self.close(protocol)
        self.assertEqual(self.application.cancelled, [b"/wait1", b"/wait2"])
        self.assertEqual(self.factory.connections, set())
        self.assertEqual(self.clock.getDelayedCalls(), [])

    def test_answeredTooLate(self) -> None:
        """An answer which cannot be cancelled and comes too late is thrown away, its pieces released."""
        pieces = Pieces([b"a"])
        deferred: Deferred[Response] = Deferred(lambda d: d.callback(Response(200, b"", pieces)))  # type: ignore[arg-type]
        protocol, _ = self.open(HTTPFactory(lambda request: deferred, self.clock))
        protocol.dataReceived(get())
        self.close(protocol)
        self.assertTrue(pieces.closed)

    def test_halfClosed(self) -> None:
        """A client that only stops sending still gets what comes soon."""
        protocol, transport = self.open()
        protocol.dataReceived(get(b"/wait"))
        protocol.readConnectionLost()
        self.assertFalse(transport.disconnecting)
        self.application.answer(b"/wait")
        self.assertEqual(bodies(transport.value()), [b"/wait"])
        self.assertTrue(transport.disconnecting)

    def test_halfClosedForLong(self) -> None:
        """It does not hold a blocking query: that looks the same as being gone."""
        protocol, transport = self.open()
        protocol.dataReceived(get(b"/wait"))
        protocol.readConnectionLost()
        self.clock.pump([1] * int(server.HALF_CLOSED_SECONDS_MAX + 1))
        self.assertTrue(transport.aborted)
        self.close(protocol)
        self.assertEqual(self.application.cancelled, [b"/wait"])

    def test_halfClosedBehindFullQueue(self) -> None:
        """It is seen behind a full queue, and what was sent before it is still answered."""
        protocol, transport = self.open()
        count = limits.PIPELINED_MAX + 5
        protocol.dataReceived(b"".join(get(b"/wait%d" % i) for i in range(count)) + b"GET")
        protocol.readConnectionLost()
        for i in range(count):
            self.application.answer(b"/wait%d" % i)
            self.clock.advance(0)
        self.assertEqual(len(bodies(transport.value())), count)
        self.assertTrue(transport.disconnecting)
        protocol, transport = self.open()
        protocol.dataReceived(b"".join(get(b"/wait%d" % i) for i in range(count)))
        protocol.readConnectionLost()
        self.clock.pump([1] * int(server.HALF_CLOSED_SECONDS_MAX + 1))
        self.assertTrue(transport.aborted)

    def test_halfClosedBeforeItsTurn(self) -> None:
        """Requests that wait for the connection's turn are answered, too."""
        protocol, transport = self.open()
        protocol.dataReceived(get() * (limits.TURN_REQUESTS_MAX + 3))
        protocol.readConnectionLost()
        self.assertFalse(transport.disconnecting)
        self.clock.advance(0)
        self.assertEqual(len(bodies(transport.value())), limits.TURN_REQUESTS_MAX + 3)
        self.assertTrue(transport.disconnecting)

    def test_halfClosedInRequest(self) -> None:
        """A request that does not come whole is not waited for."""
        for data in (b"GET / HT", put(3) + b"a"):
            protocol, transport = self.open()
            protocol.dataReceived(data)
            protocol.readConnectionLost()
            self.assertTrue(transport.disconnecting)

    def test_halfClosedIdle(self) -> None:
        """An idle client that stops sending is done with."""
        protocol, transport = self.open()
        protocol.dataReceived(get())
        protocol.readConnectionLost()
        self.assertTrue(transport.disconnecting)

    def test_idle(self) -> None:
        """An idle connection stays as long as the client likes, as with Consul."""
        protocol, transport = self.open()
        protocol.dataReceived(get())
        self.clock.pump([1] * 1000)
        self.assertFalse(transport.disconnecting or transport.aborted)

    def test_slowHead(self) -> None:
        """A head has its time from its first byte on; bytes that trickle in do not prolong it."""
        protocol, transport = self.open()
        protocol.dataReceived(get())
        transport.clear()
        for byte in get(b"/" + b"a" * 100)[: int(server.HEAD_SECONDS_MAX) + 2]:
            protocol.dataReceived(bytes([byte]))
            self.clock.advance(1)
        self.assertTrue(transport.value().startswith(b"HTTP/1.1 408 Request Timeout"))
        self.assertTrue(transport.write_ended)

    def test_headInTime(self) -> None:
        """Once the head is complete its deadline is off, even while the answer takes long."""
        protocol, transport = self.open()
        data = get(b"/wait")
        protocol.dataReceived(data[:10])
        protocol.dataReceived(data[10:])
        self.clock.pump([1] * 200)
        self.assertEqual(transport.value(), b"")
        self.application.answer(b"/wait")
        self.assertEqual(bodies(transport.value()), [b"/wait"])

    def test_slowBody(self) -> None:
        """A body may take long, but must not stop."""
        protocol, transport = self.open()
        protocol.dataReceived(put(100))
        for _ in range(20):
            self.clock.pump([1] * 30)
            protocol.dataReceived(b"a")
        self.assertEqual(transport.value(), b"")
        self.clock.pump([1] * int(server.BODY_PAUSE_SECONDS_MAX + 1))
        self.assertTrue(transport.value().startswith(b"HTTP/1.1 408 "))

    def test_unread(self) -> None:
        """A client that does not take its answers is given up."""
        protocol, transport = self.open()
        protocol.dataReceived(get())
        protocol.pauseProducing()
        self.clock.pump([1] * int(server.UNREAD_SECONDS_MAX - 1))
        protocol.resumeProducing()
        protocol.pauseProducing()
        self.clock.pump([1] * int(server.UNREAD_SECONDS_MAX - 1))
        self.assertFalse(transport.aborted)
        self.clock.pump([1, 1])
        self.assertTrue(transport.aborted)


class FactoryTests(Case):
    """Counting connections, and stopping."""

    def test_interface(self) -> None:
        """It is a protocol factory."""
        verifyObject(IProtocolFactory, self.factory)

    def test_clients(self) -> None:
        """Clients are named as Go names them."""
        for address, client in [
            (IPv4Address("TCP", "1.2.3.4", 5), "1.2.3.4:5"),
            (IPv6Address("TCP", "::1", 5), "[::1]:5"),
            (UNIXAddress(None), "unix"),
        ]:
            protocol = self.factory.buildProtocol(address)
            protocol.makeConnection(Transport())
            protocol.dataReceived(get())
            self.assertEqual(self.application.requests[-1].client, client)

    def test_perClient(self) -> None:
        """One client's connections are limited; it is told so with 429. Others are not concerned."""
        factory = self.make_factory(connections_per_client_max=2)
        first, _ = self.open(factory)
        self.open(factory)
        _, refused = self.open(factory)
        self.assertTrue(refused.value().startswith(b"HTTP/1.1 429 Too Many Requests\r\n"))
        self.assertIn(b"Your IP is issuing too many concurrent connections", refused.value())
        self.assertTrue(refused.disconnecting)
        _, other = self.open(factory, "10.0.0.2")
        self.assertEqual(other.value(), b"")
        self.close(first)
        _, again = self.open(factory)
        self.assertEqual(again.value(), b"")

    def test_altogether(self) -> None:
        """All connections together are limited."""
        factory = self.make_factory(connections_max=1)
        self.open(factory)
        _, refused = self.open(factory, "10.0.0.2")
        self.assertTrue(refused.value().startswith(b"HTTP/1.1 503 "))

    def test_allowed(self) -> None:
        """Some descriptors are not for clients."""
        self.assertEqual(connections_allowed(1024), 896)
        self.assertEqual(connections_allowed(1 << 20), (1 << 20) * 7 // 8)
        self.assertEqual(connections_allowed(10), 1)

    def test_stop(self) -> None:
        """Stopping ends idle connections now, the others after their answers."""
        _, idle = self.open()
        busy, transport = self.open()
        busy.dataReceived(get(b"/wait"))
        half, half_transport = self.open()
        half.dataReceived(put(2) + b"a")
        stopped = self.factory.stop(10.0)
        self.assertTrue(idle.disconnecting)
        self.assertFalse(transport.disconnecting)
        self.application.answer(b"/wait")
        self.assertTrue(transport.disconnecting)
        self.assertIn(b"Connection: close", transport.value())
        half.dataReceived(b"b")
        self.assertEqual(bodies(half_transport.value()), [b"/putab"])
        self.assertTrue(half_transport.disconnecting)
        self.assertNoResult(stopped)
        for connection in list(self.factory.connections):
            self.close(connection)
        self.successResultOf(stopped)
        self.assertEqual(self.clock.getDelayedCalls(), [])

    def test_stopInTime(self) -> None:
        """Those that take longer are cut off."""
        busy, transport = self.open()
        busy.dataReceived(get(b"/wait"))
        stopped = self.factory.stop(10.0)
        self.clock.advance(10)
        self.assertTrue(transport.aborted)
        self.close(busy)
        self.successResultOf(stopped)
        self.successResultOf(self.factory.stop(1.0))


_MATERIAL = st.sampled_from(
    [
        get(b"/a"),
        get(b"/wait"),
        get(b"/a", method=b"HEAD"),
        get(b"/a", b"Connection: close"),
        put(3) + b"abc",
        put(3, b"Expect: 100-continue"),
        put(1 << 30),
        get(b"/", b"Transfer-Encoding: chunked") + b"1\r\na\r\n0\r\n\r\n",
        b"\r\n",
        b"\n",
        b"nonsense",
        b"\0",
    ]
)


class FuzzTests(Case):
    """Whatever comes, in whatever pieces: an answer for each request, or the end; and others are served."""

    @settings(max_examples=300, deadline=None)
    @given(st.lists(_MATERIAL, max_size=8), st.binary(max_size=8), st.integers(1, 60))
    def test_anything(self, parts: list[bytes], noise: bytes, size: int) -> None:
        """The connection never raises, and a bystander's request is answered at the end."""
        self.setUp()
        _, bystander = other = self.open()
        protocol, transport = self.open()
        data = b"".join(parts) + noise
        for at in range(0, len(data), size):
            protocol.dataReceived(data[at : at + size])
        for deferred in list(self.application.waiting.values()):
            if not deferred.called:
                deferred.callback(Response(200, b"", b"late"))
        self.clock.pump([0, 1, 1])
        answers = transport.value().count(b"HTTP/1.1 ") - transport.value().count(b"100 Continue")
        refused = transport.value().count(b"HTTP/1.1 4")
        waited = sum(request.target == b"/wait" for request in self.application.requests)
        self.assertLessEqual(refused, 1)
        if waited <= 1:
            self.assertEqual(answers, len(self.application.requests) + refused)
        other[0].dataReceived(get(b"/b"))
        self.assertEqual(bodies(bystander.value()), [b"/b"])
        self.close(protocol)
        self.assertEqual(len(self.factory.connections), 1)


class Muddle:
    """A connection whose client, application and transport do things in any order, and what must come of it."""

    #: Kinds of requests, and whether their answers are chunked.
    KINDS = {
        b"now": get(b"/now"),
        b"wait": get(b"/wait"),
        b"put": put(3) + b"abc",
        b"chunked": get(b"/put", b"Transfer-Encoding: chunked", method=b"PUT") + b"1\r\na\r\n0\r\n\r\n",
        b"large": get(b"/large"),
        b"stream": get(b"/stream"),
        b"head": get(b"/large", method=b"HEAD"),
    }

    def __init__(self, kinds: list[bytes], cuts: list[int]) -> None:
        self.clock = Clock()
        self.kinds = kinds
        self.waiting: list[tuple[Deferred[Any], Any]] = []
        self.factory = HTTPFactory(self.answer, self.clock)
        self.protocol = self.factory.buildProtocol(IPv4Address("TCP", "10.0.0.1", 1))
        self.transport = Transport()
        self.protocol.makeConnection(self.transport)
        self.full = False
        data = b"".join(self.KINDS[kind] for kind in kinds)
        places = sorted({cut % (len(data) + 1) for cut in cuts} | {0, len(data)})
        self.unsent = [data[a:b] for a, b in pairwise(places) if a != b]

    def answer(self, request: Request) -> Any:
        if request.target == b"/wait":
            self.waiting.append((Deferred(), Response(200, b"", b"waited")))
            return self.waiting[-1][0]
        if request.target == b"/stream":
            later: Deferred[bytes] = Deferred()
            self.waiting.append((later, b"w"))
            return Response(200, b"", iter([b"s", later, b"t" * 70_000]), 70_002)
        return Response(200, b"", b"l" * 600_000 if request.target == b"/large" else request.body)

    def do(self, what: str) -> None:
        if what == "send" and self.unsent and not self.transport.paused:
            self.protocol.dataReceived(self.unsent.pop(0))
        elif what == "answer" and self.waiting:
            deferred, result = self.waiting.pop(len(self.waiting) // 2)
            deferred.callback(result)
        elif what == "full" and not self.full:
            self.full = True
            self.protocol.pauseProducing()
        elif what == "empty" and self.full:
            self.full = False
            self.protocol.resumeProducing()
        elif what == "turn":
            self.clock.advance(0)

    def finish(self) -> None:
        for _ in range(1000):
            for what in ("empty", "send", "answer", "turn"):
                self.do(what)
            if not self.unsent and not self.waiting:
                break
        self.do("turn")


class MuddleTests(SynchronousTestCase):
    """No order of events loses an answer or leaves a connection stuck."""

    @settings(max_examples=400, deadline=None)
    @given(
        st.lists(st.sampled_from(sorted(Muddle.KINDS)), max_size=50),
        st.lists(st.integers(0, 3000), max_size=10),
        st.lists(st.sampled_from(["send", "send", "answer", "full", "empty", "turn"]), max_size=40),
        st.booleans(),
    )
    def test_everyRequestIsAnswered(self, kinds: list[bytes], cuts: list[int], events: list[str], ends: bool) -> None:
        """Whatever happens when, each request has its answer in the end, in order, and the connection reads on."""
        muddle = Muddle(kinds, cuts)
        for what in events:
            muddle.do(what)
        if ends and not muddle.unsent and not muddle.transport.paused:
            muddle.protocol.readConnectionLost()
        else:
            ends = False
        muddle.finish()
        wanted = {b"put": b"abc", b"chunked": b"a", b"large": b"l" * 600_000, b"wait": b"waited"}
        wanted[b"stream"] = b"sw" + b"t" * 70_000
        data = muddle.transport.value()
        for kind in kinds:
            head, _, data = data.partition(b"\r\n\r\n")
            self.assertTrue(head.startswith(b"HTTP/1.1 200 OK\r\n"), head)
            body = wanted.get(kind, b"")
            self.assertEqual(data[: len(body)], body)
            data = data[len(body) :]
        self.assertEqual(data, b"")
        self.assertFalse(muddle.transport.paused)
        self.assertEqual(muddle.transport.disconnecting, ends)
        self.assertEqual((muddle.factory.rules.held, muddle.factory.rules.unfinished), (0, 0))
