"""
C{/v1/catalog/} and C{/v1/health/}: the first slice.

Source: Consul's documentation of the catalog and health HTTP APIs.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING, Any, TypeVar

import msgspec

from txconsul.codec import json
from txconsul.endpoints.registry import Answer
from txconsul.errors import BadRequest, InvalidRequest
from txconsul.http.answers import cache_head, consistency_head, json_value, meta_head, shown
from txconsul.http.parameters import Target, read_options
from txconsul.http.routes import (
    BOTH,
    PARTITION,
    Action,
    Call,
    Render,
    Route,
    Tenancy,
    asks,
    datacenter,
    explained,
    reads,
    source,
    text,
)
from txconsul.http.spellings import registration
from txconsul.records.catalog import CheckServiceNode, DeregisterRequest, RegisterRequest, ServiceNode
from txconsul.records.health import HealthCheck
from txconsul.records.queries import (
    ChecksInStateRequest,
    DCSpecificRequest,
    NodeSpecificRequest,
    ServiceSpecificRequest,
)
from txconsul.records.virtual_ip import AssignServiceManualVIPsRequest

if TYPE_CHECKING:
    from txconsul.http.api import API
    from txconsul.http.request import Request
    from txconsul.http.response import Response

__all__ = ["ROUTES"]

R = TypeVar("R", RegisterRequest, DeregisterRequest, AssignServiceManualVIPsRequest)

#: What Go reads as a truth value.
_TRUE = frozenset({"1", "t", "T", "TRUE", "true", "True"})
_FALSE = frozenset({"0", "f", "F", "FALSE", "false", "False"})
#: The parameters that say how fresh an answer is to be.
_FRESHNESS = frozenset({"stale", "consistent", "leader", "cached", "max_stale"})
#: Consul answers who waits for the health of a service from a view that it keeps of it, and says so.
_BLOCKING, _STREAMING = b"Query-Backend: blocking-query", b"Query-Backend: streaming"


def _consistency_head(call: Call, answer: Answer) -> bytes:
    """What is known of the answer, and which consistency it was read with."""
    return meta_head(answer) + consistency_head(call.prepared.options)


def _render(api: API, call: Call, answer: Answer) -> Response:
    return shown(api.settings, answer, _as_it_is, call.pretty, _consistency_head(call, answer))


def _as_it_is(value: Any) -> Any:
    return value


def _render_datacenters(api: API, call: Call, answer: Any) -> Response:
    """Names, of which no index is known."""
    if type(answer) is Answer and answer.cached is not None:
        return json_value(api.settings, answer.value, call.pretty, cache_head(answer.cached))
    return json_value(api.settings, answer, call.pretty)


def _render_checks(api: API, call: Call, answer: Answer) -> Response:
    return shown(api.settings, answer, _show_checks, call.pretty, _consistency_head(call, answer))


def _show_checks(checks: Iterable[HealthCheck]) -> list[HealthCheck]:
    """Checks, whose lists are never null."""
    return [_filled(one, service_tags=()) for one in checks]


def _render_instances(api: API, call: Call, answer: Answer) -> Response:
    return shown(api.settings, answer, _show_instances, call.pretty, _consistency_head(call, answer))


def _show_instances(instances: list[ServiceNode]) -> list[ServiceNode]:
    """Instances of a service, whose lists and maps are never null."""
    return [_filled(one, service_tags=(), service_meta={}) for one in instances]


def _render_health(api: API, call: Call, answer: Answer) -> Response:
    head = _consistency_head(call, answer)
    target = call.target
    request = call.prepared
    if (
        (request.options.min_query_index > 0 or request.options.use_cache)
        and api.settings.read_defaults.streaming
        and not (target.get("near") or request.merge_central_config or request.ingress)
    ):
        head = head.replace(_BLOCKING, _STREAMING)
    return shown(api.settings, answer, _show_health, call.pretty, head)


def _show_health(instances: list[CheckServiceNode]) -> list[dict[str, Any]]:
    """Instances with their checks, whose lists are never null."""
    return [
        {"Node": one.node, "Service": _filled(one.service, tags=()), "Checks": _show_checks(one.checks or ())}
        for one in instances
    ]


def _filled(record: Any, **empties: Any) -> Any:
    """The record with empty lists and maps where it has none."""
    missing = {name: empty for name, empty in empties.items() if getattr(record, name) is None}
    return msgspec.structs.replace(record, **missing) if missing else record


def _render_node(api: API, call: Call, answer: Answer) -> Response:
    """A node with its services by their ids; null where there is none."""
    body = None
    if answer.value is not None:
        node, services = answer.value
        body = {"Node": node, "Services": {name: _filled(one, tags=()) for name, one in services.items()}}
    return json_value(api.settings, body, call.pretty, _consistency_head(call, answer))


def _render_node_list(api: API, call: Call, answer: Answer) -> Response:
    """A node with a list of its services."""
    node, services = (None, {}) if answer.value is None else answer.value
    body = {"Node": node, "Services": [_filled(one, tags=()) for one in services.values()] or None}
    return json_value(api.settings, body, call.pretty, _consistency_head(call, answer))


def _meta_filters(target: Target) -> dict[str, str] | None:
    """The C{?node-meta=name:value} parameters."""
    given = target.query.get("node-meta")
    if not given:
        return None
    pairs = (one.partition(":") for one in given)
    return {name: value for name, _, value in pairs}


def _of_dc(api: API, target: Target, rest: bytes) -> DCSpecificRequest:
    options = read_options(target, api.settings.read_defaults)
    return DCSpecificRequest(
        datacenter=datacenter(api, target),
        node_meta_filters=_meta_filters(target),
        source=source(api, target),
        options=options,
    )


def _of_datacenters(api: API, target: Target, rest: bytes) -> DCSpecificRequest:
    """Every agent knows the datacenters: nothing is asked but how fresh the answer is."""
    heeded = {name: values for name, values in target.query.items() if name in _FRESHNESS}
    options = read_options(target._replace(query=heeded), api.settings.read_defaults)
    return DCSpecificRequest(datacenter=api.settings.datacenter, options=options)


def _of_node(api: API, target: Target, rest: bytes) -> NodeSpecificRequest:
    options = read_options(target, api.settings.read_defaults)
    if not rest:
        raise BadRequest("Missing node name")
    return NodeSpecificRequest(datacenter=datacenter(api, target), node=text(rest), options=options)


def _of_node_merged(api: API, target: Target, rest: bytes) -> NodeSpecificRequest:
    request = _of_node(api, target, rest)
    return msgspec.structs.replace(request, merge_central_config=target.has("merge-central-config"))


def _of_service(api: API, target: Target, rest: bytes) -> ServiceSpecificRequest:
    options = read_options(target, api.settings.read_defaults)
    if not rest:
        raise BadRequest("Missing service name")
    return ServiceSpecificRequest(
        datacenter=datacenter(api, target),
        service_name=text(rest),
        service_tags=tuple(target.query.get("tag", ())),
        node_meta_filters=_meta_filters(target),
        merge_central_config=target.has("merge-central-config"),
        peer_name=target.get("peer"),
        source=source(api, target),
        options=options,
    )


def _of_checks(api: API, target: Target, rest: bytes) -> ServiceSpecificRequest:
    """Only instances are asked for by their peer: of all else, the parameter means nothing, as in Consul."""
    return msgspec.structs.replace(_of_service(api, target, rest), peer_name="")


def _of_mesh(api: API, target: Target, rest: bytes) -> ServiceSpecificRequest:
    return msgspec.structs.replace(_of_service(api, target, rest), connect=True)


def _of_health(api: API, target: Target, rest: bytes) -> ServiceSpecificRequest:
    group = target.get("sg") or target.get("sameness-group")
    if group and target.get("peer"):
        raise BadRequest("peer-name and sameness-group are mutually exclusive")
    request = _of_service(api, target, rest)
    if group:
        raise InvalidRequest("sameness groups are not supported in consul CE")
    if not target.has("passing"):
        return request
    passing = target.get("passing")
    if passing and passing not in _TRUE and passing not in _FALSE:
        raise BadRequest("Invalid value for ?passing")
    return msgspec.structs.replace(request, must_be_passing=passing not in _FALSE)


def _of_mesh_health(api: API, target: Target, rest: bytes) -> ServiceSpecificRequest:
    return msgspec.structs.replace(_of_health(api, target, rest), connect=True)


def _of_ingress_health(api: API, target: Target, rest: bytes) -> ServiceSpecificRequest:
    return msgspec.structs.replace(_of_health(api, target, rest), ingress=True)


def _of_gateway(api: API, target: Target, rest: bytes) -> ServiceSpecificRequest:
    options = read_options(target, api.settings.read_defaults)
    if not rest:
        raise BadRequest("Missing gateway name")
    return ServiceSpecificRequest(datacenter=datacenter(api, target), service_name=text(rest), options=options)


def _of_state(api: API, target: Target, rest: bytes) -> ChecksInStateRequest:
    options = read_options(target, api.settings.read_defaults)
    if not rest:
        raise BadRequest("Missing check state")
    return ChecksInStateRequest(
        datacenter=datacenter(api, target),
        state=text(rest),
        node_meta_filters=_meta_filters(target),
        source=source(api, target),
        options=options,
    )


def _reads(
    method: str,
    prepare: Any,
    render: Render = _render,
    tenancy: Tenancy = BOTH,
    meta_on_error: bool = True,
    cached: bool = False,
) -> dict[str, Action]:
    return {"GET": reads(method, prepare, render, tenancy, meta_on_error, cached=cached)}


def _reads_health(prepare: Any) -> dict[str, Action]:
    return _reads("Health.ServiceNodes", prepare, _render_health, meta_on_error=False, cached=True)


def _register(api: API, call: Call, request: Request) -> RegisterRequest:
    return _in_datacenter(api, _decode(RegisterRequest, request.body, registration))


def _deregister(api: API, call: Call, request: Request) -> DeregisterRequest:
    return _in_datacenter(api, _decode(DeregisterRequest, request.body))


def _decode(record: type[R], body: bytes, respell: Callable[[Any], Any] = _as_it_is) -> R:
    try:
        return json.from_json(record, respell(json.parse(body)), strict=True)
    except json.BadJSON as error:
        raise BadRequest(f"Request decode failed: {explained(str(error))}") from None


def _in_datacenter(api: API, record: R) -> R:
    """The record with the datacenter that it goes to: as it says itself. C{?dc} means nothing here, as in Consul."""
    return record if record.datacenter else msgspec.structs.replace(record, datacenter=api.settings.datacenter)


def _render_true(api: API, call: Call, _: Any) -> Response:
    return json_value(api.settings, True, call.pretty)


def _assign_vips(api: API, call: Call, request: Request) -> AssignServiceManualVIPsRequest:
    return _in_datacenter(api, _decode(AssignServiceManualVIPsRequest, request.body))


ROUTES = [
    Route(b"/v1/internal/service-virtual-ip", {"PUT": asks("Internal.AssignManualServiceVIPs", _assign_vips)}),
    Route(b"/v1/catalog/register", {"PUT": asks("Catalog.Register", _register, _render_true)}),
    Route(b"/v1/catalog/deregister", {"PUT": asks("Catalog.Deregister", _deregister, _render_true)}),
    Route(
        b"/v1/catalog/datacenters",
        {"GET": reads("Catalog.ListDatacenters", _of_datacenters, _render_datacenters, Tenancy(), cached=True)},
    ),
    Route(b"/v1/catalog/nodes", _reads("Catalog.ListNodes", _of_dc, tenancy=PARTITION)),
    Route(b"/v1/catalog/services", _reads("Catalog.ListServices", _of_dc, cached=True)),
    Route(b"/v1/catalog/node/", _reads("Catalog.NodeServices", _of_node, _render_node)),
    Route(b"/v1/catalog/node-services/", _reads("Catalog.NodeServices", _of_node_merged, _render_node_list)),
    Route(b"/v1/catalog/service/", _reads("Catalog.ServiceNodes", _of_service, _render_instances, cached=True)),
    Route(b"/v1/catalog/connect/", _reads("Catalog.ServiceNodes", _of_mesh, _render_instances, cached=True)),
    Route(b"/v1/catalog/gateway-services/", _reads("Catalog.GatewayServices", _of_gateway)),
    Route(b"/v1/health/node/", _reads("Health.NodeChecks", _of_node, _render_checks)),
    Route(b"/v1/health/checks/", _reads("Health.ServiceChecks", _of_checks, _render_checks)),
    Route(b"/v1/health/state/", _reads("Health.ChecksInState", _of_state, _render_checks)),
    Route(b"/v1/health/service/", _reads_health(_of_health)),
    Route(b"/v1/health/connect/", _reads_health(_of_mesh_health)),
    Route(b"/v1/health/ingress/", _reads_health(_of_ingress_health)),
]
