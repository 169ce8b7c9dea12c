"""
C{/v1/internal/ui/}: what the web UI asks.

Source: Consul's internal UI endpoints, which its web UI uses and no page documents.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

import msgspec

from txconsul.codec import json
from txconsul.codec.goquote import quote
from txconsul.endpoints.registry import Answer
from txconsul.errors import BadRequest, NotFound
from txconsul.http.answers import JSON, empty, json_pieces, json_value, meta_head, shown, value
from txconsul.http.lists import PIECE_ROWS, rendered_rows
from txconsul.http.parameters import Target, read_options
from txconsul.http.routes import BOTH, IGNORED, PARTITION, Action, Call, Prepare, Render, Route, datacenter, reads, text
from txconsul.records.queries import DCSpecificRequest, NodeSpecificRequest, ServiceSpecificRequest
from txconsul.records.query import Context

if TYPE_CHECKING:
    from txconsul.http.api import API
    from txconsul.http.request import Request
    from txconsul.http.response import Response

__all__ = ["ROUTES"]

_VERSION = "consul-version"
_KINDS = frozenset({"", "ingress-gateway", "api-gateway"})


# ---- what is asked ----


def _of_all(api: API, target: Target, rest: bytes) -> DCSpecificRequest:
    options = read_options(target, api.settings.read_defaults)
    return DCSpecificRequest(datacenter=datacenter(api, target), options=options)


def _of_all_from_peer(api: API, target: Target, rest: bytes) -> DCSpecificRequest:
    return msgspec.structs.replace(_of_all(api, target, rest), peer_name=target.get("peer"))


def _of_node(api: API, target: Target, rest: bytes) -> NodeSpecificRequest:
    options = read_options(target, api.settings.read_defaults)
    if not rest:
        raise BadRequest("Missing node name")
    return NodeSpecificRequest(
        datacenter=datacenter(api, target), node=text(rest), peer_name=target.get("peer"), options=options
    )


def _of_named(missing: str) -> Callable[[API, Target, bytes], ServiceSpecificRequest]:
    def prepare(api: API, target: Target, rest: bytes) -> ServiceSpecificRequest:
        options = read_options(target, api.settings.read_defaults)
        if not rest:
            raise BadRequest(missing)
        return ServiceSpecificRequest(datacenter=datacenter(api, target), service_name=text(rest), options=options)

    return prepare


_of_service, _of_gateway = _of_named("Missing service name"), _of_named("Missing gateway name")


def _of_topology(api: API, target: Target, rest: bytes) -> ServiceSpecificRequest:
    request = _of_service(api, target, rest)
    if not target.has("kind"):
        raise BadRequest("Missing service kind")
    kind = target.get("kind")
    if kind not in _KINDS:
        raise BadRequest(f"Unsupported service kind {quote(kind)}")
    return msgspec.structs.replace(request, service_kind=kind)


# ---- what is answered ----


def _rows(api: API, call: Call, answer: Answer, render: Callable[[Any], bytes]) -> Response:
    """Rows, each rendered once: a long list is made as it goes out."""
    head, rows = meta_head(answer), answer.value
    if call.pretty or api.settings.always_pretty or len(rows) <= PIECE_ROWS:
        data = b"".join(rendered_rows(rows, render))
        if call.pretty or api.settings.always_pretty:
            data = json.indent(data) + b"\n" * call.pretty
        return value(api.settings, data, head + JSON)
    return json_pieces(api.settings, rendered_rows(rows, render), head)


def _render_rows(api: API, call: Call, answer: Answer) -> Response:
    if answer.view is not None:
        return shown(api.settings, answer, _records, call.pretty, meta_head(answer))
    return _rows(api, call, answer, _rendered)


def _rendered(row: Any) -> bytes:
    data: bytes = row.rendered()
    return data


def _records(rows: Sequence[Any]) -> list[Any]:
    return [row.record for row in rows]


def _render_nodes(api: API, call: Call, answer: Answer) -> Response:
    versions = _versions(api)

    def render(row: Any) -> bytes:
        node = row.record
        known = None if node is None else _versioned(node, versions)
        return _rendered(row) if known is node else json.encode(known)

    return _rows(api, call, answer, render)


def _versions(api: API) -> dict[str, str]:
    """Versions by addresses."""
    found: dict[str, str] = api.door.call("UI.Versions", DCSpecificRequest(), Context())
    return found


def _versioned(node: Any, versions: dict[str, str]) -> Any:
    """A node that does not say which version of Consul it runs, with that of its address."""
    version = versions.get(node.address)
    if version is None or _VERSION in (node.meta or {}):
        return node
    return msgspec.structs.replace(node, meta={**(node.meta or {}), _VERSION: version})


def _render_node(api: API, call: Call, answer: Answer) -> Response:
    if answer.value is None:
        return empty(api.settings, 404)
    return json_value(api.settings, _versioned(answer.value, _versions(api)), call.pretty, meta_head(answer))


def _render_topology(api: API, call: Call, answer: Answer) -> Response:
    return shown(api.settings, answer, _only, call.pretty, meta_head(answer))


def _only(values: Sequence[Any]) -> Any:
    return values[0]


def _metrics_proxy(api: API, call: Call, request: Request) -> Response:
    raise NotFound("UI is not enabled")


def _reads(method: str, prepare: Prepare, render: Render | None = None) -> dict[str, Action]:
    """Errors, too, tell of an index."""
    if render is None:
        return {"GET": reads(method, prepare, tenancy=BOTH, meta_on_error=True)}
    return {"GET": reads(method, prepare, render, BOTH, True)}


ROUTES = [
    Route(b"/v1/internal/ui/metrics-proxy/", {"GET": Action(_metrics_proxy, tenancy=IGNORED)}),
    Route(b"/v1/internal/ui/nodes", _reads("UI.Nodes", _of_all, _render_nodes)),
    Route(b"/v1/internal/ui/node/", _reads("UI.Node", _of_node, _render_node)),
    Route(b"/v1/internal/ui/services", _reads("UI.Services", _of_all_from_peer, _render_rows)),
    Route(b"/v1/internal/ui/exported-services", _reads("Internal.ExportedServicesForPeer", _of_all_from_peer)),
    Route(b"/v1/internal/ui/catalog-overview", {"GET": reads("Internal.CatalogOverview", _of_all, tenancy=PARTITION)}),
    Route(b"/v1/internal/ui/gateway-services-nodes/", _reads("Internal.GatewayServiceDump", _of_gateway)),
    Route(b"/v1/internal/ui/gateway-intentions/", _reads("Internal.GatewayIntentions", _of_gateway)),
    Route(b"/v1/internal/ui/service-topology/", _reads("UI.Topology", _of_topology, _render_topology)),
]
