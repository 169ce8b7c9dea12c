"""
Virtual time: an L{IReactorTime} on a heap.

L{twisted.internet.task.Clock} sorts its calls at each C{callLater}, which a thousand simulated servers cannot
afford. Calls due at the same moment come in the order in which they were scheduled.
"""

from __future__ import annotations

from collections.abc import Callable
from heapq import heappop, heappush
from typing import Any

from twisted.internet.error import AlreadyCalled, AlreadyCancelled
from twisted.internet.interfaces import IDelayedCall, IReactorTime
from zope.interface import implementer

__all__ = ["ProcessClock", "SimulatedClock"]


@implementer(IDelayedCall)
class _Call:
    """One call to come."""

    __slots__ = ("arguments", "called", "cancelled", "clock", "function", "keywords", "process", "time")

    def __init__(
        self,
        clock: SimulatedClock,
        process: ProcessClock | None,
        time: float,
        function: Callable[..., object],
        arguments: Any,
        keywords: Any,
    ) -> None:
        self.clock = clock
        self.process = process
        self.time = time
        self.function = function
        self.arguments = arguments
        self.keywords = keywords
        self.called = False
        self.cancelled = False

    def getTime(self) -> float:
        """See L{IDelayedCall.getTime}."""
        return self.time

    def active(self) -> bool:
        """See L{IDelayedCall.active}."""
        return not (self.called or self.cancelled)

    def cancel(self) -> None:
        """See L{IDelayedCall.cancel}."""
        self._check()
        self.cancelled = True
        self.function = _nothing
        self.arguments = ()
        self.keywords = {}

    def reset(self, secondsFromNow: float) -> None:
        """See L{IDelayedCall.reset}."""
        self._check()
        self.time = self.clock.now + secondsFromNow
        self.clock._push(self)

    def delay(self, secondsLater: float) -> None:
        """See L{IDelayedCall.delay}."""
        self._check()
        self.time += secondsLater
        self.clock._push(self)

    def _check(self) -> None:
        if self.called:
            raise AlreadyCalled()
        if self.cancelled:
            raise AlreadyCancelled()


def _nothing() -> None:
    """What a cancelled call does."""


@implementer(IReactorTime)
class SimulatedClock:
    """
    Time that moves only when told to.

    @ivar now: seconds.
    """

    def __init__(self, now: float = 0.0) -> None:
        self.now = now
        self._sequence = 0
        self._heap: list[tuple[float, int, _Call]] = []

    def seconds(self) -> float:
        """See L{IReactorTime.seconds}."""
        return self.now

    def callLater(self, delay: float, callable: Callable[..., object], *args: object, **kw: object) -> _Call:
        """See L{IReactorTime.callLater}."""
        return self.schedule(None, delay, callable, args, kw)

    def schedule(
        self, process: ProcessClock | None, delay: float, function: Callable[..., object], args: Any, kw: Any
    ) -> _Call:
        """A call of a process, which does not come while that is paused."""
        call = _Call(self, process, self.now + delay, function, args, kw)
        self._push(call)
        return call

    def getDelayedCalls(self) -> list[_Call]:
        """See L{IReactorTime.getDelayedCalls}."""
        return [call for time, _, call in self._heap if call.active() and call.time == time]

    def run_until(self, end: float) -> None:
        """Do everything that is due until C{end}; then it is C{end}. What a call raises comes through."""
        heap = self._heap
        while heap and heap[0][0] <= end:
            self.step()
        self.now = max(self.now, end)

    def advance(self, seconds: float) -> None:
        """Let C{seconds} pass."""
        self.run_until(self.now + seconds)

    def next_time(self) -> float | None:
        """When the next call is due."""
        heap = self._heap
        while heap and (not heap[0][2].active() or heap[0][2].time != heap[0][0]):
            heappop(heap)
        return heap[0][0] if heap else None

    def _push(self, call: _Call) -> None:
        self._sequence += 1
        heappush(self._heap, (call.time, self._sequence, call))

    def step(self) -> None:
        """Do what is due next, if anything is."""
        if not self._heap:
            return
        time, _, call = heappop(self._heap)
        if call.called or call.cancelled or call.time != time:
            return
        self.now = max(self.now, time)
        process = call.process
        if process is not None and process.ended:
            call.cancelled = True
            return
        if process is not None and process.paused_until > self.now:
            call.time = process.paused_until
            self._push(call)
            return
        call.called = True
        call.function(*call.arguments, **call.keywords)


@implementer(IReactorTime)
class ProcessClock:
    """
    The time as one process sees it: the same as everywhere, but its calls wait while the process stands still
    (a stopped process, a long garbage collection, a sleeping virtual machine).

    @ivar ended: the process is gone, and its calls never come.
    @ivar paused_until: when the process goes on.
    """

    def __init__(self, clock: SimulatedClock) -> None:
        self._clock = clock
        self.paused_until = 0.0
        self.ended = False

    def end(self) -> None:
        """The process dies."""
        self.ended = True

    @property
    def paused(self) -> bool:
        """Does the process stand still?"""
        return self.paused_until > self._clock.now

    def seconds(self) -> float:
        """See L{IReactorTime.seconds}."""
        return self._clock.now

    def callLater(self, delay: float, callable: Callable[..., object], *args: object, **kw: object) -> _Call:
        """See L{IReactorTime.callLater}."""
        return self._clock.schedule(self, delay, callable, args, kw)

    def getDelayedCalls(self) -> list[_Call]:
        """See L{IReactorTime.getDelayedCalls}."""
        return [call for call in self._clock.getDelayedCalls() if call.process is self]
