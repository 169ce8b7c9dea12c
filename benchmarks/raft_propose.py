"""
What a proposal costs in the driver and the Raft core of a lone server, beside disk and state machine.

C{python benchmarks/raft_propose.py [BATCH ...]} prints CPU microseconds a proposal for each batch size.
"""

from __future__ import annotations

import sys
import time
from collections.abc import Iterator
from random import Random
from typing import BinaryIO

from zope.interface import implementer

from txconsul.consensus import Consensus
from txconsul.consensus.snapshots import SnapshotPolicy
from txconsul.interfaces import IStateMachine
from txconsul.records.raft import Configuration, Server
from txconsul.simulation.clock import SimulatedClock
from txconsul.simulation.network import Network, Transport
from txconsul.storage.memory import MemoryDisk, MemoryLogStore, MemorySnapshotStore, MemoryStableStore

PROPOSALS = 64_000


@implementer(IStateMachine)
class Nothing:
    """A state machine that costs nothing."""

    def apply(self, index: int, data: bytes, record: object) -> object:
        """See L{IStateMachine.apply}."""
        return True

    def apply_piece(self, index: int, term: int, data: bytes, extensions: bytes) -> object:
        """See L{IStateMachine.apply_piece}: nobody cuts up a command here."""
        return None

    def applied(self, index: int) -> None:
        """See L{IStateMachine.applied}."""

    def freeze(self) -> Iterator[bytes]:
        """See L{IStateMachine.freeze}."""
        return iter(())

    def restore(self, stream: BinaryIO) -> Iterator[float]:
        """See L{IStateMachine.restore}."""
        return iter(())


def measure(batch: int) -> float:
    """@return: CPU microseconds a proposal."""
    clock = SimulatedClock()
    disk = MemoryDisk(clock, lambda: 0.0003)
    consensus = Consensus(
        "a",
        log_store=MemoryLogStore(disk),
        stable_store=MemoryStableStore(disk),
        snapshot_store=MemorySnapshotStore(disk),
        machine=Nothing(),
        transport=Transport(Network(clock, Random(1), lambda line: None), "a"),
        clock=clock,
        rng=Random(1),
        policy=SnapshotPolicy(threshold=1 << 40),
    )
    consensus.start(Configuration(servers=(Server(id="a", address="a:8300"),)))
    clock.advance(1.0)
    done: list[object] = []
    data = b"\x02" + bytes(120)
    began = time.process_time()
    for _ in range(PROPOSALS // batch):
        for _ in range(batch):
            consensus.propose(data).addCallback(done.append)
        clock.advance(0.001)
    spent = time.process_time() - began
    assert len(done) == PROPOSALS // batch * batch
    return spent / len(done) * 1e6


if __name__ == "__main__":
    for size in [int(word) for word in sys.argv[1:]] or (1, 16, 64, 256):
        print(f"batches of {size}: {measure(size):.2f} us a proposal")
