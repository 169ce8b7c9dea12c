"""Client agents, which keep no state, beside three servers on a network in memory."""

from __future__ import annotations

from twisted.trial.unittest import SynchronousTestCase

from txconsul.testing import MemoryCluster

SERVICE = {"Name": "web", "Port": 80, "Check": {"TTL": "1h", "Status": "passing"}}


class ClientTests(SynchronousTestCase):
    """One client agent, and the servers that it finds by gossip."""

    def setUp(self) -> None:
        self.cluster = MemoryCluster(servers=3, clients=1).start()
        (self.client,) = self.cluster.clients
        self.cluster.until(lambda: self.client.ask("GET", "/v1/status/leader").json() != "", 30)

    def test_asks(self) -> None:
        """What is asked of it, servers answer; what is written there is read here."""
        self.assertEqual(self.client.ask("PUT", "/v1/kv/a", "one").text, "true")
        for server in self.cluster.servers:
            self.assertEqual(server.ask("GET", "/v1/kv/a?raw").text, "one")
        self.assertEqual(self.client.ask("GET", "/v1/kv/a?raw&consistent").text, "one")
        self.assertEqual(self.client.ask("GET", "/v1/kv/b").status, 404)
        self.assertEqual(self.client.ask("GET", "/v1/kv/a?dc=mars").status, 500)

    def test_waits(self) -> None:
        """A question that waits is answered when a server is told something else."""
        self.client.ask("PUT", "/v1/kv/a", "one")
        index = self.client.ask("GET", "/v1/kv/a").headers["x-consul-index"]
        waiting = self.client.request("GET", f"/v1/kv/a?raw&index={index}&wait=60s")
        self.cluster.advance(5.0)
        self.assertNoResult(waiting)
        self.cluster.servers[0].ask("PUT", "/v1/kv/a", "two")
        self.cluster.advance(1.0)
        self.assertEqual(self.successResultOf(waiting).text, "two")

    def test_registered(self) -> None:
        """Its node is in the catalog with a check that follows gossip, and so is what it runs."""
        self.assertEqual(self.client.ask("PUT", "/v1/agent/service/register", SERVICE).status, 200)
        self.cluster.advance(5.0)
        (found,) = self.cluster.servers[0].ask("GET", "/v1/health/service/web?passing").json()
        self.assertEqual(found["Node"]["Node"], self.client.name)
        self.assertEqual({one["CheckID"] for one in found["Checks"]}, {"serfHealth", "service:web"})
        self.client.kill(silent=True)
        self.cluster.advance(60.0)
        self.assertEqual(self.cluster.servers[0].ask("GET", "/v1/health/service/web?passing").json(), [])

    def test_leaves(self) -> None:
        """When it leaves, its node leaves the catalog."""
        self.client.ask("PUT", "/v1/agent/leave")
        self.cluster.advance(30.0)
        self.assertFalse(self.client.is_up)
        nodes = {one["Node"] for one in self.cluster.servers[0].ask("GET", "/v1/catalog/nodes").json()}
        self.assertEqual(nodes, {one.name for one in self.cluster.servers})

    def test_serverLost(self) -> None:
        """It turns to another server when one is gone, also where that led."""
        self.client.ask("PUT", "/v1/kv/a", "one")
        leader = next(one for one in self.cluster.servers if one.leads)
        leader.kill()
        self.cluster.advance(30.0)
        self.assertEqual(self.client.ask("GET", "/v1/kv/a?raw").text, "one")
        self.assertEqual(self.client.ask("PUT", "/v1/kv/a", "two").text, "true")

    def test_alone(self) -> None:
        """Without any server it says so, and still knows what it runs itself."""
        self.client.ask("PUT", "/v1/agent/service/register", SERVICE)
        for server in self.cluster.servers:
            server.kill()
        self.cluster.advance(120.0)
        self.assertEqual(self.client.ask("GET", "/v1/kv/a").status, 500)
        self.assertEqual(list(self.client.ask("GET", "/v1/agent/services").json()), ["web"])

    def test_noServer(self) -> None:
        """Only a server has one."""
        assert self.client.agent is not None
        with self.assertRaises(AssertionError):
            self.client.agent.server  # noqa: B018  # it is looked at
