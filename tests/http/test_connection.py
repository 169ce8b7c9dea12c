"""
One connection: answers, their order, turns, refusals, bodies.
"""

from __future__ import annotations

from typing import Any

from twisted.internet.defer import Deferred, succeed

from tests.http.connected import DATE, Case, bodies, get, put
from txconsul.errors import DiskFull
from txconsul.http import connection as limits
from txconsul.http import server
from txconsul.http.connection import Response
from txconsul.http.request import Request
from txconsul.http.server import HTTPFactory


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
