"""
C{/v1/status/} and C{/v1/operator/}: who leads, who belongs to the group, and how it looks after itself.

Source: Consul's documentation of the status and operator HTTP APIs.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import msgspec

from txconsul.codec import json
from txconsul.codec.duration import BadDuration
from txconsul.errors import BadRequest
from txconsul.http.answers import json_value
from txconsul.http.parameters import Target, parse_uint, read_options
from txconsul.http.response import Response
from txconsul.http.routes import IGNORED, Call, Route, asks, datacenter, reads
from txconsul.records.autopilot import AutopilotConfig, AutopilotConfiguration, AutopilotSetConfigRequest
from txconsul.records.queries import DCSpecificRequest

if TYPE_CHECKING:
    from txconsul.http.api import API
    from txconsul.http.request import Request

__all__ = ["ROUTES"]


def _of_dc(api: API, target: Target, rest: bytes) -> DCSpecificRequest:
    options = read_options(target, api.settings.read_defaults)
    return DCSpecificRequest(datacenter=datacenter(api, target), options=options)


def _render_autopilot(api: API, call: Call, config: AutopilotConfig) -> Response:
    shown = AutopilotConfiguration(**{name: getattr(config, name) for name in AutopilotConfiguration.__struct_fields__})
    return json_value(api.settings, shown, call.pretty)


def _set_autopilot(api: API, call: Call, request: Request) -> AutopilotSetConfigRequest:
    try:
        given = json.from_json(AutopilotConfiguration, json.parse(request.body), strict=True)
    except (json.BadJSON, BadDuration) as error:
        raise BadRequest(f"Error parsing autopilot config: {error}") from None
    config = AutopilotConfig(**{name: getattr(given, name) for name in _SETTINGS})
    cas = call.target.has("cas")
    if cas:
        try:
            config = msgspec.structs.replace(config, modify_index=parse_uint(call.target.get("cas")))
        except ValueError as error:
            raise BadRequest(f"Error parsing cas value: {error}") from None
    return AutopilotSetConfigRequest(datacenter=datacenter(api, call.target), config=config, cas=cas)


#: What a client may set; indexes are not.
_SETTINGS = tuple([name for name in AutopilotConfiguration.__struct_fields__ if not name.endswith("_index")])

ROUTES = [
    Route(b"/v1/status/leader", {"GET": reads("Status.Leader", _of_dc, tenancy=IGNORED)}),
    Route(b"/v1/status/peers", {"GET": reads("Status.Peers", _of_dc, tenancy=IGNORED)}),
    Route(
        b"/v1/operator/autopilot/configuration",
        {
            "GET": reads("Operator.AutopilotGetConfiguration", _of_dc, _render_autopilot, IGNORED),
            "PUT": asks("Operator.AutopilotSetConfiguration", _set_autopilot, tenancy=IGNORED),
        },
    ),
    Route(
        b"/v1/operator/raft/configuration",
        {"GET": reads("Operator.RaftGetConfiguration", _of_dc, tenancy=IGNORED)},
    ),
]
