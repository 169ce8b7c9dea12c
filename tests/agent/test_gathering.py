"""Servers that expect each other begin a group together."""

from __future__ import annotations

from twisted.internet.defer import Deferred, fail, succeed
from twisted.internet.task import Clock
from twisted.trial.unittest import SynchronousTestCase

from txconsul.agent.gathering import ATTEMPTS, PAUSE_SECONDS, Gathering, Verdict, judge
from txconsul.agent.tags import ServerParts, server_of
from txconsul.errors import NoKnownServers
from txconsul.records.raft import Configuration, Suffrage
from txconsul.serf.members import Member
from txconsul.serf.messages import Status


def server(name: str, status: Status = Status.ALIVE, **tags: str) -> ServerParts:
    """A server that expects three."""
    tags = {"role": "consul", "dc": "dc1", "id": f"id-{name}", "port": "8300", "build": "1.21.4:", "vsn": "2"} | tags
    member = Member(name, bytes([10, 0, 0, ord(name)]), 8301, {"expect": "3"} | tags, status, bytes(6))
    found = server_of(member)
    assert found is not None
    return found


class JudgeTests(SynchronousTestCase):
    """L{judge} says whether a group may be begun."""

    def test_waits(self) -> None:
        """Not before all are there; those of other datacenters, and who left, do not count."""
        found = [server("a"), server("b"), server("c", dc="dc2"), server("d", Status.LEFT)]
        self.assertEqual(judge(3, "dc1", found), Verdict())

    def test_begins(self) -> None:
        """With all that are there, also if they are more; replicas do not count, and belong to it."""
        found = [server("a"), server("b"), server("r", read_replica="1")]
        self.assertEqual(judge(3, "dc1", found), Verdict())
        found.append(server("c"))
        self.assertEqual(judge(3, "dc1", found), Verdict(tuple(found)))

    def test_disagreement(self) -> None:
        """Servers that expect other numbers, or begin by themselves, are a mistake of the operator's."""
        self.assertIn("b expects 5", judge(3, "dc1", [server("a"), server("b", expect="5")]).problem)
        self.assertIn("bootstrap mode", judge(3, "dc1", [server("a"), server("b", bootstrap="1")]).problem)


class Raft:
    """A consensus that has nothing stored."""

    is_blank = True

    def __init__(self) -> None:
        self.begun: list[Configuration] = []

    def bootstrap(self, configuration: Configuration) -> None:
        """Remember."""
        self.begun.append(configuration)
        self.is_blank = False


class GatheringTests(SynchronousTestCase):
    """A server that expects three."""

    def setUp(self) -> None:
        self.clock, self.raft = Clock(), Raft()
        self.pool = [server("a"), server("b"), server("c")]
        self.groups: dict[str, list[str] | Exception] = {}
        self.gathering = Gathering(
            3,
            "dc1",
            lambda: self.pool,
            self.ask,
            self.raft,  # type: ignore[arg-type]  # as much of a consensus as it uses
            self.clock,
        )
        self.gathering.startService()
        self.addCleanup(self.gathering.stopService)

    def ask(self, server: ServerParts) -> Deferred[list[str]]:
        """A server says which group it belongs to."""
        answer = self.groups.get(server.name, [])
        return fail(answer) if isinstance(answer, Exception) else succeed(answer)

    def test_begins(self) -> None:
        """All are there and belong to no group: all of them vote in the new one."""
        self.gathering.look()
        (configuration,) = self.raft.begun
        self.assertEqual([(one.id, one.address, one.suffrage) for one in configuration.servers], [
            (f"id-{name}", f"10.0.0.{ord(name)}:8300", Suffrage.VOTER) for name in "abc"
        ])  # fmt: skip
        self.gathering.look()
        self.assertEqual(len(self.raft.begun), 1)

    def test_waits(self) -> None:
        """It looks again when gossip tells of the third."""
        third = self.pool.pop()
        self.gathering.look()
        self.assertEqual(self.raft.begun, [])
        self.pool.append(third)
        self.gathering.look()
        self.assertEqual(len(self.raft.begun), 1)

    def test_groupExists(self) -> None:
        """One of them belongs to a group: that will take this server in."""
        self.groups["b"] = ["10.0.0.9:8300"]
        self.gathering.look()
        self.groups.clear()
        self.gathering.look()
        self.assertEqual(self.raft.begun, [])

    def test_stored(self) -> None:
        """A server that has something stored knows its group."""
        self.raft.is_blank = False
        self.gathering.look()
        self.assertEqual(self.raft.begun, [])

    def test_silent(self) -> None:
        """A server that does not answer is asked again, ever more seldom, and counts as one without a group at last."""
        self.groups["b"] = NoKnownServers()
        self.gathering.look()
        for attempt in range(ATTEMPTS):
            self.assertEqual(self.raft.begun, [])
            self.clock.advance(PAUSE_SECONDS * 2**attempt)
        self.assertEqual(len(self.raft.begun), 1)

    def test_stopped(self) -> None:
        """Nothing goes on when the agent stops."""
        self.groups["b"] = NoKnownServers()
        self.gathering.look()
        self.gathering.stopService()
        self.assertEqual(self.clock.getDelayedCalls(), [])
        self.gathering.startService()
