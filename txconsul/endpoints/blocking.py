"""
Reads that wait: park until what was read is touched, or until time is up.

Source: Consul's page on blocking queries: 5 minutes by default, 10 at most, and up to a sixteenth of the wait more
so that those who came together do not come back together.
"""

from __future__ import annotations

from random import Random
from typing import TYPE_CHECKING, Any

from twisted.internet.defer import Deferred
from twisted.internet.interfaces import IDelayedCall

from txconsul.codec.duration import SECOND
from txconsul.endpoints.registry import Answer, Read
from txconsul.errors import TxconsulError

if TYPE_CHECKING:
    from txconsul.endpoints.authorizing import Authorizer
    from txconsul.endpoints.site import Site
    from txconsul.endpoints.views import View

__all__ = ["JITTER_SHARE", "Blocked", "wait_seconds"]

#: A wait is prolonged by up to this share of itself.
JITTER_SHARE = 1 / 16


def wait_seconds(asked: int, default: float, longest: float, rng: Random) -> float:
    """
    How long a blocking query waits, in seconds.

    @param asked: the request's C{wait} in ns; zero or less asks for the default.
    """
    wait = min(asked / SECOND if asked > 0 else default, longest)
    return wait + rng.random() * wait * JITTER_SHARE


class Blocked:
    """
    One read that waits. C{done} fires with an L{Answer}; cancelling it frees everything.

    Woken, it reads again: an answer whose index has passed C{min_query_index} is given; otherwise it parks again. When
    time is up, the server stops, or the whole state was replaced, the answer of that moment is given.
    """

    __slots__ = (
        "_absent",
        "_authorizer",
        "_endpoint",
        "_handle",
        "_min_index",
        "_request",
        "_site",
        "_tables",
        "_timer",
        "done",
    )

    def __init__(self, site: Site, endpoint: Read, request: Any, authorizer: Authorizer, absent: bool) -> None:
        options = request.options
        self._site = site
        self._endpoint = endpoint
        self._request = request
        self._authorizer = authorizer
        self._min_index: int = options.min_query_index
        self._absent = absent
        self._tables = site.store.tables
        self._handle: Any = None
        self.done: Deferred[Answer] = Deferred(self._cancelled)
        wait = wait_seconds(options.max_query_time, site.default_query_time, site.max_query_time, site.rng)
        self._timer: IDelayedCall | None = site.clock.callLater(wait, self._time_up)
        site.blocking += 1
        self._park()

    def _park(self) -> None:
        self._handle = self._site.store.watches.wait(self._endpoint.watch(self._request), self._touched)

    def _touched(self) -> None:
        self._handle = None
        if self._site.closing or self._site.store.tables is not self._tables:
            self._finish()
            return
        if self._request.options.require_consistent:
            waiting = self._site.consensus.verify()
            if waiting is not None:
                waiting.addCallbacks(lambda _: self._look(), self._fail)
                return
        self._look()

    def _look(self) -> None:
        if self.done.called:
            return
        try:
            index, value, view = self._site.views.read(self._endpoint, self._request, self._authorizer)
        except TxconsulError as error:
            self._fail(error)
            return
        absent = self._endpoint.absent
        if absent is not None and absent(value):
            if self._absent:
                self._min_index = max(self._min_index, index)
            self._absent = True
        if index > self._min_index or self._site.closing:
            self._give(index, value, view)
        else:
            self._park()

    def _time_up(self) -> None:
        self._unpark()
        self._finish()

    def _finish(self) -> None:
        """Give the answer of this moment."""
        try:
            index, value, view = self._site.views.read(self._endpoint, self._request, self._authorizer)
        except TxconsulError as error:
            self._fail(error)
            return
        self._give(index, value, view)

    def _give(self, index: int, value: Any, view: View | None) -> None:
        self._end()
        if not self.done.called:
            self.done.callback(self._site.answer(index, value, view))

    def _fail(self, reason: Any) -> None:
        self._end()
        if not self.done.called:
            self.done.errback(reason)

    def _end(self) -> None:
        """It waits no more, however that came."""
        timer, self._timer = self._timer, None
        if timer is not None:
            self._site.blocking -= 1
            if timer.active():
                timer.cancel()

    def _unpark(self) -> None:
        if self._handle is not None:
            self._site.store.watches.cancel(self._handle)
            self._handle = None

    def _cancelled(self, _: object) -> None:
        self._unpark()
        self._end()
