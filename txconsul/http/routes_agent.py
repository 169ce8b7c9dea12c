"""
C{/v1/agent/}: the agent itself, as far as there is something to tell.

Source: Consul's documentation of the agent HTTP API.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

from twisted.internet.defer import Deferred

from txconsul.errors import BadRequest, InvalidRequest
from txconsul.http import prometheus
from txconsul.http.answers import JSON
from txconsul.http.parameters import Target
from txconsul.http.response import Response
from txconsul.http.routes import IGNORED, PARTITION, Action, Call, Prepare, Route, Tenancy, done, reads, render_value
from txconsul.metrics.metrics import Exposed
from txconsul.records.queries import DCSpecificRequest, MembersRequest, MonitorRequest
from txconsul.records.query import QueryOptions

if TYPE_CHECKING:
    from txconsul.http.api import API
    from txconsul.http.request import Request

__all__ = ["ROUTES"]


def _nothing(api: API, target: Target, rest: bytes) -> DCSpecificRequest:
    return DCSpecificRequest()


#: The segment that stands for all of them.
_ALL_SEGMENTS = "_all"


def _members(api: API, target: Target, rest: bytes) -> MembersRequest:
    wan = target.get("wan") != ""
    if target.get("segment") not in ("", _ALL_SEGMENTS):
        if wan:
            raise BadRequest("Cannot provide a segment with wan=true")
        PARTITION.check_query(target)
        raise InvalidRequest("Network segments are not supported in this version of Consul")
    return MembersRequest(wan=wan, options=QueryOptions(filter=target.get("filter")))


def _monitor(api: API, target: Target, rest: bytes) -> MonitorRequest:
    return MonitorRequest(level=target.get("loglevel") or "INFO", json=target.has("logjson"))


def _streamed(api: API, call: Call, pieces: Iterator[Any]) -> Response:
    """What comes bit by bit, for as long as the client wants it; Consul names no type for it."""
    return Response(200, api.settings.common_head, pieces)


def _tells(method: str, prepare: Prepare = _nothing, tenancy: Tenancy = IGNORED) -> dict[str, Action]:
    return {"GET": reads(method, prepare, tenancy=tenancy, heeds_cache=False)}


def _metrics(api: API, call: Call, request: Request) -> Response | Deferred[Response]:
    context = api.context(call, request)
    if prometheus.is_wanted(call.target.get("format"), (request.header(b"accept") or b"").decode("latin-1")):
        answer = api.door.call("Agent.ExposedMetrics", DCSpecificRequest(), context)
        return done(api, answer, call, _render_prometheus)
    return done(api, api.door.call("Agent.Metrics", DCSpecificRequest(), context), call, render_value)


def _render_prometheus(api: API, call: Call, exposed: list[Exposed]) -> Response:
    if not api.settings.prometheus:  # Consul says so in a header alone
        why = b"X-Consul-Reason: Prometheus is not enabled since its retention time is not positive\r\n"
        return Response(200, api.settings.common_head + why + JSON, b"")
    return Response(200, api.settings.common_head + prometheus.CONTENT_TYPE, prometheus.render(exposed))


def _index(api: API, call: Call, request: Request) -> Response:
    """What there is at the root: no web interface yet."""
    text = b"Consul Agent: UI disabled. To enable, set ui_config.enabled=true in the agent configuration and restart."
    return Response(200, api.settings.index_head + b"Content-Type: text/plain; charset=utf-8\r\n", text)


def _no_profiles(api: API, call: Call, request: Request) -> Response:
    """Go's profiles, which this program does not have."""
    return Response(404)


ROUTES = [
    Route(b"/", {"*": Action(_index, tenancy=IGNORED)}),
    Route(b"/debug/pprof/", {"*": Action(_no_profiles, tenancy=IGNORED)}),
    Route(b"/v1/agent/members", _tells("Agent.Members", _members, PARTITION)),
    Route(b"/v1/agent/self", _tells("Agent.Self")),
    Route(b"/v1/agent/version", _tells("Agent.Version")),
    Route(b"/v1/agent/host", _tells("Agent.Host")),
    Route(b"/v1/agent/monitor", {"GET": reads("Agent.Monitor", _monitor, _streamed, IGNORED, heeds_cache=False)}),
    Route(
        b"/v1/agent/metrics/stream", {"GET": reads("Agent.MetricsStream", _nothing, _streamed, IGNORED, False, False)}
    ),
    Route(b"/v1/agent/metrics", {"GET": Action(_metrics, tenancy=IGNORED)}),
]
