"""Whole agents that join, in memory."""

from __future__ import annotations

from typing import Any

from twisted.trial.unittest import SynchronousTestCase

from txconsul.agent.joining.retry_join import RetriesExhausted
from txconsul.agent.pools import Pools
from txconsul.testing import MemoryCluster


class JoinTests(SynchronousTestCase):
    """Servers of two datacenters, one in each."""

    def cluster(self, **configuration: Any) -> MemoryCluster:
        """Not started yet; only the second one has the configuration."""
        cluster = MemoryCluster(datacenters=("dc1", "dc2"))
        cluster["dc2-server1"].configuration.update(configuration)
        self.addCleanup(cluster.stop)
        return cluster

    def known(self, cluster: MemoryCluster, name: str) -> set[str]:
        """Whom an agent knows in all datacenters."""
        agent = cluster[name].agent
        pools: Pools | None = None if agent is None else agent.pools
        assert pools is not None and pools.wan is not None
        return {one.name for one in pools.wan.core.members}

    def test_joined(self) -> None:
        """By a name, once the other is there: who is not yet there is tried again."""
        cluster = self.cluster(retry_join_wan=["server1"], retry_interval_wan="7s")
        cluster["dc2-server1"].start()
        cluster.advance(20.0)
        self.assertEqual(self.known(cluster, "dc2-server1"), {"dc2-server1.dc2"})
        cluster.start()
        cluster.advance(7.0)
        both = {"server1.dc1", "dc2-server1.dc2"}
        self.assertEqual([self.known(cluster, name) for name in cluster.agents], [both, both])

    def test_exhausted(self) -> None:
        """Who may not try for ever ends with that as the reason."""
        cluster = self.cluster(retry_join_wan=["10.0.0.9:1", "nowhere"], retry_interval_wan="5s", retry_max_wan=2)
        cluster.start()
        cluster.advance(9.0)
        self.assertTrue(cluster["dc2-server1"].is_up)
        cluster.until(lambda: not cluster["dc2-server1"].is_up, 200.0)
        failure = cluster["dc2-server1"].failure
        assert failure is not None
        failure.trap(RetriesExhausted)
        self.assertEqual(failure.getErrorMessage(), "agent: max join WAN retry exhausted, exiting")

    def test_stranger(self) -> None:
        """The pool of a datacenter takes no agent of another, who goes on trying."""
        cluster = self.cluster(retry_join=["10.0.0.1"], retry_interval="5s").start()
        cluster.advance(12.0)
        agent = cluster["server1"].agent
        assert agent is not None
        self.assertEqual([one.name for one in agent.pools.lan.core.members], ["server1"])
        self.assertTrue(cluster["dc2-server1"].is_up)
