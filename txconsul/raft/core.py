"""
One Raft server, seen from outside: what it is told, what it is asked, and what it wishes.

Rule 1: nothing here can do I/O. Messages and the time come in as arguments; wishes wait in order until
L{RaftCore.take_output} collects them, and their order is meaning (L{txconsul.raft.messages}).
Rule 2: a message can be anything. What makes no sense is refused or ignored, never an exception.

Sources: Ongaro and Ousterhout, I{In Search of an Understandable Consensus Algorithm (extended version)}, cited as Raft;
Ongaro, I{Consensus: Bridging Theory and Practice}, cited as Raft dissertation; and what servers of hashicorp/raft
expect of each other. Departures are told in C{docs/raft.md}.
"""

from __future__ import annotations

from collections.abc import Callable

from txconsul.codec import gomsgpack
from txconsul.errors import LeadershipLost, NoLeader, RequestRefused, Unavailable
from txconsul.raft import configuration as changes
from txconsul.raft.elections import Elections
from txconsul.raft.following import Following
from txconsul.raft.messages import (
    AppendEntries,
    AppendEntriesReply,
    Dropped,
    InstallSnapshot,
    InstallSnapshotReply,
    Message,
    Output,
    PreVoteReply,
    ReadReady,
    RequestPreVote,
    RequestVote,
    Role,
    TimeoutNow,
    TransferFailed,
    VoteReply,
)
from txconsul.raft.replication import Leadership, Progress, Transfer
from txconsul.records.raft import NO_TIME, Configuration, Entry, EntryType

__all__ = ["RaftCore"]

#: Terms are unsigned 64-bit integers on the wire. A peer that claims one of the last 2**32 is broken, and believing it
#: would leave no room for elections.
TERM_MAX = (1 << 64) - (1 << 32)


class RaftCore(Elections, Following):
    """
    One server of a Raft group; L{ServerState} tells its attributes and how it begins.

    Every call says the time, C{now}: seconds of one monotonic clock.
    """

    # ---- the four ----

    def receive(self, message: Message, sender: str, now: float) -> None:
        """
        A message arrived.

        @param sender: the id of the server that sent it.
        """
        self._now = now
        if self.role is Role.STOPPED or sender == self.id:
            return
        if not 0 <= getattr(message, "term", 0) <= TERM_MAX:
            return
        match message:
            case AppendEntries():
                self._on_append(message, sender, now)
            case AppendEntriesReply():
                self._on_append_reply(message, sender, now)
            case RequestVote():
                self._on_vote_request(message, sender, now)
            case RequestPreVote():
                self._on_pre_vote_request(message, sender, now)
            case VoteReply() | PreVoteReply():
                self._on_vote(message, sender, now)
            case InstallSnapshot():
                self._on_snapshot(message, sender, now)
            case InstallSnapshotReply():
                self._on_snapshot_reply(message, sender, now)
            case TimeoutNow():
                self._on_timeout_now(message, sender, now)

    def wake(self, now: float) -> None:
        """Do what is due at C{now}: stand for election, send heartbeats, give up a lease or a transfer."""
        self._now = now
        leadership = self._leadership
        if leadership is not None:
            if now >= leadership.lost_at:
                self._stop_leading(now)
                return
            if leadership.transfer is not None and now >= leadership.transfer.deadline:
                self._wish(TransferFailed(leadership.transfer.to))
                leadership.transfer = None
            leadership.wake(now)
        elif now >= self._election_at and self.role is not Role.STOPPED:
            self._election_timeout(now)

    def next_deadline(self) -> float | None:
        """The earliest time at which L{wake} has work, in seconds, or None."""
        if self.role is Role.STOPPED:
            return None
        deadline = self._election_at if self._leadership is None else self._leadership.next_deadline()
        return deadline if deadline < float("inf") else None

    def take_output(self) -> list[Output]:
        """Everything wished since the last call, to be carried out in this order."""
        if self._leadership is not None:
            self._leadership.flush(self._now)
        self._emit_persist()
        out = self._out[:]
        self._out.clear()
        return out

    # ---- entries and reads ----

    @property
    def commit_index(self) -> int:
        """The newest index known to be committed, and durable here."""
        return self.log.commit

    def propose(self, data: bytes, now: float, *, extensions: bytes | None = None, appended_at: bytes = NO_TIME) -> int:
        """
        Append a command to the leader's log.

        @return: the index it will have if it is committed, as L{Commit} will tell.
        @raise NoLeader: this server does not lead, or is handing over. Nothing was appended.
        """
        leadership = self._leadership
        if leadership is None or not leadership.accepting:
            raise self._refusal()
        self._now = now
        log = self.log
        index = log.last + 1
        log.append(
            Entry(index=index, term=self.term, data=data, extensions=extensions, appended_at=appended_at),
        )
        return index

    def barrier(self, now: float, *, appended_at: bytes = NO_TIME) -> int:
        """
        Append an entry that does nothing; when it is applied, so is everything before it.

        @return, raise: as L{propose}.
        """
        self._leading()
        self._now = now
        return self._append_own(EntryType.BARRIER, None, appended_at)

    def read(self, now: float) -> int:
        """
        Ask to read what is committed by now, without an entry in the log (Raft 8).

        @return: a ticket; L{ReadReady} or L{ReadFailed} will name it.
        @raise NoLeader: this server does not lead.
        """
        leadership = self._leadership
        if leadership is None:
            raise self._refusal()
        self._now = now
        self._tickets += 1
        index = max(self.log.commit, leadership.term_start)
        if self.log.commit >= index and self.members.is_alone(self.id):
            self._wish(ReadReady(self._tickets, index))
        else:
            leadership.reads.add(self._tickets, index)
        return self._tickets

    def lease_valid(self, now: float) -> bool:
        """
        Whether this server leads, has committed an entry of its term, and no other can have been elected by now: what
        it has applied up to its commit index is then the newest there is (Raft dissertation 6.4.1).
        """
        leadership = self._leadership
        return leadership is not None and self.log.commit >= leadership.term_start and leadership.lease_valid(now)

    # ---- the group ----

    def bootstrap(self, configuration: Configuration, now: float) -> None:
        """
        Begin a new group. Every server of it may do so, all with the same configuration.

        @raise RequestRefused: this server has a log or a term already, or the configuration is impossible.
        """
        if self.log.last or self.term or not self.members.is_empty():
            raise RequestRefused("bootstrap only works on new clusters")
        data = gomsgpack.encode(changes.check(configuration))
        self._now = now
        self._enter_term(1)
        self._append_own(EntryType.CONFIGURATION, data, NO_TIME)
        self._emit_persist()
        self._adopt_configuration(self.log.last, configuration)
        if self.members.was_always_alone(self.id):
            self._election_at = now

    def add_voter(self, id: str, address: str, now: float) -> int:
        """
        A server joins as a voter, or becomes one, or moves to another address.

        @return: the index of the configuration entry; it is in force at once and safe when committed.
        @raise NoLeader: this server does not lead, or is handing over.
        @raise Unavailable: another change, or the first entry of this term, is not committed yet.
        @raise RequestRefused: no group could live with that configuration.
        """
        return self._reconfigure(lambda latest: changes.with_voter(latest, id, address), now)

    def add_nonvoter(self, id: str, address: str, now: float) -> int:
        """A server gets the log without having a voice; a voter stays one. As L{add_voter}."""
        return self._reconfigure(lambda latest: changes.with_nonvoter(latest, id, address), now)

    def demote(self, id: str, now: float) -> int:
        """A server loses its voice and keeps getting the log. As L{add_voter}."""
        return self._reconfigure(lambda latest: changes.demoted(latest, id), now)

    def remove_server(self, id: str, now: float) -> int:
        """A server leaves; it may be this one, which steps down once that is committed. As L{add_voter}."""
        return self._reconfigure(lambda latest: changes.without(latest, id), now)

    def _reconfigure(self, change: Callable[[Configuration], Configuration], now: float) -> int:
        """Append a changed configuration, if the one before and an entry of this term are committed."""
        leadership = self._leading()
        if self._change_under_way(leadership):
            raise Unavailable("another configuration change is not committed yet")
        configuration = change(self.members.latest)
        self._now = now
        index = self._append_own(EntryType.CONFIGURATION, gomsgpack.encode(configuration), NO_TIME)
        self._adopt_configuration(index, configuration)
        return index

    def _change_under_way(self, leadership: Leadership) -> bool:
        """
        One change at a time; and none before the term's first commit, as an earlier leader's change may still be in
        somebody's log (Ongaro's correction of single-server changes, 2015).
        """
        return self.members.changing or self.log.commit < leadership.term_start

    def configuration_at(self, index: int) -> tuple[int, Configuration]:
        """The index of the configuration entry in force at C{index} and what it holds, for a snapshot of then."""
        return self.members.at(index)

    # ---- an archive takes the place of the state ----

    def begin_restore(self, index: int, now: float) -> tuple[int, int]:
        """
        A user's archive will replace the state. Until L{restored} or L{restore_failed}, proposals are refused.

        @param index: the archive's own.
        @return: index and term that the archive is to be stored under, as this server's newest snapshot. The index is
            above all that is in the log, so that every follower gets the archive as a snapshot.
        @raise NoLeader, Unavailable: as L{add_voter}.
        """
        leadership = self._leading()
        if self._change_under_way(leadership):
            raise Unavailable("a configuration change is not committed yet")
        self._now = now
        leadership.restoring = max(self.log.last, index) + 1
        return leadership.restoring, self.term

    def restored(self, now: float) -> None:
        """
        The archive is stored and the state machine holds its state: the log goes on after it. Entries not committed
        by now are given up (L{Dropped}).

        @raise LeadershipLost: this server has stopped leading since. The state is not the group's: the server must
            not go on with it.
        """
        leadership = self._leadership
        if leadership is None or not leadership.restoring:
            raise LeadershipLost
        self._now = now
        index = leadership.restoring
        leadership.restoring = 0
        if self.log.commit < self.log.last:
            self._wish(Dropped(self.log.commit))
        self._reset_log(index, self.term)
        self.members.reset(self.members.latest_index, self.members.latest, index)
        self._commit_to(index, now)
        self._append_own(EntryType.NOOP, None, NO_TIME)

    def restore_failed(self, now: float) -> None:
        """The archive was bad, or could not be stored; the old state stands, and proposals are accepted again."""
        self._now = now
        if self._leadership is not None:
            self._leadership.restoring = 0

    # ---- leaving the lead ----

    def transfer_leadership(self, to: str | None, now: float) -> str:
        """
        Let another voter lead: it is brought up to date and told to stand for election; proposals are refused for
        that time, C{Timing.election} at most. It has worked when L{RoleChanged} says so; else L{TransferFailed}.

        @param to: its id, or None for the one whose log is nearest to this one's.
        @return: its id.
        @raise NoLeader: this server does not lead, or is handing over already.
        @raise RequestRefused: C{to} is no other voter, or there is none.
        """
        leadership = self._leading()
        voters = [each for each in leadership.progress.values() if self.members.is_voter(each.id)]
        if to is None and voters:
            to = max(voters, key=lambda each: (each.match, each.contact)).id
        if to is None or all(each.id != to for each in voters):
            raise RequestRefused("cannot find peer" if to is None else f"server {to!r} is not another voter")
        self._now = now
        leadership.transfer = Transfer(to, now + self._timing.election)
        return to

    def step_down(self, now: float) -> None:
        """Stop leading, for a reason of the driver's. Others will notice by the silence."""
        self._now = now
        if self._leadership is not None:
            self._stop_leading(now)

    def stop(self, now: float) -> None:
        """Take no part any more."""
        self._now = now
        self._end_role(Role.STOPPED)
        self._set_leader("", "")

    def _refusal(self) -> NoLeader:
        if self._leadership is None:
            return NoLeader()
        return NoLeader("restore in progress" if self._leadership.restoring else "leadership transfer in progress")

    def _leading(self) -> Leadership:
        leadership = self._leadership
        if leadership is None or not leadership.accepting:
            raise self._refusal()
        return leadership

    # ---- what the driver has done ----

    def persisted(self, index: int, term: int, now: float) -> None:
        """
        The log is durable up to an entry.

        @param term: of that entry, as in the L{Persist} that it ended; news of an entry that was cut off the log
            meanwhile is known by it and ignored.
        """
        self._now = now
        if not self.log.persisted(index, term):
            return
        if self._leadership is not None:
            self._advance_commit(now)
        else:
            self._commit_to(self._known_commit, now)

    def persist_failed(self, index: int, now: float) -> None:
        """
        The disk took no more: what is after C{index}, the newest durable entry, has been dropped by the log store.
        Said once for all L{Persist}s that were out.

        They are dropped here too, as nobody was told that they are durable. A leader of other servers steps down, for
        those may have got entries that it has lost: its next entry at such an index must be of another term (Raft 5.3,
        log matching). A server that is alone in its group has sent nothing, and goes on leading (L{Dropped}).
        """
        self._now = now
        index = max(index, self.log.durable)
        if index >= self.log.last:
            return
        leadership = self._leadership
        alone = leadership is not None and not leadership.progress and self.log.commit >= leadership.term_start
        if leadership is not None and not alone:
            self._stop_leading(now)
        self._truncate(index)
        if alone:
            self._wish(Dropped(index))

    def compacted(self, index: int, term: int) -> None:
        """A snapshot stands in for the entries up to this one; the log store may delete them."""
        self.log.compacted(index, term)
        self.members.compacted(index)

    def snapshot_sent(self, to: str, now: float) -> None:
        """All bytes of a snapshot are out; now its answer is awaited, for C{Timing.snapshot}."""
        self._snapshot_waits(to, now, now + self._timing.snapshot)

    def snapshot_failed(self, to: str, now: float) -> None:
        """A snapshot could not be sent. It is tried again after half of C{Timing.snapshot}."""
        self._snapshot_waits(to, now, now + self._timing.snapshot / 2)

    def _snapshot_waits(self, to: str, now: float, until: float) -> None:
        self._now = now
        progress = self._progress(to)
        if progress is not None and self._leadership is not None:
            self._leadership.snapshot_waits(progress, until)

    def unreachable(self, to: str, now: float) -> None:
        """The connection to a server was lost, or could not be made: what is unanswered may not have arrived."""
        self._now = now
        progress = self._progress(to)
        if progress is not None and self._leadership is not None:
            self._leadership.lost(progress, now + self._timing.retry)

    # ---- answers to a leader ----

    def _progress(self, id: str) -> Progress | None:
        return self._leadership.progress.get(id) if self._leadership is not None else None

    def _on_append_reply(self, message: AppendEntriesReply, sender: str, now: float) -> None:
        """
        A follower's answer (Raft 5.3). One that neither agrees nor disagrees about the log is of an older request, or
        of a follower that is busy with a snapshot: it confirms nothing, not even contact.
        """
        progress = self._progress(sender)
        leadership = self._leadership
        if progress is None or leadership is None:
            return
        if message.term > self.term:
            self._become_follower(message.term, now)
        elif message.term == self.term and (message.success or message.no_retry_backoff):
            leadership.note_contact(progress, message.round)
            leadership.answered(progress, message, now)
            self._advance_commit(now)

    def _on_snapshot_reply(self, message: InstallSnapshotReply, sender: str, now: float) -> None:
        """A follower has installed a snapshot, or could not (Raft 7)."""
        progress = self._progress(sender)
        leadership = self._leadership
        if progress is None or leadership is None:
            return
        if message.term > self.term:
            self._become_follower(message.term, now)
        elif message.term == self.term and message.success:
            leadership.note_contact(progress, message.round)
            leadership.snapshot_installed(progress, message.last_log_index)
            self._advance_commit(now)
        elif message.term == self.term:
            self.snapshot_failed(sender, now)
