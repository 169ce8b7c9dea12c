"""
What must be durable before what is said: the disk's side of a Raft server.

Entries of one drain go to the log in order and are synced once, at its end. An answer that claims entries waits
until they are durable; nothing else does. After a crash the disk therefore holds whatever any other server was told.
"""

from __future__ import annotations

from collections.abc import Callable

from msgspec.structs import replace
from twisted.internet.defer import Deferred
from twisted.internet.interfaces import IDelayedCall, IReactorTime
from twisted.logger import Logger
from twisted.python.failure import Failure

from txconsul.driver import HOLD
from txconsul.errors import DiskFull
from txconsul.interfaces import ILogStore, IRaftTransport, IStableStore
from txconsul.raft.core import RaftCore
from txconsul.raft.messages import (
    AppendEntriesReply,
    Persist,
    PersistState,
    ResetLog,
    Send,
    Truncate,
)
from txconsul.records.raft import Entry

__all__ = ["Durability"]

#: How long a full disk that refused term or vote is left alone before it is tried again, in seconds.
_RETRY_SECONDS = 1.0
#: How often a full disk is spoken of, in seconds.
_TELL_SECONDS = 10.0


class Durability:
    """
    Carries out what a core wishes of its disk, and the messages whose time depends on it.

    @ivar full: whether the disk had no room when it was last asked.
    """

    log = Logger()

    def __init__(
        self,
        core: RaftCore,
        *,
        log_store: ILogStore,
        stable_store: IStableStore,
        transport: IRaftTransport,
        clock: IReactorTime,
        resume: Callable[[], object],
        synced: Callable[[], object],
        timed: Callable[[Deferred[int]], Deferred[int]],
        failed: Callable[[str, Failure], object],
    ) -> None:
        """
        @param resume: goes on with the outputs that were held.
        @param timed: is given each sync of the log when it begins, and gives it back.
        @param synced: called when the core was told of its disk's progress: drain it.
        @param failed: what was going on, and why the disk is not to be trusted any more.
        """
        self._core = core
        self._log_store = log_store
        self._stable_store = stable_store
        self._transport = transport
        self._clock = clock
        self._resume = resume
        self._synced = synced
        self._timed = timed
        self._failed = failed
        self._newest: Entry | None = None
        self._changed = False
        self._refused = False
        self._held = False  # term and vote wait for room, and all outputs after them
        self._term = core.term  # the newest that is stored: the core may know of a newer one
        self._sends: list[Send] = []
        # A sync belongs to an era; one that a full disk refused ends it, and with it all that were to follow.
        self._era = 0
        self._retry: IDelayedCall | None = None
        self._told_at = float("-inf")
        self._stopped = False
        self.full = False

    # ---- outputs ----

    def persist_state(self, output: PersistState) -> object:
        """Term and vote, now; all that follows waits while the disk is full."""
        try:
            self._stable_store.store(output.term, output.vote)
        except DiskFull as error:
            self._tell_full(error)
            self._held = True
            self._retry = self._clock.callLater(_RETRY_SECONDS, self._resume)
            return HOLD
        self._held = False
        self._term = output.term
        return None

    def persist(self, output: Persist) -> None:
        """Entries, with the sync at the end of this drain."""
        if self._refused:
            return
        try:
            self._log_store.append(list(output.entries))
        except DiskFull as error:
            self._tell_full(error)
            self._refused = True
            return
        self._newest = output.entries[-1]

    def truncate(self, output: Truncate) -> None:
        """Entries that conflict with the leader's are forgotten."""
        self._log_store.truncate_after(output.after)
        self._changed = True

    def reset_log(self, output: ResetLog) -> None:
        """A snapshot stands in for the whole log."""
        self._log_store.reset(output.index)
        self._changed = True

    def send(self, output: Send) -> None:
        """A message, at once or when what it claims is durable."""
        if _claim(output) > self._core.log.durable:
            self._sends.append(output)
        else:
            self._transport.send(output.to, output.address, output.message)

    def drained(self) -> None:
        """The drain is over: sync what it wrote. Answers that claim what an earlier sync writes follow that one."""
        if self._refused:
            last = self._log_store.last
            self._refuse([send for send in self._sends if _claim(send) > last])
            self._sends = [send for send in self._sends if _claim(send) <= last]
        if self._newest is not None or self._changed or self._sends:
            self._sync()
        if self._refused and not self._held:
            self._refused = False
            self._dropped()

    def stop(self) -> None:
        """Say and store nothing more."""
        self._stopped = True
        if self._retry is not None and self._retry.active():
            self._retry.cancel()

    # ---- syncs ----

    def _sync(self) -> None:
        newest, sends = self._newest, self._sends
        self._newest = None
        self._sends = []
        self._changed = False
        done = self._timed(self._log_store.sync())
        done.addCallbacks(self._sync_done, self._sync_failed, (newest, sends, self._era), {}, (sends, self._era), {})
        done.addErrback(lambda failure: self._failed("syncing the log", failure))

    def _sync_done(self, _: int, newest: Entry | None, sends: list[Send], era: int) -> None:
        if self._stopped:
            return
        if era != self._era:
            self._refuse(sends)
            return
        for output in sends:
            # What was claimed to the leader of an older term may have been cut for a newer one's while it was synced.
            if _is_outdated(output, self._core.term):
                self._refuse([output])
            else:
                self._transport.send(output.to, output.address, output.message)
        if newest is not None:
            if self.full:
                self.full = False
                self.log.info("the disk has room again")
            self._core.persisted(newest.index, newest.term, self._clock.seconds())
            self._synced()

    def _sync_failed(self, failure: Failure, sends: list[Send], era: int) -> None:
        if self._stopped:
            return
        if era != self._era:
            self._refuse(sends)
            return
        failure.trap(DiskFull)
        self._tell_full(DiskFull() if failure.value is None else failure.value)
        self._era += 1
        self._newest = None
        self._refuse(sends + self._sends)
        self._sends = []
        # What the core wishes already was made of the log as it was, and is refused in its turn before it is told.
        self._refused = True
        if not self._held:
            self._synced()

    def _dropped(self) -> None:
        """
        The log has dropped what it could not take, and so does the core. It is told only once it has no wishes left
        that are held: they were made of the log as it was, and entries among them are refused in their turn.
        """
        last = self._log_store.last or self._core.log.base
        self._core.persist_failed(last, self._clock.seconds())
        self._synced()

    def _refuse(self, sends: list[Send]) -> None:
        """
        Say that what was to be confirmed is not so. A leader waits a little and asks again; one that heard nothing
        would wait much longer. It is not told of a term that is not stored yet.
        """
        last = self._log_store.last or self._core.log.base
        for output in sends:
            message = output.message
            if isinstance(message, AppendEntriesReply):
                refusal = replace(message, term=max(message.term, self._term), success=False, last_log=last)
                self._transport.send(output.to, output.address, refusal)

    def _tell_full(self, error: BaseException) -> None:
        self.full = True
        now = self._clock.seconds()
        if now - self._told_at >= _TELL_SECONDS:
            self._told_at = now
            self.log.error("{error}", error=error)


def _claim(send: Send) -> int:
    """Up to which entry an answer says that the log is durable."""
    message = send.message
    return message.match_index if isinstance(message, AppendEntriesReply) and message.success else 0


def _is_outdated(send: Send, term: int) -> bool:
    """Whether an answer belongs to an older term; whoever still leads that one counts no more on this server."""
    message = send.message
    return isinstance(message, AppendEntriesReply) and message.term < term
