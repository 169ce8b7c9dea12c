"""A voter whose removal is not committed yet may be the only one that can bring it through."""

from __future__ import annotations

from random import Random

from twisted.trial.unittest import SynchronousTestCase

from txconsul.codec import gomsgpack
from txconsul.raft.core import RaftCore
from txconsul.raft.messages import PreVoteReply, RequestPreVote, Send
from txconsul.raft.timing import Timing
from txconsul.records.raft import Configuration, Entry, EntryType, Server
from txconsul.storage.memory import MemoryDisk, MemoryLogStore


def configuration(index: int, servers: str) -> Entry:
    """An entry with these voters."""
    members = Configuration(servers=tuple(Server(id=id, address=f"{id}:8300") for id in servers))
    return Entry(index=index, term=1, type=EntryType.CONFIGURATION, data=gomsgpack.encode(members))


class BeingRemovedTests(SynchronousTestCase):
    """The group was a, b, c; c, its leader, removed itself, and only a has that entry."""

    def ask(self, *entries: Entry) -> bool:
        """Would a vote for c?"""
        log = MemoryLogStore(MemoryDisk())
        log.append(list(entries))
        core = RaftCore("a", log=log, now=0.0, rng=Random(1), timing=Timing(), term=1)
        core.take_output()
        core.receive(RequestPreVote(2, entries[-1].index, 1, 7), "c", 100.0)
        (answer,) = core.take_output()
        assert isinstance(answer, Send) and isinstance(answer.message, PreVoteReply)
        return answer.message.granted

    def test_heardUntilCommitted(self) -> None:
        """It is still voted for: b may be too far behind to know a, and then only c can lead."""
        self.assertTrue(self.ask(configuration(1, "abc"), configuration(2, "ab")))

    def test_notHeardAfterwards(self) -> None:
        """When another change has followed, the removal was committed, and nobody votes for c."""
        self.assertFalse(self.ask(configuration(1, "abc"), configuration(2, "ab"), configuration(3, "abd")))
