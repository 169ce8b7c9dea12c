"""
When a server writes, sends, receives and takes over snapshots, and what that means to its log (Raft 7).

One at a time replaces the state; a snapshot that was being written of the old state is given up then.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from random import Random
from typing import BinaryIO

from twisted.internet.defer import CancelledError, Deferred, fail, succeed
from twisted.internet.interfaces import IDelayedCall, IReactorTime
from twisted.logger import Logger
from twisted.python.failure import Failure

from txconsul.consensus.applying import Applying
from txconsul.consensus.snapshots import SnapshotPolicy, Snapshots, Thrown, Unfinished
from txconsul.errors import DiskFailed, DiskFull, LeadershipLost, Unavailable
from txconsul.interfaces import ILogStore, IRaftTransport, ISnapshotReceiver, ISnapshotSink
from txconsul.raft.core import RaftCore
from txconsul.raft.messages import InstallSnapshot, ReceiveSnapshot, SendSnapshot
from txconsul.records.snapshot import SnapshotMeta

__all__ = ["SnapshotTraffic"]


class SnapshotTraffic:
    """
    @ivar meta: of the newest snapshot; index 0 before the first.
    """

    log = Logger()

    def __init__(
        self,
        core: RaftCore,
        *,
        snapshots: Snapshots,
        applying: Applying,
        log_store: ILogStore,
        transport: IRaftTransport,
        clock: IReactorTime,
        rng: Random,
        policy: SnapshotPolicy,
        fed: Callable[[], object],
        failed: Callable[[str, Failure], object],
        meta: SnapshotMeta,
    ) -> None:
        """
        @param fed: the core was given something: drain it soon.
        @param failed: what was going on, and why this server cannot go on.
        """
        self.meta = meta
        self._core = core
        self._snapshots = snapshots
        self._applying = applying
        self._log_store = log_store
        self._transport = transport
        self._clock = clock
        self._rng = rng
        self.policy = policy
        self._fed = fed
        self._failed = failed
        self._saving: Deferred[SnapshotMeta] | None = None
        self._saving_index = 0
        self._joined: list[Deferred[SnapshotMeta]] = []
        self._sending: dict[str, Deferred[None]] = {}
        self._offered: InstallSnapshot | None = None
        self._receiver: Unfinished | None = None
        self._replacing: Deferred[None] | None = None
        self._stopped = False
        self._look: IDelayedCall
        self._look_later()

    def stop(self) -> None:
        """Give up all that is under way."""
        self._stopped = True
        self._look.cancel()
        self._give_up_saving()
        sending, self._sending = self._sending, {}
        for one in sending.values():
            one.cancel()
        if self._receiver is not None:
            self._receiver.lost()
        if self._replacing is not None:
            self._replacing.cancel()

    # ---- writing ----

    def _look_later(self) -> None:
        interval = self.policy.interval
        self._look = self._clock.callLater(self._rng.uniform(interval, 2 * interval), self._look_now)

    def _look_now(self) -> None:
        self._look_later()
        if self._applying.applied - self.meta.index >= self.policy.threshold and self._replacing is None:
            self.take().addErrback(lambda failure: self.log.warn("no snapshot: {why}", why=failure.value))

    def take(self) -> Deferred[SnapshotMeta]:
        """See L{Consensus.snapshot<txconsul.consensus.Consensus.snapshot>}."""
        index = self._applying.applied
        if self._stopped or self._replacing is not None:
            return fail(Unavailable("the state is being replaced"))
        if self._saving is None:
            if index and index == self.meta.index:
                return succeed(self.meta)
            try:
                term = self._core.log.term(index)
            except KeyError:
                return fail(Unavailable("the log lacks what is applied: the disk was full"))
            if not index:
                return fail(Unavailable("nothing new to snapshot"))
            configuration_index, configuration = self._core.configuration_at(index)
            self._saving_index = index
            self._saving = saving = self._snapshots.save(index, term, configuration, configuration_index)
            saving.addCallbacks(self._saved, self._not_saved)
        if self._saving is None:  # it is done already
            return succeed(self.meta) if self.meta.index == index else fail(DiskFull())
        joined: Deferred[SnapshotMeta] = Deferred()
        self._joined.append(joined)
        # One that was begun before the newest write does not hold it, and somebody may want a copy of that.
        return joined if self._saving_index == index else joined.addCallback(lambda _: self.take())

    def _saved(self, meta: SnapshotMeta) -> None:
        self._saving = None
        self.meta = meta
        core = self._core
        core.compacted(meta.index, meta.term)
        keep_from = min(meta.index, core.log.last - self.policy.trailing)
        if keep_from > 0:
            self._log_store.compact(keep_from)
        joined, self._joined = self._joined, []
        for one in joined:
            one.callback(meta)

    def _not_saved(self, failure: Failure) -> None:
        self._saving = None
        if failure.check(CancelledError):
            failure = Failure(Unavailable("the state was replaced meanwhile"))
        joined, self._joined = self._joined, []
        for one in joined:
            one.errback(failure)

    def _give_up_saving(self) -> None:
        if self._saving is not None:
            self._saving.cancel()

    # ---- sending ----

    def send(self, output: SendSnapshot) -> None:
        """A follower needs entries that are gone."""
        now = self._clock.seconds()
        to = output.to
        if to in self._sending:
            self._sending.pop(to).cancel()
        meta = self._snapshots.newest()
        if meta is None:
            self._core.snapshot_failed(to, now)
            self._fed()
            return
        meta, stream = self._snapshots.store.open(meta.id)
        message = InstallSnapshot(
            output.term,
            output.leader,
            meta.index,
            meta.term,
            meta.configuration,
            meta.configuration_index,
            meta.size,
            output.round,
        )
        self.log.info("sending snapshot {id} to {to}", id=meta.id, to=to)
        sending: Deferred[None] = self._transport.send_snapshot(to, output.address, message, stream)
        self._sending[to] = sending
        sending.addCallbacks(partial(self._sent, to, sending), partial(self._not_sent, to, sending))

    def _sent(self, to: str, sending: Deferred[None], _: None) -> None:
        if self._sending.get(to) is sending:
            del self._sending[to]
            self._core.snapshot_sent(to, self._clock.seconds())
            self._fed()

    def _not_sent(self, to: str, sending: Deferred[None], failure: Failure) -> None:
        if self._sending.get(to) is sending:
            del self._sending[to]
            self.log.warn("cannot send a snapshot to {to}: {why}", to=to, why=failure.value)
            self._core.snapshot_failed(to, self._clock.seconds())
            self._fed()

    # ---- receiving ----

    def offer(self, message: InstallSnapshot | None) -> None:
        """The bytes that follow this message can be had now, or (None) those of none."""
        self._offered = message

    def expect(self, output: ReceiveSnapshot) -> None:
        """The core wants a snapshot: the one that is offered, or else it comes too late."""
        if output.message is not self._offered or self._replacing is not None:
            self._core.snapshot_refused(self._clock.seconds())
            self._fed()
            return
        message = output.message

        def create() -> ISnapshotSink:
            sink: ISnapshotSink = self._snapshots.store.create(
                message.last_log_index, message.last_log_term, message.configuration, message.configuration_index
            )
            return sink

        self._receiver = Unfinished(message, create, self._whole, self._broken)

    def receiver(self, message: InstallSnapshot) -> ISnapshotReceiver:
        """Who takes the bytes that follow C{message}."""
        if self._receiver is not None and self._receiver.message is message:
            return self._receiver
        return Thrown()

    def _broken(self, receiver: Unfinished) -> None:
        self._receiver = None
        if not self._stopped:
            self._core.snapshot_refused(self._clock.seconds())
            self._fed()

    def _whole(self, receiver: Unfinished, sink: ISnapshotSink) -> None:
        self._receiver = None

        async def work() -> None:
            try:
                meta: SnapshotMeta = await sink.finish()
            except DiskFull as error:
                self.log.error("cannot store the leader's snapshot: {error}", error=error)
                self._core.snapshot_refused(self._clock.seconds())
                self._fed()
                return
            self._give_up_saving()
            self._applying.pause()
            await self._snapshots.load(meta.id)
            self.meta = meta
            self._applying.restored(meta.index)
            self._core.snapshot_installed(self._clock.seconds())
            self._fed()

        self._replace(Deferred.fromCoroutine(work()), "installing a snapshot")

    def _replace(self, work: Deferred[None], doing: str) -> None:
        def over(failure: Failure | None) -> None:
            self._replacing = None
            if failure is not None and not self._stopped:
                self._failed(doing, failure)

        self._replacing = work
        work.addBoth(over)

    # ---- an operator's restore ----

    async def take_over(self, meta: SnapshotMeta, stream: BinaryIO) -> None:
        """
        Replace the state by an archive's, and the whole log by its snapshot, which gets an index that no entry ever
        had. Followers find their next entries gone and are sent the snapshot.
        """
        core, applying = self._core, self._applying
        if self._replacing is not None:
            raise Unavailable("the state is being replaced")
        index, term = core.begin_restore(meta.index, self._clock.seconds())
        self._give_up_saving()
        members = core.members
        work = self._snapshots.take_over(stream, meta.size, index, term, members.latest, members.latest_index)
        self._replacing = Deferred(lambda _: work.cancel())
        applying.pause()
        try:
            taken = await work
        except Exception as error:
            applying.resume()
            core.restore_failed(self._clock.seconds())
            if isinstance(error, CancelledError):
                raise LeadershipLost from error
            if isinstance(error, DiskFailed):
                self._failed("restoring a snapshot", Failure())
            raise
        finally:
            self._replacing = None
        if self._stopped:
            raise LeadershipLost()
        self.meta = taken
        try:
            core.restored(self._clock.seconds())
        except LeadershipLost:
            self._failed("restoring a snapshot: this server has the new state, the group has not", Failure())
            raise
        applying.restored(index)
        self._fed()
