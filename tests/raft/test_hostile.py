"""
Whatever is said to a server, it neither raises nor breaks what it promises by itself.
"""

from __future__ import annotations

import os
from random import Random
from typing import Any

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from tests.raft.cluster import TIMING, configuration, log_of
from tests.raft.disk import ListLog
from txconsul.errors import RequestRefused, Unavailable
from txconsul.raft.core import RaftCore
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
    RoleChanged,
    Send,
    TimeoutNow,
    Truncate,
    VoteReply,
)
from txconsul.records.raft import Entry

STORIES = int(os.environ.get("HOSTILE_STORIES", "150"))

#: Steps of one story.
STEPS = 120

VERBS = (
    *("propose", "propose", "read", "add", "add_nonvoter", "remove", "demote", "transfer", "step_down", "restart"),
    *("unreachable", "sent", "failed", "installed", "installed", "refused", "full", "sync", "sync", "sync", "compact"),
    *("elect", "restore", "restored"),
)

GROUPS = [configuration(*ids) for ids in ("a", "abc", "bc", ("a", "b", "c?"), ("a", "b", "c", "d"))]


class Liar:
    """Says anything, but mostly what nearly fits."""

    def __init__(self, rng: Random) -> None:
        self.rng = rng

    def near(self, number: int) -> int:
        """A number close to another, sometimes an absurd one."""
        if self.rng.random() < 0.03:
            return self.rng.choice([-1, 0, 1 << 40, 1 << 63, (1 << 64) - 1])
        return max(0, number + self.rng.choice([-2, -1, 0, 0, 0, 0, 0, 1, 1, 2]))

    def entries(self, core: RaftCore, previous: int, term: int) -> tuple[Entry, ...]:
        """Entries that follow each other, mostly."""
        rng = self.rng
        made = []
        for index in range(previous + 1, previous + 1 + rng.choice([0, 1, 1, 2, 3])):
            kind = rng.choice([0, 0, 0, 0, 1, 4, 5, 99])
            data = log_of(rng.choice(GROUPS), (1,))[0].data if rng.random() < 0.9 else b"\xc1"
            index = index if rng.random() < 0.97 else self.near(index)
            made.append(Entry(index=index, term=term, type=kind, data=data if kind == 5 else b"x"))
            term += rng.random() < 0.1
        return tuple(made)

    def message(self, core: RaftCore) -> Any:
        """One message."""
        rng, near, log = self.rng, self.near, core.log
        term, round, flag = near(core.term), near(core._rounds.next - 1), rng.random() < 0.6
        kind = rng.randrange(10)
        if kind <= 3:
            if rng.random() < 0.2:
                return AppendEntries(term, round=round)
            previous = near(log.last)
            try:
                previous_term = log.term(previous) if rng.random() < 0.9 else near(term)
            except KeyError:
                previous_term = near(log.last_term)
            made = self.entries(core, previous, max(previous_term, near(min(term, 1 << 41))))
            return AppendEntries(term, "", previous, previous_term, near(log.commit + 1), made, round)
        if kind == 4:
            match = near(log.last)
            return AppendEntriesReply(term, flag, near(log.last), rng.random() < 0.5, match, near(match), round)
        if kind == 5:
            return RequestVote(term + 1, "", near(log.last), near(log.last_term), rng.random() < 0.2, round)
        if kind == 6:
            return rng.choice([VoteReply, PreVoteReply])(near(core.term + 1), flag, round)
        if kind == 7:
            return RequestPreVote(near(core.term + 1), near(log.last), near(log.last_term), round)
        if kind == 8:
            index = near(log.last + 1)
            last_term = min(near(log.last_term), term)
            return InstallSnapshot(term, "", index, last_term, rng.choice(GROUPS), near(index), 0, round)
        return rng.choice([TimeoutNow(), InstallSnapshotReply(term, flag, near(log.last), round)])


class Witness:
    """A server among liars: its driver, which checks after every step what must hold."""

    def __init__(self) -> None:
        self.now = 0.0
        self.disk = ListLog(log_of(configuration("a", "b", "c"), (1, 1)))
        self.state = (1, "")
        self.snapshot = InstallSnapshot(0)
        self.votes: dict[int, str] = {}
        self.commit = 0
        self.committed: dict[int, int] = {}
        self.unsynced: list[Persist] = []
        self.start()

    def start(self) -> None:
        self.unsynced = []
        self.commit = self.snapshot.last_log_index
        # Commits are not stored: until they are heard of again, a liar can pass for a leader that never had them.
        self.committed = {index: term for index, term in self.committed.items() if index <= self.commit}
        self.core = RaftCore(
            "a",
            log=self.disk,
            now=self.now,
            rng=Random(1),
            timing=TIMING,
            term=self.state[0],
            vote=self.state[1],
            configuration=self.snapshot.configuration,
            configuration_index=self.snapshot.configuration_index,
            snapshot_index=self.snapshot.last_log_index,
            snapshot_term=self.snapshot.last_log_term,
        )

    def step(self, rng: Random) -> None:
        """Something happens."""
        core = self.core
        what = rng.random()
        try:
            if what < 0.6:
                core.receive(Liar(rng).message(core), rng.choice("abbbcccd"), self.now)
            elif what < 0.75:
                self.now += rng.choice([0.0, 0.01, 0.1, 0.3, 1.0, 2.0])
                core.wake(self.now)
            else:
                getattr(self, "do_" + rng.choice(VERBS))(core)
        except (Unavailable, RequestRefused):
            pass
        self.drain()

    def do_propose(self, core: RaftCore) -> None:
        core.propose(b"mine", self.now)

    def do_read(self, core: RaftCore) -> None:
        core.read(self.now)

    def do_add(self, core: RaftCore) -> None:
        core.add_voter("d", "d:1", self.now)

    def do_add_nonvoter(self, core: RaftCore) -> None:
        core.add_nonvoter("e", "e:1", self.now)

    def do_remove(self, core: RaftCore) -> None:
        core.remove_server("b", self.now)

    def do_demote(self, core: RaftCore) -> None:
        core.demote("c", self.now)

    def do_transfer(self, core: RaftCore) -> None:
        core.transfer_leadership(None, self.now)

    def do_step_down(self, core: RaftCore) -> None:
        core.step_down(self.now)

    def do_unreachable(self, core: RaftCore) -> None:
        core.unreachable("b", self.now)

    def do_sent(self, core: RaftCore) -> None:
        core.snapshot_sent("b", self.now)

    def do_failed(self, core: RaftCore) -> None:
        core.snapshot_failed("c", self.now)

    def do_installed(self, core: RaftCore) -> None:
        if core._installing is not None:
            self.snapshot = core._installing[1]
        core.snapshot_installed(self.now)

    def do_refused(self, core: RaftCore) -> None:
        core.snapshot_refused(self.now)

    def do_full(self, core: RaftCore) -> None:
        if self.unsynced:
            self.unsynced = []
            core.persist_failed(self.disk.last, self.now)

    def do_restore(self, core: RaftCore) -> None:
        core.begin_restore(3, self.now)

    def do_restored(self, core: RaftCore) -> None:
        leadership = core._leadership
        if leadership is not None and leadership.restoring:
            place, members = core.configuration_at(leadership.restoring)
            self.snapshot = InstallSnapshot(0, "", leadership.restoring, core.term, members, place)
        core.restored(self.now)

    def do_sync(self, core: RaftCore) -> None:
        self.sync()

    def do_compact(self, core: RaftCore) -> None:
        index = min(core.commit_index, self.disk.last)
        if index > self.snapshot.last_log_index and index >= self.disk.first > 0:
            place, members = core.configuration_at(index)
            term = core.log.term(index)
            self.snapshot = InstallSnapshot(0, "", index, term, members, place)
            self.disk.compact(index)
            core.compacted(index, term)

    def do_restart(self, core: RaftCore) -> None:
        self.start()

    def do_elect(self, core: RaftCore) -> None:
        """Everybody votes for it."""
        self.now += 2.5
        core.wake(self.now)
        self.drain()
        for kind in (PreVoteReply, VoteReply):
            campaign = core._campaign
            if campaign is not None:
                answer = kind(campaign.term, True, campaign.round)
                for id in "bcde":
                    core.receive(answer, id, self.now)

    def sync(self) -> None:
        unsynced, self.unsynced = self.unsynced, []
        for batch in unsynced:
            if batch.entries:
                self.disk.append(batch.entries)
                self.core.persisted(batch.entries[-1].index, batch.entries[-1].term, self.now)

    def drain(self) -> None:
        """Carry out the wishes, and check each."""
        for output in self.core.take_output():
            if isinstance(output, PersistState):
                self.store(output)
            elif isinstance(output, Send):
                self.sent(output)
            elif isinstance(output, Persist):
                self.unsynced.append(output)
            elif isinstance(output, Truncate):
                self.disk.truncate_after(output.after)
                self.unsynced = [
                    Persist(tuple(e for e in batch.entries if e.index <= output.after)) for batch in self.unsynced
                ]
            elif isinstance(output, ResetLog):
                self.unsynced = []
                self.disk.reset()
            elif isinstance(output, Commit):
                assert output.index > self.commit, "the commit index went back"
                self.commit = output.index
            elif isinstance(output, RoleChanged):
                assert output.term == self.core.term or output.role is not Role.LEADER
            elif isinstance(output, ReceiveSnapshot):
                assert output.message.last_log_index > self.commit
        self.check()

    def store(self, output: PersistState) -> None:
        assert output.term >= self.state[0], "the term went back"
        if output.term == self.state[0] and self.state[1]:
            assert output.vote == self.state[1], "two votes in a term"
        self.state = (output.term, output.vote)

    def sent(self, send: Send) -> None:
        message = send.message
        assert send.to != "a"
        if isinstance(message, VoteReply) and message.granted:
            assert self.state == (message.term, send.to), "a vote was said before it was stored"
        if isinstance(message, (AppendEntries, RequestVote)):
            assert message.term == self.core.term

    def check(self) -> None:
        """What holds between any two steps."""
        core, log = self.core, self.core.log
        # A committed entry that this disk never got is a liar's to replace: nothing here remembers it.
        self.committed = {index: term for index, term in self.committed.items() if index <= log.last}
        assert (core.term, core.vote) == self.state
        assert log.commit == max(self.commit, self.snapshot.last_log_index), (log.commit, self.commit)
        assert log.durable <= log.last
        assert log.durable == self.disk.last or (not self.disk.last and log.durable <= log.base)
        assert (core.role is Role.LEADER) == (core._leadership is not None)
        assert core.role is not Role.LEADER or core.vote == "a"
        for index in range(max(log.base + 1, self.disk.first), log.last):
            assert log.term(index) <= log.term(index + 1), "terms go back along the log"
        for index in range(max(log.base + 1, self.disk.first), min(self.commit, log.last) + 1):
            known = self.committed.setdefault(index, log.term(index))
            assert known == log.term(index), "a committed entry has changed"
        deadline = core.next_deadline()
        assert deadline is None or deadline > self.now - 60


class HostileTests(SynchronousTestCase):
    """Messages that nobody in his right mind would send."""

    def story(self, rng: Random) -> None:
        """One life among liars."""
        witness = Witness()
        for _ in range(STEPS):
            witness.step(rng)

    @settings(max_examples=30, deadline=None, suppress_health_check=list(HealthCheck))
    @given(st.randoms(use_true_random=False))
    def test_neverRaisesNorForgets(self, rng: Random) -> None:
        """
        The term never goes back, nor does the commit index; there is one vote a term, stored before it is said; a
        committed entry stays what it is.
        """
        self.story(rng)

    def test_manyStories(self) -> None:
        """The same, more often, with seeds that name what failed."""
        for seed in range(STORIES):
            try:
                self.story(Random(seed))
            except Exception as error:
                raise AssertionError(f"seed {seed}: {error!r}") from error

    def test_unknownMessagesAreIgnored(self) -> None:
        """Neither something else, nor a message from itself, nor one of an absurd term does anything."""
        witness = Witness()
        for message in (None, 1, "AppendEntries", object()):
            witness.core.receive(message, "b", 1.0)  # type: ignore[arg-type]
        witness.core.receive(AppendEntries(2), "a", 1.0)
        witness.core.receive(AppendEntries((1 << 64) - 1), "b", 1.0)
        witness.core.receive(AppendEntries(-1), "b", 1.0)
        self.assertEqual((witness.core.take_output(), witness.core.term), ([], 1))
