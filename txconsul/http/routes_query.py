"""
C{/v1/query}: prepared queries.

Source: Consul's documentation of the prepared query HTTP API.
"""

from __future__ import annotations

from ipaddress import ip_address
from typing import TYPE_CHECKING, Any, NamedTuple

from msgspec.structs import replace
from twisted.internet.defer import Deferred

from txconsul.codec import json
from txconsul.codec.duration import SECOND
from txconsul.codec.goquote import quote
from txconsul.endpoints.registry import Answer
from txconsul.errors import BadRequest, InvalidRequest, MethodNotAllowed, NotFound
from txconsul.http.answers import JSON, body, consistency, consistency_head, json_value, meta_head
from txconsul.http.parameters import Target, parse_int, read_options, with_cache_control
from txconsul.http.rendered import RenderedInstances
from txconsul.http.response import Response
from txconsul.http.routes import IGNORED, Action, Call, Route, asks, datacenter, done, reads, text
from txconsul.language.goflags import go_bool
from txconsul.records.prepared_query import (
    PreparedQuery,
    PreparedQueryExecuteRequest,
    PreparedQueryRequest,
    PreparedQuerySpecificRequest,
)
from txconsul.records.queries import DCSpecificRequest
from txconsul.records.query import QuerySource

if TYPE_CHECKING:
    from twisted.python.failure import Failure

    from txconsul.http.api import API
    from txconsul.http.request import Request

__all__ = ["ROUTES"]

_EXECUTE, _EXPLAIN = b"/execute", b"/explain"


# ---- all queries ----


def _list(api: API, target: Target, rest: bytes) -> DCSpecificRequest:
    options = read_options(target, api.settings.read_defaults)
    return DCSpecificRequest(datacenter=datacenter(api, target), options=options)


def _render_queries(api: API, call: Call, answer: Answer) -> Response:
    head = meta_head(answer) + consistency_head(call.prepared.options)
    return json_value(api.settings, answer.value, call.pretty, head)


def _create(api: API, call: Call, request: Request) -> PreparedQueryRequest:
    query = _decode(request.body)
    return PreparedQueryRequest(datacenter=datacenter(api, call.target), op="create", query=query)


def _decode(data: bytes) -> PreparedQuery:
    try:
        return json.decode(PreparedQuery, data, strict=True)
    except json.BadJSON as error:
        raise BadRequest(f"Request decode failed: {error}") from None


def _render_created(api: API, call: Call, id: str) -> Response:
    return json_value(api.settings, {"ID": id}, call.pretty)


# ---- one query ----


class _Asked(NamedTuple):
    """What is asked about one query; C{record} has C{options}."""

    method: str
    record: Any


def _one(api: API, target: Target, rest: bytes) -> _Asked:
    """The end of the path says what is asked; the rest is an id or a name."""
    if target.path.endswith(_EXECUTE):
        return _Asked("PreparedQuery.Execute", _execute(api, target, rest.removesuffix(_EXECUTE)))
    if target.path.endswith(_EXPLAIN):
        return _Asked("PreparedQuery.Explain", _explain(api, target, rest.removesuffix(_EXPLAIN)))
    options = read_options(target, api.settings.read_defaults)
    return _Asked(
        "PreparedQuery.Get",
        PreparedQuerySpecificRequest(datacenter=datacenter(api, target), query_id=text(rest), options=options),
    )


def _explain(api: API, target: Target, name: bytes) -> PreparedQueryExecuteRequest:
    where = datacenter(api, target)
    node, agent = target.get("near"), api.settings.node_name
    record = PreparedQueryExecuteRequest(
        agent=QuerySource(datacenter=api.settings.datacenter, node=agent),
        datacenter=where,
        query_id_or_name=text(name),
        source=QuerySource(datacenter=where, node=agent if node == "_agent" else node),
        options=read_options(target, api.settings.read_defaults),
    )
    if limit := target.get("limit"):
        try:
            record = replace(record, limit=parse_int(limit))
        except ValueError as error:
            raise InvalidRequest(f"Bad limit: {error}") from None
    return record


def _execute(api: API, target: Target, name: bytes) -> PreparedQueryExecuteRequest:
    record = _explain(api, target, name)
    connect = target.get("connect")
    if not connect:
        return record
    try:
        return replace(record, connect=go_bool(connect))
    except ValueError:
        why = f"strconv.ParseBool: parsing {quote(connect)}: invalid syntax"
        raise InvalidRequest(f"Error parsing 'connect' value: {why}") from None


def _serve_one(api: API, call: Call, request: Request) -> Response | Deferred[Response]:
    method, record = call.prepared
    if control := request.header(b"cache-control"):
        record = replace(record, options=with_cache_control(record.options, control.decode("latin-1")))
    if method != "PreparedQuery.Execute":
        return done(api, api.door.call(method, record, api.context(call, request)), call, _RENDER[method])
    if record.options.use_cache:  # one answer for all who ask: it is near none of them
        answer = api.cache.call(method, record, api.context(call, request))
        if isinstance(answer, Deferred):
            answer.addErrback(_not_found_in_cache)
        return done(api, answer, call, _render_executed)
    record = replace(record, source=replace(record.source, ip=_asker(request)))
    return done(api, api.door.call(method, record, api.context(call, request)), call, _render_executed)


def _not_found_in_cache(failure: Failure) -> Failure:
    """Where the answer would have been kept, Consul does not tell that there is no such query from other errors."""
    if failure.check(NotFound):
        raise InvalidRequest(str(failure.value))
    return failure


def _asker(request: Request) -> str:
    """The address of whoever asks, as the first proxy has seen it; empty where it is not known."""
    forwarded = request.header(b"x-forwarded-for")
    if forwarded:
        try:
            return str(ip_address(forwarded.decode("latin-1").partition(",")[0].strip()))
        except ValueError:
            pass
    return request.client.rpartition(":")[0].strip("[]")


def _render_one(api: API, call: Call, answer: Answer) -> Response:
    head = meta_head(answer) + consistency_head(call.prepared.record.options)
    return json_value(api.settings, answer.value, call.pretty, head)


def _known(call: Call, answer: Answer, **changed: Any) -> tuple[bytes, Any]:
    """The headers that tell how fresh an answer is, and its value, which tells it too."""
    options = call.prepared.record.options
    value = replace(
        answer.value,
        index=answer.index,
        last_contact=int(answer.last_contact * SECOND),
        known_leader=answer.known_leader,
        consistency_level=consistency(options),
        **changed,
    )
    return meta_head(replace(answer, index=answer.index or 1)) + consistency_head(options), value


def _render_explained(api: API, call: Call, answer: Answer) -> Response:
    head, value = _known(call, answer)
    return json_value(api.settings, value, call.pretty, head)


_rendered = RenderedInstances()


def _render_executed(api: API, call: Call, answer: Answer) -> Response:
    """The answer; its order differs every time, so that only the instances' own parts can be kept."""
    head, shown = _known(call, answer, nodes=None)
    before, name, after = json.encode(shown).partition(b'"Nodes":null')
    assert name
    nodes = _rendered(answer.value.nodes or ()) or [b""]
    nodes[0] = before + b'"Nodes":[' + nodes[0]
    nodes[-1] += b"]" + after
    data = b",".join(nodes)  # which may be large: it is put together once
    return Response(200, api.settings.common_head + head + JSON, body(api.settings, data, call.pretty))


_RENDER: dict[str, Any] = {
    "PreparedQuery.Get": _render_one,
    "PreparedQuery.Execute": _render_executed,
    "PreparedQuery.Explain": _render_explained,
}


def _update(api: API, call: Call, request: Request) -> PreparedQueryRequest:
    query = _decode(request.body) if request.body else PreparedQuery()
    return _write(api, call, request, "update", query)


def _delete(api: API, call: Call, request: Request) -> PreparedQueryRequest:
    return _write(api, call, request, "delete", PreparedQuery())


def _write(api: API, call: Call, request: Request, op: str, query: PreparedQuery) -> PreparedQueryRequest:
    """The id is that of the path, whatever the body says."""
    if call.target.path.endswith((_EXECUTE, _EXPLAIN)):
        raise MethodNotAllowed(request.method.decode("latin-1"), ("GET",))
    query = replace(query, id=text(call.rest))
    return PreparedQueryRequest(datacenter=datacenter(api, call.target), op=op, query=query)


def _render_nothing(api: API, call: Call, _: Any) -> Response:
    return Response(200, api.settings.common_head + JSON, b"")


def _other(api: API, call: Call, request: Request) -> Response:
    """C{OPTIONS}, which has a body here, and methods that are not allowed."""
    runs = call.target.path.endswith((_EXECUTE, _EXPLAIN))
    allowed = ("GET",) if runs else ("GET", "PUT", "DELETE")
    if request.method != b"OPTIONS":
        raise MethodNotAllowed(request.method.decode("latin-1"), allowed)
    head = b"Allow: OPTIONS,%b\r\n" % ",".join(allowed).encode()
    return json_value(api.settings, {}, call.pretty, head)


ROUTES = [
    Route(
        b"/v1/query",
        {
            "GET": reads("PreparedQuery.List", _list, _render_queries, IGNORED, meta_on_error=True),
            "POST": asks("PreparedQuery.Apply", _create, _render_created, tenancy=IGNORED),
        },
    ),
    Route(
        b"/v1/query/",
        {
            "GET": Action(_serve_one, _one, IGNORED, meta_on_error=True),
            "PUT": asks("PreparedQuery.Apply", _update, _render_nothing, tenancy=IGNORED),
            "DELETE": asks("PreparedQuery.Apply", _delete, _render_nothing, tenancy=IGNORED),
            "*": Action(_other, tenancy=IGNORED),
        },
    ),
]
