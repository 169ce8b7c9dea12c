"""What a connection's first byte leads to."""

from __future__ import annotations

from typing import Any

from twisted.internet.address import IPv4Address
from twisted.internet.interfaces import IHalfCloseableProtocol
from twisted.internet.protocol import Protocol, connectionDone
from twisted.internet.task import Clock
from twisted.internet.testing import StringTransport
from twisted.python.failure import Failure
from twisted.trial.unittest import SynchronousTestCase
from zope.interface import implementer

from txconsul.rpc.complaints import INTERVAL, SUBJECTS_MAX, Complaints
from txconsul.rpc.demux import FirstByte, ServerPort


@implementer(IHalfCloseableProtocol)
class Inner(Protocol):
    """Remembers."""

    def __init__(self, address: Any) -> None:
        self.address = address
        self.received = b""
        self.happened: list[str] = []

    def dataReceived(self, data: bytes) -> None:
        """See L{Protocol}."""
        self.received += data

    def readConnectionLost(self) -> None:
        """See L{IHalfCloseableProtocol}."""
        self.happened.append("read ended")

    def writeConnectionLost(self) -> None:
        """See L{IHalfCloseableProtocol}."""

    def connectionLost(self, reason: Failure = connectionDone) -> None:
        """See L{Protocol}."""
        self.happened.append("lost")


class ServerPortTests(SynchronousTestCase):
    """The server port."""

    def setUp(self) -> None:
        """A port which serves byte 1."""
        self.clock = Clock()
        self.made: list[Inner] = []
        self.port = ServerPort(self.clock)
        self.port.protocols[FirstByte.RAFT] = self.make

    def make(self, address: Any) -> Inner:
        """An inner protocol."""
        self.made.append(Inner(address))
        return self.made[-1]

    def connect(self, host: str = "10.0.0.1") -> tuple[Any, StringTransport]:
        """A new connection."""
        address = IPv4Address("TCP", host, 4000)
        protocol: Any = self.port.buildProtocol(address)
        transport = StringTransport(peerAddress=address)
        if protocol is not None:
            protocol.makeConnection(transport)
        return protocol, transport

    def test_byteLeadsOn(self) -> None:
        """What follows the first byte is given to the protocol that it stands for, as is everything that happens."""
        protocol, transport = self.connect()
        protocol.dataReceived(b"\x01ab")
        protocol.dataReceived(b"c")
        inner = self.made[0]
        self.assertEqual(inner.received, b"abc")
        self.assertIs(inner.transport, transport)
        self.assertEqual(inner.address.host, "10.0.0.1")
        protocol.readConnectionLost()
        protocol.connectionLost(connectionDone)
        self.assertEqual(inner.happened, ["read ended", "lost"])
        self.assertEqual(self.clock.getDelayedCalls(), [])
        self.assertEqual(self.port.connections, set())

    def test_unservedBytes(self) -> None:
        """A byte that is unknown or not served closes the connection; others are served on."""
        for byte in (0, 2, 3, 6, 9, 10, 22, 71, 255):
            protocol, transport = self.connect()
            protocol.dataReceived(bytes([byte]) + b"rest")
            self.assertTrue(transport.disconnecting)
            protocol.dataReceived(b"\x01")
        self.assertEqual(self.made, [])
        self.connect()[0].dataReceived(b"\x01")
        self.assertEqual(len(self.made), 1)

    def test_silence(self) -> None:
        """Who says nothing for 5 seconds is cut off; who said what it is may be silent for ever."""
        _, silent = self.connect()
        protocol, speaking = self.connect()
        protocol.dataReceived(b"\x01")
        self.clock.advance(4.9)
        self.assertFalse(silent.disconnecting)
        self.clock.advance(0.2)
        self.assertTrue(silent.disconnected)
        self.clock.advance(1000)
        self.assertFalse(speaking.disconnected)

    def test_connectionsPerClient(self) -> None:
        """One address may have so many connections; another is not concerned, and an end makes room."""
        self.port.connections_per_client_max = 2
        first, _ = self.connect()
        self.connect()
        self.assertIsNone(self.connect()[0])
        self.assertIsNotNone(self.connect("10.0.0.2")[0])
        first.connectionLost(connectionDone)
        self.assertIsNotNone(self.connect()[0])

    def test_tlsInsideTls(self) -> None:
        """Inside TLS there is no TLS."""
        self.port.protocols[FirstByte.TLS] = self.make
        inside: Any = self.port.inside().buildProtocol(None)
        transport = StringTransport(peerAddress=IPv4Address("TCP", "10.0.0.1", 4000))
        inside.makeConnection(transport)
        inside.dataReceived(b"\x03")
        self.assertTrue(transport.disconnecting)
        self.assertEqual(self.made, [])

    def test_tlsRequired(self) -> None:
        """Where TLS is required, nothing else is served outside of it."""
        self.port.tls_required = True
        self.port.protocols[FirstByte.TLS] = self.make
        protocol, transport = self.connect()
        protocol.dataReceived(b"\x01")
        self.assertTrue(transport.disconnecting)
        self.connect()[0].dataReceived(b"\x03")
        self.assertEqual(len(self.made), 1)
        inside: Any = self.port.inside().buildProtocol(None)
        inside.makeConnection(StringTransport(peerAddress=IPv4Address("TCP", "10.0.0.1", 4000)))
        inside.dataReceived(b"\x01")
        self.assertEqual(len(self.made), 2)

    def test_stop(self) -> None:
        """Stopping breaks off what is open."""
        _, transport = self.connect()
        self.port.stop()
        self.assertTrue(transport.disconnected)


class ComplaintsTests(SynchronousTestCase):
    """The log is not flooded."""

    def test_onceInAWhile(self) -> None:
        """One subject is complained about once a minute, another at once."""
        clock = Clock()
        complaints = Complaints(clock)
        self.assertTrue(complaints.say("a", "a misbehaves"))
        self.assertFalse(complaints.say("a", "a misbehaves"))
        self.assertTrue(complaints.say("b", "b misbehaves"))
        clock.advance(INTERVAL)
        self.assertTrue(complaints.say("a", "a misbehaves"))

    def test_bounded(self) -> None:
        """However many there are who misbehave, what is remembered and said is bounded."""
        complaints = Complaints(Clock())
        said = [complaints.say(number, "{number} misbehaves", number=number) for number in range(SUBJECTS_MAX + 10)]
        self.assertEqual(sum(said), SUBJECTS_MAX)
