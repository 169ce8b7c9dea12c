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
