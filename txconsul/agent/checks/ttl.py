"""
The check that a service makes itself: it must say in time that it is well.

Source: Consul's documentation of TTL checks.
"""

from __future__ import annotations

from collections.abc import Callable

from twisted.internet.interfaces import IDelayedCall, IReactorTime

from txconsul.records.health import CRITICAL

__all__ = ["TTLCheck", "expired_output"]

_EXPIRED = "TTL expired"


def expired_output(last: str) -> str:
    """
    What a check says whose time ran out.

    >>> expired_output(""), expired_output("fine")
    ('TTL expired', 'TTL expired (last output before timeout follows): fine')
    """
    return f"{_EXPIRED} (last output before timeout follows): {last}" if last else _EXPIRED


class TTLCheck:
    """
    @param ttl: seconds within which something must be said.
    @param notify: told C{(status, output)} whenever something was said, or when nothing was.
    """

    def __init__(self, ttl: float, clock: IReactorTime, notify: Callable[[str, str], object]) -> None:
        self.ttl = ttl
        self._output = ""
        self._clock = clock
        self._notify = notify
        self._call: IDelayedCall | None = None

    def start(self, seconds: float | None = None) -> None:
        """Count from now; C{seconds} is what is left where it was counted before."""
        self._call = self._clock.callLater(self.ttl if seconds is None else seconds, self._expire)

    def stop(self) -> None:
        """Count no more."""
        if self._call is not None and self._call.active():
            self._call.cancel()
        self._call = None

    def say(self, status: str, output: str) -> None:
        """The service says how it is."""
        self._output = output
        self.stop()
        self.start()
        self._notify(status, output)

    def _expire(self) -> None:
        self._call = None
        self._notify(CRITICAL, expired_output(self._output))
