"""
The port at which servers meet: Raft between them, and the calls of every other agent.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from twisted.application.service import Service
from twisted.internet.defer import Deferred
from twisted.internet.error import CannotListenError
from twisted.internet.interfaces import IProtocol
from twisted.logger import Logger
from twisted.python.failure import Failure

from txconsul.agent.configuration.model import Configuration
from txconsul.agent.pools import Pools
from txconsul.agent.server import Server
from txconsul.agent.tags import server_of
from txconsul.errors import TxconsulError
from txconsul.gossip import GossipPool
from txconsul.interfaces import INetwork
from txconsul.metrics.metrics import Metrics
from txconsul.raft.timing import Timing
from txconsul.rpc.call import REQUEST_BYTES_MAX
from txconsul.rpc.demux import FirstByte, ServerPort
from txconsul.rpc.dialing import Dialer, Peer
from txconsul.rpc.listener import CallServer
from txconsul.rpc.raft_transport import TIMEOUT_SECONDS, RaftTransport
from txconsul.rpc.serving import Serving
from txconsul.rpc.snapshot_serving import SnapshotServer
from txconsul.serf.outputs import Event, EventKind, MemberEvent

__all__ = ["OwnPort", "PortClosed"]


class PortClosed(TxconsulError):
    """The server port cannot be opened; the text says why."""


class OwnPort(Service):
    """
    This server's port.

    @ivar port: what listens there: a table of first bytes.
    @ivar raft: how the servers' Raft speaks by them.
    @ivar listening: where it listens, once it does.
    """

    name = "server port"
    _log = Logger("txconsul.agent")

    def __init__(
        self,
        configuration: Configuration,
        node_id: str,
        network: INetwork,
        dialer: Dialer,
        *,
        failed: Callable[[Failure], object],
        metrics: Metrics,
    ) -> None:
        """
        @param node_id: the node's UUID.
        @param dialer: opens connections to the ports of others.
        @param failed: told if the port cannot be opened.
        """
        it = self._configuration = configuration
        self._network = network
        self._failed = failed
        self._metrics = metrics
        self._lan: GossipPool | None = None
        self._addresses: dict[str, str] = {}
        self._calls: CallServer | None = None
        self.listening: Any = None
        self.port = ServerPort(
            network.clock,
            handshake_timeout=it.limits.rpc_handshake_timeout,
            connections_per_client_max=it.limits.rpc_max_conns_per_client,
            metrics=metrics,
        )
        self._dialer = dialer
        heartbeat = Timing.multiplied(it.performance.raft_multiplier).heartbeat
        self.raft = RaftTransport(
            node_id,
            str(it.rpc_advertise),
            dial=self._dial,
            clock=network.clock,
            heartbeat_timeout=min(heartbeat, TIMEOUT_SECONDS),
            locate=lambda id: self._addresses.get(id, ""),
        )
        self.port.protocols[FirstByte.RAFT] = self.raft.factory.buildProtocol

    def serve(self, server: Server, pools: Pools) -> None:
        """
        What comes in is for this one.

        @param pools: by their news it is known where the others are.
        """
        self.raft.consensus = server.consensus
        self._lan = pools.lan
        pools.listen(self._heard)
        serving = Serving(server.door)
        limits = self._configuration.limits
        self._calls = CallServer(
            self._network.clock,
            serving.serve,
            self.port.complaints,
            metrics=self._metrics,
            # What another agent's HTTP API takes may come as a call; base64 and JSON are longer than what they become.
            request_bytes_max=max(REQUEST_BYTES_MAX, 2 * limits.kv_max_value_size, 2 * limits.txn_max_req_len),
        )
        self._calls.register(self.port)
        SnapshotServer(self._network.clock, server.door, self.port.complaints).register(self.port)

    def _heard(self, pool: GossipPool, event: Event) -> None:
        """
        Something happened in a pool. Where a server says there that it is counts more than what the group's
        configuration says: a server that moved may be needed to change that.
        """
        if pool is not self._lan or not isinstance(event, MemberEvent):
            return
        server = server_of(event.member)
        if server is None or not server.id or server.datacenter != self._configuration.datacenter:
            return
        if event.kind in (EventKind.LEAVE, EventKind.REAP):
            self._addresses.pop(server.id, None)
        else:
            self._addresses[server.id] = server.address

    def _dial(self, address: str, protocol: IProtocol) -> Deferred[None]:
        return self._dialer.dial(Peer(address, address, self._configuration.datacenter), FirstByte.RAFT, protocol)

    # ---- coming and going ----

    def startService(self) -> None:
        """Listen."""
        super().startService()
        Deferred.fromCoroutine(self._open()).addErrback(self._failed)

    async def _open(self) -> None:
        bind = self._configuration.rpc_bind
        try:
            listening = await self._network.listen(bind.endpoint(), self.port)
        except (CannotListenError, OSError) as error:
            raise PortClosed(f"Failed to listen for servers at {bind}: {error}") from None
        if not self.running:  # stopped meanwhile
            await listening.stopListening()
            return
        self.listening = listening
        self._log.info("Listening for servers and RPC on {address}", address=str(bind))

    def stopService(self) -> Deferred[Any]:
        """Take no more calls, and close what is open."""
        super().stopService()
        return Deferred.fromCoroutine(self._close())

    async def _close(self) -> None:
        listening, self.listening = self.listening, None
        if listening is not None:
            await listening.stopListening()
        self.raft.close()
        self.port.stop()
