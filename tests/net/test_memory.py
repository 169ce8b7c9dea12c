"""The network without sockets: what may happen between hosts, and that a seed decides it."""

from __future__ import annotations

from collections.abc import Callable
from random import Random
from typing import Any

from twisted.internet.defer import Deferred
from twisted.internet.error import (
    CannotListenError,
    ConnectingCancelledError,
    ConnectionAborted,
    ConnectionDone,
    ConnectionLost,
    ConnectionRefusedError,
    DNSLookupError,
    NoProtocol,
    TimeoutError,
)
from twisted.internet.interfaces import IHalfCloseableProtocol, IPullProducer, IPushProducer, ITCPTransport
from twisted.internet.protocol import DatagramProtocol, Factory, Protocol
from twisted.internet.task import Clock
from twisted.trial.unittest import SynchronousTestCase
from zope.interface import implementer
from zope.interface.verify import verifyObject

from txconsul.net.memory import Conditions, MemoryNetwork, Wire
from txconsul.net.memory_stream import GIVE_UP_SECONDS, WINDOW_BYTES
from txconsul.simulation.clock import ProcessClock, SimulatedClock


class Side(Protocol):
    """Keeps what comes and how it ends."""

    transport: Any

    def __init__(self) -> None:
        self.data = b""
        self.times: list[float] = []
        self.reason: Any = None
        self.now: Callable[[], float] = lambda: 0.0

    def dataReceived(self, data: bytes) -> None:
        self.data += data
        self.times.append(self.now())

    def connectionLost(self, reason: Any = None) -> None:
        self.reason = reason.type


@implementer(IHalfCloseableProtocol)
class HalfSide(Side):
    """Goes on when the other side sends no more."""

    read_lost = False

    def readConnectionLost(self) -> None:
        self.read_lost = True

    def writeConnectionLost(self) -> None:
        """It knows."""


class Sides(Factory):
    """Makes sides, and keeps them."""

    noisy = False

    def __init__(self, kind: Callable[[], Any] = Side) -> None:
        self.kind = kind
        self.made: list[Any] = []

    def buildProtocol(self, addr: Any) -> Any:
        self.made.append(self.kind())
        return self.made[-1]


class Packets(DatagramProtocol):
    """Keeps datagrams."""

    noisy = False
    transport: Any

    def __init__(self) -> None:
        self.got: list[Any] = []
        self.refused = 0

    def datagramReceived(self, datagram: bytes, addr: Any) -> None:
        self.got.append((datagram, addr))

    def connectionRefused(self) -> None:
        self.refused += 1


class WireCase(SynchronousTestCase):
    """Two hosts, a and b; b listens at port 8300."""

    conditions = Conditions(delay=0.01)

    def setUp(self) -> None:
        self.clock: Any = SimulatedClock()
        self.wire = Wire(self.clock, Random(1), self.conditions)
        self.clocks = {name: ProcessClock(self.clock) for name in "ab"}
        self.a = self.host("a", "10.0.0.1", "fd00::1")
        self.b = self.host("b", "10.0.0.2")
        self.listening = Sides()
        self.port = self.listen(self.b, "tcp:8300", self.listening)

    def host(self, name: str, *addresses: str) -> MemoryNetwork:
        """A host whose process can stand still."""
        clock = self.clocks[name]
        return self.wire.host(name, *addresses, clock=clock, paused=lambda: clock.paused)

    def listen(self, host: MemoryNetwork, description: str, factory: Any) -> Any:
        """Listen there."""
        return self.successResultOf(host.listen(description, factory))

    def dial(self, description: str = "tcp:10.0.0.2:8300", kind: Callable[[], Any] = Side) -> Deferred[Any]:
        """From a to there."""
        return self.a.connect(description, Sides(kind))

    def connect(self, kind: Callable[[], Any] = Side) -> tuple[Any, Any]:
        """Both sides of a connection from a to b."""
        connecting = self.dial(kind=kind)
        self.clock.advance(1)
        return self.successResultOf(connecting), self.listening.made[-1]

    def places(self) -> tuple[Packets, Packets]:
        """Places for datagrams at a and b."""
        here, there = Packets(), Packets()
        self.successResultOf(self.a.datagrams("udp:8301", here))
        self.successResultOf(self.b.datagrams("udp:8301", there))
        return here, there


class StreamTests(WireCase):
    """Connections."""

    def test_transport(self) -> None:
        """Both sides have a TCP transport, with addresses that fit."""
        here, there = self.connect()
        for side in (here, there):
            verifyObject(ITCPTransport, side.transport)
            side.transport.setTcpNoDelay(False)
            side.transport.setTcpKeepAlive(False)
            self.assertEqual((side.transport.getTcpNoDelay(), side.transport.getTcpKeepAlive()), (False, False))
        self.assertEqual(here.transport.getHost(), there.transport.getPeer())
        self.assertEqual(there.transport.getHost(), here.transport.getPeer())
        self.assertEqual((here.transport.getHost().host, here.transport.getPeer().port), ("10.0.0.1", 8300))

    def test_delay(self) -> None:
        """What is sent takes its time, and what is written at once arrives at once."""
        here, there = self.connect()
        there.now = self.clock.seconds
        sent = self.clock.seconds()
        here.transport.write(b"a")
        here.transport.writeSequence([b"b", b"c"])
        self.clock.advance(1)
        self.assertEqual((there.data, len(there.times)), (b"abc", 1))
        self.assertTrue(0.005 <= there.times[0] - sent <= 0.02)

    def test_order(self) -> None:
        """However late and lossy the way, a stream's bytes come in order."""
        self.wire.conditions = Conditions(delay=0.01, late=0.3, loss=0.3, double=0.3)
        here, there = self.connect()
        for number in range(200):
            here.transport.write(b"%d " % number)
            self.clock.advance(0.001)
        self.clock.advance(300)
        self.assertEqual(there.data.split(), [b"%d" % number for number in range(200)])

    def test_refused(self) -> None:
        """Where nobody listens, one is refused; at a wrong interface as well."""
        self.listen(self.b, "tcp:9:interface=127.0.0.1", Sides())
        for port in (1, 9):
            failing = self.dial(f"tcp:10.0.0.2:{port}")
            self.clock.advance(1)
            self.failureResultOf(failing, ConnectionRefusedError)
        unix = self.dial("unix:/nowhere")
        self.clock.advance(1)
        self.failureResultOf(unix, ConnectionRefusedError)

    def test_nobody(self) -> None:
        """Where no machine is, nothing comes back until the time is up."""
        failing = self.dial("tcp:10.0.0.9:8300:timeout=5")
        self.clock.advance(4.9)
        self.assertNoResult(failing)
        self.clock.advance(0.2)
        self.failureResultOf(failing, TimeoutError)

    def test_cancelled(self) -> None:
        """Who gives up leaves nothing behind; whoever accepted learns of it."""
        failing = self.dial("tcp:10.0.0.9:8300")
        failing.cancel()
        self.failureResultOf(failing, ConnectingCancelledError)
        self.wire.cut("b", "a")
        failing = self.dial()
        self.clock.advance(0.5)
        self.wire.mend()
        failing.cancel()
        self.failureResultOf(failing, ConnectingCancelledError)
        self.clock.advance(1)
        self.assertIs(self.listening.made[0].reason, ConnectionLost)
        self.assertEqual([call for call in self.clock.getDelayedCalls() if call.active()], [])

    def test_noProtocol(self) -> None:
        """Either side may want no protocol."""
        failing = self.dial(kind=lambda: None)
        self.clock.advance(1)
        self.failureResultOf(failing, NoProtocol)
        self.listening.kind = lambda: None
        self.listening.made.clear()
        side = self.connect()[0]
        self.assertIs(side.reason, ConnectionLost)

    def test_closed(self) -> None:
        """What was written comes before the end, which is clean on both sides."""
        here, there = self.connect()
        here.transport.write(b"a" * 3 * WINDOW_BYTES)
        here.transport.loseConnection()
        here.transport.write(b"more")
        self.clock.advance(2)
        self.assertEqual(len(there.data), 3 * WINDOW_BYTES)
        self.assertEqual((here.reason, there.reason), (ConnectionDone, ConnectionDone))
        self.assertEqual((self.a.streams, self.b.streams), ({}, {}))

    def test_aborted(self) -> None:
        """Who aborts knows it; the other side has lost the connection."""
        here, there = self.connect()
        here.transport.abortConnection()
        self.assertIsNone(here.reason)
        self.clock.advance(1)
        self.assertEqual((here.reason, there.reason), (ConnectionAborted, ConnectionLost))

    def test_halfClosed(self) -> None:
        """A direction may end before the other."""
        self.listening.kind = HalfSide
        here, there = self.connect(HalfSide)
        here.transport.write(b"question")
        here.transport.loseWriteConnection()
        here.transport.write(b"more")
        self.clock.advance(1)
        self.assertEqual((there.data, there.read_lost, there.reason), (b"question", True, None))
        there.transport.write(b"answer")
        there.transport.loseWriteConnection()
        self.clock.advance(1)
        self.assertEqual((here.data, here.read_lost), (b"answer", True))
        self.assertEqual((here.reason, there.reason), (ConnectionDone, ConnectionDone))

    def test_notHalfCloseable(self) -> None:
        """A protocol that knows no half is closed by the other side's end."""
        here, there = self.connect(HalfSide)
        here.transport.loseWriteConnection()
        self.clock.advance(1)
        self.assertEqual((here.reason, there.reason), (ConnectionDone, ConnectionDone))

    def test_backPressure(self) -> None:
        """A reader that stands still stops the writer, whose producer pauses and goes on with it."""
        here, there = self.connect()

        @implementer(IPushProducer)
        class Producer:
            said: list[str] = []

            def pauseProducing(self) -> None:
                self.said.append("pause")

            def resumeProducing(self) -> None:
                self.said.append("resume")

            def stopProducing(self) -> None:
                self.said.append("stop")

        there.transport.pauseProducing()
        producer = Producer()
        here.transport.registerProducer(producer, True)
        self.assertRaises(RuntimeError, here.transport.registerProducer, producer, True)
        here.transport.write(b"a" * 2 * WINDOW_BYTES)
        self.clock.advance(10)
        self.assertEqual((there.data, producer.said), (b"", ["pause"]))
        there.transport.resumeProducing()
        self.clock.advance(10)
        self.assertEqual((len(there.data), producer.said), (2 * WINDOW_BYTES, ["pause", "resume"]))
        here.transport.abortConnection()
        self.clock.advance(1)
        self.assertEqual(producer.said[-1], "stop")
        here.transport.registerProducer(producer, True)
        self.assertEqual(producer.said[-2:], ["stop", "stop"])

    def test_pullProducer(self) -> None:
        """A pull producer gives as the reader takes, and no more."""
        here, there = self.connect()

        @implementer(IPullProducer)
        class Producer:
            left = 100

            def resumeProducing(self) -> None:
                here.transport.write(b"a" * 10_000)
                self.left -= 1
                if not self.left:
                    here.transport.unregisterProducer()

            def stopProducing(self) -> None:
                """Nothing to do."""

        producer = Producer()
        there.transport.pauseProducing()
        here.transport.registerProducer(producer, False)
        self.clock.advance(10)
        self.assertTrue(60 < producer.left < 80, producer.left)
        there.transport.resumeProducing()
        self.clock.advance(10)
        self.assertEqual((len(there.data), producer.left), (1_000_000, 0))

    def test_protocolFails(self) -> None:
        """A protocol that raises loses its connection, and only that."""
        here, there = self.connect()
        there.dataReceived = lambda data: 1 / 0
        here.transport.write(b"a")
        self.clock.advance(1)
        self.assertEqual(len(self.flushLoggedErrors(ZeroDivisionError)), 1)
        self.assertEqual((here.reason, there.reason), (ConnectionLost, ZeroDivisionError))
        self.listening.kind = lambda: 1 / 0
        connecting = self.dial()
        self.clock.advance(1)
        self.assertIs(self.successResultOf(connecting).reason, ConnectionLost)
        self.assertEqual(len(self.flushLoggedErrors(ZeroDivisionError)), 1)

    def test_unix(self) -> None:
        """A path leads to another process of the same host only, and to one."""
        factory = Sides()
        self.listen(self.a, "unix:/run/a:mode=600", factory)
        self.failureResultOf(self.a.listen("unix:/run/a", factory), CannotListenError)
        here = self.dial("unix:/run/a")
        self.clock.advance(0)
        self.successResultOf(here).transport.write(b"x")
        self.clock.advance(0)
        self.assertEqual(factory.made[0].data, b"x")

    def test_loopback(self) -> None:
        """What stays within a host takes no time, and is seen from there only."""
        factory = Sides()
        port = self.listen(self.a, "tcp:0:interface=127.0.0.1", factory)
        here = self.dial(f"tcp:localhost:{port.getHost().port}")
        self.clock.advance(0)
        self.assertEqual(self.successResultOf(here).transport.getHost().host, "127.0.0.1")
        self.failureResultOf(self.a.listen("tcp:1:interface=10.0.0.2", factory), CannotListenError)

    def test_names(self) -> None:
        """Hosts are found by their names, and what has none is not."""
        self.assertEqual(self.successResultOf(self.a.resolve("b")), "10.0.0.2")
        self.failureResultOf(self.a.resolve("c"), DNSLookupError)
        here = self.dial("tcp:b:8300")
        self.clock.advance(1)
        self.successResultOf(here)
        self.failureResultOf(self.dial("tcp:c:8300"), DNSLookupError)

    def test_ipv6(self) -> None:
        """IPv6 is as good, and a name that is no description is refused."""
        factory = Sides()
        self.listen(self.a, r"tcp6:80", factory)
        here = self.dial(r"tcp:fd00\:\:1:80")
        self.clock.advance(0)
        self.assertEqual(self.successResultOf(here).transport.getPeer().host, "fd00::1")
        self.failureResultOf(self.dial("ssl:a:1"), ValueError)
        self.failureResultOf(self.a.listen("ssl:1", factory), ValueError)


class CutTests(WireCase):
    """Nothing passes."""

    def test_mended(self) -> None:
        """What was written during a cut comes after it, in order, as TCP sends it again."""
        here, there = self.connect()
        self.wire.part("a", "b")
        here.transport.write(b"a")
        self.clock.advance(1)
        here.transport.write(b"b")
        here.transport.loseConnection()
        self.clock.advance(5)
        self.assertEqual((there.data, here.reason), (b"", ConnectionDone))
        self.wire.mend()
        self.clock.advance(10)
        self.assertEqual((there.data, there.reason), (b"ab", ConnectionDone))

    def test_oneWay(self) -> None:
        """One direction may be cut, the other not."""
        here, there = self.connect()
        self.wire.cut("a", "b")
        here.transport.write(b"a")
        there.transport.write(b"b")
        self.clock.advance(1)
        self.assertEqual((here.data, there.data), (b"b", b""))
        self.assertFalse(self.wire.passes("a", "b"))
        self.wire.mend("a", "b")
        self.assertTrue(self.wire.passes("a", "b"))

    def test_forever(self) -> None:
        """In the end it is given up."""
        here, there = self.connect()
        self.wire.part("a", "b")
        here.transport.write(b"a")
        self.clock.advance(GIVE_UP_SECONDS + 300)
        self.assertEqual((here.reason, there.reason), (ConnectionLost, None))
        self.wire.mend()
        there.transport.write(b"b")
        self.clock.advance(1)
        self.assertIs(there.reason, ConnectionLost)

    def test_connecting(self) -> None:
        """A connection comes about once the way is free, if that is in time."""
        self.wire.cut("b", "a")
        connecting = self.dial()
        self.clock.advance(5)
        self.assertNoResult(connecting)
        self.wire.mend()
        self.clock.advance(5)
        self.successResultOf(connecting)
        self.assertEqual(len(self.listening.made), 1)

    def test_windowCut(self) -> None:
        """A writer that fills the window while no acknowledgement comes goes on after the cut."""
        here, there = self.connect()
        self.wire.cut("b", "a")
        here.transport.write(b"a" * 3 * WINDOW_BYTES)
        self.clock.advance(60)
        self.assertEqual(len(there.data), WINDOW_BYTES)
        self.wire.mend()
        self.clock.advance(60)
        self.assertEqual(len(there.data), 3 * WINDOW_BYTES)


class ProcessTests(WireCase):
    """Processes that stand still, and that end."""

    def test_paused(self) -> None:
        """A process that stands still is connected to, but answers when it goes on."""
        here, there = self.connect()
        packets, others = self.places()
        self.clocks["b"].paused_until = self.clock.now + 10
        here.transport.write(b"a")
        packets.transport.write(b"p", ("10.0.0.2", 8301))
        another = self.dial()
        self.clock.advance(5)
        self.successResultOf(another)
        self.assertEqual((there.data, others.got, len(self.listening.made)), (b"", [], 1))
        self.clock.advance(5)
        self.assertEqual((there.data, len(others.got), len(self.listening.made)), (b"a", 1, 2))

    def test_killed(self) -> None:
        """The dead are told nothing; the others lose their connections and are refused."""
        here, there = self.connect()
        there.transport.write(b"last")
        self.clocks["b"].end()
        self.b.kill()
        self.clock.advance(1)
        self.assertEqual((here.data, here.reason, there.reason), (b"last", ConnectionLost, None))
        failing = self.dial()
        self.clock.advance(1)
        self.failureResultOf(failing, ConnectionRefusedError)
        self.failureResultOf(self.b.listen("tcp:1", Sides()), CannotListenError)

    def test_silent(self) -> None:
        """A machine that loses its power says nothing, and knows nothing of old connections when it is back."""
        here, _ = self.connect()
        self.clocks["b"].end()
        self.b.kill(silent=True)
        here.transport.write(b"a")
        self.clock.advance(5)
        self.assertIsNone(here.reason)
        self.clocks["b"] = ProcessClock(self.clock)
        self.assertRaises(ValueError, self.wire.host, "a", "10.0.0.7")
        self.assertRaises(ValueError, self.wire.host, "b", "10.0.0.1")
        self.b = self.host("b", "10.0.0.3")
        self.listen(self.b, "tcp:8300", self.listening)
        self.clock.advance(10)
        self.assertIs(here.reason, ConnectionLost)
        again = self.dial("tcp:b:8300")
        self.clock.advance(1)
        self.assertEqual(self.successResultOf(again).transport.getPeer().host, "10.0.0.3")

    def test_stopped(self) -> None:
        """Who stops listening keeps what is connected, and the port is free."""
        here, there = self.connect()
        self.successResultOf(self.port.stopListening())
        self.successResultOf(self.port.stopListening())
        here.transport.write(b"a")
        self.clock.advance(1)
        self.assertEqual(there.data, b"a")
        self.listen(self.b, "tcp:8300", Sides())


class DatagramTests(WireCase):
    """Datagrams."""

    def test_lossy(self) -> None:
        """Some get lost, some come twice, some are overtaken, some are too large."""
        self.wire.conditions = Conditions(delay=0.01, late=0.1, loss=0.2, double=0.2)
        here, there = self.places()
        for number in range(1000):
            here.transport.write(b"%d" % number, ("10.0.0.2", 8301))
            self.clock.advance(0.01)
        self.clock.advance(1)
        numbers = [int(data) for data, _ in there.got]
        self.assertTrue(700 < len(set(numbers)) < 900, len(set(numbers)))
        self.assertGreater(len(numbers), len(set(numbers)) + 100)
        self.assertNotEqual(numbers, sorted(numbers))
        self.assertEqual(there.got[0][1], ("10.0.0.1", 8301))
        here.transport.write(b"a" * 65508, ("10.0.0.2", 8301))
        here.transport.write(b"a", ("10.0.0.9", 8301))
        self.assertEqual(here.transport.lost, 2)

    def test_cut(self) -> None:
        """What is on its way when it is cut off is lost."""
        here, there = self.places()
        here.transport.write(b"a", ("10.0.0.2", 8301))
        self.wire.cut("a", "b")
        self.clock.advance(1)
        self.wire.mend()
        there.transport.write(b"b", ("10.0.0.1", 8301))
        self.clock.advance(1)
        self.assertEqual((there.got, len(here.got)), ([], 1))

    def test_connected(self) -> None:
        """Who deals with one address hears of no other, and is told when nobody is there."""
        here, there = self.places()
        here.transport.connect("10.0.0.2", 9)
        there.transport.write(b"a", ("10.0.0.1", 8301))
        here.transport.write(b"a")
        self.clock.advance(1)
        self.assertEqual((here.got, here.refused), ([], 1))

    def test_badReceiver(self) -> None:
        """A receiver that raises gets the next one."""
        here, there = self.places()
        there.datagramReceived = lambda datagram, addr: 1 / 0  # type: ignore[method-assign]
        for _ in range(2):
            here.transport.write(b"a", ("10.0.0.2", 8301))
        self.clock.advance(1)
        self.assertEqual(len(self.flushLoggedErrors(ZeroDivisionError)), 2)


class SeedTests(SynchronousTestCase):
    """Chance comes from the seed."""

    def run_once(self, seed: int, clock: Any) -> list[Any]:
        """Some traffic in a bad world, as it was seen."""
        wire = Wire(clock, Random(seed), Conditions(delay=0.01, late=0.2, loss=0.2, double=0.2))
        a, b = wire.host("a", "10.0.0.1"), wire.host("b", "10.0.0.2")
        seen: list[Any] = []

        class Noting(Side):
            def dataReceived(self, data: bytes) -> None:
                seen.append((clock.seconds(), data))

        class NotingPackets(Packets):
            def datagramReceived(self, datagram: bytes, addr: Any) -> None:
                seen.append((clock.seconds(), datagram, addr))

        self.successResultOf(b.listen("tcp:1", Sides(Noting)))
        self.successResultOf(b.datagrams("udp:1", NotingPackets()))
        packets = Packets()
        self.successResultOf(a.datagrams("udp:0", packets))
        connecting = a.connect("tcp:10.0.0.2:1", Sides())
        for number in range(100):
            clock.advance(0.1)
            packets.transport.write(b"%d" % number, ("10.0.0.2", 1))
            if connecting.called:
                connecting.addCallback(lambda side, n=number: (side.transport.write(b"%d" % n), side)[1])
        clock.advance(60)
        return seen

    def test_same(self) -> None:
        """The same seed gives the same run, another seed another."""
        first = self.run_once(1, SimulatedClock())
        self.assertGreater(len(first), 150)
        self.assertEqual(first, self.run_once(1, SimulatedClock()))
        self.assertNotEqual(first, self.run_once(2, SimulatedClock()))

    def test_twistedsClock(self) -> None:
        """Twisted's clock serves as well."""
        self.assertGreater(len(self.run_once(1, Clock())), 150)
