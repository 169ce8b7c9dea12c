"""C{txconsul rtt}: whose coordinates are compared, and what is said of them."""

from __future__ import annotations

import json
from typing import Any

from twisted.trial.unittest import SynchronousTestCase

from tests.cli.invoking import FakeAgent, Outcome, answer, invoke


def entry(node: str, seconds: float, segment: str = "") -> dict[str, Any]:
    """A node's coordinate, so far from the origin."""
    coord = {"Vec": [seconds, 0, 0, 0, 0, 0, 0, 0], "Error": 1.5, "Height": 0.00001, "Adjustment": 0}
    return {"Node": node, "Segment": segment, "Coord": coord}


class RttTests(SynchronousTestCase):
    """Against an agent that tells coordinates."""

    def setUp(self) -> None:
        self.nodes: list[dict[str, Any]] = [entry("n1", 0.001), entry("N2", 0.002)]
        self.datacenters: list[dict[str, Any]] = []

    def ask(self, *words: str) -> Outcome:
        """Run it."""
        agent = FakeAgent(
            {
                "GET /v1/coordinate/nodes": answer(json.dumps(self.nodes)),
                "GET /v1/coordinate/datacenters": answer(json.dumps(self.datacenters)),
                "GET /v1/agent/self": answer(json.dumps({"Config": {"NodeName": "n1", "Datacenter": "dc1"}})),
            }
        )
        return invoke("rtt", *words, agent=agent)

    def test_twoNodes(self) -> None:
        """The estimate, in thousandths of a millisecond, under the names that were given."""
        found = self.ask("n1", "n2")
        self.assertEqual((found.status, found.err), (0, ""))
        self.assertEqual(found.out, b"Estimated n1 <-> n2 rtt: 1.020 ms (using LAN coordinates)\n")

    def test_agentItself(self) -> None:
        """One name is compared with the agent's."""
        self.assertEqual(self.ask("n2").out, b"Estimated n2 <-> n1 rtt: 1.020 ms (using LAN coordinates)\n")

    def test_missing(self) -> None:
        """The first node without a coordinate is named."""
        for words, name in ((("x", "y"), "x"), (("n1", "y"), "y")):
            found = self.ask(*words)
            self.assertEqual((found.status, found.err), (1, f'Could not find a coordinate for node "{name}"\n'))

    def test_segments(self) -> None:
        """Nodes of different segments cannot be compared."""
        self.nodes = [entry("n1", 0.001, "alpha"), entry("n2", 0.002, "beta")]
        self.assertEqual(self.ask("n1", "n2").err, 'Could not find a coordinate for node "n1"\n')

    def test_names(self) -> None:
        """One or two, and not more."""
        for words in ((), ("a", "b", "c")):
            found = self.ask(*words)
            self.assertEqual((found.status, found.out), (1, b""))
            self.assertTrue(found.err.startswith("One or two node names must be specified\n\nUsage: "), found.err)

    def test_wan(self) -> None:
        """Servers are compared within an area, by name and datacenter."""
        self.datacenters = [
            {"Datacenter": "dc1", "AreaID": "wan", "Coordinates": [entry("n1", 0.0)]},
            {"Datacenter": "dc2", "AreaID": "wan", "Coordinates": [entry("n1", 0.01)]},
            {"Datacenter": "dc3", "AreaID": "other", "Coordinates": [entry("n1", 0.01)]},
        ]
        found = self.ask("-wan", "n1.dc2")
        self.assertEqual(found.out, b"Estimated n1.dc2 <-> n1.dc1 rtt: 10.020 ms (using WAN coordinates)\n")
        for other in ("n1.dc3", "n2.dc2"):
            self.assertEqual(self.ask("-wan", "n1.dc1", other).status, 1)
        self.assertEqual(
            self.ask("-wan", "n1").err, "Node names must be specified as <node name>.<datacenter> with -wan\n"
        )

    def test_nonsense(self) -> None:
        """An agent that tells something else, or places of different spaces."""
        self.nodes[0]["Coord"] = {"Vec": [1]}
        self.assertIn("dimensions", self.ask("n1", "n2").err)
        self.nodes[0]["Coord"] = 7
        self.assertTrue(self.ask("n1", "n2").err.startswith("Error getting coordinates: "))
        self.datacenters = [{"Datacenter": "dc1", "Coordinates": 7}]
        self.assertTrue(self.ask("-wan", "n1.dc1").err.startswith("Error getting coordinates: "))
