"""C{/v1/coordinate/} and C{?near=}: what the edge adds."""

from __future__ import annotations

import json
from typing import Any

from twisted.trial.unittest import SynchronousTestCase

from tests.http.test_api import Asking
from txconsul.leader.coordinates import PERIOD_SECONDS, Positions

VEC = [0.25, 0, 0, 0, 0, 0, 0, -1.5]


class CoordinateTests(SynchronousTestCase):
    """The API over a door."""

    def setUp(self) -> None:
        self.asking = Asking()
        served = self.asking.served
        served.leading.positions = positions = Positions(served.consensus.propose, served.clock)
        positions.startService()
        for name in ("a", "b", "c"):
            self.put("/v1/catalog/register", {"Node": name, "Address": "10.0.0.1"})

    def put(self, target: str, body: Any) -> Any:
        """The answer to a body."""
        return self.asking.ask("PUT", target, json.dumps(body).encode())

    def place(self, node: str, vec: list[float], **more: Any) -> Any:
        """A node says where it is."""
        coord = {"Vec": vec, "Error": 1.5, "Height": 0.00001, "Adjustment": 0}
        return self.put("/v1/coordinate/update", {"Node": node, "Coord": coord, **more})

    def settle(self) -> None:
        """What was said is written."""
        self.asking.served.clock.advance(PERIOD_SECONDS)

    def test_updateAndRead(self) -> None:
        """An update is answered with nothing, and read as Go writes numbers."""
        answer = self.place("a", VEC)
        self.assertEqual((answer.status, answer.body), (200, b""))
        self.settle()
        found = self.asking.ask("GET", "/v1/coordinate/node/a")
        self.assertIn(b'"Vec":[0.25,0,0,0,0,0,0,-1.5]', found.body)
        self.assertIn(b'"Height":0.00001', found.body)
        self.assertIn(b"X-Consul-Index: ", found.head)

    def test_segments(self) -> None:
        """C{?segment} chooses, the empty one too; a node without coordinates in it is not found."""
        self.place("a", VEC)
        self.place("a", VEC, Segment="alpha")
        self.settle()
        for target, count in {"": 2, "?segment": 1, "?segment=": 1, "?segment=alpha": 1}.items():
            self.assertEqual(len(json.loads(self.asking.ask("GET", "/v1/coordinate/node/a" + target).body)), count)
        missing = self.asking.ask("GET", "/v1/coordinate/node/a?segment=beta")
        self.assertEqual((missing.status, missing.body), (404, b""))
        self.assertNotIn(b"X-Consul-Index", missing.head)
        self.assertEqual(self.asking.ask("GET", "/v1/coordinate/nodes?segment=beta").body, b"[]")

    def test_refused(self) -> None:
        """Bodies that say something else, and positions that are none."""
        for body, status, text in (
            ({"Node": "a", "Where": 1}, 400, 'Request decode failed: json: unknown field "Where"'),
            ({"Node": "a", "Coord": {"Vec": [1]}}, 500, "incompatible coordinate"),
            ({"Node": "a"}, 500, "invalid coordinate"),
            ({"Node": "a", "Datacenter": "dc9", "Coord": {"Vec": VEC}}, 500, "No path to datacenter"),
        ):
            answer = self.put("/v1/coordinate/update", body)
            self.assertEqual((answer.status, answer.body.decode()), (status, text))
        answer = self.put("/v1/coordinate/update?dc=dc1", {"Node": "a", "Datacenter": "dc9", "Coord": {"Vec": VEC}})
        self.assertEqual(answer.status, 200)

    def test_disabled(self) -> None:
        """With C{disable_coordinates} every path says so, whatever else is wrong with the request."""
        asking = Asking(coordinates=False)
        for method, target in (
            ("GET", "/v1/coordinate/datacenters"),
            ("GET", "/v1/coordinate/nodes?index=x"),
            ("GET", "/v1/coordinate/node/a?ns=x"),
            ("PUT", "/v1/coordinate/update"),
        ):
            answer = asking.ask(method, target, b"{")
            self.assertEqual((answer.status, answer.body), (401, b"Coordinate support disabled"), target)
            self.assertNotIn(b"X-Consul-Index", answer.head)

    def test_near(self) -> None:
        """C{?near} sorts, C{_agent} is the agent's own node, and C{?dc} of elsewhere is still elsewhere."""
        for node, first in (("a", 0.0), ("b", 5.0), ("c", 1.0)):
            self.place(node, [first, *[0.0] * 7])
        self.settle()
        for near, wanted in {"b": "bca", "_agent": "acb", "nobody": "abc", "_ip": "abc", "": "abc"}.items():
            answer = self.asking.ask("GET", f"/v1/catalog/nodes?near={near}")
            self.assertEqual("".join(one["Node"] for one in json.loads(answer.body)), wanted, near)
        self.assertEqual(self.asking.ask("GET", "/v1/catalog/nodes?near=b&dc=dc9").status, 500)
