"""Network coordinates: distances, and which positions of two nodes can be compared."""

from __future__ import annotations

from typing import Any

from hypothesis import given
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from tests import vectors
from txconsul.codec.gomsgpack import decode, encode
from txconsul.records.coordinate import CoordinateUpdateRequest, Position
from txconsul.serf.coordinate import DIMENSIONS, FARTHEST, ORIGIN, closest_segment, compatible, distance

SECONDS = st.floats(-10, 10)
POSITIONS = st.builds(
    Position,
    adjustment=SECONDS,
    error=SECONDS,
    height=st.floats(1e-5, 1),
    vec=st.tuples(*[SECONDS] * DIMENSIONS),
)


def position(recorded: dict[str, Any]) -> Position:
    """A position as the vectors write it."""
    return Position(
        adjustment=recorded["Adjustment"],
        error=recorded["Error"],
        height=recorded["Height"],
        vec=tuple(map(float, recorded["Vec"])),
    )


class DistanceTests(SynchronousTestCase):
    """Vivaldi's estimate of a round trip."""

    def test_vectors(self) -> None:
        """Estimates are those of Serf's own nodes, to the nanosecond."""
        checked = 0
        for vector in vectors.load("coordinates"):
            recorded = vector["decoded"]
            if "distance_ns" in recorded:
                found = distance(position(recorded["a"]), position(recorded["b"]))
                self.assertEqual(found, recorded["distance_ns"], vector["name"])
                checked += 1
            for step in recorded.get("steps", ()):
                found = distance(position(step["result"]), position(step["other"]))
                self.assertEqual(found, step["estimate_ns_after"], vector["name"])
                checked += 1
        self.assertGreater(checked, 50)

    def test_symmetric(self) -> None:
        """There and back takes as long as back and there, and never less than nothing."""

        @given(POSITIONS, POSITIONS)
        def symmetric(one: Position, other: Position) -> None:
            self.assertLessEqual(abs(distance(one, other) - distance(other, one)), 1)
            self.assertGreaterEqual(distance(one, other), 0)

        symmetric()

    def test_adjustments(self) -> None:
        """Adjustments count, unless the estimate became negative by them."""
        near = Position(height=0.001, vec=(0.0,), adjustment=-0.0005)
        self.assertEqual(distance(near, near), 1_000_000)
        nearer = Position(height=0.001, vec=(0.0,), adjustment=-0.002)
        self.assertEqual(distance(nearer, nearer), 2_000_000)

    def test_farAway(self) -> None:
        """Whoever claims to be farther away than any distance is as far away as can be."""
        for seconds in (1e10, 1e200, 1.7e308):
            far = Position(vec=(seconds, *[-seconds] * 7))
            self.assertEqual(distance(far, ORIGIN), FARTHEST)
            self.assertEqual(distance(far, Position(vec=(-seconds, *[seconds] * 7))), FARTHEST)

    def test_compatible(self) -> None:
        """Positions are compared only within a space of the same number of dimensions."""
        self.assertTrue(compatible(ORIGIN, ORIGIN))
        self.assertFalse(compatible(ORIGIN, Position(vec=(1.0,))))
        self.assertTrue(compatible(Position(), Position(vec=())))

    def test_sound(self) -> None:
        """A position with anything that is no finite number is none."""
        self.assertTrue(ORIGIN.is_sound)
        for value in (float("nan"), float("inf"), -float("inf")):
            for field in ("adjustment", "error", "height"):
                self.assertFalse(Position(**{field: value}).is_sound)
            self.assertFalse(Position(vec=(0.0, value)).is_sound)


class WireTests(SynchronousTestCase):
    """What nodes say to servers."""

    def test_update(self) -> None:
        """An update is Consul's bytes, read and written."""
        (vector,) = [
            one for one in vectors.load("rpc_bodies") if one["name"].endswith("full-structs.CoordinateUpdateRequest")
        ]
        request = decode(CoordinateUpdateRequest, vectors.data(vector))
        self.assertEqual(request.coord, Position(adjustment=1.5, error=1.5, height=1.5, vec=(1.5,)))
        self.assertEqual((request.node, request.segment, request.token), ("sNode", "sSegment", "sToken"))
        self.assertEqual(encode(request), vectors.data(vector))


class SegmentTests(SynchronousTestCase):
    """Which positions of two nodes are compared."""

    def test_clientDecides(self) -> None:
        """A node in one segment is compared with the other's position in the same."""
        server = {"": ORIGIN, "alpha": Position(vec=(1.0,))}
        client = {"alpha": Position(vec=(2.0,))}
        for one, other in ((client, server), (server, client)):
            self.assertEqual(closest_segment(one, other), (one["alpha"], other["alpha"]))

    def test_serversMeetInTheEmptySegment(self) -> None:
        """Two nodes in several segments are compared in the one without a name."""
        server = {"": ORIGIN, "alpha": Position(vec=(1.0,))}
        self.assertEqual(closest_segment(server, server), (ORIGIN, ORIGIN))

    def test_strangers(self) -> None:
        """Clients of different segments cannot be compared, nor a node without positions."""
        alpha, beta = {"alpha": ORIGIN}, {"beta": ORIGIN}
        self.assertEqual(closest_segment(alpha, beta), (None, ORIGIN))
        self.assertEqual(closest_segment(alpha, {}), (ORIGIN, None))
