"""Two hosts on a simulated wire: one serves calls at its server port, the other one makes them."""

from __future__ import annotations

from collections.abc import Callable
from random import Random
from typing import Any

from twisted.internet.defer import Deferred
from twisted.internet.protocol import Factory, Protocol, connectionDone
from twisted.internet.task import Clock
from twisted.trial.unittest import SynchronousTestCase

from txconsul.codec.gomsgpack import pack
from txconsul.errors import UnknownMethod
from txconsul.net.memory import MemoryNetwork, Wire
from txconsul.rpc.demux import ServerPort
from txconsul.rpc.dialing import Dialer, Peer
from txconsul.rpc.listener import CallServer
from txconsul.rpc.pool import ConnectionPool

SERVER, CLIENT = "10.0.0.1", "10.0.0.2"
PEER = Peer("server", f"{SERVER}:8300", "dc1")


class Raw(Protocol):
    """
    Whatever bytes the test writes.

    @ivar received: what came back.
    @ivar lost: whether the other side closed.
    """

    def __init__(self) -> None:
        self.received = b""
        self.lost = False

    def dataReceived(self, data: bytes) -> None:
        """See L{Protocol}."""
        self.received += data

    def connectionLost(self, reason: Any = connectionDone) -> None:
        """See L{Protocol}."""
        self.lost = True

    def send(self, data: bytes) -> None:
        """Write."""
        transport: Any = self.transport
        transport.write(data)


class WireCase(SynchronousTestCase):
    """
    A server with a C{serve} of the test's, and a pool.

    @ivar calls: what was asked.
    @ivar waiting: what C{Test.Wait} answers, in order.
    @ivar cancelled: how many of those were given up.
    """

    def setUp(self) -> None:
        """Start both."""
        self.clock = Clock()
        self.wire = Wire(self.clock, Random(1))
        self.server: MemoryNetwork = self.wire.host("server", SERVER)
        self.client: MemoryNetwork = self.wire.host("client", CLIENT)
        self.calls: list[tuple[str, bytes]] = []
        self.waiting: list[Deferred[bytes]] = []
        self.cancelled = 0
        self.port = ServerPort(self.clock)
        self.calling = CallServer(self.clock, self.serve, self.port.complaints)
        self.calling.register(self.port)
        self.listening: Any = self.successResultOf(self.server.listen("tcp:8300", self.port))
        self.pool = ConnectionPool(self.clock, Dialer(self.client))

    def serve(self, method: str, body: bytes, source: str) -> bytes | Deferred[bytes]:
        """Answer with what was asked, or where it came from; wait; or fail."""
        self.calls.append((method, body))
        if method == "Test.Echo":
            return body
        if method == "Test.Source":
            return pack(source)
        if method == "Test.Wait":
            self.waiting.append(Deferred(self._cancelled))
            return self.waiting[-1]
        if method == "Test.Bug":
            raise ZeroDivisionError
        raise UnknownMethod(method)

    def _cancelled(self, _: Deferred[bytes]) -> None:
        self.cancelled += 1

    def call(self, method: str, body: bytes, timeout: float = 60.0) -> Deferred[bytes]:
        """Call, and let things happen."""
        called = self.pool.call(PEER, method, body, timeout)
        self.settle()
        return called

    def settle(self, seconds: float = 0.1) -> None:
        """Let a little time pass."""
        for _ in range(20):
            self.clock.advance(seconds / 20)

    def until(self, done: Callable[[], object], seconds: float = 60.0) -> None:
        """Let time pass until something is the case."""
        end = self.clock.seconds() + seconds
        while not done():
            if self.clock.seconds() > end:
                raise AssertionError("it did not come to pass")
            self.settle()

    @property
    def connections(self) -> int:
        """Those that the server has."""
        return len(self.port.connections)

    def raw(self) -> Raw:
        """A connection without manners."""
        made = Raw()
        self.successResultOf(
            self._connected(self.client.connect(f"tcp:{SERVER}:8300", Factory.forProtocol(lambda: made)))
        )  # type: ignore[arg-type]
        return made

    def _connected(self, connecting: Deferred[Any]) -> Deferred[Any]:
        self.settle()
        return connecting
