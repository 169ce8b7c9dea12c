"""UDP by a descriptor of our own, without a network."""

from __future__ import annotations

import socket
from typing import Any

from twisted.internet.protocol import DatagramProtocol
from twisted.trial.unittest import SynchronousTestCase

from txconsul.net.datagrams import TURN_DATAGRAMS_MAX, DirectDatagrams, open_datagrams


class Place:
    """A socket of which recvfrom does what it is told."""

    family = socket.AF_INET

    def __init__(self, outcomes: list[Any]) -> None:
        self.outcomes = outcomes
        self.closed = 0

    def recvfrom(self, size: int) -> Any:
        if not self.outcomes:
            raise BlockingIOError
        outcome = self.outcomes.pop(0)
        if isinstance(outcome, OSError):
            raise outcome
        return outcome, ("192.0.2.1", 1)

    def sendto(self, data: bytes, address: Any = None) -> None:
        raise BlockingIOError

    send = sendto

    def connect(self, address: Any) -> None:
        raise OSError("no way to there")

    def fileno(self) -> int:
        return 9

    def close(self) -> None:
        self.closed += 1


class Reactor:
    """Remembers who reads."""

    def __init__(self) -> None:
        self.readers: list[Any] = []

    def addReader(self, reader: Any) -> None:
        self.readers.append(reader)

    def removeReader(self, reader: Any) -> None:
        self.readers.remove(reader)


class Receiver(DatagramProtocol):
    """Remembers what came; C{bad} is more than it can bear, C{stop} stops its port."""

    def __init__(self) -> None:
        self.got: list[bytes] = []
        self.port: Any = None
        self.refused = 0

    def datagramReceived(self, datagram: bytes, addr: Any) -> None:
        if datagram == b"bad":
            raise ValueError("bad")
        self.got.append(datagram)
        if datagram == b"stop":
            self.port.stopListening()

    def connectionRefused(self) -> None:
        self.refused += 1


class DirectDatagramsTests(SynchronousTestCase):
    """One descriptor."""

    def make(self, outcomes: list[Any]) -> tuple[DirectDatagrams, Receiver, Place]:
        """A place whose socket says these things."""
        place, receiver = Place(outcomes), Receiver()
        self.reactor = Reactor()
        port = receiver.port = DirectDatagrams(place, receiver, self.reactor)  # type: ignore[arg-type]
        port.startListening()
        return port, receiver, place

    def test_bound(self) -> None:
        """No more than so many are taken in a turn."""
        port, receiver, _ = self.make([b"a"] * (TURN_DATAGRAMS_MAX + 5))
        port.doRead()
        self.assertEqual(len(receiver.got), TURN_DATAGRAMS_MAX)
        port.doRead()
        self.assertEqual(len(receiver.got), TURN_DATAGRAMS_MAX + 5)

    def test_troubles(self) -> None:
        """News of undelivered datagrams, and mistakes in dealing with one, do not stop the next."""
        port, receiver, _ = self.make([ConnectionRefusedError(), OSError("network"), b"bad", b"a"])
        port.doRead()
        self.assertEqual((receiver.got, receiver.refused), ([b"a"], 0))
        self.assertEqual(len(self.flushLoggedErrors(ValueError)), 1)

    def test_stop(self) -> None:
        """Stopped in the middle, it takes no more, sends nothing, and is closed once."""
        port, receiver, place = self.make([b"a", b"stop", b"b"])
        port.doRead()
        port.stopListening()
        self.assertEqual((receiver.got, place.closed, self.reactor.readers), ([b"a", b"stop"], 1, []))
        port.write(b"a", ("192.0.2.1", 1))
        self.assertEqual(port.lost, 0)

    def test_lost(self) -> None:
        """What the kernel does not take is lost, and counted; nowhere to go is told."""
        port, receiver, _ = self.make([])
        port.write(b"a", ("192.0.2.1", 1))
        port.write(b"a")
        self.assertEqual(port.lost, 2)
        port.connect("192.0.2.1", 1)
        self.assertEqual((port.lost, receiver.refused), (3, 1))
        self.assertEqual((port.fileno(), port.logPrefix()), (9, "Receiver"))

    def test_ipv6(self) -> None:
        """IPv6 is bound, too, and says so."""
        try:
            port = open_datagrams(0, "::1", Receiver(), Reactor())
        except Exception:
            self.skipTest("no IPv6 here")
        self.assertEqual((port.getHost().type, port.getHost().host), ("UDP", "::1"))
        port.stopListening()
