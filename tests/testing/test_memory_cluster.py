"""A cluster in memory: what a test can do with it."""

from __future__ import annotations

from random import Random
from time import process_time

from twisted.internet.defer import Deferred
from twisted.internet.error import ConnectionLost, ConnectionRefusedError
from twisted.trial.unittest import SynchronousTestCase

from txconsul.agent.configuration import ConfigurationError
from txconsul.net.memory import Conditions
from txconsul.testing import Answer, MemoryCluster


class LoneServerTests(SynchronousTestCase):
    """One server."""

    def setUp(self) -> None:
        self.cluster = MemoryCluster().start()
        self.server = self.cluster["server1"]

    def tearDown(self) -> None:
        self.cluster.stop()

    def test_asked(self) -> None:
        """It answers as any agent does."""
        self.assertEqual(self.server.ask("PUT", "/v1/kv/a", "1").text, "true")
        answer = self.server.ask("GET", "/v1/kv/a?raw")
        self.assertEqual((answer.status, answer.text), (200, "1"))
        self.assertEqual(self.server.ask("HEAD", "/v1/status/leader").body, b"")
        self.server.ask("PUT", "/v1/agent/service/register", {"Name": "web", "Port": 80})
        self.cluster.advance(1)
        services = self.server.ask("GET", "/v1/catalog/services").json()
        self.assertEqual(services, {"consul": [], "web": []})
        self.assertEqual(self.server.ask("GET", "/v1/agent/self").json()["Config"]["NodeName"], "server1")

    def test_waits(self) -> None:
        """A blocking query waits in virtual time, and ends with a write."""
        self.server.ask("PUT", "/v1/kv/a", "1")
        index = self.server.ask("GET", "/v1/kv/a").index
        waiting = self.server.request("GET", f"/v1/kv/a?index={index}&wait=5m")
        self.cluster.advance(60)
        self.assertNoResult(waiting)
        self.server.ask("PUT", "/v1/kv/a", "2")
        self.assertEqual(self.cluster.result(waiting).json()[0]["Value"], "Mg==")

    def test_hour(self) -> None:
        """An hour passes in a moment, and a session without renewal is over."""
        session = self.server.ask("PUT", "/v1/session/create", {"TTL": "10s"}).json()["ID"]
        self.assertTrue(self.server.ask("GET", f"/v1/session/info/{session}").json())
        self.cluster.advance(3600)
        self.assertFalse(self.server.ask("GET", f"/v1/session/info/{session}").json())

    def test_killed(self) -> None:
        """What it acknowledged is there when it comes again, at another address too; the test hears of its death."""
        self.server.ask("PUT", "/v1/kv/a", "1")
        waiting = self.server.request("GET", "/v1/kv/a?index=99")
        self.cluster.advance(1)
        self.server.kill(loses=Random(1))
        self.assertRaises(ConnectionLost, self.cluster.result, waiting)
        self.assertRaises(ConnectionRefusedError, self.server.ask, "GET", "/v1/kv/a")
        self.server.start()
        self.cluster.start()
        self.assertRaises(ValueError, self.server.start)
        self.assertEqual(self.server.ask("GET", "/v1/kv/a?raw").text, "1")
        self.cluster.result(self.server.stop())
        self.server.start("10.0.0.99")
        self.cluster.start()
        self.assertEqual(self.server.ask("GET", "/v1/kv/a?raw").text, "1")

    def test_paused(self) -> None:
        """A process that stands still answers when it goes on."""
        self.server.pause(30)
        waiting = self.server.request("GET", "/v1/status/leader")
        self.cluster.advance(29)
        self.assertNoResult(waiting)
        self.assertEqual(self.cluster.result(waiting).status, 200)

    def test_disk(self) -> None:
        """A slow disk delays writes, a full one refuses them, a failing one ends the server."""
        self.server.disk.sync_seconds = lambda: 2.0
        began = self.cluster.clock.now
        self.server.ask("PUT", "/v1/kv/a", "1")
        self.assertGreater(self.cluster.clock.now - began, 1.9)
        self.server.disk.sync_seconds = lambda: 0.0
        self.server.disk.full = True
        self.assertEqual(self.server.ask("PUT", "/v1/kv/a", "2").status, 500)
        self.server.disk.full = False
        self.assertEqual(self.server.ask("GET", "/v1/kv/a?raw").text, "1")
        self.server.disk.failing = True
        self.server.request("PUT", "/v1/kv/a", "3").addErrback(lambda failure: None)
        self.cluster.advance(1)
        self.assertEqual((self.server.is_up, self.server.failure is not None), (False, True))

    def test_wall(self) -> None:
        """Its clock on the wall may be wrong."""
        before = self.server.ask("GET", "/v1/status/leader").headers["date"]
        self.server.wall_offset = 86400
        self.cluster.advance(2)
        self.assertNotEqual(self.server.ask("GET", "/v1/status/leader").headers["date"][:16], before[:16])

    def test_patience(self) -> None:
        """What never comes is not waited for without end."""
        self.assertRaises(TimeoutError, self.cluster.result, Deferred(), 5)
        self.assertRaises(TimeoutError, self.cluster.until, lambda: False, 5)

    def test_names(self) -> None:
        """Agents are found by their names, and say what they are."""
        self.assertEqual(([*self.cluster.agents], self.cluster.clients), (["server1"], []))
        self.assertIs(self.cluster.leader(), self.server)
        self.assertIn("server1 at 10.0.0.1, up", repr(self.server))


class GroupTests(SynchronousTestCase):
    """Three servers."""

    def setUp(self) -> None:
        self.cluster = MemoryCluster(servers=3).start()
        self.addCleanup(self.cluster.stop)

    def test_anyServer(self) -> None:
        """Whichever is asked takes a write, and gives what another took."""
        for number, server in enumerate(self.cluster.servers):
            self.assertEqual(server.ask("PUT", "/v1/kv/a", str(number)).text, "true")
            for other in self.cluster.servers:
                self.assertEqual(other.ask("GET", "/v1/kv/a?raw").text, str(number))
        nodes = self.cluster["server1"].ask("GET", "/v1/catalog/nodes").json()
        self.assertEqual({node["Node"] for node in nodes}, {"server1", "server2", "server3"})

    def test_leaderKilled(self) -> None:
        """Another leads, with what was written, and the old one follows when it is back."""
        old = self.cluster.leader()
        assert old is not None
        old.ask("PUT", "/v1/kv/a", "1")
        old.kill()
        self.cluster.until(lambda: self.cluster.leader() is not None, 60)
        leader = self.cluster.leader()
        assert leader is not None
        self.assertEqual(leader.ask("GET", "/v1/kv/a?raw").text, "1")
        old.start()
        self.cluster.advance(10)
        self.assertEqual((old.leads, old.ask("GET", "/v1/kv/a?raw").text), (False, "1"))

    def test_parted(self) -> None:
        """A leader that is cut off takes no write, the others do; when the ways are free again, all say the same."""
        old = self.cluster.leader()
        assert old is not None
        others = [server for server in self.cluster.servers if server is not old]
        self.cluster.part([old.name], [server.name for server in others])
        self.cluster.until(lambda: any(server.leads for server in others), 60)
        self.assertEqual(others[0].ask("PUT", "/v1/kv/a", "1").text, "true")
        self.assertEqual(old.ask("PUT", "/v1/kv/a", "2").status, 500)
        self.cluster.mend()
        self.cluster.advance(90)
        self.assertEqual([server.ask("GET", "/v1/kv/a?raw").text for server in self.cluster.servers], ["1"] * 3)


class DatacenterTests(SynchronousTestCase):
    """Two datacenters."""

    def test_forwarded(self) -> None:
        """What is asked of the other datacenter is answered there."""
        cluster = MemoryCluster(datacenters=("dc1", "dc2")).start()
        self.addCleanup(cluster.stop)
        here, there = cluster["server1"], cluster["dc2-server1"]
        cluster.until(lambda: here.ask("GET", "/v1/catalog/datacenters").json() == ["dc1", "dc2"], 60)
        cluster.advance(10)
        self.assertEqual(here.ask("PUT", "/v1/kv/a?dc=dc2", "1").text, "true")
        self.assertEqual(there.ask("GET", "/v1/kv/a?raw").text, "1")
        self.assertEqual(here.ask("GET", "/v1/kv/a").status, 404)
        self.assertIs(cluster.leader("dc2"), there)


class CostTests(SynchronousTestCase):
    """What a cluster costs."""

    def test_start(self) -> None:
        """A server is there within a few milliseconds of CPU time, three with their elections within a few dozen."""
        for servers, limit in ((1, 0.05), (3, 0.15)):
            MemoryCluster(servers).start().stop()  # imports, caches
            spent = []
            for _ in range(5):
                began = process_time()
                cluster = MemoryCluster(servers).start()
                spent.append(process_time() - began)
                cluster.stop()
            self.assertLess(min(spent), limit)


class SeedTests(SynchronousTestCase):
    """One seed, one run."""

    def run_once(self, seed: int) -> list[Answer]:
        """What was answered."""
        cluster = MemoryCluster(seed=seed, conditions=Conditions(delay=0.01, late=0.2, loss=0.1)).start()
        server = cluster["server1"]
        answers = [server.ask("PUT", "/v1/session/create", {"Name": "a"})]
        session = answers[0].json()["ID"]
        answers += [server.ask("PUT", f"/v1/kv/lock?acquire={session}"), server.ask("GET", "/v1/kv/lock")]
        cluster.advance(100)
        answers += [server.ask("GET", "/v1/catalog/nodes"), server.ask("GET", "/v1/agent/metrics")]
        cluster.stop()
        return answers

    def test_same(self) -> None:
        """The same seed gives the same ids, times and answers; another gives others."""
        first, again, other = self.run_once(1), self.run_once(1), self.run_once(2)
        self.assertEqual(first[:4], again[:4])
        self.assertNotEqual(first[0].body, other[0].body)


class ConfigurationTests(SynchronousTestCase):
    """What may be asked for."""

    def test_keys(self) -> None:
        """Keys are those of configuration files."""
        cluster = MemoryCluster(configuration={"node_meta": {"rack": "1"}, "datacenter": "east"}).start()
        nodes = cluster["server1"].ask("GET", "/v1/catalog/nodes").json()
        self.assertEqual((nodes[0]["Meta"]["rack"], nodes[0]["Datacenter"]), ("1", "east"))
        cluster.stop()

    def test_refused(self) -> None:
        """What an agent refuses is refused here."""
        cluster = MemoryCluster(configuration={"retry_interval": "x"})
        self.assertRaises(ConfigurationError, cluster.start)
