"""An agent says where it is."""

from __future__ import annotations

from random import Random
from typing import Any

from twisted.internet.defer import Deferred
from twisted.internet.task import Clock
from twisted.trial.unittest import SynchronousTestCase

from txconsul.agent.position import TellPosition, interval
from txconsul.records.coordinate import Position
from txconsul.serf.coordinate import ORIGIN


class TellPositionTests(SynchronousTestCase):
    """Again and again, while it runs."""

    def setUp(self) -> None:
        self.clock = Clock()
        self.told: list[Any] = []
        self.position: Position | None = ORIGIN
        self.answer: Any = None
        self.members = 1
        self.service = TellPosition(
            self, "dc1", "n1", lambda: self.position, lambda: self.members, self.clock, Random(1)
        )
        self.service.startService()

    def call(self, method: str, request: Any, context: Any) -> Any:
        """The door: what is asked is remembered."""
        self.told.append((method, request.node, request.datacenter, request.coord))
        if isinstance(self.answer, Exception):
            raise self.answer
        return self.answer

    def test_again(self) -> None:
        """It tells once in an interval, which is drawn up to twice as long."""
        self.clock.pump([14.9])
        self.assertEqual(self.told, [])
        self.clock.pump([0.1] * 3000)
        self.assertEqual(set(self.told), {("Coordinate.Update", "n1", "dc1", ORIGIN)})
        self.assertTrue(10 <= len(self.told) <= 20, len(self.told))

    def test_manyMembers(self) -> None:
        """The more members, the more seldom each tells: 64 words a second in all."""
        self.assertEqual(interval(64 * 60), 60.0)

    def test_unknownOrRefused(self) -> None:
        """Without a place it says nothing, and what failed is tried again in time."""
        self.position = None
        self.clock.pump([31, 31])
        self.assertEqual(self.told, [])
        self.position, self.answer = ORIGIN, ValueError("no")
        self.clock.pump([31, 31])
        self.assertEqual(len(self.told), 2)

    def test_stops(self) -> None:
        """A word under way is given up, and none follows."""
        self.answer = waiting = Deferred()
        self.clock.pump([31])
        self.service.stopService()
        self.assertTrue(waiting.called)
        self.assertEqual(self.clock.getDelayedCalls(), [])
