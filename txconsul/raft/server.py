"""
What one Raft server is: its role, term, vote, log and commit index, and the few ways in which they change.

Rule 1: role and commit index change in this file only; term and vote also in C{elections.py}, by standing and voting.
Rule 2: nothing here can do I/O. Wishes wait in order until C{take_output} collects them, and their order is meaning
(L{txconsul.raft.messages}).
"""

from __future__ import annotations

from random import Random

from txconsul.raft.campaign import Campaign
from txconsul.raft.configuration import Membership, read_configuration
from txconsul.raft.log import LogReader, RaftLog
from txconsul.raft.messages import (
    Commit,
    ConfigurationChanged,
    InstallSnapshot,
    LeaderChanged,
    Output,
    Persist,
    PersistState,
    ReadFailed,
    ReadReady,
    ResetLog,
    Role,
    RoleChanged,
    Send,
    Truncate,
)
from txconsul.raft.reads import Rounds
from txconsul.raft.replication import Leadership
from txconsul.raft.timing import Timing
from txconsul.records.raft import NO_TIME, Configuration, Entry, EntryType

__all__ = ["ServerState"]

#: Configurations in the log are looked for, at start, in pieces of this many entries and bytes.
SCAN_ENTRIES = 1024
SCAN_BYTES = 4 << 20


class ServerState:
    """
    One server of a Raft group.

    @ivar id: this server's id.
    @ivar role: a L{Role}.
    @ivar term: the newest term it knows; it never goes back.
    @ivar vote: the id it voted for in this term, or empty.
    @ivar leader: the id of the leader it knows in this term, or empty; its own while it leads.
    @ivar leader_address: where that one listens.
    @ivar last_contact: when it last heard from the leader; minus infinity if never.
    @ivar log: what it knows of its log, L{RaftLog}.
    @ivar members: the configurations in its log, L{Membership}.
    """

    def __init__(
        self,
        id: str,
        *,
        log: LogReader,
        now: float,
        rng: Random,
        timing: Timing,
        term: int = 0,
        vote: str = "",
        configuration: Configuration | None = None,
        configuration_index: int = 0,
        snapshot_index: int = 0,
        snapshot_term: int = 0,
    ) -> None:
        """
        Begin, or begin again with what was stored.

        @param log: the read half of the log store.
        @param term: with C{vote}, what L{IStableStore.load<txconsul.interfaces.IStableStore.load>} gave.
        @param configuration: with the three after it, what the newest snapshot's meta says, or their defaults.
            Configurations in the log after it are found by reading it.
        @raise Corrupt: a configuration in the log cannot be read, or entries between snapshot and log are missing.
        """
        self.id = id
        self.role = Role.FOLLOWER
        self.term = term
        self.vote = vote
        self.leader = ""
        self.leader_address = ""
        self.last_contact = float("-inf")
        self._out: list[Output] = []
        self._now = now
        self._rng = rng
        self._timing = timing
        self._rounds = Rounds()
        self._tickets = 0
        self._campaign: Campaign | None = None
        self._leadership: Leadership | None = None
        self._installing: tuple[str, InstallSnapshot] | None = None
        self._known_commit = snapshot_index
        self._abstain_until = now + timing.lease if term else float("-inf")
        self.log = RaftLog(log, snapshot_index=snapshot_index, snapshot_term=snapshot_term)
        if not self.log.continues_snapshot():
            self._reset_log(snapshot_index, snapshot_term)
        self.members = Membership(configuration or Configuration(), configuration_index)
        self._find_configurations(log)
        self.members.commit(snapshot_index)
        alone = self.members.was_always_alone(id)
        self._election_at = now if alone else self._election_deadline(timing.heartbeat)

    def _find_configurations(self, store: LogReader) -> None:
        index = max(self.log.base + 1, store.first)
        while index <= self.log.last:
            for entry in self.log.entries(index, SCAN_ENTRIES, SCAN_BYTES):
                configuration = read_configuration(entry)
                if configuration is not None:
                    self.members.append(entry.index, configuration)
                index = entry.index + 1

    # ---- wishes ----

    def _wish(self, output: Output) -> None:
        self._out.append(output)

    def _emit_persist(self) -> None:
        """Entries are handed to the disk after what a leader sends of them, and before anything else."""
        entries = self.log.take_wished()
        if entries:
            self._wish(Persist(entries))

    # ---- roles and terms ----

    def _enter_term(self, term: int) -> None:
        """A newer term: nobody has this server's vote in it, and no leader is known (Raft 5.1)."""
        self.term = term
        self.vote = ""
        self._persist_state()

    def _persist_state(self) -> None:
        """Term and vote go to the disk, once for all that changed since something was last sent."""
        for place in range(len(self._out) - 1, -1, -1):
            output = self._out[place]
            if isinstance(output, PersistState):
                self._out[place] = PersistState(self.term, self.vote)
                return
            if isinstance(output, Send):
                break
        self._wish(PersistState(self.term, self.vote))

    def _change_role(self, role: Role) -> None:
        if role is not self.role:
            self.role = role
            self._wish(RoleChanged(role, self.term))

    def _set_leader(self, leader: str, address: str) -> None:
        if (leader, address) != (self.leader, self.leader_address):
            self.leader = leader
            self.leader_address = address
            self._wish(LeaderChanged(leader, address))

    def _end_role(self, role: Role) -> None:
        """Whatever belongs to the old role goes."""
        self._campaign = None
        if self._leadership is not None:
            for ticket in self._leadership.reads.take_all():
                self._wish(ReadFailed(ticket))
            self._leadership = None
        self._change_role(role)

    def _become_follower(self, term: int, now: float) -> None:
        """A newer term was seen, or the leader of this one (Raft 5.1)."""
        if term > self.term:
            self._enter_term(term)
            led = self._leadership is not None
            self._end_role(Role.FOLLOWER)
            self._set_leader("", "")
            if led:
                self._election_at = self._election_deadline(self._timing.heartbeat)
        else:
            self._end_role(Role.FOLLOWER)

    def _stop_leading(self, now: float) -> None:
        """Step down without having heard of another leader; stand again only after an election timeout."""
        self._end_role(Role.FOLLOWER)
        self._set_leader("", "")
        self._election_at = self._election_deadline(self._timing.heartbeat)

    def _follow(self, leader: str, term: int, address: str, now: float) -> None:
        """The leader of a term was heard (Raft 5.2)."""
        if term > self.term or self.role is not Role.FOLLOWER:
            self._become_follower(term, now)
        self._set_leader(leader, address or self.members.address(leader))
        self.last_contact = now
        self._election_at = self._election_deadline(self._timing.heartbeat)

    def _may_elect_itself(self) -> bool:
        """A group of one voter need not wait for anybody."""
        return self.members.is_alone(self.id)

    def _election_deadline(self, timeout: float) -> float:
        """Random, so that one server usually stands before the others (Raft 5.2)."""
        return self._now + self._rng.uniform(timeout, 2 * timeout)

    def _hears_leader(self, now: float) -> bool:
        """
        Whether a leader is known and was heard within the shortest election timeout; such a server does not vote, so
        that nobody who is cut off can disturb (Raft 6; dissertation 4.2.3), and leases hold.
        """
        if self.role is Role.LEADER:
            return True
        return bool(self.leader) and now < self.last_contact + self._timing.heartbeat

    def _become_leader(self, now: float) -> None:
        """A majority voted for this server: assert it at once, with an entry of the new term (Raft 5.2, 8)."""
        self._campaign = None
        self._change_role(Role.LEADER)
        self._set_leader(self.id, self.members.address(self.id))
        self._leadership = Leadership(
            self.id,
            self.term,
            log=self.log,
            members=self.members,
            rounds=self._rounds,
            timing=self._timing,
            rng=self._rng,
            wish=self._wish,
            now=now,
        )
        self._append_own(EntryType.NOOP, None, NO_TIME)

    # ---- the log and what of it is committed ----

    def _append_own(self, type: EntryType, data: bytes | None, appended_at: bytes) -> int:
        index = self.log.last + 1
        self.log.append(Entry(index=index, term=self.term, type=int(type), data=data, appended_at=appended_at))
        return index

    def _truncate(self, after: int) -> None:
        """Every entry after C{after} goes. If a snapshot reaches further than what is left, it is all that is left."""
        if after < self.log.base:
            after = self.log.base
            self._reset_log(after, self.log.base_term)
        else:
            self.log.truncate(after)
            self._known_commit = min(self._known_commit, after)
            self._emit_persist()
            self._wish(Truncate(after))
        if self.members.truncate(after):
            self._configuration_changed()

    def _reset_log(self, index: int, term: int) -> None:
        self.log.reset(index, term)
        self._wish(ResetLog(index, term))

    def _advance_commit(self, now: float) -> None:
        """Commit what a majority has (Raft 5.3, 5.4.2), and answer the reads that waited for it or for a round."""
        leadership = self._leadership
        assert leadership is not None
        index = leadership.majority_match()
        if leadership.may_commit(index):
            self._commit_to(index, now)
        if self._leadership is not None:
            for ticket, wanted in leadership.reads.confirmed(leadership.confirmed_round(), self.log.commit):
                self._wish(ReadReady(ticket, wanted))

    def _commit_to(self, index: int, now: float) -> None:
        """
        Everything up to C{index} is committed. It counts here once it is durable here too, so that nothing that was
        applied can be lost by a disk that refuses it; and not while a snapshot replaces the state.
        """
        self._known_commit = max(self._known_commit, index)
        index = min(self._known_commit, max(self.log.durable, self.log.base))
        if index <= self.log.commit or self._installing is not None:
            return
        self.log.commit = index
        self._wish(Commit(index))
        if self._leadership is not None:
            self._leadership.commit_changed(now)
        if self.members.commit(index):
            self._configuration_changed()
            if self._leadership is not None and not self.members.is_voter(self.id):
                self._leave(now)

    def _leave(self, now: float) -> None:
        """The leader has managed the group without counting itself, until its own removal was committed (Raft 6)."""
        self._stop_leading(now)

    # ---- the configuration ----

    def _adopt_configuration(self, index: int, configuration: Configuration) -> None:
        """In force as soon as it is in the log (Raft 6)."""
        self.members.append(index, configuration)
        self._configuration_changed()

    def _configuration_changed(self) -> None:
        members = self.members
        self._wish(ConfigurationChanged(members.latest, members.latest_index, not members.changing))
        if self._leadership is not None:
            self._leadership.reconfigure(self._now)
