"""
An agent leaves: others are told, and given time to turn elsewhere, before it stops.

Source: Consul's documentation of C{consul leave}, C{leave_on_terminate} and C{skip_leave_on_interrupt}, and of
C{performance.leave_drain_time}.
"""

from __future__ import annotations

import signal
from collections.abc import Callable

from twisted.internet.defer import Deferred
from twisted.internet.interfaces import IReactorTime
from twisted.internet.task import deferLater
from twisted.logger import Logger
from twisted.python.failure import Failure

from txconsul.agent.configuration.model import Configuration
from txconsul.agent.departing import Departing
from txconsul.agent.pools import Pools

__all__ = ["Leaving"]

#: Seconds in which an agent that leaves at a signal must have left, beside the time in which requests are let end: with
#: Consul's default of that, 15 together.
LEAVE_SECONDS = 10.0


class Leaving:
    """How one agent leaves."""

    _log = Logger("txconsul.agent")

    def __init__(
        self,
        configuration: Configuration,
        pools: Pools,
        clock: IReactorTime,
        ended: Callable[[], object],
        departing: Departing | None = None,
        begun: Callable[[], object] = lambda: None,
    ) -> None:
        """
        @param begun: called when it begins to leave: it is to tell the catalog of itself no more, which would take it
            back in.
        @param ended: called when it has left, or tried to: it is to be stopped.
        @param departing: what a server does for its group.
        """
        self._configuration = configuration
        self._pools = pools
        self._clock = clock
        self._ended = ended
        self._departing = departing
        self._begun = begun
        self._waiting: list[Deferred[None]] | None = None

    def leave(self) -> Deferred[None]:
        """
        Leave, and have the agent stopped then. Asked again, wait with those who asked before.

        @return: a Deferred firing when it has left; it may be cancelled, which stops nothing.
        """
        left: Deferred[None] = Deferred()
        if self._waiting is None:
            self._waiting = [left]
            Deferred.fromCoroutine(self._leave()).addErrback(self._not_left).addCallback(self._has_left)
        else:
            self._waiting.append(left)
        return left

    def leave_at(self, number: int) -> Deferred[None] | None:
        """
        A signal asks the agent to stop: leave before, if that is configured.

        @return: a Deferred firing when it has left, or failing when that takes too long; None if it is to stop as it
            is.
        """
        it = self._configuration
        wanted = {signal.SIGINT: not it.skip_leave_on_interrupt, signal.SIGTERM: it.leave_on_terminate}
        if not wanted.get(signal.Signals(number), False):
            return None
        left = self.leave()
        left.addTimeout(LEAVE_SECONDS + it.performance.leave_drain_time, self._clock)
        left.addErrback(self._took_too_long)
        return left

    async def _leave(self) -> None:
        drain, departing = self._configuration.performance.leave_drain_time, self._departing
        self._log.info("Leaving")
        self._begun()
        if departing is not None:
            await departing.hand_over()
        await self._pools.leave()
        if departing is not None:
            # Only now: agents that hear of it turn to other servers, and those who come until then are served.
            self._log.info("Waiting {seconds} s for requests to end", seconds=drain)
            await deferLater(self._clock, drain)
            await departing.be_removed()

    def _not_left(self, reason: Failure) -> None:
        self._log.failure("The agent could not leave as it should", reason)

    def _has_left(self, _: object) -> None:
        waiting, self._waiting = self._waiting or [], []
        for left in waiting:
            left.callback(None)
        # Whoever asked over HTTP is answered before the agent stops.
        self._clock.callLater(0, self._ended)

    def _took_too_long(self, reason: Failure) -> None:
        self._log.warn("Leaving takes too long, and is broken off")
