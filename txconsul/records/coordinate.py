"""
Network coordinates of nodes.

Source: Consul's documentation of network coordinates; the wire documents' Coordinate.
"""

from __future__ import annotations

from math import isfinite
from typing import Annotated

from txconsul.records.base import OMIT_JSON, Record

__all__ = ["Coordinate", "CoordinateBatch", "CoordinateUpdateRequest", "DatacenterMap", "Position"]


class Position(Record, frozen=True):
    """
    A point of the Vivaldi space; all values in seconds.

    @ivar vec: eight dimensions.
    """

    adjustment: float = 0.0
    error: float = 0.0
    height: float = 0.0
    vec: tuple[float, ...] | None = None

    @property
    def is_sound(self) -> bool:
        """Whether every value is a finite number."""
        return all(map(isfinite, (self.adjustment, self.error, self.height, *(self.vec or ()))))


class Coordinate(Record, frozen=True):
    """Where a node is, within one network segment."""

    coord: Position | None = None
    node: str = ""
    partition: Annotated[str, OMIT_JSON] = ""
    segment: str = ""


class CoordinateBatch(Record, frozen=True):
    """What the leader logs of several nodes at once. On the wire it is the list alone."""

    updates: tuple[Coordinate, ...] = ()


class CoordinateUpdateRequest(Record, frozen=True):
    """A node says where it is, within one network segment."""

    coord: Position | None = None
    datacenter: str = ""
    node: str = ""
    segment: str = ""
    token: str = ""


class DatacenterMap(Record, frozen=True):
    """
    Where the servers of a datacenter are.

    @ivar area_id: the pool whose coordinates these are: those of different pools cannot be compared.
    """

    area_id: str = ""
    coordinates: tuple[Coordinate, ...] | None = None
    datacenter: str = ""
