"""
Event and Internal.EventFire: user events, fired and listed.

An agent makes an event and has a server of the datacenter that is meant tell all agents there by gossip. Each agent
holds the last ones that were meant for it, which is what it lists.

Source: Consul's documentation of the event HTTP API; the wire documents, Internal.EventFire and GOSSIP section 7.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any
from uuid import UUID

import msgspec
from twisted.internet.defer import Deferred
from twisted.internet.interfaces import IDelayedCall

from txconsul.codec.duration import SECOND
from txconsul.codec.gomsgpack import encode_apart
from txconsul.endpoints.authorizing import Authorizer
from txconsul.endpoints.held_events import HeldEvents
from txconsul.endpoints.placing import Rule
from txconsul.endpoints.registry import Answer, server
from txconsul.endpoints.site import Site
from txconsul.errors import InvalidRequest, RequestRefused, Unavailable
from txconsul.language.goregexp import Allowance, BadRegexp, Pattern
from txconsul.records.event import (
    EVENT_VERSION,
    EventFireRequest,
    EventFireResponse,
    EventListRequest,
    EventPayload,
    FireRequest,
    UserEvent,
)
from txconsul.records.query import Context, QueryOptions

__all__ = ["LIST_SECONDS_MAX"]

#: How long a list of events is waited for at most, and if nothing else is said.
LIST_SECONDS_MAX = 600.0
#: What stands before the name of a user's event among those of gossip.
_OF_USERS = "consul:event:"
#: Any server of the datacenter may tell it: gossip does the rest.
_ANY_SERVER = QueryOptions(allow_stale=True)


def _events(site: Site) -> HeldEvents:
    if site.events is None:
        raise Unavailable("This server holds no events")
    return site.events


# ---- firing ----


def _check(event: UserEvent) -> None:
    """@raise InvalidRequest: there cannot be such an event."""
    if not event.name:
        raise InvalidRequest("User event missing name")
    if event.tag_filter and not event.service_filter:
        raise InvalidRequest("Cannot provide tag filter without service filter")
    for what, pattern in (
        ("node", event.node_filter),
        ("service", event.service_filter),
        ("tag", event.tag_filter),
    ):
        try:
            Pattern(pattern, Allowance())
        except BadRegexp as error:
            raise InvalidRequest(f"Invalid {what} filter: {error}") from None


@server("Event.Fire", FireRequest, Rule.AGENT)
def fire(site: Site, request: FireRequest, authorizer: Authorizer) -> Any:
    """Make an event and have it told; the event, or a Deferred of it."""
    _check(request.event)
    event = msgspec.structs.replace(request.event, id=_events(site).new_id(), version=EVENT_VERSION)
    payload = EventPayload(**{name: getattr(event, name) for name in EventPayload.__struct_fields__})
    told = EventFireRequest(datacenter=request.to, name=event.name, payload=encode_apart(payload), options=_ANY_SERVER)
    answer = site.ask("Internal.EventFire", told, Context(token=request.token, source="event"))
    if isinstance(answer, Deferred):
        return answer.addCallback(lambda _: event)
    return event


@server("Internal.EventFire", EventFireRequest)
def event_fire(site: Site, request: EventFireRequest, authorizer: Authorizer) -> Answer:
    """Tell all agents of the datacenter."""
    authorizer.require_event_write(request.name)
    if site.pools is None:
        raise Unavailable("This server belongs to no gossip pool")
    try:
        site.pools.lan.fire(_OF_USERS + request.name, request.payload or b"", coalesce=False)
    except RequestRefused as error:
        raise InvalidRequest(f"error broadcasting event: {error}") from None
    return site.answer(0, EventFireResponse())


# ---- listing ----


def event_index(id: str) -> int:
    """
    The index of a list of events that ends with one: both halves of its UUID together. It does not grow.

    >>> event_index("00000000-0000-0003-0000-000000000005")
    6
    """
    whole = UUID(id).int
    return (whole >> 64) ^ (whole & (1 << 64) - 1)


def _listed(site: Site, request: EventListRequest, authorizer: Authorizer) -> Answer:
    """The events that may be seen; without any, the index is 1."""
    events = [one for one in _events(site).recent(request.name) if authorizer.may_read_event(one.name)]
    return Answer(event_index(events[-1].id) if events else 1, events)


@server("Event.List", EventListRequest, Rule.AGENT)
def list_(site: Site, request: EventListRequest, authorizer: Authorizer) -> Any:
    """
    The events that the agent holds, the oldest first.

    @return: an L{Answer} of a list; or a Deferred of one, if its index would be the one that is given.
    """
    answer = _listed(site, request, authorizer)
    if not request.options.min_query_index or answer.index != request.options.min_query_index or site.closing:
        return answer
    return _Waiting(site, request, authorizer).done


class _Waiting:
    """A request that waits until the events' index is another, or the time is up."""

    def __init__(self, site: Site, request: EventListRequest, authorizer: Authorizer) -> None:
        self._site = site
        self._request = request
        self._authorizer = authorizer
        self.done: Deferred[Answer] = Deferred(lambda _: self._end())
        wait = request.options.max_query_time / SECOND
        seconds = min(wait, LIST_SECONDS_MAX) if wait > 0 else LIST_SECONDS_MAX
        self._stop: Callable[[], None] = _events(site).watch(self._look)
        self._timer: IDelayedCall = site.clock.callLater(seconds, self._answer)

    def _look(self) -> None:
        answer = _listed(self._site, self._request, self._authorizer)
        if answer.index != self._request.options.min_query_index or self._site.closing:
            self._give(answer)

    def _answer(self) -> None:
        self._give(_listed(self._site, self._request, self._authorizer))

    def _give(self, answer: Answer) -> None:
        self._end()
        if not self.done.called:
            self.done.callback(answer)

    def _end(self) -> None:
        self._stop()
        if self._timer.active():
            self._timer.cancel()
