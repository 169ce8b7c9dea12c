"""
Tests for L{txconsul.raft.autopilot}.
"""

from __future__ import annotations

from collections.abc import Iterable

from hypothesis import given
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from txconsul.raft.autopilot import (
    NEVER,
    Change,
    ChangeKind,
    Health,
    Known,
    NodeStatus,
    Role,
    Settings,
    Stats,
    TooManyRemovals,
    addition,
    assess,
    promotions,
    removals,
)
from txconsul.records.raft import Configuration, Server, Suffrage

SETTINGS = Settings()
#: The end of the leader's log.
LAST = Stats(0.0, 3, 1000)


def group(voters: str, nonvoters: str = "") -> Configuration:
    """Servers of one letter each; a server's address is its letter at port 8300."""
    servers = [Server(suffrage=Suffrage.VOTER, id=one, address=f"{one}:8300") for one in voters]
    servers += [Server(suffrage=Suffrage.NONVOTER, id=one, address=f"{one}:8300") for one in nonvoters]
    return Configuration(servers=tuple(servers))


def known(ids: str, status: NodeStatus = NodeStatus.ALIVE) -> list[Known]:
    """What gossip says of servers."""
    return [Known(one, f"node-{one}", f"{one}:8300", status) for one in ids]


def look(
    configuration: Configuration,
    servers: Iterable[Known],
    now: float = 0.0,
    before: Health | None = None,
    **stats: Stats,
) -> Health:
    """Assess a group led by C{a}, whose servers are all up to date if nothing else is said."""
    told = {one.id: one for one in servers}
    said = {one.id: stats.get(one.id, LAST) for one in configuration.servers if one.id in told}
    return assess(before, SETTINGS, configuration, told, said, "a", LAST, now)


class AssessTests(SynchronousTestCase):
    """L{assess} tells who is well."""

    def test_allWell(self) -> None:
        """Of three voters that are up to date, one may fail."""
        health = look(group("abc"), known("abc"))
        self.assertEqual((health.healthy, health.failure_tolerance, health.leader), (True, 1, "a"))
        self.assertEqual(health.voters, ("a", "b", "c"))
        self.assertEqual([one.role for one in health.servers.values()], [Role.LEADER, Role.VOTER, Role.VOTER])

    def test_reasonsToBeUnwell(self) -> None:
        """A server is unwell that lags, is in another term, heard nothing for long, or never, or failed."""
        for stats in (
            LAST._replace(last_index=LAST.last_index - SETTINGS.max_trailing_logs - 1),
            LAST._replace(last_term=2),
            LAST._replace(last_contact=0.3),
            LAST._replace(last_contact=NEVER),
        ):
            health = look(group("abc"), known("abc"), b=stats)
            self.assertFalse(health.servers["b"].healthy, stats)
            self.assertEqual((health.healthy, health.failure_tolerance), (False, 0))
        health = look(group("abc"), [*known("ac"), *known("b", NodeStatus.FAILED)])
        self.assertFalse(health.servers["b"].healthy)

    def test_atTheLimits(self) -> None:
        """What is just allowed is no reason."""
        stats = Stats(SETTINGS.last_contact_threshold, LAST.last_term, LAST.last_index - SETTINGS.max_trailing_logs)
        self.assertTrue(look(group("abc"), known("abc"), b=stats).healthy)

    def test_stableSince(self) -> None:
        """A server is stable since it became what it is, and keeps its last word while it says none."""
        health = look(group("ab"), known("ab"), now=1.0)
        health = look(group("ab"), known("ab"), now=5.0, before=health)
        self.assertEqual(health.servers["b"].stable_since, 1.0)
        silent = {one.id: one for one in known("ab")}
        health = assess(health, SETTINGS, group("ab"), silent, {"a": LAST}, "a", LAST, 6.0)
        self.assertEqual((health.servers["b"].healthy, health.servers["b"].stable_since), (True, 1.0))
        health = look(group("ab"), known("ab"), now=7.0, before=health, b=Stats())
        self.assertEqual((health.servers["b"].healthy, health.servers["b"].stable_since), (False, 7.0))

    def test_unknownToGossip(self) -> None:
        """A server that gossip does not know has left; what was known of it stays."""
        health = look(group("ab"), known("a"))
        self.assertIs(health.servers["b"].known.status, NodeStatus.LEFT)
        health = look(group("ab"), known("a"), before=look(group("ab"), known("ab")))
        self.assertEqual(health.servers["b"].known.name, "node-b")
        self.assertIs(health.servers["b"].known.status, NodeStatus.LEFT)

    def test_order(self) -> None:
        """Of the voters the leader comes first, then who is well, the longest first."""
        health = look(group("abc"), known("abc"), now=1.0, b=Stats())
        health = look(group("abcd"), known("abcd"), now=2.0, before=health)
        self.assertEqual(health.voters, ("a", "c", "b", "d"))


class PromotionsTests(SynchronousTestCase):
    """L{promotions} make voters of those who are stable."""

    def test_newGroup(self) -> None:
        """A leader who has looked for a short time takes whoever is well."""
        health = look(group("a", "bc"), known("abc"), now=0.0, c=Stats())
        self.assertEqual(promotions(health, SETTINGS, 0.1), [Change(ChangeKind.ADD_VOTER, "b", "b:8300", "node-b")])

    def test_stabilizationTime(self) -> None:
        """Later, a server must be well for the whole time."""
        health = look(group("a"), known("a"), now=0.0)
        health = look(group("a", "b"), known("ab"), now=20.0, before=health)
        self.assertEqual(promotions(health, SETTINGS, 29.9), [])
        self.assertEqual([one.id for one in promotions(health, SETTINGS, 30.0)], ["b"])


class AdditionTests(SynchronousTestCase):
    """L{addition} makes a server that gossip found a member."""

    def test_new(self) -> None:
        """It begins without a vote."""
        self.assertEqual(addition(group("ab"), "c", "c:8300"), [Change(ChangeKind.ADD_NONVOTER, "c", "c:8300")])

    def test_member(self) -> None:
        """There is nothing to do for one that is a member."""
        self.assertEqual(addition(group("ab", "c"), "c", "c:8300"), [])

    def test_moved(self) -> None:
        """A voter with another address stays one."""
        self.assertEqual(addition(group("ab", "c"), "b", "x:8300"), [Change(ChangeKind.ADD_VOTER, "b", "x:8300")])
        self.assertEqual(addition(group("ab", "c"), "c", "x:8300"), [Change(ChangeKind.ADD_NONVOTER, "c", "x:8300")])

    def test_addressTaken(self) -> None:
        """Whoever had its address goes first: a machine was set up anew."""
        changes = addition(group("abc"), "d", "c:8300")
        self.assertEqual([(one.kind, one.id) for one in changes], [
            (ChangeKind.REMOVE, "c"), (ChangeKind.ADD_NONVOTER, "d"),
        ])  # fmt: skip

    def test_noMajority(self) -> None:
        """Not if no majority of the voters stayed."""
        with self.assertRaises(TooManyRemovals):
            addition(group("ab"), "d", "b:8300")


class RemovalsTests(SynchronousTestCase):
    """L{removals} takes out who is gone."""

    def test_switchedOff(self) -> None:
        """Nobody where the operator does not want it."""
        self.assertEqual(removals(group("abc"), [], Settings(cleanup_dead_servers=False)), [])

    def test_minority(self) -> None:
        """A minority of the voters at a time, and all who have no vote."""
        changes = removals(group("abcde", "xy"), [*known("ab"), *known("cdex", NodeStatus.FAILED)], SETTINGS)
        self.assertEqual([(one.kind, one.id) for one in changes], [
            (ChangeKind.FORCE_LEAVE, "x"),
            (ChangeKind.REMOVE, "y"),
            (ChangeKind.FORCE_LEAVE, "c"),
            (ChangeKind.FORCE_LEAVE, "d"),
        ])  # fmt: skip
        self.assertEqual(changes[0].name, "node-x")

    def test_minQuorum(self) -> None:
        """So many voters stay as the operator wants."""
        found = [*known("abcd"), *known("e", NodeStatus.LEFT)]
        self.assertEqual(removals(group("abcde"), found, Settings(min_quorum=5)), [])
        self.assertEqual(len(removals(group("abcde"), found, Settings(min_quorum=4))), 1)

    @given(st.integers(1, 9), st.integers(0, 9), st.integers(0, 9))
    def test_majorityStays(self, voters: int, gone: int, quorum: int) -> None:
        """Whoever is gone, more than half of the voters stay, and C{min_quorum} of them."""
        letters = "abcdefghi"[:voters]
        found = known(letters[min(gone, voters) :])
        removed = len(removals(group(letters), found, Settings(min_quorum=quorum)))
        self.assertGreater(voters - removed, removed)
        self.assertTrue(removed == 0 or voters - removed >= quorum)
