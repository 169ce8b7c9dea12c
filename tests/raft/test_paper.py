"""
What the paper says, sentence by sentence: Ongaro and Ousterhout's extended version (Raft). Its sections 6 and 8,
and what only Ongaro's dissertation has, are in L{test_dissertation}.
"""

from __future__ import annotations

from twisted.trial.unittest import SynchronousTestCase

from tests.raft.cluster import Cluster, configuration, entry
from tests.raft.single import acknowledge, answers, ask, attempt, leader, member
from txconsul.errors import NoLeader
from txconsul.raft.messages import (
    AppendEntries,
    AppendEntriesReply,
    Commit,
    InstallSnapshot,
    InstallSnapshotReply,
    Persist,
    PersistState,
    PreVoteReply,
    ReceiveSnapshot,
    RequestPreVote,
    RequestVote,
    ResetLog,
    Role,
    Send,
    SendSnapshot,
    Truncate,
    VoteReply,
)
from txconsul.raft.timing import Timing
from txconsul.records.raft import Entry, EntryType


class TermsTests(SynchronousTestCase):
    """Raft 5.1: the basics."""

    def test_startsAsFollower(self) -> None:
        """When servers start up, they begin as followers. Raft 5.2"""
        self.assertIs(member().role, Role.FOLLOWER)

    def test_followersArePassive(self) -> None:
        """Followers issue no requests on their own. Raft 5.1"""
        core = member()
        core.receive(AppendEntries(2), "b", 10.0)
        core.wake(10.1)
        self.assertEqual([type(each) for each in answers(core)], [AppendEntriesReply])

    def test_followerDoesNotPropose(self) -> None:
        """The leader handles all client requests; a follower refuses them. Raft 5.1"""
        core = member()
        self.assertRaises(NoLeader, core.propose, b"x", 10.0)
        self.assertRaises(NoLeader, core.read, 10.0)
        self.assertRaises(NoLeader, core.barrier, 10.0)

    def test_newerTermIsTakenOver(self) -> None:
        """A server that sees a larger term updates its own to it, and stores it. Raft 5.1"""
        core = member(1)
        core.receive(AppendEntries(7), "b", 10.0)
        self.assertEqual(core.term, 7)
        self.assertIn(PersistState(7, ""), core.take_output())

    def test_staleLeaderSteps(self) -> None:
        """A leader that learns of a newer term from an answer becomes a follower at once. Raft 5.1"""
        core = leader()
        core.receive(AppendEntriesReply(9, False), "b", 10.0)
        self.assertEqual((core.role, core.term), (Role.FOLLOWER, 9))

    def test_staleCandidateSteps(self) -> None:
        """A candidate that learns of a newer term becomes a follower at once. Raft 5.1"""
        core = member()
        core.wake(10.0)
        core.receive(PreVoteReply(9, False, attempt(core)), "b", 10.0)
        self.assertEqual((core.role, core.term), (Role.FOLLOWER, 9))

    def test_staleRequestsAreRefused(self) -> None:
        """A request of an older term is refused, and the answer tells the newer one. Raft 5.1"""
        core = member(3)
        for message, refusal in (
            (AppendEntries(2, "b:8300", 1, 3), AppendEntriesReply(3, False, 1, match_index=1, prev_log_entry=1)),
            (RequestVote(2, last_log_index=9, last_log_term=9), VoteReply(3, False)),
            (RequestPreVote(2, last_log_index=9, last_log_term=9), PreVoteReply(3, False)),
            (InstallSnapshot(2, last_log_index=9), InstallSnapshotReply(3, False, 9)),
        ):
            self.assertEqual(ask(core, message), refusal)
        self.assertEqual(core.leader, "")


class ElectionTests(SynchronousTestCase):
    """Raft 5.2: leader election."""

    def test_followsWhileItHears(self) -> None:
        """A server remains a follower as long as it receives valid messages from a leader. Raft 5.2"""
        core = member()
        for tenths in range(100, 150, 9):
            core.receive(AppendEntries(1), "b", tenths / 10)
            core.wake(tenths / 10)
        self.assertIs(core.role, Role.FOLLOWER)

    def test_standsAfterSilence(self) -> None:
        """Without a message for an election timeout it assumes that there is no leader, and stands. Raft 5.2"""
        core = member()
        core.receive(AppendEntries(1), "b", 10.0)
        core.wake(12.0)
        self.assertIs(core.role, Role.CANDIDATE)

    def test_candidateIncrementsTermAndVotesForItself(self) -> None:
        """It increments its term, votes for itself, and asks each of the others. Raft 5.2"""
        core = member(1)
        core.wake(10.0)
        core.take_output()
        core.receive(PreVoteReply(2, True, attempt(core)), "b", 10.0)
        state, *sends = core.take_output()
        self.assertEqual(state, PersistState(2, "a"))
        self.assertEqual({send.to for send in sends}, {"b", "c"})
        self.assertEqual({(send.message.term, send.message.last_log_index) for send in sends}, {(2, 1)})

    def test_winsByMajority(self) -> None:
        """A candidate wins with votes from a majority of the full cluster in the same term. Raft 5.2"""
        core = member(ids="abcde")
        core.wake(10.0)
        for id in "bc":
            core.receive(PreVoteReply(2, True, attempt(core)), id, 10.0)
        core.receive(VoteReply(2, True, attempt(core)), "b", 10.0)
        self.assertIs(core.role, Role.CANDIDATE)
        core.receive(VoteReply(2, True, attempt(core)), "b", 10.0)
        self.assertIs(core.role, Role.CANDIDATE, "the same vote twice")
        core.receive(VoteReply(2, True, attempt(core)), "e", 10.0)
        self.assertIs(core.role, Role.LEADER)

    def test_refusalsDoNotCount(self) -> None:
        """A vote that is refused counts for nothing. Raft 5.2"""
        core = member()
        core.wake(10.0)
        core.receive(PreVoteReply(2, False, attempt(core)), "b", 10.0)
        self.assertFalse(core._campaign is None or core._campaign.won)

    def test_oneVoteATermFirstCome(self) -> None:
        """Each server votes for at most one candidate in a given term, first come, first served. Raft 5.2"""
        core = member()
        self.assertEqual(ask(core, RequestVote(2, "b", 1, 1), "b"), VoteReply(2, True))
        self.assertEqual(ask(core, RequestVote(2, "c", 1, 1), "c"), VoteReply(2, False))
        self.assertEqual(ask(core, RequestVote(2, "b", 1, 1), "b"), VoteReply(2, True), "a retry of the first")

    def test_voteIsStoredBeforeItIsSaid(self) -> None:
        """Term and vote are on stable storage before the answer. Raft figure 2"""
        core = member()
        core.receive(RequestVote(2, "b", 1, 1), "b", 10.0)
        outputs = core.take_output()
        self.assertEqual(outputs, [PersistState(2, "b"), Send("b", VoteReply(2, True))])

    def test_voteSurvivesARestart(self) -> None:
        """A server that restarts has not forgotten whom it voted for. Raft figure 2"""
        cluster = Cluster.of("a", "b", "c")
        cluster.machines["a"].term, cluster.machines["a"].vote = 2, "b"
        cluster.restart("a")
        self.assertEqual(ask(cluster["a"], RequestVote(2, "c", 1, 1), "c"), VoteReply(2, False))
        self.assertEqual(ask(cluster["a"], RequestVote(2, "b", 1, 1), "b"), VoteReply(2, True))

    def test_winnerTellsAllOthers(self) -> None:
        """Once elected it sends a message to all others, to establish its authority. Raft 5.2"""
        core = member()
        core.wake(10.0)
        core.receive(PreVoteReply(2, True, attempt(core)), "b", 10.0)
        core.take_output()
        core.receive(VoteReply(2, True, attempt(core)), "b", 10.0)
        sends = [output for output in core.take_output() if isinstance(output, Send)]
        self.assertEqual(
            {(send.to, type(send.message)) for send in sends}, {("b", AppendEntries), ("c", AppendEntries)}
        )

    def test_candidateRecognisesLeader(self) -> None:
        """A candidate that hears a leader whose term is at least its own returns to follower. Raft 5.2"""
        core = member()
        core.wake(10.0)
        core.receive(PreVoteReply(2, True, attempt(core)), "b", 10.0)
        core.receive(AppendEntries(2), "c", 10.0)
        self.assertEqual((core.role, core.leader, core.term), (Role.FOLLOWER, "c", 2))

    def test_candidateRefusesOldLeader(self) -> None:
        """If the term is smaller, it refuses the message and remains a candidate. Raft 5.2"""
        core = member()
        core.wake(10.0)
        core.receive(PreVoteReply(2, True, attempt(core)), "b", 10.0)
        core.take_output()
        self.assertFalse(ask(core, AppendEntries(1), "c").success)
        self.assertIs(core.role, Role.CANDIDATE)

    def test_noWinnerMeansAnotherElection(self) -> None:
        """If nobody wins, each candidate times out and starts a new election. Raft 5.2"""
        core = member()
        core.wake(10.0)
        core.receive(PreVoteReply(2, True, attempt(core)), "b", 10.0)
        core.take_output()
        core.wake(12.0)
        self.assertEqual({type(each) for each in answers(core)}, {RequestPreVote})
        core.receive(PreVoteReply(3, True, attempt(core)), "b", 12.0)
        self.assertEqual(core.term, 3)

    def test_timeoutsAreRandom(self) -> None:
        """Election timeouts are chosen at random from a fixed interval, for each election anew. Raft 5.2"""
        deadlines = set()
        core = member()
        for _ in range(50):
            core.receive(AppendEntries(1), "b", 10.0)
            deadlines.add(core.next_deadline())
        self.assertEqual(len(deadlines), 50)
        self.assertTrue(all(11.0 <= each < 12.0 for each in deadlines if each is not None))


class ReplicationTests(SynchronousTestCase):
    """Raft 5.3: log replication."""

    def test_sentInParallelThenStored(self) -> None:
        """The leader appends the command and sends it to all others in parallel; its disk comes after. Raft 5.3"""
        core = leader()
        for id in "bc":
            acknowledge(core, id, 2)
        core.take_output()
        index = core.propose(b"x", 10.0)
        first, second, third = core.take_output()
        wanted = entry(2, index, "x")
        self.assertEqual({first.to, second.to}, {"b", "c"})
        self.assertEqual(first.message.entries, (wanted,))
        self.assertEqual(third, Persist((wanted,)))

    def test_committedByMajority(self) -> None:
        """An entry is committed once the leader that created it has it on a majority of servers. Raft 5.3"""
        core = leader(ids="abcde")
        acknowledge(core, "b", 2)
        self.assertEqual(core.commit_index, 0)
        acknowledge(core, "c", 2)
        self.assertEqual(core.commit_index, 2)
        self.assertIn(Commit(2), core.take_output())

    def test_ownDiskCountsWhenItHasIt(self) -> None:
        """The leader counts itself only once its entry is durable. Raft dissertation 10.2.1"""
        core = member()
        core.wake(10.0)
        core.receive(PreVoteReply(2, True, attempt(core)), "b", 10.0)
        core.receive(VoteReply(2, True, attempt(core)), "b", 10.0)
        core.take_output()
        acknowledge(core, "b", 2)
        self.assertEqual(core.commit_index, 0)
        core.persisted(2, 2, 10.0)
        self.assertEqual(core.commit_index, 2)

    def test_appliesOnlyWhatItsDiskHas(self) -> None:
        """Departure from Raft dissertation 10.2.1: what others have is committed here once this disk has it too."""
        core = member()
        core.wake(10.0)
        core.receive(PreVoteReply(2, True, attempt(core)), "b", 10.0)
        core.receive(VoteReply(2, True, attempt(core)), "b", 10.0)
        core.take_output()
        for id in "bc":
            acknowledge(core, id, 2)
        self.assertEqual(core.commit_index, 0)
        core.persisted(2, 2, 10.0)
        self.assertEqual(core.commit_index, 2)

    def test_commitsAllBefore(self) -> None:
        """This also commits all preceding entries, those of earlier leaders included. Raft 5.3"""
        core = leader(1, 1, 1)
        acknowledge(core, "b", 4)
        self.assertIn(Commit(4), core.take_output())

    def test_commitIndexTravels(self) -> None:
        """The highest committed index is in later AppendEntries, so that the others find out. Raft 5.3"""
        core = leader()
        for id in "bc":
            acknowledge(core, id, 2)
        core.propose(b"x", 10.0)
        self.assertEqual({each.leader_commit_index for each in answers(core)}, {2})

    def test_followerApplies(self) -> None:
        """Once a follower learns that an entry is committed, it applies it. Raft 5.3"""
        core = member(1, 1, 1)
        core.receive(AppendEntries(1, "", 3, 1, 2), "b", 10.0)
        self.assertIn(Commit(2), core.take_output())

    def test_followerCommitsNoFurtherThanItAgrees(self) -> None:
        """Commit index = min(leaderCommit, index of last new entry). Raft figure 2"""
        core = member(1, 1, 1)
        core.receive(AppendEntries(2, "", 1, 1, 3, (entry(1, 2, "v2"),)), "b", 10.0)
        self.assertEqual(core.commit_index, 2)

    def test_leaderTellsNoFurtherThanItKnows(self) -> None:
        """A probe does not tell of commits beyond what it proves; hashicorp/raft would believe them. Raft figure 2"""
        core = leader(1, 1, 1)
        acknowledge(core, "b", 4)
        core.take_output()
        core.receive(AppendEntriesReply(2, False, 2, True, 4, 3), "c", 10.0)
        (probe,) = answers(core)
        self.assertEqual((probe.prev_log_entry, probe.leader_commit_index), (2, 2))

    def test_missingPredecessorIsRefused(self) -> None:
        """A follower without the entry just before the new ones refuses them, and tells where its log ends. Raft 5.3"""
        core = member(1)
        reply = ask(core, AppendEntries(1, "", 5, 1, 0, (entry(1, 6),)))
        self.assertEqual((reply.success, reply.no_retry_backoff, reply.last_log), (False, True, 1))

    def test_otherPredecessorIsRefused(self) -> None:
        """A follower whose entry just before the new ones is of another term refuses them. Raft 5.3"""
        core = member(1, 1, 2)
        reply = ask(core, AppendEntries(3, "", 3, 3, 0, (entry(3, 4),)))
        self.assertEqual((reply.success, reply.no_retry_backoff), (False, True))

    def test_successMeansStored(self) -> None:
        """The answer waits for the disk: it stands after the wish to persist. Raft figure 2"""
        core = member(1)
        core.receive(AppendEntries(1, "", 1, 1, 0, (entry(1, 2, "x"),), 7), "b", 10.0)
        outputs = core.take_output()
        self.assertEqual(
            outputs[-2:],
            [
                Persist((entry(1, 2, "x"),)),
                Send("b", AppendEntriesReply(1, True, 2, match_index=2, prev_log_entry=1, round=7)),
            ],
        )

    def test_conflictTakesAllThatFollow(self) -> None:
        """An entry that conflicts with a new one is deleted with all that follow it. Raft figure 2"""
        core = member(1, 1, 1, 1)
        core.receive(AppendEntries(2, "", 1, 1, 0, (entry(2, 2, "x"),)), "b", 10.0)
        self.assertIn(Truncate(1), core.take_output())
        self.assertEqual((core.log.last, core.log.last_term), (2, 2))

    def test_noConflictKeepsTheTail(self) -> None:
        """A late message whose entries are all there already takes nothing away. Raft 5.3"""
        core = member(1, 1, 1, 1)
        reply = ask(core, AppendEntries(1, "", 1, 1, 0, (entry(1, 2, "v2"),)))
        self.assertEqual((reply.success, reply.match_index, core.log.last), (True, 2, 4))

    def test_unreadableConfigurationIsRefused(self) -> None:
        """Entries with a configuration that cannot be read are refused as a whole."""
        core = member(1)
        broken = (entry(1, 2), Entry(index=3, term=1, type=int(EntryType.CONFIGURATION), data=b"\xc1"))
        reply = ask(core, AppendEntries(1, "", 1, 1, 0, broken))
        self.assertEqual((reply.success, reply.no_retry_backoff, core.log.last), (False, False, 1))

    def test_requestsMayBeRepeated(self) -> None:
        """Raft requests are idempotent: a repeated one does no harm. Raft 5.5"""
        core = member(1)
        message = AppendEntries(1, "", 1, 1, 0, (entry(1, 2, "x"),))
        first, second = ask(core, message), ask(core, message)
        self.assertEqual((first, core.log.last), (second, 2))

    def test_nextIndexStartsAfterTheLog(self) -> None:
        """A new leader begins just after its own last entry. Raft 5.3"""
        core = member(1, 1, 1)
        core.wake(10.0)
        core.receive(PreVoteReply(2, True, attempt(core)), "b", 10.0)
        core.take_output()
        core.receive(VoteReply(2, True, attempt(core)), "b", 10.0)
        first = answers(core)[0]
        self.assertEqual((first.prev_log_entry, [each.index for each in first.entries]), (3, [4]))

    def test_backsOff(self) -> None:
        """After a refusal the leader goes back, and tries again at once. Raft 5.3"""
        core = leader(1, 1, 1, 1)
        core.receive(AppendEntriesReply(2, False, 9, True, 5, 4), "b", 10.0)
        (probe,) = answers(core)
        self.assertEqual((probe.prev_log_entry, probe.entries), (3, ()))

    def test_backsOffToTheTail(self) -> None:
        """A follower whose log is shorter is asked at its end next, not entry by entry. Raft 5.3"""
        core = leader(*[1] * 50)
        core.receive(AppendEntriesReply(2, False, 3, True, 51, 50), "b", 10.0)
        (probe,) = answers(core)
        self.assertEqual(probe.prev_log_entry, 3)

    def test_retriesForever(self) -> None:
        """The leader retries AppendEntries indefinitely until all followers store all entries. Raft 5.3"""
        core = leader()
        sent = 0
        for step in range(100, 200):
            acknowledge(core, "b", 2, step / 10, core._rounds.next - 1)
            core.wake(step / 10)
            sends = [output for output in core.take_output() if isinstance(output, Send) and output.to == "c"]
            sent += sum(bool(send.message.prev_log_entry) for send in sends)
        self.assertIs(core.role, Role.LEADER)
        self.assertGreater(sent, 20)

    def test_leaderAppendsOnly(self) -> None:
        """A leader never overwrites or deletes entries in its log. Raft figure 3"""
        core = leader(1, 1, 1)
        core.receive(AppendEntries(core.term, "", 1, 1, 0, (entry(2, 2),)), "b", 10.0)
        self.assertEqual((core.log.last, core.role), (4, Role.LEADER))
        self.assertNotIn(Truncate(1), core.take_output())


class SafetyTests(SynchronousTestCase):
    """Raft 5.4: what makes it safe."""

    def test_logBehindGetsNoVote(self) -> None:
        """The voter denies its vote if its own log is more up-to-date than the candidate's. Raft 5.4.1"""
        core = member(1, 1, 2)
        self.assertFalse(ask(core, RequestVote(3, "b", 9, 1), "b").granted, "a longer log of an older term")
        self.assertFalse(ask(core, RequestVote(3, "b", 2, 2), "b").granted, "a shorter log of the same term")

    def test_logAheadGetsVote(self) -> None:
        """The log with the later last term, or else the longer one, is more up-to-date. Raft 5.4.1"""
        for index, term in ((1, 3), (3, 2), (4, 2)):
            self.assertTrue(ask(member(1, 1, 2), RequestVote(3, "b", index, term), "b").granted)

    def test_termIsTakenOverBeforeTheLogIsCompared(self) -> None:
        """A candidate that gets no vote for its log still brings its term. Raft 5.1, 5.4.1"""
        core = member(1, 1, 2)
        self.assertEqual(ask(core, RequestVote(9, "b", 1, 1), "b"), VoteReply(9, False))

    def test_olderTermsAreNotCounted(self) -> None:
        """Raft never commits entries of earlier terms by counting replicas. Raft 5.4.2"""
        core = leader(1, 1, 1)
        for id in "bc":
            acknowledge(core, id, 3)
        self.assertEqual(core.commit_index, 0)
        acknowledge(core, "b", 4)
        self.assertEqual(core.commit_index, 4)

    def test_committedEntriesStay(self) -> None:
        """No server gives up an entry that it knows to be committed, whoever asks. Raft 5.4.3"""
        core = member(1, 1, 1)
        core.receive(AppendEntries(1, "", 3, 1, 3), "b", 10.0)
        core.take_output()
        self.assertFalse(ask(core, AppendEntries(2, "", 1, 1, 0, (entry(2, 2),)), "c").success)
        self.assertEqual((core.log.last, core.log.last_term), (3, 1))


class TimingTests(SynchronousTestCase):
    """Raft 5.6: timing and availability."""

    def test_heartbeatsAreMuchMoreFrequentThanTimeouts(self) -> None:
        """broadcastTime << electionTimeout: in the shortest timeout fit five heartbeats. Raft 5.6"""
        core = leader()
        times = []
        now = 10.0
        while now < 11.0:
            acknowledge(core, "b", 2, now, core._rounds.next - 1)
            deadline = core.next_deadline()
            assert deadline is not None
            now = max(now, deadline)
            core.wake(now)
            times += [now for output in core.take_output() if isinstance(output, Send) and output.to == "b"]
        self.assertGreaterEqual(len(times), 5)

    def test_leaseIsShorterThanTimeouts(self) -> None:
        """A lease that outlasts the shortest election timeout is refused. Raft dissertation 6.4.1"""
        self.assertRaises(ValueError, Timing, heartbeat=1.0, lease=1.1)
        self.assertRaises(ValueError, Timing, election=0.0)
        self.assertRaises(ValueError, Timing, in_flight_max=0)


class SnapshotTests(SynchronousTestCase):
    """Raft 7: log compaction."""

    def test_sentWhenTheEntriesAreGone(self) -> None:
        """The leader sends a snapshot when it has already discarded the next entry to send. Raft 7"""
        cluster = Cluster.of("a", "b", "c")
        cluster.elect("a")
        cluster.cut("c")
        cluster["a"].propose(b"x", cluster.now)
        cluster.run()
        cluster.machines["a"].compact(3)
        core = cluster["a"]
        asked = core._leadership.progress["c"].in_flight[0][0]  # type: ignore[union-attr]
        core.receive(AppendEntriesReply(core.term, False, 2, True, 3, 3, round=asked), "c", cluster.now)
        self.assertEqual([type(output) for output in core.take_output()], [SendSnapshot])
        core.wake(cluster.now + 0.2)
        sends = [output for output in core.take_output() if isinstance(output, Send) and output.to == "c"]
        self.assertEqual([send.message.is_heartbeat for send in sends], [True])

    def test_newStateReplacesTheLog(self) -> None:
        """The follower discards its entire log if the snapshot has news, and takes its configuration. Raft 7"""
        core = member(1, 1, 1)
        message = InstallSnapshot(2, "", 9, 2, configuration("b", "c"), 5, 0, 3)
        core.receive(message, "b", 10.0)
        self.assertIn(ReceiveSnapshot("b", message), core.take_output())
        core.snapshot_installed(10.0)
        outputs = core.take_output()
        self.assertIn(ResetLog(9, 2), outputs)
        self.assertEqual(outputs[-1], Send("b", InstallSnapshotReply(2, True, 9, 3)))
        self.assertEqual((core.log.last, core.commit_index, core.members.voters), (9, 9, frozenset("bc")))

    def test_followingEntriesAreKept(self) -> None:
        """If the snapshot describes a prefix of its log, entries following it are retained. Raft 7"""
        core = member(1, 1, 1, 1)
        core.receive(InstallSnapshot(2, "", 2, 1, configuration("a", "b", "c"), 1), "b", 10.0)
        core.snapshot_installed(10.0)
        self.assertNotIn(ResetLog, [type(output) for output in core.take_output()])
        self.assertEqual((core.log.last, core.commit_index), (4, 2))

    def test_oldSnapshotChangesNothing(self) -> None:
        """A snapshot of what is committed here already is confirmed and not taken. Raft 7"""
        core = member(1, 1, 1)
        core.receive(AppendEntries(1, "", 3, 1, 3), "b", 10.0)
        core.take_output()
        self.assertTrue(ask(core, InstallSnapshot(1, "", 2, 1), "b").success)

    def test_heartbeatsAreAnsweredMeanwhile(self) -> None:
        """While a snapshot comes in, heartbeats are answered, entries are not taken. Raft 7"""
        core = member(1)
        core.receive(InstallSnapshot(1, "", 9, 1), "b", 10.0)
        core.take_output()
        self.assertTrue(ask(core, AppendEntries(1), "b").success)
        self.assertFalse(ask(core, AppendEntries(1, "", 1, 1, 0, (entry(1, 2),)), "b").success)

    def test_brokenSnapshotIsTriedAgain(self) -> None:
        """A follower that could not take the snapshot says so, and can be sent another. Raft 7"""
        core = member(1)
        message = InstallSnapshot(1, "", 9, 1)
        core.receive(message, "b", 10.0)
        core.take_output()
        core.snapshot_refused(10.0)
        self.assertEqual(answers(core), [InstallSnapshotReply(1, False, 9)])
        core.receive(message, "b", 10.0)
        self.assertIn(ReceiveSnapshot("b", message), core.take_output())
