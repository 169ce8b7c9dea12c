"""
The core's verbs, and what a driver has to know of them.
"""

from __future__ import annotations

from random import Random

from twisted.trial.unittest import SynchronousTestCase

from tests.raft.cluster import TIMING, Cluster, configuration, entry, log_of
from tests.raft.disk import ListLog
from txconsul.errors import Corrupt, LeadershipLost, NoLeader, RequestRefused, Unavailable
from txconsul.raft.core import RaftCore
from txconsul.raft.messages import (
    AppendEntries,
    AppendEntriesReply,
    Dropped,
    InstallSnapshot,
    InstallSnapshotReply,
    Persist,
    PersistState,
    ReadReady,
    ResetLog,
    Role,
    Send,
    SendSnapshot,
    Truncate,
)
from txconsul.raft.replication import Mode
from txconsul.records.raft import Entry


def lone() -> Cluster:
    """A group of one that leads."""
    cluster = Cluster()
    cluster.add("a")
    cluster["a"].bootstrap(configuration("a"), 0.0)
    cluster.timeout("a")
    return cluster


class BeginningTests(SynchronousTestCase):
    """New groups and old ones."""

    def test_bootstrapIsTheSameEverywhere(self) -> None:
        """Servers that bootstrap alike have the same first entry, 1/1, and term 1."""
        cores = [RaftCore(id, log=ListLog(), now=0.0, rng=Random(1), timing=TIMING) for id in "ab"]
        for core in cores:
            core.bootstrap(configuration("a", "b"), 0.0)
        one, other = (core.take_output() for core in cores)
        self.assertEqual(one, other)
        self.assertEqual(one[:2], [PersistState(1, ""), Persist(log_of(configuration("a", "b"), (1,)))])

    def test_bootstrapOnce(self) -> None:
        """A server that knows a group cannot begin another."""
        self.assertRaises(RequestRefused, lone()["a"].bootstrap, configuration("a"), 0.0)
        core = RaftCore("a", log=ListLog(), now=0.0, rng=Random(1), timing=TIMING)
        self.assertRaises(RequestRefused, core.bootstrap, configuration("a?"), 0.0)
        self.assertEqual(core.take_output(), [])

    def test_loneVoterWaitsForNobody(self) -> None:
        """A group of one elects itself as soon as it is woken, also after a restart."""
        cluster = lone()
        self.assertIs(cluster["a"].role, Role.LEADER)
        cluster.restart("a")
        self.assertEqual(cluster["a"].next_deadline(), cluster.now)
        cluster.timeout("a")
        self.assertEqual((cluster["a"].role, cluster["a"].commit_index), (Role.LEADER, 3))

    def test_newLoneVoterWaits(self) -> None:
        """One that became the only voter by a change waits: the leader it had may hold a lease."""
        members = (*log_of(configuration("a", "b"), (1,)), *log_of(configuration("b"), (1,)))
        stored = (members[0], Entry(index=2, term=1, type=5, data=members[1].data))
        core = RaftCore("b", log=ListLog(stored), now=0.0, rng=Random(1), timing=TIMING, term=1)
        deadline = core.next_deadline()
        assert deadline is not None
        self.assertGreaterEqual(deadline, TIMING.lease)
        core.wake(deadline)
        self.assertIs(core.role, Role.LEADER)

    def test_configurationIsFoundInTheLog(self) -> None:
        """At start the latest configuration is read from the log, however long it is."""
        stored = (*log_of(configuration("a"), (1,)), *(entry(1, index) for index in range(2, 3000)))
        stored += (Entry(index=3000, term=1, type=5, data=log_of(configuration("a", "b"), (1,))[0].data),)
        core = RaftCore("a", log=ListLog(stored), now=0.0, rng=Random(1), timing=TIMING, term=1)
        self.assertEqual((core.members.latest_index, core.members.voters), (3000, frozenset("ab")))

    def test_unreadableConfigurationStops(self) -> None:
        """A configuration in the log that cannot be read is damage."""
        stored = ListLog((Entry(index=1, term=1, type=5, data=b"\xc1"),))
        self.assertRaises(Corrupt, RaftCore, "a", log=stored, now=0.0, rng=Random(1), timing=TIMING)

    def test_logBehindTheSnapshotGoes(self) -> None:
        """If a crash came between a snapshot's installation and the log's reset, the log is reset at start."""
        core = RaftCore(
            "a",
            log=ListLog((entry(1, 1), entry(1, 2))),
            now=0.0,
            rng=Random(1),
            timing=TIMING,
            term=2,
            configuration=configuration("a", "b"),
            configuration_index=1,
            snapshot_index=5,
            snapshot_term=2,
        )
        self.assertEqual(core.take_output(), [ResetLog(5, 2)])
        self.assertEqual((core.log.last, core.commit_index, core.members.changing), (5, 5, False))

    def test_waitsToBeAdded(self) -> None:
        """A server without a configuration stands for nothing, and follows whoever leads it."""
        core = RaftCore("d", log=ListLog(), now=0.0, rng=Random(1), timing=TIMING)
        core.wake(99.0)
        self.assertIs(core.role, Role.FOLLOWER)
        core.receive(AppendEntries(3, "a:8300"), "a", 99.0)
        self.assertEqual((core.leader, core.leader_address, core.term), ("a", "a:8300", 3))


class DiskTests(SynchronousTestCase):
    """What is durable, and what was refused."""

    def test_lateNewsIsIgnored(self) -> None:
        """That a cut entry is durable moves nothing."""
        cluster = Cluster.of("a", "b", "c")
        core = cluster["a"]
        core.receive(AppendEntries(1, "", 1, 1, 0, (entry(1, 2),)), "b", 0.0)
        core.receive(AppendEntries(2, "", 1, 1, 0, (entry(2, 2),)), "c", 0.0)
        core.persisted(2, 1, 0.0)
        self.assertEqual(core.log.durable, 1)
        core.persisted(2, 2, 0.0)
        self.assertEqual(core.log.durable, 2)

    def test_aloneGivesUpAndGoesOn(self) -> None:
        """A group of one drops what its disk refused and leads on; the indexes are used again."""
        cluster = lone()
        machine, core = cluster.machines["a"], cluster["a"]
        machine.disk = "full"
        core.propose(b"x", 0.0)
        machine.drain()
        core.propose(b"y", 0.0)
        machine._unsynced.clear()
        core.persist_failed(2, 0.0)
        self.assertEqual(core.take_output(), [Truncate(2), Dropped(2)])
        self.assertEqual((core.role, core.propose(b"z", 0.0)), (Role.LEADER, 3))

    def test_aloneWithoutAFirstEntrySteps(self) -> None:
        """If even the first entry of the term was refused, it begins anew later, so that reads are served again."""
        cluster = Cluster()
        machine = cluster.add("a")
        cluster["a"].bootstrap(configuration("a"), 0.0)
        cluster.drain()
        machine.disk = "full"
        cluster.timeout("a")
        machine.sync()
        self.assertIs(cluster["a"].role, Role.FOLLOWER)
        machine.disk = "ok"
        cluster.timeout("a")
        self.assertEqual((cluster["a"].role, cluster["a"].commit_index), (Role.LEADER, 2))

    def test_notAloneWithANonvoter(self) -> None:
        """With a non-voter that may have got the entries, the leader steps down: the index needs another term."""
        cluster = Cluster.of("a", "b?")
        cluster.timeout("a")
        cluster.run()
        cluster.machines["a"].disk = "full"
        cluster["a"].propose(b"x", cluster.now)
        cluster.run()
        cluster.machines["a"].sync()
        self.assertIs(cluster["a"].role, Role.FOLLOWER)

    def test_snapshotBeyondTheRefusedTail(self) -> None:
        """If a snapshot reaches further than what the disk has kept, it is all that is left."""
        cluster = Cluster.of("a", "b", "c")
        core = cluster["a"]
        core.receive(AppendEntries(1, "", 1, 1, 0, tuple(entry(1, index) for index in (2, 3, 4))), "b", 0.0)
        core.receive(InstallSnapshot(1, "", 3, 1, configuration("a", "b", "c"), 1), "b", 0.0)
        core.snapshot_installed(0.0)
        core.take_output()
        core.persist_failed(1, 0.0)
        self.assertEqual(core.take_output(), [ResetLog(3, 1)])
        self.assertEqual((core.log.last, core.commit_index), (3, 3))

    def test_nothingLost(self) -> None:
        """A refusal of nothing changes nothing: what is durable stays, whatever the driver says."""
        core = lone()["a"]
        core.persist_failed(2, 0.0)
        core.persist_failed(0, 0.0)
        self.assertEqual((core.take_output(), core.log.last, core.role), ([], 2, Role.LEADER))

    def test_commitWaitsForTheDisk(self) -> None:
        """A follower applies what is committed once it has it durably, without being told again."""
        core = Cluster.of("a", "b", "c")["a"]
        core.receive(AppendEntries(1, "", 1, 1, 2, (entry(1, 2),)), "b", 0.0)
        self.assertEqual(core.commit_index, 1)
        core.persisted(2, 1, 0.0)
        self.assertEqual(core.commit_index, 2)


class LeadingTests(SynchronousTestCase):
    """What a leader does on its driver's word."""

    def cluster(self) -> Cluster:
        """Three servers; a leads."""
        cluster = Cluster.of("a", "b", "c")
        cluster.elect("a")
        return cluster

    def test_readAloneIsAnsweredAtOnce(self) -> None:
        """A group of one needs no round."""
        core = lone()["a"]
        self.assertEqual(core.take_output(), [])
        ticket = core.read(0.0)
        self.assertEqual(core.take_output(), [ReadReady(ticket, 2)])
        self.assertTrue(core.lease_valid(1e9))
        self.assertIsNone(core.next_deadline())

    def test_barrier(self) -> None:
        """A barrier is an entry that does nothing."""
        core = lone()["a"]
        self.assertEqual(core.barrier(0.0), 3)
        (persist,) = core.take_output()
        self.assertEqual(persist, Persist((Entry(index=3, term=2, type=4),)))

    def test_appendsAreBounded(self) -> None:
        """At most so many entries and bytes go in one request, and so many requests without an answer."""
        cluster = self.cluster()
        core = cluster["a"]
        for _ in range(200):
            core.propose(b"x" * 1000, cluster.now)
        sends = [output for output in core.take_output() if isinstance(output, Send) and output.to == "b"]
        self.assertEqual([len(send.message.entries) for send in sends], [64, 64])
        for _ in range(9):
            core.propose(b"x" * 400_000, cluster.now)
        core.receive(AppendEntriesReply(2, True, 130, match_index=130, round=sends[-1].message.round), "b", cluster.now)
        sends = [output for output in core.take_output() if isinstance(output, Send) and output.to == "b"]
        self.assertTrue(all(sum(len(e.data) for e in s.message.entries) <= 1 << 20 for s in sends))

    def test_unreachable(self) -> None:
        """After a lost connection the leader asks anew what the follower has, in a while."""
        cluster = self.cluster()
        core = cluster["a"]
        core.propose(b"x", cluster.now)
        core.take_output()
        core.unreachable("b", cluster.now)
        progress = core._leadership.progress["b"]  # type: ignore[union-attr]
        self.assertEqual((progress.mode, progress.next, progress.in_flight), (Mode.PROBE, 3, []))
        self.assertFalse([output for output in core.take_output() if output.to == "b"])  # type: ignore[union-attr]
        core.unreachable("nobody", cluster.now)

    def test_followerThatLostWhatItConfirmed(self) -> None:
        """It is asked again, but not at once."""
        cluster = self.cluster()
        core = cluster["a"]
        core.unreachable("b", cluster.now)
        core._leadership.wake(cluster.now + TIMING.retry)  # type: ignore[union-attr]
        core.take_output()
        core.receive(AppendEntriesReply(2, False, 0, True, 2, 2), "b", cluster.now)
        self.assertEqual(core.take_output(), [])
        progress = core._leadership.progress["b"]  # type: ignore[union-attr]
        self.assertEqual((progress.next, progress.pause_until), (3, cluster.now + TIMING.retry))

    def test_eachPipelineIsRefusedOnce(self) -> None:
        """
        A follower that drops an entry, its disk being full, refuses every later one that is out: the leader looks once
        where its log ends, and sends no entries more for each of these refusals.
        """
        cluster = self.cluster()
        cluster.cut("c")
        core = cluster["a"]
        for word in (b"x", b"y", b"z"):
            core.propose(word, cluster.now)
            core.take_output()
        progress = core._leadership.progress["c"]  # type: ignore[union-attr]
        match, out = progress.match, [each[0] for each in progress.in_flight]
        refusal = AppendEntriesReply(2, False, match, True, match + 2, match + 1, out[1])
        core.receive(refusal, "c", cluster.now)
        (probe,) = core.take_output()
        self.assertEqual((probe.message.prev_log_entry, probe.message.entries), (match, ()))  # type: ignore[union-attr]
        reply = AppendEntriesReply(2, True, match, False, match, match, probe.message.round)  # type: ignore[union-attr]
        core.receive(reply, "c", cluster.now)
        self.assertEqual([type(output) for output in core.take_output()], [Send])
        core.receive(refusal, "c", cluster.now)
        self.assertEqual(core.take_output(), [])

    def test_twiceInVain(self) -> None:
        """A follower that takes nothing of a second pipeline either is left alone for a while."""
        cluster = self.cluster()
        cluster.cut("c")
        core = cluster["a"]
        core.propose(b"x", cluster.now)
        core.take_output()
        core.propose(b"y", cluster.now)
        core.take_output()
        progress = core._leadership.progress["c"]  # type: ignore[union-attr]
        match = progress.match
        for attempt in (1, 2):
            asked = progress.in_flight[-1][0]
            core.receive(AppendEntriesReply(2, False, match, True, match + 2, match + 1, asked), "c", cluster.now)
            if attempt == 1:
                (probe,) = core.take_output()
                reply = AppendEntriesReply(2, True, match, False, match, match, probe.message.round)  # type: ignore[union-attr]
                core.receive(reply, "c", cluster.now)
                core.take_output()
        self.assertEqual(core.take_output(), [])
        self.assertEqual(progress.pause_until, cluster.now + TIMING.retry)
        core.wake(progress.pause_until)
        self.assertEqual([output.to for output in core.take_output() if isinstance(output, Send)].count("c"), 2)

    def snapshot_wanted(self) -> Cluster:
        """The follower c needs a snapshot."""
        cluster = self.cluster()
        cluster.cut("c")
        cluster["a"].propose(b"x", cluster.now)
        cluster.run()
        cluster.machines["a"].compact(3)
        core = cluster["a"]
        asked = core._leadership.progress["c"].in_flight[0][0]  # type: ignore[union-attr]
        core.receive(AppendEntriesReply(2, False, 2, True, 3, 3, asked), "c", cluster.now)
        (output,) = core.take_output()
        self.assertEqual((type(output), output.to), (SendSnapshot, "c"))  # type: ignore[union-attr]
        return cluster

    def test_snapshotFailed(self) -> None:
        """A snapshot that could not be sent, or not be installed, is tried again after a pause."""
        for message in (None, InstallSnapshotReply(2, False, 3)):
            cluster = self.snapshot_wanted()
            core = cluster["a"]
            if message is None:
                core.snapshot_failed("c", cluster.now)
            else:
                core.snapshot_sent("c", cluster.now)
                core.receive(message, "c", cluster.now)
            progress = core._leadership.progress["c"]  # type: ignore[union-attr]
            self.assertEqual(progress.pause_until, cluster.now + TIMING.snapshot / 2)
            core._leadership.wake(progress.pause_until)  # type: ignore[union-attr]
            self.assertIs(progress.mode, Mode.PROBE)

    def test_snapshotUnanswered(self) -> None:
        """A snapshot whose answer does not come is given up; while it is being sent there is no hurry."""
        cluster = self.snapshot_wanted()
        core = cluster["a"]
        progress = core._leadership.progress["c"]  # type: ignore[union-attr]
        self.assertEqual(progress.pause_until, float("inf"))
        core.snapshot_sent("c", cluster.now)
        self.assertEqual(progress.pause_until, cluster.now + TIMING.snapshot)

    def test_snapshotInstalled(self) -> None:
        """After a snapshot was installed, what follows it is sent."""
        cluster = self.snapshot_wanted()
        core = cluster["a"]
        core.propose(b"y", cluster.now)
        core.take_output()
        core.receive(InstallSnapshotReply(2, True, 3), "c", cluster.now)
        sends = [o.message for o in core.take_output() if isinstance(o, Send) and o.to == "c"]
        self.assertEqual([each.index for each in sends[0].entries], [4])

    def test_stepDown(self) -> None:
        """A leader may be told to step down; a follower that is told so does nothing."""
        cluster = self.cluster()
        cluster["a"].step_down(cluster.now)
        cluster["b"].step_down(cluster.now)
        self.assertEqual([cluster[id].role for id in "ab"], [Role.FOLLOWER, Role.FOLLOWER])
        self.assertRaises(NoLeader, cluster["a"].propose, b"x", cluster.now)

    def test_stop(self) -> None:
        """A server that was stopped does nothing any more."""
        cluster = self.cluster()
        core = cluster["a"]
        core.stop(cluster.now)
        core.take_output()
        core.receive(AppendEntries(9), "b", cluster.now)
        core.wake(99.0)
        self.assertEqual((core.take_output(), core.next_deadline(), core.role), ([], None, Role.STOPPED))
        self.assertRaises(NoLeader, core.propose, b"x", 99.0)


class RestoreTests(SynchronousTestCase):
    """An archive takes the place of the state."""

    def test_logGoesOnAfterIt(self) -> None:
        """The archive gets an index above all; the log goes on from there with an entry of this term."""
        core = lone()["a"]
        self.assertEqual(core.begin_restore(70, 0.0), (71, 2))
        self.assertRaises(NoLeader, core.propose, b"x", 0.0)
        self.assertRaises(NoLeader, core.begin_restore, 70, 0.0)
        core.restored(0.0)
        reset, _, persist = core.take_output()
        self.assertEqual((reset, persist), (ResetLog(71, 2), Persist((Entry(index=72, term=2, type=1),))))
        self.assertEqual((core.commit_index, core.propose(b"x", 0.0)), (71, 73))

    def test_followersGetIt(self) -> None:
        """Every follower is sent the archive as a snapshot, and then what follows."""
        cluster = Cluster.of("a", "b", "c")
        cluster.elect("a")
        index, term = cluster["a"].begin_restore(0, cluster.now)
        machine = cluster.machines["a"]
        machine.snapshot = InstallSnapshot(0, "", index, term, configuration("a", "b", "c"), 1)
        machine.applied = cluster.snapshots[index] = [entry(0, each) for each in range(1, index + 1)]
        cluster["a"].restored(cluster.now)
        cluster["a"].propose(b"x", cluster.now)
        cluster.run()
        cluster.wait(0.5)
        for id in "abc":
            self.assertEqual(cluster.machines[id].applied[:index], machine.applied[:index])
            self.assertEqual(cluster.machines[id].applied[-1].data, b"x")

    def test_uncommittedGoes(self) -> None:
        """What was proposed before and is not committed when the archive is in place is given up."""
        core = lone()["a"]
        core.propose(b"x", 0.0)
        core.begin_restore(0, 0.0)
        core.take_output()
        core.restored(0.0)
        self.assertEqual(core.take_output()[:2], [Dropped(2), ResetLog(4, 2)])
        core.persisted(3, 2, 0.0)
        self.assertEqual((core.commit_index, core.log.durable), (4, 4))

    def test_failed(self) -> None:
        """After a failure all goes on as before."""
        core = lone()["a"]
        core.begin_restore(70, 0.0)
        core.restore_failed(0.0)
        self.assertEqual(core.propose(b"x", 0.0), 3)

    def test_notByOthers(self) -> None:
        """Only a leader that has committed an entry of its term can, and only if it still leads at the end."""
        core = Cluster.of("a", "b")["a"]
        self.assertRaises(NoLeader, core.begin_restore, 1, 0.0)
        self.assertRaises(LeadershipLost, core.restored, 0.0)
        cluster = Cluster.of("a", "b")
        cluster.elect("a")
        cluster["a"].add_nonvoter("d", "d:1", cluster.now)
        self.assertRaises(Unavailable, cluster["a"].begin_restore, 1, cluster.now)
