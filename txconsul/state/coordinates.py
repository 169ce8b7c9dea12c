"""
Where the nodes are in the network, as they say themselves.

Source: Consul's documentation of network coordinates.
"""

from __future__ import annotations

from collections.abc import Iterable

from txconsul.records.coordinate import Coordinate, Position
from txconsul.state.tables import Tables

__all__ = ["Coordinates"]


class Coordinates:
    """The coordinate part of a store."""

    def __init__(self, tables: Tables) -> None:
        self._tables = tables

    @property
    def index(self) -> int:
        """The index of the coordinates; never 0."""
        return self._tables.index("coordinates") or 1

    def all(self) -> tuple[int, list[Coordinate]]:
        """@return: C{(index, coordinates)}, in the order of their nodes' names."""
        rows = self._tables.coordinates.rows
        return self.index, [rows[key] for key in sorted(rows)]

    def of_node(self, node: str) -> tuple[int, list[Coordinate]]:
        """@return: C{(index, coordinates)}: one for each network segment."""
        tables = self._tables
        keys = tables.coordinates_by_node.keys(node.lower())
        return self.index, [tables.coordinates.rows[key] for key in keys]

    def positions(self, node: str) -> dict[str, Position]:
        """
        A node's positions, by network segment.

        @param node: its name in lower case.
        """
        tables = self._tables
        found = [tables.coordinates.rows[key] for key in tables.coordinates_by_node.keys(node)]
        return {one.segment: one.coord for one in found if one.coord is not None}

    def update(self, index: int, updates: Iterable[Coordinate], *, restoring: bool = False) -> None:
        """
        Keep what nodes say. Positions that are none, and those of nodes that are not registered (yet), are dropped:
        the node's next update comes soon.
        """
        tables = self._tables
        for coordinate in updates:
            key, position = coordinate.node.lower(), coordinate.coord
            if position is not None and position.is_sound and (restoring or key in tables.nodes.rows):
                tables.coordinates.put((key, coordinate.segment), coordinate)
                tables.raise_index(index, "coordinates")
