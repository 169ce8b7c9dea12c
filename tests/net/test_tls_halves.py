"""TLS connections that end one half after the other."""

from __future__ import annotations

from random import Random
from typing import Any

from OpenSSL import crypto
from twisted.internet.interfaces import IHalfCloseableProtocol
from twisted.internet.protocol import Factory, Protocol, connectionDone
from twisted.internet.ssl import CertificateOptions
from twisted.internet.task import Clock
from twisted.python.failure import Failure
from twisted.trial.unittest import SynchronousTestCase
from zope.interface import implementer

from tests.net.test_tls import CA, SERVER
from txconsul.net.memory import Wire
from txconsul.net.tls_client import ClientTLS, Identity
from txconsul.net.tls_halves import HalfClosableTLSFactory


@implementer(IHalfCloseableProtocol)
class Half(Protocol):
    """Sends something, ends its half, and remembers what comes."""

    def __init__(self, first: bytes = b"", answer: bytes = b"") -> None:
        self.first = first
        self.answer = answer
        self.received = b""
        self.happened: list[str] = []

    def connectionMade(self) -> None:
        """See L{Protocol}."""
        if self.first:
            transport: Any = self.transport
            transport.write(self.first)
            transport.loseWriteConnection()
            transport.write(b"too late")
            transport.loseWriteConnection()

    def dataReceived(self, data: bytes) -> None:
        """See L{Protocol}."""
        self.received += data

    def readConnectionLost(self) -> None:
        """See L{IHalfCloseableProtocol}."""
        self.happened.append("read ended")
        transport: Any = self.transport
        if self.answer:
            transport.write(self.answer)
        transport.loseConnection()

    def writeConnectionLost(self) -> None:
        """See L{IHalfCloseableProtocol}."""

    def connectionLost(self, reason: Failure = connectionDone) -> None:
        """See L{Protocol}."""
        self.happened.append("lost")


class Plain(Protocol):
    """Knows nothing of halves."""

    def __init__(self) -> None:
        self.received = b""
        self.lost: Failure | None = None

    def dataReceived(self, data: bytes) -> None:
        """See L{Protocol}."""
        self.received += data

    def connectionLost(self, reason: Failure = connectionDone) -> None:
        """See L{Protocol}."""
        self.lost = reason


class HalvesTests(SynchronousTestCase):
    """Both sides on a wire without sockets."""

    def connect(self, server: Protocol, client: Protocol) -> None:
        """Let them talk."""
        clock = Clock()
        wire = Wire(clock, Random(1))
        one, other = wire.host("one", "10.0.0.1"), wire.host("other", "10.0.0.2")
        options = CertificateOptions(
            privateKey=crypto.PKey.from_cryptography_key(SERVER[1]),
            certificate=crypto.X509.from_cryptography(SERVER[0]),
        )
        creator = ClientTLS(Identity(trusted=(crypto.X509.from_cryptography(CA[0]),))).creator("localhost")

        def plain(protocol: Protocol) -> Any:
            return Factory.forProtocol(lambda: protocol)  # type: ignore[arg-type]

        one.listen("tcp:1", HalfClosableTLSFactory(options, False, plain(server), clock))
        other.connect("tcp:10.0.0.1:1", HalfClosableTLSFactory(creator, True, plain(client), clock))
        for _ in range(200):
            clock.advance(0.01)
        self.assertEqual(clock.getDelayedCalls(), [])

    def test_answerAfterTheEnd(self) -> None:
        """What is written before the handshake is over and then ended arrives, and is answered, whatever its length."""
        for size in (1, 100_000, 3_000_000):
            server, client = Half(answer=b"a" * size), Half(first=b"q" * size)
            self.connect(server, client)
            self.assertEqual((len(server.received), len(client.received)), (size, size))
            self.assertEqual(server.happened, ["read ended", "lost"])
            self.assertEqual(client.happened, ["read ended", "lost"])

    def test_whoKnowsNothingOfHalves(self) -> None:
        """For other protocols the end of one half is the end of both, as ever."""
        server, client = Plain(), Half(first=b"q")
        self.connect(server, client)
        self.assertEqual(server.received, b"q")
        assert server.lost is not None
        self.assertIn("lost", client.happened)
