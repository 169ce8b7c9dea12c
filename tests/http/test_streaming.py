"""
Bodies sent in pieces, and how connections end.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from twisted.internet.defer import CancelledError, Deferred, succeed

from tests.http.connected import DATE, Case, Transport, bodies, get, put
from txconsul.http import connection as limits
from txconsul.http import server
from txconsul.http.connection import HTTPConnection, Response
from txconsul.http.server import HTTPFactory


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
