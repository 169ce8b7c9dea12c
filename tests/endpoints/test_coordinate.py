"""Coordinates through the door: what is taken, what is told, and what is near."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st
from twisted.internet.defer import Deferred
from twisted.trial.unittest import SynchronousTestCase

from tests.endpoints.serving import Served
from txconsul.endpoints import nearness
from txconsul.endpoints.nearness import SOURCES_KEPT, nearest
from txconsul.errors import NoPathToDatacenter, TxconsulError
from txconsul.leader.coordinates import PERIOD_SECONDS, Positions
from txconsul.records.catalog import DeregisterRequest, RegisterRequest
from txconsul.records.coordinate import Coordinate, CoordinateBatch, CoordinateUpdateRequest, DatacenterMap, Position
from txconsul.records.health import HealthCheck
from txconsul.records.queries import (
    ChecksInStateRequest,
    DCSpecificRequest,
    NodeSpecificRequest,
    ServiceSpecificRequest,
)
from txconsul.records.query import QueryOptions, QuerySource
from txconsul.records.service import NodeService
from txconsul.state.commands import encode_command

COORDINATES = 6


def at(seconds: float) -> Position:
    """A position so far from the origin, along the first dimension."""
    return Position(error=1.5, height=1e-5, vec=(seconds, *[0.0] * 7))


class Near:
    """A door behind which nodes have places."""

    def __init__(self) -> None:
        self.served = Served()
        positions = self.served.leading.positions = Positions(self.served.consensus.propose, self.served.clock)
        positions.startService()

    def register(self, *names: str) -> None:
        """Nodes, each with an instance of web and a passing check of it."""
        for name in names:
            request = RegisterRequest(
                datacenter="dc1",
                node=name,
                address="10.0.0.1",
                service=NodeService(id="web", service="web", port=80),
                check=HealthCheck(node=name, check_id="c", service_id="web", status="passing"),
            )
            self.served.call("Catalog.Register", request)

    def place(self, node: str, position: Position, segment: str = "") -> None:
        """Write a node's place at once."""
        batch = CoordinateBatch(updates=(Coordinate(node=node, coord=position, segment=segment),))
        self.served.consensus.propose(encode_command(COORDINATES, batch, ignorable=True), batch)

    def ask(self, method: str, request: Any) -> Any:
        """The answer, which is there at once."""
        answer = self.served.call(method, request)
        assert not isinstance(answer, Deferred)
        return answer


def source(node: str) -> QuerySource:
    """Near to a node of this datacenter."""
    return QuerySource(datacenter="dc1", node=node)


class UpdateTests(SynchronousTestCase):
    """Nodes say where they are."""

    def setUp(self) -> None:
        self.near = Near()
        self.near.register("n1", "n2")

    def update(self, node: str, position: Position | None, **more: Any) -> Any:
        """A node says so."""
        return self.near.served.call(
            "Coordinate.Update", CoordinateUpdateRequest(datacenter="dc1", node=node, coord=position, **more)
        )

    def known(self, node: str) -> list[Coordinate]:
        """What is told of it."""
        found: list[Coordinate] = self.near.ask("Coordinate.Node", NodeSpecificRequest(node=node)).value
        return found

    def test_writtenAfterAPeriod(self) -> None:
        """What nodes say is written together, the last word of each, with the byte that old servers may skip."""
        before = len(self.near.served.consensus.proposed)
        self.update("n1", at(0.1))
        self.update("n2", at(0.2))
        self.update("n1", at(0.3))
        self.assertEqual(self.known("n1"), [])
        self.near.served.clock.advance(PERIOD_SECONDS)
        ((data, batch),) = self.near.served.consensus.proposed[before:]
        self.assertEqual(data[0], 134)
        self.assertEqual([one.node for one in batch.updates], ["n1", "n2"])
        self.assertEqual(self.known("N1"), [Coordinate(node="N1", coord=at(0.3))])
        self.near.served.clock.advance(10 * PERIOD_SECONDS)
        self.assertEqual(len(self.near.served.consensus.proposed), before + 1)

    def test_refused(self) -> None:
        """What is no position, or one of another space, is refused."""
        for position in (None, Position(vec=(float("nan"),) * 8), Position(height=float("inf"), vec=(0.0,) * 8)):
            self.assertEqual(str(self.assertRaises(TxconsulError, self.update, "n1", position)), "invalid coordinate")
        error = self.assertRaises(TxconsulError, self.update, "n1", Position(vec=(0.0,)))
        self.assertEqual(str(error), "incompatible coordinate")

    def test_switchedOff(self) -> None:
        """A server that has no place of its own takes none."""
        self.near.served.site.position = None
        error = self.assertRaises(TxconsulError, self.update, "n1", at(1))
        self.assertEqual(str(error), "Coordinates are disabled")

    def test_strangers(self) -> None:
        """What is said of nodes that are not registered is dropped, and a node's place goes with it."""
        self.update("nobody", at(1))
        self.update("n1", at(1))
        self.near.served.clock.advance(PERIOD_SECONDS)
        listed = self.near.ask("Coordinate.ListNodes", DCSpecificRequest())
        self.assertEqual([one.node for one in listed.value], ["n1"])
        self.near.served.call("Catalog.Deregister", DeregisterRequest(datacenter="dc1", node="n1"))
        gone = self.near.ask("Coordinate.ListNodes", DCSpecificRequest())
        self.assertEqual(gone.value, [])
        self.assertGreater(gone.index, listed.index)

    def test_wokenByItsOwnNode(self) -> None:
        """Who waits for a node's place is woken by that node's change only."""
        index = self.near.ask("Coordinate.Node", NodeSpecificRequest(node="n1")).index
        waiting = self.near.served.call(
            "Coordinate.Node", NodeSpecificRequest(node="n1", options=QueryOptions(min_query_index=index))
        )
        self.near.place("n2", at(1))
        self.assertNoResult(waiting)
        self.near.place("n1", at(1))
        self.assertEqual(self.successResultOf(waiting).value, [Coordinate(node="n1", coord=at(1))])

    def test_elsewhere(self) -> None:
        """Another datacenter cannot be told."""
        self.assertRaises(
            NoPathToDatacenter, self.near.served.call, "Coordinate.Update", CoordinateUpdateRequest(datacenter="dc2")
        )


class NearestTests(SynchronousTestCase):
    """Answers with what is near first."""

    def setUp(self) -> None:
        self.near = Near()
        self.near.register("a", "b", "c", "d")
        for node, seconds in (("a", 0.03), ("b", 0.01), ("d", 0.001)):
            self.near.place(node, at(seconds))

    def order(self, method: str, request: Any) -> list[str]:
        """The nodes of an answer."""
        rows = self.near.ask(method, request).value
        return [row.node if isinstance(row.node, str) else row.node.node for row in rows]

    def everywhere(self, asked: QuerySource) -> list[list[str]]:
        """The order of every answer that has one."""
        service = ServiceSpecificRequest(datacenter="dc1", service_name="web", source=asked)
        return [
            self.order("Catalog.ListNodes", DCSpecificRequest(datacenter="dc1", source=asked)),
            self.order("Catalog.ServiceNodes", service),
            self.order("Health.ServiceNodes", service),
            self.order("Health.ServiceChecks", service),
            self.order("Health.ChecksInState", ChecksInStateRequest(datacenter="dc1", state="any", source=asked)),
        ]

    def test_everyAnswer(self) -> None:
        """The nearest first, and nodes without a place last."""
        for node, wanted in (("d", "dbac"), ("D", "dbac"), ("a", "abdc"), ("b", "bdac")):
            self.assertEqual(self.everywhere(source(node)), [list(wanted)] * 5, node)

    def test_nothingKnown(self) -> None:
        """Without a place of its own a source changes nothing; nor does one of another datacenter."""
        for asked in (source("c"), source("nobody"), QuerySource(datacenter="dc2", node="d"), QuerySource(node="d")):
            self.assertEqual(self.everywhere(asked), [list("abcd")] * 5, asked)

    def test_placesChange(self) -> None:
        """Answers follow the places at once, though they are kept, and nobody who waits is woken."""
        asked = ServiceSpecificRequest(datacenter="dc1", service_name="web", source=source("d"))
        before = self.near.ask("Health.ServiceNodes", asked)
        waiting = self.near.served.call(
            "Health.ServiceNodes",
            ServiceSpecificRequest(
                datacenter="dc1",
                service_name="web",
                source=source("d"),
                options=QueryOptions(min_query_index=before.index),
            ),
        )
        self.near.place("a", at(0.002))
        self.assertNoResult(waiting)
        self.assertEqual(self.everywhere(source("d")), [list("dabc")] * 5)
        self.assertEqual(self.near.ask("Health.ServiceNodes", asked).index, before.index)
        waiting.cancel()
        self.failureResultOf(waiting)

    def test_keptWhileNothingChanges(self) -> None:
        """The same question has the same rows, not sorted anew."""
        asked = ServiceSpecificRequest(datacenter="dc1", service_name="web", source=source("d"))
        first = self.near.ask("Health.ServiceNodes", asked).value
        self.assertIs(self.near.ask("Health.ServiceNodes", asked).value, first)

    def test_otherDimensions(self) -> None:
        """A place in another space is not known."""
        self.near.place("d", Position(vec=(1.0,)))
        self.assertEqual(self.everywhere(source("b")), [list("bacd")] * 5)

    def test_stable(self) -> None:
        """Rows of nodes that are equally far stay in their order, whatever the places."""

        @settings(max_examples=50, deadline=None)
        @given(st.lists(st.sampled_from([None, 0.0, 1.0, 2.0]), min_size=4, max_size=4), st.permutations("abcd"))
        def stable(seconds: list[float | None], rows: list[str]) -> None:
            near = Near()
            near.register("a", "b", "c", "d")
            place = dict(zip("abcd", seconds, strict=True))
            for node, where in place.items():
                if where is not None:
                    near.place(node, at(where))
            found = nearest(near.served.store, source("a"), "dc1", rows, lambda row: row)
            own = place["a"]
            if own is None:
                self.assertEqual(found, rows)
                return
            far = {node: abs(where - own) if where is not None else 99.0 for node, where in place.items()}
            self.assertEqual(found, sorted(rows, key=far.__getitem__))

        stable()

    def test_bounded(self) -> None:
        """Distances are kept from a few nodes only, and not beyond a change of places."""
        store = self.near.served.store
        names = [f"n{number}" for number in range(SOURCES_KEPT + 5)]
        self.near.register(*names)
        for name in names:
            self.near.place(name, at(1))
        for name in names:
            nearest(store, source(name), "dc1", ["a", "b"], lambda row: row)
        kept = nearness._KEPT[store.coordinates]
        self.assertEqual(len(kept._by_source), SOURCES_KEPT)
        self.near.place("a", at(2))
        nearest(store, source("b"), "dc1", ["a"], lambda row: row)
        self.assertEqual(list(kept._by_source), ["b"])


class DatacentersTests(SynchronousTestCase):
    """Where the servers of the datacenters are."""

    def test_told(self) -> None:
        """What the agent's pools know is told, unless coordinates are switched off, or there is no agent."""
        near = Near()
        found = [DatacenterMap(area_id="wan", datacenter="dc1", coordinates=())]
        site = near.served.site
        self.assertEqual(near.ask("Coordinate.ListDatacenters", DCSpecificRequest()), [])
        pools: Any = SimpleNamespace(places=lambda: found, position=None)
        site.pools = pools
        self.assertEqual(near.ask("Coordinate.ListDatacenters", DCSpecificRequest()), found)
        site.position = None
        self.assertEqual(near.ask("Coordinate.ListDatacenters", DCSpecificRequest()), [])
