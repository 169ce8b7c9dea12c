"""
What only the leader knows and no log carries: lock delays, session timers, the time and fresh identities.

A write endpoint is given this beside the store. Lock delays go by the leader's clock alone, so that the
replicas never disagree; a new leader starts without any, as Consul's does.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Protocol

from txconsul.records.coordinate import Coordinate
from txconsul.records.session import Session

__all__ = ["Leading", "LockDelays", "Positions", "SessionTimers"]


class SessionTimers(Protocol):
    """Who destroys sessions whose time to live has passed."""

    def renew(self, session: Session) -> None:
        """Start the session's time to live anew; nothing happens for a session without one."""

    def forget(self, session_id: str) -> None:
        """The session is gone."""


class Positions(Protocol):
    """Who writes what nodes say of their places."""

    def take(self, coordinate: Coordinate) -> None:
        """Write this soon, or never: there may be too many."""


#: Delays kept before those that are over are first swept out.
_SWEEP_MIN = 64


class LockDelays:
    """Until when keys, whose lock was taken from its holder, may not be locked again."""

    def __init__(self) -> None:
        self._until: dict[bytes, float] = {}
        self._sweep_at = _SWEEP_MIN

    def add(self, key: bytes, seconds: float, now: float) -> None:
        """Delay locks of a key."""
        self._until[key] = now + seconds
        if len(self._until) >= self._sweep_at:  # doubling keeps the cost of sweeping constant for each delay
            self._until = {key: until for key, until in self._until.items() if until > now}
            self._sweep_at = max(_SWEEP_MIN, 2 * len(self._until))

    def holds(self, key: bytes, now: float) -> bool:
        """May the key not be locked yet?"""
        until = self._until.get(key)
        if until is None:
            return False
        if until > now:
            return True
        del self._until[key]
        return False


class Leading:
    """
    The leader's side of a write.

    @ivar now: monotonic seconds, when the request came.
    @ivar timers: set when the server is put together: they end sessions through the door, which needs this.
    @ivar positions: likewise.
    @ivar new_id: makes a random UUID's text.
    @ivar session_ttl_min: nanoseconds.
    @ivar any_key: keys with dot segments may be written.
    """

    timers: SessionTimers
    positions: Positions

    def __init__(
        self,
        clock: Callable[[], float],
        new_id: Callable[[], str],
        session_ttl_min: int,
        datacenter: str,
        any_key: bool = False,
    ) -> None:
        self._clock = clock
        self.new_id = new_id
        self.lock_delays = LockDelays()
        self.session_ttl_min = session_ttl_min
        self.datacenter = datacenter
        self.any_key = any_key

    @property
    def now(self) -> float:
        """Monotonic seconds."""
        return self._clock()
