"""
C{/v1/agent/}: the agent itself, as far as there is something to tell.

Source: Consul's documentation of the agent HTTP API.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from txconsul.http.parameters import Target
from txconsul.http.routes import IGNORED, Action, Route, reads
from txconsul.records.queries import DCSpecificRequest

if TYPE_CHECKING:
    from txconsul.http.api import API

__all__ = ["ROUTES"]


def _nothing(api: API, target: Target, rest: bytes) -> DCSpecificRequest:
    return DCSpecificRequest()


def _tells(method: str) -> dict[str, Action]:
    return {"GET": reads(method, _nothing, tenancy=IGNORED)}


ROUTES = [
    Route(b"/v1/agent/self", _tells("Agent.Self")),
    Route(b"/v1/agent/version", _tells("Agent.Version")),
    Route(b"/v1/agent/host", _tells("Agent.Host")),
    Route(b"/v1/agent/metrics", _tells("Agent.Metrics")),
]
