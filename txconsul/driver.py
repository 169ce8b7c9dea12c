"""
The one way in which a pure core meets the world: feed, drain once a turn, carry out in order, set one alarm.

A core has C{wake(now)}, C{next_deadline()} and C{take_output()} (docs, architecture). Whatever is fed to it
during one reactor turn is drained together at the end of that turn, so that batches (group commit, several
messages in one packet) fall out instead of being built.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any, Protocol

from twisted.internet.defer import Deferred
from twisted.internet.interfaces import IDelayedCall, IReactorTime
from twisted.python.failure import Failure

__all__ = ["HOLD", "Alarm", "Core", "Driver", "Slices"]

#: What a function that carries out an output returns if it could not yet: this output and all that follow wait for
#: L{Driver.resume}.
HOLD = object()


class Core(Protocol):
    """What a driver asks of a core."""

    def wake(self, now: float) -> None:
        """Do what is due at C{now}."""

    def next_deadline(self) -> float | None:
        """When L{wake} is wanted next, in the clock's seconds."""

    def take_output(self) -> Iterable[Any]:
        """Everything wished since the last call, in the order in which it must be carried out."""


class Alarm:
    """
    One delayed call that follows a deadline.

    A deadline that moves away costs nothing: the call is left as it is and set anew when it comes too early.
    """

    def __init__(self, clock: IReactorTime, ring: Callable[[], object]) -> None:
        """@param ring: called once a deadline, at or after it."""
        self._clock = clock
        self._ring = ring
        self._deadline: float | None = None
        self._call: IDelayedCall | None = None
        self._call_at = 0.0

    def set(self, deadline: float | None) -> None:
        """Ring at C{deadline} (the clock's seconds) instead of any earlier wish; None is never."""
        self._deadline = deadline
        if deadline is None or (self._call is not None and self._call_at <= deadline):
            return
        if self._call is not None:
            self._call.cancel()
        self._arm(deadline)

    def cancel(self) -> None:
        """Never ring, and hold no delayed call."""
        self._deadline = None
        if self._call is not None:
            self._call.cancel()
            self._call = None

    def _arm(self, deadline: float) -> None:
        self._call_at = deadline
        self._call = self._clock.callLater(max(0.0, deadline - self._clock.seconds()), self._due)

    def _due(self) -> None:
        self._call = None
        deadline = self._deadline
        if deadline is None:
            return
        if self._clock.seconds() < deadline:
            self._arm(deadline)
            return
        self._deadline = None
        self._ring()


class Driver:
    """
    Drains a core at the end of each turn in which it was fed.

    @ivar core: the core; whoever feeds it calls L{fed} afterwards.
    """

    def __init__(
        self,
        core: Core,
        clock: IReactorTime,
        carry_out: Mapping[type, Callable[[Any], object]],
        drained: Callable[[], object] = lambda: None,
        failed: Callable[[Failure], object] | None = None,
    ) -> None:
        """
        @param carry_out: by the output's type, what does it; see L{HOLD}.
        @param drained: called at the end of each drain, when all outputs were carried out.
        @param failed: what is told of an exception of any of these or of the core, after which the driver has
            stopped. Without it the exception goes to the reactor.
        """
        self.core = core
        self._clock = clock
        self._carry_out = carry_out
        self._drained = drained
        self._failed = failed
        self._alarm = Alarm(clock, self._rung)
        self._soon: IDelayedCall | None = None
        self._draining = False
        self._stopped = False
        self._held: deque[Any] = deque()
        self._holding = False

    def fed(self) -> None:
        """The core was given something: drain it at the end of this turn."""
        if self._soon is None and not self._stopped:
            self._soon = self._clock.callLater(0, self._turn_ends)

    def drain(self) -> None:
        """
        Drain at once, for callers which are themselves at the end of a turn (a completed sync). What is fed
        while outputs are carried out waits for the next turn.
        """
        if self._draining:
            self.fed()
            return
        if self._stopped or self._holding:
            return
        if self._soon is not None:
            self._soon.cancel()
            self._soon = None
        self._draining = True
        try:
            self._carry_out_all()
            if not self._stopped:
                self._drained()
            if not self._stopped:
                self._alarm.set(self.core.next_deadline())
        except Exception:
            self._broke()
        finally:
            self._draining = False

    def resume(self) -> None:
        """Try again what was held, and go on."""
        self._holding = False
        self.drain()

    def stop(self) -> None:
        """Carry out nothing more."""
        self._stopped = True
        self._alarm.cancel()
        if self._soon is not None:
            self._soon.cancel()
            self._soon = None

    def _carry_out_all(self) -> None:
        held = self._held
        held.extend(self.core.take_output())
        carry_out = self._carry_out
        while held and not self._stopped:
            if carry_out[type(held[0])](held[0]) is HOLD:
                self._holding = True
                return
            held.popleft()

    def _turn_ends(self) -> None:
        self._soon = None
        self.drain()

    def _rung(self) -> None:
        try:
            self.core.wake(self._clock.seconds())
        except Exception:
            self._broke()
        self.drain()

    def _broke(self) -> None:
        """Within an exception handler: nothing can be relied on any more."""
        self.stop()
        if self._failed is None:
            raise
        self._failed(Failure())


class Slices:
    """
    Long work in slices, so that the reactor lives meanwhile.

    Twisted's C{Cooperator} ends its slices by the wall clock, which may step back; this goes by a monotonic one.
    """

    def __init__(self, clock: IReactorTime, slice_seconds: float = 0.01, gap_seconds: float = 0.0) -> None:
        """
        @param slice_seconds: a slice ends with the first step after this; with 0.0, after each step.
        @param gap_seconds: what lies between two slices.
        """
        self._clock = clock
        self._slice_seconds = slice_seconds
        self._gap_seconds = gap_seconds

    def run(self, steps: Iterator[object]) -> Deferred[None]:
        """
        Exhaust C{steps}. The first slice begins at once.

        @return: a Deferred firing at the end, or failing with what a step raised. Cancelling it closes C{steps} (if
            a generator) and takes no further step.
        """
        waiting: list[IDelayedCall] = []

        def cancelled(_: Deferred[None]) -> None:
            for call in waiting:
                call.cancel()
            close = getattr(steps, "close", None)
            if close is not None:
                close()

        done: Deferred[None] = Deferred(cancelled)
        clock = self._clock

        def run_slice() -> None:
            waiting.clear()
            end = clock.seconds() + self._slice_seconds
            try:
                for _ in steps:
                    if done.called:
                        return
                    if clock.seconds() >= end:
                        waiting.append(clock.callLater(self._gap_seconds, run_slice))
                        return
            except Exception:
                if not done.called:
                    done.errback()
                return
            if not done.called:
                done.callback(None)

        run_slice()
        return done
