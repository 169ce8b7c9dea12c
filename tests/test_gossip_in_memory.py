"""A gossip pool on the network without sockets: minutes of trouble in a moment."""

from __future__ import annotations

from random import Random

from twisted.trial.unittest import SynchronousTestCase

from txconsul.gossip import GossipPool
from txconsul.net.memory import Conditions, Wire
from txconsul.serf.messages import Status
from txconsul.serf.settings import Settings
from txconsul.simulation.clock import SimulatedClock
from txconsul.swim.timing import LAN


class GossipInMemoryTests(SynchronousTestCase):
    """Three nodes with LAN timing."""

    def pools(self, seed: int) -> list[GossipPool]:
        """Joined."""
        self.clock = SimulatedClock()
        self.wire = Wire(self.clock, Random(seed), Conditions(delay=0.001, loss=0.01))
        pools = []
        for number, name in enumerate("abc"):
            network = self.wire.host(name, f"10.0.0.{number}")
            pool = GossipPool(
                network,
                name,
                settings=Settings(timing=LAN),
                host=f"10.0.0.{number}",
                port=8301,
                random=Random(f"{name} {seed}"),
                entropy=Random(seed).randbytes,
            )
            self.successResultOf(pool.open())
            pools.append(pool)
        joins = [pool.join(*pools[0].address) for pool in pools[1:]]
        self.clock.advance(20)
        for join in joins:
            self.successResultOf(join)
        return pools

    def statuses(self, pool: GossipPool) -> dict[str, Status]:
        """What a node holds of the others."""
        return {one.name: one.status for one in pool.core.members}

    def test_partition(self) -> None:
        """A node that is cut off for minutes has failed, and is alive again after."""
        pools = self.pools(1)
        alive = dict.fromkeys("abc", Status.ALIVE)
        self.assertEqual([self.statuses(pool) for pool in pools], [alive] * 3)
        self.wire.part("c", "ab")
        self.clock.advance(120)
        self.assertEqual(self.statuses(pools[0]), alive | {"c": Status.FAILED})
        self.assertEqual(self.statuses(pools[2]), {"a": Status.FAILED, "b": Status.FAILED, "c": Status.ALIVE})
        self.wire.mend()
        self.clock.advance(300)
        self.assertEqual([self.statuses(pool) for pool in pools], [alive] * 3)

    def test_killed(self) -> None:
        """A process that dies has failed within seconds."""
        pools = self.pools(2)
        pools[2].stopService()
        self.wire.hosts["c"].kill()
        self.clock.advance(30)
        self.assertEqual(self.statuses(pools[0])["c"], Status.FAILED)
