"""Virtual time."""

from __future__ import annotations

from twisted.internet.error import AlreadyCalled, AlreadyCancelled
from twisted.internet.interfaces import IReactorTime
from twisted.trial.unittest import SynchronousTestCase
from zope.interface.verify import verifyObject

from txconsul.simulation.clock import SimulatedClock


class ClockTests(SynchronousTestCase):
    """Time moves only when told to, and calls come in the order of their times."""

    def setUp(self) -> None:
        self.clock = SimulatedClock()
        self.seen: list[str] = []

    def test_provides(self) -> None:
        """It is an L{IReactorTime}."""
        verifyObject(IReactorTime, self.clock)

    def test_order(self) -> None:
        """Calls come by time, and those of the same moment in the order in which they were made."""
        self.clock.callLater(2, self.seen.append, "c")
        self.clock.callLater(1, self.seen.append, "a")
        self.clock.callLater(1, self.seen.append, "b")
        self.clock.advance(2)
        self.assertEqual(self.seen, ["a", "b", "c"])

    def test_callsOfACall(self) -> None:
        """What a call schedules within the stretch runs in it, at its own time."""
        times: list[float] = []
        self.clock.callLater(1, lambda: self.clock.callLater(1, lambda: times.append(self.clock.seconds())))
        self.clock.advance(5)
        self.assertEqual((times, self.clock.seconds()), ([2.0], 5.0))

    def test_moved(self) -> None:
        """A call that was reset or delayed comes at its new time only."""
        call = self.clock.callLater(1, self.seen.append, "x")
        call.reset(3)
        call.delay(1)
        self.clock.advance(3.5)
        self.assertEqual(self.seen, [])
        self.clock.advance(0.5)
        self.assertEqual(self.seen, ["x"])
        self.assertRaises(AlreadyCalled, call.cancel)

    def test_cancelled(self) -> None:
        """A cancelled call never comes and is not among the delayed ones."""
        call = self.clock.callLater(1, self.seen.append, "x")
        call.cancel()
        self.assertEqual(self.clock.getDelayedCalls(), [])
        self.assertIsNone(self.clock.next_time())
        self.clock.advance(2)
        self.assertEqual(self.seen, [])
        self.assertRaises(AlreadyCancelled, call.reset, 1)
