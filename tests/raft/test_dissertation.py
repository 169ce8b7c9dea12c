"""
What Ongaro's dissertation says, sentence by sentence, of membership changes (with Raft 6), leadership transfer,
pre-votes, and reads (with Raft 8).
"""

from __future__ import annotations

from twisted.trial.unittest import SynchronousTestCase

from tests.raft.cluster import Cluster
from tests.raft.single import acknowledge, answers, ask, attempt, leader, member, store
from txconsul.errors import NoLeader, RequestRefused, Unavailable
from txconsul.raft.core import RaftCore
from txconsul.raft.messages import (
    AppendEntries,
    AppendEntriesReply,
    Persist,
    PreVoteReply,
    ReadFailed,
    ReadReady,
    RequestPreVote,
    RequestVote,
    Role,
    Send,
    TimeoutNow,
    VoteReply,
)
from txconsul.records.raft import Entry, EntryType


class MembershipTests(SynchronousTestCase):
    """Raft 6, in the form of the dissertation's chapter 4."""

    def committed(self, ids: str = "abc") -> RaftCore:
        """A leader whose first entry is committed."""
        core = leader(ids=ids)
        for id in ids[1:]:
            acknowledge(core, id, 2)
        core.take_output()
        return core

    def test_latestInTheLogIsUsed(self) -> None:
        """A server always uses the latest configuration in its log, whether it is committed or not. Raft 6"""
        core = self.committed()
        core.add_voter("d", "d:8300", 10.0)
        self.assertEqual(core.members.voters, frozenset("abcd"))
        self.assertTrue(core.members.changing)

    def test_newMajorityDecides(self) -> None:
        """The new configuration is committed by a majority of itself. Raft dissertation 4.1"""
        core = self.committed()
        index = core.add_voter("d", "d:8300", 10.0)
        store(core)
        acknowledge(core, "b", index)
        self.assertEqual(core.commit_index, 2, "two of four")
        acknowledge(core, "d", index)
        self.assertEqual(core.commit_index, index)

    def test_oneChangeAtATime(self) -> None:
        """Another change waits until the last is committed. Raft dissertation 4.1"""
        core = self.committed()
        core.add_nonvoter("d", "d:8300", 10.0)
        self.assertRaises(Unavailable, core.remove_server, "c", 10.0)

    def test_noChangeBeforeTheFirstCommit(self) -> None:
        """No change before an entry of the leader's term is committed. Raft dissertation 4.1 (corrected 2015)"""
        core = leader()
        self.assertRaises(Unavailable, core.add_voter, "d", "d:8300", 10.0)
        acknowledge(core, "b", 2)
        core.add_voter("d", "d:8300", 10.0)

    def test_nonVotersDoNotCount(self) -> None:
        """New servers join as non-voting members: the log is sent to them, they count for no majority. Raft 6"""
        core = leader(ids="abc")
        acknowledge(core, "b", 2)
        index = core.add_nonvoter("d", "d:8300", 10.0)
        core._leadership.flush(10.0)
        self.assertIn("d", {output.to for output in core._out if isinstance(output, Send)})
        store(core)
        acknowledge(core, "d", index)
        self.assertEqual(core.commit_index, 2)
        acknowledge(core, "c", index)
        self.assertEqual(core.commit_index, index)

    def test_nonVotersAreNotAskedAndDoNotStand(self) -> None:
        """A non-voter never stands for election; nobody asks for its vote. Raft dissertation 4.2.1"""
        cluster = Cluster.of("a", "b", "c", "d?")
        cluster.now = 10.0
        for id in "ad":
            cluster[id].wake(10.0)
        self.assertIs(cluster["d"].role, Role.FOLLOWER)
        sent = {output.to for output in cluster["a"].take_output() if isinstance(output, Send)}
        self.assertEqual(sent, {"b", "c"})

    def test_leaderOutsideTheGroupDoesNotCountItself(self) -> None:
        """A leader that is not in the new configuration replicates but does not count itself. Raft 6"""
        core = self.committed()
        index = core.remove_server("a", 10.0)
        store(core)
        acknowledge(core, "b", index)
        self.assertEqual(core.commit_index, 2)

    def test_leaderOutsideTheGroupKeepsItsAddress(self) -> None:
        """While it still leads, the others are told where it listens."""
        core = self.committed()
        core.remove_server("a", 10.0)
        self.assertEqual({each.leader for each in answers(core)}, {"a:8300"})

    def test_leaderOutsideTheGroupStepsDown(self) -> None:
        """It steps down once it has committed that configuration, and stands no more. Raft 6"""
        core = self.committed()
        index = core.remove_server("a", 10.0)
        store(core)
        for id in "bc":
            acknowledge(core, id, index)
        self.assertEqual((core.commit_index, core.role), (index, Role.FOLLOWER))
        core.wake(99.0)
        self.assertIs(core.role, Role.FOLLOWER)

    def test_demotedLeaderStepsDown(self) -> None:
        """A leader that takes its own vote does as if it were removed. Raft dissertation 4.2.2"""
        core = self.committed()
        index = core.demote("a", 10.0)
        store(core)
        for id in "bc":
            acknowledge(core, id, index)
        self.assertIs(core.role, Role.FOLLOWER)

    def test_removedServersDoNotDisturb(self) -> None:
        """A server that hears its leader disregards RequestVote: it neither updates its term nor votes. Raft 6"""
        core = member()
        core.receive(AppendEntries(1), "b", 10.0)
        core.take_output()
        self.assertEqual(ask(core, RequestVote(9, "c", 9, 9), "c", 10.9), VoteReply(1, False))
        self.assertTrue(ask(core, RequestVote(9, "c", 9, 9), "c", 11.0).granted, "after the shortest timeout")

    def test_leaderIsNotDisturbed(self) -> None:
        """A leader disregards RequestVote likewise. Raft dissertation 4.2.3"""
        core = leader()
        self.assertEqual(ask(core, RequestVote(9, "c", 9, 9), "c"), VoteReply(2, False))

    def test_strangersGetNoVote(self) -> None:
        """Nobody outside the configuration gets a vote, nor a non-voter, with what is in this log. hashicorp/raft"""
        core = member(ids="abc")
        self.assertEqual(ask(core, RequestVote(9, "x", 1, 1), "x"), VoteReply(1, False))
        core = Cluster.of("a", "b", "c", "d?")["a"]
        self.assertFalse(ask(core, RequestVote(9, "d", 1, 1), "d").granted)
        self.assertFalse(ask(core, RequestPreVote(9, 1, 1), "d").granted)

    def test_strangersMayHaveJoined(self) -> None:
        """A candidate whose log goes further may be a voter by what stands there. Raft dissertation 4.1"""
        self.assertTrue(ask(member(), RequestPreVote(9, 2, 1), "x").granted)
        self.assertTrue(ask(member(), RequestVote(9, "x", 2, 1), "x").granted)
        core = Cluster.of("a", "b", "c", "d?")["a"]
        self.assertTrue(ask(core, RequestVote(9, "d", 2, 1), "d").granted)

    def test_strangersDoNotDisturb(self) -> None:
        """But not while a leader is heard, whatever it says of a transfer. Raft dissertation 4.2.3"""
        core = member()
        core.receive(AppendEntries(1), "b", 10.0)
        core.take_output()
        self.assertEqual(ask(core, RequestVote(9, "x", 2, 1, True), "x"), VoteReply(1, False))

    def test_impossibleGroupsAreRefused(self) -> None:
        """No group without a voter, with two of a name or address, or with a nameless server. hashicorp/raft"""
        core = self.committed()
        for id, address in (("d", ""), ("", "d:8300"), ("d", "b:8300")):
            self.assertRaises(RequestRefused, core.add_voter, id, address, 10.0)
        self.assertRaises(RequestRefused, core.demote, "x", 10.0)
        alone = leader(ids="a")
        self.assertRaises(RequestRefused, alone.remove_server, "a", 10.0)


class TransferTests(SynchronousTestCase):
    """Raft dissertation 3.10: leadership transfer."""

    def test_broughtUpToDateFirst(self) -> None:
        """The target is told to stand only when its log matches. Raft dissertation 3.10"""
        core = leader()
        core.transfer_leadership("b", 10.0)
        self.assertNotIn(TimeoutNow(2), answers(core))
        acknowledge(core, "b", 2)
        self.assertIn(TimeoutNow(2), answers(core))

    def test_refusesProposals(self) -> None:
        """The prior leader stops accepting new client requests. Raft dissertation 3.10"""
        core = leader()
        core.transfer_leadership("b", 10.0)
        self.assertRaises(NoLeader, core.propose, b"x", 10.0)
        self.assertRaises(NoLeader, core.add_voter, "d", "d:1", 10.0)
        self.assertRaises(NoLeader, core.transfer_leadership, "c", 10.0)

    def test_abortsAfterATimeout(self) -> None:
        """If it takes longer than an election timeout, the leader resumes. Raft dissertation 3.10"""
        core = leader()
        core.transfer_leadership("b", 10.0)
        acknowledge(core, "c", 2, 10.9, core._rounds.next - 1)
        for now in (10.3, 10.6, 10.9, 11.0):
            core.wake(now)
            core.take_output()
            acknowledge(core, "c", 2, now, core._rounds.next - 1)
        core.propose(b"x", 11.0)

    def test_standsAtOnce(self) -> None:
        """The target starts an election immediately, with a flag that lets it disrupt. Raft dissertation 3.10, 4.2.3"""
        core = member()
        core.receive(AppendEntries(1), "b", 10.0)
        core.take_output()
        core.receive(TimeoutNow(), "b", 10.0)
        self.assertEqual({(each.term, each.leadership_transfer) for each in answers(core)}, {(2, True)})

    def test_onlyTheLeaderMayAsk(self) -> None:
        """A TimeoutNow of anybody else, or of another term, is ignored."""
        core = member()
        core.receive(AppendEntries(1), "b", 10.0)
        core.receive(TimeoutNow(), "c", 10.0)
        core.receive(TimeoutNow(7), "b", 10.0)
        self.assertIs(core.role, Role.FOLLOWER)

    def test_transferGetsVotesDespiteALeader(self) -> None:
        """Servers vote in such an election even while they hear the leader. Raft dissertation 4.2.3"""
        core = member()
        core.receive(AppendEntries(1), "b", 10.0)
        core.take_output()
        self.assertTrue(ask(core, RequestVote(2, "", 1, 1, True), "c").granted)

    def test_nearestIsChosen(self) -> None:
        """Without a name the voter with the longest matching log is chosen; there must be one."""
        core = leader()
        acknowledge(core, "c", 2)
        self.assertEqual(core.transfer_leadership(None, 10.0), "c")
        alone = leader(ids="a")
        self.assertRaises(RequestRefused, alone.transfer_leadership, None, 10.0)
        self.assertRaises(RequestRefused, leader().transfer_leadership, "x", 10.0)


class PreVoteTests(SynchronousTestCase):
    """Raft dissertation 9.6: preventing disruptions."""

    def test_asksFirst(self) -> None:
        """A candidate increments its term only after a majority said that it would vote. Raft dissertation 9.6"""
        core = member(1)
        core.wake(10.0)
        self.assertEqual({(type(each), each.term) for each in answers(core)}, {(RequestPreVote, 2)})
        self.assertEqual((core.term, core.vote), (1, ""))

    def test_changesNothingAtTheAsked(self) -> None:
        """Who is asked neither takes over the term nor gives its vote away. Raft dissertation 9.6"""
        core = member(1)
        self.assertEqual(ask(core, RequestPreVote(9, 1, 1), "b"), PreVoteReply(9, True))
        self.assertEqual((core.term, core.vote), (1, ""))
        self.assertTrue(ask(core, RequestPreVote(9, 1, 1), "c").granted)

    def test_sameRulesAsForVotes(self) -> None:
        """It is refused to a log that is behind, and while a leader is heard. Raft dissertation 9.6"""
        core = member(1, 2)
        self.assertFalse(ask(core, RequestPreVote(9, 5, 1), "b").granted)
        core.receive(AppendEntries(2), "c", 10.0)
        core.take_output()
        self.assertFalse(ask(core, RequestPreVote(9, 9, 9), "b").granted)

    def test_lateAnswersDoNotCount(self) -> None:
        """The answer to an earlier attempt, or of the other kind, is no vote in this one."""
        core = member(1)
        core.wake(10.0)
        first = attempt(core)
        core.wake(12.0)
        core.receive(PreVoteReply(2, True, first), "b", 12.0)
        core.receive(VoteReply(2, True, attempt(core)), "c", 12.0)
        self.assertEqual((core.role, core.term), (Role.CANDIDATE, 1))


class ClientTests(SynchronousTestCase):
    """Raft 8: client interaction; dissertation 6.4."""

    def test_noopAtTheStart(self) -> None:
        """Each leader commits a blank no-op entry at the start of its term. Raft 8"""
        core = member()
        core.wake(10.0)
        core.receive(PreVoteReply(2, True, attempt(core)), "b", 10.0)
        core.receive(VoteReply(2, True, attempt(core)), "b", 10.0)
        (persist,) = [output for output in core.take_output() if isinstance(output, Persist)]
        self.assertEqual(persist.entries, (Entry(index=2, term=2, type=int(EntryType.NOOP)),))

    def test_readsWaitForTheFirstCommit(self) -> None:
        """A leader cannot read before an entry of its own term is committed. Raft 8"""
        core = leader()
        ticket = core.read(10.0)
        core.take_output()
        for id in "bc":
            core.receive(AppendEntriesReply(2, True, 1, round=core._rounds.next - 1), id, 10.0)
        self.assertNotIn(ReadReady(ticket, 2), core.take_output())
        acknowledge(core, "b", 2)
        self.assertIn(ReadReady(ticket, 2), core.take_output())

    def test_readsWaitForAMajority(self) -> None:
        """Before answering a read the leader exchanges heartbeats with a majority. Raft 8"""
        core = leader(ids="abcde")
        for id in "bc":
            acknowledge(core, id, 2)
        core.take_output()
        ticket = core.read(10.0)
        sends = [output for output in core.take_output() if isinstance(output, Send)]
        self.assertEqual({send.to for send in sends if send.message.is_heartbeat}, set("bcde"))
        rounds = {send.to: send.message.round for send in sends if send.message.is_heartbeat}
        acknowledge(core, "d", 0, 10.0, rounds["d"])
        self.assertNotIn(ReadReady(ticket, 2), core.take_output())
        acknowledge(core, "e", 0, 10.0, rounds["e"])
        self.assertIn(ReadReady(ticket, 2), core.take_output())

    def test_earlierAnswersDoNotConfirm(self) -> None:
        """An answer to what was sent before the read came proves nothing. Raft 8"""
        core = leader()
        acknowledge(core, "b", 2)
        core.take_output()
        before = core._rounds.next - 1
        ticket = core.read(10.0)
        core.take_output()
        acknowledge(core, "b", 0, 10.0, before)
        self.assertNotIn(ReadReady(ticket, 2), core.take_output())

    def test_madeUpAnswersDoNotConfirm(self) -> None:
        """Nor does an answer to something that was never sent."""
        core = leader()
        acknowledge(core, "b", 2)
        core.take_output()
        ticket = core.read(10.0)
        acknowledge(core, "b", 0, 10.0, 1 << 60)
        self.assertNotIn(ReadReady(ticket, 2), core.take_output())

    def test_deposedLeaderFailsItsReads(self) -> None:
        """A leader that was deposed does not answer reads. Raft 8"""
        core = leader()
        ticket = core.read(10.0)
        core.receive(AppendEntries(9), "b", 10.0)
        self.assertIn(ReadFailed(ticket), core.take_output())

    def test_nonVotersConfirmNothing(self) -> None:
        """Heartbeats of non-voters do not confirm leadership. Raft 8"""
        cluster = Cluster.of("a", "b", "c", "d?")
        cluster.elect("a")
        cluster.cut("b", "c")
        ticket = cluster["a"].read(cluster.now)
        cluster.run()
        self.assertNotIn(f"a read {ticket} may see 2", cluster.take_lines())

    def test_leaseRunsFromSending(self) -> None:
        """A lease runs from when the round that a majority answered was sent. Raft dissertation 6.4.1"""
        core = leader()
        acknowledge(core, "b", 2)
        core.wake(10.2)
        rounds = [output.message.round for output in core.take_output() if isinstance(output, Send)]
        acknowledge(core, "b", 2, 10.6, rounds[0])
        self.assertTrue(core.lease_valid(10.69))
        self.assertFalse(core.lease_valid(10.71))

    def test_noLeaseBeforeTheFirstCommit(self) -> None:
        """A new leader cannot read by its lease before an entry of its term is committed. Raft dissertation 6.4"""
        core = leader()
        acknowledge(core, "b", 0, 10.0, core._rounds.next - 1)
        self.assertFalse(core.lease_valid(10.0))

    def test_leaderWithoutMajorityStepsDown(self) -> None:
        """A leader steps down if an election timeout goes by without a round to a majority. Raft dissertation 6.2"""
        core = leader()
        acknowledge(core, "b", 2)
        core.take_output()
        core.wake(10.45)
        self.assertIs(core.role, Role.LEADER)
        core.wake(10.6)
        self.assertIs(core.role, Role.FOLLOWER)

    def test_restartedServerKeepsLeases(self) -> None:
        """A server that restarts votes for nobody as long as a lease it knew may last. Raft dissertation 6.4.1"""
        core = Cluster.of("a", "b", "c")["a"]
        self.assertFalse(ask(core, RequestPreVote(2, 9, 9), "b", 0.4).granted)
        self.assertEqual(ask(core, RequestVote(2, "", 9, 9), "b", 0.4), VoteReply(1, False))
        self.assertTrue(ask(core, RequestVote(2, "", 9, 9), "b", 0.5).granted)
