"""
Lists of everything, row by row: of the tens of thousands of rows only those are made anew that something touched.

Nothing is kept, and nothing done at a write, until a list is asked for; one that nobody asks for any more is forgotten.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Callable, Collection, Iterable, Iterator
from typing import Any

from txconsul.codec import json
from txconsul.records.catalog import CheckServiceNode
from txconsul.records.ui import NodeInfo
from txconsul.state.catalog import Catalog
from txconsul.state.summaries import listed, summarize
from txconsul.state.tables import Tables
from txconsul.state.watches import Key

__all__ = ["STALE_MAX", "Listing", "Listings", "Row"]

#: So many rows may have been touched since a list was asked for last: it is forgotten then. Whoever polls a list asks
#: for it far more often.
STALE_MAX = 10_000

_VERSION = "consul-version"


class Row:
    """
    One row of a list.

    @ivar record: what it shows.
    """

    __slots__ = ("_json", "record")

    def __init__(self, record: Any) -> None:
        self.record = record
        self._json: bytes | None = None

    def rendered(self) -> bytes:
        """The row as JSON, made once."""
        data = self._json
        if data is None:
            data = self._json = json.encode(self.record)
        return data


class Listing:
    """
    One list.

    @param kinds: watch keys of these kinds have the names of rows that they touch.
    @param names: all names there are.
    @param make: the rows of a name; none if it is gone.
    @param place: what rows are ordered by: no two have the same.
    """

    def __init__(
        self,
        kinds: Collection[str],
        names: Callable[[], Iterable[str]],
        make: Callable[[str], list[Row]],
        place: Callable[[Row], str],
    ) -> None:
        self._kinds = frozenset(kinds)
        self._names = names
        self._make = make
        self._place = place
        self._by_name: dict[str, list[Row]] = {}
        self._stale: set[str] = set()
        self._rows: list[Row] | None = None
        self._places: list[str] = []

    @property
    def kept(self) -> bool:
        """Whether touched names matter."""
        return self._rows is not None

    def touched(self, keys: Iterable[Key]) -> None:
        """These watch keys were touched."""
        if self._rows is None:
            return
        kinds = self._kinds
        self._stale.update([name for kind, name in keys if kind in kinds])  # type: ignore[misc]
        if len(self._stale) > STALE_MAX:
            self._by_name, self._stale, self._rows, self._places = {}, set(), None, []

    def rows(self) -> list[Row]:
        """All rows in order. The list is shared: leave it as it is."""
        if self._rows is None:
            self._by_name = {name: self._make(name) for name in self._names()}
            self._rows = self._sorted()
        elif self._stale:
            self._rows = self._renewed(self._rows.copy())
        return self._rows

    def _sorted(self) -> list[Row]:
        rows = sorted([row for rows in self._by_name.values() for row in rows], key=self._place)
        self._places = [self._place(row) for row in rows]
        return rows

    def _renewed(self, rows: list[Row]) -> list[Row]:
        """The rows with the stale ones made anew; where no row came or went, each in its old place."""
        same = True
        for name in self._stale:
            before, after = self._by_name.pop(name, []), self._make(name)
            if after:
                self._by_name[name] = after
            same = same and [*map(self._place, before)] == [*map(self._place, after)]
            if same:
                for row in after:
                    rows[bisect_left(self._places, self._place(row))] = row
        self._stale.clear()
        return rows if same else self._sorted()


class Listings:
    """
    The lists of one store.

    @ivar services: every service at a glance.
    @ivar nodes: every node with all that is on it.
    """

    def __init__(self, tables: Tables, catalog: Catalog) -> None:
        self._tables = tables
        self._catalog = catalog
        self.services = Listing(
            ("service", "mesh"), self._service_names, self._service_rows, lambda row: str(row.record.name)
        )
        self.nodes = Listing(
            ("node",), lambda: tables.nodes.rows.keys(), self._node_rows, lambda row: str(row.record.node.lower())
        )

    def __bool__(self) -> bool:
        return self.services.kept or self.nodes.kept

    def touched(self, keys: Collection[Key]) -> None:
        """A batch of commands touched these watch keys."""
        self.services.touched(keys)
        self.nodes.touched(keys)

    def instances(self) -> Iterator[CheckServiceNode]:
        """Every instance of every service, in the order of nodes and ids."""
        return map(self._catalog.instance, sorted(self._tables.services.rows))

    def node(self, name: str) -> NodeInfo | None:
        """A node with all that is on it."""
        tables = self._tables
        key = name.lower()
        node = tables.nodes.rows.get(key)
        if node is None:
            return None
        services = [tables.services.rows[pair] for pair in tables.services_by_node.keys(key)]
        meta = node.meta
        for service in services:
            version = (service.meta or {}).get("version")
            if service.id == "consul" and version and _VERSION not in (meta or {}):
                meta = {**(meta or {}), _VERSION: version}
        return NodeInfo(
            id=node.id,
            node=node.node,
            partition=node.partition,
            peer_name=node.peer_name,
            address=node.address,
            tagged_addresses=node.tagged_addresses,
            meta=meta,
            services=tuple(services),
            checks=tuple([tables.checks.rows[pair] for pair in tables.checks_by_node.keys(key)]),
        )

    def _node_rows(self, name: str) -> list[Row]:
        node = self.node(name)
        return [] if node is None else [Row(node)]

    def _service_names(self) -> set[str]:
        tables = self._tables
        named = (*tables.services_by_name.names(), *tables.services_by_mesh_name.names())
        return {str(name) for name in named}

    def _service_rows(self, name: str) -> list[Row]:
        """The services of a name, which may differ in case: their instances and proxies say all."""
        tables = self._tables
        keys = {*tables.services_by_name.keys(name), *tables.services_by_mesh_name.keys(name)}
        found = summarize(self._catalog.instance(key) for key in sorted(keys))
        return [Row(listed(one)) for one in found.values() if one.name.lower() == name]
