"""
C{/v1/coordinate/}.

Source: Consul's documentation of the coordinate HTTP API.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING, Any

import msgspec

from txconsul.codec import json
from txconsul.endpoints.registry import Answer
from txconsul.errors import BadRequest, TxconsulError
from txconsul.http.answers import JSON, empty, json_value, meta_head, value
from txconsul.http.parameters import Target, read_options
from txconsul.http.routes import BOTH, IGNORED, PARTITION, Call, Route, asks, datacenter, reads, text
from txconsul.records.coordinate import Coordinate, CoordinateUpdateRequest
from txconsul.records.queries import DCSpecificRequest, NodeSpecificRequest

if TYPE_CHECKING:
    from txconsul.http.api import API
    from txconsul.http.request import Request
    from txconsul.http.response import Response

__all__ = ["ROUTES"]


class CoordinatesDisabled(TxconsulError):
    """The agent was told to have nothing to do with coordinates (C{disable_coordinates})."""

    status = 401
    text = "Coordinate support disabled"


def _check_enabled(api: API, target: Target, rest: bytes) -> None:
    if not api.settings.coordinates:
        raise CoordinatesDisabled()


def _all(api: API, target: Target, rest: bytes) -> DCSpecificRequest:
    _check_enabled(api, target, rest)
    options = read_options(target, api.settings.read_defaults)
    return DCSpecificRequest(datacenter=datacenter(api, target), options=options)


def _of_node(api: API, target: Target, rest: bytes) -> NodeSpecificRequest:
    _check_enabled(api, target, rest)
    options = read_options(target, api.settings.read_defaults)
    return NodeSpecificRequest(datacenter=datacenter(api, target), node=text(rest), options=options)


def _any_datacenter(api: API, call: Call, request: Request) -> DCSpecificRequest:
    return DCSpecificRequest()


def _update(api: API, call: Call, request: Request) -> CoordinateUpdateRequest:
    try:
        record = json.decode(CoordinateUpdateRequest, request.body, strict=True)
    except json.BadJSON as error:
        raise BadRequest(f"Request decode failed: {error}") from None
    target = call.target
    asked = target.get("datacenter") or target.get("dc") or record.datacenter or api.settings.datacenter
    return msgspec.structs.replace(record, datacenter=asked, token="")


def _of_segment(target: Target, found: Iterable[Coordinate]) -> list[Coordinate]:
    """The coordinates of the segment that is named, which may be the empty one; all where none is named."""
    if not target.has("segment"):
        return list(found)
    segment = target.get("segment")
    return [one for one in found if one.segment == segment]


def _render_all(api: API, call: Call, answer: Answer) -> Response:
    return json_value(api.settings, _of_segment(call.target, answer.value), call.pretty, meta_head(answer))


def _render_node(api: API, call: Call, answer: Answer) -> Response:
    """A node's coordinates. Of a node without any, nothing is told, as by Consul."""
    found = _of_segment(call.target, answer.value)
    if not found:
        return empty(api.settings, 404)
    return json_value(api.settings, found, call.pretty, meta_head(answer))


def _render_done(api: API, call: Call, _: Any) -> Response:
    return value(api.settings, b"", JSON)


ROUTES = [
    Route(
        b"/v1/coordinate/datacenters",
        {"GET": asks("Coordinate.ListDatacenters", _any_datacenter, prepare=_check_enabled, tenancy=IGNORED)},
    ),
    Route(b"/v1/coordinate/nodes", {"GET": reads("Coordinate.ListNodes", _all, _render_all, PARTITION, True)}),
    Route(b"/v1/coordinate/node/", {"GET": reads("Coordinate.Node", _of_node, _render_node, PARTITION, True)}),
    Route(
        b"/v1/coordinate/update",
        {"PUT": asks("Coordinate.Update", _update, _render_done, prepare=_check_enabled, tenancy=BOTH)},
    ),
]
