"""Timeouts of one length for many."""

from __future__ import annotations

from twisted.trial.unittest import SynchronousTestCase

from txconsul.http.deadlines import Deadlines


class DeadlinesTests(SynchronousTestCase):
    """A queue in the order of starting."""

    def setUp(self) -> None:
        self.expired: list[str] = []
        self.deadlines = Deadlines(10.0, self.expired.append)

    def test_due(self) -> None:
        """Each is told once, when its time is over and not before."""
        self.deadlines.start("a", 0.0)
        self.deadlines.start("b", 1.0)
        self.deadlines.look(9.9)
        self.assertEqual(self.expired, [])
        self.deadlines.look(10.0)
        self.assertEqual(self.expired, ["a"])
        self.deadlines.look(100.0)
        self.deadlines.look(100.0)
        self.assertEqual(self.expired, ["a", "b"])
        self.assertEqual(len(self.deadlines), 0)

    def test_again(self) -> None:
        """Starting anew counts from then on."""
        self.deadlines.start("a", 0.0)
        self.deadlines.start("b", 1.0)
        self.deadlines.start("a", 2.0)
        self.deadlines.look(11.0)
        self.assertEqual(self.expired, ["b"])

    def test_stop(self) -> None:
        """One that is stopped is not told; stopping one that is not there does no harm."""
        self.deadlines.start("a", 0.0)
        self.deadlines.stop("a")
        self.deadlines.stop("b")
        self.deadlines.look(100.0)
        self.assertEqual(self.expired, [])

    def test_changeWhileLooking(self) -> None:
        """Whoever is told may start and stop others."""
        deadlines = Deadlines(10.0, lambda who: (deadlines.stop("b"), deadlines.start(who, 10.0)))
        deadlines.start("a", 0.0)
        deadlines.start("b", 0.0)
        deadlines.look(10.0)
        self.assertEqual(len(deadlines), 1)
