"""Vivaldi: the recorded steps, and what must hold after any."""

from __future__ import annotations

from random import Random

from hypothesis import given, settings
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from tests import vectors
from tests.serf.test_coordinate import POSITIONS, position
from txconsul.records.coordinate import Position
from txconsul.serf.coordinate import ERROR_MAX, HEIGHT_MIN, ORIGIN, distance
from txconsul.serf.vivaldi import BadMeasurement, Vivaldi

MILLISECOND = 1_000_000


class VivaldiTests(SynchronousTestCase):
    """One node learns where it is."""

    def test_vectors(self) -> None:
        """Every recorded step leads to the same position, to the last bit; refused ones change nothing."""
        steps = refused = 0
        for vector in vectors.load("coordinates"):
            if "steps" not in vector["decoded"]:
                continue
            node = Vivaldi(rng=Random(1), position=position(vector["decoded"]["start"]))
            for step in vector["decoded"]["steps"]:
                if step["error"]:
                    before = node.position
                    self.assertRaises(
                        BadMeasurement, node.measured, step["node"], position(step["other"]), step["rtt_ns"]
                    )
                    self.assertEqual(node.position, before)
                    refused += 1
                else:
                    found = node.measured(step["node"], position(step["other"]), step["rtt_ns"])
                    self.assertEqual(found, position(step["result"]), vector["name"])
                steps += 1
        self.assertGreater(steps, 50)
        self.assertGreater(refused, 0)

    def test_staysInBounds(self) -> None:
        """Whatever is measured, the position is one: finite, no higher error than a newcomer's, no lower height."""

        @settings(max_examples=100, deadline=None)
        @given(st.lists(st.tuples(st.sampled_from("ab"), POSITIONS, st.integers(0, 10_000 * MILLISECOND)), max_size=20))
        def bounded(measured: list[tuple[str, Position, int]]) -> None:
            node = Vivaldi(rng=Random(2))
            for name, other, rtt in measured:
                if other.error < 0:
                    self.assertRaises(BadMeasurement, node.measured, name, other, rtt)
                    continue
                found = node.measured(name, other, rtt)
                self.assertTrue(found.is_sound)
                self.assertTrue(0 <= found.error <= ERROR_MAX)
                self.assertGreaterEqual(found.height, HEIGHT_MIN)

        bounded()

    def test_converges(self) -> None:
        """Nodes that measure each other foretell their round trips before long."""
        rng = Random(3)
        places = {name: (rng.uniform(0, 50), rng.uniform(0, 50)) for name in "abcdefgh"}
        nodes = {name: Vivaldi(rng=Random(name)) for name in places}

        def trip(one: str, other: str) -> int:
            (x, y), (u, v) = places[one], places[other]
            return int((1 + ((x - u) ** 2 + (y - v) ** 2) ** 0.5) * MILLISECOND)

        for _ in range(300):
            for name, node in nodes.items():
                other = rng.choice([one for one in places if one != name])
                node.measured(other, nodes[other].position, trip(name, other))
        wrong = [
            abs(distance(nodes[one].position, nodes[other].position) - trip(one, other)) / trip(one, other)
            for one in places
            for other in places
            if one < other
        ]
        self.assertLess(sum(wrong) / len(wrong), 0.1)

    def test_samePlace(self) -> None:
        """Two nodes in one place part, in a direction by lot."""
        one, other = Vivaldi(rng=Random(1)), Vivaldi(rng=Random(1))
        self.assertNotEqual(one.measured("x", ORIGIN, 10 * MILLISECOND).vec, ORIGIN.vec)
        self.assertEqual(one.position, other.measured("x", ORIGIN, 10 * MILLISECOND))

    def test_oneLateAnswer(self) -> None:
        """The median of the last three counts: one late answer moves nobody. A node that went leaves no trace."""
        node, calm = Vivaldi(rng=Random(1)), Vivaldi(rng=Random(1))
        other = Position(error=0.5, height=1e-5, vec=(0.01, *[0.0] * 7))
        for vivaldi, third in ((node, 5_000), (calm, 10)):
            for rtt in (10, 10, third):
                vivaldi.measured("x", other, rtt * MILLISECOND)
        self.assertEqual(node.position, calm.position)
        node.forget("x")
        self.assertNotEqual(node.measured("x", other, 5_000 * MILLISECOND), calm.measured("x", other, 10 * MILLISECOND))

    def test_refused(self) -> None:
        """Positions that are none, of other spaces, and impossible round trips teach nothing."""
        node = Vivaldi(rng=Random(1))
        for other, rtt in (
            (Position(vec=(float("nan"),) * 8), 1),
            (Position(vec=(1.0,)), 1),
            (ORIGIN, -1),
            (ORIGIN, 10_000 * MILLISECOND + 1),
        ):
            self.assertRaises(BadMeasurement, node.measured, "x", other, rtt)
        self.assertEqual(node.position, ORIGIN)
