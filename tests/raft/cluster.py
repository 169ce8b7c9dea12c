"""
Several cores, their disks and the ways between them, driven by hand: what happens, happens because a test said so.

A message waits until L{Cluster.run} delivers it. Time passes only by L{Cluster.timeout} and L{Cluster.wait}.
"""

from __future__ import annotations

from random import Random
from typing import Any

from tests.raft.disk import ListLog
from tests.raft.wording import entries_words, entry_words, message_words, output_words
from txconsul.codec import gomsgpack
from txconsul.raft.core import RaftCore
from txconsul.raft.messages import (
    AppendEntries,
    AppendEntriesReply,
    Commit,
    InstallSnapshot,
    LeaderChanged,
    Persist,
    PersistState,
    ReadReady,
    ReceiveSnapshot,
    ResetLog,
    Send,
    SendSnapshot,
    Truncate,
)
from txconsul.raft.timing import Timing
from txconsul.records.raft import Configuration, Entry, EntryType, Server, Suffrage

__all__ = ["Cluster", "Machine", "configuration", "entry"]

#: Consul's fast setting.
TIMING = Timing.multiplied(1)


def configuration(*ids: str) -> Configuration:
    """Voters of these ids; C{d?} is a non-voter."""
    return Configuration(
        servers=tuple(
            Server(
                suffrage=Suffrage.NONVOTER if id.endswith("?") else Suffrage.VOTER,
                id=id.rstrip("?"),
                address=f"{id.rstrip('?')}:8300",
            )
            for id in ids
        )
    )


def entry(term: int, index: int, data: str = "") -> Entry:
    """A command."""
    return Entry(index=index, term=term, data=data.encode())


class Machine:
    """
    One server: a core, what it has stored, and what it has applied.

    @ivar disk: C{ok}; C{slow}: what is to be persisted waits for L{sync}; or C{full}.
    """

    def __init__(self, cluster: Cluster, id: str, entries: tuple[Entry, ...], term: int, vote: str = "") -> None:
        self.cluster = cluster
        self.id = id
        self.log = ListLog(entries)
        self.term, self.vote = term, vote
        self.snapshot: InstallSnapshot | None = None
        self.applied: list[Entry] = []
        self.disk = "ok"
        self.ready: list[ReadReady] = []
        self.start()

    def start(self) -> None:
        """Begin with nothing but what is stored."""
        snapshot = self.snapshot or InstallSnapshot(0)
        self.applied = self.applied[: snapshot.last_log_index]
        self._unsynced: list[Persist] = []
        self._waiting: list[Send] = []
        self.core = self.cluster.core_class(
            self.id,
            log=self.log,
            now=self.cluster.now,
            rng=Random(self.id),
            timing=self.cluster.timing,
            term=self.term,
            vote=self.vote,
            configuration=snapshot.configuration,
            configuration_index=snapshot.configuration_index,
            snapshot_index=snapshot.last_log_index,
            snapshot_term=snapshot.last_log_term,
        )

    def drain(self) -> None:
        """Carry out what the core wishes."""
        while True:
            outputs = self.core.take_output()
            if not outputs:
                return
            for output in outputs:
                self._carry_out(output)

    def _carry_out(self, output: Any) -> None:
        tell = self.cluster.tell
        if isinstance(output, Send):
            if self._unsynced:
                self._waiting.append(output)
            else:
                self.cluster.send(self.id, output)
        elif isinstance(output, Persist):
            tell(f"{self.id}> persist {entries_words(output.entries)}{'' if self.disk == 'ok' else ' ...'}")
            self._unsynced.append(output)
            if self.disk == "ok":
                self.sync()
        elif isinstance(output, PersistState):
            self.term, self.vote = output.term, output.vote
            tell(self.id + output_words(output))
        elif isinstance(output, Truncate):
            pending = tuple(e for batch in self._unsynced for e in batch.entries if e.index > output.after)
            gone = (*self.log.truncate_after(output.after), *pending)
            self._unsynced = [
                Persist(tuple(e for e in batch.entries if e.index <= output.after)) for batch in self._unsynced
            ]
            if gone:
                tell(f"{self.id}> discard {entries_words(gone)}")
        elif isinstance(output, Commit):
            tell(self.id + output_words(output))
            self._apply(output.index)
        elif isinstance(output, SendSnapshot):
            self._send_snapshot(output)
        elif isinstance(output, ReceiveSnapshot):
            tell(self.id + output_words(output))
            self.snapshot = output.message
            self.applied = self.cluster.snapshots[output.message.last_log_index][:]
            self.core.snapshot_installed(self.cluster.now)
        elif isinstance(output, ResetLog):
            tell(self.id + output_words(output))
            self.log.reset()
            self._unsynced = []
        elif isinstance(output, ReadReady):
            self.ready.append(output)
            tell(self.id + output_words(output))
        elif not isinstance(output, LeaderChanged) or output.leader != self.id:
            tell(self.id + output_words(output))

    def _apply(self, index: int) -> None:
        pending = {e.index: e for batch in self._unsynced for e in batch.entries}
        while len(self.applied) < index:
            at = len(self.applied) + 1
            self.applied.append(pending[at] if at in pending else self.log.entry(at))

    def sync(self) -> None:
        """What waits for the disk is durable now, or refused if the disk is full."""
        unsynced, self._unsynced = self._unsynced, []
        waiting, self._waiting = self._waiting, []
        if self.disk == "full":
            if unsynced:
                self.cluster.tell(f"{self.id}> disk full")
                self.core.persist_failed(self.log.last, self.cluster.now)
            return
        for batch in unsynced:
            self.log.append(batch.entries)
        last = next((batch.entries[-1] for batch in reversed(unsynced) if batch.entries), None)
        if last is not None:
            self.core.persisted(last.index, last.term, self.cluster.now)
        for send in waiting:
            self.cluster.send(self.id, send)

    def compact(self, index: int) -> None:
        """Take a snapshot up to C{index} and let the entries go."""
        configuration_index, configuration = self.core.configuration_at(index)
        term = self.core.log.term(index)
        self.cluster.snapshots[index] = self.applied[:index]
        self.snapshot = InstallSnapshot(0, "", index, term, configuration, configuration_index)
        self.log.compact(index)
        self.core.compacted(index, term)

    def _send_snapshot(self, output: SendSnapshot) -> None:
        snapshot = self.snapshot
        assert snapshot is not None
        message = InstallSnapshot(
            output.term,
            output.leader,
            snapshot.last_log_index,
            snapshot.last_log_term,
            snapshot.configuration,
            snapshot.configuration_index,
            0,
            output.round,
        )
        self.cluster.send(self.id, Send(output.to, message, output.address))
        self.core.snapshot_sent(output.to, self.cluster.now)


class Cluster:
    """
    @ivar cuts: pairs (from, to) between which messages are lost.
    @ivar queue: messages on their way: (from, to, message).
    @ivar lines: the transcript since L{take_lines}.
    """

    def __init__(self, timing: Timing = TIMING, core_class: type[RaftCore] = RaftCore) -> None:
        self.timing = timing
        self.core_class = core_class
        self.now = 0.0
        self.machines: dict[str, Machine] = {}
        self.cuts: set[tuple[str, str]] = set()
        self.queue: list[tuple[str, str, Any]] = []
        self.snapshots: dict[int, list[Entry]] = {}
        self.lines: list[str] = []
        self.shows_heartbeats = False

    def __getitem__(self, id: str) -> RaftCore:
        return self.machines[id].core

    # ---- making one ----

    def add(self, id: str, entries: tuple[Entry, ...] = (), *, term: int = 0, vote: str = "") -> Machine:
        """A server that has these entries stored."""
        self.machines[id] = Machine(self, id, entries, term, vote)
        return self.machines[id]

    @classmethod
    def of(cls, *ids: str, terms: tuple[int, ...] = (1,), **options: Any) -> Cluster:
        """
        Servers whose logs have one entry for each of C{terms}, the first of which holds the configuration.
        """
        cluster = cls(**options)
        for id in ids:
            cluster.add(id.rstrip("?"), log_of(configuration(*ids), terms), term=terms[-1])
        return cluster

    def elect(self, id: str) -> None:
        """Make one the leader, its log replicated and its first entry committed everywhere."""
        self.timeout(id)
        self.run()
        self.wait(0.2)
        assert self[id].leader == id, self.lines

    # ---- what happens ----

    def tell(self, line: str) -> None:
        """One line of transcript."""
        self.lines.append(line)

    def take_lines(self) -> list[str]:
        """The transcript so far, which begins anew; the same message to several servers is one line."""
        merged: list[str] = []
        for line in self.lines:
            if merged and " send " in line and " send " in merged[-1]:
                head, words = line.split(" send ", 1)
                to, words = words.split(" ", 1)
                last_head, last_words = merged[-1].split(" send ", 1)
                last_to, last_words = last_words.split(" ", 1)
                if (head, words) == (last_head, last_words):
                    merged[-1] = f"{head} send {last_to},{to} {words}"
                    continue
            merged.append(line)
        self.lines = []
        return merged

    def send(self, sender: str, output: Send) -> None:
        """A message goes on its way, or is lost."""
        lost = (sender, output.to) in self.cuts or output.to not in self.machines
        message = output.message
        heartbeat = (isinstance(message, AppendEntries) and message.is_heartbeat) or (
            isinstance(message, AppendEntriesReply) and message.success and not message.match_index
        )
        if self.shows_heartbeats or not heartbeat:
            self.tell(f"{sender}> send {output.to} {message_words(message)}{' (lost)' if lost else ''}")
        if not lost:
            self.queue.append((sender, output.to, message))

    def drain(self) -> None:
        """Let every machine carry out its wishes."""
        for machine in self.machines.values():
            machine.drain()

    def run(self, most: int = 1000) -> None:
        """Deliver messages until none is on its way."""
        self.drain()
        for _ in range(most):
            if not self.queue:
                return
            self.deliver()
        raise AssertionError(f"still {len(self.queue)} messages on their way")

    def deliver(self, position: int = 0) -> None:
        """Deliver one."""
        sender, to, message = self.queue.pop(position)
        if to in self.machines and (sender, to) not in self.cuts:
            self[to].receive(message, sender, self.now)
            self.machines[to].drain()

    def timeout(self, id: str) -> None:
        """Let time pass until one server has something to do, and only that one does it."""
        deadline = self[id].next_deadline()
        assert deadline is not None
        self.now = max(self.now, deadline)
        self[id].wake(self.now)
        self.machines[id].drain()

    def wait(self, seconds: float) -> None:
        """Let time pass for all, and deliver what they send."""
        end = self.now + seconds
        self.run()
        while True:
            due = [(machine.core.next_deadline(), id) for id, machine in self.machines.items()]
            deadline, id = min(((at, id) for at, id in due if at is not None), default=(end + 1, ""))
            if deadline > end:
                break
            self.now = max(self.now, deadline)
            self[id].wake(self.now)
            self.run()
        self.now = end

    def cut(self, *ids: str) -> None:
        """Nothing gets from these to the others, nor back."""
        for id in ids:
            for other in self.machines:
                if other not in ids:
                    self.cuts |= {(id, other), (other, id)}
        self.queue = [each for each in self.queue if each[:2] not in self.cuts]

    def heal(self) -> None:
        """Everything gets through again."""
        self.cuts.clear()

    def restart(self, id: str) -> None:
        """One server crashes, losing what was not durable, and begins again."""
        self.queue = [each for each in self.queue if each[0] != id]
        self.machines[id].start()

    def words_of(self, id: str) -> str:
        """The log of one server."""
        return ", ".join(entry_words(each) for each in self.machines[id].log.kept)


def log_of(members: Configuration, terms: tuple[int, ...]) -> tuple[Entry, ...]:
    """The configuration, then one command a term, named by its place."""
    first = Entry(index=1, term=terms[0], type=EntryType.CONFIGURATION, data=gomsgpack.encode(members))
    return (first, *(entry(term, index, f"v{index}") for index, term in enumerate(terms[1:], 2)))
