"""
Log, term and vote, and snapshots in memory: for C{--dev}, tests and the simulation, with faults to inject.

A L{MemoryDisk} is what survives; the stores are opened on it, as after each start of a process. A crash loses
what was not synced, or any part of it: a disk may have written some of what nobody waited for.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from io import BytesIO
from random import Random
from typing import Any

from twisted.internet.defer import Deferred, fail, succeed
from twisted.internet.interfaces import IReactorTime
from zope.interface import implementer

from txconsul.errors import DiskFailed, DiskFull, GapInLog
from txconsul.interfaces import ILogStore, ISnapshotSink, ISnapshotStore, IStableStore
from txconsul.records.raft import Configuration, Entry
from txconsul.records.snapshot import SnapshotMeta

__all__ = ["MemoryDisk", "MemoryLogStore", "MemorySnapshotStore", "MemoryStableStore"]

#: Snapshots kept, as Consul keeps them.
_SNAPSHOTS_KEPT = 2


class _Log:
    """Consecutive entries: C{entries[0]} has index C{base} plus one."""

    __slots__ = ("base", "entries")

    def __init__(self, base: int = 0, entries: Sequence[Entry] = ()) -> None:
        self.base = base
        self.entries = list(entries)

    def append(self, entries: Sequence[Entry]) -> None:
        if not self.entries:
            self.base = entries[0].index - 1
        self.entries.extend(entries)

    def truncate(self, index: int) -> None:
        del self.entries[max(0, index - self.base) :]

    def compact(self, index: int) -> None:
        gone = min(index - self.base, len(self.entries))
        if gone > 0:
            del self.entries[:gone]
            self.base += gone

    def reset(self, index: int) -> None:
        self.entries.clear()
        self.base = index


#: A change of the log: the name of a method of L{_Log} and its argument.
_Change = tuple[str, Any]


class MemoryDisk:
    """
    What a server's stores keep between its starts, and what may go wrong with it.

    @ivar full: writes are refused with L{DiskFull}.
    @ivar full_for_votes: term and vote are refused, too (a disk store overwrites slots that it has).
    @ivar failing: the next sync fails with L{DiskFailed}, and all after it.
    @ivar sync_seconds: how long one sync takes; asked at each. With 0.0 a sync is done within the call.
    """

    def __init__(self, clock: IReactorTime | None = None, sync_seconds: Callable[[], float] = lambda: 0.0) -> None:
        """@param clock: needed if a sync takes time."""
        self.clock = clock
        self.sync_seconds = sync_seconds
        self.full = False
        self.full_for_votes = False
        self.failing = False
        self.stable: tuple[int, str] = (0, "")
        self.log = _Log()
        self.unsynced: list[_Change] = []
        self.snapshots: list[tuple[SnapshotMeta, bytes]] = []
        self.generation = 0

    def crash(self, rng: Random | None = None) -> None:
        """
        The process dies. Stores opened before are dead; what was not synced is lost.

        @param rng: decides how much of it had been written all the same; None is nothing.
        """
        self.generation += 1
        changes, self.unsynced = self.unsynced, []
        if rng is not None and changes:
            kept = rng.randrange(len(changes) + 1)
            self._write(changes[:kept])
            if kept < len(changes) and changes[kept][0] == "append":
                entries = changes[kept][1]
                self._write([("append", entries[: rng.randrange(len(entries) + 1)])])

    def _write(self, changes: Sequence[_Change]) -> None:
        for name, argument in changes:
            if name != "append" or argument:
                getattr(self.log, name)(argument)

    def synced(self, count: int) -> None:
        """The oldest C{count} changes are durable."""
        self._write(self.unsynced[:count])
        del self.unsynced[:count]

    def later(self, work: Callable[[], None]) -> None:
        """Do C{work} when a sync started now is done, if the process lives so long."""
        seconds = self.sync_seconds()
        if seconds <= 0.0 or self.clock is None:
            work()
            return
        generation = self.generation

        def done() -> None:
            if self.generation == generation:
                work()

        self.clock.callLater(seconds, done)


@implementer(ILogStore)
class MemoryLogStore:
    """A log whose entries stay objects."""

    def __init__(self, disk: MemoryDisk) -> None:
        self._disk = disk
        self._generation = disk.generation
        self._log = _Log(disk.log.base, disk.log.entries)
        self._running: list[Deferred[int]] = []
        self._waiting: list[Deferred[int]] = []
        self._failed = False
        self._closing: list[Deferred[None]] = []

    @property
    def first(self) -> int:
        """See L{ILogStore}."""
        return self._log.base + 1 if self._log.entries else 0

    @property
    def last(self) -> int:
        """See L{ILogStore}."""
        return self._log.base + len(self._log.entries) if self._log.entries else 0

    def append(self, entries: Sequence[Entry]) -> None:
        """See L{ILogStore.append}."""
        if not entries:
            return
        self._check()
        if self._log.entries and entries[0].index != self.last + 1:
            raise GapInLog(f"entry {entries[0].index} after {self.last}")
        if self._disk.full:
            raise DiskFull()
        self._change("append", list(entries))

    def sync(self) -> Deferred[int]:
        """See L{ILogStore.sync}."""
        if self._failed:
            return fail(DiskFailed())
        done: Deferred[int] = Deferred()
        self._waiting.append(done)
        if not self._running:
            self._start()
        return done

    def entry(self, index: int) -> Entry:
        """See L{ILogStore.entry}."""
        place = index - self._log.base - 1
        if place < 0 or place >= len(self._log.entries):
            raise KeyError(index)
        return self._log.entries[place]

    def entries(self, low: int, high: int, bytes_max: int) -> list[Entry]:
        """See L{ILogStore.entries}."""
        found = [self.entry(low)]
        room = bytes_max - len(found[0].data or b"")
        for index in range(low + 1, min(high, self.last + 1)):
            entry = self.entry(index)
            room -= len(entry.data or b"")
            if room < 0:
                break
            found.append(entry)
        return found

    def term(self, index: int) -> int:
        """See L{ILogStore.term}."""
        return self.entry(index).term

    def truncate_after(self, index: int) -> None:
        """See L{ILogStore.truncate_after}."""
        self._check()
        self._change("truncate", index)

    def compact(self, index: int) -> None:
        """See L{ILogStore.compact}."""
        self._change("compact", index)

    def reset(self, index: int) -> None:
        """See L{ILogStore.reset}."""
        self._check()
        self._change("reset", index)

    def close(self) -> Deferred[None]:
        """See L{ILogStore.close}."""
        if not self._running or self._generation != self._disk.generation:
            return succeed(None)
        done: Deferred[None] = Deferred()
        self._closing.append(done)
        return done

    def _check(self) -> None:
        if self._failed:
            raise DiskFailed()

    def _change(self, name: str, argument: Any) -> None:
        getattr(self._log, name)(argument)
        if self._generation == self._disk.generation:
            self._disk.unsynced.append((name, argument))

    def _start(self) -> None:
        self._running, self._waiting = self._waiting, []
        count, newest = len(self._disk.unsynced), self.last
        self._disk.later(lambda: self._done(count, newest))

    def _done(self, count: int, newest: int) -> None:
        disk, done = self._disk, self._running
        self._running = []
        if disk.failing:
            self._failed = True
            done, self._waiting = done + self._waiting, []
            for one in done:
                one.errback(DiskFailed())
        elif disk.full and any(name == "append" for name, _ in disk.unsynced[:count]):
            done, self._waiting = done + self._waiting, []
            disk.unsynced = [change for change in disk.unsynced if change[0] != "append"]
            self._log = _Log(disk.log.base, disk.log.entries)
            for name, argument in disk.unsynced:
                getattr(self._log, name)(argument)
            for one in done:
                one.errback(DiskFull())
        else:
            disk.synced(count)
            for one in done:
                one.callback(newest)
        if self._waiting and not self._running:
            self._start()
        elif not self._running:
            closing, self._closing = self._closing, []
            for closed in closing:
                closed.callback(None)


@implementer(IStableStore)
class MemoryStableStore:
    """Term and vote."""

    def __init__(self, disk: MemoryDisk) -> None:
        self._disk = disk
        self._generation = disk.generation

    def load(self) -> tuple[int, str]:
        """See L{IStableStore.load}."""
        return self._disk.stable

    def store(self, term: int, vote: str) -> None:
        """See L{IStableStore.store}."""
        if self._generation != self._disk.generation:
            return
        if self._disk.failing:
            raise DiskFailed()
        if self._disk.full_for_votes:
            raise DiskFull()
        self._disk.stable = (term, vote)


@implementer(ISnapshotSink)
class _MemorySnapshotSink:
    """Bytes, until they are finished."""

    def __init__(self, disk: MemoryDisk, meta: SnapshotMeta) -> None:
        self._disk = disk
        self._generation = disk.generation
        self._meta = meta
        self._data = BytesIO()

    def write(self, data: bytes) -> None:
        """See L{ISnapshotSink.write}."""
        if self._disk.full:
            raise DiskFull()
        self._data.write(data)

    def finish(self) -> Deferred[SnapshotMeta]:
        """See L{ISnapshotSink.finish}."""
        done: Deferred[SnapshotMeta] = Deferred()
        data = self._data.getvalue()
        old = self._meta
        meta = SnapshotMeta(
            id=old.id,
            index=old.index,
            term=old.term,
            configuration=old.configuration,
            configuration_index=old.configuration_index,
            size=len(data),
        )

        def durable() -> None:
            if self._disk.failing:
                done.errback(DiskFailed())
                return
            self._disk.snapshots.append((meta, data))
            self._disk.snapshots.sort(key=lambda held: (held[0].term, held[0].index), reverse=True)
            del self._disk.snapshots[_SNAPSHOTS_KEPT:]
            done.callback(meta)

        if self._generation == self._disk.generation:
            self._disk.later(durable)
        return done

    def abort(self) -> None:
        """See L{ISnapshotSink.abort}."""
        self._data.close()


@implementer(ISnapshotStore)
class MemorySnapshotStore:
    """The newest two snapshots."""

    def __init__(self, disk: MemoryDisk) -> None:
        self._disk = disk
        self._created = 0

    def create(
        self, index: int, term: int, configuration: Configuration, configuration_index: int
    ) -> _MemorySnapshotSink:
        """See L{ISnapshotStore.create}."""
        self._created += 1
        milliseconds = 0 if self._disk.clock is None else int(self._disk.clock.seconds() * 1000)
        meta = SnapshotMeta(
            id=f"{term}-{index}-{milliseconds + self._created}",
            index=index,
            term=term,
            configuration=configuration,
            configuration_index=configuration_index,
        )
        return _MemorySnapshotSink(self._disk, meta)

    def list(self) -> list[SnapshotMeta]:
        """See L{ISnapshotStore.list}."""
        return [meta for meta, _ in self._disk.snapshots]

    def open(self, id: str) -> tuple[SnapshotMeta, BytesIO]:
        """See L{ISnapshotStore.open}."""
        for meta, data in self._disk.snapshots:
            if meta.id == id:
                return meta, BytesIO(data)
        raise KeyError(id)
