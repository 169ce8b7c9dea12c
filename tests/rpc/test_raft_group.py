"""Three servers of Raft over real connections, on loopback."""

from __future__ import annotations

import time
from collections.abc import Callable, Generator
from random import Random
from typing import Any

from twisted.internet import reactor
from twisted.internet.defer import Deferred, gatherResults, inlineCallbacks
from twisted.internet.protocol import Factory, Protocol
from twisted.internet.task import deferLater
from twisted.trial.unittest import TestCase

from tests.consensus.host import WordMachine
from txconsul.consensus import Consensus
from txconsul.consensus.snapshots import SnapshotPolicy
from txconsul.net.direct import DirectNetwork
from txconsul.raft.timing import Timing
from txconsul.records.raft import Configuration, Server
from txconsul.rpc.demux import FirstByte, ServerPort
from txconsul.rpc.raft_transport import RaftTransport
from txconsul.storage.memory import MemoryDisk, MemoryLogStore, MemorySnapshotStore, MemoryStableStore

TIMING = Timing(heartbeat=0.3, election=0.3, lease=0.15, commit=0.02, retry=0.1, snapshot=1.0)


class Announcing(Protocol):
    """Says that a connection is Raft's."""

    def __init__(self, inner: Any) -> None:
        self._inner = inner

    def connectionMade(self) -> None:
        """See L{Protocol}."""
        transport: Any = self.transport
        transport.write(bytes([FirstByte.RAFT]))
        self._inner.makeConnection(transport)

    def dataReceived(self, data: bytes) -> None:
        """See L{Protocol}."""
        self._inner.dataReceived(data)

    def connectionLost(self, reason: Any = None) -> None:
        """See L{Protocol}."""
        self._inner.connectionLost(reason)


class Peer:
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

    def start(self, *group: Peer) -> Deferred[None]:
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
        factory: Any = Factory.forProtocol(lambda: Announcing(protocol))  # type: ignore[arg-type]
        factory.noisy = False
        connecting: Deferred[Any] = self.network.connect(f"tcp:{address}", factory)
        return connecting.addCallback(lambda _: None)

    def stop(self) -> None:
        """Be gone, as a process that was killed."""
        self.consensus.stop()
        self.transport.close()

    def close(self) -> Deferred[Any]:
        """Stop, and close the port."""
        self.stop()
        closing: Deferred[Any] = self.port.stopListening()
        return closing


class LoopbackTests(TestCase):
    """A group of three that replicates over TCP."""

    timeout = 60

    @inlineCallbacks
    def setUp(self) -> Generator[Any, Any, None]:
        self.patch(reactor, "seconds", time.monotonic)
        self.network = DirectNetwork(reactor)
        self.peers = [Peer(id, self.network) for id in "abc"]
        for peer in self.peers:
            yield peer.listen()
        for peer in self.peers:
            self.addCleanup(peer.close)
            yield peer.start(*self.peers)

    def until(self, fact: Any) -> Deferred[None]:
        """Fires when C{fact()} is so."""

        @inlineCallbacks
        def wait() -> Generator[Any, Any, None]:
            while not fact():
                yield deferLater(reactor, 0.01, lambda: None)  # type: ignore[arg-type]

        return wait()

    def leads(self) -> list[Peer]:
        """Who leads, and is followed."""
        return [
            peer
            for peer in self.peers
            if peer.consensus.is_leader
            and sum(other.consensus.leader_id == peer.id for other in self.peers if other.consensus.is_running) > 1
        ]

    @inlineCallbacks
    def test_replication(self) -> Generator[Any, Any, None]:
        """What the leader answers is in every server's state, small or large."""
        yield self.until(self.leads)
        (leader,) = self.leads()
        words = [b"%d" % n for n in range(500)] + [bytes(3 << 20)]
        yield gatherResults([leader.consensus.propose(word) for word in words])
        yield self.until(lambda: all(len(peer.machine.words) == len(words) for peer in self.peers))
        self.assertEqual([peer.machine.words == words for peer in self.peers], [True] * 3)
        yield leader.consensus.verify()

    @inlineCallbacks
    def test_leaderGone(self) -> Generator[Any, Any, None]:
        """Another leads when the leader is gone; it comes back and gets what it missed, by a snapshot."""
        yield self.until(self.leads)
        (old,) = self.leads()
        yield old.consensus.propose(b"before")
        old.stop()
        yield self.until(self.leads)
        (leader,) = self.leads()
        self.assertIsNot(leader, old)
        for n in range(60):
            yield leader.consensus.propose(b"%d" % n)
        yield self.until(lambda: leader.disk.snapshots)
        old.disk.crash()
        yield old.start()
        yield self.until(lambda: old.machine.words == leader.machine.words)
        self.assertEqual(old.machine.words[0], b"before")

    @inlineCallbacks
    def test_handOver(self) -> Generator[Any, Any, None]:
        """Leadership goes where it is told to."""
        yield self.until(self.leads)
        (leader,) = self.leads()
        other = next(peer for peer in self.peers if peer is not leader)
        yield leader.consensus.transfer_leadership(other.id)
        yield self.until(lambda: self.leads() == [other])
        yield other.consensus.propose(b"x")

    @inlineCallbacks
    def test_joining(self) -> Generator[Any, Any, None]:
        """A server that joins later gets a snapshot and the entries after it, and a vote."""
        yield self.until(self.leads)
        (leader,) = self.leads()
        for n in range(60):
            yield leader.consensus.propose(b"%d" % n)
        yield self.until(lambda: leader.disk.snapshots)
        late = Peer("d", self.network)
        yield late.listen()
        self.addCleanup(late.close)
        yield late.start()
        yield leader.consensus.add_nonvoter("d", late.address)
        yield self.until(lambda: late.machine.words == leader.machine.words)
        yield leader.consensus.add_voter("d", late.address)
        self.assertEqual(leader.consensus.stats()["num_peers"], "3")
