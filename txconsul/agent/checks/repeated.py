"""
What repeats a check: at its interval, spread so that many do not run at once, believed after so many of the same.

Source: Consul's documentation of checks (C{SuccessBeforePassing}, C{FailuresBeforeWarning}, C{FailuresBeforeCritical}).
"""

from __future__ import annotations

from collections.abc import Callable
from random import Random
from typing import Any

from twisted.internet.defer import CancelledError, Deferred, maybeDeferred
from twisted.internet.interfaces import IDelayedCall, IReactorTime
from twisted.python.failure import Failure

from txconsul.interfaces import ICheck
from txconsul.records.health import CRITICAL, PASSING, WARNING, CheckResult

__all__ = ["RepeatedCheck", "Thresholds"]

#: Seconds between two runs, at the least: what asks for less is a mistake, and costly.
INTERVAL_SECONDS_MIN = 1.0


class Thresholds:
    """
    When a result is believed: pure. The first one is in any case.

    @param passing: so many results that are not critical, in a row, before one is believed.
    @param warning: so many critical ones before the check is warning; C{critical}, before it is critical.
    """

    def __init__(self, passing: int, warning: int, critical: int) -> None:
        self._passing, self._warning, self._critical = passing, warning, critical
        self._successes, self._failures = passing, critical

    def judge(self, status: str) -> str | None:
        """The status to show after one more result; None to leave it as it is."""
        if status in (PASSING, WARNING):
            self._successes += 1
            self._failures = 0
            return status if self._successes >= self._passing else None
        self._failures += 1
        self._successes = 0
        if self._failures >= self._critical:
            return status
        return WARNING if self._failures >= self._warning else None


class RepeatedCheck:
    """
    @param interval: seconds from the end of one run to the next one's begin.
    @param notify: told C{(status, output)} after each run that is believed.
    """

    def __init__(
        self,
        check: ICheck,
        interval: float,
        thresholds: Thresholds,
        clock: IReactorTime,
        rng: Random,
        notify: Callable[[str, str], object],
    ) -> None:
        self._check = check
        self._interval = max(interval, INTERVAL_SECONDS_MIN)
        self._thresholds = thresholds
        self._clock = clock
        self._rng = rng
        self._notify = notify
        self._call: IDelayedCall | None = None
        self._under_way: Deferred[Any] | None = None
        self._running = False

    def start(self) -> None:
        """Run first at a moment within the interval, drawn by chance."""
        self._running = True
        self._call = self._clock.callLater(self._rng.random() * self._interval, self._run)

    def stop(self) -> None:
        """Run no more; a run under way is broken off."""
        self._running = False
        if self._call is not None and self._call.active():
            self._call.cancel()
        if self._under_way is not None:
            self._under_way.cancel()
        self._check.stop()

    def _run(self) -> None:
        self._call = None
        self._under_way = maybeDeferred(self._check.run)
        self._under_way.addErrback(self._broken)
        self._under_way.addCallback(self._found)

    def _broken(self, reason: Failure) -> CheckResult:
        if reason.check(CancelledError):
            return CheckResult(status=CRITICAL, output="broken off")
        return CheckResult(status=CRITICAL, output=reason.getErrorMessage())

    def _found(self, result: CheckResult) -> None:
        self._under_way = None
        if not self._running:
            return
        status = result.status if result.certain else self._thresholds.judge(result.status)
        if status is not None:
            self._notify(status, result.output)
        # Whoever was told may have stopped this check.
        if self._running:
            self._call = self._clock.callLater(self._interval, self._run)
