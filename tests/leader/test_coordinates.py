"""Coordinate updates on their way into the log: batches, bounds, and the end of leadership."""

from __future__ import annotations

from typing import Any

from twisted.internet.defer import Deferred, fail, succeed
from twisted.internet.task import Clock
from twisted.trial.unittest import SynchronousTestCase

from txconsul.errors import NoLeader
from txconsul.leader.coordinates import BATCH_SIZE, BATCHES_MAX, PERIOD_SECONDS, Positions
from txconsul.records.coordinate import Coordinate, CoordinateBatch
from txconsul.state.commands import decode_command


class PositionsTests(SynchronousTestCase):
    """The leader's collection."""

    def setUp(self) -> None:
        self.clock = Clock()
        self.batches: list[CoordinateBatch] = []
        self.refused: Exception | None = None
        self.positions = Positions(self.propose, self.clock)
        self.positions.startService()

    def propose(self, data: bytes, record: object) -> Deferred[Any]:
        """Remember what would be committed, after a look at its bytes."""
        self.assertEqual(decode_command(data)[1], record)
        assert isinstance(record, CoordinateBatch)
        self.batches.append(record)
        return fail(self.refused) if self.refused else succeed(None)

    def take(self, count: int) -> None:
        """So many nodes say where they are."""
        for number in range(count):
            self.positions.take(Coordinate(node=f"n{number}"))

    def test_batches(self) -> None:
        """More than one batch becomes several entries."""
        self.take(BATCH_SIZE + 1)
        self.clock.advance(PERIOD_SECONDS)
        self.assertEqual([len(batch.updates) for batch in self.batches], [BATCH_SIZE, 1])

    def test_tooMany(self) -> None:
        """What is more than a period may carry is thrown away, and the next period carries again."""
        self.take(BATCH_SIZE * BATCHES_MAX + 7)
        self.clock.advance(PERIOD_SECONDS)
        self.assertEqual(sum(len(batch.updates) for batch in self.batches), BATCH_SIZE * BATCHES_MAX)
        self.take(1)
        self.clock.advance(PERIOD_SECONDS)
        self.assertEqual(len(self.batches), BATCHES_MAX + 1)

    def test_segments(self) -> None:
        """A node's words about different segments are different words."""
        for segment in ("", "alpha", ""):
            self.positions.take(Coordinate(node="n", segment=segment))
        self.clock.advance(PERIOD_SECONDS)
        self.assertEqual([one.segment for one in self.batches[0].updates], ["", "alpha"])

    def test_refused(self) -> None:
        """A batch that could not be written is given up; later ones are tried."""
        self.refused = NoLeader()
        self.take(1)
        self.clock.advance(PERIOD_SECONDS)
        self.take(1)
        self.clock.advance(PERIOD_SECONDS)
        self.assertEqual(len(self.batches), 2)

    def test_leadershipEnds(self) -> None:
        """Without leadership nothing is taken, nothing written, and no delayed call stays."""
        self.take(1)
        self.positions.stopService()
        self.take(1)
        self.assertEqual(self.clock.getDelayedCalls(), [])
        self.positions.startService()
        self.assertEqual(self.clock.getDelayedCalls(), [])
        self.take(1)
        self.clock.advance(PERIOD_SECONDS)
        self.assertEqual(len(self.batches), 1)
