"""Consensus: one server, and three, on virtual time and disks in memory."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from io import BytesIO
from random import Random
from typing import Any, BinaryIO

from twisted.internet.defer import Deferred
from twisted.python.failure import Failure
from twisted.trial.unittest import SynchronousTestCase
from zope.interface import implementer

from txconsul.consensus import Consensus, Observer
from txconsul.consensus.snapshots import SnapshotPolicy
from txconsul.driver import Slices
from txconsul.errors import Conflict, Corrupt, DiskFailed, DiskFull, LeadershipLost, NoLeader, Unavailable
from txconsul.interfaces import IStateMachine
from txconsul.raft.messages import InstallSnapshot, Role
from txconsul.raft.timing import Timing
from txconsul.records.raft import Configuration, Entry, Server
from txconsul.records.snapshot import SnapshotMeta
from txconsul.simulation.clock import SimulatedClock
from txconsul.simulation.network import Network, Transport
from txconsul.storage.memory import MemoryDisk, MemoryLogStore, MemorySnapshotStore, MemoryStableStore

TIMING = Timing(heartbeat=0.3, election=0.3, lease=0.15, commit=0.03, retry=0.1, snapshot=0.4)


@implementer(IStateMachine)
class WordMachine:
    """Keeps the words it is told. C{no} is refused, C{boom} raises."""

    def __init__(self) -> None:
        self.words: list[bytes] = []
        self.records: list[object] = []
        self.batches: list[int] = []

    def apply(self, index: int, data: bytes, record: object) -> object:
        """See L{IStateMachine.apply}."""
        if data == b"boom":
            raise ValueError("boom")
        if data == b"no":
            return Conflict("no")
        self.words.append(data)
        self.records.append(record)
        return len(self.words)

    def applied(self, index: int) -> None:
        """See L{IStateMachine.applied}."""
        self.batches.append(index)

    def freeze(self) -> Iterator[bytes]:
        """See L{IStateMachine.freeze}."""
        return iter([word + b"\n" for word in self.words])

    def restore(self, stream: BinaryIO) -> Iterator[float]:
        """See L{IStateMachine.restore}."""
        words = []
        for line in stream:
            if line == b"bad\n":
                raise Corrupt("bad archive")
            words.append(line[:-1])
            yield 0.5
        self.words = words
        yield 1.0


class CountingLog(MemoryLogStore):
    """Counts how often it is written and synced."""

    def __init__(self, disk: MemoryDisk) -> None:
        super().__init__(disk)
        self.appends: list[int] = []
        self.syncs = 0

    def append(self, entries: Sequence[Entry]) -> None:
        """See L{ILogStore.append}."""
        super().append(entries)
        self.appends.append(len(entries))

    def sync(self) -> Deferred[int]:
        """See L{ILogStore.sync}."""
        self.syncs += 1
        return super().sync()


class Watcher(Observer):
    """Notes what it is told."""

    def __init__(self) -> None:
        self.roles: list[Role] = []
        self.leaders: list[str] = []
        self.failures: list[Failure] = []

    def role_changed(self, role: Role, term: int) -> None:
        """See L{Observer}."""
        self.roles.append(role)

    def leader_changed(self, leader: str, address: str) -> None:
        """See L{Observer}."""
        self.leaders.append(leader)

    def consensus_failed(self, reason: Failure) -> None:
        """See L{Observer}."""
        self.failures.append(reason)


class Host:
    """A server and what it runs on."""

    def __init__(self, clock: SimulatedClock, network: Network, id: str, trailing: int = 2) -> None:
        self.id = id
        self.clock = clock
        self.network = network
        self.trailing = trailing
        self.disk = MemoryDisk(clock, lambda: 0.001)
        self.machine = WordMachine()
        self.log: CountingLog
        self.watcher = Watcher()
        self.consensus: Consensus

    def start(self, *servers: str) -> Deferred[None]:
        """Begin, or begin again with what the disk has."""
        self.machine = WordMachine()
        self.log = CountingLog(self.disk)
        self.watcher = Watcher()
        self.consensus = Consensus(
            self.id,
            log_store=self.log,
            stable_store=MemoryStableStore(self.disk),
            snapshot_store=MemorySnapshotStore(self.disk),
            machine=self.machine,
            transport=Transport(self.network, self.id),
            clock=self.clock,
            rng=Random(f"{self.id} 1"),
            timing=TIMING,
            policy=SnapshotPolicy(threshold=20, interval=1.0, trailing=self.trailing),
            slices=Slices(self.clock, 0.0, 0.001),
        )
        self.consensus.observe(self.watcher)
        self.network.servers[self.id] = self.consensus
        first = Configuration(servers=tuple(Server(id=id, address=f"{id}:8300") for id in servers))
        return self.consensus.start(first if servers else None)

    def crash(self) -> None:
        """Lose what was not synced."""
        del self.network.servers[self.id]
        self.disk.crash()
        self.consensus.stop()


class LoneServerTests(SynchronousTestCase):
    """A group of one."""

    def setUp(self) -> None:
        self.clock = SimulatedClock()
        self.host = Host(self.clock, Network(self.clock, Random(1), lambda line: None), "a")
        self.host.start("a")
        self.clock.advance(0.1)
        self.consensus = self.host.consensus

    def propose(self, *words: bytes) -> list[object]:
        """What came of each proposal."""
        results: list[object] = []
        for word in words:
            self.consensus.propose(word).addErrback(lambda failure: failure.value).addCallback(results.append)
        self.clock.advance(0.1)
        return results

    def test_electsItself(self) -> None:
        """It leads at once, and its observers are told."""
        self.assertTrue(self.consensus.is_leader)
        self.assertEqual(self.host.watcher.roles, [Role.LEADER])
        self.assertEqual(self.host.watcher.leaders, ["a"])
        self.assertEqual((self.consensus.leader_id, self.consensus.leader_address), ("a", "a:8300"))
        self.assertEqual(self.consensus.last_contact(), 0.0)

    def test_answers(self) -> None:
        """Each proposal is answered with the state machine's result, an exception of it as a failure."""
        results = self.propose(b"x", b"no", b"y")
        self.assertEqual([results[0], results[2]], [1, 2])
        self.assertIsInstance(results[1], Conflict)

    def test_oneSyncATurn(self) -> None:
        """Whatever is proposed in one turn is one append, one sync and one batch for the state machine."""
        log, batches = self.host.log, len(self.host.machine.batches)
        log.appends.clear()
        syncs = log.syncs
        self.propose(*[b"w"] * 50)
        self.assertEqual((log.appends, log.syncs - syncs), ([50], 1))
        self.assertEqual(len(self.host.machine.batches) - batches, 1)

    def test_arrivalsDuringASyncAreTheNextBatch(self) -> None:
        """Proposals of several turns during one sync wait for one more."""
        results: list[object] = []
        self.host.disk.sync_seconds = lambda: 1.0
        for _ in range(5):
            self.consensus.propose(b"w").addCallback(results.append)
            self.clock.advance(0.1)
        self.clock.advance(0.5)
        self.assertEqual(results, [1])
        self.clock.advance(1.0)
        self.assertEqual(results, [1, 2, 3, 4, 5])

    def test_recordIsPassedOn(self) -> None:
        """The leader's state machine gets the very record that was proposed; after a restart there is none."""
        record = object()
        self.consensus.propose(b"x", record)
        self.clock.advance(0.1)
        self.assertIs(self.host.machine.records[0], record)
        self.host.crash()
        self.host.start()
        self.clock.advance(0.1)
        self.assertEqual((self.host.machine.words, self.host.machine.records), ([b"x"], [None]))

    def test_crashKeepsWhatWasAnswered(self) -> None:
        """An answered write survives a crash; one whose sync was under way does not."""
        self.propose(b"x")
        waiting = self.consensus.propose(b"y")
        self.host.crash()
        self.failureResultOf(waiting, LeadershipLost)
        self.host.start()
        self.clock.advance(0.1)
        self.assertEqual(self.host.machine.words, [b"x"])

    def test_fullDisk(self) -> None:
        """A full disk refuses writes, keeps leadership and reads, and takes writes again when there is room."""
        self.propose(b"x")
        self.host.disk.full = True
        (error,) = self.propose(b"y")
        self.assertIsInstance(error, DiskFull)
        self.assertTrue(self.consensus.is_leader)
        self.assertIsNone(self.consensus.verify())
        self.clock.advance(10.0)
        self.host.disk.full = False
        self.assertEqual(self.propose(b"z"), [2])
        self.assertEqual(self.host.machine.words, [b"x", b"z"])

    def test_diskFullDuringASync(self) -> None:
        """Entries that were taken and then had no room are refused too."""
        waiting = self.consensus.propose(b"y")
        self.clock.advance(0)
        self.host.disk.full = True
        self.clock.advance(0.1)
        self.failureResultOf(waiting, DiskFull)
        self.host.disk.full = False
        self.assertEqual(self.propose(b"z"), [1])

    def test_failedDisk(self) -> None:
        """A failed sync stops the server, and its observers are told once."""
        self.host.disk.failing = True
        (error,) = self.propose(b"y")
        self.assertIsInstance(error, LeadershipLost)
        self.assertEqual(self.host.watcher.roles, [Role.LEADER, Role.STOPPED])
        (failure,) = self.host.watcher.failures
        self.assertTrue(failure.check(DiskFailed))
        self.assertIsInstance(self.propose(b"z")[0], NoLeader)

    def test_exceptionWhileApplying(self) -> None:
        """An exception of the state machine stops the server before it applies anything else."""
        results = self.propose(b"x", b"boom", b"y")
        self.assertEqual([type(result) for result in results], [LeadershipLost] * 3)
        self.assertEqual(self.host.machine.words, [b"x"])
        self.assertEqual(len(self.host.watcher.failures), 1)
        self.assertEqual(len(self.flushLoggedErrors(ValueError)), 1)
        self.assertEqual(self.clock.getDelayedCalls(), [])

    def test_readsAreCertain(self) -> None:
        """Nobody need be asked: a read may be served now."""
        self.propose(b"x")
        self.assertIsNone(self.consensus.verify())
        self.assertTrue(self.consensus.lease_valid())

    def test_barrier(self) -> None:
        """A barrier fires when everything before it is applied."""
        waiting = self.consensus.propose(b"x")
        barrier = self.consensus.barrier()
        self.clock.advance(0.1)
        self.assertEqual(self.successResultOf(waiting), 1)
        self.assertEqual(self.successResultOf(barrier), self.consensus.applied_index)

    def test_snapshot(self) -> None:
        """A snapshot holds the state of its moment; the log keeps only the trailing entries; a restart begins there."""
        self.propose(*[b"w%d" % number for number in range(10)])
        one, other = self.consensus.snapshot(), self.consensus.snapshot()
        self.propose(b"later")
        meta = self.successResultOf(one)
        self.assertEqual(self.successResultOf(other), meta)
        self.assertEqual((meta.index, meta.term, meta.configuration_index), (12, 2, 1))
        self.assertEqual(self.host.log.first, 12)
        self.host.crash()
        self.host.start()
        self.clock.advance(0.2)
        self.assertEqual(len(self.host.machine.words), 11)
        self.assertEqual(self.host.machine.records, [None])

    def test_snapshotsByThemselves(self) -> None:
        """When enough was applied since the last, a snapshot is written within twice the interval."""
        self.propose(*[b"w"] * 19)
        self.clock.advance(2.1)
        (meta,) = self.host.disk.snapshots[0][:1]
        self.assertEqual(meta.index, 21)
        self.assertEqual(self.consensus.stats()["last_snapshot_index"], "21")

    def test_nothingNewToSnapshot(self) -> None:
        """A second snapshot of the same state is the first."""
        self.propose(b"x")
        first = self.consensus.snapshot()
        self.clock.advance(0.1)
        self.assertEqual(self.successResultOf(self.consensus.snapshot()), self.successResultOf(first))

    def test_snapshotOnAFullDisk(self) -> None:
        """A snapshot that has no room fails, leaves no trace, and can be tried again."""
        self.propose(b"x")
        self.host.disk.full = True
        self.failureResultOf(self.consensus.snapshot(), DiskFull)
        self.host.disk.full = False
        again = self.consensus.snapshot()
        self.clock.advance(0.1)
        self.assertEqual(len(self.host.disk.snapshots), 1)
        self.successResultOf(again)

    def test_restore(self) -> None:
        """An archive replaces the state, leaves a hole in the log, and what was proposed meanwhile comes after it."""
        self.propose(b"x")
        last = self.consensus.core.log.last
        restored = self.consensus.restore(SnapshotMeta(index=500, size=4), BytesIO(b"p\nq\n"))
        during = self.consensus.propose(b"y")
        self.clock.advance(0.5)
        self.successResultOf(restored)
        self.assertEqual(self.successResultOf(during), 3)
        self.assertEqual(self.host.machine.words, [b"p", b"q", b"y"])
        self.assertGreater(self.host.log.first, max(last, 500))
        self.host.crash()
        self.host.start()
        self.clock.advance(0.5)
        self.assertEqual(self.host.machine.words, [b"p", b"q", b"y"])

    def test_badArchive(self) -> None:
        """A damaged archive changes nothing, and writes go on."""
        self.propose(b"x")
        restored = self.consensus.restore(SnapshotMeta(size=4), BytesIO(b"bad\n"))
        self.clock.advance(0.5)
        self.failureResultOf(restored, Corrupt)
        self.assertEqual(self.propose(b"y"), [2])
        self.assertEqual(self.host.disk.snapshots, [])

    def test_archiveWithoutRoom(self) -> None:
        """An archive for which there is no room changes nothing."""
        self.propose(b"x")
        restored = self.consensus.restore(SnapshotMeta(size=400000), BytesIO(b"p\n" * 200000))
        self.clock.advance(0.0015)
        self.host.disk.full = True
        self.clock.advance(0.5)
        self.failureResultOf(restored, DiskFull)
        self.host.disk.full = False
        self.assertEqual(self.host.machine.words, [b"x"])
        self.assertEqual(self.propose(b"y"), [2])

    def test_bootstrapOnAFullDisk(self) -> None:
        """A group that cannot be stored is not begun."""
        host = Host(self.clock, self.host.network, "b")
        host.disk.full = True
        self.failureResultOf(host.start("b"), DiskFull)

    def test_crashWithinBootstrap(self) -> None:
        """A crash between the first entry and its term is no harm."""
        host = Host(self.clock, self.host.network, "b")
        host.disk.full_for_votes = True
        starting = host.start("b")
        self.clock.advance(0.1)
        self.failureResultOf(starting, DiskFull)
        host.disk.full_for_votes = False
        host.crash()
        host.start("b")
        self.clock.advance(0.1)
        self.assertTrue(host.consensus.is_leader)
        self.assertEqual(host.consensus.term, 2)

    def test_logWithoutItsBeginning(self) -> None:
        """A log that begins after what the snapshots reach is not guessed at."""
        self.propose(*[b"w"] * 30)
        self.clock.advance(3.0)
        self.propose(b"w")
        self.host.crash()
        self.host.disk.snapshots.clear()
        self.failureResultOf(self.host.start(), Corrupt)

    def test_stop(self) -> None:
        """A stopped server answers who waits, and leaves no delayed call."""
        waiting = self.consensus.propose(b"x")
        self.successResultOf(self.consensus.stop())
        self.failureResultOf(waiting, LeadershipLost)
        self.failureResultOf(self.consensus.propose(b"x"), NoLeader)
        self.assertEqual(self.host.watcher.roles, [Role.LEADER, Role.STOPPED])
        self.clock.advance(0.01)
        self.assertEqual(self.clock.getDelayedCalls(), [])

    def test_nobodyToHandOverTo(self) -> None:
        """Leadership needs another voter to go to."""
        self.assertIn("peer", str(self.failureResultOf(self.consensus.transfer_leadership()).value))

    def test_stats(self) -> None:
        """What `consul info` shows is text."""
        stats = self.consensus.stats()
        self.assertEqual((stats["state"], stats["num_peers"], stats["commit_index"]), ("Leader", "0", "2"))
        self.assertEqual({type(value) for value in stats.values()}, {str})

    def test_askedBeforeItStarted(self) -> None:
        """A server that is still starting knows of nothing, and refuses."""
        self.propose(b"x")
        self.consensus.snapshot()
        self.clock.advance(0.1)
        self.host.crash()
        self.assertNoResult(self.host.start())
        consensus = self.host.consensus
        self.assertEqual((consensus.term, consensus.commit_index, consensus.last_contact()), (0, 0, None))
        self.assertEqual((consensus.leader_id, consensus.stats(), consensus.is_leader), ("", {}, False))
        self.failureResultOf(consensus.propose(b"y"), NoLeader)
        self.failureResultOf(consensus.snapshot(), Unavailable)
        self.assertFalse(consensus.lease_valid())
        consensus.unreachable("b")
        self.clock.advance(0.1)
        self.assertTrue(consensus.is_leader)

    def test_stoppedWhileItStarts(self) -> None:
        """A start that is cut short leaves nothing behind."""
        self.propose(b"x")
        self.consensus.snapshot()
        self.clock.advance(0.1)
        self.host.crash()
        starting = self.host.start()
        self.host.consensus.stop()
        self.clock.advance(0.01)
        self.assertEqual(self.clock.getDelayedCalls(), [])
        self.assertIsNot(starting.called, False)
        starting.addErrback(lambda _: None)

    def test_longReplayIsTold(self) -> None:
        """A long log is applied in slices and says so at its beginning and end."""
        from twisted.logger import globalLogPublisher

        self.host.trailing = 100000
        self.propose(*[b"w"] * 5000)
        self.host.disk.snapshots.clear()
        self.host.crash()
        told: list[str] = []

        def observe(event: dict[str, Any]) -> None:
            told.append(str(event.get("log_format")))

        ticks = iter(range(10**9))
        globalLogPublisher.addObserver(observe)
        try:
            self.clock.seconds = lambda: self.clock.now + next(ticks) * 0.003  # type: ignore[method-assign]
            self.host.start()
            for _ in range(2000):
                self.clock.step()
        finally:
            globalLogPublisher.removeObserver(observe)
        self.assertEqual(len(self.host.machine.words), 5000)
        self.assertGreater(len(self.host.machine.batches), 2)
        self.assertIn("applying {left} entries of the log", told)
        self.assertIn("applied {done} entries of the log in {seconds:.1f} s", told)


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
