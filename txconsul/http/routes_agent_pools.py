"""
C{/v1/agent/}: the gossip pools that the agent belongs to, joined and left.

Source: Consul's documentation of the agent HTTP API.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from txconsul.http.answers import JSON, value
from txconsul.http.response import Response
from txconsul.http.routes import IGNORED, PARTITION, Action, Call, Route, Tenancy, asks, text
from txconsul.records.member import ForceLeaveRequest, JoinRequest
from txconsul.records.queries import DCSpecificRequest

if TYPE_CHECKING:
    from txconsul.http.api import API
    from txconsul.http.request import Request

__all__ = ["ROUTES"]


def _join(api: API, call: Call, request: Request) -> JoinRequest:
    return JoinRequest(address=text(call.rest), wan=call.target.get("wan") != "")


def _force_leave(api: API, call: Call, request: Request) -> ForceLeaveRequest:
    return ForceLeaveRequest(node=text(call.rest), wan=call.target.has("wan"), prune=call.target.has("prune"))


def _leave(api: API, call: Call, request: Request) -> DCSpecificRequest:
    return DCSpecificRequest()


def _render_done(api: API, call: Call, _: Any) -> Response:
    return value(api.settings, b"", JSON)


def _puts(method: str, build: Callable[[API, Call, Request], Any], tenancy: Tenancy = PARTITION) -> dict[str, Action]:
    return {"PUT": asks(method, build, _render_done, tenancy=tenancy)}


ROUTES = [
    Route(b"/v1/agent/join/", _puts("Agent.Join", _join)),
    Route(b"/v1/agent/leave", _puts("Agent.Leave", _leave, IGNORED)),
    Route(b"/v1/agent/force-leave/", _puts("Agent.ForceLeave", _force_leave)),
]
