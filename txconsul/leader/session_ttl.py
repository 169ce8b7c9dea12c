"""
Sessions end when nobody renewed them.

Only the leader counts: a new one begins every session's time anew, so that a change of leaders never ends a session
early. A session lives for twice its TTL, as Consul promises "at least" it.

Source: Consul's documentation of sessions.
"""

from __future__ import annotations

import heapq
from typing import TYPE_CHECKING

from twisted.application.service import Service
from twisted.internet.defer import maybeDeferred
from twisted.internet.interfaces import IReactorTime
from twisted.logger import Logger
from twisted.python.failure import Failure

from txconsul.codec.duration import SECOND, BadDuration, parse_duration
from txconsul.driver import Alarm
from txconsul.interfaces import ICaller
from txconsul.records.query import Context
from txconsul.records.session import Session, SessionRequest

if TYPE_CHECKING:
    from txconsul.state.store import Store

__all__ = ["SessionTTL"]

#: How many TTLs a session lives without being renewed.
TTL_MULTIPLIER = 2
#: Seconds before an expired session that could not be destroyed is tried again; doubled with each attempt.
RETRY_SECONDS = 10.0
RETRY_ATTEMPTS = 6


class SessionTTL(Service):
    """
    The leader's timers of sessions, as L{txconsul.endpoints.leading.SessionTimers}.

    Deadlines are kept in a heap, where those that were renewed stay until they come up: a renewal costs the same
    however many sessions there are.
    """

    name = "session TTL"
    _log = Logger("txconsul.leader")

    def __init__(self, store: Store, door: ICaller, datacenter: str, clock: IReactorTime) -> None:
        self._store = store
        self._door = door
        self._datacenter = datacenter
        self._clock = clock
        self._deadlines: dict[str, float] = {}
        self._heap: list[tuple[float, str]] = []
        self._attempts: dict[str, int] = {}
        self._alarm = Alarm(clock, self._ring)

    @property
    def active(self) -> int:
        """How many sessions are timed."""
        return len(self._deadlines)

    def startService(self) -> None:
        """Leadership was gained: every session's time begins anew."""
        super().startService()
        _, sessions = self._store.sessions.list()
        for session in sessions:
            self.renew(session)

    def stopService(self) -> None:
        """Leadership was lost: another server counts now."""
        self._deadlines.clear()
        self._heap.clear()
        self._attempts.clear()
        self._alarm.cancel()
        super().stopService()

    def renew(self, session: Session) -> None:
        """Start a session's time to live anew."""
        ttl = _ttl_seconds(session.ttl)
        if self.running and ttl > 0:
            self._attempts.pop(session.id, None)
            self._set(session.id, self._clock.seconds() + ttl * TTL_MULTIPLIER)

    def forget(self, session_id: str) -> None:
        """The session is gone."""
        self._deadlines.pop(session_id, None)
        self._attempts.pop(session_id, None)

    def _set(self, session_id: str, deadline: float) -> None:
        self._deadlines[session_id] = deadline
        if len(self._heap) > 64 and len(self._heap) > 4 * len(self._deadlines):
            self._heap = [(until, one) for one, until in self._deadlines.items()]
            heapq.heapify(self._heap)
        else:
            heapq.heappush(self._heap, (deadline, session_id))
        self._alarm.set(self._heap[0][0])

    def _ring(self) -> None:
        now = self._clock.seconds()
        while self._heap and self._heap[0][0] <= now:
            deadline, session_id = heapq.heappop(self._heap)
            if self._deadlines.get(session_id) == deadline:
                del self._deadlines[session_id]
                self._expire(session_id)
        self._alarm.set(self._heap[0][0] if self._heap else None)

    def _expire(self, session_id: str) -> None:
        if self._store.sessions.get(session_id)[1] is None:
            return  # it ended otherwise: its node or a check is gone
        request = SessionRequest(datacenter=self._datacenter, op="destroy", session=Session(id=session_id))
        done = maybeDeferred(self._door.call, "Session.Apply", request, Context())
        done.addCallbacks(
            lambda _: self._log.debug("Session TTL expired: session={id}", id=session_id),
            self._retry,
            errbackArgs=(session_id,),
        )

    def _retry(self, reason: Failure, session_id: str) -> None:
        attempt = self._attempts.get(session_id, 0)
        self._log.error("Could not end an expired session: session={id} error={why}", id=session_id, why=reason.value)
        if self.running and attempt < RETRY_ATTEMPTS:
            self._attempts[session_id] = attempt + 1
            self._set(session_id, self._clock.seconds() + RETRY_SECONDS * 2**attempt)


def _ttl_seconds(text: str) -> float:
    """Seconds of a session's TTL; 0 where it has none."""
    try:
        return parse_duration(text) / SECOND if text else 0.0
    except BadDuration:
        return 0.0
