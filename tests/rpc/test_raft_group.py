"""Three servers of Raft over real connections, on loopback."""

from __future__ import annotations

import time
from collections.abc import Generator
from typing import Any

from twisted.internet import reactor
from twisted.internet.defer import Deferred, gatherResults, inlineCallbacks
from twisted.internet.task import deferLater
from twisted.trial.unittest import TestCase

from tests.rpc.raft_peer import RaftPeer
from txconsul.net.direct import DirectNetwork


class LoopbackTests(TestCase):
    """A group of three that replicates over TCP."""

    timeout = 60

    @inlineCallbacks
    def setUp(self) -> Generator[Any, Any, None]:
        self.patch(reactor, "seconds", time.monotonic)
        self.network = DirectNetwork(reactor)
        self.peers = [RaftPeer(id, self.network) for id in "abc"]
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

    def leads(self) -> list[RaftPeer]:
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
        late = RaftPeer("d", self.network)
        yield late.listen()
        self.addCleanup(late.close)
        yield late.start()
        yield leader.consensus.add_nonvoter("d", late.address)
        yield self.until(lambda: late.machine.words == leader.machine.words)
        yield leader.consensus.add_voter("d", late.address)
        self.assertEqual(leader.consensus.stats()["num_peers"], "3")
