"""
Prepared queries: kept by their ids, found by id, by name, and, where they are templates, by the beginning of a name.

Names are found whatever their case. A name belongs to one query, and is nobody's id: who may write one query must not
be able to answer for another.

Source: Consul's documentation of the prepared query HTTP API.
"""

from __future__ import annotations

import re

from msgspec.structs import replace

from txconsul.codec.goquote import quote
from txconsul.errors import InvalidRequest
from txconsul.records.prepared_query import PreparedQuery
from txconsul.state.query_template import QueryTemplate
from txconsul.state.tables import Tables

__all__ = ["MissingQueryID", "PreparedQueries", "query_key"]

_INDEX = "prepared-queries"
_UUID_BYTES = 36
_DASHES_MAX = 4
_DIGITS_AND_DASH = frozenset(b"0123456789abcdefABCDEF-")
_UUID = re.compile(r"[\da-f]{8}-[\da-f]{4}-[\da-f]{4}-[\da-f]{4}-[\da-f]{12}", re.ASCII | re.IGNORECASE)


Found = list[PreparedQuery]


class MissingQueryID(InvalidRequest):
    """Nothing says which query is meant."""

    text = "Missing Query ID"


def query_key(id: str) -> str:
    """
    Under which key a query with this id is kept: its digits, whatever their case and wherever its dashes.

    @raise InvalidRequest: it is no UUID; the text is the one that clients know.
    """
    problem = _id_problem(id)
    if problem:
        raise InvalidRequest(f"failed prepared query lookup: index error: {problem}")
    return id.replace("-", "").lower()


def _id_problem(id: str) -> str:
    data = id.encode("utf-8", "surrogateescape")
    if len(data) != _UUID_BYTES:
        return f"UUID must be {_UUID_BYTES} characters"
    dashes = data.count(b"-")
    if dashes > _DASHES_MAX:
        return f'UUID should have maximum of {_DASHES_MAX} "-"; got {dashes}'
    if dashes % 2:
        return "Input (without hyphens) must be even length"
    wrong = next((byte for byte in data if byte not in _DIGITS_AND_DASH), None)
    return "" if wrong is None else f"Invalid UUID: encoding/hex: invalid byte: U+{wrong:04X} '{chr(wrong)}'"


class PreparedQueries:
    """The prepared query part of a store."""

    def __init__(self, tables: Tables) -> None:
        self._tables = tables
        #: What templates were compiled to, by the very record that they were compiled from.
        self._compiled: dict[str, tuple[PreparedQuery, QueryTemplate]] = {}

    # ---- reading ----

    @property
    def index(self) -> int:
        """The index of the queries; never 0."""
        return self._tables.index(_INDEX) or 1

    def get(self, id: str) -> tuple[int, PreparedQuery | None]:
        """
        @return: C{(index, query)}.
        @raise InvalidRequest: the id is no UUID.
        """
        return self.index, self._tables.prepared_queries.rows.get(query_key(id))

    def list(self) -> tuple[int, Found]:
        """@return: C{(index, queries)}: all, in the order of their ids."""
        rows = self._tables.prepared_queries.rows
        return self.index, [rows[key] for key in sorted(rows)]

    def resolve(self, id_or_name: str, segment: str) -> PreparedQuery | None:
        """
        The query that an id or a name means: of that id, else of that name, else the template with the longest name
        that this one begins with. Templates are filled in.

        @param segment: the network segment of the agent that was asked.
        @raise InvalidRequest: nothing was named, a template was named by its id, or it cannot be filled in.
        """
        if not id_or_name:
            raise MissingQueryID()
        tables = self._tables
        rows = tables.prepared_queries.rows
        if _UUID.fullmatch(id_or_name):
            query = rows.get(query_key(id_or_name))
            if query is not None:
                if query.template.type:
                    raise InvalidRequest("prepared query templates can only be resolved up by name, not by ID")
                return query
        name = id_or_name.lower()
        key = self._named(name) or self._template_for(name)
        if key is None:
            return None
        query = rows[key]
        return self._template(key, query).render(id_or_name, segment) if query.template.type else query

    def _named(self, name: str) -> str | None:
        keys = self._tables.prepared_queries_by_name.keys(name)
        return keys[0] if keys else None

    def _template_for(self, name: str) -> str | None:
        """The template with the longest name that C{name} begins with."""
        templates, lengths = self._tables.query_templates_by_name, self._tables.query_templates_by_length.names()
        found = [name[:length] for length in lengths if isinstance(length, int) and length <= len(name)]
        longest = max((one for one in found if one in templates), key=len, default=None)
        return None if longest is None else templates.keys(longest)[0]

    def _template(self, key: str, query: PreparedQuery) -> QueryTemplate:
        kept = self._compiled.get(key)
        if kept is None or kept[0] is not query:
            kept = self._compiled[key] = (query, QueryTemplate(query))
        return kept[1]

    # ---- writing ----

    def set(self, index: int, query: PreparedQuery) -> None:
        """
        Create a query, or replace the one of its id.

        @raise InvalidRequest: no id, its name belongs to another, there is no such session, or it is a template that
            cannot be compiled.
        """
        if not query.id:
            raise MissingQueryID()
        tables = self._tables
        rows = tables.prepared_queries.rows
        key = query_key(query.id)
        present = rows.get(key)
        name = query.name.lower()
        if name:
            other = self._named(name)
            if other is not None and other != key:
                raise InvalidRequest(f"name '{query.name}' aliases an existing query name")
        elif query.template.type:
            others = tables.query_templates_by_name.keys("")
            if others and others[0] != key:
                raise InvalidRequest("a query template with an empty name already exists")
        if _UUID.fullmatch(query.name) and query_key(query.name) in rows:
            raise InvalidRequest(f"name '{query.name}' aliases an existing query ID")
        if query.session and query.session.lower() not in tables.sessions.rows:
            raise InvalidRequest(f"invalid session {quote(query.session)}")
        created = index if present is None else present.create_index
        query = replace(query, create_index=created, modify_index=index)
        if query.template.type:
            try:
                self._template(key, query)
            except InvalidRequest as error:
                raise InvalidRequest(f"failed compiling template: {error}") from None
        tables.prepared_queries.put(key, query)
        tables.indexes.put(_INDEX, index)

    def delete(self, index: int, id: str) -> None:
        """
        Forget a query, if it exists.

        @raise InvalidRequest: the id is no UUID.
        """
        try:
            key = query_key(id)
        except InvalidRequest as error:
            raise InvalidRequest(f"failed prepared query delete: {error}") from None
        if key in self._tables.prepared_queries.rows:
            self._remove(index, key)

    def end_with(self, index: int, session: str) -> None:
        """Forget the queries that end with a session."""
        for key in self._tables.prepared_queries_by_session.keys(session.lower()):
            self._remove(index, key)

    def _remove(self, index: int, key: str) -> None:
        self._tables.prepared_queries.remove(key)
        self._compiled.pop(key, None)
        self._tables.indexes.put(_INDEX, index)
