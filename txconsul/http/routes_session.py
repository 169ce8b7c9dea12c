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
from txconsul.http.routes import Call, Route, asks, check_cache_control, datacenter, reads, text
from txconsul.records.health import SERF_HEALTH
from txconsul.records.queries import NodeSpecificRequest
from txconsul.records.session import Session, SessionRequest, SessionSpecificRequest

if TYPE_CHECKING:
    from txconsul.http.api import API
    from txconsul.http.request import Request
    from txconsul.http.response import Response

__all__ = ["ROUTES"]

LOCK_DELAY_DEFAULT = 15 * SECOND
#: A lock delay below this, number or not, is taken for seconds, otherwise for nanoseconds.
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
    if delay is not None:
        changed["lock_delay"] = _lock_delay(delay)
    return defaults if not changed else msgspec.structs.replace(defaults, **changed)


def _lock_delay(given: Any) -> int:
    """
    Nanoseconds of a lock delay: a Go duration or a number; anything else counts as none, as in Consul.

    @raise BadDuration: a text that is no duration.
    """
    delay = 0
    if isinstance(given, str):
        delay = parse_duration(given)
    elif isinstance(given, int | float) and not isinstance(given, bool):
        # Go makes a 64-bit integer of the number, and the lowest one of whatever does not fit
        delay = int(given) if -_INT_END <= given < _INT_END else -_INT_END
    if delay < LOCK_DELAY_SECONDS_BELOW:
        delay = (delay * SECOND + _INT_END) % (2 * _INT_END) - _INT_END  # which may overflow
    return delay


_INT_END = 2**63

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


def _renew(api: API, call: Call, request: Request) -> SessionSpecificRequest:
    check_cache_control(request)
    record: SessionSpecificRequest = call.prepared
    return record


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
        {"PUT": asks("Session.Renew", _renew, _render_renewed, _specific)},
    ),
    Route(b"/v1/session/info/", {"GET": reads("Session.Get", _specific, meta_on_error=True)}),
    Route(b"/v1/session/node/", {"GET": reads("Session.NodeSessions", _of_node, meta_on_error=True)}),
    Route(b"/v1/session/list", {"GET": reads("Session.List", _list, meta_on_error=True)}),
]
