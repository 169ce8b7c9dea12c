"""
Where a node is in the network, learnt from the round trips that it measures.

Each measurement pulls the node towards another, or pushes it away, by the difference between what was measured and what
their positions foretell; the surer of the two moves the other more.

Rule 1: what a peer says of itself is looked at before it moves anything, and a position that went out of bounds all the
same is given up for a new one.
Rule 2: the arithmetic is that of every Serf node, to the last bit: sums from first to last, distances in whole
nanoseconds.

Sources: Vivaldi (Dabek et al., 2004), with heights; the latency filter, the adjustment term and gravity of Ledlie et
al., "Network Coordinates in the Wild" (2007); the wire documents' Gossip, section 6.
"""

from __future__ import annotations

from collections import deque
from math import sqrt
from random import Random

from msgspec.structs import replace

from txconsul.errors import PeerMisbehaved
from txconsul.records.coordinate import Position
from txconsul.serf.coordinate import ERROR_MAX, HEIGHT_MIN, ORIGIN, compatible, distance, raw_distance

__all__ = ["RTT_SECONDS_MAX", "BadMeasurement", "Vivaldi"]

#: A round trip that took longer was no network's.
RTT_SECONDS_MAX = 10.0
#: What is shorter counts as so long, in seconds: nothing is divided by zero, and no two nodes are in one place.
ZERO_THRESHOLD = 1e-6
#: How fast a node's error follows its measurements, and how far one of them moves it (Vivaldi 3.4).
ERROR_WEIGHT = 0.25
MOVE_WEIGHT = 0.25
#: Round trips of one node of which the median counts.
LATENCY_FILTER_SIZE = 3
#: Measurements over which the adjustment term is the mean of what the model got wrong.
ADJUSTMENT_WINDOW = 20
#: Seconds from the origin at which gravity pulls back with a second: the whole cloud of nodes must not drift.
GRAVITY_RHO = 150.0

_NANOSECONDS = 1_000_000_000


class BadMeasurement(PeerMisbehaved):
    """A position that is none, or a round trip that cannot have been."""


class Vivaldi:
    """
    One node's place.

    @ivar position: where it is.
    @ivar resets: how often it had to begin anew, since it was nowhere any more.
    """

    def __init__(self, *, rng: Random, position: Position = ORIGIN) -> None:
        """@param rng: says in which direction nodes leave that are in one place."""
        self.position = position
        self.resets = 0
        self._rng = rng
        self._filters: dict[str, deque[float]] = {}
        self._samples = [0.0] * ADJUSTMENT_WINDOW
        self._next_sample = 0

    def forget(self, node: str) -> None:
        """A node is gone: what was measured to it says nothing of who may come in its place."""
        self._filters.pop(node, None)

    def measured(self, node: str, other: Position, rtt: int) -> Position:
        """
        Learn from one round trip.

        @param node: whom it was measured to.
        @param other: where that node says that it is.
        @param rtt: ns.
        @return: where this node is now.
        @raise BadMeasurement: nothing was learnt.
        """
        if not other.is_sound or other.error < 0 or other.height < 0:  # which no node computes, and which would spread
            raise BadMeasurement("coordinate is invalid")
        if not compatible(self.position, other):
            raise BadMeasurement("dimensions aren't compatible")
        if not 0 <= rtt <= RTT_SECONDS_MAX * _NANOSECONDS:
            raise BadMeasurement(f"round trip time not in valid range: {rtt} ns")
        seconds = self._median(node, _seconds(rtt))
        self._follow(other, seconds)
        self._adjust(other, seconds)
        self._fall()
        if not self.position.is_sound:
            self.position = ORIGIN
            self.resets += 1
        return self.position

    def _median(self, node: str, seconds: float) -> float:
        latest = self._filters.setdefault(node, deque(maxlen=LATENCY_FILTER_SIZE))
        latest.append(seconds)
        return sorted(latest)[len(latest) // 2]

    def _follow(self, other: Position, seconds: float) -> None:
        """Vivaldi 3.4: the measurement moves the node by its share of both nodes' errors."""
        position = self.position
        foretold = _seconds(distance(position, other))
        seconds = max(seconds, ZERO_THRESHOLD)
        wrong = abs(foretold - seconds) / seconds
        weight = position.error / max(position.error + other.error, ZERO_THRESHOLD)
        error = ERROR_WEIGHT * weight * wrong + position.error * (1.0 - ERROR_WEIGHT * weight)
        moved = replace(position, error=min(error, ERROR_MAX))
        self.position = self._pushed(moved, MOVE_WEIGHT * weight * (seconds - foretold), other)

    def _adjust(self, other: Position, seconds: float) -> None:
        """What the model got wrong lately, half of it on each side."""
        self._samples[self._next_sample] = seconds - raw_distance(self.position, other)
        self._next_sample = (self._next_sample + 1) % ADJUSTMENT_WINDOW
        total = 0.0
        for sample in self._samples:
            total += sample
        self.position = replace(self.position, adjustment=total / (2.0 * ADJUSTMENT_WINDOW))

    def _fall(self) -> None:
        """Gravity: a little towards the origin, and more from farther away."""
        far = _seconds(distance(ORIGIN, self.position)) / GRAVITY_RHO
        self.position = self._pushed(self.position, -far * far, ORIGIN)

    def _pushed(self, position: Position, force: float, other: Position) -> Position:
        """The position after a push of so many seconds away from another."""
        unit, length = self._direction(position, other)
        vec = tuple([here + along * force for here, along in zip(position.vec or (), unit, strict=True)])
        height = position.height
        if length > ZERO_THRESHOLD:
            height = max((height + other.height) * force / length + height, HEIGHT_MIN)
        return replace(position, vec=vec, height=height)

    def _direction(self, here: Position, there: Position) -> tuple[list[float], float]:
        """@return: the unit vector from there to here, and the length of the way; 0 for a direction by lot."""
        away = [one - other for one, other in zip(here.vec or (), there.vec or (), strict=True)]
        length = _length(away)
        if length > ZERO_THRESHOLD:
            return [one * (1.0 / length) for one in away], length
        lot = [self._rng.random() - 0.5 for _ in away]
        length = _length(lot)
        if length > ZERO_THRESHOLD:
            return [one * (1.0 / length) for one in lot], 0.0
        return [1.0, *[0.0] * (len(away) - 1)], 0.0


def _seconds(nanoseconds: int) -> float:
    whole, rest = divmod(nanoseconds, _NANOSECONDS)
    return whole + rest / _NANOSECONDS


def _length(vec: list[float]) -> float:
    total = 0.0
    for one in vec:
        total += one * one
    return sqrt(total)
