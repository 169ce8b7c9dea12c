"""Consensus: a group of one, on virtual time and a disk in memory."""

from __future__ import annotations

from io import BytesIO
from random import Random
from typing import Any

from twisted.trial.unittest import SynchronousTestCase

from tests.consensus.host import Host
from txconsul.errors import Conflict, Corrupt, DiskFailed, DiskFull, LeadershipLost, NoLeader, Unavailable
from txconsul.raft.messages import Role
from txconsul.records.snapshot import SnapshotMeta
from txconsul.simulation.clock import SimulatedClock
from txconsul.simulation.network import Network


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

    def test_snapshotHoldsWhatWasAnswered(self) -> None:
        """Whoever asks for a snapshot while an older one is written gets one with every write answered by then."""
        self.propose(*[b"w"] * 9)
        older = self.consensus.snapshot()
        waiting = self.consensus.propose(b"later")
        self.clock.advance(0.003)
        self.assertEqual(self.successResultOf(waiting), 10)
        self.assertNoResult(older)
        newer = [self.consensus.snapshot(), self.consensus.snapshot()]
        self.clock.advance(0.1)
        self.assertEqual(self.successResultOf(older).index, 11)
        self.assertEqual([self.successResultOf(one).index for one in newer], [12, 12])
        self.assertEqual([meta.index for meta, _ in self.host.disk.snapshots], [12, 11])

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
