"""A server of Raft in a test: its disk in memory, its machine, who watches it."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from random import Random
from typing import BinaryIO

from twisted.internet.defer import Deferred
from twisted.python.failure import Failure
from zope.interface import implementer

from txconsul.consensus import Consensus, Observer
from txconsul.consensus.snapshots import SnapshotPolicy
from txconsul.driver import Slices
from txconsul.errors import Conflict, Corrupt
from txconsul.interfaces import IStateMachine
from txconsul.raft.messages import Role
from txconsul.raft.timing import Timing
from txconsul.records.raft import Configuration, Entry, Server
from txconsul.simulation.clock import SimulatedClock
from txconsul.simulation.network import Network, Transport
from txconsul.storage.memory import MemoryDisk, MemoryLogStore, MemorySnapshotStore, MemoryStableStore

TIMING = Timing(heartbeat=0.3, election=0.3, lease=0.15, commit=0.03, retry=0.1, snapshot=0.4)


@implementer(IStateMachine)
class WordMachine:
    """Keeps the words it is told. C{no} is refused, C{boom} raises."""

    def __init__(self) -> None:
        self.words: list[bytes] = []
        self.records: list[object] = []
        self.batches: list[int] = []

    def apply(self, index: int, data: bytes, record: object) -> object:
        """See L{IStateMachine.apply}."""
        if data == b"boom":
            raise ValueError("boom")
        if data == b"no":
            return Conflict("no")
        self.words.append(data)
        self.records.append(record)
        return len(self.words)

    def apply_piece(self, index: int, term: int, data: bytes, extensions: bytes) -> object:
        """See L{IStateMachine.apply_piece}: nobody cuts up a command here."""
        return None

    def applied(self, index: int) -> None:
        """See L{IStateMachine.applied}."""
        self.batches.append(index)

    def freeze(self) -> Iterator[bytes]:
        """See L{IStateMachine.freeze}."""
        return iter([word + b"\n" for word in self.words])

    def restore(self, stream: BinaryIO) -> Iterator[float]:
        """See L{IStateMachine.restore}."""
        words = []
        for line in stream:
            if line == b"bad\n":
                raise Corrupt("bad archive")
            words.append(line[:-1])
            yield 0.5
        self.words = words
        yield 1.0


class CountingLog(MemoryLogStore):
    """Counts how often it is written and synced."""

    def __init__(self, disk: MemoryDisk) -> None:
        super().__init__(disk)
        self.appends: list[int] = []
        self.syncs = 0

    def append(self, entries: Sequence[Entry]) -> None:
        """See L{ILogStore.append}."""
        super().append(entries)
        self.appends.append(len(entries))

    def sync(self) -> Deferred[int]:
        """See L{ILogStore.sync}."""
        self.syncs += 1
        return super().sync()


class Watcher(Observer):
    """Notes what it is told."""

    def __init__(self) -> None:
        self.roles: list[Role] = []
        self.leaders: list[str] = []
        self.failures: list[Failure] = []

    def role_changed(self, role: Role, term: int) -> None:
        """See L{Observer}."""
        self.roles.append(role)

    def leader_changed(self, leader: str, address: str) -> None:
        """See L{Observer}."""
        self.leaders.append(leader)

    def consensus_failed(self, reason: Failure) -> None:
        """See L{Observer}."""
        self.failures.append(reason)


class Host:
    """A server and what it runs on."""

    def __init__(self, clock: SimulatedClock, network: Network, id: str, trailing: int = 2) -> None:
        self.id = id
        self.clock = clock
        self.network = network
        self.trailing = trailing
        self.disk = MemoryDisk(clock, lambda: 0.001)
        self.machine = WordMachine()
        self.log: CountingLog
        self.watcher = Watcher()
        self.consensus: Consensus

    def start(self, *servers: str) -> Deferred[None]:
        """Begin, or begin again with what the disk has."""
        self.machine = WordMachine()
        self.log = CountingLog(self.disk)
        self.watcher = Watcher()
        self.consensus = Consensus(
            self.id,
            log_store=self.log,
            stable_store=MemoryStableStore(self.disk),
            snapshot_store=MemorySnapshotStore(self.disk),
            machine=self.machine,
            transport=Transport(self.network, self.id),
            clock=self.clock,
            rng=Random(f"{self.id} 1"),
            timing=TIMING,
            policy=SnapshotPolicy(threshold=20, interval=1.0, trailing=self.trailing),
            slices=Slices(self.clock, 0.0, 0.001),
        )
        self.consensus.observe(self.watcher)
        self.network.servers[self.id] = self.consensus
        first = Configuration(servers=tuple(Server(id=id, address=f"{id}:8300") for id in servers))
        return self.consensus.start(first if servers else None)

    def crash(self) -> None:
        """Lose what was not synced."""
        del self.network.servers[self.id]
        self.disk.crash()
        self.consensus.stop()
