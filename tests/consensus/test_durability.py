"""A server's disk that has no room at the worst of times."""

from __future__ import annotations

from random import Random
from typing import Any

from twisted.trial.unittest import SynchronousTestCase

from tests.consensus.host import Host
from txconsul.raft.messages import AppendEntries, AppendEntriesReply
from txconsul.records.raft import Entry
from txconsul.simulation.clock import SimulatedClock
from txconsul.simulation.network import Network


def entries(term: int, *indexes: int) -> tuple[Entry, ...]:
    """Entries of a term."""
    return tuple([Entry(index=index, term=term, data=b"%d/%d" % (term, index)) for index in indexes])


class HeldOutputTests(SynchronousTestCase):
    """
    Term and vote find no room, and what follows them waits; then the entries that were on their way before find no
    room either.
    """

    def setUp(self) -> None:
        """A follower with entries 2 and 3 of term 2 on its disk, 4 and 5 on their way, and no room any more."""
        self.clock = SimulatedClock()
        network = Network(self.clock, Random(1), lambda line: None)
        self.said: list[Any] = []
        network.sent = lambda sender, to, message: self.said.append(message)
        self.host = Host(self.clock, network, "b")
        self.host.start("a", "b", "c")
        self.clock.advance(0.01)
        self.append("a", 2, 1, 1, entries(2, 2, 3))
        self.clock.advance(0.05)
        self.append("a", 2, 3, 2, entries(2, 4, 5))
        self.clock.advance(0.0005)
        self.host.disk.full = self.host.disk.full_for_votes = True

    def append(self, leader: str, term: int, previous: int, previous_term: int, new: tuple[Entry, ...]) -> None:
        """A leader sends entries."""
        message = AppendEntries(term, f"{leader}:8300", previous, previous_term, 0, new)
        self.host.consensus.receive(leader, message)

    def confirmed(self) -> list[int]:
        """Up to where the server has said that it agrees with the leader of term 3."""
        replies = [one for one in self.said if isinstance(one, AppendEntriesReply) and one.term == 3 and one.success]
        return [one.match_index for one in replies if one.match_index]

    def room(self) -> None:
        """The disk has room again, after the first sync has failed."""
        self.clock.advance(0.1)
        self.host.disk.full = self.host.disk.full_for_votes = False
        self.clock.advance(2.0)

    def test_entriesAfterTheLost(self) -> None:
        """Entries that follow the lost ones are refused, not appended behind a gap; later ones are taken."""
        self.append("c", 3, 5, 2, entries(3, 6))
        self.room()
        self.assertEqual(self.host.watcher.failures, [])
        self.assertEqual((self.confirmed(), self.host.log.last), ([], 3))
        self.append("c", 3, 3, 2, entries(3, 4, 5))
        self.clock.advance(0.1)
        self.assertEqual((self.confirmed(), self.host.log.last), ([5], 5))

    def test_entriesInsteadOfTheLost(self) -> None:
        """Entries that replace the lost ones are not confirmed, as they are refused, too; later ones are taken."""
        self.append("c", 3, 2, 2, entries(3, 3, 4, 5, 6))
        self.room()
        self.assertEqual(self.host.watcher.failures, [])
        self.assertEqual((self.confirmed(), self.host.log.last), ([], 2))
        self.assertEqual(self.host.consensus.core.log.last, 2)
        self.append("c", 3, 2, 2, entries(3, 3, 4))
        self.clock.advance(0.1)
        self.assertEqual((self.confirmed(), self.host.log.last), ([4], 4))
        self.assertEqual([entry.term for entry in self.host.disk.log.entries], [1, 2, 3, 3])


class FullDiskTests(SynchronousTestCase):
    """A follower whose disk is full."""

    def setUp(self) -> None:
        self.clock = SimulatedClock()
        network = Network(self.clock, Random(1), lambda line: None)
        self.said: list[Any] = []
        network.sent = lambda sender, to, message: self.said.append(message)
        self.host = Host(self.clock, network, "b")
        self.host.start("a", "b", "c")
        self.clock.advance(0.05)
        self.number = 0

    def append(self, previous: int, *indexes: int) -> None:
        """The leader sends entries."""
        self.number += 1
        terms = 1 if previous == 1 else 2
        new = entries(2, *indexes)
        self.host.consensus.receive("a", AppendEntries(2, "a:8300", previous, terms, 0, new, self.number))

    def answers(self) -> list[tuple[int, bool, bool, int]]:
        """Of each append: its round, whether it was taken, whether to try again at once, where the log ends."""
        replies = [one for one in self.said if isinstance(one, AppendEntriesReply)]
        return [(one.round, one.success, one.no_retry_backoff, one.last_log) for one in replies]

    def test_everyAppendIsAnswered(self) -> None:
        """What finds no room is refused, at once or when its sync fails; nobody need wait for an answer."""
        self.append(1, 2)
        self.clock.advance(0)
        self.host.disk.full = True
        self.append(2, 3)
        self.clock.advance(0.1)
        self.append(1, 2, 3)
        self.clock.advance(0.1)
        self.assertEqual([one[:3] for one in sorted(self.answers())], [(n, False, False) for n in (1, 2, 3)])
        self.host.disk.full = False
        self.append(1, 2, 3)
        self.clock.advance(0.1)
        self.assertEqual(self.answers()[-1], (4, True, False, 3))


class OldTermTests(SynchronousTestCase):
    """Entries of one leader are still being synced when another's take their place."""

    def test_entriesCutWhileTheyAreSynced(self) -> None:
        """The old leader is not told that they are durable, since they are gone; the new one is told of its own."""
        clock = SimulatedClock()
        network = Network(clock, Random(1), lambda line: None)
        said: list[Any] = []
        network.sent = lambda sender, to, message: said.append(message)
        host = Host(clock, network, "b")
        host.start("a", "b", "c")
        clock.advance(0.05)
        receive = host.consensus.receive
        receive("a", AppendEntries(2, "a:8300", 1, 1, 0, entries(2, 2, 3)))
        clock.advance(0)
        receive("c", AppendEntries(3, "c:8300", 1, 1, 0, entries(3, 2)))
        clock.advance(0.1)
        claims = [(one.term, one.match_index) for one in said if isinstance(one, AppendEntriesReply) and one.success]
        self.assertEqual(claims, [(3, 2)])
        refusals = [
            (one.term, one.match_index) for one in said if isinstance(one, AppendEntriesReply) and not one.success
        ]
        self.assertEqual(refusals, [(3, 3)])
        self.assertEqual([entry.term for entry in host.disk.log.entries], [1, 3])
