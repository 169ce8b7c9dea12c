"""
Network coordinates of nodes.

Source: Consul's documentation of network coordinates; the wire documents' Coordinate.
"""

from __future__ import annotations

from typing import Annotated

from txconsul.records.base import OMIT_JSON, Record

__all__ = ["Coordinate", "CoordinateBatch", "Position"]


class Position(Record, frozen=True):
    """
    A point of the Vivaldi space; all values in seconds.

    @ivar vec: eight dimensions.
    """

    adjustment: float = 0.0
    error: float = 0.0
    height: float = 0.0
    vec: tuple[float, ...] | None = None


class Coordinate(Record, frozen=True):
    """Where a node is, within one network segment."""

    coord: Position | None = None
    node: str = ""
    partition: Annotated[str, OMIT_JSON] = ""
    segment: str = ""


class CoordinateBatch(Record, frozen=True):
    """What the leader logs of several nodes at once. On the wire it is the list alone."""

    updates: tuple[Coordinate, ...] = ()
