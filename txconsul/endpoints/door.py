"""
The one door: every request, wherever it came from, is asked here.

place -> token -> read or write -> what is known of the answer. Consistency modes, blocking, waiting for a leader and
the encoding of commands are here and nowhere else. What can be answered now is returned; only what must wait is a
Deferred.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

from msgspec.structs import replace
from twisted.internet.defer import Deferred
from twisted.python.failure import Failure
from zope.interface import implementer

from txconsul.codec.duration import SECOND
from txconsul.codec.gomsgpack import encode
from txconsul.endpoints.authorizing import ALLOW_ALL, Authorizer
from txconsul.endpoints.blocking import Blocked
from txconsul.endpoints.counting import Counts
from txconsul.endpoints.placing import Place, Rule, place
from txconsul.endpoints.registry import Answer, Decided, Read, ServerMethod, Write
from txconsul.endpoints.site import Site
from txconsul.endpoints.trials import Trial, blocking_seconds, may_repeat
from txconsul.errors import (
    NoLeader,
    NoPathToDatacenter,
    NotReadyForConsistentReads,
    RequestRefused,
    TxconsulError,
    UnknownMethod,
)
from txconsul.interfaces import ICaller
from txconsul.metrics.instruments import Sample
from txconsul.records.query import Context, Relayed
from txconsul.state.watches import Key

__all__ = ["Door"]

Endpoint = Read | Write | ServerMethod

#: Whose answers may be too old for their askers, so that the leader is asked instead. Of the others, as Consul has it,
#: also an old answer is better than none while nobody leads.
HEED_AGE = ("Catalog.", "Health.", "PreparedQuery.", "Operator.")


@implementer(ICaller)
class Door:
    """
    The door of one server.

    @param methods: every method by its name.
    @ivar counts: what is counted and measured here.
    @ivar asked: how often each method was asked.
    """

    def __init__(self, site: Site, methods: dict[str, Endpoint]) -> None:
        self.site = site
        self._methods = methods
        site.ask, site.authorizer = self.call, self.authorizer
        self._waiting: list[Deferred[None]] = []
        self.counts = Counts(site.metrics, methods)
        self.asked = self.counts.asked
        self._queries = self.counts.queries
        self._timers = self.counts.timers
        self._seconds = site.clock.seconds

    def authorizer(self, token: str) -> Authorizer:
        """What the bearer of a token may do."""
        return ALLOW_ALL

    def call(self, method: str, request: Any, context: Context) -> Any:
        """
        Ask; see L{ICaller}.

        @return: for a read, an L{Answer}; for others, their value; or a Deferred of it.
        """
        endpoint = self._methods.get(method)
        if endpoint is None:
            raise UnknownMethod(method)
        self.asked[method] += 1
        return self._place(endpoint, request, context, None)

    def watch(self, asked: Iterable[tuple[str, Any]], callback: Callable[[], object]) -> Callable[[], None] | None:
        """
        Call back, once, when an answer given here to any of some reads may have changed.

        @param asked: methods and requests, as they were called.
        @param callback: called in the turn of the change. It must not raise.
        @return: call this to be called back no more. None where nobody could tell whether an answer has changed.
        """
        keys: list[Key] = []
        for method, request in asked:
            endpoint = self._methods[method]
            touching: Iterable[Key] | None = None
            if isinstance(endpoint, Read):
                touching = endpoint.watch(request)
            elif isinstance(endpoint, ServerMethod) and endpoint.watch is not None:
                touching = endpoint.watch(self.site, request)
            if touching is None:
                return None
            keys.extend(touching)
        watches = self.site.store.watches
        wait = watches.wait(keys, callback)
        return lambda: watches.cancel(wait)

    def leader_changed(self) -> None:
        """Whoever waits for a leader may try again. The site's C{me} says the new truth already."""
        waiting, self._waiting = self._waiting, []
        for one in waiting:
            one.callback(None)

    def close(self) -> None:
        """The server stops: reads that wait get the answer of this moment, and none waits any more."""
        self.site.closing = True
        self.leader_changed()
        self.site.store.watches.wake_all()

    # ---- placing ----

    def _place(self, endpoint: Endpoint, request: Any, context: Context, trial: Trial | None) -> Any:
        stale = endpoint.rule is Read.rule and request.options.allow_stale
        if (
            stale
            and request.options.max_stale_duration
            and type(context) is not Relayed
            and endpoint.name.startswith(HEED_AGE)
        ):
            return self._fresh_enough(endpoint, request, context, trial)
        where = place(endpoint.rule, request.datacenter, stale, self.site.me)
        if where is Place.HERE:
            if isinstance(endpoint, Write):
                return self._write(endpoint, request, context, trial)
            if isinstance(endpoint, Read) or endpoint.rule is Rule.READ:
                return self._read(endpoint, request, self.authorizer(context.token))
            return self._timed(endpoint, request, self.authorizer(context.token))
        return self._elsewhere(endpoint, request, context, trial, where)

    def _elsewhere(self, endpoint: Endpoint, request: Any, context: Context, trial: Trial | None, where: Place) -> Any:
        """Ask whoever is to be asked; whoever asks here hears from them as if it were asked here."""
        elsewhere = self.site.elsewhere
        if elsewhere is None:
            if where is Place.DATACENTER:
                raise NoPathToDatacenter()
            return self._hold(endpoint, request, context, trial)
        if where is Place.NOWHERE:
            return self._hold(endpoint, request, context, trial)
        began = self._seconds()
        try:
            answer = elsewhere.send(where, endpoint.name, request, context)
        except TxconsulError as error:
            return self._not_answered(Failure(error), endpoint, request, context, trial, where, began)
        return answer.addErrback(self._not_answered, endpoint, request, context, trial, where, began)

    def _not_answered(
        self,
        failure: Failure,
        endpoint: Endpoint,
        request: Any,
        context: Context,
        trial: Trial | None,
        where: Place,
        began: float,
    ) -> Any:
        """Try again after a pause, or as soon as another leader is known, if the request may be repeated."""
        options = getattr(request, "options", None)
        if not isinstance(failure.value, TxconsulError) or not may_repeat(
            failure.value, where, options is not None and not isinstance(endpoint, Write)
        ):
            failure.raiseException()
        site = self.site
        if trial is None:
            longest = blocking_seconds(options, site.default_query_time, site.max_query_time)
            trial = Trial(began + site.hold_timeout + longest, site.hold_timeout)
        return self._hold(endpoint, request, context, trial, failure)

    def _fresh_enough(self, endpoint: Endpoint, request: Any, context: Context, trial: Trial | None) -> Any:
        """An answer that is older than its asker bears is asked of the leader instead."""
        at_most = request.options.max_stale_duration / SECOND
        options = replace(request.options, max_stale_duration=0)

        def check(answer: Any) -> Any:
            if type(answer) is not Answer or answer.last_contact <= at_most:
                return answer
            fresh = replace(request, options=replace(options, allow_stale=False))
            return self._place(endpoint, fresh, context, None)

        answer = self._place(endpoint, replace(request, options=options), context, trial)
        return answer.addCallback(check) if type(answer) is Deferred else check(answer)

    def _hold(
        self,
        endpoint: Endpoint,
        request: Any,
        context: Context,
        trial: Trial | None,
        failure: Failure | None = None,
    ) -> Any:
        """
        Try again when a leader is known, until the deadline.

        @param failure: of a request that was placed: then it is tried again after a pause, too.
        """
        site, clock = self.site, self.site.clock
        now = clock.seconds()
        if trial is None:
            trial = Trial(now + site.hold_timeout, site.hold_timeout)
        if site.closing:
            raise NoLeader()
        if now >= trial.until:
            if failure is not None:
                failure.raiseException()
            raise NoLeader()
        led: Deferred[None] = Deferred(lambda d: self._waiting.remove(d) if d in self._waiting else None)
        self._waiting.append(led)
        pause = trial.until - now
        if failure is None:
            timer = clock.callLater(pause, led.cancel)
        else:
            timer = clock.callLater(min(pause, trial.pause(site.rng)), self._paused, led)

        def woken(_: object) -> Any:
            if timer.active():
                timer.cancel()
            return self._place(endpoint, request, context, trial)

        def given_up(reason: Failure) -> Any:
            if timer.active():
                timer.cancel()
                return reason  # whoever asked has gone
            raise NoLeader()

        answer: Deferred[Any] = led.addCallbacks(woken, given_up)  # type: ignore[assignment]
        return answer

    def _paused(self, led: Deferred[None]) -> None:
        self._waiting.remove(led)
        led.callback(None)

    # ---- reading ----

    def _read(self, endpoint: Read | ServerMethod, request: Any, authorizer: Authorizer) -> Any:
        """Read, once what is here is as fresh as the request asks."""
        options = request.options
        consensus = self.site.consensus
        if options.require_consistent or not (options.allow_stale or consensus.lease_valid()):
            waiting = consensus.verify()
            if waiting is not None:
                waiting.addTimeout(self.site.hold_timeout, self.site.clock, _not_ready)
                return waiting.addCallback(lambda _: self._evaluate(endpoint, request, authorizer))
        return self._evaluate(endpoint, request, authorizer)

    def _evaluate(self, endpoint: Read | ServerMethod, request: Any, authorizer: Authorizer) -> Any:
        if isinstance(endpoint, ServerMethod):
            return self._timed(endpoint, request, authorizer)
        site = self.site
        index, value, view = site.views.read(endpoint, request, authorizer)
        if endpoint.counted:
            self._queries[endpoint.counted].count(request, value)
        if 0 < request.options.min_query_index >= index and not site.closing:
            absent = endpoint.absent is not None and endpoint.absent(value)
            return Blocked(site, endpoint, request, authorizer, absent).done
        return site.answer(index, value, view)

    def _timed(self, endpoint: ServerMethod, request: Any, authorizer: Authorizer) -> Any:
        """Ask a method, and measure how long its answer took, if that is wanted."""
        began = self._seconds()
        answer = endpoint.function(self.site, request, authorizer)
        timer = self._timers.get(endpoint.name)
        if type(answer) is Deferred:
            return answer.addCallback(self._measured, timer, began)
        return self._measured(answer, timer, began)

    # ---- writing ----

    def _write(self, endpoint: Write, request: Any, context: Context, trial: Trial | None) -> Any:
        site = self.site
        began = self._seconds()
        prepared = endpoint.function(site.store, request, self.authorizer(context.token), site.leading)
        if type(prepared) is Decided:
            return prepared.value
        done = site.consensus.propose(bytes((endpoint.command,)) + encode(prepared), prepared)
        if endpoint.after is not None:
            after = endpoint.after
            done.addCallback(lambda result: after(prepared, result, site.leading))
        done.addCallbacks(
            self._measured,
            self._not_written,
            callbackArgs=(self._timers.get(endpoint.name), began),
            errbackArgs=(endpoint, request, context, trial),
        )
        return done

    def _measured(self, result: Any, timer: Sample | None, began: float) -> Any:
        if timer is not None:
            timer.add((self._seconds() - began) * 1000)
        return result

    def _not_written(
        self, failure: Failure, endpoint: Write, request: Any, context: Context, trial: Trial | None
    ) -> Any:
        if failure.check(NoLeader):  # it was not even proposed, so that asking again is safe
            return self._hold(endpoint, request, context, trial)
        if endpoint.refused is not None and isinstance(failure.value, RequestRefused):
            raise endpoint.refused(failure.value)
        return failure


def _not_ready(result: object, seconds: float) -> None:
    """Leadership could not be verified in time."""
    raise NotReadyForConsistentReads()
