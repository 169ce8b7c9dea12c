"""The leader asks its servers how they are, makes voters of them and removes those that are gone."""

from __future__ import annotations

from types import SimpleNamespace

from twisted.internet.defer import Deferred, fail, succeed
from twisted.internet.task import Clock
from twisted.trial.unittest import SynchronousTestCase

from txconsul.codec.duration import SECOND
from txconsul.codec.gotime import pack_time, unpack_time
from txconsul.errors import Unavailable
from txconsul.leader.autopilot import ACT_SECONDS, LOOK_SECONDS, Autopilot
from txconsul.raft.autopilot import Change, ChangeKind, Known, NodeStatus, Stats
from txconsul.records.autopilot import DEFAULT_AUTOPILOT
from txconsul.records.raft import Configuration, Server, Suffrage
from txconsul.serf.members import Member
from txconsul.state.store import Store

UP_TO_DATE = Stats(0.0, 3, 100)


class Raft:
    """A group led by C{a}, whose changes are committed at once."""

    id = "a"

    def __init__(self, voters: str, nonvoters: str = "") -> None:
        self.core = SimpleNamespace(log=SimpleNamespace(last=UP_TO_DATE.last_index, last_term=UP_TO_DATE.last_term))
        self.servers = dict.fromkeys(voters, Suffrage.VOTER) | dict.fromkeys(nonvoters, Suffrage.NONVOTER)
        self.broken = False

    @property
    def configuration(self) -> Configuration:
        """Who belongs to it."""
        found = [Server(id=id, address=f"{id}:8300", suffrage=how) for id, how in self.servers.items()]
        return Configuration(servers=tuple(found))

    def _change(self, id: str, how: Suffrage | None) -> Deferred[int]:
        if self.broken:
            return fail(Unavailable("another change is under way"))
        if how is None:
            del self.servers[id]
        else:
            self.servers[id] = how
        return succeed(1)

    def add_voter(self, id: str, address: str) -> Deferred[int]:
        """Done."""
        return self._change(id, Suffrage.VOTER)

    def add_nonvoter(self, id: str, address: str) -> Deferred[int]:
        """Done."""
        return self._change(id, Suffrage.NONVOTER)

    def remove(self, id: str) -> Deferred[int]:
        """Done."""
        return self._change(id, None)


class Gossip:
    """What gossip knows; C{asked} are questions that have no answer yet."""

    def __init__(self, ids: str) -> None:
        self.known = {id: Known(id, f"node-{id}", f"{id}:8300", NodeStatus.ALIVE, "1.21.4") for id in ids}
        self.answers = dict.fromkeys(ids, UP_TO_DATE)
        self.asked: dict[str, Deferred[Stats]] = {}
        self.forced: list[str] = []

    def servers(self) -> list[Known]:
        """All."""
        return list(self.known.values())

    def members(self) -> list[Member]:
        """Autopilot does not ask."""
        return []

    def name_of(self, id: str) -> str:
        """Nor for this."""
        return ""

    def stats(self, server: Known) -> Deferred[Stats]:
        """An answer, if there is one."""
        if server.id in self.answers:
            return succeed(self.answers[server.id])
        question = self.asked[server.id] = Deferred()
        return question

    def force_leave(self, name: str) -> None:
        """Remember."""
        self.forced.append(name)


class AutopilotTests(SynchronousTestCase):
    """L{Autopilot} while leading."""

    def make(self, raft: Raft, gossip: Gossip, silence: float = 0.0) -> Autopilot:
        """One that runs."""
        self.clock = Clock()
        autopilot = Autopilot(
            Store(),
            raft,  # type: ignore[arg-type]  # as much of a consensus as it uses
            gossip,
            DEFAULT_AUTOPILOT,
            self.clock,
            lambda: pack_time(int((1_000_000 + self.clock.seconds()) * SECOND)),
            silence,
        )
        autopilot.startService()
        self.addCleanup(lambda: autopilot.running and autopilot.stopService())
        return autopilot

    def pass_(self, seconds: float) -> None:
        """Let time pass."""
        self.clock.pump([0.5] * int(seconds / 0.5))

    def test_health(self) -> None:
        """It knows how every server is at once, and tells it to operators."""
        autopilot = self.make(Raft("abc"), Gossip("abc"))
        reply, state = autopilot.reply(), autopilot.state()
        self.assertEqual((reply.healthy, reply.failure_tolerance), (True, 1))
        servers = reply.servers or ()
        self.assertEqual([(one.name, one.serf_status, one.leader, one.voter) for one in servers], [
            ("node-a", 1, True, True), ("node-b", 1, False, True), ("node-c", 1, False, True),
        ])  # fmt: skip
        self.assertEqual([one.status for one in state.servers.values()], ["leader", "voter", "voter"])
        self.assertEqual((state.leader, state.voters), ("a", ("a", "b", "c")))
        self.assertEqual(autopilot.last_index("b"), UP_TO_DATE.last_index)

    def test_stableSince(self) -> None:
        """Since when is told by the wall clock."""
        autopilot = self.make(Raft("ab"), Gossip("ab"))
        self.pass_(60)
        since = [unpack_time(one.stable_since) / SECOND for one in autopilot.reply().servers or ()]
        self.assertEqual(since, [1_000_000, 1_000_000])

    def test_silent(self) -> None:
        """Who says nothing counts by its last word, is not asked twice at a time, and heard when it answers at last."""
        gossip = Gossip("ab")
        del gossip.answers["b"]
        autopilot = self.make(Raft("ab"), gossip)
        self.assertIsNone(autopilot.health)
        self.pass_(LOOK_SECONDS / 2)
        self.assertFalse(autopilot.reply().healthy)
        question = gossip.asked["b"]
        self.pass_(10 * LOOK_SECONDS)
        self.assertIs(gossip.asked["b"], question)
        question.callback(UP_TO_DATE)
        self.pass_(LOOK_SECONDS)
        self.assertTrue(autopilot.reply().healthy)

    def test_quietLeader(self) -> None:
        """A follower may have heard nothing for as long as its leader may be silent, and the threshold beside."""
        gossip = Gossip("ab")
        autopilot = self.make(Raft("ab"), gossip, silence=1.0)
        for contact, well in ((1.1, True), (1.3, False)):
            gossip.answers["b"] = UP_TO_DATE._replace(last_contact=contact)
            self.pass_(LOOK_SECONDS)
            self.assertIs(autopilot.reply().healthy, well)

    def test_promoted(self) -> None:
        """A server that is well becomes a voter."""
        raft = Raft("a", "b")
        self.make(raft, Gossip("ab"))
        self.pass_(ACT_SECONDS)
        self.assertEqual(raft.servers["b"], Suffrage.VOTER)

    def test_removed(self) -> None:
        """A server that gossip knows no more is removed; one that failed is expelled from gossip, too."""
        raft, gossip = Raft("abcde"), Gossip("abcd")
        gossip.known["d"] = gossip.known["d"]._replace(status=NodeStatus.FAILED)
        self.make(raft, gossip)
        self.pass_(ACT_SECONDS)
        self.assertEqual("".join(raft.servers), "abcd")
        self.assertEqual(gossip.forced, ["node-d"])

    def test_changeFails(self) -> None:
        """A change that fails ends its round, and is tried again in the next one."""
        raft = Raft("a", "bc")
        raft.broken = True
        autopilot = self.make(raft, Gossip("abc"))
        self.pass_(ACT_SECONDS)
        self.assertEqual(raft.servers["b"], Suffrage.NONVOTER)
        raft.broken = False
        self.pass_(ACT_SECONDS)
        self.assertEqual([raft.servers["b"], raft.servers["c"]], [Suffrage.VOTER] * 2)
        self.successResultOf(autopilot.carry_out([Change(ChangeKind.REMOVE, "b")]))
        self.assertNotIn("b", raft.servers)

    def test_leadershipLost(self) -> None:
        """Who does not lead any more asks nobody, and knows nothing."""
        gossip = Gossip("ab")
        del gossip.answers["b"]
        autopilot = self.make(Raft("ab"), gossip)
        autopilot.stopService()
        self.assertEqual(self.clock.getDelayedCalls(), [])
        self.assertIsNone(autopilot.reply().servers)
        self.assertEqual(autopilot.state().servers, {})
