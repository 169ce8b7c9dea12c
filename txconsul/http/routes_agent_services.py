"""
C{/v1/agent/}: the services and checks that the agent runs itself.

Source: Consul's documentation of the agent HTTP API, services and checks.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any, TypeVar

import msgspec

from txconsul.codec import json
from txconsul.endpoints.agent_services import Verdict
from txconsul.errors import BadRequest, InvalidRequest
from txconsul.http.answers import JSON, json_value, value
from txconsul.http.parameters import Target, read_wait
from txconsul.http.response import Response
from txconsul.http.routes import Action, Call, Route, asks, done, text
from txconsul.http.spellings import service_definition, standing_check
from txconsul.records.agent import (
    AgentService,
    CheckDefinition,
    CheckUpdate,
    LocalRequest,
    MaintenanceRequest,
    RegisterCheckRequest,
    RegisterServiceRequest,
    UpdateCheckRequest,
)
from txconsul.records.base import Record
from txconsul.records.health import CRITICAL, PASSING, WARNING, HealthCheck
from txconsul.records.query import QueryOptions
from txconsul.records.service import ServiceDefinition

if TYPE_CHECKING:
    from txconsul.http.api import API
    from txconsul.http.request import Request

__all__ = ["ROUTES"]

R = TypeVar("R", bound=Record)

#: What Go reads as a truth value.
_TRUE = frozenset({"1", "t", "T", "TRUE", "true", "True"})
_FALSE = frozenset({"0", "f", "F", "FALSE", "false", "False"})

# ---- reading definitions ----


def _decode(record: type[R], body: bytes, respell: Callable[[Any], Any]) -> R:
    """@raise BadRequest: the body is no such definition."""
    try:
        return json.from_json(record, respell(json.parse(body)), strict=True)
    except json.BadJSON as error:
        raise BadRequest(f"Request decode failed: {error}") from None


def _register_service(api: API, call: Call, request: Request) -> RegisterServiceRequest:
    definition = _decode(ServiceDefinition, request.body, service_definition)
    replace = call.target.query.get("replace-existing-checks", ["false"])
    token = api.context(call, request).token
    return RegisterServiceRequest(
        definition=definition,
        replace_existing_checks=replace[0] in ("", "true"),
        token=token,
    )


def _register_check(api: API, call: Call, request: Request) -> RegisterCheckRequest:
    definition = _decode(CheckDefinition, request.body, standing_check)
    return RegisterCheckRequest(definition=definition, token=api.context(call, request).token)


# ---- other requests ----


def _listed(api: API, target: Target, rest: bytes) -> LocalRequest:
    return LocalRequest(options=QueryOptions(filter=target.get("filter")))


def _one(api: API, target: Target, rest: bytes) -> LocalRequest:
    wait, index = read_wait(target)
    options = QueryOptions(max_query_time=wait, min_query_index=index)
    return LocalRequest(id=text(rest), hash=target.get("hash"), options=options)


def _named(api: API, call: Call, request: Request) -> LocalRequest:
    return LocalRequest(id=text(call.rest))


def _says(status: str) -> Callable[[API, Call, Request], UpdateCheckRequest]:
    def build(api: API, call: Call, request: Request) -> UpdateCheckRequest:
        return UpdateCheckRequest(check_id=text(call.rest), status=status, output=call.target.get("note"))

    return build


def _update(api: API, call: Call, request: Request) -> UpdateCheckRequest:
    body = _decode(CheckUpdate, request.body, lambda given: given)
    if body.status not in (PASSING, WARNING, CRITICAL):
        raise BadRequest(f"Invalid check status: '{body.status}'")
    return UpdateCheckRequest(check_id=text(call.rest), status=body.status, output=body.output)


def _enable(target: Target) -> bool:
    if "enable" not in target.query:
        raise BadRequest("Missing value for enable")
    given = target.get("enable")
    if given not in _TRUE and given not in _FALSE:
        raise BadRequest(f'Invalid value for enable: "{given}"')
    return given in _TRUE


def _service_maintenance(api: API, call: Call, request: Request) -> MaintenanceRequest:
    if not call.rest:
        raise BadRequest("Missing service ID")
    return _maintenance(api, call, request)


def _maintenance(api: API, call: Call, request: Request) -> MaintenanceRequest:
    return MaintenanceRequest(
        service_id=text(call.rest),
        enable=_enable(call.target),
        reason=call.target.get("reason"),
        token=api.context(call, request).token,
    )


# ---- answers ----


def _render_done(api: API, call: Call, _: Any) -> Response:
    return value(api.settings, b"", JSON)


def _render_plain(api: API, call: Call, found: Any) -> Response:
    return json_value(api.settings, found, call.pretty)


def _render_checks(api: API, call: Call, found: dict[str, HealthCheck]) -> Response:
    """Checks, whose lists are never null."""
    shown = {
        id: msgspec.structs.replace(one, service_tags=()) if one.service_tags is None else one
        for id, one in found.items()
    }
    return json_value(api.settings, shown, call.pretty)


def _render_service(api: API, call: Call, found: AgentService) -> Response:
    head = f"X-Consul-Contenthash: {found.content_hash}\r\n".encode()
    return json_value(api.settings, found, call.pretty, head)


#: What the definition of a check shows where it is shown in full: nothing, since the agent does not tell it here.
_NO_DEFINITION = {
    "HTTP": "",
    "Header": None,
    "Method": "",
    "Body": "",
    "TLSServerName": "",
    "TLSSkipVerify": False,
    "TCP": "",
    "TCPUseTLS": False,
    "UDP": "",
    "GRPC": "",
    "OSService": "",
    "GRPCUseTLS": False,
    "Interval": "0s",
    "Timeout": "0s",
    "DeregisterCriticalServiceAfter": "0s",
}


def _shown_check(check: HealthCheck) -> dict[str, Any]:
    return {
        "Node": check.node,
        "CheckID": check.check_id,
        "Name": check.name,
        "Status": check.status,
        "Notes": check.notes,
        "Output": check.output,
        "ServiceID": check.service_id,
        "ServiceName": check.service_name,
        "ServiceTags": check.service_tags,
        "Type": "",
        "ExposedPort": 0,
        "Definition": _NO_DEFINITION,
        "CreateIndex": 0,
        "ModifyIndex": 0,
    }


_STATUSES = {PASSING: 200, WARNING: 429}
_NOT_WELL = 503
_NO_SERVICE = 404


def _health(method: str, missing: str, single: bool) -> dict[str, Action]:
    """The agent's verdict, as a status of HTTP, as JSON or as one word."""

    def serve(api: API, call: Call, request: Request) -> Any:
        if not call.rest:
            raise InvalidRequest(missing)
        record = LocalRequest(id=text(call.rest))
        word = call.target.get("format") == "text" or (request.header(b"accept") or b"").startswith(b"text/plain")

        def render(api: API, call: Call, verdict: Verdict) -> Response:
            status = _STATUSES.get(verdict.status, _NOT_WELL) if verdict.found else _NO_SERVICE
            reason = verdict.status.encode("utf-8", "replace").translate(None, b"\r\n")
            head = b"X-Consul-Reason: %b\r\n" % reason
            if word:
                data = verdict.status.encode("utf-8", "replace")
                return Response(status, api.settings.common_head + head + b"Content-Type: text/plain\r\n", data)
            shown = [
                {
                    "AggregatedStatus": one.aggregated_status,
                    "Service": one.service,
                    "Checks": None if one.checks is None else [_shown_check(check) for check in one.checks],
                }
                for one in verdict.health
            ]
            answer = json_value(api.settings, shown[0] if single else shown, call.pretty, head)
            answer.status = status
            return answer

        return done(api, api.door.call(method, record, api.context(call, request)), call, render)

    return {"GET": Action(serve)}


def _puts(method: str, build: Callable[[API, Call, Request], Any]) -> dict[str, Action]:
    return {"PUT": asks(method, build, _render_done)}


def _gets(method: str, prepare: Any, render: Any) -> dict[str, Action]:
    return {"GET": asks(method, lambda api, call, request: call.prepared, render, prepare)}


ROUTES = [
    Route(b"/v1/agent/reload", _puts("Agent.Reload", _named)),
    Route(b"/v1/agent/services", _gets("Agent.Services", _listed, _render_plain)),
    Route(b"/v1/agent/checks", _gets("Agent.Checks", _listed, _render_checks)),
    Route(b"/v1/agent/service/", _gets("Agent.Service", _one, _render_service)),
    Route(b"/v1/agent/health/service/id/", _health("Agent.ServiceHealth", "Missing serviceID", True)),
    Route(b"/v1/agent/health/service/name/", _health("Agent.ServicesHealth", "Missing service Name", False)),
    Route(b"/v1/agent/service/register", _puts("Agent.RegisterService", _register_service)),
    Route(b"/v1/agent/service/deregister/", _puts("Agent.DeregisterService", _named)),
    Route(b"/v1/agent/service/maintenance/", _puts("Agent.Maintenance", _service_maintenance)),
    Route(b"/v1/agent/maintenance", _puts("Agent.Maintenance", _maintenance)),
    Route(b"/v1/agent/check/register", _puts("Agent.RegisterCheck", _register_check)),
    Route(b"/v1/agent/check/deregister/", _puts("Agent.DeregisterCheck", _named)),
    Route(b"/v1/agent/check/pass/", _puts("Agent.UpdateCheck", _says(PASSING))),
    Route(b"/v1/agent/check/warn/", _puts("Agent.UpdateCheck", _says(WARNING))),
    Route(b"/v1/agent/check/fail/", _puts("Agent.UpdateCheck", _says(CRITICAL))),
    Route(b"/v1/agent/check/update/", _puts("Agent.UpdateCheck", _update)),
]
