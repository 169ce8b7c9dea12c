"""
One simulated server over its starts and crashes: a disk that survives, and what runs on it.
"""

from __future__ import annotations

from collections.abc import Sequence
from random import Random
from typing import TYPE_CHECKING, Any

from twisted.python.failure import Failure

from txconsul.codec.gotime import pack_time
from txconsul.consensus import Consensus, Observer, SnapshotPolicy
from txconsul.driver import Slices
from txconsul.errors import DiskFailed, DiskFull, LeadershipLost, TxconsulError
from txconsul.raft.messages import PreVoteReply, RequestVote, Role, VoteReply
from txconsul.raft.timing import Timing
from txconsul.records.raft import Configuration, Entry, EntryType
from txconsul.simulation import invariants
from txconsul.simulation.clock import ProcessClock
from txconsul.simulation.invariants import Broken
from txconsul.simulation.machine import ListMachine, Place
from txconsul.simulation.network import Transport
from txconsul.storage.memory import MemoryDisk, MemoryLogStore, MemorySnapshotStore, MemoryStableStore

if TYPE_CHECKING:
    from txconsul.simulation.world import World

__all__ = ["Crash", "SimulatedServer"]


class Crash(TxconsulError):
    """The process dies here."""

    text = "simulated crash"


class _Log(MemoryLogStore):
    """A log that is watched."""

    def __init__(self, server: SimulatedServer) -> None:
        super().__init__(server.disk)
        self._server = server

    def append(self, entries: Sequence[Entry]) -> None:
        """See L{ILogStore.append}."""
        super().append(entries)
        self._server.appended(entries)

    def truncate_after(self, index: int) -> None:
        """See L{ILogStore.truncate_after}."""
        super().truncate_after(index)
        self._server.truncated(index)

    def reset(self, index: int) -> None:
        """See L{ILogStore.reset}."""
        super().reset(index)
        self._server.was_reset(index)


class _Stable(MemoryStableStore):
    """Term and vote, watched."""

    def __init__(self, server: SimulatedServer) -> None:
        super().__init__(server.disk)
        self._server = server

    def store(self, term: int, vote: str) -> None:
        """See L{IStableStore.store}."""
        self._server.may_crash()
        super().store(term, vote)
        self._server.tell(f"persist term={term} vote={vote}")
        self._server.may_crash()


class SimulatedServer(Observer):
    """
    @ivar clock: its time, which can be stopped.
    @ivar consensus: what runs, or None while the server is down.
    @ivar bootstrap: what it begins the group with, if it is one of the first servers.
    @ivar crash_chance: of dying at each write.
    @ivar sync_seconds: how long a sync takes, more or less.
    @ivar configurations: indexes of the membership entries in its log.
    """

    def __init__(self, world: World, id: str, policy: SnapshotPolicy, timing: Timing, rng: Random) -> None:
        self.id = id
        self.consensus: Consensus | None = None
        self.crash_chance = 0.0
        self.sync_seconds = 0.001
        self.policy = policy
        self.timing = timing
        self.rng = rng
        self.clock = ProcessClock(world.clock)
        self.disk = MemoryDisk(self.clock, self._sync_takes)
        self.machine: ListMachine
        self.configurations: list[int] = []
        self.bootstrap: Configuration | None = None
        self._world = world
        self._log: _Log
        self._elected = (0, 0)

    def _sync_takes(self) -> float:
        return self.sync_seconds * (0.5 + self.rng.random())

    @property
    def up(self) -> bool:
        """Does the process run?"""
        return self.consensus is not None

    @property
    def awake(self) -> bool:
        """Does it run, through its start and not paused?"""
        return self.id in self._world.network.servers and not self.clock.paused

    @property
    def leads(self) -> bool:
        """Does it lead, as far as it knows?"""
        return self.consensus is not None and self.consensus.is_leader

    def tell(self, text: str) -> None:
        """Into the transcript."""
        self._world.tell(f"{self.id}> {text}")

    # ---- life ----

    def start(self) -> None:
        """The process starts, with what is on the disk."""
        world = self._world
        self.tell("starts")
        self.disk.failing = False
        self.machine = ListMachine(self._applied)
        self._log = _Log(self)
        self.configurations = [entry.index for entry in self.disk.log.entries if entry.type == EntryType.CONFIGURATION]
        clock = self.clock
        clock.paused_until = 0.0
        self.consensus = consensus = Consensus(
            self.id,
            log_store=self._log,
            stable_store=_Stable(self),
            snapshot_store=MemorySnapshotStore(self.disk),
            machine=self.machine,
            transport=Transport(world.network, self.id),
            clock=clock,
            rng=self.rng,
            wall=lambda: pack_time(int(clock.seconds() * 1e9)),
            timing=self.timing,
            policy=self.policy,
            slices=Slices(clock, 0.0, 0.001),
        )
        consensus.observe(self)

        def started(_: object) -> None:
            if self.consensus is consensus:
                world.network.servers[self.id] = consensus

        def failed(failure: Failure) -> None:
            if self.consensus is consensus:
                self._ended(failure)

        consensus.start(self.bootstrap).addCallbacks(started, failed)

    def crash(self) -> None:
        """The process dies; what was not synced is lost, or part of it."""
        consensus, self.consensus = self.consensus, None
        if consensus is None:
            return
        self.tell("crashes")
        self._world.network.servers.pop(self.id, None)
        self.disk.crash(self.rng)
        consensus.stop()

    def may_crash(self) -> None:
        """At a write: the worst moment to die."""
        if self.crash_chance and self.rng.random() < self.crash_chance:
            raise Crash

    def _ended(self, failure: Failure) -> None:
        if failure.check(Broken):
            self._world.broken(failure.value)
        elif failure.check(Crash, DiskFailed, DiskFull, LeadershipLost):
            self.crash()
            self._world.restart_later(self)
        else:
            self._world.broken(
                Broken("servers_stop_for_a_reason", f"{self.id} stopped: {failure.getTraceback()}", (self.id,))
            )

    # ---- what is seen of it ----

    def consensus_failed(self, reason: Failure) -> None:
        """See L{Observer}."""
        self._ended(reason)

    def role_changed(self, role: Role, term: int) -> None:
        """See L{Observer}."""
        consensus = self.consensus
        self.tell(f"is {role.name.lower()} in term {term}")
        if role is Role.LEADER and consensus is not None:
            try:
                self._elected_to(term, consensus)
            except Broken as broken:
                self._world.broken(broken)

    def _elected_to(self, term: int, consensus: Consensus) -> None:
        world = self._world
        self._elected = (term, consensus.commit_index)
        invariants.one_leader_a_term(world.facts, self.id, term, world.clock.now)
        snapshots = self.disk.snapshots
        invariants.leader_completeness(world.facts, self.id, term, self._log, snapshots[0][0].index if snapshots else 0)
        leases = {
            other.id: (other.consensus.term, other.consensus.lease_valid())
            for other in world.servers.values()
            if other is not self and other.leads and other.consensus is not None
        }
        invariants.leases_are_exclusive(self.id, term, leases)

    def sent(self, to: str, message: Any) -> None:
        """It says something: it must be true."""
        world = self._world
        invariants.said_terms_are_stored(self.id, message, self.disk)
        invariants.claims_are_durable(self.id, message, self.disk)
        kind = type(message)
        if kind is VoteReply:
            invariants.votes_are_stored(self.id, to, message, self.disk)
            invariants.one_vote_a_term(world.facts, self.id, to, message, world.clock.now)
        elif kind is PreVoteReply:
            invariants.note_pre_vote(world.facts, self.id, to, message)
        elif kind is RequestVote and self.consensus is not None:
            invariants.elections_are_wanted(world.facts, self.id, message, self.consensus.core.members.voters)

    def appended(self, entries: Sequence[Entry]) -> None:
        """Its log grows."""
        first = entries[0].index
        self.tell(f"persist {entries[0].term}/{first}" + (f"..{entries[-1].index}" if len(entries) > 1 else ""))
        previous: int | None
        try:
            previous = self._log.term(first - 1) if first > 1 else 0
        except KeyError:
            previous = None
        invariants.log_matching(self._world.facts, self.id, entries, previous)
        if self.leads and self.consensus is not None:
            changing = self.configurations[-1] if self.configurations else 0
            invariants.one_change_at_a_time(self.id, entries, changing, self.consensus.commit_index)
        self.configurations += [entry.index for entry in entries if entry.type == EntryType.CONFIGURATION]
        self.may_crash()

    def truncated(self, after: int) -> None:
        """Its log is cut."""
        self.tell(f"discard after {after}")
        while self.configurations and self.configurations[-1] > after:
            self.configurations.pop()
        if self.leads and self.consensus is not None and len(self.consensus.configuration.servers) == 1:
            # A lone leader whose disk is full uses the places again of entries that nobody has seen.
            self._world.facts.forget(after, self.consensus.term)

    def was_reset(self, index: int) -> None:
        """Its log begins anew."""
        self.tell(f"reset after {index}")
        self.configurations.clear()

    def look(self) -> None:
        """Between two turns: is what it goes by what is in its log?"""
        consensus = self.consensus
        if consensus is None or self.id not in self._world.network.servers:
            return
        if consensus.core.term > self.disk.stable[0]:
            return  # there is no room for its term: what it wishes for its log waits, too
        in_log = self.configurations[-1] if self.configurations else 0
        invariants.configuration_is_the_newest(self.id, consensus.core.members.latest_index, in_log)

    def _check_commit(self, committed: int) -> None:
        try:
            term = self._log.term(committed)
        except KeyError:
            return
        invariants.commits_by_own_term(self.id, self._elected[0], committed, term, self._elected[1])

    def _applied(self, index: int, data: bytes, key: str, value: int, place: Place) -> None:
        world = self._world
        term: int | None
        try:
            term = self._log.term(index)
        except KeyError:
            term = None
        if index not in world.facts.applied and self.leads and self.consensus is not None:
            voters = self.consensus.core.members.voters
            disks = {id: server.disk for id, server in world.servers.items()}
            invariants.committed_is_on_a_majority(self.id, index, term, voters, disks)
            self._check_commit(self.consensus.commit_index)
        invariants.state_machine_safety(world.facts, self.id, index, term, data)
        invariants.no_double_apply(world.facts, key, value, place)
        invariants.refused_means_refused(world.facts, value)
