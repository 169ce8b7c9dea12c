"""
What must never be seen, whatever goes wrong: the laws of Raft (figure 3 of the paper) and what clients are promised.

Each law is a small function that is given L{Facts}, what was seen so far, and something new. It raises L{Broken}.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from txconsul.errors import TxconsulError
from txconsul.raft.messages import (
    AppendEntries,
    AppendEntriesReply,
    InstallSnapshot,
    InstallSnapshotReply,
    PreVoteReply,
    RequestVote,
    VoteReply,
)
from txconsul.records.raft import Entry, EntryType
from txconsul.simulation.machine import ListMachine, Place
from txconsul.storage.memory import MemoryDisk

__all__ = ["Broken", "Facts"]

#: Messages whose term is the sender's own, and so must be durable when it is said.
_OF_OWN_TERM = (
    AppendEntries,
    AppendEntriesReply,
    RequestVote,
    VoteReply,
    InstallSnapshot,
    InstallSnapshotReply,
)


class Broken(TxconsulError):
    """
    A law was broken.

    @ivar law: the name of its function.
    @ivar who: servers concerned, whose messages a report shows.
    """

    def __init__(self, law: str, text: str, who: Iterable[str] = ()) -> None:
        super().__init__(text)
        self.law = law
        self.who = tuple(who)


class Facts:
    """
    What was seen in one run.

    @ivar leaders: of each term, its leader and since when.
    @ivar votes: of each voter and term, the candidate.
    @ivar pre_votes: of each candidate and term, who would vote for it.
    @ivar entries: of each index and term, the entry's data and the term before it.
    @ivar applied: of each index, the data that was applied there, by whom first.
    @ivar newest: the newest committed entry known: index and term.
    @ivar places: of each key, epoch and length, the checksum and the value that was appended there.
    @ivar values: where each value was appended.
    @ivar refused: values whose writers were told that they would not be written.
    @ivar floors: of each key, how far its list was known to be by whoever got an answer.
    """

    def __init__(self) -> None:
        self.leaders: dict[int, tuple[str, float]] = {}
        self.votes: dict[tuple[str, int], tuple[str, float]] = {}
        self.pre_votes: dict[tuple[str, int], set[str]] = {}
        self.entries: dict[tuple[int, int], tuple[int, bytes | None, int]] = {}
        self.applied: dict[int, tuple[bytes, str]] = {}
        self.newest: tuple[int, int] = (0, 0)
        self.places: dict[tuple[str, int, int], tuple[int, int]] = {}
        self.values: dict[int, tuple[str, int, int]] = {}
        self.refused: set[int] = set()
        self.floors: dict[str, tuple[int, int]] = {}

    def forget(self, after: int, term: int) -> None:
        """Entries of this term after this index were never anywhere but in one server's memory."""
        for place in [place for place in self.entries if place[0] > after and place[1] == term]:
            del self.entries[place]

    def floor(self, key: str) -> tuple[int, int]:
        """How far a list is, at least, for whoever asks now."""
        return self.floors.get(key, (0, 0))

    def answered(self, key: str, place: Place) -> None:
        """Somebody was told this: from now on nobody may see less."""
        self.floors[key] = max(self.floor(key), place[:2])


# ---- elections (Raft 5.2, 5.4.1) ----


def one_leader_a_term(facts: Facts, server: str, term: int, now: float) -> None:
    """Election safety: at most one leader is elected in a term."""
    other, since = facts.leaders.setdefault(term, (server, now))
    if other != server:
        raise Broken(
            "one_leader_a_term",
            f"two leaders in term {term}: {other} (since {since:.3f} s) and {server} (since {now:.3f} s)",
            (other, server),
        )


def one_vote_a_term(facts: Facts, voter: str, candidate: str, message: VoteReply, now: float) -> None:
    """A server votes for one candidate in a term, before and after any crash."""
    if not message.granted:
        return
    other, since = facts.votes.setdefault((voter, message.term), (candidate, now))
    if other != candidate:
        raise Broken(
            "one_vote_a_term",
            f"{voter} votes for {candidate} in term {message.term}, had voted for {other} at {since:.3f} s",
            (voter, candidate, other),
        )


def elections_are_wanted(facts: Facts, candidate: str, message: RequestVote, voters: frozenset[str]) -> None:
    """Nobody disturbs the group by a new term before a majority said that it could win (dissertation 9.6)."""
    if message.leadership_transfer or len(voters) < 2:
        return
    willing = facts.pre_votes.get((candidate, message.term), set()) | {candidate}
    if len(willing & voters) <= len(voters) // 2:
        raise Broken(
            "elections_are_wanted",
            f"{candidate} stands in term {message.term} though only {', '.join(sorted(willing))} would vote for it",
            (candidate,),
        )


def note_pre_vote(facts: Facts, voter: str, candidate: str, message: PreVoteReply) -> None:
    """Who would vote for whom."""
    if message.granted:
        facts.pre_votes.setdefault((candidate, message.term), set()).add(voter)


def leader_completeness(facts: Facts, server: str, term: int, log: Any, snapshot_index: int) -> None:
    """Leader completeness: a leader's log has every entry that was committed in an earlier term."""
    index, committed_in = facts.newest
    if not index or committed_in >= term or index <= snapshot_index:
        return
    try:
        has = log.term(index)
    except KeyError:
        has = 0
    if has != committed_in:
        what = f"entry {has}/{index}" if has else "no such entry"
        raise Broken(
            "leader_completeness",
            f"{server} leads term {term} without the committed entry {committed_in}/{index}: it has {what}",
            (server,),
        )


def leases_are_exclusive(server: str, term: int, others: Mapping[str, tuple[int, bool]]) -> None:
    """While a leader's lease lasts nobody else is elected (dissertation 6.4.1)."""
    for other, (its_term, lease) in others.items():
        if lease and its_term < term:
            raise Broken(
                "leases_are_exclusive",
                f"{server} leads term {term} while the lease of {other} of term {its_term} lasts",
                (server, other),
            )


# ---- durability (Raft figure 2: "updated on stable storage before responding") ----


def said_terms_are_stored(server: str, message: Any, disk: MemoryDisk) -> None:
    """A server tells nobody of a term that it could forget."""
    if isinstance(message, _OF_OWN_TERM) and message.term > disk.stable[0]:
        raise Broken(
            "said_terms_are_stored",
            f"{server} speaks of term {message.term}, and has stored only {disk.stable[0]}",
            (server,),
        )


def votes_are_stored(server: str, candidate: str, message: Any, disk: MemoryDisk) -> None:
    """A vote is durable before it is given."""
    if isinstance(message, VoteReply) and message.granted and disk.stable != (message.term, candidate):
        raise Broken(
            "votes_are_stored",
            f"{server} votes for {candidate} in term {message.term}, and has stored {disk.stable}",
            (server, candidate),
        )


def claims_are_durable(server: str, message: Any, disk: MemoryDisk) -> None:
    """A follower claims only what it would still have after a crash."""
    if not isinstance(message, AppendEntriesReply) or not message.success:
        return
    durable = max(disk.log.base + len(disk.log.entries), disk.snapshots[0][0].index if disk.snapshots else 0)
    if message.match_index > durable:
        raise Broken(
            "claims_are_durable",
            f"{server} claims entries up to {message.match_index}, of which {durable} are durable",
            (server,),
        )


# ---- the log (Raft 5.3, 5.4) ----


def log_matching(facts: Facts, server: str, entries: Iterable[Entry], previous: int | None) -> None:
    """
    Log matching: entries with the same index and term are the same, and so are those before them.

    @param previous: the term of the entry before the first, or None if that is not kept.
    """
    for entry in entries:
        name = f"{entry.term}/{entry.index}"
        kind, data, before = facts.entries.setdefault(
            (entry.index, entry.term), (entry.type, entry.data, -1 if previous is None else previous)
        )
        if (kind, data) != (entry.type, entry.data):
            raise Broken("log_matching", f"{server} has another entry {name} than was seen before", (server,))
        if previous is not None and before not in (-1, previous):
            raise Broken(
                "log_matching", f"{server} has {name} after term {previous}; elsewhere it is after {before}", (server,)
            )
        previous = entry.term


def committed_is_on_a_majority(
    server: str, index: int, term: int | None, voters: frozenset[str], disks: Mapping[str, MemoryDisk]
) -> None:
    """What a leader applies is durable on a majority (Raft 5.3)."""
    if term is None:
        return
    holders = [voter for voter in voters if _holds(disks[voter], index, term)]
    if len(holders) <= len(voters) // 2:
        raise Broken(
            "committed_is_on_a_majority",
            f"{server} applies {term}/{index}, which is durable on {', '.join(sorted(holders)) or 'none'} only",
            (server,),
        )


def _holds(disk: MemoryDisk, index: int, term: int) -> bool:
    place = index - disk.log.base - 1
    if 0 <= place < len(disk.log.entries):
        return disk.log.entries[place].term == term
    return bool(disk.snapshots) and disk.snapshots[0][0].index >= index


def commits_by_own_term(server: str, term: int, index: int, entry_term: int, since: int) -> None:
    """
    A leader counts only entries of its own term; those before them are then committed, too (Raft 5.4.2, figure 8).

    @param since: what it knew to be committed when it was elected.
    """
    if index > since and entry_term != term:
        raise Broken(
            "commits_by_own_term",
            f"{server}, leading term {term}, takes {entry_term}/{index} for committed by counting",
            (server,),
        )


def state_machine_safety(facts: Facts, server: str, index: int, term: int | None, data: bytes) -> None:
    """State machine safety: no two servers apply different commands at the same index."""
    first, other = facts.applied.setdefault(index, (data, server))
    if first != data:
        raise Broken(
            "state_machine_safety",
            f"{server} applies another command at {index} than {other} did",
            (server, other),
        )
    if term is not None and index > facts.newest[0]:
        facts.newest = (index, term)


def one_change_at_a_time(server: str, entries: Iterable[Entry], changing: int, committed: int) -> None:
    """A leader changes the group only when the change before is committed (Raft 6, dissertation 4.1)."""
    for entry in entries:
        if entry.type == EntryType.CONFIGURATION:
            if changing > committed:
                raise Broken(
                    "one_change_at_a_time",
                    f"{server} changes the group by entry {entry.index} while {changing} is not committed",
                    (server,),
                )
            changing = entry.index


def configuration_is_the_newest(server: str, in_force: int, in_log: int) -> None:
    """A configuration is in force as soon as it is in the log (Raft 6)."""
    if in_log and in_force != in_log:
        raise Broken(
            "configuration_is_the_newest",
            f"{server} goes by the configuration of entry {in_force}, but its log has a newer one, {in_log}",
            (server,),
        )


# ---- what clients see ----


def no_double_apply(facts: Facts, key: str, value: int, place: Place) -> None:
    """A command takes effect once, at one place, alike everywhere."""
    epoch, length, checksum = place
    where = (key, epoch, length)
    if facts.values.setdefault(value, where) != where:
        raise Broken("no_double_apply", f"value {value} is at {where} and at {facts.values[value]}")
    if facts.places.setdefault(where, (checksum, value)) != (checksum, value):
        raise Broken("no_double_apply", f"{where} holds {value} and {facts.places[where][1]}")


def refused_means_refused(facts: Facts, value: int) -> None:
    """Who was told that a write was not taken (no leader, disk full) may try it elsewhere: it must never appear."""
    if value in facts.refused and value in facts.values:
        raise Broken("refused_means_refused", f"value {value} was refused, and is at {facts.values[value]}")


def writes_are_ordered(server: str, key: str, floor: tuple[int, int], place: Place) -> None:
    """Linearizability of writes: one comes after all that was answered before it began."""
    if place[:2] <= floor:
        raise Broken(
            "writes_are_ordered",
            f"a write of {key} at {server} got place {place[:2]}, but {floor} was known before it began",
            (server,),
        )


def reads_are_linearizable(facts: Facts, server: str, how: str, key: str, floor: tuple[int, int], place: Place) -> None:
    """A read sees all that was answered before it began, and only what was ever written."""
    epoch, length, checksum = place
    if (epoch, length) < floor:
        raise Broken(
            "reads_are_linearizable",
            f"a {how} read of {key} at {server} saw {(epoch, length)}, but {floor} was known before it began",
            (server,),
        )
    if length and facts.places.get((key, epoch, length), (checksum, 0))[0] != checksum:
        raise Broken(
            "reads_are_linearizable", f"a {how} read of {key} at {server} saw what was never written", (server,)
        )


def no_lost_write(facts: Facts, server: str, machine: ListMachine) -> None:
    """Every write that was acknowledged is in the state of every server, once all is well again."""
    for key, floor in facts.floors.items():
        place = machine.place(key)
        if place[:2] < floor:
            raise Broken("no_lost_write", f"{server} has {place[:2]} of {key}, but {floor} was acknowledged", (server,))


def alive_after_healing(written: bool, laggards: Iterable[str], seconds: float) -> None:
    """Liveness: with all faults gone the group takes writes, and every member has them."""
    if not written:
        raise Broken("alive_after_healing", f"no write succeeded for {seconds:g} s after all faults had ended")
    laggards = sorted(laggards)
    if laggards:
        raise Broken(
            "alive_after_healing",
            f"{', '.join(laggards)} did not catch up within {seconds:g} s after all faults had ended",
            laggards,
        )


def returning_server_disturbs_nobody(server: str, before: tuple[str, int], after: tuple[str, int]) -> None:
    """A server that was cut off and comes back does not depose a leader that all others hear (Raft 6)."""
    if before != after:
        raise Broken(
            "returning_server_disturbs_nobody",
            f"{server} came back, and {before[0]} leading term {before[1]} gave way to "
            f"{after[0] or 'nobody'} in term {after[1]}",
            (server, before[0]),
        )
