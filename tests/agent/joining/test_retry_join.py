"""Joining until somebody is there, by a clock."""

from __future__ import annotations

from twisted.internet.defer import Deferred, fail, succeed
from twisted.internet.task import Clock
from twisted.python.failure import Failure
from twisted.trial.unittest import SynchronousTestCase

from txconsul.agent.joining.discovery import CannotDiscover
from txconsul.agent.joining.resolving import CannotJoin
from txconsul.agent.joining.retry_join import JoinSettings, RetriesExhausted, RetryJoin


class RetryJoinTests(SynchronousTestCase):
    """The service, between what it finds and whom it joins."""

    def setUp(self) -> None:
        """Nobody is there yet."""
        self.clock = Clock()
        self.found: dict[str, list[str] | Deferred[list[str]]] = {}
        self.asked: list[str] = []
        self.tried: list[list[str]] = []
        self.answer: int | Deferred[int] = 0
        self.ended: list[Failure] = []

    def find(self, entry: str) -> Deferred[list[str]]:
        """See L{RetryJoin}."""
        self.asked.append(entry)
        found = self.found.get(entry)
        if isinstance(found, Deferred):
            return found
        return fail(CannotDiscover("unknown")) if found is None else succeed(found)

    def join(self, addresses: list[str]) -> Deferred[int]:
        """See L{RetryJoin}."""
        self.tried.append(addresses)
        if isinstance(self.answer, Deferred):
            return self.answer
        return succeed(self.answer) if self.answer else fail(CannotJoin("nobody"))

    def start(self, *addresses: str, retries_max: int = 0) -> RetryJoin:
        """Begin."""
        settings = JoinSettings(pool="LAN", addresses=addresses, interval=30.0, retries_max=retries_max)
        service = RetryJoin(
            settings,
            self.find,
            self.join,
            self.clock,
            self.ended.append,
        )
        service.startService()
        self.addCleanup(service.stopService)
        return service

    def test_atOnce(self) -> None:
        """All addresses are joined by in one go; then it is over."""
        self.answer = 2
        service = self.start("10.0.0.1", "db:7")
        self.assertEqual((self.tried, service.joined), ([["10.0.0.1", "db:7"]], True))
        self.assertEqual(self.clock.getDelayedCalls(), [])

    def test_nobody(self) -> None:
        """Where nobody is spoken of nothing is done."""
        service = self.start()
        self.assertEqual((self.tried, service.joined), ([], False))

    def test_again(self) -> None:
        """It is tried again after each interval, without end, until it succeeds."""
        service = self.start("10.0.0.1")
        self.clock.pump([29.0, 1.0, *[30.0] * 8])
        self.assertEqual((len(self.tried), self.ended), (10, []))
        self.answer = 1
        self.clock.advance(30.0)
        self.assertEqual((len(self.tried), service.joined), (11, True))
        self.assertEqual(self.clock.getDelayedCalls(), [])

    def test_exhausted(self) -> None:
        """After so many tries more than the first, the agent is to end."""
        self.start("10.0.0.1", retries_max=2)
        self.clock.pump([30.0])
        self.assertEqual((len(self.tried), self.ended), (2, []))
        self.clock.pump([30.0, 30.0])
        self.assertEqual(len(self.tried), 3)
        (reason,) = self.ended
        reason.trap(RetriesExhausted)
        self.assertEqual(reason.getErrorMessage(), "agent: max join LAN retry exhausted, exiting")
        self.assertEqual(self.clock.getDelayedCalls(), [])

    def test_discovered(self) -> None:
        """What must be found out is found out anew each time, in its place; what is not found is passed over."""
        self.start("10.0.0.1", "provider=x", "provider=y", "exec=z")
        self.found = {"provider=x": ["10.0.0.2", "10.0.0.3"], "exec=z": []}
        self.clock.advance(30.0)
        self.assertEqual(self.tried, [["10.0.0.1"], ["10.0.0.1", "10.0.0.2", "10.0.0.3"]])

    def test_noneDiscovered(self) -> None:
        """If nobody is found there is nobody to join, which counts as a try."""
        self.start("provider=x", "exec=z", retries_max=1)
        self.clock.advance(30.0)
        self.assertEqual((self.tried, len(self.ended)), ([], 1))

    def test_stopped(self) -> None:
        """When the agent stops, whatever it waits for, nothing more is tried, and nothing told."""
        self.answer = Deferred()
        for addresses in (("10.0.0.1",), ("exec=z", "exec=y", "10.0.0.1")):
            self.found = {"exec=z": Deferred(lambda waiting: waiting.errback(CannotDiscover("broken off")))}
            self.asked.clear()
            service = self.start(*addresses)
            service.stopService()
            self.assertEqual(service.joined, False)
            self.assertNotIn("exec=y", self.asked)
        self.answer = 0
        service = self.start("10.0.0.1")
        service.stopService()
        self.assertEqual((len(self.tried), self.ended), (2, []))
        self.assertEqual(self.clock.getDelayedCalls(), [])
