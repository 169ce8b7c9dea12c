"""A connection as a descriptor, on a pair of connected sockets, without a reactor."""

from __future__ import annotations

import socket
from typing import Any

from twisted.internet.error import ConnectionAborted, ConnectionDone, ConnectionLost
from twisted.internet.interfaces import (
    IConsumer,
    IHalfCloseableProtocol,
    IPushProducer,
    IReadWriteDescriptor,
    ITCPTransport,
)
from twisted.internet.protocol import Protocol
from twisted.internet.task import Clock
from twisted.python.failure import Failure
from twisted.trial.unittest import SynchronousTestCase
from zope.interface import implementer
from zope.interface.verify import verifyObject

from txconsul.net.stream import WRITE_BYTES_HELD_MAX, Stream


class Poller:
    """Remembers what is watched, and does as a poller would when asked to."""

    def __init__(self) -> None:
        self.watched: dict[Any, tuple[bool, bool]] = {}
        self.changes = 0

    def add(self, descriptor: Any) -> None:
        self.watched[descriptor] = (True, False)

    def change(self, descriptor: Any, reading: bool, writing: bool) -> None:
        self.watched[descriptor] = (reading, writing)
        self.changes += 1

    def remove(self, descriptor: Any) -> None:
        del self.watched[descriptor]

    def read(self, descriptor: Any) -> None:
        self.lost(descriptor, descriptor.doRead())

    def write(self, descriptor: Any) -> None:
        self.lost(descriptor, descriptor.doWrite())

    def lost(self, descriptor: Any, why: Any) -> None:
        if why is not None:
            descriptor.connectionLost(Failure(why))


class Recorder(Protocol):
    """Remembers what it is told; C{react} is called with data."""

    def __init__(self) -> None:
        self.data = b""
        self.reason: Any = None
        self.react: Any = None

    def dataReceived(self, data: bytes) -> None:
        self.data += data
        if self.react is not None:
            self.react(data)

    def connectionLost(self, reason: Failure = Failure(ConnectionDone())) -> None:  # noqa: B008
        self.reason = reason.type


@implementer(IHalfCloseableProtocol)
class HalfRecorder(Recorder):
    """Goes on when the other side stops sending."""

    read_lost = 0

    def readConnectionLost(self) -> None:
        self.read_lost += 1

    def writeConnectionLost(self) -> None: ...


class Producer:
    """Remembers what it is told."""

    def __init__(self) -> None:
        self.told: list[str] = []
        self.on_resume: Any = None

    def pauseProducing(self) -> None:
        self.told.append("pause")

    def resumeProducing(self) -> None:
        self.told.append("resume")
        if self.on_resume is not None:
            self.on_resume()

    def stopProducing(self) -> None:
        self.told.append("stop")


class StreamTests(SynchronousTestCase):
    """What a protocol may expect of its transport."""

    def setUp(self) -> None:
        self.clock = Clock()
        self.poller = Poller()

    def open(self, protocol: Any = None) -> tuple[Stream, Any, socket.socket]:
        ours, theirs = socket.socketpair()
        ours.setblocking(False)
        theirs.setblocking(False)
        ours.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 4096)
        protocol = protocol or Recorder()
        stream = Stream(ours, "", self.clock, self.poller)
        stream.start(protocol)
        self.addCleanup(theirs.close)
        self.addCleanup(ours.close)
        return stream, protocol, theirs

    def drain(self, stream: Stream, theirs: socket.socket) -> bytes:
        """Take all that comes, as a poller would let it come."""
        taken = b""
        while True:
            try:
                data = theirs.recv(1 << 20)
            except BlockingIOError:
                if not self.poller.watched.get(stream, (False, False))[1]:
                    return taken
                self.poller.write(stream)
                continue
            if not data:
                return taken + b"<end>"
            taken += data

    def test_interfaces(self) -> None:
        """It is a transport, a descriptor, a consumer and a producer."""
        stream, _, _ = self.open()
        for interface in (ITCPTransport, IReadWriteDescriptor, IConsumer, IPushProducer):
            verifyObject(interface, stream)

    def test_answer(self) -> None:
        """What a protocol writes while it is given data leaves in one send, and nobody is asked about writing."""
        stream, protocol, theirs = self.open()

        def react(data: bytes) -> None:
            stream.write(b"a")
            stream.writeSequence([b"b", b"c"])
            self.assertRaises(BlockingIOError, theirs.recv, 10)

        protocol.react = react
        theirs.send(b"hello")
        self.poller.read(stream)
        self.assertEqual(protocol.data, b"hello")
        self.assertEqual(theirs.recv(10), b"abc")
        self.assertEqual(self.poller.changes, 0)

    def test_writeAtOtherTimes(self) -> None:
        """What is written at any other time leaves at once."""
        stream, _, theirs = self.open()
        stream.write(b"a")
        self.assertEqual(theirs.recv(10), b"a")
        self.assertEqual(self.poller.changes, 0)

    def test_spuriousEvents(self) -> None:
        """Being told of input that is not there does no harm."""
        stream, protocol, _ = self.open()
        self.poller.read(stream)
        self.poller.write(stream)
        self.assertIsNone(protocol.reason)

    def test_fullSocket(self) -> None:
        """What the socket does not take waits, in order, and the poller is asked about writing only then."""
        stream, _, theirs = self.open()
        pieces = [bytes([i]) * 50_000 for i in range(20)]
        for piece in pieces:
            stream.write(piece)
        self.assertEqual(self.poller.watched[stream], (True, True))
        self.assertEqual(self.poller.changes, 1)
        self.assertEqual(self.drain(stream, theirs), b"".join(pieces))
        self.assertEqual(self.poller.watched[stream], (True, False))

    def test_loseConnection(self) -> None:
        """Closing waits until all is sent; what is written after it is not."""
        stream, protocol, theirs = self.open()
        stream.write(b"a" * 500_000)
        stream.loseConnection()
        stream.write(b"b")
        self.clock.advance(0)
        self.assertIsNone(protocol.reason)
        self.assertEqual(self.drain(stream, theirs), b"a" * 500_000 + b"<end>")
        self.assertIs(protocol.reason, ConnectionDone)
        self.assertEqual(self.poller.watched, {})

    def test_loseConnectionIsLater(self) -> None:
        """The protocol is not told in the middle of its own call."""
        stream, protocol, theirs = self.open()
        stream.loseConnection()
        self.assertIsNone(protocol.reason)
        self.clock.advance(0)
        self.assertIs(protocol.reason, ConnectionDone)
        self.assertEqual(theirs.recv(10), b"")

    def test_answerAndClose(self) -> None:
        """An answer and a close from within data arrive both."""
        stream, protocol, theirs = self.open()

        def react(data: bytes) -> None:
            stream.write(b"bye")
            stream.loseConnection()

        protocol.react = react
        theirs.send(b"x")
        self.poller.read(stream)
        self.assertIs(protocol.reason, ConnectionDone)
        self.assertEqual(self.drain(stream, theirs), b"bye<end>")
        self.clock.advance(0)

    def test_loseWriteConnection(self) -> None:
        """Closing one direction waits until all is sent, and leaves the other open."""
        stream, protocol, theirs = self.open()
        stream.write(b"a" * 500_000)
        stream.loseWriteConnection()
        self.assertEqual(self.drain(stream, theirs), b"a" * 500_000 + b"<end>")
        theirs.send(b"late")
        self.poller.read(stream)
        self.assertEqual(protocol.data, b"late")
        theirs.close()
        self.poller.read(stream)
        self.assertIs(protocol.reason, ConnectionDone)

    def test_abortConnection(self) -> None:
        """Aborting throws away what is unsent."""
        stream, protocol, theirs = self.open()
        stream.write(b"a" * 500_000)
        stream.abortConnection()
        self.assertIsNone(protocol.reason)
        self.clock.advance(0)
        self.assertIs(protocol.reason, ConnectionAborted)
        self.assertLess(len(self.drain(stream, theirs)), 500_000)

    def test_otherSideCloses(self) -> None:
        """The end of input is the end, for a protocol that says nothing else."""
        stream, protocol, theirs = self.open()
        theirs.send(b"a")
        theirs.close()
        self.poller.read(stream)
        self.poller.read(stream)
        self.assertEqual((protocol.data, protocol.reason), (b"a", ConnectionDone))

    def test_halfCloseable(self) -> None:
        """A protocol that can go on is told, reading ends, and it can still write."""
        stream, protocol, theirs = self.open(HalfRecorder())
        theirs.shutdown(socket.SHUT_WR)
        self.poller.read(stream)
        self.assertEqual(protocol.read_lost, 1)
        self.assertEqual(self.poller.watched[stream], (False, False))
        stream.write(b"still")
        stream.loseConnection()
        self.assertEqual(self.drain(stream, theirs), b"still")
        self.clock.advance(0)
        self.assertIs(protocol.reason, ConnectionDone)

    def test_writeToNobody(self) -> None:
        """Writing to a connection that is gone tells so later, not in the middle of the write."""
        stream, protocol, theirs = self.open()
        theirs.close()
        stream.write(b"a")
        self.assertIsNone(protocol.reason)
        stream.write(b"a")
        self.clock.advance(0)
        self.assertIs(protocol.reason, ConnectionLost)
        stream.write(b"a")
        stream.loseConnection()
        stream.abortConnection()
        stream.pauseProducing()

    def test_pauseProducing(self) -> None:
        """A paused transport does not read."""
        stream, _, _ = self.open()
        stream.pauseProducing()
        stream.pauseProducing()
        self.assertEqual(self.poller.watched[stream], (False, False))
        stream.resumeProducing()
        stream.resumeProducing()
        self.assertEqual(self.poller.watched[stream], (True, False))
        self.assertEqual(self.poller.changes, 2)

    def test_pushProducer(self) -> None:
        """A producer is paused while more than the limit is unsent, within data received or not, and resumed after."""
        stream, protocol, theirs = self.open()
        producer = Producer()
        stream.registerProducer(producer, True)
        self.assertRaises(RuntimeError, stream.registerProducer, producer, True)
        stream.write(b"a" * (WRITE_BYTES_HELD_MAX * 4))
        self.assertEqual(producer.told, ["pause"])
        self.assertEqual(len(self.drain(stream, theirs)), WRITE_BYTES_HELD_MAX * 4)
        self.assertEqual(producer.told, ["pause", "resume"])
        protocol.react = lambda data: stream.write(b"a" * (WRITE_BYTES_HELD_MAX * 4))
        theirs.send(b"x")
        self.poller.read(stream)
        self.assertEqual(producer.told, ["pause", "resume", "pause"])
        self.drain(stream, theirs)
        stream.connectionLost(Failure(ConnectionDone()))
        self.assertEqual(producer.told, ["pause", "resume", "pause", "resume", "stop"])
        stream.registerProducer(late := Producer(), True)
        self.assertEqual(late.told, ["stop"])

    def test_pullProducer(self) -> None:
        """A pull producer is asked once a turn for as long as the socket takes what it gives."""
        stream, _, theirs = self.open()
        producer = Producer()
        left = [b"%d" % i * 30_000 for i in range(9)]

        def produce() -> None:
            if left:
                stream.write(left.pop(0))
            else:
                stream.unregisterProducer()
                stream.loseConnection()

        producer.on_resume = produce
        whole = b"".join(left)
        stream.registerProducer(producer, False)
        self.assertEqual(producer.told, [])
        self.assertEqual(self.drain(stream, theirs), whole + b"<end>")

    def test_options(self) -> None:
        """TCP's options can be asked for and set."""
        listener = socket.create_server(("127.0.0.1", 0))
        theirs = socket.create_connection(listener.getsockname())
        ours, name = listener.accept()
        for each in (listener, theirs, ours):
            self.addCleanup(each.close)
        stream = Stream(ours, name, self.clock, self.poller)
        for enabled in (True, False):
            stream.setTcpNoDelay(enabled)
            stream.setTcpKeepAlive(enabled)
            self.assertIs(stream.getTcpNoDelay(), enabled)
            self.assertIs(stream.getTcpKeepAlive(), enabled)
        self.assertEqual((stream.getPeer().host, stream.getPeer().port), theirs.getsockname())
        self.assertEqual((stream.getHost().host, stream.getHost().port), theirs.getpeername())

    def test_protocolFailsToStart(self) -> None:
        """A protocol that cannot start is closed, and logged."""

        class Failing(Recorder):
            def connectionMade(self) -> None:
                raise ZeroDivisionError

        _, protocol, theirs = self.open(Failing())
        self.assertIs(protocol.reason, ZeroDivisionError)
        self.assertEqual(theirs.recv(1), b"")
        self.assertEqual(len(self.flushLoggedErrors(ZeroDivisionError)), 1)
