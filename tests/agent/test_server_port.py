"""The port at which servers meet, and a group of whole agents over it, on a network in memory."""

from __future__ import annotations

from collections.abc import Iterable

from twisted.internet.defer import Deferred
from twisted.internet.protocol import Factory, Protocol
from twisted.python.failure import Failure
from twisted.trial.unittest import SynchronousTestCase

from txconsul.agent.server_part import ServerPart
from txconsul.agent.server_port import OwnPort, PortClosed
from txconsul.metrics.metrics import Metrics
from txconsul.records.raft import Configuration, Server
from txconsul.testing import MemoryAgent, MemoryCluster


class GroupTests(SynchronousTestCase):
    """Three agents that were given their group."""

    def setUp(self) -> None:
        self.cluster = MemoryCluster(servers=3, configuration={"bootstrap_expect": 0, "performance": FAST})
        for agent in self.cluster.servers:
            agent.start()
        self.cluster.advance(1.0)
        group = [Server(id=one.node_id, address=f"{one.address}:8300") for one in self.cluster.servers]
        for agent in self.cluster.servers:
            assert agent.agent is not None
            agent.agent.server.consensus.bootstrap(Configuration(servers=tuple(group)))
        self.leader = self.await_leader()

    def await_leader(self, other_than: MemoryAgent | None = None) -> MemoryAgent:
        """Who leads."""
        self.cluster.until(lambda: self.cluster.leader() not in (None, other_than), 30)
        leader = self.cluster.leader()
        assert leader is not None
        return leader

    def others(self) -> Iterable[MemoryAgent]:
        """Who does not."""
        return [agent for agent in self.cluster.servers if agent is not self.leader]

    def join(self, agent: MemoryAgent) -> None:
        """Have it meet the leader."""
        assert agent.agent is not None
        self.cluster.result(agent.agent.pools.lan.join(self.leader.address, 8301))

    def test_replicates(self) -> None:
        """What the leader took is on the others."""
        self.assertEqual(self.leader.ask("PUT", "/v1/kv/a", b"1").body, b"true")
        self.cluster.advance(0.5)
        for agent in self.others():
            self.assertEqual(agent.ask("GET", "/v1/kv/a?stale&raw").body, b"1")

    def test_leaderDies(self) -> None:
        """Another one leads, with all that was written; the old one comes back and follows."""
        self.leader.ask("PUT", "/v1/kv/a", b"1")
        old = self.leader
        old.kill(silent=True)
        self.leader = self.await_leader(old)
        self.assertEqual(self.leader.ask("GET", "/v1/kv/a?raw").body, b"1")
        self.assertEqual(self.leader.ask("PUT", "/v1/kv/b", b"2").body, b"true")
        old.start()
        self.cluster.advance(5.0)
        self.assertEqual(old.ask("GET", "/v1/kv/b?stale&raw").body, b"2")
        self.assertFalse(old.leads)

    def test_movedServer(self) -> None:
        """A server that starts anew with another address is found by gossip."""
        moved, third = self.others()
        for agent in (moved, third):
            self.join(agent)
        moved.kill()
        self.leader.ask("PUT", "/v1/kv/a", b"1")
        moved.start("10.0.0.77")
        self.join(moved)
        self.cluster.advance(90.0)
        self.assertEqual(moved.ask("GET", "/v1/kv/a?stale&raw").body, b"1")

    def test_standsStill(self) -> None:
        """A leader that stands still is followed by another, and takes no write of its own afterwards."""
        old = self.leader
        old.pause(10.0)
        self.leader = self.await_leader(old)
        self.assertEqual(self.leader.ask("PUT", "/v1/kv/a", b"1").body, b"true")
        self.cluster.advance(15.0)
        self.assertFalse(old.leads)
        self.assertEqual(old.ask("GET", "/v1/kv/a?stale&raw").body, b"1")


class _Silent(Protocol):
    """Notes what comes."""

    received = b""
    closed = False

    def dataReceived(self, data: bytes) -> None:
        """See L{Protocol}."""
        self.received += data

    def connectionLost(self, reason: object = None) -> None:
        """See L{Protocol}."""
        self.closed = True


class PortTests(SynchronousTestCase):
    """One server's port."""

    def test_servesCalls(self) -> None:
        """RPC is served there."""
        cluster = MemoryCluster().start()
        protocol = self.dial(cluster)
        assert protocol.transport is not None
        method = b"\x00\x82\xadServiceMethod\xafStatus.Leader\xa3Seq\x01\x80"
        protocol.transport.write(method.replace(b"\xaf", b"\xad"))
        cluster.advance(1.0)
        self.assertIn(b"10.0.0.1:8300", protocol.received)

    def test_closedWithTheAgent(self) -> None:
        """When the agent stops nothing of it is left."""
        cluster = MemoryCluster().start()
        protocol = self.dial(cluster)
        cluster.stop()
        cluster.advance(0.1)
        self.assertTrue(protocol.closed)

    def test_portInUse(self) -> None:
        """Who cannot listen there is told why."""
        agent = MemoryCluster().start()["server1"]
        assert agent.agent is not None
        part = agent.agent.part
        assert isinstance(part, ServerPart)
        running = part.port
        failures: list[Failure] = []
        port = OwnPort(
            running._configuration,
            agent.node_id,
            running._network,
            running._dialer,
            failed=failures.append,
            metrics=Metrics(),
        )
        port.startService()
        self.assertIsInstance(failures[0].value, PortClosed)
        self.assertIn("10.0.0.1:8300", str(failures[0].value))
        self.successResultOf(port.stopService())

    def dial(self, cluster: MemoryCluster) -> _Silent:
        """Connect to the only server."""
        protocol = _Silent()
        connected: Deferred[None] = cluster.client.connect(
            "tcp:10.0.0.1:8300",
            Factory.forProtocol(lambda: protocol),  # type: ignore[arg-type]
        )
        cluster.result(connected)
        return protocol


#: Elections as fast as may be.
FAST = {"raft_multiplier": 1}
