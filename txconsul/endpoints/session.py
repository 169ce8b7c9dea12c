"""
Session: who may hold locks, and for how long.

Source: Consul's documentation of the session HTTP API; the wire documents' Session methods.
"""

from __future__ import annotations

from typing import Any

import msgspec

from txconsul.codec.duration import HOUR, BadDuration, format_duration, parse_duration
from txconsul.endpoints.authorizing import Authorizer
from txconsul.endpoints.leading import Leading
from txconsul.endpoints.placing import Rule
from txconsul.endpoints.registry import Answer, Decided, read, server, write
from txconsul.endpoints.site import Site
from txconsul.errors import InvalidRequest, TxconsulError
from txconsul.records.command import Command
from txconsul.records.queries import NodeSpecificRequest
from txconsul.records.session import Session, SessionRequest, SessionSpecificRequest
from txconsul.state.store import Store
from txconsul.state.watches import node_sessions as node_sessions_key
from txconsul.state.watches import session as session_key
from txconsul.state.watches import table

__all__ = ["TTL_MAX"]

#: The longest time to live, in ns: Consul's documented bound of a day.
TTL_MAX = 24 * HOUR

_BEHAVIORS = ("release", "delete")


@read(
    "Session.Get",
    SessionSpecificRequest,
    lambda request: (session_key(request.session_id or request.session),),
    absent=lambda sessions: not sessions,
)
def get(store: Store, request: SessionSpecificRequest, authorizer: Authorizer) -> tuple[int, list[Session]]:
    """One session, in a list; an empty list where there is none."""
    index, session = store.sessions.get(request.session_id or request.session)
    return index, [] if session is None else [session]


@read("Session.List", SessionSpecificRequest, lambda request: (table("sessions"),))
def list_(store: Store, request: SessionSpecificRequest, authorizer: Authorizer) -> tuple[int, Any]:
    """All sessions."""
    return store.sessions.list()


@read("Session.NodeSessions", NodeSpecificRequest, lambda request: (node_sessions_key(request.node),))
def node_sessions(store: Store, request: NodeSpecificRequest, authorizer: Authorizer) -> tuple[int, Any]:
    """The sessions of one node."""
    return store.sessions.of_node(request.node)


def _applied(request: SessionRequest, result: Any, leading: Leading) -> str:
    if request.op == "create":
        leading.timers.renew(msgspec.structs.replace(request.session, id=result))
        return str(result)
    leading.timers.forget(request.session.id)
    return request.session.id


def _failed(error: TxconsulError) -> TxconsulError:
    """What the state refused, in the words that clients know."""
    return InvalidRequest(f"apply failed: {error}")


@write("Session.Apply", SessionRequest, Command.SESSION, after=_applied, refused=_failed)
def apply(store: Store, request: SessionRequest, authorizer: Authorizer, leading: Leading) -> SessionRequest | Decided:
    """Create a session, whose id is the answer, or destroy one."""
    session = request.session
    if request.op == "destroy":
        if not session.id:
            raise InvalidRequest("Must provide ID")
        _, existing = store.sessions.get(session.id)
        if existing is None:
            return Decided("")
        authorizer.require_session_write(existing.node)
    elif request.op == "create":
        if not session.node:
            raise InvalidRequest("Must provide Node")
        authorizer.require_session_write(session.node)
    else:
        raise InvalidRequest(f'Invalid session operation "{request.op}"')
    behavior = session.behavior or "release"
    if behavior not in _BEHAVIORS:
        raise InvalidRequest(f"Invalid Behavior setting '{behavior}'")
    _check_ttl(session.ttl, leading.session_ttl_min)
    if request.op == "create":
        session = msgspec.structs.replace(session, behavior=behavior, id=_fresh_id(store, leading))
    return SessionRequest(datacenter=request.datacenter, op=request.op, session=session)


def _check_ttl(text: str, shortest: int) -> None:
    if not text:
        return
    try:
        ttl = parse_duration(text)
    except BadDuration as error:
        raise InvalidRequest(f"Session TTL '{text}' invalid: {error}") from None
    if ttl != 0 and not shortest <= ttl <= TTL_MAX:
        raise InvalidRequest(
            f"Invalid Session TTL '{ttl}', must be between [{format_duration(shortest)}={format_duration(TTL_MAX)}]"
        )


def _fresh_id(store: Store, leading: Leading) -> str:
    while True:
        fresh = leading.new_id()
        if store.sessions.get(fresh)[1] is None:
            return fresh


@server("Session.Renew", SessionSpecificRequest, Rule.WRITE)
def renew(site: Site, request: SessionSpecificRequest, authorizer: Authorizer) -> Answer:
    """Start a session's time to live anew; the session, in a list, or an empty list."""
    index, session = site.store.sessions.get(request.session_id or request.session)
    if session is None:
        return site.answer(index, [])
    authorizer.require_session_write(session.node)
    site.leading.timers.renew(session)
    return site.answer(index, [session])
