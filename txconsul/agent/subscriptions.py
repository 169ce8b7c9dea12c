"""
What an agent keeps of its servers' answers: one shared entry a distinct question, however many ask.

It stands before an L{ICaller}, talks through nothing else, and is one itself, so that a server and an agent without
state use it alike. What it decides is in L{txconsul.caching.core}; here are the clock, the door, and those who wait.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sized
from random import Random
from typing import Any

import msgspec
from twisted.internet.defer import Deferred
from twisted.internet.interfaces import IDelayedCall, IReactorTime
from twisted.logger import Logger
from twisted.python.failure import Failure
from zope.interface import implementer

from txconsul.caching.core import Cache, Changed, Fetch, Forget, Give, Refuse
from txconsul.caching.entry import Entry, FetchLimits, Found, Kind, Waiter, Wish
from txconsul.codec.duration import SECOND
from txconsul.codec.gomsgpack import encode
from txconsul.driver import Driver
from txconsul.endpoints.registry import Answer, Cached
from txconsul.endpoints.views import View
from txconsul.errors import RequestRefused, TooManyRequests, TxconsulError, Unavailable
from txconsul.interfaces import ICaller
from txconsul.records.query import Context, QueryOptions

__all__ = ["FETCH_SECONDS", "NothingKept", "Subscriptions"]

#: How long one background fetch waits for news before it is begun anew.
FETCH_SECONDS = 600
#: What an entry takes beside the rows of its answer: itself, its question, its poll.
ENTRY_BYTES = 3000
#: What a row takes beside the stored records that it shows, where they are here.
ROW_BYTES = 300
_SOURCE = "cache"


class NothingKept(Unavailable):
    """Time was up, or the agent stops, before the first answer came."""

    text = "no answer came from a server in time, and none is cached"


@implementer(ICaller)
class Subscriptions:
    """
    Answers reads that allow it (C{options.use_cache}) from what is kept; passes everything else on.

    @ivar counts: see L{Cache}.
    """

    _log = Logger("txconsul.cache")

    def __init__(
        self,
        door: Any,
        kinds: Mapping[str, Kind],
        clock: IReactorTime,
        rng: Random,
        limits: FetchLimits,
        default_query_time: float,
        max_query_time: float,
    ) -> None:
        """
        @param door: an L{ICaller} which can also C{watch}, see L{txconsul.endpoints.door.Door.watch}.
        @param kinds: by the names of methods, how their answers are kept.
        @param default_query_time: seconds that a blocking query waits if it does not say.
        @param max_query_time: seconds that it waits at most.
        """
        self._door = door
        self._kinds = kinds
        self._clock = clock
        self._default_query_time = default_query_time
        self._max_query_time = max_query_time
        self._core = Cache(limits, rng)
        self._fetches: dict[int, Deferred[Any]] = {}
        self._closed = False
        self._driver = Driver(
            self._core,
            clock,
            {
                Fetch: self._fetch,
                Give: self._give,
                Refuse: self._refuse,
                Changed: self._tell_changed,
                Forget: self._forget,
            },
            failed=self._broke,
        )

    @property
    def counts(self) -> Mapping[tuple[str, str], int]:
        """How often what happened; see L{Cache}."""
        return self._core.counts

    def __len__(self) -> int:
        """How many answers are kept."""
        return len(self._core)

    def limit(self, limits: FetchLimits) -> None:
        """From now on, fetch so often at most."""
        self._core.limits = limits

    # ---- ICaller ----

    def call(self, method: str, request: Any, context: Context) -> Any:
        """
        Ask; see L{ICaller}.

        @return: of a method whose answers are kept, an L{Answer} that says so, or a Deferred of one.
        """
        kind = self._kinds.get(method)
        if kind is None or not request.options.use_cache or self._closed:
            return self._door.call(method, request, context)
        options = request.options
        token = context.token if kind.by_token else ""
        found = self._core.ask(
            self._key(method, request, token),
            kind,
            (method, request, Context(token=context.token, source=_SOURCE)),
            _wish(options),
            self._clock.seconds(),
        )
        if type(found) is Found:
            return _answer(found)
        assert isinstance(found, Waiter)
        waiting = self._wait(found, options)
        self._driver.drain()
        return waiting

    def watch(self, asked: Iterable[tuple[str, Any]], callback: Callable[[], object]) -> Callable[[], None] | None:
        """
        Call back, once, when an answer given here to any of some reads may have changed. Of those whose answers are
        kept, when another is kept, or none any more, or when it is to be asked for again, lest it be given up.

        @param asked: methods and requests, as they were called, anonymously.
        @param callback: called in the turn of the change. It must not raise.
        @return: call this to be called back no more. None where nobody could tell whether an answer has changed.
        """
        keys: list[Any] = []
        elsewhere: list[tuple[str, Any]] = []
        for method, request in asked:
            if method in self._kinds and request.options.use_cache:
                keys.append(self._key(method, request, ""))
            else:
                elsewhere.append((method, request))
        watcher = _Watcher(self._core, keys, callback)
        told = all(self._core.watch(key, watcher) for key in keys)
        if told and elsewhere:
            stop = self._door.watch(elsewhere, watcher)
            told = stop is not None
            watcher.stop_elsewhere = stop or _nothing
        if told:
            return watcher.stop
        watcher.stop()
        return None

    def close(self) -> None:
        """The agent stops: forget all, and let nobody wait."""
        self._closed = True
        self._core.clear(NothingKept(), self._clock.seconds())
        self._driver.drain()
        self._driver.stop()

    def _broke(self, failure: Failure) -> None:
        """A mistake of this program. Nothing is kept any more, and the door is asked for everything."""
        self._log.failure("the cache failed, and is not used any more", failure)
        self._closed = True
        for waiter in self._core.waiting():
            self._core.gone(waiter)
            _stop(waiter.asker[1])
            waiter.asker[0].errback(TxconsulError())

    # ---- those who ask ----

    def _key(self, method: str, request: Any, token: str) -> tuple[str, bytes, str]:
        """What makes a question distinct: everything but how it wants to be answered, and in which order tags are."""
        plain = msgspec.structs.replace(request, options=QueryOptions(filter=request.options.filter))
        tags = getattr(request, "service_tags", None)
        if tags:
            plain = msgspec.structs.replace(plain, service_tags=tuple(sorted(tags)))
        return method, encode(plain), token

    def _wait(self, waiter: Waiter, options: QueryOptions) -> Deferred[Answer]:
        """Give what comes, or when time is up, what there is. Who names no index does not wait for news."""
        asked = options.max_query_time if options.min_query_index else 0
        seconds = min(asked / SECOND if asked > 0 else self._default_query_time, self._max_query_time)
        done: Deferred[Answer] = Deferred(lambda _: self._gone(waiter))
        waiter.asker = (done, self._clock.callLater(seconds, self._time_up, waiter))
        return done

    def _gone(self, waiter: Waiter) -> None:
        self._core.gone(waiter)
        _stop(waiter.asker[1])

    def _time_up(self, waiter: Waiter) -> None:
        found = self._core.time_up(waiter, self._clock.seconds())
        if found is None:
            waiter.asker[0].errback(NothingKept())
        else:
            waiter.asker[0].callback(_answer(found))

    # ---- what the core wishes ----

    def _fetch(self, fetch: Fetch) -> None:
        method, request, context = fetch.entry.request
        options = QueryOptions(
            # What is kept is behind the leader anyway; so every server may answer.
            allow_stale=True,
            min_query_index=fetch.min_index,
            max_query_time=FETCH_SECONDS * SECOND if fetch.min_index else 0,
            filter=request.options.filter,
        )
        try:
            answer = self._door.call(method, msgspec.structs.replace(request, options=options), context)
        except TxconsulError as error:
            self._failed(Failure(error), fetch)
            return
        if type(answer) is not Deferred:
            self._fetched(answer, fetch)
            return
        self._fetches[fetch.number] = answer
        answer.addBoth(self._arrived, fetch)
        answer.addCallbacks(self._fetched, self._failed, (fetch,), {}, (fetch,))

    def _arrived(self, result: Any, fetch: Fetch) -> Any:
        self._fetches.pop(fetch.number, None)
        return result

    def _fetched(self, answer: Any, fetch: Fetch) -> None:
        if type(answer) is not Answer:
            answer = Answer(1, answer)
        view, size = None, ENTRY_BYTES
        if isinstance(answer.value, Sized):
            # Whatever is rendered from it is rendered once, and goes when it goes.
            view = View(answer.value, lambda _, more: self._grown(fetch.entry, answer, more))
            size += view.size
        else:
            size += ROW_BYTES * len(getattr(answer.value, "nodes", None) or ())
        answer = msgspec.structs.replace(answer, view=view)
        self._core.fetched(fetch.entry, fetch.number, answer.index, answer, size, self._clock.seconds())
        self._driver.drain()

    def _grown(self, entry: Entry, answer: Answer, more: int) -> None:
        self._core.grown(entry, answer, more, self._clock.seconds())
        self._driver.fed()

    def _failed(self, failure: Failure, fetch: Fetch) -> None:
        error = failure.value
        if fetch.entry.fetch != fetch.number:
            return  # nobody wants to know any more
        if not isinstance(error, TxconsulError):
            self._log.failure("a fetch failed: {method}", failure, method=fetch.entry.request[0])
            error = TxconsulError()
        refused = isinstance(error, RequestRefused) and not isinstance(error, TooManyRequests)
        self._core.failed(fetch.entry, fetch.number, error, refused, self._clock.seconds())
        self._driver.drain()

    def _forget(self, forget: Forget) -> None:
        fetch = self._fetches.pop(forget.number, None)
        if fetch is not None:
            fetch.cancel()

    def _give(self, give: Give) -> None:
        answer = _answer(give.found)
        for waiter in give.waiters:
            done, timer = waiter.asker
            _stop(timer)
            if not done.called:  # his time was up, or he went, since this was wished
                done.callback(answer)

    def _refuse(self, refuse: Refuse) -> None:
        for waiter in refuse.waiters:
            done, timer = waiter.asker
            _stop(timer)
            if not done.called:
                done.errback(refuse.error)

    def _tell_changed(self, changed: Changed) -> None:
        for watcher in changed.watchers:
            watcher()


class _Watcher:
    """Who wants to know, once, that any of several answers is not what it was."""

    def __init__(self, core: Cache, keys: list[Any], callback: Callable[[], object]) -> None:
        self._core = core
        self._keys = keys
        self._callback: Callable[[], object] | None = callback
        self.stop_elsewhere: Callable[[], None] = _nothing

    def __call__(self) -> None:
        callback = self._callback
        if callback is not None:
            self.stop()
            callback()

    def stop(self) -> None:
        """He does not want to know any more."""
        self._callback = None
        for key in self._keys:
            self._core.unwatch(key, self)
        self.stop_elsewhere()


def _nothing(*_: object) -> None:
    """There is nothing to do."""


def _stop(timer: IDelayedCall) -> None:
    if timer.active():
        timer.cancel()


def _wish(options: QueryOptions) -> Wish:
    return Wish(
        options.min_query_index,
        options.max_age / SECOND if options.max_age > 0 else None,
        options.must_revalidate,
        options.stale_if_error / SECOND,
    )


def _answer(found: Found) -> Answer:
    """What is kept, as an answer that says so."""
    it = found.value
    return Answer(it.index, it.value, it.last_contact, it.known_leader, it.view, Cached(found.hit, found.age))
