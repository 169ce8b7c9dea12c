"""
What a leader does for as long as it leads: bring every follower's log in line with its own, and know what a majority
has (Raft 5.3; dissertation 10.2).

A L{Leadership} is made when an election is won and thrown away when it ends, so nothing of one term can leak into the
next. Each follower's L{Progress} is in one of three modes:

  - B{probe}: where the logs agree is not known; one append at a time, further back after each refusal, and without
    entries when an earlier one was refused or lost.
  - B{pipeline}: it is known; entries go out as they come, with up to C{Timing.in_flight_max} appends unanswered.
  - B{snapshot}: the entries it needs are not kept any more; a snapshot is on its way. Only heartbeats are sent.

Heartbeats go out on their own clock whatever the mode, carry nothing of the log, and are answered at once.
"""

from __future__ import annotations

from collections.abc import Callable
from enum import IntEnum
from random import Random

from txconsul.raft.configuration import Membership
from txconsul.raft.log import RaftLog
from txconsul.raft.messages import AppendEntries, AppendEntriesReply, Output, Send, SendSnapshot, TimeoutNow
from txconsul.raft.reads import Reads, Rounds
from txconsul.raft.timing import Timing

__all__ = ["Leadership", "Mode", "Progress", "Transfer"]


class Mode(IntEnum):
    """What is known of a follower's log."""

    PROBE = 0
    PIPELINE = 1
    SNAPSHOT = 2


class Progress:
    """
    One follower as its leader knows it.

    @ivar address: where it listens, also while it is being told that it was removed.
    @ivar match: its log agrees with the leader's up to this index, durably.
    @ivar next: index of the next entry to send.
    @ivar hint: in L{Mode.PROBE}, whether to send entries along, as nothing speaks against that they fit.
    @ivar in_flight: the appends that are not answered: (round, index of the last entry, time of sending).
    @ivar contact: when the newest message was sent that it has answered; minus infinity before the first.
    @ivar round: the highest round it has answered.
    @ivar heartbeat_at: when the next heartbeat is due.
    @ivar commit_at: when it is told of the commit index, unless an append tells it before. Even if nothing happens it
        is told again after C{Timing.heartbeat}: it may have been restarted, and commits are not stored.
    @ivar refused_at: what C{match} was when a pipeline was refused last; -1 before.
    @ivar pause_until: nothing but heartbeats before this time; in L{Mode.SNAPSHOT}, when to try again, if known.
    """

    __slots__ = (
        "address",
        "commit_at",
        "contact",
        "heartbeat_at",
        "hint",
        "id",
        "in_flight",
        "match",
        "mode",
        "next",
        "pause_until",
        "refused_at",
        "round",
    )

    def __init__(self, id: str, next: int, now: float, first_heartbeat: float) -> None:
        self.id = id
        self.address = ""
        self.match = 0
        self.next = next
        self.mode = Mode.PROBE
        self.hint = True
        self.in_flight: list[tuple[int, int, float]] = []
        self.contact = float("-inf")
        self.round = 0
        self.heartbeat_at = now + first_heartbeat
        self.commit_at = float("inf")
        self.pause_until = float("-inf")
        self.refused_at = -1


class Transfer:
    """A leadership on its way to another server (Raft dissertation 3.10)."""

    def __init__(self, to: str, deadline: float) -> None:
        self.to = to
        self.deadline = deadline
        self.told = False


class Leadership:
    """
    The state of a leader.

    @ivar address: where this server listens, also while it leads a group that it has left.
    @ivar term_start: index of the first entry of this term.
    @ivar lease_until: until when it is certain that no other server can have been elected.
    @ivar transfer: to whom leadership is being handed, or None.
    @ivar restoring: the index that a restored archive will have in the log, or 0.
    @ivar may_lease: False once a successor was told to stand for election: it does not wait for any lease.
    """

    def __init__(
        self,
        id: str,
        term: int,
        *,
        log: RaftLog,
        members: Membership,
        rounds: Rounds,
        timing: Timing,
        rng: Random,
        wish: Callable[[Output], None],
        now: float,
    ) -> None:
        self.id = id
        self.term = term
        self.address = ""
        self.reads = Reads()
        self.progress: dict[str, Progress] = {}
        self.transfer: Transfer | None = None
        self.restoring = 0
        self.term_start = log.last + 1
        self.lease_until = float("-inf")
        self.may_lease = True
        self._log = log
        self._members = members
        self._rounds = rounds
        self._timing = timing
        self._rng = rng
        self._wish = wish
        self._voters = members.voters
        self._since = now
        self._quorum_contact = float("-inf")
        self.reconfigure(now)

    @property
    def accepting(self) -> bool:
        """Whether entries may be added now."""
        return self.transfer is None and not self.restoring

    # ---- the group ----

    def reconfigure(self, now: float) -> None:
        """Another configuration is in force: know each of its members, and no others."""
        others = self._members.others(self.id)
        self.address = self._members.address(self.id) or self.address
        for id in [id for id in self.progress if id not in self._members]:
            self._say_farewell(self.progress.pop(id), now)
        for id in others:
            if id not in self.progress:
                self.progress[id] = Progress(id, self._log.last + 1, now, self._timing.heartbeat / 10)
            self.progress[id].address = self._members.address(id)
        if self._voters != self._members.voters:
            self._voters = self._members.voters
            self._since = now
        self._renew_lease()

    def _say_farewell(self, progress: Progress, now: float) -> None:
        """A server that was removed is sent what tells it so, once; it will not stand for election any more."""
        if progress.mode is Mode.PIPELINE:
            self._append(progress, self._timing.entries_max, now)

    def quorum(self, mine: float, theirs: dict[str, float]) -> float:
        """The greatest value that a majority of the voters has reached (Raft 5.3)."""
        voters = self._members.voters
        values = sorted((mine if id == self.id else theirs.get(id, float("-inf")) for id in voters), reverse=True)
        return values[len(values) // 2] if values else float("-inf")

    # ---- commitment ----

    def majority_match(self) -> int:
        """The newest index that is durable on a majority, and here: what is committed is applied, and must not go."""
        durable = self._log.durable
        value = self.quorum(durable, {id: progress.match for id, progress in self.progress.items()})
        return int(max(min(value, durable), 0))

    def may_commit(self, index: int) -> bool:
        """Only entries of this term are committed by counting; those before them then are so too (Raft 5.4.2)."""
        return index >= self.term_start

    # ---- the lease ----

    def note_contact(self, progress: Progress, number: int) -> None:
        """A follower answered this round, so it still takes this server for its leader."""
        if number >= self._rounds.next:
            return
        progress.round = max(progress.round, number)
        sent_at = self._rounds.sent_at(number)
        if sent_at is not None and sent_at > progress.contact:
            progress.contact = sent_at
            self._renew_lease()

    def _renew_lease(self) -> None:
        contacts = {id: progress.contact for id, progress in self.progress.items()}
        self._quorum_contact = self.quorum(float("inf"), contacts)
        self.lease_until = self._quorum_contact + self._timing.lease

    def lease_valid(self, now: float) -> bool:
        """Whether no other server can have been elected by now (Raft dissertation 6.4.1)."""
        return now < self.lease_until and self.may_lease

    @property
    def lost_at(self) -> float:
        """When to step down if nobody answers: no majority is there any more."""
        return max(self._quorum_contact, self._since) + self._timing.lease

    def confirmed_round(self) -> int:
        """The newest round that a majority has answered."""
        value = self.quorum(self._rounds.next, {id: progress.round for id, progress in self.progress.items()})
        return int(max(value, 0))

    # ---- sending ----

    def flush(self, now: float) -> None:
        """Send whatever can be sent: new entries, a round for reads that wait, the word to a successor."""
        if self.reads.wants_round():
            self._begin_read_round(now)
        for progress in self.progress.values():
            self._replicate(progress, now)
        if self.transfer is not None:
            self._hand_over(self.transfer)

    def _begin_read_round(self, now: float) -> None:
        self.reads.round_begins(self._rounds.next)
        for progress in self.progress.values():
            if self._members.is_voter(progress.id):
                self._heartbeat(progress, now)

    def _hand_over(self, transfer: Transfer) -> None:
        """Once the successor has every entry, it may stand for election at once."""
        progress = self.progress.get(transfer.to)
        if progress is not None and progress.match == self._log.last and not transfer.told:
            transfer.told = True
            self.may_lease = False
            self._send(progress, TimeoutNow(self.term))

    def _send(self, progress: Progress, message: AppendEntries | TimeoutNow) -> None:
        self._wish(Send(progress.id, message, progress.address))

    def _begin_round(self, now: float) -> int:
        number = self._rounds.begin(now, self._timing.lease)
        self.reads.round_begins(number)
        return number

    def _heartbeat(self, progress: Progress, now: float) -> None:
        """A sign of life; the next follows after a tenth to a fifth of the heartbeat timeout, at random."""
        self._send(progress, AppendEntries(self.term, self.address, round=self._begin_round(now)))
        interval = self._timing.heartbeat / 10
        progress.heartbeat_at = now + self._rng.uniform(interval, 2 * interval)

    def _replicate(self, progress: Progress, now: float) -> None:
        """Send a follower as much as its mode allows."""
        if now < progress.pause_until:
            return
        if progress.mode is Mode.PROBE:
            if not progress.in_flight:
                self._append(progress, self._timing.entries_max if progress.hint else 0, now)
        elif progress.mode is Mode.PIPELINE:
            while progress.next <= self._log.last and len(progress.in_flight) < self._timing.in_flight_max:
                self._append(progress, self._timing.entries_max, now)
                if progress.mode is not Mode.PIPELINE:
                    break

    def _append(self, progress: Progress, count: int, now: float) -> None:
        """One AppendEntries from C{progress.next} on; or a snapshot, if the log no longer reaches so far back."""
        log = self._log
        previous = progress.next - 1
        try:
            previous_term = log.term(previous)
            entries = log.entries(progress.next, count, self._timing.entries_bytes_max) if count else ()
        except KeyError:
            self._begin_snapshot(progress, now)
            return
        number = self._begin_round(now)
        last = previous + len(entries)
        commit = self.commit_to_tell(last)
        message = AppendEntries(self.term, self.address, previous, previous_term, commit, entries, number)
        self._send(progress, message)
        progress.in_flight.append((number, last, now))
        progress.commit_at = now + self._timing.heartbeat
        if progress.mode is Mode.PIPELINE:
            progress.next = last + 1

    def commit_to_tell(self, last: int) -> int:
        """
        Of commits, a follower is told only as far as this request shows that the logs agree. Ours would not go further
        anyhow; hashicorp/raft's would commit up to the end of whatever log it has.
        """
        return min(self._log.commit, last)

    def _begin_snapshot(self, progress: Progress, now: float) -> None:
        progress.mode = Mode.SNAPSHOT
        progress.in_flight.clear()
        progress.pause_until = float("inf")
        number = self._begin_round(now)
        self._wish(SendSnapshot(progress.id, progress.address, self.term, self.address, number))

    def commit_changed(self, now: float) -> None:
        """Followers hear of it with the next entries, or before long without any."""
        for progress in self.progress.values():
            soon = now + self._rng.uniform(self._timing.commit, 2 * self._timing.commit)
            progress.commit_at = min(progress.commit_at, soon)

    # ---- answers ----

    def answered(self, progress: Progress, reply: AppendEntriesReply, now: float) -> None:
        """A follower took an append, or refused it for what its log holds."""
        unanswered = [each for each in progress.in_flight if each[0] != reply.round]
        expected = len(unanswered) < len(progress.in_flight)
        progress.in_flight = unanswered
        if reply.success:
            if expected or reply.match_index:
                self._matched(progress, min(reply.match_index, self._log.last))
        elif progress.mode is not Mode.SNAPSHOT and self._is_news(progress, reply, expected):
            self._back_off(progress, reply, now)

    def _matched(self, progress: Progress, index: int) -> None:
        """The logs agree, durably, up to this index: from here on entries may be pipelined."""
        progress.match = max(progress.match, index)
        progress.in_flight = [each for each in progress.in_flight if each[1] > progress.match]
        if progress.mode is Mode.PROBE:
            self._pipeline_from(progress, progress.match + 1)
        else:
            progress.next = max(progress.next, progress.match + 1)

    def _pipeline_from(self, progress: Progress, next: int) -> None:
        progress.mode = Mode.PIPELINE
        progress.in_flight.clear()
        progress.next = next
        progress.pause_until = float("-inf")

    def _is_news(self, progress: Progress, reply: AppendEntriesReply, expected: bool) -> bool:
        """
        Whether a refusal is of a request that is out now, not of one that was answered otherwise since. Of a pipeline
        each request is refused for itself; only the first refusal counts, or each would bring about a pipeline more.

        @param expected: whether the request was still waited for.
        """
        if progress.mode is Mode.PROBE:
            return reply.prev_log_entry == progress.next - 1
        return expected and reply.prev_log_entry > progress.match

    def _back_off(self, progress: Progress, reply: AppendEntriesReply, now: float) -> None:
        """
        Go back to the follower's true tail, or one entry further (hashicorp/raft's C{LastLog}). A follower that
        refuses what it had confirmed has lost it; nothing can be done for it but to ask again, and not too often. Nor
        for one that twice has not taken what came after the entries that it has confirmed: its disk may be full.
        """
        stuck = progress.mode is Mode.PIPELINE and progress.refused_at == progress.match
        if progress.mode is Mode.PIPELINE:
            progress.refused_at = progress.match
        self._probe_from(progress, max(progress.match + 1, min(reply.prev_log_entry, reply.last_log + 1)))
        if stuck or progress.next > reply.prev_log_entry:
            progress.pause_until = now + self._timing.retry

    def _probe_from(self, progress: Progress, next: int) -> None:
        progress.mode = Mode.PROBE
        progress.hint = False
        progress.in_flight.clear()
        progress.next = max(1, next)

    def lost(self, progress: Progress, until: float) -> None:
        """What was sent to this follower may not have arrived: try again, not before C{until}."""
        if progress.mode is not Mode.SNAPSHOT:
            known = progress.mode is Mode.PIPELINE
            self._probe_from(progress, progress.match + 1 if known else progress.next)
            progress.pause_until = until

    def snapshot_waits(self, progress: Progress, until: float) -> None:
        """If the snapshot is not installed by then, look again at what the follower needs."""
        if progress.mode is Mode.SNAPSHOT:
            progress.pause_until = until

    def snapshot_installed(self, progress: Progress, index: int) -> None:
        """The follower's log now begins after this index."""
        if progress.mode is Mode.SNAPSHOT:
            progress.match = max(progress.match, min(index, self._log.last))
            self._pipeline_from(progress, progress.match + 1)

    # ---- time ----

    def wake(self, now: float) -> None:
        """Do what is due: heartbeats, news of commits, appends and snapshots that were never answered."""
        for progress in self.progress.values():
            if now >= progress.heartbeat_at:
                self._heartbeat(progress, now)
            if now >= progress.pause_until:
                self._resume(progress)
            if progress.in_flight and now >= progress.in_flight[0][2] + self._timing.retry:
                self.lost(progress, now)
            if now >= progress.commit_at:
                self._tell_commit(progress, now)

    def _resume(self, progress: Progress) -> None:
        progress.pause_until = float("-inf")
        if progress.mode is Mode.SNAPSHOT:
            self._probe_from(progress, progress.match + 1)

    def _tell_commit(self, progress: Progress, now: float) -> None:
        """A quiet follower hears of commits by an append without entries; a busy one by those it is sent anyway."""
        progress.commit_at = now + self._timing.heartbeat
        if progress.mode is Mode.PIPELINE:
            if len(progress.in_flight) < self._timing.in_flight_max:
                self._append(progress, 0, now)
            else:
                progress.commit_at = now + self._timing.commit

    def next_deadline(self) -> float:
        """When L{wake} has work, or the lease is lost, or a transfer has taken too long."""
        deadline = self.lost_at
        if self.transfer is not None:
            deadline = min(deadline, self.transfer.deadline)
        for progress in self.progress.values():
            deadline = min(deadline, progress.heartbeat_at, progress.commit_at)
            if progress.in_flight:
                deadline = min(deadline, progress.in_flight[0][2] + self._timing.retry)
            if progress.pause_until > float("-inf"):
                deadline = min(deadline, progress.pause_until)
        return deadline
