"""
The metrics of an agent: their ten seconds, their rules, and those who follow them.

Source: Consul's documentation of C{/v1/agent/metrics}, C{/v1/agent/metrics/stream} and C{telemetry}.
"""

from __future__ import annotations

import gc
from collections.abc import Callable
from typing import Any

from twisted.application.service import Service
from twisted.internet.interfaces import IDelayedCall, IReactorTime

from txconsul.agent.configuration.model import Telemetry as Settings
from txconsul.agent.following import Following
from txconsul.codec import json
from txconsul.errors import Unavailable
from txconsul.metrics.metrics import INTERVAL_SECONDS, Metrics
from txconsul.metrics.prefixes import PrefixRules

__all__ = ["FOLLOWERS_MAX", "INTERVALS_KEPT", "Telemetry", "metrics_for", "rules_for"]

#: Intervals kept for a follower that does not take them.
INTERVALS_KEPT = 6
#: Followers at the same time.
FOLLOWERS_MAX = 64


def rules_for(settings: Settings) -> PrefixRules:
    """C{telemetry.prefix_filter} and C{filter_default}."""
    return PrefixRules(settings.allowed_prefixes, settings.blocked_prefixes, settings.filter_default)


def metrics_for(settings: Settings, hostname: str, now: float) -> Metrics:
    """
    The instruments of an agent that was told this.

    @param now: in seconds since 1970.
    """
    return Metrics(
        prefix=settings.metrics_prefix,
        hostname="" if settings.disable_hostname else hostname,
        rules=rules_for(settings),
        retention_seconds=settings.prometheus_retention_time,
        began=now - now % INTERVAL_SECONDS,
    )


class Telemetry(Service):
    """
    Ends an interval whenever the clock on the wall shows a multiple of ten seconds, and tells whoever follows.

    @ivar metrics: the instruments.
    """

    name = "telemetry"

    def __init__(self, metrics: Metrics, clock: IReactorTime, now_utc: Callable[[], float]) -> None:
        """@param now_utc: seconds since 1970."""
        self.metrics = metrics
        self._clock = clock
        self._now_utc = now_utc
        self._next: IDelayedCall | None = None
        self._followers: list[Following] = []
        self._pauses = metrics.sample("runtime.gc_pause_ns")
        self._collecting_since: float | None = None
        #: Nanoseconds that the cycle collector took altogether.
        self.collected_ns = 0

    def startService(self) -> None:
        """Begin to count time."""
        super().startService()
        gc.callbacks.append(self._collects)
        self._arm(INTERVAL_SECONDS - self._now_utc() % INTERVAL_SECONDS)

    def stopService(self) -> None:
        """End, for followers as well."""
        super().stopService()
        if self._collects in gc.callbacks:
            gc.callbacks.remove(self._collects)
        if self._next is not None and self._next.active():
            self._next.cancel()
        self.end()

    def _arm(self, seconds: float) -> None:
        self._next = self._clock.callLater(seconds, self._roll)

    def _roll(self) -> None:
        now = self._now_utc()
        begins = round(now / INTERVAL_SECONDS) * INTERVAL_SECONDS  # the two clocks may differ by a little
        self._arm(begins + INTERVAL_SECONDS - now)  # first, whatever may go wrong in measuring
        finished = self.metrics.roll(begins)
        if self._followers:
            text = (json.indent(json.encode(finished)) + b"\n").decode()
            for follower in list(self._followers):
                follower.put(lambda: text)

    def _collects(self, phase: str, _: dict[str, int]) -> None:
        """Python's cycle collector begins, or has ended."""
        now = self._clock.seconds()
        if phase == "start":
            self._collecting_since = now
        elif self._collecting_since is not None:
            taken = (now - self._collecting_since) * 1e9
            self._pauses.add(taken)
            self.collected_ns += int(taken)

    def follow(self) -> Following:
        """
        Every interval from now on, when it is over: as JSON, indented.

        @raise Unavailable: too many follow already.
        """
        if len(self._followers) >= FOLLOWERS_MAX:
            raise Unavailable(f"{FOLLOWERS_MAX} clients follow the metrics already")
        follower: Following = Following(INTERVALS_KEPT, self._followers.remove)
        self._followers.append(follower)
        return follower

    def end(self) -> None:
        """The agent stops: so do the answers of those who follow."""
        for follower in list(self._followers):
            follower.end()

    def document(self) -> dict[str, Any]:
        """See L{Metrics.document}."""
        return self.metrics.document()
