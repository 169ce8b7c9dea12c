"""Consensus: a group of three, on virtual time and disks in memory."""

from __future__ import annotations

from io import BytesIO
from random import Random

from twisted.internet.defer import Deferred
from twisted.trial.unittest import SynchronousTestCase

from tests.consensus.host import Host
from txconsul.errors import LeadershipLost, NoLeader, Unavailable
from txconsul.raft.messages import InstallSnapshot
from txconsul.records.snapshot import SnapshotMeta
from txconsul.simulation.clock import SimulatedClock
from txconsul.simulation.network import Network


class ThreeServersTests(SynchronousTestCase):
    """A group of three, and who joins it."""

    def setUp(self) -> None:
        self.clock = SimulatedClock()
        self.network = Network(self.clock, Random(1), lambda line: None)
        self.hosts = {id: Host(self.clock, self.network, id) for id in "abc"}
        for host in self.hosts.values():
            host.start("a", "b", "c")
        self.clock.advance(2.0)

    def leader(self) -> Host:
        """Who leads."""
        (leader,) = [host for host in self.hosts.values() if host.consensus.is_leader]
        return leader

    def follower(self) -> Host:
        """One who does not."""
        return next(host for host in self.hosts.values() if not host.consensus.is_leader)

    def test_everybodyApplies(self) -> None:
        """What the leader answers is in every server's state."""
        waiting = self.leader().consensus.propose(b"x")
        self.clock.advance(1.0)
        self.assertEqual(self.successResultOf(waiting), 1)
        self.assertEqual([host.machine.words for host in self.hosts.values()], [[b"x"]] * 3)

    def test_followersRefuse(self) -> None:
        """A follower proposes and verifies nothing, and knows who leads."""
        consensus = self.follower().consensus
        for waiting in (consensus.propose(b"x"), consensus.verify(), consensus.barrier(), consensus.remove("a")):
            assert waiting is not None
            self.failureResultOf(waiting, NoLeader)
        self.assertEqual(consensus.leader_id, self.leader().id)
        contact = consensus.last_contact()
        assert contact is not None
        self.assertTrue(0 < contact < 0.3)
        self.assertFalse(consensus.lease_valid())

    def test_verify(self) -> None:
        """Leadership is confirmed by the others; without them it is not."""
        leader = self.leader()
        waiting = leader.consensus.verify()
        assert waiting is not None
        self.assertNoResult(waiting)
        self.clock.advance(0.1)
        self.successResultOf(waiting)
        self.network.cut([leader.id], self.hosts)
        waiting = leader.consensus.verify()
        assert waiting is not None
        self.clock.advance(1.0)
        self.failureResultOf(waiting, NoLeader)
        self.assertFalse(leader.consensus.is_leader)

    def test_lostLeadership(self) -> None:
        """Of what a cut off leader proposed nobody knows whether it happens."""
        leader = self.leader()
        self.network.cut([leader.id], self.hosts)
        self.network.cut(self.hosts, [leader.id])
        waiting = leader.consensus.propose(b"x")
        self.clock.advance(2.0)
        self.failureResultOf(waiting, LeadershipLost)
        self.assertIsNot(self.leader(), leader)
        self.network.heal()
        self.clock.advance(2.0)
        self.assertEqual(leader.machine.words, [])

    def test_handOver(self) -> None:
        """Leadership goes where it is told to."""
        leader, other = self.leader(), self.follower()
        waiting = leader.consensus.transfer_leadership(other.id)
        self.failureResultOf(leader.consensus.transfer_leadership(other.id), Unavailable)
        self.clock.advance(1.0)
        self.successResultOf(waiting)
        self.assertIs(self.leader(), other)

    def test_handOverFails(self) -> None:
        """A successor that does not answer leaves the leader in its place."""
        leader, other = self.leader(), self.follower()
        self.network.cut([leader.id], [other.id])
        waiting = leader.consensus.transfer_leadership(other.id)
        self.clock.advance(1.0)
        self.failureResultOf(waiting, Unavailable)
        self.assertIs(self.leader(), leader)

    def test_newServerGetsASnapshot(self) -> None:
        """A server that joins late is sent the state, the entries after it, and becomes a voter."""
        leader = self.leader()
        for _ in range(40):
            leader.consensus.propose(b"w")
        self.clock.advance(4.0)
        self.assertGreater(leader.log.first, 1)
        late = self.hosts["d"] = Host(self.clock, self.network, "d")
        late.start()
        joined = leader.consensus.add_nonvoter("d", "d:8300")
        self.failureResultOf(leader.consensus.add_voter("d", "d:8300"), Unavailable)
        self.clock.advance(2.0)
        self.successResultOf(joined)
        self.assertEqual(late.machine.words, [b"w"] * 40)
        self.successResultOf(self._settled(leader.consensus.add_voter("d", "d:8300")))
        self.assertEqual(late.consensus.configuration, leader.consensus.configuration)
        self.assertEqual(late.consensus.stats()["num_peers"], "3")

    def _settled(self, waiting: Deferred[int]) -> Deferred[int]:
        self.clock.advance(1.0)
        return waiting

    def test_leaderRemovesItself(self) -> None:
        """A leader that removes itself steps down once that is committed, and another follows."""
        leader = self.leader()
        self.successResultOf(self._settled(leader.consensus.remove(leader.id)))
        self.assertFalse(leader.consensus.is_leader)
        self.clock.advance(2.0)
        self.assertIsNot(self.leader(), leader)

    def test_unwantedSnapshot(self) -> None:
        """The bytes of a snapshot that nobody asked for are thrown away."""
        follower = self.follower()
        receiver = follower.consensus.receive_snapshot("b", InstallSnapshot(term=1, last_log_index=9, size=2))
        receiver.write(b"x\n")
        receiver.finished()
        self.clock.advance(0.5)
        self.assertEqual((follower.machine.words, follower.disk.snapshots), ([], []))

    def test_snapshotCutShort(self) -> None:
        """A snapshot that does not come whole changes nothing, and the server goes on."""
        leader, follower = self.leader(), self.follower()
        message = InstallSnapshot(term=leader.consensus.term, leader="x:1", last_log_index=99, last_log_term=2, size=10)
        receiver = follower.consensus.receive_snapshot(leader.id, message)
        receiver.write(b"x\n")
        receiver.finished()
        receiver.lost()
        waiting = leader.consensus.propose(b"y")
        self.clock.advance(1.0)
        self.successResultOf(waiting)
        self.assertEqual((follower.machine.words, follower.disk.snapshots), ([b"y"], []))

    def test_restoreReachesEverybody(self) -> None:
        """An operator's archive becomes every server's state."""
        leader = self.leader()
        leader.consensus.propose(b"x")
        self.clock.advance(0.5)
        waiting = leader.consensus.restore(SnapshotMeta(size=2), BytesIO(b"p\n"))
        self.clock.advance(2.0)
        self.successResultOf(waiting)
        self.assertEqual([host.machine.words for host in self.hosts.values()], [[b"p"]] * 3)

    def test_readsDuringARestore(self) -> None:
        """Until an archive's state is committed no read is told that it is certain."""
        leader = self.leader()
        leader.consensus.propose(b"x")
        self.clock.advance(0.5)
        restored = leader.consensus.restore(SnapshotMeta(size=2), BytesIO(b"p\n"))
        seen: list[list[bytes]] = []
        for _ in range(50):
            self.clock.advance(0.002)
            waiting = leader.consensus.verify()
            assert waiting is not None
            waiting.addCallback(lambda _: seen.append(list(leader.machine.words)))
            if leader.consensus.lease_valid():
                seen.append(list(leader.machine.words))
        self.clock.advance(2.0)
        self.successResultOf(restored)
        self.assertEqual(len([words for words in seen if words == [b"p"]]) + seen.count([b"x"]), len(seen))
        self.assertEqual(sorted(seen, reverse=True), seen)
        self.assertEqual(seen[-1], [b"p"])
