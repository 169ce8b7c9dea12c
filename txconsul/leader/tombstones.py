"""
Tombstones of deleted keys are kept long enough that every blocking query has seen them, and then forgotten.

Source: Consul's C{tombstone_ttl} of 15 minutes, collected in steps of half a minute.
"""

from __future__ import annotations

from collections import deque
from typing import TYPE_CHECKING

from twisted.application.service import Service
from twisted.internet.defer import maybeDeferred
from twisted.internet.interfaces import IReactorTime
from twisted.internet.task import LoopingCall
from twisted.logger import Logger

from txconsul.interfaces import ICaller
from txconsul.records.kv import TombstoneRequest
from txconsul.records.query import Context

if TYPE_CHECKING:
    from txconsul.state.store import Store

__all__ = ["Tombstones"]

#: Seconds that a tombstone is kept: longer than the longest blocking query.
KEPT_SECONDS = 15 * 60.0
#: Seconds between two looks; tombstones of one step go together.
STEP_SECONDS = 30.0


class Tombstones(Service):
    """While leading: remember how far tombstones went, and reap up to there a quarter of an hour later."""

    name = "tombstones"
    _log = Logger("txconsul.leader")

    def __init__(self, store: Store, door: ICaller, datacenter: str, clock: IReactorTime) -> None:
        self._store = store
        self._door = door
        self._datacenter = datacenter
        self._clock = clock
        self._seen: deque[tuple[float, int]] = deque()
        self._noted = 0
        self._loop: LoopingCall | None = None

    def startService(self) -> None:
        """Leadership was gained: what is there now is as good as deleted now."""
        super().startService()
        self._loop = LoopingCall(self._look)
        self._loop.clock = self._clock  # type: ignore[attr-defined,assignment,unused-ignore]
        self._loop.start(STEP_SECONDS)

    def stopService(self) -> None:
        """Leadership was lost."""
        if self._loop is not None:
            self._loop.stop()
            self._loop = None
        self._seen.clear()
        self._noted = 0
        super().stopService()

    def _look(self) -> None:
        now = self._clock.seconds()
        index = self._store.tables.index("tombstones")
        if index > self._noted:
            self._noted = index
            self._seen.append((now, index))
        reap = 0
        while self._seen and self._seen[0][0] + KEPT_SECONDS <= now:
            reap = self._seen.popleft()[1]
        if reap:
            self._reap(reap)

    def _reap(self, index: int) -> None:
        request = TombstoneRequest(datacenter=self._datacenter, op="reap", reap_index=index)
        done = maybeDeferred(self._door.call, "Tombstone.Reap", request, Context())
        done.addErrback(lambda reason: self._log.warn("Could not reap tombstones: {error}", error=reason.value))
