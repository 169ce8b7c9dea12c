"""
The first byte of a connection to the server port says what follows.

Source: the wire documents, RPC section 1.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from enum import IntEnum
from typing import Any

from twisted.internet.interfaces import IAddress, IDelayedCall, IProtocol, IReactorTime
from twisted.internet.protocol import Factory, Protocol, connectionDone
from twisted.python.failure import Failure

from txconsul.metrics.metrics import Metrics
from txconsul.rpc.addresses import host_of, written
from txconsul.rpc.complaints import Complaints
from txconsul.rpc.handover import Handover

__all__ = ["CONNECTIONS_PER_CLIENT_MAX", "HANDSHAKE_TIMEOUT", "FirstByte", "ServerPort"]

#: Seconds in which a new connection has to say what it is (Consul's C{rpc_handshake_timeout}).
HANDSHAKE_TIMEOUT = 5.0
#: Connections from one address (Consul's C{rpc_max_conns_per_client}).
CONNECTIONS_PER_CLIENT_MAX = 100


class FirstByte(IntEnum):
    """What a connection can be."""

    RPC = 0
    RAFT = 1
    MULTIPLEX_V1 = 2
    TLS = 3
    MULTIPLEX = 4
    SNAPSHOT = 5
    GOSSIP = 6
    TLS_INSECURE = 7
    GRPC = 8
    RAFT_FORWARDING = 9


#: What makes the protocol of a connection from an address; None refuses it.
Maker = Callable[[Any], IProtocol | None]


class ServerPort(Factory):
    """
    What listens at the server port.

    @ivar protocols: by first byte, what serves it. Whoever serves one puts it here; connections of others are closed.
    @ivar inner: the same for connections inside TLS; TLS cannot be found there again.
    @ivar connections: those that are open.
    """

    noisy = False

    def __init__(
        self,
        clock: IReactorTime,
        *,
        handshake_timeout: float = HANDSHAKE_TIMEOUT,
        connections_per_client_max: int = CONNECTIONS_PER_CLIENT_MAX,
        tls_required: bool = False,
        metrics: Metrics | None = None,
    ) -> None:
        """
        @param handshake_timeout: 0 is none.
        @param connections_per_client_max: 0 is without limit.
        @param tls_required: refuse what is not inside TLS (Consul's C{verify_incoming}).
        """
        self.protocols: dict[int, Maker] = {}
        self.connections: set[Connection] = set()
        self.clock = clock
        self.handshake_timeout = handshake_timeout
        self.connections_per_client_max = connections_per_client_max
        self.tls_required = tls_required
        self.complaints = Complaints(clock)
        self._accepted = (metrics or Metrics()).counter("rpc.accept_conn")
        self._by_client: Counter[str] = Counter()

    def buildProtocol(self, addr: Any) -> Protocol | None:
        """See L{Factory}."""
        client = getattr(addr, "host", "")
        if client and 0 < self.connections_per_client_max <= self._by_client[client]:
            self.complaints.say(client, "too many connections from {peer}: one is refused", peer=client)
            return None
        return Connection(self, client)

    def inside(self) -> Factory:
        """What is found inside TLS: a factory for L{HalfClosableTLSFactory<txconsul.net.tls_halves>}."""
        return _Inside(self)

    def stop(self) -> None:
        """Break off every connection."""
        for connection in list(self.connections):
            connection.abandon()

    def opened(self, connection: Connection) -> None:
        """A connection began."""
        self.connections.add(connection)
        if connection.client:
            self._accepted.add()
            self._by_client[connection.client] += 1

    def closed(self, connection: Connection) -> None:
        """A connection ended."""
        self.connections.discard(connection)
        if connection.client:
            self._by_client[connection.client] -= 1
            if not self._by_client[connection.client]:
                del self._by_client[connection.client]


class _Inside(Factory):
    """Connections inside TLS."""

    noisy = False

    def __init__(self, port: ServerPort) -> None:
        self._port = port

    def buildProtocol(self, addr: Any) -> Protocol:
        """See L{Factory}."""
        return Connection(self._port, "", secure=True)


class Connection(Handover):
    """
    One connection: its first byte, and from then on what that byte stands for.

    @ivar client: the address that it counts for; empty for none.
    """

    def __init__(self, port: ServerPort, client: str, secure: bool = False) -> None:
        self.client = client
        self._port = port
        self._secure = secure
        self._timer: IDelayedCall | None = None

    def connectionMade(self) -> None:
        """See L{Protocol}."""
        self._port.opened(self)
        if self._port.handshake_timeout:
            self._timer = self._port.clock.callLater(self._port.handshake_timeout, self._too_late)

    def dataReceived(self, data: bytes) -> None:
        """See L{Protocol}."""
        transport: Any = self.transport
        if not data or transport.disconnecting:
            return
        self._stop_timer()
        kind = data[0]
        inner = self._protocol(kind)
        if inner is None:
            transport.loseConnection()
            return
        self.hand_over(inner, data[1:])

    def connectionLost(self, reason: Failure = connectionDone) -> None:
        """See L{Protocol}."""
        self._stop_timer()
        self._port.closed(self)
        super().connectionLost(reason)

    def abandon(self) -> None:
        """Break it off."""
        transport: Any = self.transport
        transport.abortConnection()

    def _protocol(self, kind: int) -> Any:
        transport: Any = self.transport
        address: IAddress = transport.getPeer()
        complaints = self._port.complaints
        who, peer = host_of(address), written(address)
        if kind in (FirstByte.TLS, FirstByte.TLS_INSECURE):
            if self._secure:
                complaints.say((who, kind), "{peer} asks for TLS inside TLS: closed", peer=peer)
                return None
        elif self._port.tls_required and not self._secure:
            complaints.say((who, kind), "{peer} does not speak TLS, which is required: closed", peer=peer)
            return None
        maker = self._port.protocols.get(kind)
        if maker is None:
            try:
                name = FirstByte(kind).name
            except ValueError:
                complaints.say((who, -1), "{peer} begins with the unknown byte {byte}: closed", peer=peer, byte=kind)
            else:
                complaints.say((who, kind), "{peer} asks for {name}, which is not served: closed", peer=peer, name=name)
            return None
        return maker(address)

    def _too_late(self) -> None:
        self._timer = None
        transport: Any = self.transport
        self._port.complaints.say(
            (self.client, "silent"), "{peer} said nothing in time: closed", peer=written(transport.getPeer())
        )
        transport.abortConnection()

    def _stop_timer(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
