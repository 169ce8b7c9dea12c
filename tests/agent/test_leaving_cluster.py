"""Whole servers that leave their group, on a network in memory."""

from __future__ import annotations

from tests.agent.test_routing_cluster import ClusterTestCase
from txconsul.testing import MemoryAgent


class LeavingTests(ClusterTestCase):
    """One of three servers leaves."""

    def setUp(self) -> None:
        self.begin("dc1")

    def leave(self, leaving: MemoryAgent) -> list[MemoryAgent]:
        """Ask it over HTTP, and see it end. @return: the others."""
        answer = leaving.ask("PUT", "/v1/agent/leave")
        self.assertEqual((answer.status, answer.text), (200, ""))
        self.cluster.advance(1.0)
        self.assertFalse(leaving.is_up)
        return [one for one in self.cluster.servers if one is not leaving]

    def peers(self, agent: MemoryAgent) -> int:
        """How many servers are in the group."""
        return len(agent.ask("GET", "/v1/status/peers").json())

    def statuses(self, agent: MemoryAgent, query: str = "") -> list[int]:
        """Of all members."""
        return [one["Status"] for one in agent.ask("GET", f"/v1/agent/members{query}").json()]

    def test_leader(self) -> None:
        """A leader has another one lead before it goes: writes go on, by a group of two that both know."""
        leader = self.leader()
        others = self.leave(leader)
        self.assertIn(self.leader(), others)
        for one in others:
            self.assertEqual(one.ask("PUT", "/v1/kv/a", "1").text, "true")
            self.assertEqual(self.peers(one), 2)
            self.assertEqual(sorted(self.statuses(one)), [1, 1, 3])
            self.assertEqual(sorted(self.statuses(one, "?wan=1")), [1, 1, 3])
        nodes = {one["Node"] for one in others[0].ask("GET", "/v1/catalog/nodes").json()}
        self.assertEqual(nodes, {one.name for one in others})

    def test_follower(self) -> None:
        """A follower is taken out of the group by its leader, who goes on leading."""
        leader = self.leader()
        others = self.leave(self.others()[0])
        self.assertIs(self.leader(), leader)
        for one in others:
            self.assertEqual(self.peers(one), 2)
