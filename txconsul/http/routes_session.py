"""
C{/v1/session/}: sessions.

Source: Consul's documentation of the session HTTP API.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import msgspec

from txconsul.codec import json
from txconsul.codec.duration import SECOND, BadDuration, parse_duration
from txconsul.endpoints.registry import Answer
from txconsul.errors import BadRequest, NotFound
from txconsul.http.answers import json_value
from txconsul.http.parameters import Target, read_options
from txconsul.http.routes import Call, Route, asks, datacenter, reads, text
from txconsul.records.health import SERF_HEALTH
from txconsul.records.queries import NodeSpecificRequest
from txconsul.records.session import Session, SessionRequest, SessionSpecificRequest

if TYPE_CHECKING:
    from txconsul.http.api import API
    from txconsul.http.parser import Request
    from txconsul.http.response import Response

__all__ = ["ROUTES"]

LOCK_DELAY_DEFAULT = 15 * SECOND
#: A lock delay given as a number below this is in seconds, otherwise in nanoseconds.
LOCK_DELAY_SECONDS_BELOW = 1000


def _create(api: API, call: Call, request: Request) -> SessionRequest:
    session = Session(
        node=api.settings.node_name,
        node_checks=(SERF_HEALTH,),
        checks=(SERF_HEALTH,),
        lock_delay=LOCK_DELAY_DEFAULT,
        behavior="release",
    )
    if request.body:
        try:
            session = _read_session(session, json.parse(request.body))
        except (json.BadJSON, BadDuration) as error:
            raise BadRequest(f"Request decode failed: {error}") from None
    return SessionRequest(datacenter=datacenter(api, call.target), op="create", session=_checks(session))


def _read_session(defaults: Session, body: Any) -> Session:
    """A session from JSON: what is not given, or null, stays as in C{defaults}; lists that are null become empty."""
    if body is None:
        return defaults
    if not isinstance(body, dict):
        raise json.BadJSON("json: cannot unmarshal a value that is no object into a session")
    given = {name.lower(): one for name, one in body.items()}
    delay = given.pop("lockdelay", None)
    read = json.from_json(Session, given)
    changed: dict[str, Any] = {}
    for attribute, name in _FIELDS.items():
        if given.get(name) is not None:
            changed[attribute] = getattr(read, attribute)
        elif name in given and attribute in ("checks", "node_checks", "service_checks"):
            changed[attribute] = None
    if isinstance(delay, str):
        changed["lock_delay"] = parse_duration(delay)
    elif isinstance(delay, int | float) and not isinstance(delay, bool):
        whole = int(delay)
        changed["lock_delay"] = whole * SECOND if whole < LOCK_DELAY_SECONDS_BELOW else whole
    return defaults if not changed else msgspec.structs.replace(defaults, **changed)


_FIELDS = {
    "name": "name",
    "node": "node",
    "checks": "checks",
    "node_checks": "nodechecks",
    "service_checks": "servicechecks",
    "behavior": "behavior",
    "ttl": "ttl",
}


def _checks(session: Session) -> Session:
    """
    The two spellings of a node's checks, C{Checks} and C{NodeChecks}, brought together: whichever was given empties the
    default of the other.
    """
    if not session.checks:
        return msgspec.structs.replace(session, node_checks=())
    if session.checks == (SERF_HEALTH,):
        return msgspec.structs.replace(session, checks=None)
    if not session.node_checks:
        return msgspec.structs.replace(session, checks=None)
    return session


def _destroy(api: API, call: Call, request: Request) -> SessionRequest:
    return SessionRequest(
        datacenter=datacenter(api, call.target), op="destroy", session=Session(id=_session_id(call.rest))
    )


def _session_id(rest: bytes) -> str:
    if not rest:
        raise BadRequest("Missing session")
    return text(rest)


def _specific(api: API, target: Target, rest: bytes) -> SessionSpecificRequest:
    options = read_options(target, api.settings.read_defaults)
    return SessionSpecificRequest(datacenter=datacenter(api, target), session_id=_session_id(rest), options=options)


def _list(api: API, target: Target, rest: bytes) -> SessionSpecificRequest:
    options = read_options(target, api.settings.read_defaults)
    return SessionSpecificRequest(datacenter=datacenter(api, target), options=options)


def _of_node(api: API, target: Target, rest: bytes) -> NodeSpecificRequest:
    options = read_options(target, api.settings.read_defaults)
    if not rest:
        raise BadRequest("Missing node name")
    return NodeSpecificRequest(datacenter=datacenter(api, target), node=text(rest), options=options)


def _render_created(api: API, call: Call, session_id: str) -> Response:
    return json_value(api.settings, {"ID": session_id}, call.pretty)


def _render_true(api: API, call: Call, _: Any) -> Response:
    return json_value(api.settings, True, call.pretty)


def _render_renewed(api: API, call: Call, answer: Answer) -> Response:
    if not answer.value:
        raise NotFound(f"Session id '{text(call.rest)}' not found")
    return json_value(api.settings, answer.value, call.pretty)


ROUTES = [
    Route(b"/v1/session/create", {"PUT": asks("Session.Apply", _create, _render_created)}),
    Route(b"/v1/session/destroy/", {"PUT": asks("Session.Apply", _destroy, _render_true)}),
    Route(
        b"/v1/session/renew/",
        {"PUT": asks("Session.Renew", lambda api, call, request: call.prepared, _render_renewed, _specific)},
    ),
    Route(b"/v1/session/info/", {"GET": reads("Session.Get", _specific, meta_on_error=True)}),
    Route(b"/v1/session/node/", {"GET": reads("Session.NodeSessions", _of_node, meta_on_error=True)}),
    Route(b"/v1/session/list", {"GET": reads("Session.List", _list, meta_on_error=True)}),
]
