"""
The table of routes, and how a row serves a request.

A row is a path and, for each method, an L{Action}. What can be known from the target alone (the record that is
asked with, most of all) is prepared once for each target and kept, since records are immutable and clients repeat
themselves.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any, NamedTuple

import msgspec
from twisted.internet.defer import Deferred

from txconsul.endpoints.registry import Answer
from txconsul.errors import BadRequest
from txconsul.http.answers import json_value, meta_head
from txconsul.http.parameters import Target, cache_control, with_cache_control
from txconsul.metrics.instruments import Counter, Sample
from txconsul.records.query import NOWHERE, QuerySource

if TYPE_CHECKING:
    from txconsul.http.api import API
    from txconsul.http.request import Request
    from txconsul.http.response import Response

__all__ = [
    "BOTH",
    "IGNORED",
    "PARTITION",
    "Action",
    "Call",
    "Render",
    "Route",
    "Tenancy",
    "asks",
    "check_cache_control",
    "datacenter",
    "done",
    "explained",
    "reads",
    "render_value",
    "source",
    "text",
]


class Tenancy(NamedTuple):
    """Which of the Enterprise edition's parameters a path refuses rather than ignores."""

    namespace: bool = False
    partition: bool = False

    def check_query(self, target: Target) -> None:
        """@raise BadRequest: the query names a namespace or partition."""
        if self.namespace and target.get("ns"):
            raise BadRequest('Invalid query parameter: "ns" - Namespaces are a Consul Enterprise feature')
        if self.partition and target.get("partition"):
            raise BadRequest('Invalid query parameter: "partition" - Partitions are a Consul Enterprise feature')

    def check_headers(self, request: Request) -> None:
        """@raise BadRequest: a header names a namespace or partition."""
        if self.namespace and request.header(b"x-consul-namespace"):
            raise BadRequest('Invalid header: "X-Consul-Namespace" - Namespaces are a Consul Enterprise feature')
        if self.partition and request.header(b"x-consul-partition"):
            raise BadRequest('Invalid header: "X-Consul-Partition" - Partitions are a Consul Enterprise feature')


def explained(problem: str) -> str:
    """What is wrong with a body, with a word more where it names a namespace."""
    named = problem == 'json: unknown field "Namespace"'
    return f"{problem} - Namespaces are a Consul Enterprise feature" if named else problem


#: Neither namespaces nor partitions.
BOTH = Tenancy(True, True)
PARTITION = Tenancy(False, True)
IGNORED = Tenancy()

Serve = Callable[["API", "Call", "Request"], "Response | Deferred[Response]"]
Prepare = Callable[["API", Target, bytes], Any]
Render = Callable[["API", "Call", Any], "Response"]


class Action(NamedTuple):
    """
    What one method of one path does.

    @ivar prepare: C{(api, target, rest) -> anything}, kept for the target; C{rest} is the path behind the route's own.
    @ivar meta_on_error: whether errors, too, tell of an index (of nothing), as Consul's do here and there.
    """

    serve: Serve
    prepare: Prepare | None = None
    tenancy: Tenancy = BOTH
    meta_on_error: bool = False


class Route(NamedTuple):
    """
    One row: C{path} is exact, or with a slash at its end, the beginning of many.

    @ivar methods: in the order in which the Allow header tells them; C{*} stands for every method.
    """

    path: bytes
    methods: dict[str, Action]


class Call(NamedTuple):
    """A request's target, resolved: what does it, with what; what measures it, and counts its errors."""

    action: Action
    target: Target
    rest: bytes
    prepared: Any
    pretty: bool
    token: str
    timer: Sample
    errors: Counter | None


def datacenter(api: API, target: Target) -> str:
    """The datacenter that is asked; C{?datacenter} goes before C{?dc}."""
    return target.get("datacenter") or target.get("dc") or api.settings.datacenter


def source(api: API, target: Target) -> QuerySource:
    """What C{?near} asks to be near to: C{_agent} is this agent's own node."""
    near = target.get("near")
    if not near:
        return NOWHERE
    return QuerySource(datacenter=datacenter(api, target), node=api.settings.node_name if near == "_agent" else near)


def text(rest: bytes) -> str:
    """A part of a path as text."""
    return rest.decode("utf-8", "surrogateescape")


def done(api: API, answer: Any, call: Call, render: Render) -> Response | Deferred[Response]:
    """Render an answer, now or when it comes."""
    if type(answer) is Deferred:
        return answer.addCallback(lambda it: render(api, call, it))
    return render(api, call, answer)


def check_cache_control(request: Request) -> None:
    """
    Refuse a malformed Cache-Control header where a well-formed one has no effect.

    @raise BadRequest: an age is no number.
    """
    if control := request.header(b"cache-control"):
        cache_control(control.decode("latin-1"))


def render_value(api: API, call: Call, answer: Any) -> Response:
    """The plain way: a value as JSON, with what is known of it."""
    if type(answer) is Answer:
        return json_value(api.settings, answer.value, call.pretty, meta_head(answer))
    return json_value(api.settings, answer, call.pretty)


def reads(
    method: str,
    prepare: Prepare,
    render: Render = render_value,
    tenancy: Tenancy = BOTH,
    meta_on_error: bool = False,
    heeds_cache: bool = True,
    cached: bool = False,
) -> Action:
    """
    A GET that asks one endpoint with a record made from the target.

    @param heeds_cache: whether a Cache-Control header means anything.
    @param cached: whether C{?cached} does: other paths ignore it.
    """

    def serve(api: API, call: Call, request: Request) -> Response | Deferred[Response]:
        record = call.prepared
        control = request.header(b"cache-control")
        if control and heeds_cache:
            heeded = with_cache_control(record.options, control.decode("latin-1"))
            record = msgspec.structs.replace(record, options=heeded)
        door = api.cache if cached and record.options.use_cache else api.door
        return done(api, door.call(method, record, api.context(call, request)), call, render)

    return Action(serve, prepare, tenancy, meta_on_error)


def asks(
    method: str,
    build: Callable[[API, Call, Request], Any],
    render: Render = render_value,
    prepare: Prepare | None = None,
    tenancy: Tenancy = BOTH,
) -> Action:
    """A request that asks one endpoint with a record made from target and body."""

    def serve(api: API, call: Call, request: Request) -> Response | Deferred[Response]:
        record = build(api, call, request)
        return done(api, api.door.call(method, record, api.context(call, request)), call, render)

    return Action(serve, prepare, tenancy)
