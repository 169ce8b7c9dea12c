"""A gossip pool over sockets: what the cores cannot show."""

from __future__ import annotations

from collections.abc import Callable
from random import Random
from typing import Any

from msgspec.structs import replace
from twisted.internet import reactor
from twisted.internet.defer import Deferred, inlineCallbacks
from twisted.internet.error import CannotListenError
from twisted.internet.protocol import Factory, Protocol
from twisted.internet.task import deferLater
from twisted.trial.unittest import TestCase

from txconsul import gossip_streams
from txconsul.gossip import GossipPool, JoinFailed
from txconsul.net.direct import DirectNetwork
from txconsul.serf.messages import Status
from txconsul.serf.outputs import Asked, QueryAnswer, UserEventCame
from txconsul.serf.settings import Settings
from txconsul.swim.keyring import Keyring
from txconsul.swim.messages import ErrorMessage
from txconsul.swim.packet import Wrapping
from txconsul.swim.stream import StreamReader
from txconsul.swim.timing import Timing

KEY = bytes(range(32))
#: Quick enough for a test that waits for something to happen.
QUICK = Timing(probe_interval=0.2, probe_timeout=0.1, gossip_interval=0.02, push_pull_interval=5.0, stream_timeout=2.0)
#: Nothing that is waited for takes this long on a machine that is not broken, however busy.
DEADLINE = 30.0


class PoolCase(TestCase):
    """Pools on loopback."""

    def setUp(self) -> None:
        self.pools: list[GossipPool] = []
        self.random = Random(4)

    @inlineCallbacks
    def tearDown(self) -> Any:
        for pool in self.pools:
            yield pool.stopService()

    @inlineCallbacks
    def open(self, name: str, **options: Any) -> Any:
        """A node that listens, in a pool of one."""
        settings = Settings(timing=QUICK, leave_propagate_delay=0.1)
        pool = GossipPool(
            DirectNetwork(reactor), name, settings=settings, random=Random(self.random.random()), **options
        )
        self.pools.append(pool)
        yield pool.open()
        return pool

    @inlineCallbacks
    def until(self, done: Callable[[], bool]) -> Any:
        """Wait until something is so."""
        clock: Any = reactor
        end = clock.seconds() + DEADLINE
        while not done():
            if clock.seconds() > end:
                self.fail("it did not happen")
            yield deferLater(clock, 0.01, lambda: None)

    def alive(self, pool: GossipPool) -> set[str]:
        """Whom a node holds alive."""
        return {one.name for one in pool.core.members if one.status is Status.ALIVE}


class GossipTests(PoolCase):
    """Nodes that find each other."""

    @inlineCallbacks
    def test_three(self) -> Any:
        """Three find each other, tell events, answer a query; one leaves; one is stopped, and has failed."""
        for options in ({}, {"keyring": KEY}, {"label": b"us", "compress": False}):
            made = {**options, "keyring": Keyring([KEY])} if "keyring" in options else options
            pools = []
            for name in "abc":
                if "keyring" in options:
                    made = {"keyring": Keyring([KEY])}
                pool = yield self.open(name, **made)
                pools.append(pool)
                if name != "a":
                    yield pool.join(*pools[0].address)
            yield self.until(lambda pools=pools: all(self.alive(one) == set("abc") for one in pools))  # type: ignore[misc]
            heard: dict[str, list[Any]] = {"a": [], "b": [], "c": []}
            for pool in pools:
                pool.heard = self.answering(pool, heard[pool.name])
            pools[0].do(lambda node, now: node.event("deploy", b"1", now))
            pools[1].do(lambda node, now: node.query("who", b"", now))
            yield self.until(lambda heard=heard: all(("deploy", b"1") in one for one in heard.values()))  # type: ignore[misc]
            yield self.until(lambda heard=heard: {one for one in heard["b"] if type(one) is str} == set("abc"))  # type: ignore[misc]
            yield pools[2].leave()
            yield pools[2].stopService()
            yield self.until(lambda pools=pools: pools[0].core.members.get("c").status is Status.LEFT)  # type: ignore[misc]
            yield pools[1].stopService()
            yield self.until(lambda pools=pools: pools[0].core.members.get("b").status is Status.FAILED)  # type: ignore[misc]

    def answering(self, pool: GossipPool, heard: list[Any]) -> Callable[[Any], None]:
        """Notes what a node hears, and answers what it is asked with its name."""

        def hear(event: Any) -> None:
            if isinstance(event, UserEventCame):
                heard.append((event.name, event.payload))
            elif isinstance(event, Asked):
                pool.do(lambda node, now: node.answer(event.key, str(pool.name).encode(), now))
            elif isinstance(event, QueryAnswer):
                heard.append(event.payload.decode())

        return hear

    @inlineCallbacks
    def test_joinFails(self) -> Any:
        """Joining where nobody is, or with another key, says why."""
        pool = yield self.open("a")
        other = yield self.open("b", keyring=Keyring([KEY]))
        host, port = other.address
        yield other.stopService()
        error = yield self.assertFailure(pool.join(host, port), JoinFailed)
        self.assertEqual(str(error), f"dial tcp {host}:{port}: connect: connection refused")
        other = yield self.open("c", keyring=Keyring([KEY]))
        error = yield self.assertFailure(pool.join(*other.address), JoinFailed)
        self.assertIn("not", str(error))
        self.assertEqual((self.alive(pool), self.alive(other)), ({"a"}, {"c"}))

    @inlineCallbacks
    def test_portTaken(self) -> Any:
        """A port that another has is an error, whichever of the two transports it is."""
        pool = yield self.open("a")
        host, port = pool.address
        twin = GossipPool(DirectNetwork(reactor), "b", settings=Settings(timing=QUICK), host=host, port=port)
        yield self.assertFailure(twin.open(), CannotListenError)

    @inlineCallbacks
    def test_silence(self) -> Any:
        """Who is silent, or hangs up, is told of as such."""
        pool = yield self.open("a")
        self.patch(pool.core.swim, "timing", replace(QUICK, stream_timeout=0.2))
        for protocol, problem in ((Protocol, "read tcp {}: i/o timeout"), (_HangUp, "EOF")):
            factory = Factory.forProtocol(protocol)
            port = yield DirectNetwork(reactor).listen("tcp:0:interface=127.0.0.1", factory)
            self.addCleanup(port.stopListening)
            error = yield self.assertFailure(pool.join("127.0.0.1", port.getHost().port), JoinFailed)
            self.assertEqual(str(error), problem.format(f"127.0.0.1:{port.getHost().port}"))

    @inlineCallbacks
    def test_stopsWhileAsking(self) -> Any:
        """A node may be stopped while it waits for an answer."""
        silent = yield DirectNetwork(reactor).listen("tcp:0:interface=127.0.0.1", Factory.forProtocol(Protocol))  # type: ignore[arg-type]
        self.addCleanup(silent.stopListening)
        pool = yield self.open("a")
        joining = pool.join("127.0.0.1", silent.getHost().port)
        joining.addErrback(lambda failure: failure.trap(JoinFailed))
        yield self.until(lambda: bool(pool.streams))
        yield pool.stopService()
        yield self.until(lambda: not pool.streams)


class _HangUp(Protocol):
    """Listens, and goes."""

    def dataReceived(self, data: bytes) -> None:
        """Enough."""
        self.transport.loseConnection()  # type: ignore[union-attr]


class _Client(Protocol):
    """Sends some bytes, and keeps what comes back."""

    def __init__(self, data: bytes) -> None:
        self.data = data
        self.got = b""
        self.ended: Deferred[None] = Deferred()

    def connectionMade(self) -> None:
        transport: Any = self.transport
        transport.write(self.data)

    def dataReceived(self, data: bytes) -> None:
        self.got += data

    def connectionLost(self, reason: Any = None) -> None:
        self.ended.callback(None)


class HostileTests(PoolCase):
    """Strangers at the port."""

    @inlineCallbacks
    def send(self, pool: GossipPool, data: bytes) -> Any:
        """Open a stream, send something. @return: what came back until it was closed."""
        client = _Client(data)
        host, port = pool.address
        factory = Factory.forProtocol(lambda: client)  # type: ignore[arg-type]
        yield DirectNetwork(reactor).connect(f"tcp:{host}:{port}", factory)
        yield client.ended
        return client.got

    @inlineCallbacks
    def test_refused(self) -> Any:
        """What cannot be read is answered by an error, and the stream closed; the pool goes on."""
        pool = yield self.open("a")
        for data in (b"\x0a\xff\xff\xff\xff", b"\x63", b"GET / HTTP/1.1\r\n\r\n"):
            answer = yield self.send(pool, data)
            message = StreamReader(Wrapping(entropy=bytes)).feed(answer)
            self.assertIsInstance(message, ErrorMessage)
        other = yield self.open("b")
        yield other.join(*pool.address)

    @inlineCallbacks
    def test_slow(self) -> Any:
        """Who says nothing is cut off after a while; who is too many is not let in."""
        self.patch(gossip_streams, "STREAMS_MAX", 3)
        pool = yield self.open("a")
        answers = [self.send(pool, b"\x06") for _ in range(5)]
        for one in answers:
            answer = yield one
            self.assertEqual(answer, b"")
        self.assertFalse(pool.streams)

    @inlineCallbacks
    def test_packets(self) -> Any:
        """Packets of strangers are refused one by one, before and after the pool has opened."""
        pool = yield self.open("a")
        random = Random(5)
        for _ in range(200):
            pool.packet(random.randbytes(random.randrange(60)), "127.0.0.1", 9)
        self.assertEqual(self.alive(pool), {"a"})
        closed = GossipPool(DirectNetwork(reactor), "b", settings=Settings(timing=QUICK))
        closed.packet(b"\x00", "127.0.0.1", 9)
