"""A server of Raft with a port of its own: its stores in memory, its connections real."""

from __future__ import annotations

from collections.abc import Callable
from random import Random
from typing import Any

from twisted.internet.defer import Deferred

from tests.consensus.host import WordMachine
from txconsul.consensus import Consensus
from txconsul.consensus.snapshots import SnapshotPolicy
from txconsul.raft.timing import Timing
from txconsul.records.raft import Configuration, Server
from txconsul.rpc.demux import FirstByte, ServerPort
from txconsul.rpc.dialing import Dialer
from txconsul.rpc.dialing import Peer as RPCPeer
from txconsul.rpc.raft_transport import RaftTransport
from txconsul.storage.memory import MemoryDisk, MemoryLogStore, MemorySnapshotStore, MemoryStableStore

__all__ = ["TIMING", "RaftPeer"]

TIMING = Timing(heartbeat=0.3, election=0.3, lease=0.15, commit=0.02, retry=0.1, snapshot=1.0)


class RaftPeer:
    """A server: its stores in memory, its port on loopback."""

    timing = TIMING
    policy = SnapshotPolicy(threshold=20, interval=0.1, trailing=2)
    make_machine: Callable[[], Any] = WordMachine

    def __init__(self, id: str, network: Any) -> None:
        self.id = id
        self.network = network
        self.disk = MemoryDisk(network.clock, lambda: 0.0005)
        self.address = ""
        self.port: Any = None

    def listen(self, where: str = "0") -> Deferred[None]:
        """Open the port."""
        factory = ServerPort(self.network.clock)
        factory.protocols[FirstByte.RAFT] = lambda peer: self.transport.factory.buildProtocol(peer)

        def listening(port: Any) -> None:
            self.port = port
            self.address = f"127.0.0.1:{port.getHost().port}"

        waiting: Deferred[Any] = self.network.listen(f"tcp:{where}:interface=127.0.0.1", factory)
        return waiting.addCallback(listening)

    def start(self, *group: RaftPeer) -> Deferred[None]:
        """Begin, or begin again."""
        clock = self.network.clock
        self.machine: Any = self.make_machine()
        self.transport = RaftTransport(
            self.id,
            self.address,
            dial=self.dial,
            clock=clock,
            heartbeat_timeout=self.timing.heartbeat,
        )
        self.transport.consensus = self.consensus = Consensus(
            self.id,
            log_store=MemoryLogStore(self.disk),
            stable_store=MemoryStableStore(self.disk),
            snapshot_store=MemorySnapshotStore(self.disk),
            machine=self.machine,
            transport=self.transport,
            clock=clock,
            rng=Random(self.id),
            timing=self.timing,
            policy=self.policy,
        )
        servers = tuple(Server(id=peer.id, address=peer.address) for peer in group)
        return self.consensus.start(Configuration(servers=servers) if servers else None)

    def dial(self, address: str, protocol: Any) -> Deferred[None]:
        """Connect to another server's port."""
        return Dialer(self.network).dial(RPCPeer(address, address), FirstByte.RAFT, protocol)

    def stop(self) -> None:
        """Be gone, as a process that was killed."""
        self.consensus.stop()
        self.transport.close()

    def close(self) -> Deferred[Any]:
        """Stop, and close the port."""
        self.stop()
        closing: Deferred[Any] = self.port.stopListening()
        return closing
