"""Driver and Alarm: one drain a turn, one delayed call."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from twisted.internet.defer import CancelledError
from twisted.internet.task import Clock
from twisted.python.failure import Failure
from twisted.trial.unittest import SynchronousTestCase

from txconsul.driver import HOLD, Alarm, Driver, Slices


class AlarmTests(SynchronousTestCase):
    """An alarm rings once for each deadline, at or after it."""

    def setUp(self) -> None:
        self.clock = Clock()
        self.rung: list[float] = []
        self.alarm = Alarm(self.clock, lambda: self.rung.append(self.clock.seconds()))

    def test_lateAlarmRingsOnce(self) -> None:
        """Two deadlines passed in one leap of the clock ring one alarm, not two."""
        self.alarm.set(9.0)
        self.alarm.set(2.0)
        self.clock.advance(9.0)
        self.assertEqual(self.rung, [9.0])

    def test_laterDeadlineKeepsTheCall(self) -> None:
        """A deadline that moves away does not touch the delayed call, and rings at the new time."""
        self.alarm.set(1.0)
        (call,) = self.clock.getDelayedCalls()
        self.alarm.set(3.0)
        self.assertEqual(self.clock.getDelayedCalls(), [call])
        self.clock.advance(1.0)
        self.assertEqual(self.rung, [])
        self.clock.advance(2.0)
        self.assertEqual(self.rung, [3.0])

    def test_noneSilences(self) -> None:
        """Without a deadline nothing rings, and an earlier call passes by."""
        self.alarm.set(1.0)
        self.alarm.set(None)
        self.clock.advance(5.0)
        self.assertEqual(self.rung, [])
        self.assertEqual(self.clock.getDelayedCalls(), [])

    def test_cancelLeavesNothing(self) -> None:
        """A cancelled alarm holds no delayed call."""
        self.alarm.set(1.0)
        self.alarm.cancel()
        self.assertEqual(self.clock.getDelayedCalls(), [])

    def test_pastDeadlineRingsInTheNextTurn(self) -> None:
        """A deadline that has passed already rings in the next turn, never within set."""
        self.clock.advance(5.0)
        self.alarm.set(1.0)
        self.assertEqual(self.rung, [])
        self.clock.advance(0)
        self.assertEqual(self.rung, [5.0])


class EchoCore:
    """A core that wishes what it was told."""

    def __init__(self) -> None:
        self.output: list[Any] = []
        self.deadline: float | None = None
        self.woken: list[float] = []

    def wake(self, now: float) -> None:
        """Note the time."""
        self.woken.append(now)
        self.deadline = None

    def next_deadline(self) -> float | None:
        """What the test says."""
        return self.deadline

    def take_output(self) -> list[Any]:
        """What the test put there."""
        output, self.output = self.output, []
        return output


class DriverTests(SynchronousTestCase):
    """However much a core is fed in a turn, it is drained once at the turn's end."""

    def setUp(self) -> None:
        self.clock = Clock()
        self.core = EchoCore()
        self.done: list[Any] = []
        self.drains = 0

        def drained() -> None:
            self.drains += 1

        self.driver = Driver(self.core, self.clock, {str: self.done.append, int: self.carry_int}, drained)

    def carry_int(self, number: int) -> None:
        """Feeds the core while it is being drained."""
        self.done.append(number)
        if number:
            self.core.output.append(number - 1)
            self.driver.fed()

    def test_oneDrainATurn(self) -> None:
        """Three feeds in one turn are one drain, in order, and nothing happens before the turn ends."""
        for word in "abc":
            self.core.output.append(word)
            self.driver.fed()
        self.assertEqual(self.done, [])
        self.assertEqual(len(self.clock.getDelayedCalls()), 1)
        self.clock.advance(0)
        self.assertEqual((self.done, self.drains), (["a", "b", "c"], 1))

    def test_fedWhileDraining(self) -> None:
        """What is fed while outputs are carried out is drained in the next turn."""
        self.core.output.append(1)
        self.driver.fed()
        self.driver.drain()
        self.assertEqual((self.done, self.drains), ([1], 1))
        self.clock.advance(0)
        self.assertEqual((self.done, self.drains), ([1, 0], 2))

    def test_drainAtOnceTakesTheTurnsPlace(self) -> None:
        """A drain at once leaves no second one for the turn's end."""
        self.core.output.append("a")
        self.driver.fed()
        self.driver.drain()
        self.assertEqual(self.done, ["a"])
        self.assertEqual(self.clock.getDelayedCalls(), [])

    def test_deadlineWakes(self) -> None:
        """The core is woken at its deadline, with the clock's time."""
        self.core.deadline = 2.5
        self.driver.drain()
        self.clock.advance(2.5)
        self.assertEqual(self.core.woken, [2.5])
        self.assertEqual(self.clock.getDelayedCalls(), [])

    def test_stopped(self) -> None:
        """A stopped driver carries out nothing and holds no delayed call."""
        self.core.deadline = 1.0
        self.driver.drain()
        self.core.output.append("a")
        self.driver.fed()
        self.driver.stop()
        self.driver.fed()
        self.driver.drain()
        self.assertEqual((self.done, self.clock.getDelayedCalls()), ([], []))

    def test_held(self) -> None:
        """An output that cannot be carried out yet holds all that follows, in order, until it can."""
        may: list[bool] = []

        def carry(word: str) -> object:
            if word == "b" and not may:
                return HOLD
            self.done.append(word)
            return None

        driver = Driver(self.core, self.clock, {str: carry})
        self.core.output += ["a", "b", "c"]
        driver.drain()
        self.core.output.append("d")
        driver.fed()
        self.clock.advance(0)
        self.assertEqual(self.done, ["a"])
        driver.resume()
        self.assertEqual(self.done, ["a"])
        may.append(True)
        driver.resume()
        self.assertEqual(self.done, ["a", "b", "c", "d"])

    def test_failure(self) -> None:
        """An exception while an output is carried out stops the driver, and is told."""
        told: list[Failure] = []

        def carry(word: str) -> None:
            raise ValueError(word)

        driver = Driver(self.core, self.clock, {str: carry}, failed=told.append)
        self.core.output += ["a", "b"]
        driver.fed()
        self.clock.advance(0)
        self.assertEqual([str(failure.value) for failure in told], ["a"])
        driver.fed()
        self.assertEqual(self.clock.getDelayedCalls(), [])

    def test_failureWithoutListener(self) -> None:
        """Where nobody wants to know of exceptions, they come through."""
        driver = Driver(self.core, self.clock, {})
        self.core.output.append("a")
        self.assertRaises(KeyError, driver.drain)


class SlicesTests(SynchronousTestCase):
    """Long work leaves room for others."""

    def setUp(self) -> None:
        self.clock = Clock()
        self.steps: list[int] = []
        self.closed = False

    def work(self, count: int, cost: float) -> Iterator[None]:
        """Steps that take C{cost} seconds each."""
        try:
            for number in range(count):
                self.steps.append(number)
                self.clock.rightNow += cost
                yield
        finally:
            self.closed = True

    def test_slices(self) -> None:
        """A slice ends after its time, and the next begins in another turn."""
        done = Slices(self.clock, 0.01).run(self.work(10, 0.004))
        self.assertEqual(len(self.steps), 3)
        self.assertNoResult(done)
        self.clock.advance(0)
        self.assertGreater(len(self.steps), 3)
        self.clock.advance(0)
        self.assertEqual(len(self.steps), 10)
        self.successResultOf(done)

    def test_failure(self) -> None:
        """What a step raises is the result."""

        def broken() -> Iterator[None]:
            yield
            raise ValueError("broken")

        self.failureResultOf(Slices(self.clock).run(broken()), ValueError)

    def test_cancelled(self) -> None:
        """Cancelled work takes no further step and is closed."""
        done = Slices(self.clock, 0.0).run(self.work(10, 0.0))
        self.assertEqual(self.steps, [0])
        done.cancel()
        self.failureResultOf(done, CancelledError)
        self.clock.advance(1)
        self.assertEqual((self.steps, self.closed, self.clock.getDelayedCalls()), ([0], True, []))
