"""What every INetwork does, by each provider."""

from __future__ import annotations

import errno
import os
import socket
import stat
from random import Random
from typing import Any

from twisted.internet import reactor
from twisted.internet.defer import Deferred, inlineCallbacks
from twisted.internet.error import CannotListenError, ConnectionDone, DNSLookupError
from twisted.internet.interfaces import IListeningPort
from twisted.internet.protocol import DatagramProtocol, Factory, Protocol
from twisted.internet.task import Clock
from twisted.python.failure import Failure
from twisted.trial.unittest import SynchronousTestCase, TestCase
from zope.interface.verify import verifyObject

from txconsul.http.connection import Response
from txconsul.http.server import HTTPFactory
from txconsul.interfaces import INetwork
from txconsul.net.direct import ACCEPT_PAUSE_SECONDS, TURN_ACCEPTS_MAX, DirectNetwork, DirectPort
from txconsul.net.memory import Wire
from txconsul.net.poller import ReactorPoller
from txconsul.net.reactor import ReactorNetwork, parse_description


class Echo(Protocol):
    """Sends back what it is given; closes after C{bye}."""

    def dataReceived(self, data: bytes) -> None:
        assert self.transport is not None
        self.transport.write(data)
        if data.endswith(b"bye"):
            self.transport.loseConnection()


class Collector(Protocol):
    """Gives all that came when the connection ends."""

    def __init__(self) -> None:
        self.data = b""
        self.ended: Deferred[bytes] = Deferred()

    def dataReceived(self, data: bytes) -> None:
        self.data += data

    def connectionLost(self, reason: Failure = Failure(ConnectionDone())) -> None:  # noqa: B008
        self.ended.callback(self.data)


class Datagrams(DatagramProtocol):
    """Gives what comes, one after the other."""

    noisy = False
    transport: Any

    def __init__(self) -> None:
        self._waiting: Deferred[Any] | None = None
        self.refused: Deferred[None] = Deferred()

    def next(self) -> Deferred[Any]:
        """What comes next: bytes and address."""
        self._waiting = Deferred()
        return self._waiting

    def datagramReceived(self, datagram: bytes, addr: Any) -> None:
        if self._waiting is not None:
            self._waiting.callback((datagram, addr))

    def connectionRefused(self) -> None:
        if not self.refused.called:
            self.refused.callback(None)

    stopProtocol = connectionRefused


class EchoDatagrams(DatagramProtocol):
    """Sends back what comes."""

    noisy = False

    def datagramReceived(self, datagram: bytes, addr: Any) -> None:
        assert self.transport is not None
        self.transport.write(datagram, addr)


class NetworkContract:
    """What is promised, whoever keeps it."""

    timeout = 30

    def make_network(self) -> Any:
        raise NotImplementedError

    @inlineCallbacks
    def listen(self: Any, network: Any, description: str, factory: Any) -> Any:
        port = yield network.listen(description, factory)
        self.addCleanup(port.stopListening)
        return port

    def test_interfaces(self: Any) -> None:
        """It is an INetwork with a clock."""
        network = self.make_network()
        verifyObject(INetwork, network)
        self.assertIsInstance(network.clock.seconds(), float)

    @inlineCallbacks
    def test_echo(self: Any) -> Any:
        """What is sent arrives, comes back, and the connection ends when either side says so."""
        network = self.make_network()
        port = yield self.listen(network, "tcp:0:interface=127.0.0.1", Factory.forProtocol(Echo))
        verifyObject(IListeningPort, port)
        address = port.getHost()
        client = yield network.connect(f"tcp:127.0.0.1:{address.port}", Factory.forProtocol(Collector))
        big = os.urandom(3_000_000)
        client.transport.write(big)
        client.transport.write(b"bye")
        data = yield client.ended
        self.assertEqual(data, big + b"bye")

    @inlineCallbacks
    def test_resolve(self: Any) -> Any:
        """A name has an address, an address is its own, and what is no name has none."""
        network = self.make_network()
        for name, expected in (("10.0.0.1", ("10.0.0.1",)), ("::1", ("::1",)), ("localhost", ("127.0.0.1", "::1"))):
            address = yield network.resolve(name)
            self.assertIn(address, expected)
        yield self.assertFailure(network.resolve("no..name"), DNSLookupError)

    @inlineCallbacks
    def test_resolveAll(self: Any) -> Any:
        """All addresses of a name are found, each once."""
        network = self.make_network()
        for name, possible in (("10.0.0.1", {"10.0.0.1"}), ("::1", {"::1"}), ("localhost", {"127.0.0.1", "::1"})):
            addresses = yield network.resolve_all(name)
            self.assertLessEqual(set(addresses), possible)
            self.assertEqual(len(set(addresses)), len(addresses))
            self.assertTrue(addresses)
        for name in ("no..name", "no\0name", "", "n" * 64):
            yield self.assertFailure(network.resolve_all(name), DNSLookupError)

    @inlineCallbacks
    def test_datagrams(self: Any) -> Any:
        """Datagrams come and go, with the address of the other side; the largest is read whole."""
        network = self.make_network()
        echo, asker = EchoDatagrams(), Datagrams()
        port = yield network.datagrams("udp:0:interface=127.0.0.1", echo)
        self.addCleanup(port.stopListening)
        verifyObject(IListeningPort, port)
        where = ("127.0.0.1", port.getHost().port)
        own = yield network.datagrams("udp:0:interface=127.0.0.1", asker)
        self.addCleanup(own.stopListening)
        for data in (b"a", b"b" * 65000):
            asker.transport.write(data, where)
            got = yield asker.next()
            self.assertEqual(got, (data, where))
        asker.transport.write(b"c", ("127.0.0.1", own.getHost().port))
        got = yield asker.next()
        self.assertEqual(got[1][1], own.getHost().port)

    @inlineCallbacks
    def test_datagramsRefused(self: Any) -> Any:
        """Who is connected to a place where nobody is, is told; another place goes on."""
        network = self.make_network()
        gone = yield network.datagrams("udp:0:interface=127.0.0.1", Datagrams())
        nowhere = gone.getHost().port
        yield gone.stopListening()
        asker = Datagrams()
        port = yield network.datagrams("udp:0:interface=127.0.0.1", asker)
        self.addCleanup(port.stopListening)
        asker.transport.write(b"a", ("127.0.0.1", nowhere))
        yield self.turn()
        self.assertFalse(asker.refused.called)
        asker.transport.connect("127.0.0.1", nowhere)
        asker.transport.write(b"a", None)
        yield asker.refused

    @inlineCallbacks
    def test_datagramsTaken(self: Any) -> Any:
        """A port that another place has is refused, and so is what is no description of one."""
        network = self.make_network()
        port = yield network.datagrams("udp:0:interface=127.0.0.1", Datagrams())
        self.addCleanup(port.stopListening)
        taken = f"udp:{port.getHost().port}:interface=127.0.0.1"
        yield self.assertFailure(network.datagrams(taken, Datagrams()), CannotListenError)
        for wrong in ("tcp:1", "udp", "udp:x"):
            yield self.assertFailure(network.datagrams(wrong, Datagrams()), ValueError)

    @inlineCallbacks
    def test_taken(self: Any) -> Any:
        """A port that somebody has is refused with its number."""
        network = self.make_network()
        port = yield self.listen(network, "tcp:0:interface=127.0.0.1", Factory.forProtocol(Echo))
        number = port.getHost().port
        error = yield self.assertFailure(
            network.listen(f"tcp:{number}:interface=127.0.0.1", Factory.forProtocol(Echo)), CannotListenError
        )
        self.assertIn(str(number), str(error))

    @inlineCallbacks
    def test_http(self: Any) -> Any:
        """The same HTTP connection runs on it: answers, a large body under back-pressure, a refusal that arrives."""
        network = self.make_network()
        large = os.urandom(1_000_000)
        factory = HTTPFactory(
            lambda request: Response(200, b"", large if request.target == b"/large" else request.body), network.clock
        )
        port = yield self.listen(network, "tcp:0:interface=127.0.0.1", factory)
        where = f"tcp:127.0.0.1:{port.getHost().port}"
        client = yield network.connect(where, Factory.forProtocol(Collector))
        client.transport.write(b"PUT / HTTP/1.1\r\nHost: a\r\nContent-Length: 2\r\n\r\nab")
        client.transport.write(b"GET /large HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n")
        data = yield client.ended
        self.assertTrue(data.startswith(b"HTTP/1.1 200 OK\r\n"))
        self.assertIn(b"\r\n\r\nabHTTP/1.1", data)
        self.assertTrue(data.endswith(large))
        client = yield network.connect(where, Factory.forProtocol(Collector))
        client.transport.write(b"PUT / HTTP/1.1\r\nHost: a\r\nContent-Length: 2000000\r\n\r\n" + b"a" * 2_000_000)
        while not client.data:
            yield self.turn()
        self.assertTrue(client.data.startswith(b"HTTP/1.1 413 "))
        client.transport.loseConnection()
        yield client.ended
        yield factory.stop(5.0)

    def turn(self) -> Deferred[None]:
        """One turn of the reactor."""
        deferred: Deferred[None] = Deferred()
        reactor.callLater(0, deferred.callback, None)  # type: ignore[attr-defined]
        return deferred


class SocketContract(NetworkContract):
    """What is promised besides by those that have sockets."""

    @inlineCallbacks
    def test_unix(self: Any) -> Any:
        """A unix socket has the mode that was asked for, and is gone afterwards."""
        network = self.make_network()
        path = os.path.relpath(self.mktemp())
        port = yield network.listen(f"unix:{path}:mode=600", Factory.forProtocol(Echo))
        self.assertEqual(stat.S_IMODE(os.stat(path).st_mode), 0o600)
        client = yield network.connect(f"unix:{path}", Factory.forProtocol(Collector))
        client.transport.write(b"bye")
        data = yield client.ended
        self.assertEqual(data, b"bye")
        yield port.stopListening()
        self.assertFalse(os.path.exists(path))


class MemoryNetworkTests(NetworkContract, TestCase):
    """In memory, here on the reactor's time."""

    def make_network(self) -> Any:
        return Wire(reactor, Random(1)).host("a", "10.0.0.1", "fd00::1")


class DirectNetworkTests(SocketContract, TestCase):
    """By descriptors of our own, below an epoll of our own."""

    def make_network(self) -> Any:
        return DirectNetwork(reactor)

    @inlineCallbacks
    def test_ipv6(self) -> Any:
        """IPv6 addresses are listened on, too."""
        if not socket.has_ipv6:
            self.skipTest("no IPv6")
        network = self.make_network()
        try:
            port = yield self.listen(network, r"tcp6:0:interface=\:\:1", Factory.forProtocol(Echo))
        except CannotListenError:
            self.skipTest("no IPv6 here")
        client = yield network.connect(rf"tcp:\:\:1:{port.getHost().port}", Factory.forProtocol(Collector))
        client.transport.write(b"bye")
        data = yield client.ended
        self.assertEqual(data, b"bye")

    @inlineCallbacks
    def test_staleSocket(self) -> Any:
        """A unix socket that a killed process left behind is replaced; a file is not."""
        path = os.path.relpath(self.mktemp())
        with socket.socket(socket.AF_UNIX) as left:
            left.bind(path)
        yield self.listen(self.make_network(), f"unix:{path}", Factory.forProtocol(Echo))
        other = os.path.relpath(self.mktemp())
        with open(other, "w"):
            pass
        yield self.assertFailure(
            self.make_network().listen(f"unix:{other}", Factory.forProtocol(Echo)), CannotListenError
        )
        self.assertTrue(os.path.exists(other))

    @inlineCallbacks
    def test_others(self) -> Any:
        """What it does not know itself, Twisted's endpoints do."""
        yield self.assertFailure(self.make_network().listen("nonsense:1", Factory.forProtocol(Echo)), ValueError)
        yield self.assertFailure(self.make_network().listen("tcp:x", Factory.forProtocol(Echo)), ValueError)
        yield self.assertFailure(self.make_network().listen("tcp", Factory.forProtocol(Echo)), ValueError)


class DirectOnReactorTests(SocketContract, TestCase):
    """By descriptors of our own, each on the reactor."""

    def make_network(self) -> Any:
        return DirectNetwork(reactor, ReactorPoller(reactor))


class ReactorNetworkTests(SocketContract, TestCase):
    """By Twisted's endpoints."""

    def make_network(self) -> Any:
        return ReactorNetwork(reactor)


class Listener:
    """A listening socket of which accept does what it is told."""

    family = socket.AF_INET

    def __init__(self, outcomes: list[Any]) -> None:
        self.outcomes = outcomes
        self.closed = False

    def accept(self) -> Any:
        if not self.outcomes:
            raise BlockingIOError
        outcome = self.outcomes.pop(0)
        if isinstance(outcome, OSError):
            raise outcome
        return outcome

    def fileno(self) -> int:
        return -1 if self.closed else 99

    def close(self) -> None:
        self.closed = True


class Nobody(Factory):
    """Wants no connection, and counts them."""

    def __init__(self) -> None:
        self.offered = 0
        self.running = 0

    def doStart(self) -> None:
        self.running += 1

    def doStop(self) -> None:
        self.running -= 1

    def buildProtocol(self, address: Any) -> Any:
        self.offered += 1


class AcceptTests(SynchronousTestCase):
    """Accepting, without a reactor."""

    def setUp(self) -> None:
        self.readers: set[Any] = set()
        self.clock: Any = Clock()
        self.clock.addReader = self.readers.add
        self.clock.removeReader = self.readers.discard
        self.factory = Nobody()

    def port(self, outcomes: list[Any]) -> DirectPort:
        listener: Any = Listener(outcomes)
        port = DirectPort(listener, self.factory, self.clock, ReactorPoller(self.clock))
        port.startListening()
        return port

    def connected(self) -> tuple[socket.socket, tuple[str, int]]:
        listener = socket.create_server(("127.0.0.1", 0))
        client = socket.create_connection(listener.getsockname())
        self.addCleanup(client.close)
        accepted = listener.accept()
        listener.close()
        return accepted

    def test_many(self) -> None:
        """Many are taken in a turn, but not all of a storm."""
        port = self.port([self.connected() for _ in range(TURN_ACCEPTS_MAX + 3)])
        port.doRead()
        self.assertEqual(self.factory.offered, TURN_ACCEPTS_MAX)
        port.doRead()
        self.assertEqual(self.factory.offered, TURN_ACCEPTS_MAX + 3)

    def test_exhausted(self) -> None:
        """Out of descriptors it waits a while, says so, and goes on."""
        port = self.port([OSError(errno.EMFILE, "Too many open files"), self.connected()])
        port.doRead()
        self.assertEqual(self.readers, set())
        self.assertEqual(self.factory.offered, 0)
        self.clock.advance(ACCEPT_PAUSE_SECONDS)
        self.assertEqual(self.readers, {port})
        port.doRead()
        self.assertEqual(self.factory.offered, 1)

    def test_goneBefore(self) -> None:
        """A connection that went away before it was taken does not keep the next one out."""
        port = self.port([OSError(errno.ECONNABORTED, "gone"), self.connected()])
        port.doRead()
        self.assertEqual(self.factory.offered, 1)

    def test_stop(self) -> None:
        """Stopping closes the socket and the factory, once, even while it waits."""
        port = self.port([OSError(errno.ENFILE, "Too many open files in system")])
        port.doRead()
        self.successResultOf(port.stopListening())
        self.successResultOf(port.stopListening())
        self.assertEqual(self.factory.running, 0)
        self.assertEqual(port.fileno(), -1)
        self.clock.advance(ACCEPT_PAUSE_SECONDS)
        self.assertEqual(self.readers, set())

    def test_factoryFails(self) -> None:
        """A factory that fails costs that connection only."""

        def fail(address: Any) -> None:
            raise ZeroDivisionError

        self.factory.buildProtocol = fail  # type: ignore[method-assign]
        port = self.port([self.connected(), self.connected()])
        port.doRead()
        self.assertEqual(len(self.flushLoggedErrors(ZeroDivisionError)), 2)


class DescriptionTests(SynchronousTestCase):
    """Endpoint strings."""

    def test_parts(self) -> None:
        """Kind, positional and named arguments, with colons escaped."""
        for description, parts in [
            ("tcp:8500", ("tcp", ["8500"], {})),
            ("tcp:8500:interface=127.0.0.1", ("tcp", ["8500"], {"interface": "127.0.0.1"})),
            (r"tcp6:port=1:interface=\:\:1", ("tcp6", [], {"port": "1", "interface": "::1"})),
            (r"unix:/a\:b\=c:mode=600", ("unix", ["/a:b=c"], {"mode": "600"})),
            ("stdio", ("stdio", [], {})),
        ]:
            self.assertEqual(parse_description(description), parts)
