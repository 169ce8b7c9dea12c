"""The leader keeps the catalog and its group of servers true to who is in the gossip pool."""

from __future__ import annotations

from collections.abc import Callable
from uuid import NAMESPACE_DNS, uuid5

from msgspec.structs import replace
from twisted.internet.defer import Deferred, succeed
from twisted.trial.unittest import SynchronousTestCase

from tests.endpoints.serving import Served
from tests.leader.test_autopilot import Raft
from txconsul.errors import DiskFull
from txconsul.leader.autopilot import Autopilot
from txconsul.leader.presence import own_registration
from txconsul.leader.reconcile import INTERVAL_SECONDS, RETRY_SECONDS, Reconcile
from txconsul.raft.autopilot import Known, NodeStatus, Stats
from txconsul.records.autopilot import DEFAULT_AUTOPILOT
from txconsul.records.catalog import RegisterRequest
from txconsul.records.raft import Suffrage
from txconsul.serf.members import Member
from txconsul.serf.messages import Status

VSN = bytes([1, 5, 2, 2, 5, 4])


def node_id(name: str) -> str:
    """A UUID of a name's own."""
    return str(uuid5(NAMESPACE_DNS, name))


def client(name: str, status: Status = Status.ALIVE, **tags: str) -> Member:
    """An agent that is no server, at 10.0.0.9."""
    tags = {"role": "node", "dc": "dc1", "id": node_id(name), "build": "1.21.4:", "vsn": "2"} | tags
    return Member(name, bytes([10, 0, 0, 9]), 8301, tags, status, VSN)


def server(name: str, status: Status = Status.ALIVE, **tags: str) -> Member:
    """A server; its address 10.0.0. and the name's first letter's place."""
    tags = {"role": "consul", "dc": "dc1", "id": node_id(name), "port": "8300", "build": "1.21.4:", "vsn": "2"} | tags
    return Member(name, bytes([10, 0, 0, ord(name[0]) - 96]), 8301, {"raft_vsn": "3"} | tags, status, VSN)


class Gossip:
    """A pool as it is said to be."""

    def __init__(self, *members: Member) -> None:
        self.all = {one.name: one for one in members}
        self.forced: list[str] = []

    def members(self) -> list[Member]:
        """All."""
        return list(self.all.values())

    def servers(self) -> list[Known]:
        """Those with a port, all alive."""
        return [
            Known(one.tags["id"], one.name, f"10.0.0.{one.addr[3]}:8300", NodeStatus.ALIVE)
            for one in self.all.values()
            if "port" in one.tags
        ]

    def name_of(self, id: str) -> str:
        """They are called like their ids."""
        return id

    def stats(self, server: Known) -> Deferred[Stats]:
        """Up to date."""
        return succeed(Stats(0.0, 3, 100))

    def force_leave(self, name: str) -> None:
        """Remember."""
        self.forced.append(name)


class ReconcileTests(SynchronousTestCase):
    """The server C{a} leads."""

    def setUp(self) -> None:
        self.served = Served()
        self.raft = Raft("a")
        self.gossip = Gossip(server("a"))
        self.autopilot = Autopilot(
            self.served.store,
            self.raft,  # type: ignore[arg-type]  # as much of a consensus as it uses
            self.gossip,
            DEFAULT_AUTOPILOT,
            self.served.clock,
            lambda: b"",
        )
        registration = own_registration(
            datacenter="dc1",
            node="a",
            node_id="00000000-0000-0000-0000-000000000001",
            address="10.0.0.1",
            port=8300,
            grpc_port=8502,
            version="1.21.4",
            tagged_addresses={"lan": "10.0.0.1"},
            node_meta={"rack": "1"},
        )
        self.reconcile = Reconcile(
            self.served.store,
            self.served.door,
            self.raft,  # type: ignore[arg-type]
            self.autopilot,
            self.gossip,
            registration,
            self.served.clock,
        )

    def lead(self, *members: Member) -> None:
        """Gain leadership over a pool that has these members, too."""
        self.gossip.all |= {one.name: one for one in members}
        if not self.autopilot.running:
            self.autopilot.startService()
        self.reconcile.startService()
        self.served.clock.advance(0)

    def hear(self, member: Member, reaped: bool = False) -> None:
        """Gossip tells of a member."""
        self.gossip.all[member.name] = member
        if reaped:
            del self.gossip.all[member.name]
        self.reconcile.heard(member, reaped=reaped)
        self.served.clock.advance(0)

    def health(self, node: str) -> str:
        """What a node's check says; empty where there is none."""
        _, checks = self.served.store.catalog.node_checks(node)
        return next((one.status for one in checks if one.check_id == "serfHealth"), "")

    def changes(self, act: Callable[[], object]) -> int:
        """How many writes something makes."""
        before = self.served.consensus.last_index
        act()
        return self.served.consensus.last_index - before

    def test_ownNode(self) -> None:
        """Its own node is registered in its own words, also while no pool is open."""
        del self.gossip.all["a"]
        self.lead()
        _, found = self.served.store.catalog.node_services("a")
        assert found is not None
        node, services = found
        assert node.meta is not None
        self.assertEqual((node.meta["rack"], services["consul"].port, self.health("a")), ("1", 8300, "passing"))

    def test_again(self) -> None:
        """What the catalog says already is not written again."""
        self.lead(client("c"), server("b"))
        self.reconcile.stopService()
        self.assertEqual(self.changes(self.lead), 0)
        self.assertEqual(self.changes(lambda: self.served.clock.advance(INTERVAL_SECONDS)), 0)

    def test_alive(self) -> None:
        """A member's node has a passing check; what its agent has said of it stays when it comes back."""
        self.lead(client("c"))
        self.assertEqual(self.health("c"), "passing")
        _, node = self.served.store.catalog.node("c")
        assert node is not None
        self.assertEqual((node.id, node.address, node.meta), (node_id("c"), "10.0.0.9", {"consul-version": "1.21.4"}))
        told = RegisterRequest(node="c", id=node_id("c"), address="10.0.0.9", node_meta={"rack": "7"})
        self.successResultOf(self.served.call("Catalog.Register", told))
        self.hear(client("c", Status.FAILED))
        self.hear(replace(client("c"), addr=bytes([10, 0, 0, 10])))
        _, node = self.served.store.catalog.node("c")
        assert node is not None
        self.assertEqual((node.address, node.meta, self.health("c")), ("10.0.0.10", {"rack": "7"}, "passing"))

    def test_failed(self) -> None:
        """A failed member's check is critical; a node that was never registered is not."""
        self.lead(client("c"))
        self.hear(client("c", Status.FAILED))
        self.assertEqual(self.health("c"), "critical")
        self.assertEqual(self.changes(lambda: self.hear(client("d", Status.FAILED))), 0)

    def test_left(self) -> None:
        """A member that left, or was forgotten, leaves the catalog with all that it has."""
        self.lead(client("c"), client("d"))
        self.hear(client("c", Status.LEFT))
        self.hear(client("d", Status.FAILED), reaped=True)
        self.assertEqual([one.node for one in self.served.store.catalog.nodes()[1]], ["a"])

    def test_forgottenWhileAway(self) -> None:
        """A node that gossip once told of, and does not know any more, goes; others stay."""
        self.lead(client("c"))
        self.successResultOf(self.served.call("Catalog.Register", RegisterRequest(node="other", address="10.0.0.5")))
        del self.gossip.all["c"]
        self.served.clock.advance(INTERVAL_SECONDS)
        self.served.clock.advance(0)
        self.assertEqual([one.node for one in self.served.store.catalog.nodes()[1]], ["a", "other"])

    def test_ownFarewell(self) -> None:
        """A leader that leaves does not take itself out: the next one does."""
        self.lead()
        self.hear(server("a", Status.LEFT))
        self.assertEqual(self.health("a"), "passing")

    def test_strangers(self) -> None:
        """Members of other datacenters, and those that are no agents of Consul's, are not shown."""
        self.lead(client("c", dc="dc2"), server("d", dc="dc2"), client("e", role="web"))
        self.assertEqual([one.node for one in self.served.store.catalog.nodes()[1]], ["a"])

    def test_serverJoins(self) -> None:
        """A server joins the group without a vote, and has the service that servers have."""
        self.lead(server("b", grpc_tls_port="8503"))
        self.assertEqual(self.raft.servers[node_id("b")], Suffrage.NONVOTER)
        _, found = self.served.store.catalog.node_services("b")
        assert found is not None
        meta = found[1]["consul"].meta
        assert meta is not None
        self.assertEqual((meta["grpc_tls_port"], meta["serf_protocol_max"], meta["version"]), ("8503", "5", "1.21.4"))

    def test_serverLeaves(self) -> None:
        """A server that left leaves the group, too."""
        self.lead(server("b"))
        self.hear(server("b", Status.LEFT))
        self.assertEqual(list(self.raft.servers), ["a"])

    def test_twoBootstrap(self) -> None:
        """A second server in bootstrap mode is not added."""
        self.gossip.all["a"] = server("a", bootstrap="1")
        self.lead(server("b", bootstrap="1"))
        self.assertEqual(list(self.raft.servers), ["a"])

    def test_refusedByTheDisk(self) -> None:
        """What could not be written is tried again soon, while leading."""
        self.served.consensus.refused = DiskFull()
        self.lead(client("c"))
        self.served.consensus.refused = None
        self.served.clock.advance(RETRY_SECONDS)
        self.served.clock.advance(0)
        self.assertEqual((self.health("a"), self.health("c")), ("passing", "passing"))

    def test_raftRefuses(self) -> None:
        """So is a change of the group."""
        self.raft.broken = True
        self.lead(server("b"))
        self.assertNotIn(node_id("b"), self.raft.servers)
        self.raft.broken = False
        self.served.clock.advance(RETRY_SECONDS)
        self.served.clock.advance(0)
        self.assertIn(node_id("b"), self.raft.servers)

    def test_leadershipLost(self) -> None:
        """Who does not lead writes nothing."""
        self.lead()
        self.reconcile.stopService()
        self.assertEqual(self.changes(lambda: self.hear(client("c"))), 0)

    def test_many(self) -> None:
        """A thousand members are written in a few turns."""
        self.lead(*(client(f"c{number}") for number in range(1000)))
        for _ in range(20):
            self.served.clock.advance(0)
        self.assertEqual(len(self.served.store.catalog.nodes()[1]), 1001)
