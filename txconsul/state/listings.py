"""
Lists of everything, row by row: of the tens of thousands of rows only those are made anew that something touched.

A row is made when it is looked at, so that a long list that nobody asked for before keeps nobody waiting: it is made
as it goes out. A row may then be newer than the rest, and than the index that was told; whoever waits from that index
on hears of it at once.

Nothing is kept, and nothing done at a write, until a list is asked for; one that nobody asks for any more is forgotten.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Callable, Collection, Iterable, Iterator
from operator import attrgetter
from typing import Any

from txconsul.codec import json
from txconsul.records.catalog import CheckServiceNode
from txconsul.records.ui import NodeInfo, ServiceSummary
from txconsul.state.catalog import Catalog
from txconsul.state.summaries import listed, summarize
from txconsul.state.tables import Tables, mesh_name
from txconsul.state.watches import Key

__all__ = ["STALE_MAX", "Listing", "Listings", "Row"]

#: So many rows may have been touched since a list was asked for last: it is forgotten then. Whoever polls a list asks
#: for it far more often.
STALE_MAX = 10_000

_VERSION = "consul-version"


_NAME = attrgetter("name")


class Row:
    """
    One row of a list, made when it is looked at first.

    @ivar name: what it is ordered by.
    @param make: C{name -> record}, or None if there is no such thing any more.
    """

    __slots__ = ("_json", "_make", "_record", "name")

    def __init__(self, name: str, make: Callable[[str], Any]) -> None:
        self.name = name
        self._make: Callable[[str], Any] | None = make
        self._record: Any = None
        self._json: bytes | None = None

    @property
    def record(self) -> Any:
        """What it shows; None if that is gone."""
        if self._make is not None:
            self._record, self._make = self._make(self.name), None
        return self._record

    def rendered(self) -> bytes:
        """The row as JSON, made once; empty if what it shows is gone."""
        data = self._json
        if data is None:
            record = self.record
            data = self._json = b"" if record is None else json.encode(record)
        return data


class Listing:
    """
    One list.

    @param kinds: watch keys of these kinds have the names of rows that they touch.
    @param names: all names there are.
    @param rows_of: the rows of a name; none if it is gone. No two rows have the same name, but several rows' names may
        be one but for their case.
    """

    def __init__(
        self,
        kinds: Collection[str],
        names: Callable[[], Iterable[str]],
        rows_of: Callable[[str], list[Row]],
    ) -> None:
        self._kinds = frozenset(kinds)
        self._names = names
        self._rows_of = rows_of
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
            self._by_name = {name: self._rows_of(name) for name in self._names()}
            self._rows = self._sorted()
        elif self._stale:
            self._rows = self._renewed(self._rows.copy())
        return self._rows

    def _sorted(self) -> list[Row]:
        rows = sorted([row for rows in self._by_name.values() for row in rows], key=_NAME)
        self._places = [row.name for row in rows]
        return rows

    def _renewed(self, rows: list[Row]) -> list[Row]:
        """The rows with the stale ones made anew; where no row came or went, each in its old place."""
        same = True
        for name in self._stale:
            before, after = self._by_name.pop(name, []), self._rows_of(name)
            if after:
                self._by_name[name] = after
            same = same and [*map(_NAME, before)] == [*map(_NAME, after)]
            if same:
                for row in after:
                    rows[bisect_left(self._places, row.name)] = row
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
        self.services = Listing(("service", "mesh"), self._service_names, self._service_rows)
        self.nodes = Listing(("node",), lambda: tables.nodes.rows, self._node_rows)

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
        return [Row(name, self.node)] if name in self._tables.nodes.rows else []

    def _service_names(self) -> set[str]:
        tables = self._tables
        named = (*tables.services_by_name.names(), *tables.services_by_mesh_name.names())
        return {str(name) for name in named}

    def _service_rows(self, name: str) -> list[Row]:
        """The services of a name, whose names may differ in case."""
        tables = self._tables
        rows = tables.services.rows
        names = {rows[key].service for key in tables.services_by_name.keys(name)}
        if name in tables.services_by_mesh_name:
            names.update([mesh_name(rows[key]) or "" for key in tables.services_by_mesh_name.keys(name)])
        return [Row(one, self._service) for one in sorted(names)]

    def _service(self, name: str) -> ServiceSummary | None:
        """A service: its instances and its proxies say all."""
        tables = self._tables
        key = name.lower()
        keys = {*tables.services_by_name.keys(key), *tables.services_by_mesh_name.keys(key)}
        found = summarize(self._catalog.instance(key) for key in sorted(keys)).get(name)
        return None if found is None else listed(found)
