"""
C{/v1/event/}: user events.

Source: Consul's documentation of the event HTTP API.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from txconsul.endpoints.registry import Answer
from txconsul.errors import BadRequest
from txconsul.http.answers import json_value
from txconsul.http.parameters import Target, read_wait
from txconsul.http.routes import IGNORED, Call, Route, asks, datacenter, reads, text
from txconsul.records.event import EventListRequest, FireRequest, UserEvent
from txconsul.records.query import QueryOptions

if TYPE_CHECKING:
    from txconsul.http.api import API
    from txconsul.http.request import Request
    from txconsul.http.response import Response

__all__ = ["ROUTES"]


def _fire(api: API, call: Call, request: Request) -> FireRequest:
    if not call.rest:
        raise BadRequest("Missing name")
    target = call.target
    event = UserEvent(
        name=text(call.rest),
        payload=request.body or None,
        node_filter=target.get("node"),
        service_filter=target.get("service"),
        tag_filter=target.get("tag"),
    )
    return FireRequest(to=datacenter(api, target), event=event, token=api.context(call, request).token)


def _list(api: API, target: Target, rest: bytes) -> EventListRequest:
    wait, index = read_wait(target)
    return EventListRequest(name=target.get("name"), options=QueryOptions(min_query_index=index, max_query_time=wait))


def _render_list(api: API, call: Call, answer: Answer) -> Response:
    """Of what is the agent's own, nothing is known but the index."""
    return json_value(api.settings, answer.value, call.pretty, b"X-Consul-Index: %d\r\n" % answer.index)


ROUTES = [
    Route(b"/v1/event/fire/", {"PUT": asks("Event.Fire", _fire, tenancy=IGNORED)}),
    Route(b"/v1/event/list", {"GET": reads("Event.List", _list, _render_list, IGNORED, heeds_cache=False)}),
]
