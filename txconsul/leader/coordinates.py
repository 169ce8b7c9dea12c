"""
The leader collects what nodes say of their places, and writes it in batches.

Every node says where it is every 15 seconds or more; written one by one, a few thousand nodes would fill the log with
nothing else. Only a node's last word counts, and more than the log should carry is thrown away: the next comes soon.

Source: Consul's C{CoordinateUpdatePeriod}, C{CoordinateUpdateBatchSize} and C{CoordinateUpdateMaxBatches}.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from twisted.application.service import Service
from twisted.internet.defer import Deferred
from twisted.internet.interfaces import IReactorTime
from twisted.logger import Logger

from txconsul.driver import Alarm
from txconsul.records.command import Command
from txconsul.records.coordinate import Coordinate, CoordinateBatch
from txconsul.state.commands import encode_command

__all__ = ["BATCHES_MAX", "BATCH_SIZE", "PERIOD_SECONDS", "Positions"]

#: How long updates are collected before they are written.
PERIOD_SECONDS = 5.0
#: Updates in one entry of the log, and entries in one period: about 130 updates a second, Consul's rate.
BATCH_SIZE = 128
BATCHES_MAX = 5


class Positions(Service):
    """Updates on their way into the log, as L{txconsul.endpoints.leading.Positions}."""

    name = "coordinates"
    _log = Logger("txconsul.leader")

    def __init__(
        self, propose: Callable[[bytes, object], Deferred[Any]], clock: IReactorTime, period: float = PERIOD_SECONDS
    ) -> None:
        """
        @param propose: see L{txconsul.endpoints.site.Replicated.propose}.
        @param period: seconds.
        """
        self._propose = propose
        self._clock = clock
        self._period = period
        self._pending: dict[tuple[str, str], Coordinate] = {}
        self._over = 0
        self._alarm = Alarm(clock, self._write)

    def stopService(self) -> None:
        """Leadership was lost: nodes tell the next leader."""
        self._alarm.cancel()
        self._pending.clear()
        self._over = 0
        super().stopService()

    def take(self, coordinate: Coordinate) -> None:
        """Write this with the next batch, instead of what the node said before."""
        if not self.running:
            return
        key = (coordinate.node, coordinate.segment)
        if key not in self._pending and len(self._pending) >= BATCH_SIZE * BATCHES_MAX:
            self._over += 1
            return
        if not self._pending:
            self._alarm.set(self._clock.seconds() + self._period)
        self._pending[key] = coordinate

    def _write(self) -> None:
        updates = tuple(self._pending.values())
        self._pending.clear()
        if self._over:
            self._log.warn("Discarded coordinate updates: number_discarded={number}", number=self._over)
            self._over = 0
        for start in range(0, len(updates), BATCH_SIZE):
            batch = CoordinateBatch(updates=updates[start : start + BATCH_SIZE])
            data = encode_command(Command.COORDINATE_BATCH_UPDATE, batch, ignorable=True)
            done = self._propose(data, batch)
            done.addErrback(lambda reason: self._log.warn("Batch update failed: error={error}", error=reason.value))
