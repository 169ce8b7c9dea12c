"""
C{/v1/agent/}: the agent itself, as far as there is something to tell.

Source: Consul's documentation of the agent HTTP API.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from txconsul.http.parameters import Target
from txconsul.http.response import Response
from txconsul.http.routes import IGNORED, Action, Call, Prepare, Route, reads
from txconsul.records.queries import DCSpecificRequest
from txconsul.records.query import QueryOptions

if TYPE_CHECKING:
    from txconsul.http.api import API
    from txconsul.http.request import Request

__all__ = ["ROUTES"]


def _nothing(api: API, target: Target, rest: bytes) -> DCSpecificRequest:
    return DCSpecificRequest()


def _filtered(api: API, target: Target, rest: bytes) -> DCSpecificRequest:
    return DCSpecificRequest(options=QueryOptions(filter=target.get("filter")))


def _tells(method: str, prepare: Prepare = _nothing) -> dict[str, Action]:
    return {"GET": reads(method, prepare, tenancy=IGNORED)}


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
    Route(b"/v1/agent/members", _tells("Agent.Members", _filtered)),
    Route(b"/v1/agent/self", _tells("Agent.Self")),
    Route(b"/v1/agent/version", _tells("Agent.Version")),
    Route(b"/v1/agent/host", _tells("Agent.Host")),
    Route(b"/v1/agent/metrics", _tells("Agent.Metrics")),
]
