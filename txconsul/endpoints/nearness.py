"""
C{?near=}: what is near comes first.

Rows are sorted by the estimated round trip between their node and the one that the request names. The sort is stable,
and nodes whose place is not known come last, so that an answer without coordinates keeps its usual order. Coordinates
change the order only, never an answer's index: nobody who waits is woken by them.

Source: Consul's documentation of network coordinates and of the C{near} parameter.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from math import inf
from typing import Any, TypeVar
from weakref import WeakKeyDictionary

from txconsul.records.catalog import CheckServiceNode, Node, ServiceNode
from txconsul.records.coordinate import Position
from txconsul.records.health import HealthCheck
from txconsul.records.query import QuerySource
from txconsul.serf.coordinate import closest_segment, compatible, distance
from txconsul.state.coordinates import Coordinates
from txconsul.state.store import Store
from txconsul.state.watches import Key, table

__all__ = [
    "SOURCES_KEPT",
    "by_distance",
    "check_node",
    "instance_node",
    "nearest",
    "node_name",
    "order",
    "service_node",
]

Row = TypeVar("Row")

#: From how many nodes the distances are kept. Agents ask from where they are, and a server answers for some; each costs
#: at most one number a node.
SOURCES_KEPT = 16


class _Distances(dict[str, float]):
    """Node's name -> the distance from one node, in ns; measured when it is first asked for."""

    __slots__ = ("_coordinates", "_source")

    def __init__(self, coordinates: Coordinates, source: Mapping[str, Position]) -> None:
        super().__init__()
        self._coordinates = coordinates
        self._source = source

    def __missing__(self, node: str) -> float:
        here, there = closest_segment(self._source, self._coordinates.positions(node))
        known = here is not None and there is not None and compatible(here, there)
        self[node] = found = distance(here, there) if known else inf  # type: ignore[arg-type]
        return found


class _Kept:
    """Distances from the nodes that were asked for last, while no coordinate changes."""

    __slots__ = ("_by_source", "_index")

    def __init__(self) -> None:
        self._index = 0
        self._by_source: dict[str, _Distances] = {}

    def distances(self, coordinates: Coordinates, node: str) -> _Distances | None:
        """Those from a node; None where it has no coordinates."""
        kept = self._by_source
        if self._index != coordinates.index:
            kept.clear()
            self._index = coordinates.index
        found = kept.pop(node, None)
        if found is None:
            source = coordinates.positions(node)
            if not source:
                return None
            if len(kept) >= SOURCES_KEPT:
                del kept[next(iter(kept))]
            found = _Distances(coordinates, source)
        kept[node] = found  # at the end: who was not asked for longest goes first
        return found


#: A store's parts are replaced by a restore, and with them what was kept.
_KEPT: WeakKeyDictionary[Coordinates, _Kept] = WeakKeyDictionary()


def nearest(
    store: Store, source: QuerySource, datacenter: str, rows: list[Row], node: Callable[[Row], str]
) -> list[Row]:
    """
    Rows with the nearest first; as they are where nothing is known of the source, or it is in another datacenter.

    @param datacenter: this one's name: coordinates of different datacenters cannot be compared.
    @param node: the name of a row's node.
    @return: a new list, or C{rows} itself.
    """
    if not source.node or source.datacenter != datacenter:
        return rows
    coordinates = store.coordinates
    kept = _KEPT.get(coordinates)
    if kept is None:
        kept = _KEPT[coordinates] = _Kept()
    distances = kept.distances(coordinates, source.node.lower())
    if distances is None:
        return rows
    return sorted(rows, key=lambda row: distances[node(row).lower()])


def by_distance(store: Store, request: Any, rows: list[Row], node: Callable[[Row], str]) -> list[Row]:
    """What a read found, the nearest to the request's C{source} first; see L{nearest}."""
    source = request.source
    return nearest(store, source, request.datacenter, rows, node) if source.node else rows


def order(request: Any) -> tuple[Key, ...]:
    """What touches the order of an answer to a request with a C{source}."""
    return (table("coordinates"),) if request.source.node else ()


def node_name(row: Node) -> str:
    """A node's own name."""
    return row.node


def service_node(row: ServiceNode) -> str:
    """The name of an instance's node."""
    return row.node


def instance_node(row: CheckServiceNode) -> str:
    """The name of the node of an instance with its checks."""
    return row.node.node if row.node is not None else ""


def check_node(row: HealthCheck) -> str:
    """The name of a check's node."""
    return row.node
