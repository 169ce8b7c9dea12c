"""
Who belongs to the group.
"""

from __future__ import annotations

from twisted.trial.unittest import SynchronousTestCase

from tests.raft.cluster import configuration, entry, log_of
from txconsul.errors import Corrupt, RequestRefused
from txconsul.raft.configuration import (
    Membership,
    check,
    demoted,
    read_configuration,
    with_nonvoter,
    with_voter,
    without,
)
from txconsul.records.raft import Configuration, Entry, Server, Suffrage

ABC = configuration("a", "b", "c")


class ChangesTests(SynchronousTestCase):
    """One server at a time."""

    def test_voterJoins(self) -> None:
        """A new voter stands at the end."""
        self.assertEqual(with_voter(ABC, "d", "d:8300"), configuration("a", "b", "c", "d"))

    def test_nonvoterBecomesVoter(self) -> None:
        """A non-voter that is added as a voter is one."""
        self.assertEqual(with_voter(configuration("a", "b?"), "b", "b:8300"), configuration("a", "b"))

    def test_voterStaysVoter(self) -> None:
        """A voter that is added as a non-voter stays one, and may move; a staging server becomes a non-voter."""
        moved = with_nonvoter(ABC, "b", "b:1")
        self.assertEqual(moved.servers[1], Server(id="b", address="b:1"))
        staging = Configuration(servers=(*ABC.servers, Server(suffrage=Suffrage.STAGING, id="d", address="d:1")))
        self.assertEqual(with_nonvoter(staging, "d", "d:1").servers[3].suffrage, Suffrage.NONVOTER)

    def test_demote(self) -> None:
        """A voter loses its vote and keeps its place; the last one cannot."""
        self.assertEqual(demoted(ABC, "b"), configuration("a", "b?", "c"))
        self.assertRaises(RequestRefused, demoted, configuration("a", "b?"), "a")
        self.assertRaises(RequestRefused, demoted, ABC, "x")

    def test_remove(self) -> None:
        """A server leaves; that one is not there is no matter; the last voter cannot leave."""
        self.assertEqual(without(ABC, "b"), configuration("a", "c"))
        self.assertEqual(without(ABC, "x"), ABC)
        self.assertRaises(RequestRefused, without, configuration("a", "b?"), "a")

    def test_check(self) -> None:
        """Names and addresses are there, and each once."""
        for servers in (
            (Server(id="", address="a:1"),),
            (Server(id="a", address=""),),
            (Server(id="a", address="a:1"), Server(id="a", address="b:1")),
            (Server(id="a", address="a:1"), Server(id="b", address="a:1")),
            (),
        ):
            self.assertRaises(RequestRefused, check, Configuration(servers=servers))

    def test_reading(self) -> None:
        """A configuration entry holds one; others hold none; damage is told."""
        self.assertEqual(read_configuration(log_of(ABC, (1,))[0]), ABC)
        self.assertIsNone(read_configuration(entry(1, 1, "x")))
        self.assertRaises(Corrupt, read_configuration, Entry(type=5, data=b"\xc1"))
        self.assertRaises(Corrupt, read_configuration, Entry(type=5))


class MembershipTests(SynchronousTestCase):
    """What is in force."""

    def members(self) -> Membership:
        """Committed at 1, then a change at 5 that is not."""
        made = Membership(ABC, 1)
        made.append(5, configuration("a", "b", "c", "d?"))
        return made

    def test_latest(self) -> None:
        """The latest in the log is in force."""
        made = self.members()
        self.assertEqual((made.latest_index, made.changing, made.others("a")), (5, True, ["b", "c", "d"]))
        self.assertEqual((made.voters, made.is_voter("d"), "d" in made), (frozenset("abc"), False, True))
        self.assertEqual((made.address("d"), made.address("x")), ("d:8300", ""))

    def test_commit(self) -> None:
        """It is told once that the latest is committed."""
        made = self.members()
        self.assertFalse(made.commit(4))
        self.assertTrue(made.commit(5))
        self.assertFalse(made.commit(6))
        self.assertFalse(made.changing)

    def test_truncate(self) -> None:
        """One that is cut off gives way to the one before."""
        made = self.members()
        self.assertFalse(made.truncate(5))
        self.assertTrue(made.truncate(4))
        self.assertEqual((made.latest, made.changing), (ABC, False))

    def test_at(self) -> None:
        """The one in force at an index, for a snapshot; what was before it is let go."""
        made = self.members()
        self.assertEqual((made.at(4), made.at(9)[0]), ((1, ABC), 5))
        made.compacted(7)
        self.assertEqual(made.at(4)[0], 5)

    def test_mayStand(self) -> None:
        """Who is left out by a change that is not committed may still stand; after the commit not."""
        made = Membership(ABC, 1)
        made.append(5, configuration("b", "c"))
        self.assertTrue(made.may_stand("a"))
        made.commit(5)
        self.assertFalse(made.may_stand("a"))
        self.assertFalse(self.members().may_stand("d"))

    def test_alone(self) -> None:
        """A server that became the only voter was not always alone."""
        made = Membership(configuration("a", "b?"), 1)
        self.assertTrue(made.was_always_alone("a"))
        made = Membership(configuration("a", "b"), 1)
        made.append(2, configuration("a"))
        self.assertEqual((made.is_alone("a"), made.was_always_alone("a")), (True, False))
        self.assertTrue(Membership(Configuration(), 0).is_empty())
