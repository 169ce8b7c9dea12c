"""
Snapshots of the state machine: written, read back and received in slices, so that the server lives meanwhile.

What a snapshot means to the log and to the group is L{txconsul.consensus}'s business.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import BinaryIO

import msgspec
from twisted.internet.defer import Deferred
from twisted.internet.interfaces import IReactorTime
from twisted.logger import Logger
from zope.interface import implementer

from txconsul.driver import Slices
from txconsul.errors import DiskFailed, DiskFull
from txconsul.interfaces import ISnapshotReceiver, ISnapshotSink, ISnapshotStore, IStateMachine
from txconsul.raft.messages import InstallSnapshot
from txconsul.records.raft import Configuration
from txconsul.records.snapshot import SnapshotMeta

__all__ = ["SnapshotPolicy", "Snapshots", "Thrown", "Unfinished"]

#: How often a restore says how far it is.
_TELL_SECONDS = 1.0
#: What is copied in one step.
_PIECE_BYTES = 1 << 18


class SnapshotPolicy(msgspec.Struct, frozen=True, kw_only=True):
    """
    When to write a snapshot by oneself, and how much of the log to keep: Consul's values.

    @ivar threshold: entries applied since the last snapshot (C{raft_snapshot_threshold}).
    @ivar interval: seconds, up to twice as long at random, between two looks (C{raft_snapshot_interval}).
    @ivar trailing: entries kept in the log before the snapshot's end, for followers that lag
        (C{raft_trailing_logs}).
    """

    threshold: int = 16384
    interval: float = 30.0
    trailing: int = 10240


class Snapshots:
    """Moves bytes between the state machine and the snapshot store."""

    log = Logger()

    def __init__(self, store: ISnapshotStore, machine: IStateMachine, clock: IReactorTime, slices: Slices) -> None:
        self.store = store
        self._machine = machine
        self._clock = clock
        self._slices = slices

    def newest(self) -> SnapshotMeta | None:
        """What the newest snapshot says of itself."""
        metas: list[SnapshotMeta] = self.store.list()
        return metas[0] if metas else None

    def save(
        self, index: int, term: int, configuration: Configuration, configuration_index: int
    ) -> Deferred[SnapshotMeta]:
        """
        Freeze the state now and write it.

        @return: a Deferred firing when the snapshot is durable. Cancelling it leaves no trace. It fails with
            L{DiskFull} or L{DiskFailed}.
        """

        async def work() -> SnapshotMeta:
            began = self._clock.seconds()
            pieces = self._machine.freeze()
            sink = self.store.create(index, term, configuration, configuration_index)
            await self._fill(sink, pieces)
            meta: SnapshotMeta = await sink.finish()
            self.log.info(
                "wrote snapshot {id}: {size} bytes in {seconds:.1f} s",
                id=meta.id,
                size=meta.size,
                seconds=self._clock.seconds() - began,
            )
            return meta

        return Deferred.fromCoroutine(work())

    def load(self, id: str) -> Deferred[None]:
        """
        Replace the state by that of a stored snapshot, and say how far it is.

        @return: a Deferred firing with the new state in place, or failing with L{Corrupt}.
        """

        async def work() -> None:
            meta, stream = self.store.open(id)
            try:
                await self._restore(stream, meta.size, f"snapshot {id}")
            finally:
                stream.close()

        return Deferred.fromCoroutine(work())

    def take_over(
        self,
        stream: BinaryIO,
        size: int,
        index: int,
        term: int,
        configuration: Configuration,
        configuration_index: int,
    ) -> Deferred[SnapshotMeta]:
        """
        Store the state of an archive as a new snapshot, and replace the state by it.

        @param stream: the FSM stream, which can seek; it is left open.
        @return: a Deferred firing when both are done. It fails with L{Corrupt}, L{DiskFull}: the old state stands;
            or with L{DiskFailed}.
        """

        async def work() -> SnapshotMeta:
            sink = self.store.create(index, term, configuration, configuration_index)
            await self._fill(sink, iter(lambda: stream.read(_PIECE_BYTES), b""))
            stream.seek(0)
            try:
                await self._restore(stream, size, "archive")
            except BaseException:
                sink.abort()
                raise
            # The state is replaced: what cannot be stored now must stop the server.
            try:
                meta: SnapshotMeta = await sink.finish()
            except DiskFull as error:
                raise DiskFailed(f"the restored state could not be stored: {error}") from error
            return meta

        return Deferred.fromCoroutine(work())

    async def _fill(self, sink: ISnapshotSink, pieces: Iterator[bytes]) -> None:
        try:
            await self._slices.run(sink.write(piece) for piece in pieces)
        except BaseException:
            sink.abort()
            raise

    async def _restore(self, stream: BinaryIO, size: int, what: str) -> None:
        began = told = self._clock.seconds()
        self.log.info("restoring {what}, {size} bytes", what=what, size=size)

        def steps() -> Iterator[None]:
            nonlocal told
            for share in self._machine.restore(stream):
                now = self._clock.seconds()
                if now - told >= _TELL_SECONDS:
                    told = now
                    self.log.info(
                        "restoring {what}: {percent:.0f} % after {seconds:.1f} s",
                        what=what,
                        percent=share * 100,
                        seconds=now - began,
                    )
                yield

        await self._slices.run(steps())
        self.log.info("restored {what} in {seconds:.1f} s", what=what, seconds=self._clock.seconds() - began)


@implementer(ISnapshotReceiver)
class Thrown:
    """Reads a snapshot that nobody wants."""

    def write(self, data: bytes) -> None:
        """See L{ISnapshotReceiver}."""

    def finished(self) -> None:
        """See L{ISnapshotReceiver}."""

    def lost(self) -> None:
        """See L{ISnapshotReceiver}."""


@implementer(ISnapshotReceiver)
class Unfinished:
    """
    A snapshot that comes in.

    @ivar message: what announced it.
    @ivar wanted: whether the core asked for it.
    """

    log = Logger()

    def __init__(
        self,
        message: InstallSnapshot,
        create: Callable[[], ISnapshotSink],
        whole: Callable[[Unfinished, ISnapshotSink], object],
        broken: Callable[[Unfinished], object],
    ) -> None:
        """
        @param create: makes the sink, when the first bytes come.
        @param whole: called with the filled sink.
        @param broken: called instead if it cannot be had whole.
        """
        self.message = message
        self._create = create
        self._whole = whole
        self._broken = broken
        self._sink: ISnapshotSink | None = None
        self._size = 0
        self._over = False

    def write(self, data: bytes) -> None:
        """See L{ISnapshotReceiver.write}."""
        if self._over:
            return
        self._size += len(data)
        try:
            if self._sink is None:
                self._sink = self._create()
            self._sink.write(data)
        except DiskFull as error:
            self.log.warn("cannot take a snapshot from the leader: {error}", error=error)
            self.lost()

    def finished(self) -> None:
        """See L{ISnapshotReceiver.finished}."""
        if self._over:
            return
        if self._size != self.message.size:
            self.log.warn(
                "a snapshot from the leader has {size} bytes instead of {said}",
                size=self._size,
                said=self.message.size,
            )
            self.lost()
            return
        self._over = True
        try:
            sink = self._create() if self._sink is None else self._sink
        except DiskFull:
            self._broken(self)
            return
        self._whole(self, sink)

    def lost(self) -> None:
        """See L{ISnapshotReceiver.lost}."""
        if self._over:
            return
        self._over = True
        if self._sink is not None:
            self._sink.abort()
        self._broken(self)
