"""
The tables of one store: a declaration of each with its keys, indexes and what its changes touch.

Names of nodes, services and checks are found whatever their case, as Consul finds them; keys of such tables are
lower case. C{indexes} is Consul's own table of table indexes: what C{X-Consul-Index} shows.
"""

from __future__ import annotations

from collections.abc import Iterator

from txconsul.records.kv import DirEntry
from txconsul.records.session import Session
from txconsul.state.table import Index, Journal, Table
from txconsul.state.watches import Key

__all__ = ["Tables"]


class Tables:
    """
    @ivar journal: the changes since the last batch was finished.
    @ivar lock_delays: C{(key, ns)} of keys whose session was invalidated, for whoever keeps the time.
    """

    def __init__(self) -> None:
        self.journal: Journal = []
        self.lock_delays: list[tuple[bytes, int]] = []

        #: Consul's index table: name of a table, or of a part of one -> index of its last change.
        self.indexes: Table[str, int] = Table("index", self.journal)

        self.kv_by_session: Index[bytes, DirEntry] = Index(_holder)
        self.kv: Table[bytes, DirEntry] = Table(
            "kvs", self.journal, indexes=(self.kv_by_session,), ordered=True, touches=_kv_touched
        )
        #: A deleted key, or the prefix of a deleted tree -> index of the deletion.
        self.tombstones: Table[bytes, int] = Table("tombstones", self.journal, ordered=True)

        self.sessions_by_node: Index[str, Session] = Index(lambda session: (session.node.lower(),))
        #: Sessions that depend on a check, by C{(node, check id)}.
        self.sessions_by_check: Index[str, Session] = Index(_session_checks)
        self.sessions: Table[str, Session] = Table(
            "sessions",
            self.journal,
            indexes=(self.sessions_by_node, self.sessions_by_check),
            touches=_session_touched,
        )

    def index(self, *names: str) -> int:
        """The highest of these entries of the index table; 0 where there is none."""
        rows = self.indexes.rows
        return max([rows.get(name, 0) for name in names])

    def rollback(self, mark: int, delays: int = 0) -> None:
        """Take back every change since the journal, and the list of lock delays, had these lengths."""
        journal = self.journal
        for table, key, before, after in reversed(journal[mark:]):
            table.undo(key, before, after)
        del journal[mark:]
        del self.lock_delays[delays:]


def session_check_ids(session: Session) -> list[str]:
    """The ids of all checks that a session depends on, old words and new, without repetition."""
    ids = dict.fromkeys(session.checks or ())
    ids |= dict.fromkeys(session.node_checks or ())
    ids |= dict.fromkeys([check.id for check in session.service_checks or ()])
    return list(ids)


def _holder(entry: DirEntry) -> tuple[str, ...]:
    return (entry.session.lower(),) if entry.session else ()


def _kv_touched(key: bytes, before: DirEntry | None, after: DirEntry | None) -> tuple[Key, ...]:
    return (("kv", key), ("table", "kvs"))


def _session_checks(session: Session) -> tuple[tuple[str, str], ...]:
    node = session.node.lower()
    return tuple([(node, id.lower()) for id in session_check_ids(session)])


def _session_touched(key: str, before: Session | None, after: Session | None) -> Iterator[Key]:
    yield ("session", key)
    yield ("table", "sessions")
    for session in (before, after):
        if session is not None:
            yield ("node-sessions", session.node.lower())
