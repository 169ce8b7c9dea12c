"""
Sessions: created on a node, ended by request or because what they depend on failed.

A session ends when it is destroyed, when its node or one of its checks is deregistered, and when one of its checks goes
critical. Then its keys are released or deleted, as it said at its creation, and each of them is offered to whoever
keeps lock delays; the prepared queries that are bound to it are forgotten.

Source: Consul's documentation of sessions.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import msgspec

from txconsul.errors import InvalidRequest
from txconsul.records.health import CRITICAL, PASSING
from txconsul.records.session import LOCK_DELAY_MAX, Session
from txconsul.state.kv import KV
from txconsul.state.prepared_queries import PreparedQueries
from txconsul.state.tables import NAMELESS_CHECK, Tables, session_check_ids

if TYPE_CHECKING:
    from txconsul.state.registrations import Registrations

__all__ = ["DELETE", "RELEASE", "SESSION_CHECK", "Sessions"]

#: What becomes of a session's keys.
RELEASE = "release"
DELETE = "delete"

#: The type of a check that says whether a session of a certain name is in force.
SESSION_CHECK = "session"

Found = list[Session]


class Sessions:
    """
    The session part of a store.

    @ivar registrations: set by the store; sessions and checks change one another.
    """

    registrations: Registrations

    def __init__(self, tables: Tables, kv: KV, prepared_queries: PreparedQueries) -> None:
        self._tables = tables
        self._kv = kv
        self._prepared_queries = prepared_queries

    # ---- reading ----

    @property
    def index(self) -> int:
        """The index of the sessions; never 0."""
        return self._tables.index("sessions") or 1

    def get(self, id: str) -> tuple[int, Session | None]:
        """@return: C{(index, session)}."""
        return self.index, self._tables.sessions.rows.get(id.lower())

    def list(self) -> tuple[int, Found]:
        """@return: C{(index, sessions)}: all, in the order of their ids."""
        rows = self._tables.sessions.rows
        return self.index, [rows[id] for id in sorted(rows)]

    def of_node(self, node: str) -> tuple[int, Found]:
        """@return: C{(index, sessions)}: those of one node."""
        tables = self._tables
        return self.index, [tables.sessions.rows[id] for id in tables.sessions_by_node.keys(node.lower())]

    def of_check(self, node: str, check_id: str) -> Found:
        """The sessions that depend on a check."""
        tables = self._tables
        keys = tables.sessions_by_check.keys((node.lower(), check_id.lower()))
        return [tables.sessions.rows[id] for id in keys]

    # ---- writing ----

    def create(self, index: int, session: Session) -> str:
        """
        Begin a session.

        @return: its id.
        @raise InvalidRequest: no id, an unknown behaviour, no such node or check, or a critical check.
        """
        if not session.id:
            raise InvalidRequest("Missing session ID")
        behavior = session.behavior or RELEASE
        if behavior not in (RELEASE, DELETE):
            raise InvalidRequest(f"Invalid session behavior: {behavior}")
        tables = self._tables
        node = session.node.lower()
        if node not in tables.nodes.rows:
            raise InvalidRequest("Missing node registration")
        for id in session_check_ids(session):
            if not id:
                raise InvalidRequest(f"failed check lookup: {NAMELESS_CHECK}")
            check = tables.checks.rows.get((node, id.lower()))
            if check is None:
                raise InvalidRequest(f"Missing check '{id}' registration")
            # a check of the type session is critical until there is one
            if check.status == CRITICAL and check.type != SESSION_CHECK:
                raise InvalidRequest(f"Check '{id}' is in {check.status} state")
        session = msgspec.structs.replace(session, behavior=behavior, create_index=index, modify_index=index)
        tables.sessions.put(session.id.lower(), session)
        tables.indexes.put("sessions", index)
        self._tell_checks(index, session, PASSING, f"Session '{session.id}' in force")
        return session.id

    def destroy(self, index: int, id: str) -> None:
        """End a session, if it exists, with all that follows for its keys."""
        session = self._tables.sessions.rows.get(id.lower())
        if session is None:
            return
        self.forget(index, session)
        if session.behavior not in (RELEASE, DELETE):
            raise InvalidRequest(f'unknown session behavior "{session.behavior}"')
        delay = min(session.lock_delay, LOCK_DELAY_MAX)
        for key in self._kv.held_by(id):
            if session.behavior == DELETE:
                self._kv.delete(index, key)
            else:
                self._kv.release(index, key)
            if delay > 0:
                self._tables.lock_delays.append((key, delay))
        self._prepared_queries.end_with(index, id)
        self._tell_checks(index, session, CRITICAL, f"Session '{session.id}' is invalid")

    def forget(self, index: int, session: Session) -> None:
        """Remove the session alone (a transaction's session verb); its keys stay as they are."""
        tables = self._tables
        if session.id.lower() in tables.sessions.rows:
            tables.sessions.remove(session.id.lower())
        tables.indexes.put("sessions", index)

    def _tell_checks(self, index: int, session: Session, status: str, output: str) -> None:
        """Checks of the type session follow the session whose name they bear."""
        tables = self._tables
        for key in tables.checks_by_node.keys(session.node.lower()):
            check = tables.checks.rows.get(key)
            if check is not None and check.type == SESSION_CHECK and check.definition.session_name == session.name:
                told = msgspec.structs.replace(check, status=status, output=output)
                self.registrations.ensure_check(index, told, preserve=True)
