"""
C{/v1/snapshot}: the whole state, saved and restored.

Source: Consul's documentation of the snapshot HTTP API.
"""

from __future__ import annotations

from io import BytesIO
from typing import TYPE_CHECKING, Any

from twisted.internet.defer import Deferred

from txconsul.endpoints.registry import Answer
from txconsul.endpoints.site import Saved
from txconsul.http.answers import meta_head
from txconsul.http.response import Response
from txconsul.http.routes import IGNORED, Action, Call, Route, datacenter, done
from txconsul.records.archive import SnapshotRequest

if TYPE_CHECKING:
    from txconsul.http.api import API
    from txconsul.http.request import Request

__all__ = ["ROUTES"]


def _save(api: API, call: Call, request: Request) -> Response | Deferred[Response]:
    asked = SnapshotRequest(datacenter=datacenter(api, call.target), allow_stale=call.target.has("stale"))
    return done(api, api.door.call("Snapshot.Save", asked, api.context(call, request)), call, _render_saved)


def _render_saved(api: API, call: Call, saved: Saved) -> Response:
    head = meta_head(Answer(saved.index, None)) + b"Content-Type: application/x-gzip\r\n"
    return Response(200, api.settings.common_head + head, saved.pieces)


def _restore(api: API, call: Call, request: Request) -> Response | Deferred[Response]:
    archive = request.sink.file() if request.sink is not None else BytesIO(request.body)
    target = call.target
    asked = SnapshotRequest(datacenter=datacenter(api, target), allow_stale=target.has("stale"), archive=archive)
    try:
        answer = api.door.call("Snapshot.Restore", asked, api.context(call, request))
    except Exception:
        archive.close()
        raise
    if type(answer) is Deferred:
        answer.addBoth(_closing, archive)
    return done(api, answer, call, _render_restored)


def _closing(result: Any, archive: Any) -> Any:
    archive.close()
    return result


def _render_restored(api: API, call: Call, _: Any) -> Response:
    return Response(200, api.settings.common_head + b"Content-Type: application/octet-stream\r\n", b"")


ROUTES = [Route(b"/v1/snapshot", {"GET": Action(_save, tenancy=IGNORED), "PUT": Action(_restore, tenancy=IGNORED)})]
