"""
Committed entries, taken by the state machine one after the other, and their answers to whoever proposed them.

The leader applies the record that it still holds of what it proposed; all else is read from the log. A long
catch-up (the replay after a start) is cut into slices and says how far it is.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from typing import Any

from twisted.internet.defer import Deferred
from twisted.internet.interfaces import IDelayedCall, IReactorTime
from twisted.logger import Logger
from twisted.python.failure import Failure

from txconsul.errors import LeadershipLost
from txconsul.interfaces import ILogStore, IStateMachine
from txconsul.records.raft import EntryType

__all__ = ["Applying"]

#: A slice ends after this many seconds (looked at once in C{_LOOK_EVERY} entries), so that heartbeats get through.
_SLICE_SECONDS = 0.02
_LOOK_EVERY = 64
#: Entries, and bytes of them, read from the log at once.
_READ_ENTRIES = 256
_READ_BYTES_MAX = 1 << 20
#: A catch-up of at least this many entries is worth telling of, and again after so many seconds.
_TOLD_FROM = 1000
_TELL_SECONDS = 3.0

#: What was proposed: index, entry's type, its data, the record that the caller holds, who waits.
_Proposal = tuple[int, int, bytes | None, object, "Deferred[Any]"]


class Applying:
    """
    Applies what is committed.

    @ivar applied: index of the last entry that the state machine took; it is only ever raised by the state machine's
        own steps or a snapshot.
    @ivar committed: index up to which to apply.
    """

    log = Logger()

    def __init__(
        self,
        log_store: ILogStore,
        machine: IStateMachine,
        clock: IReactorTime,
        moved: Callable[[], object],
        failed: Callable[[str, Failure], object],
    ) -> None:
        """
        @param moved: called after each batch, when L{applied} has risen.
        @param failed: what was going on, and what was raised.
        """
        self._log_store = log_store
        self._machine = machine
        self._clock = clock
        self._moved = moved
        self._failed = failed
        self._pending: deque[_Proposal] = deque()
        self._soon: IDelayedCall | None = None
        self._paused = False
        self._stopped = False
        self._working = False
        self._answers: list[tuple[Deferred[Any], object]] = []
        self._told_at: float | None = None
        self._began_at = 0.0
        self._began_with = 0
        self.applied = 0
        self.committed = 0

    def proposed(self, index: int, kind: int, data: bytes | None, record: object) -> Deferred[Any]:
        """
        This was proposed here, with an index above those proposed before.

        @return: a Deferred firing with the state machine's result, or the index if it is no command.
        """
        waiting: Deferred[Any] = Deferred()
        self._pending.append((index, kind, data, record, waiting))
        return waiting

    def give_up(self, after: int, error: Callable[[], Exception]) -> None:
        """Fail everything proposed with an index above C{after}."""
        pending = self._pending
        failing: list[Deferred[Any]] = []
        while pending and pending[-1][0] > after:
            failing.append(pending.pop()[4])
        for waiting in reversed(failing):
            waiting.errback(error())

    def commit(self, index: int) -> None:
        """Entries up to and with C{index} are committed: apply them now, or as soon as possible."""
        if index > self.committed:
            self.committed = index
            if self._soon is None:
                self._work()

    def pause(self) -> None:
        """Apply nothing until L{restored}: the state is being replaced."""
        self._paused = True

    def restored(self, index: int) -> None:
        """The state is that of a snapshot which ends with C{index}. Go on from there."""
        self._paused = False
        self.applied = index
        self.committed = max(self.committed, index)
        pending = self._pending
        while pending and pending[0][0] <= index:
            pending.popleft()[4].errback(LeadershipLost())
        self.resume()

    def resume(self) -> None:
        """Go on, with the state as it is."""
        self._paused = False
        if self._soon is None and not self._stopped:
            self._soon = self._clock.callLater(0, self._next_slice)

    def stop(self, error: Callable[[], Exception]) -> None:
        """Apply nothing more and fail what waits."""
        self._stopped = True
        if self._soon is not None:
            self._soon.cancel()
            self._soon = None
        self.give_up(0, error)
        answers, self._answers = self._answers, []
        for waiting, _ in answers:
            waiting.errback(error())

    def _next_slice(self) -> None:
        self._soon = None
        self._work()

    def _work(self) -> None:
        if self._paused or self._stopped or self._working or self.applied >= self._reachable():
            return
        self._working = True
        before = self.applied
        try:
            self._slice()
            if self.applied > before:
                self._machine.applied(self.applied)
        except Exception:
            self._stopped = True
            self._failed(f"applying entry {self.applied + 1}", Failure())
            return
        finally:
            self._working = False
        answers, self._answers = self._answers, []
        for waiting, result in answers:
            if isinstance(result, Exception):
                waiting.errback(result)
            else:
                waiting.callback(result)
        if self.applied < self._reachable() and not self._stopped:
            self._tell(before)
            if self._soon is None:
                self._soon = self._clock.callLater(0, self._next_slice)
        elif self._told_at is not None:
            self._tell_end()
        self._moved()

    def _reachable(self) -> int:
        """A full disk may have dropped entries which are committed elsewhere: they come again."""
        last: int = self._log_store.last
        return min(self.committed, last)

    def _slice(self) -> None:
        pending = self._pending
        apply: Callable[[int, bytes | None, object], object] = self._machine.apply
        answers = self._answers
        seconds = self._clock.seconds
        end = seconds() + _SLICE_SECONDS
        look = self.applied + _LOOK_EVERY
        command = EntryType.COMMAND.value
        index = self.applied + 1
        committed = self._reachable()
        while index <= committed:
            if pending and pending[0][0] == index:
                _, kind, data, record, waiting = pending[0]
                result = apply(index, data, record) if kind == command else index
                del pending[0]
                answers.append((waiting, result))
                self.applied = index
                index += 1
            else:
                high = min(committed, pending[0][0] - 1) if pending else committed
                for entry in self._log_store.entries(index, min(high + 1, index + _READ_ENTRIES), _READ_BYTES_MAX):
                    if entry.type == command:
                        if entry.extensions:
                            self._machine.apply_piece(index, entry.term, entry.data or b"", entry.extensions)
                        else:
                            apply(index, entry.data, None)
                    self.applied = index
                    index += 1
            if index >= look:
                look = index + _LOOK_EVERY
                if seconds() >= end:
                    break

    def _tell(self, before: int) -> None:
        now = self._clock.seconds()
        left = self.committed - self.applied
        if self._told_at is None:
            if left < _TOLD_FROM:
                return
            self._told_at = self._began_at = now
            self._began_with = before
            self.log.info("applying {left} entries of the log", left=left + self.applied - before)
        elif now - self._told_at >= _TELL_SECONDS:
            self._told_at = now
            self.log.info(
                "applied {done} entries of the log, {left} to go", done=self.applied - self._began_with, left=left
            )

    def _tell_end(self) -> None:
        self._told_at = None
        self.log.info(
            "applied {done} entries of the log in {seconds:.1f} s",
            done=self.applied - self._began_with,
            seconds=self._clock.seconds() - self._began_at,
        )
