"""
Rounds and the reads that wait for them.
"""

from __future__ import annotations

from twisted.trial.unittest import SynchronousTestCase

from txconsul.raft.reads import ROUND_SECONDS, Reads, Rounds
from txconsul.raft.timing import Timing


class RoundsTests(SynchronousTestCase):
    """Numbers of what is sent, and when that was."""

    def test_numbersGrow(self) -> None:
        """Each message has a number of its own."""
        rounds = Rounds()
        self.assertEqual([rounds.begin(1.0, 9.0) for _ in range(3)], [1, 2, 3])

    def test_neverLaterThanItWas(self) -> None:
        """The time told is at most a hundredth of a second too early, never too late."""
        rounds = Rounds()
        sent = [(rounds.begin(step / 700, 99.0), step / 700) for step in range(1, 5000)]
        for number, at in sent:
            told = rounds.sent_at(number)
            assert told is not None
            self.assertTrue(at - ROUND_SECONDS - 1e-9 <= told <= at)

    def test_unknown(self) -> None:
        """What was never sent has no time."""
        rounds = Rounds()
        self.assertIsNone(rounds.sent_at(1))
        rounds.begin(1.0, 9.0)
        self.assertIsNone(rounds.sent_at(0))
        self.assertIsNone(rounds.sent_at(2))

    def test_oldTimesGo(self) -> None:
        """Times that are of no use are not kept for ever; the others are."""
        rounds = Rounds()
        for step in range(10000):
            rounds.begin(step / 10, 2.5)
        self.assertLess(len(rounds._times), 600)
        self.assertEqual(rounds.sent_at(9980), 997.9)
        self.assertIsNone(rounds.sent_at(5))


class ReadsTests(SynchronousTestCase):
    """One round answers for all that came before it."""

    def test_batched(self) -> None:
        """Reads that come during a round wait for the next, all together."""
        reads = Reads()
        for ticket in (1, 2):
            reads.add(ticket, 5)
        self.assertTrue(reads.wants_round())
        reads.round_begins(10)
        for ticket in (3, 4):
            reads.add(ticket, 5)
        self.assertFalse(reads.wants_round())
        self.assertEqual(reads.confirmed(9, 5), [])
        self.assertEqual(reads.confirmed(10, 5), [(1, 5), (2, 5)])
        self.assertTrue(reads.wants_round())
        reads.round_begins(11)
        self.assertEqual(reads.confirmed(99, 5), [(3, 5), (4, 5)])

    def test_anyRoundWillDo(self) -> None:
        """Whatever is sent after a read came confirms it, asked for by a read or not."""
        reads = Reads()
        reads.add(1, 5)
        reads.round_begins(10)
        reads.add(2, 5)
        reads.round_begins(12)
        self.assertEqual(reads.confirmed(12, 5), [(1, 5), (2, 5)])

    def test_waitsForTheCommit(self) -> None:
        """A read of what is not committed yet goes on waiting."""
        reads = Reads()
        reads.add(1, 5)
        reads.round_begins(10)
        self.assertEqual(reads.confirmed(10, 4), [])
        self.assertEqual(reads.confirmed(10, 5), [(1, 5)])

    def test_takeAll(self) -> None:
        """All that wait can be failed, once."""
        reads = Reads()
        reads.add(1, 5)
        reads.round_begins(10)
        reads.add(2, 5)
        self.assertEqual((reads.take_all(), reads.take_all()), ([1, 2], []))


class TimingTests(SynchronousTestCase):
    """Consul's raft_multiplier."""

    def test_multiplied(self) -> None:
        """Heartbeat, election and lease grow with it, the commit timeout does not; 5 is the default."""
        fast, slow = Timing.multiplied(1), Timing.multiplied(10)
        self.assertEqual((fast.heartbeat, fast.election, fast.lease, fast.commit), (1.0, 1.0, 0.5, 0.05))
        self.assertEqual((slow.heartbeat, slow.election, slow.lease, slow.commit), (10.0, 10.0, 5.0, 0.05))
        self.assertEqual(Timing.multiplied(), Timing())
