"""
C{/v1/status/} and C{/v1/operator/}: who leads, who belongs to the group, and how it looks after itself.

Source: Consul's documentation of the status and operator HTTP APIs.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import msgspec
from twisted.internet.defer import Deferred

from txconsul.codec import json
from txconsul.codec.duration import SECOND, BadDuration
from txconsul.codec.gotime import pack_time, unpack_time
from txconsul.endpoints.registry import Answer
from txconsul.errors import BadRequest
from txconsul.http.answers import JSON, consistency, consistency_head, json_value, meta_head, value
from txconsul.http.parameters import Target, parse_uint, read_options
from txconsul.http.response import Response
from txconsul.http.routes import IGNORED, PARTITION, Action, Call, Route, asks, datacenter, done, reads
from txconsul.records.autopilot import AutopilotConfig, AutopilotConfiguration, AutopilotSetConfigRequest
from txconsul.records.member import STATUS_WORDS
from txconsul.records.operator import (
    AutopilotHealthReply,
    AutopilotServerHealth,
    OperatorHealthReply,
    OperatorServerHealth,
    OperatorUsageRequest,
    RaftRemovePeerRequest,
    TransferLeaderRequest,
)
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


def _remove_peer(api: API, call: Call, request: Request) -> Response | Deferred[Response]:
    """Two methods share a path: which of them is meant, the query says."""
    target = call.target
    by_id = target.has("id")
    if by_id == target.has("address"):
        raise BadRequest(
            "Must specify only one of ?id or ?address"
            if by_id
            else "Must specify either ?id with the server's ID or ?address with IP:port of peer to remove"
        )
    method = "Operator.RaftRemovePeerByID" if by_id else "Operator.RaftRemovePeerByAddress"
    record = RaftRemovePeerRequest(
        address=target.get("address"), datacenter=datacenter(api, target), id=target.get("id")
    )
    return done(api, api.door.call(method, record, api.context(call, request)), call, _render_nothing)


def _render_nothing(api: API, call: Call, answer: Any) -> Response:
    return value(api.settings, b"", JSON)


def _transfer(api: API, call: Call, request: Request) -> TransferLeaderRequest:
    return TransferLeaderRequest(id=call.target.get("id"))


def _render_health(api: API, call: Call, reply: AutopilotHealthReply) -> Response:
    """The health; with 429 where a server is not well."""
    servers = None
    if reply.servers is not None:
        servers = tuple([_shown_health(one) for one in reply.servers])
    health = OperatorHealthReply(healthy=reply.healthy, failure_tolerance=reply.failure_tolerance, servers=servers)
    response = json_value(api.settings, health, call.pretty)
    if not reply.healthy:
        response.status = 429
    return response


_SHOWN_AS_IT_IS = tuple(
    [one for one in OperatorServerHealth.__struct_fields__ if one not in ("serf_status", "stable_since")]
)


def _shown_health(server: AutopilotServerHealth) -> OperatorServerHealth:
    """A server's health in words, and since when to the second."""
    seconds = round(unpack_time(server.stable_since) / SECOND)
    return OperatorServerHealth(
        serf_status=STATUS_WORDS.get(server.serf_status, ""),
        stable_since=pack_time(seconds * SECOND),
        **{name: getattr(server, name) for name in _SHOWN_AS_IT_IS},
    )


def _usage_of(api: API, target: Target, rest: bytes) -> OperatorUsageRequest:
    options = read_options(target, api.settings.read_defaults)
    return OperatorUsageRequest(global_=target.has("global"), options=options)


def _render_usage(api: API, call: Call, answer: Answer) -> Response:
    options = call.prepared.options
    body = {
        "Usage": {api.settings.datacenter: answer.value},
        "Index": answer.index,
        "LastContact": int(answer.last_contact * SECOND),
        "KnownLeader": answer.known_leader,
        "ConsistencyLevel": consistency(options),
        "NotModified": False,
        "Backend": 0,
        "ResultsFilteredByACLs": False,
    }
    return json_value(api.settings, body, call.pretty, meta_head(answer) + consistency_head(options))


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
    Route(b"/v1/operator/raft/peer", {"DELETE": Action(_remove_peer, tenancy=IGNORED)}),
    Route(
        b"/v1/operator/raft/transfer-leader", {"POST": asks("Operator.TransferLeader", _transfer, tenancy=PARTITION)}
    ),
    Route(
        b"/v1/operator/autopilot/health",
        {"GET": reads("Operator.ServerHealth", _of_dc, _render_health, IGNORED)},
    ),
    Route(b"/v1/operator/autopilot/state", {"GET": reads("Operator.AutopilotState", _of_dc, tenancy=IGNORED)}),
    Route(b"/v1/operator/usage", {"GET": reads("Operator.Usage", _usage_of, _render_usage, PARTITION)}),
]
