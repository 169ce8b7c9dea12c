"""
The log against a list of what it must hold, through any sequence of operations, full disks, crashes and restarts.
"""

from __future__ import annotations

from random import Random

from hypothesis import Phase, given, settings
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from tests.storage.disk import Crashed, FakeDisk, Stepped
from txconsul.errors import DiskFull
from txconsul.records.raft import Entry
from txconsul.storage.segments import SegmentLog

OPERATIONS = tuple(
    (
        "append " * 6 + "sync " * 4 + "step " * 6 + "truncate " * 3 + "reset " + "compact " * 3 + "full " * 2 + "heal"
    ).split()
)


#: A seed cannot be made simpler, so hypothesis shall not try.
SEEDS = [Phase.explicit, Phase.reuse, Phase.generate]


class Model:
    """
    A log, and the lists that it may be found as after a crash.

    @ivar now: the entries as the caller sees them.
    @ivar states: what it was after each change since the one that is known to be durable.
    """

    def __init__(self, disk: FakeDisk, rng: Random) -> None:
        self.rng = rng
        self.term = 1
        self.compacted = 0
        self.changes = 0
        self.now: list[Entry] = []
        self.states: list[tuple[int, list[Entry]]] = [(0, [])]
        self.disk = disk
        self.open()

    def open(self) -> None:
        self.worker = Stepped()
        self.log = SegmentLog(
            "/log",
            self.worker,
            segment_bytes=self.rng.choice([4500, 6000, 20_000]),
            tail_bytes_max=self.rng.choice([0, 2000, 1 << 20]),
            files=self.disk,
            salt=self.rng.randbytes,
        )

    def changed(self, now: list[Entry]) -> None:
        self.now = now
        self.changes += 1
        self.states.append((self.changes, now))

    def synced(self, change: int) -> None:
        """The change is durable: nothing older may be found."""
        self.states = [state for state in self.states if state[0] >= change]

    def do(self, operation: str) -> None:
        rng, log, now = self.rng, self.log, self.now
        if operation == "append":
            first = now[-1].index + 1 if now else self.compacted + rng.choice([1, 50])
            self.term += rng.random() < 0.2
            given = [
                Entry(
                    index=first + i,
                    term=self.term,
                    data=None if rng.random() < 0.1 else rng.randbytes(rng.choice([0, 3, 40, 900])),
                    extensions=b"x" if rng.random() < 0.1 else None,
                )
                for i in range(rng.randrange(1, 6))
            ]
            log.append(given)
            self.changed(now + given)
        elif operation == "sync":
            change = self.changes
            log.sync().addCallbacks(lambda _: self.synced(change), lambda failure: failure.trap(DiskFull) and None)
        elif operation == "step" and self.worker.waiting:
            self.worker.step()
            if self.log.last != (self.now[-1].index if self.now else 0):  # a full disk: what was not durable is dropped
                self.changed([entry for entry in self.now if entry.index <= log.last])
        elif operation == "truncate" and now:
            index = rng.randrange(now[0].index - 1, now[-1].index + 1)
            self.term += 1
            log.truncate_after(index)
            self.changed([entry for entry in now if entry.index <= index])
        elif operation == "reset":
            log.reset((now[-1].index if now else 0) + rng.randrange(5))
            self.changed([])
        elif operation == "compact" and now:
            index = rng.randrange(now[0].index, now[-1].index + 1)
            log.compact(index)
            assert not log.last or log.first <= index + 1
            self.compacted = max(self.compacted, index)
            self.now = [entry for entry in now if entry.index >= log.first > 0]
        elif operation == "full":
            self.disk.room = rng.randrange(10_000)
        elif operation == "heal":
            self.disk.room = None

    def check(self) -> None:
        log, now = self.log, self.now
        assert (log.first, log.last) == ((now[0].index, now[-1].index) if now else (0, 0))
        if now:
            assert log.entries(log.first, log.last + 1, 1 << 30) == now
            one = self.rng.choice(now)
            assert log.entry(one.index) == one
            assert log.term(one.index) == one.term

    def recover(self, disk: FakeDisk) -> None:
        """A new process finds one of the lists that it may find, but for what was compacted away."""
        self.disk = disk
        self.open()
        found = self.log.entries(self.log.first, self.log.last + 1, 1 << 30) if self.log.last else []
        kept = [entry for entry in found if entry.index > self.compacted]
        for change, state in reversed(self.states):
            if kept == [entry for entry in state if entry.index > self.compacted]:
                self.states = [(change, state)]
                break
        else:
            raise AssertionError(f"found {found}, not one of {self.states}")
        self.changes = change
        self.changed(found)
        self.compacted = 0
        for entry in found:
            assert self.log.term(entry.index) == entry.term


class ModelTests(SynchronousTestCase):
    """Nothing that a sync has confirmed is ever lost, nothing that was dropped comes back."""

    def operations(self, rng: Random, count: int) -> list[str]:
        """Some operations; lists drawn by hypothesis itself are too short to get anywhere."""
        return rng.choices(OPERATIONS, k=count)

    @settings(max_examples=150, deadline=None, phases=SEEDS)
    @given(st.integers(0, 2**64))
    def test_anyOperations(self, seed: int) -> None:
        """Operations, full disks and clean restarts."""
        rng = Random(seed)
        model = Model(FakeDisk("/log"), rng)
        for _ in range(4):
            for operation in self.operations(rng, rng.randrange(5, 40)):
                model.do(operation)
                model.check()
            model.disk.room = None
            model.do("sync" if rng.random() < 0.5 else "heal")
            model.log.close()
            model.worker.settle()
            assert not model.disk.descriptors
            model.recover(model.disk)
            model.check()

    @settings(max_examples=200, deadline=None, phases=SEEDS)
    @given(st.integers(0, 2**64), st.sampled_from([1, 16, 512]))
    def test_crashAnywhere(self, seed: int, sector: int) -> None:
        """A crash between any two disk operations loses only what was not synced, sector by sector."""
        rng = Random(seed)
        model = Model(FakeDisk("/log"), rng)
        for _ in range(4):
            model.disk.crash_at(rng.randrange(80))
            try:
                for operation in self.operations(rng, rng.randrange(1, 60)):
                    model.do(operation)
                    model.check()
            except Crashed:
                pass
            model.recover(model.disk.after_crash(rng, sector))
            model.check()

    def test_crashAtEveryOperation(self) -> None:
        """One long story, stopped before each of its disk operations."""
        story = ["append", "sync", "step"] * 8 + ["truncate", "append", "sync", "step", "compact", "step", "step"] * 4
        story += ["reset", "append", "sync", "step", "step", "append", "sync", "step"] * 2
        number = 0
        crashed = True
        while crashed:
            model = Model(FakeDisk("/log"), Random(11))
            model.disk.crash_at(number)
            try:
                for operation in story:
                    model.do(operation)
                crashed = False
            except Crashed:
                pass
            for again in range(4):
                found = model.disk.after_crash(Random(number * 10 + again))
                states, compacted = model.states, model.compacted
                model.recover(found)
                model.states, model.compacted = states, compacted
            number += 1
        self.assertGreater(number, 50)
