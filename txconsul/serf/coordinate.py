"""
Network coordinates: points whose distance estimates the round trip between two nodes.

Positions of different numbers of dimensions cannot be compared; whoever takes one from elsewhere asks L{compatible}
first, and L{Position.is_sound}.

Sources: Vivaldi (Dabek et al., 2004); its adjustment term from Ledlie et al., "Network Coordinates in the Wild" (2007);
the wire documents' Gossip, section 6.
"""

from __future__ import annotations

from collections.abc import Mapping
from math import sqrt

from txconsul.records.coordinate import Position

__all__ = [
    "DIMENSIONS",
    "ERROR_MAX",
    "FARTHEST",
    "HEIGHT_MIN",
    "ORIGIN",
    "closest_segment",
    "compatible",
    "distance",
    "raw_distance",
]

#: Dimensions of the space that every Serf node uses.
DIMENSIONS = 8
#: Seconds of the last stretch of wire before every node; less would let nodes fall into each other.
HEIGHT_MIN = 1e-5
#: How wrong a node thinks that it is before it has learnt anything.
ERROR_MAX = 1.5

#: Where a node is that has not measured anything yet.
ORIGIN = Position(error=ERROR_MAX, height=HEIGHT_MIN, vec=(0.0,) * DIMENSIONS)

#: The longest distance, in ns: what 64 bits hold. Anybody may claim to be farther away.
FARTHEST = 2**63 - 1

_NANOSECONDS = 1e9


def compatible(one: Position, other: Position) -> bool:
    """Are both in a space of the same number of dimensions?"""
    return len(one.vec or ()) == len(other.vec or ())


def distance(one: Position, other: Position) -> int:
    """
    The estimated round trip between two compatible positions, in whole nanoseconds, as every Serf node computes it.

    The adjustment terms count unless they make the estimate negative.

    >>> distance(ORIGIN, ORIGIN)
    20000
    """
    raw = raw_distance(one, other)
    adjusted = raw + one.adjustment + other.adjustment
    nanoseconds = (adjusted if adjusted > 0 else raw) * _NANOSECONDS
    return int(nanoseconds) if nanoseconds < FARTHEST else FARTHEST


def raw_distance(one: Position, other: Position) -> float:
    """The same without the adjustment terms, in seconds."""
    length = 0.0
    for here, there in zip(one.vec or (), other.vec or (), strict=True):
        length += (here - there) * (here - there)
    return sqrt(length) + one.height + other.height


def closest_segment(
    one: Mapping[str, Position], other: Mapping[str, Position]
) -> tuple[Position | None, Position | None]:
    """
    The positions of two nodes that can be compared: those of a segment that both are in.

    A node with one position is a client of that segment; one with several is a server, which is in all. Where both have
    one, the other's segment decides; where neither does, the empty one.

    @param one: a node's positions, by segment.
    @return: a position of each; None where a node has none in the segment.
    """
    segment = ""
    for positions in (one, other):
        if len(positions) == 1:
            (segment,) = positions
    return one.get(segment), other.get(segment)
