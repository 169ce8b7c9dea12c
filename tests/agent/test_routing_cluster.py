"""Whole servers that ask each other, on a network in memory."""

from __future__ import annotations

from typing import Any

from twisted.trial.unittest import SynchronousTestCase

from txconsul.records.raft import Configuration, Server
from txconsul.testing import MemoryAgent, MemoryCluster


class ClusterTestCase(SynchronousTestCase):
    """
    Datacenters whose servers belong to one group each.

    @ivar cluster: all of them.
    """

    def begin(self, *datacenters: str) -> None:
        """Start three servers in each."""
        keys = {"ports": {"serf_wan": 8302}, "bootstrap_expect": 0, "performance": {"raft_multiplier": 1}}
        self.cluster = MemoryCluster(servers=3, datacenters=datacenters, configuration=keys)
        for agent in self.cluster.servers:
            agent.start()
        self.cluster.advance(1.0)
        for datacenter in datacenters:
            members = self.members(datacenter)
            group = tuple([Server(id=one.node_id, address=f"{one.address}:8300") for one in members])
            for one in members:
                assert one.agent is not None
                one.agent.server.consensus.bootstrap(Configuration(servers=group))
                self.cluster.result(one.agent.pools.join([members[0].address]))
            self.cluster.until(lambda datacenter=datacenter: self.cluster.leader(datacenter) is not None, 30)  # type: ignore[misc]
        self.cluster.advance(3.0)

    def members(self, datacenter: str) -> list[MemoryAgent]:
        """The servers of a datacenter."""
        return [one for one in self.cluster.servers if one.configuration["datacenter"] == datacenter]

    def leader(self, datacenter: str = "dc1") -> MemoryAgent:
        """Who leads."""
        leader = self.cluster.leader(datacenter)
        assert leader is not None
        return leader

    def others(self, datacenter: str = "dc1") -> list[MemoryAgent]:
        """Who does not."""
        return [one for one in self.members(datacenter) if one is not self.leader(datacenter) and one.is_up]


class FollowerTests(ClusterTestCase):
    """Servers that do not lead answer as the leader does."""

    def setUp(self) -> None:
        self.begin("dc1")

    def test_putAndGet(self) -> None:
        """A key is written and read at any server."""
        one, other = self.others()
        self.assertEqual(one.ask("PUT", "/v1/kv/a", b"1").body, b"true")
        answer = other.ask("GET", "/v1/kv/a?raw")
        self.assertEqual((answer.body, answer.headers["x-consul-lastcontact"]), (b"1", "0"))
        self.assertEqual(answer.body, self.leader().ask("GET", "/v1/kv/a?raw").body)
        self.assertEqual(other.ask("PUT", "/v1/kv/a?cas=1", b"2").body, b"false")

    def test_same(self) -> None:
        """What is shown of everything is the same everywhere."""
        one = self.others()[0]
        for path in (
            "catalog/nodes",
            "catalog/services",
            "catalog/service/consul",
            "catalog/node/server1",
            "catalog/datacenters",
            "health/service/consul",
            "health/state/any",
            "internal/ui/nodes",
            "internal/ui/services",
            "internal/ui/node/server2",
            "internal/ui/service-topology/web?kind=",
            "operator/raft/configuration",
            "operator/autopilot/configuration",
            "operator/usage",
            "query",
            "session/list",
            "status/leader",
            "coordinate/nodes",
        ):
            there, here = self.leader().ask("GET", f"/v1/{path}"), one.ask("GET", f"/v1/{path}")
            self.assertEqual((here.status, here.body), (200, there.body), path)

    def test_errors(self) -> None:
        """So are errors; a hop says that it is one."""
        one = self.others()[0]
        asked = one.ask("PUT", "/v1/session/create", {"Behavior": "fly"})
        self.assertEqual(asked.status, 500)
        self.assertEqual(asked.body, b"rpc error making call: Invalid Behavior setting 'fly'")
        self.assertEqual(one.ask("GET", "/v1/query/00000000-0000-0000-0000-000000000000").status, 404)
        unknown = one.ask("GET", "/v1/kv/a?dc=mars")
        self.assertEqual((unknown.status, unknown.body), (500, b"No path to datacenter"))

    def test_waits(self) -> None:
        """Who waits at a follower hears of what is written elsewhere."""
        one, other = self.others()
        one.ask("PUT", "/v1/kv/a", b"1")
        index = one.ask("GET", "/v1/kv/a").headers["x-consul-index"]
        waiting = one.request("GET", f"/v1/kv/a?raw&index={index}&wait=60s")
        self.cluster.advance(5.0)
        self.assertNoResult(waiting)
        other.ask("PUT", "/v1/kv/a", b"2")
        self.assertEqual(self.cluster.result(waiting).body, b"2")

    def test_snapshot(self) -> None:
        """The whole state is saved and restored through a follower."""
        one = self.others()[0]
        one.ask("PUT", "/v1/kv/a", b"1")
        saved = one.ask("GET", "/v1/snapshot")
        self.assertEqual(saved.status, 200)
        one.ask("DELETE", "/v1/kv/a")
        self.assertEqual(one.ask("PUT", "/v1/snapshot", saved.body).status, 200)
        self.assertEqual(one.ask("GET", "/v1/kv/a?raw").body, b"1")

    def test_leaderKilled(self) -> None:
        """Reads go on at the next leader; the next write is taken within seconds."""
        one = self.others()[0]
        one.ask("PUT", "/v1/kv/a", b"1")
        index = int(one.ask("GET", "/v1/kv/a").headers["x-consul-index"])
        waiting = one.request("GET", f"/v1/kv/a?raw&index={index}&wait=60s")
        self.cluster.advance(0.1)
        self.leader().kill()
        began = self.cluster.clock.now
        self.assertEqual(one.ask("PUT", "/v1/kv/a", b"2").body, b"true")
        self.assertLess(self.cluster.clock.now - began, 4.0)
        self.assertEqual(self.cluster.result(waiting).body, b"2")

    def test_leaderFallsSilent(self) -> None:
        """Of a machine that is suddenly gone, gossip tells long before the connection does."""
        one = self.others()[0]
        one.ask("PUT", "/v1/kv/a", b"1")
        self.leader().kill(silent=True)
        began = self.cluster.clock.now
        write, read = one.request("PUT", "/v1/kv/a", b"2"), one.request("GET", "/v1/kv/a?raw")
        answer = self.cluster.result(write)
        self.assertEqual((answer.status, answer.body[-3:]), (500, b"EOF"))
        self.assertLess(self.cluster.clock.now - began, 15.0)
        self.assertEqual(self.cluster.result(read).body, b"1")

    def test_cutOff(self) -> None:
        """A server without the others says that there is no leader, and answers from what it has if that will do."""
        one = self.others()[0]
        one.ask("PUT", "/v1/kv/a", b"1")
        self.cluster.advance(1.0)
        rest = [each.name for each in self.cluster.servers if each is not one]
        self.cluster.wire.part([one.name], rest)
        self.cluster.advance(20.0)
        asked = one.ask("GET", "/v1/kv/a?raw")
        self.assertEqual((asked.status, asked.body), (500, b"No cluster leader"))
        stale = one.ask("GET", "/v1/kv/a?raw&stale")
        self.assertEqual(stale.body, b"1")
        self.assertGreater(int(stale.headers["x-consul-lastcontact"]), 10_000)
        self.cluster.wire.mend()
        self.cluster.advance(20.0)
        self.assertEqual(one.ask("GET", "/v1/kv/a?raw").body, b"1")


class DatacenterTests(ClusterTestCase):
    """Two datacenters that know each other."""

    def test_asked(self) -> None:
        """Either is asked through the other, and both are told of."""
        self.begin("dc1", "dc2")
        here, there = self.others("dc1")[0], self.others("dc2")[0]
        agent: Any = here.agent
        self.cluster.result(agent.pools.join([there.address], wan=True))
        self.cluster.advance(10.0)
        self.assertEqual(here.ask("PUT", "/v1/kv/a?dc=dc2", b"2").body, b"true")
        self.assertEqual(self.leader("dc2").ask("GET", "/v1/kv/a?raw").body, b"2")
        self.assertEqual(here.ask("GET", "/v1/kv/a").status, 404)
        self.assertEqual(there.ask("GET", "/v1/kv/a?raw").body, b"2")
        self.assertEqual(here.ask("GET", "/v1/catalog/datacenters").body, b'["dc1","dc2"]')
        self.assertEqual(there.ask("GET", "/v1/catalog/datacenters").body, b'["dc2","dc1"]')
        for one in self.members("dc2"):
            one.kill()
        asked = here.ask("GET", "/v1/kv/a?dc=dc2")
        self.assertEqual(asked.status, 500)
        self.assertIn(b"rpc error", asked.body)
