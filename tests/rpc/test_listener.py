"""Calls that come in, well meant or not."""

from __future__ import annotations

import struct

from hypothesis import given, settings
from hypothesis import strategies as st
from twisted.internet.defer import succeed
from twisted.logger import LogLevel, globalLogPublisher

from tests.rpc.test_yamux import data, frame, frames
from tests.rpc.wire import Raw, WireCase
from txconsul.codec.gomsgpack import BadMessage
from txconsul.rpc.call import EMPTY, Reply, ReplyReader, reply, request
from txconsul.rpc.multiplex import WRITE_TIMEOUT
from txconsul.rpc.streams import INITIAL_WINDOW

SYN, ACK, FIN, RST = 1, 2, 4, 8
OPEN = frame(1, SYN, 1)


def replies(received: bytes) -> list[Reply]:
    """All answers in a stream."""
    reader = ReplyReader()
    reader.feed(received)
    found = []
    while (one := reader.next()) is not None:
        found.append(one)
    return found


def stream(received: bytes, id: int = 1) -> bytes:
    """What came on a stream."""
    return b"".join(payload for kind, _, one, _, payload in frames(received) if kind == 0 and one == id)


class SingleTests(WireCase):
    """Byte 0: the connection is the stream."""

    def test_calls(self) -> None:
        """Calls back to back are answered in their order, whatever numbers they have."""
        raw = self.raw()
        raw.send(
            b"\x00"
            + request(7, "Test.Echo", b"\x01")
            + request(7, "Test.Wait", EMPTY)
            + request(1, "Test.Echo", b"\x03")
        )
        self.settle()
        self.assertEqual(replies(raw.received), [Reply(7, "Test.Echo", "", b"\x01")])
        self.waiting[0].callback(b"\x02")
        self.settle()
        self.assertEqual([one.body for one in replies(raw.received)], [b"\x01", b"\x02", b"\x03"])

    def test_halfClose(self) -> None:
        """Who ends after asking is still answered; then the connection ends."""
        raw = self.raw()
        raw.send(b"\x00" + request(1, "Test.Wait", EMPTY))
        raw.transport.loseWriteConnection()  # type: ignore[union-attr]
        self.settle()
        self.assertFalse(raw.lost)
        self.waiting[0].callback(b"\x02")
        self.settle()
        self.assertEqual(replies(raw.received), [Reply(1, "Test.Wait", "", b"\x02")])
        self.assertTrue(raw.lost)

    def test_lost(self) -> None:
        """Who goes away without an answer gives the call up."""
        raw = self.raw()
        raw.send(b"\x00" + request(1, "Test.Wait", EMPTY))
        self.settle()
        raw.transport.abortConnection()  # type: ignore[union-attr]
        self.settle()
        self.assertEqual(self.cancelled, 1)
        self.assertEqual(self.calling.active, set())

    def test_unknownMethod(self) -> None:
        """An unknown method is answered by an error, and the connection ends."""
        raw = self.raw()
        raw.send(b"\x00" + request(5, "Test.Nope", EMPTY) + request(6, "Test.Echo", EMPTY))
        self.settle()
        self.assertEqual(raw.received, reply(5, "Test.Nope", b"", "rpc: can't find method Test.Nope"))
        self.assertTrue(raw.lost)

    def test_noDot(self) -> None:
        """A name without a service is answered as by Go."""
        raw = self.raw()
        raw.send(b"\x00" + request(5, "Nope", EMPTY))
        self.settle()
        self.assertEqual(replies(raw.received)[0].error, "rpc: service/method request ill-formed: Nope")
        self.assertTrue(raw.lost)

    def test_flood(self) -> None:
        """Who asks on and on while nothing is answered is read no further than a window and what lies between."""
        raw = self.raw()
        raw.send(b"\x00" + request(1, "Test.Wait", EMPTY))
        raw.send(request(2, "Test.Echo", b"\xda\xff\xff" + bytes(65535)) * 100)
        self.settle()
        (single,) = self.calling.active
        self.assertLess(single._unconsumed, 2 * INITIAL_WINDOW)  # type: ignore[union-attr]
        self.waiting[0].callback(b"\x01")
        self.until(lambda: len(raw.received) > 6553500)
        self.assertEqual(len(replies(raw.received)), 101)


class MultiplexedTests(WireCase):
    """Byte 4."""

    def connect(self, *sent: bytes) -> Raw:
        """A connection that sent its byte, and more."""
        raw = self.raw()
        raw.send(b"\x04" + b"".join(sent))
        self.settle()
        return raw

    def test_unknownMethodClosesTheStream(self) -> None:
        """The stream is ended after an unknown method, the session is not."""
        raw = self.connect(OPEN, data(1, request(1, "Test.Nope", EMPTY)))
        self.assertEqual(frames(raw.received)[-1], (1, FIN, 1, 0, b""))
        self.assertEqual(replies(stream(raw.received))[0].error, "rpc: can't find method Test.Nope")
        raw.send(frame(1, SYN, 3) + data(3, request(2, "Test.Echo", b"\x01")))
        self.settle()
        self.assertEqual(replies(stream(raw.received, 3)), [Reply(2, "Test.Echo", "", b"\x01")])

    def test_badBody(self) -> None:
        """A body that is none is answered by an error, and its stream ended."""

        def refuse(method: str, body: bytes, source: str) -> bytes:
            raise BadMessage("expected a map, found list")

        self.calling.serve = refuse
        raw = self.connect(OPEN, data(1, request(1, "Test.Echo", b"\x90")))
        self.assertEqual(replies(stream(raw.received))[0].error, "expected a map, found list")
        self.assertEqual(frames(raw.received)[-1][1], FIN)

    def test_badHeader(self) -> None:
        """A header that is none ends its stream, without an answer, and harms no other."""
        for bad in (b"\xc1", b"\x93\x01\x02\x03\x80", b"\x05\x80", b"\x91" * 4000):
            raw = self.connect(OPEN, frame(1, SYN, 3), data(1, bad), data(3, request(1, "Test.Echo", b"\x01")))
            self.assertIn((1, RST, 1, 0, b""), frames(raw.received))
            self.assertEqual(len(replies(stream(raw.received, 3))), 1)

    def test_bomb(self) -> None:
        """A request that is larger than any may be is cut off when that much of it is here."""
        self.calling.request_bytes_max = 1 << 20
        raw = self.connect(OPEN, data(1, request(1, "Test.Echo", b"\xdb\xff\xff\xff\xff")))
        for _ in range(9):
            raw.send(data(1, bytes(INITIAL_WINDOW // 2)))
            self.settle()
        self.assertIn((1, RST, 1, 0, b""), frames(raw.received))
        self.assertFalse(raw.lost)
        raw.send(frame(1, SYN, 3) + data(3, request(2, "Test.Echo", b"\x01")))
        self.settle()
        self.assertEqual(len(replies(stream(raw.received, 3))), 1)

    def test_beyondTheWindow(self) -> None:
        """Who sends beyond the window is told that the protocol is broken, and cut off; others are served."""
        raw = self.connect(OPEN, frame(0, 0, 1, INITIAL_WINDOW + 1))
        self.assertEqual(frames(raw.received)[-1], (3, 0, 0, 1, b""))
        self.assertTrue(raw.lost)
        self.successResultOf(self.call("Test.Echo", b"\x80"))

    def test_loggedOnce(self) -> None:
        """Whoever misbehaves again and again is in the log once a minute."""
        said = []

        def heard(event: object) -> None:
            if event["log_level"] is LogLevel.warn:  # type: ignore[index]
                said.append(event)

        globalLogPublisher.addObserver(heard)  # type: ignore[arg-type]
        self.addCleanup(globalLogPublisher.removeObserver, heard)
        for _ in range(20):
            self.connect(OPEN, frame(9)).transport.abortConnection()  # type: ignore[union-attr]
            self.settle()
        self.assertEqual(len(said), 1)

    def test_whoDoesNotRead(self) -> None:
        """Who asks and asks but takes no answers is not served further, and cut off after ten seconds."""
        raw = self.connect(OPEN)
        raw.transport.pauseProducing()  # type: ignore[union-attr]
        body = b"\xda\xff\xff" + bytes(65535)
        for number in range(40):
            id = 3 + 2 * number
            raw.send(frame(1, SYN, id) + data(id, request(1, "Test.Echo", body)))
        self.settle(1.0)
        served = len(self.calls)
        self.assertLess(served, 40)
        self.settle(WRITE_TIMEOUT - 2.0)
        self.assertEqual((len(self.calls), self.connections), (served, 1))
        self.settle(3.0)
        self.assertEqual(self.connections, 0)

    def test_windowOfTheOther(self) -> None:
        """An answer waits for the stream's window; the stream's next call is served after it."""
        body = b"\xdb" + struct.pack(">I", INITIAL_WINDOW) + bytes(INITIAL_WINDOW)
        asked = request(1, "Test.Echo", body)
        raw = self.connect(OPEN, data(1, asked[:1000]), data(1, asked[1000 : INITIAL_WINDOW - 10]))
        raw.send(data(1, asked[INITIAL_WINDOW - 10 :]) + data(1, request(2, "Test.Echo", b"\x01")))
        self.settle()
        self.assertEqual(len(self.calls), 1)
        self.assertEqual(len(stream(raw.received)), INITIAL_WINDOW)
        raw.send(frame(1, 0, 1, 1000))
        self.settle()
        self.assertEqual([one.sequence for one in replies(stream(raw.received))], [1, 2])

    def test_resetGivesUp(self) -> None:
        """A reset stream's call is given up; one whose asker has only ended is answered."""
        raw = self.connect(OPEN, frame(1, SYN, 3))
        raw.send(data(1, request(1, "Test.Wait", EMPTY)) + data(3, request(2, "Test.Wait", EMPTY)))
        raw.send(frame(1, RST, 1) + frame(1, FIN, 3))
        self.settle()
        self.assertEqual(self.cancelled, 1)
        self.waiting[1].callback(b"\x01")
        self.settle()
        self.assertEqual(len(replies(stream(raw.received, 3))), 1)
        self.assertEqual(frames(raw.received)[-1], (1, FIN, 3, 0, b""))

    def test_firedDeferreds(self) -> None:
        """A Deferred that has its answer already is as good as the answer."""
        self.calling.serve = lambda method, body, source: succeed(body)
        asked = b"".join(request(number, "Test.Echo", b"\x01") for number in range(500))
        raw = self.connect(OPEN, data(1, asked))
        self.assertEqual([one.sequence for one in replies(stream(raw.received))], list(range(500)))

    def test_cutWithinARequest(self) -> None:
        """A stream that ends within a request is ended."""
        raw = self.connect(OPEN, data(1, request(1, "Test.Echo", EMPTY)[:9], FIN))
        self.assertEqual(frames(raw.received)[-1], (1, FIN, 1, 0, b""))

    @settings(max_examples=60, deadline=None)
    @given(st.lists(st.binary(max_size=60), max_size=5), st.sampled_from((b"\x00", b"\x04", b"\x04" + OPEN)))
    def test_anyBytes(self, pieces: list[bytes], first: bytes) -> None:
        """Whatever is sent, others are served."""
        self.setUp()
        raw = self.raw()
        raw.send(first)
        for one in pieces:
            raw.send(one)
            self.settle()
        self.successResultOf(self.call("Test.Echo", b"\x80"))
