"""
An agent tells the servers where it is in the network, again and again.

Source: Consul's documentation of network coordinates. The more members there are, the more seldom each tells, so that
all together tell at a rate that the servers can write.
"""

from __future__ import annotations

from collections.abc import Callable
from random import Random

from twisted.application.service import Service
from twisted.internet.defer import Deferred, maybeDeferred
from twisted.internet.interfaces import IDelayedCall, IReactorTime
from twisted.logger import Logger

from txconsul.interfaces import ICaller
from txconsul.records.coordinate import CoordinateUpdateRequest, Position
from txconsul.records.query import Context

__all__ = ["TellPosition", "interval"]

#: What all members together tell in a second, and how many seconds each waits at least (Consul's
#: C{sync_coordinate_rate_target} and C{sync_coordinate_interval_min}).
RATE_TARGET = 64.0
INTERVAL_SECONDS_MIN = 15.0


def interval(members: int) -> float:
    """
    Seconds between two words of one member.

    >>> interval(1), interval(9600)
    (15.0, 150.0)
    """
    return max(INTERVAL_SECONDS_MIN, members / RATE_TARGET)


class TellPosition(Service):
    """While the agent runs: say where it is, each time after an interval drawn up to twice as long."""

    name = "position"
    _log = Logger("txconsul.agent")

    def __init__(
        self,
        door: ICaller,
        datacenter: str,
        node: str,
        position: Callable[[], Position | None],
        members: Callable[[], int],
        clock: IReactorTime,
        rng: Random,
    ) -> None:
        """
        @param position: where the agent is; None is not known.
        @param members: how many belong to the pool.
        """
        self._door = door
        self._datacenter = datacenter
        self._node = node
        self._position = position
        self._members = members
        self._clock = clock
        self._rng = rng
        self._call: IDelayedCall | None = None
        self._telling: Deferred[object] | None = None

    def startService(self) -> None:
        """The first word comes after an interval, when there is something to say."""
        super().startService()
        self._again()

    def stopService(self) -> None:
        """No more words."""
        super().stopService()
        if self._call is not None:
            self._call.cancel()
            self._call = None
        if self._telling is not None:
            self._telling.cancel()

    def _again(self, _: object = None) -> None:
        self._telling = None
        if self.running:
            wait = interval(self._members())
            self._call = self._clock.callLater(wait + self._rng.random() * wait, self._tell)

    def _tell(self) -> None:
        self._call = None
        position = self._position()
        if position is None:
            self._again()
            return
        request = CoordinateUpdateRequest(coord=position, datacenter=self._datacenter, node=self._node)
        self._telling = telling = maybeDeferred(self._door.call, "Coordinate.Update", request, Context())
        telling.addErrback(lambda reason: self._log.error("Coordinate update error: error={error}", error=reason.value))
        telling.addBoth(self._again)
