"""A server that takes its leave of its group."""

from __future__ import annotations

from typing import Any

from twisted.internet.defer import Deferred, fail, succeed
from twisted.internet.task import Clock
from twisted.trial.unittest import SynchronousTestCase

from txconsul.agent.departing import REMOVAL_SECONDS, Departing
from txconsul.errors import Unavailable
from txconsul.records.raft import Configuration, Server, Suffrage


class Group:
    """A group of servers, as far as one that leaves deals with it."""

    def __init__(self, *ids: str, leads: bool = False) -> None:
        self.configuration = Configuration(servers=tuple(Server(id=one) for one in ids))
        self.is_leader = leads
        self.asked: list[str] = []
        self.refused: set[str] = set()

    def transfer_leadership(self) -> Deferred[None]:
        """Noted."""
        return self._answer("transfer")

    def remove(self, id: str) -> Deferred[None]:
        """Noted."""
        return self._answer(f"remove {id}")

    def _answer(self, what: str) -> Deferred[None]:
        self.asked.append(what)
        return fail(Unavailable("no")) if what in self.refused else succeed(None)


class DepartingTests(SynchronousTestCase):
    """Server C{a} of a group."""

    def departing(self, group: Group) -> tuple[Departing, Clock]:
        """How it leaves."""
        clock = Clock()
        consensus: Any = group
        return Departing("a", consensus, clock), clock

    def hand_over(self, departing: Departing) -> None:
        """That succeeds at once."""
        self.successResultOf(Deferred.fromCoroutine(departing.hand_over()))

    def test_leader(self) -> None:
        """A leader has another one lead, and is removed by that one."""
        group = Group("a", "b", leads=True)
        departing, clock = self.departing(group)
        self.hand_over(departing)
        self.assertEqual(group.asked, ["transfer"])
        removed = Deferred.fromCoroutine(departing.be_removed())
        clock.advance(1)
        self.assertNoResult(removed)
        group.configuration = Configuration(servers=(Server(id="b"),))
        clock.advance(0.1)
        self.successResultOf(removed)

    def test_nobodyTakesOver(self) -> None:
        """If nobody can, it removes itself, and waits for nothing; if it cannot, it leaves all the same."""
        for refused in ({"transfer"}, {"transfer", "remove a"}):
            group = Group("a", "b", leads=True)
            group.refused = refused
            departing, _ = self.departing(group)
            self.hand_over(departing)
            self.assertEqual(group.asked, ["transfer", "remove a"])
            self.successResultOf(Deferred.fromCoroutine(departing.be_removed()))

    def test_alone(self) -> None:
        """The only voter has nobody to hand over to, and stays what it is."""
        group = Group("a", leads=True)
        group.configuration = Configuration(servers=(Server(id="a"), Server(id="b", suffrage=Suffrage.NONVOTER)))
        departing, _ = self.departing(group)
        self.hand_over(departing)
        self.successResultOf(Deferred.fromCoroutine(departing.be_removed()))
        self.assertEqual(group.asked, [])

    def test_follower(self) -> None:
        """A follower waits to be removed, but not for ever."""
        group = Group("a", "b")
        departing, clock = self.departing(group)
        self.hand_over(departing)
        removed = Deferred.fromCoroutine(departing.be_removed())
        clock.pump([0.05] * int(REMOVAL_SECONDS / 0.05 - 1))
        self.assertNoResult(removed)
        clock.pump([0.05] * 3)
        self.successResultOf(removed)
        self.assertEqual(group.asked, [])
