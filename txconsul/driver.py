"""
The one way in which a pure core meets the world: feed, drain once a turn, carry out in order, set one alarm.

A core has C{wake(now)}, C{next_deadline()} and C{take_output()} (docs, architecture). Whatever is fed to it
during one reactor turn is drained together at the end of that turn, so that batches (group commit, several
messages in one packet) fall out instead of being built.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import Any, Protocol

from twisted.internet.interfaces import IDelayedCall, IReactorTime

__all__ = ["Alarm", "Core", "Driver"]


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
    ) -> None:
        """
        @param carry_out: by the output's type, what does it.
        @param drained: called at the end of each drain, when all outputs were carried out.
        """
        self.core = core
        self._clock = clock
        self._carry_out = carry_out
        self._drained = drained
        self._alarm = Alarm(clock, self._rung)
        self._soon: IDelayedCall | None = None
        self._draining = False
        self._stopped = False

    def fed(self) -> None:
        """The core was given something: drain it at the end of this turn."""
        if self._soon is None and not self._stopped:
            self._soon = self._clock.callLater(0, self._turn_ends)

    def drain(self) -> None:
        """
        Drain at once, for callers which are themselves at the end of a turn (a completed sync). What is fed
        while outputs are carried out waits for the next turn. An exception of what carries out an output leaves
        the rest undone: whoever called must stop then.
        """
        if self._draining or self._stopped:
            return
        if self._soon is not None:
            self._soon.cancel()
            self._soon = None
        self._draining = True
        try:
            for output in self.core.take_output():
                self._carry_out[type(output)](output)
                if self._stopped:
                    return
            self._drained()
        finally:
            self._draining = False
        if not self._stopped:
            self._alarm.set(self.core.next_deadline())

    def stop(self) -> None:
        """Carry out nothing more."""
        self._stopped = True
        self._alarm.cancel()
        if self._soon is not None:
            self._soon.cancel()
            self._soon = None

    def _turn_ends(self) -> None:
        self._soon = None
        self.drain()

    def _rung(self) -> None:
        self.core.wake(self._clock.seconds())
        self.drain()
