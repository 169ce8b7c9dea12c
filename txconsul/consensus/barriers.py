"""
Reads that wait until it is certain that they see every write before them (Raft 8).
"""

from __future__ import annotations

from twisted.internet.defer import Deferred

from txconsul.consensus.applying import Applying
from txconsul.errors import NoLeader
from txconsul.raft.messages import ReadFailed, ReadReady

__all__ = ["ReadBarriers"]


class ReadBarriers:
    """First for leadership to be confirmed, then for the state to have what is committed."""

    def __init__(self, applying: Applying) -> None:
        self._applying = applying
        self._asked: dict[int, Deferred[None]] = {}
        self._confirmed: list[tuple[int, Deferred[None]]] = []

    def add(self, ticket: int) -> Deferred[None]:
        """The core gave this ticket to a read. @return: what fires when it may be served, or with L{NoLeader}."""
        waiting: Deferred[None] = Deferred()
        self._asked[ticket] = waiting
        return waiting

    def ready(self, output: ReadReady) -> None:
        """Leadership is confirmed."""
        waiting = self._asked.pop(output.ticket)
        if self._applying.applied >= output.index:
            waiting.callback(None)
        else:
            self._confirmed.append((output.index, waiting))

    def failed(self, output: ReadFailed) -> None:
        """It is not, and will not be."""
        self._asked.pop(output.ticket).errback(NoLeader())

    def applied(self) -> None:
        """The state has moved on."""
        if self._confirmed:
            applied = self._applying.applied
            ready = [waiting for index, waiting in self._confirmed if index <= applied]
            self._confirmed = [each for each in self._confirmed if each[0] > applied]
            for waiting in ready:
                waiting.callback(None)

    def stop(self) -> None:
        """Fail all that wait."""
        waiting = [*self._asked.values(), *(each for _, each in self._confirmed)]
        self._asked.clear()
        self._confirmed.clear()
        for each in waiting:
            each.errback(NoLeader())
