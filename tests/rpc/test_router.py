"""Which server is asked next."""

from __future__ import annotations

from collections import Counter
from random import Random
from typing import NamedTuple

from twisted.trial.unittest import SynchronousTestCase

from txconsul.errors import DatacenterUnreachable, NoKnownServers, NoPathToDatacenter
from txconsul.rpc.router import REBALANCE_JITTER_SECONDS, REBALANCE_SECONDS, SECONDS_PER_NODE, Router, by_distance


class One(NamedTuple):
    """A server."""

    name: str
    address: str
    datacenter: str = "dc1"


A, B, C = (One(name, f"10.0.0.{number}:8300") for number, name in enumerate("abc", 1))
FAR, FARTHER = One("x.dc2", "10.2.0.1:8300", "dc2"), One("y.dc2", "10.2.0.2:8300", "dc2")


def knowing(*servers: One, seed: int = 1, own: tuple[str, ...] = ()) -> Router:
    """A router that knows servers of its datacenter since the time 0."""
    router = Router("dc1", Random(seed), own)
    for one in servers:
        router.lan_changed(one, True, 0.0)
    return router


class LocalTests(SynchronousTestCase):
    """Servers of the own datacenter."""

    def test_none(self) -> None:
        """Without servers there is nobody to ask."""
        self.assertRaises(NoKnownServers, knowing().local)

    def test_spread(self) -> None:
        """Agents that hear of the same servers in the same order ask different ones first."""
        first = Counter(knowing(A, B, C, seed=seed).local().name for seed in range(300))
        self.assertEqual(sorted(first), ["a", "b", "c"])
        self.assertGreater(min(first.values()), 60)

    def test_failed(self) -> None:
        """Who fails goes to the end, but only from the beginning: word of it may come several times."""
        router = knowing(A, B, C)
        order = router.locals()
        router.failed(order[1])
        self.assertEqual(router.locals(), order)
        router.failed(order[0])
        self.assertEqual(router.locals(), [*order[1:], order[0]])
        router.failed(order[0])
        self.assertEqual(router.locals(), [*order[1:], order[0]])

    def test_changed(self) -> None:
        """A server that comes back elsewhere keeps its place and is found at its new address only."""
        router = knowing(A, B)
        order = [one.name for one in router.locals()]
        moved = One("a", "10.0.0.9:8300")
        router.lan_changed(moved, True, 1.0)
        self.assertEqual([one.name for one in router.locals()], order)
        self.assertIsNone(router.at(A.address))
        self.assertIs(router.at(moved.address), moved)
        router.lan_changed(moved, False, 2.0)
        self.assertIsNone(router.at(moved.address))
        self.assertEqual(router.local(), B)

    def test_addressTakenOver(self) -> None:
        """A server that comes at another's address is not forgotten with that one."""
        router = knowing(A)
        heir = One("h", A.address)
        router.lan_changed(heir, True, 1.0)
        router.lan_changed(A, False, 2.0)
        self.assertIs(router.at(A.address), heir)


class DistantTests(SynchronousTestCase):
    """Servers of other datacenters."""

    def test_unknown(self) -> None:
        """There is no path to a datacenter of which no server is known, or no more."""
        router = knowing(A)
        self.assertRaises(NoPathToDatacenter, router.distant, "dc2")
        router.wan_changed(FAR, True, 0.0)
        self.assertIs(router.distant("dc2"), FAR)
        self.assertEqual(router.datacenters(), ["dc1", "dc2"])
        router.wan_changed(FAR, False, 1.0)
        self.assertRaises(NoPathToDatacenter, router.distant, "dc2")
        self.assertEqual(router.datacenters(), ["dc1"])

    def test_unreachable(self) -> None:
        """Where none of the known ones is there, that is said instead, until one is."""
        router = knowing()
        for one in (FAR, FARTHER):
            router.wan_changed(one, True, 0.0)
        router.wake(REBALANCE_SECONDS)
        for _ in range(2):
            (ping,) = router.take_output()
            router.pinged(ping.number, False, REBALANCE_SECONDS)
        self.assertRaises(DatacenterUnreachable, router.distant, "dc2")
        router.wan_changed(FAR, True, 200.0)
        self.assertIn(router.distant("dc2"), (FAR, FARTHER))

    def test_distance(self) -> None:
        """The nearest datacenter comes first, by the median of its servers; those unknown come last, by name."""
        seconds = {"a": 9.0, "x.dc2": 0.3, "y.dc2": 0.5, "z.dc3": 0.4}
        servers = [A, FAR, FARTHER, One("z.dc3", "10.3.0.1:8300", "dc3"), One("q.dc0", "10.4.0.1:8300", "dc0")]
        found = by_distance(servers, "dc1", lambda one: seconds.get(one.name, float("inf")))
        self.assertEqual(found, ["dc1", "dc3", "dc2", "dc0"])


class RebalanceTests(SynchronousTestCase):
    """The order is drawn anew."""

    def test_firstIsAsked(self) -> None:
        """When it is time, the new first server is asked whether it is there, and is the first if it is."""
        router = knowing(A, B, C)
        self.assertEqual(router.next_deadline(), REBALANCE_SECONDS)
        router.wake(REBALANCE_SECONDS - 1)
        self.assertEqual(router.take_output(), [])
        router.wake(REBALANCE_SECONDS)
        (ping,) = router.take_output()
        self.assertIsNone(router.next_deadline())
        router.pinged(ping.number, True, 121.0)
        self.assertEqual(router.local(), ping.server)
        deadline = router.next_deadline()
        assert deadline is not None
        self.assertTrue(REBALANCE_SECONDS <= deadline - 121.0 < REBALANCE_SECONDS + REBALANCE_JITTER_SECONDS)

    def test_nextIsAsked(self) -> None:
        """If it is not there, the next is asked; if none is, the order stays as it was."""
        router = knowing(A, B, C)
        before = router.locals()
        router.wake(REBALANCE_SECONDS)
        asked = []
        while pings := router.take_output():
            asked.append(pings[0].server)
            router.pinged(pings[0].number, False, 121.0)
        self.assertEqual(sorted(asked), [A, B, C])
        self.assertEqual(router.locals(), before)

    def test_changesMeanwhile(self) -> None:
        """Who came meanwhile is at the end, who went is not there, and a first server that went is not gone back to."""
        router = knowing(A, B)
        router.wake(REBALANCE_SECONDS)
        (ping,) = router.take_output()
        router.lan_changed(C, True, 121.0)
        router.pinged(ping.number, True, 122.0)
        self.assertEqual(router.locals()[0], ping.server)
        self.assertEqual(router.locals()[-1], C)
        router.wake(400.0)
        (ping,) = router.take_output()
        router.lan_changed(ping.server, False, 401.0)
        router.pinged(ping.number, True, 402.0)
        self.assertNotIn(ping.server, router.locals())

    def test_late(self) -> None:
        """An answer to a question of before changes nothing."""
        router = knowing(A, B)
        router.wake(REBALANCE_SECONDS)
        (first,) = router.take_output()
        router.pinged(first.number, False, 121.0)
        (second,) = router.take_output()
        router.pinged(first.number, True, 122.0)
        self.assertIsNone(router.next_deadline())
        router.pinged(second.number, True, 123.0)
        self.assertEqual(router.local(), second.server)

    def test_oneself(self) -> None:
        """A server does not ask itself."""
        router = knowing(A, own=("a",))
        router.wake(REBALANCE_SECONDS)
        self.assertEqual(router.take_output(), [])
        self.assertEqual(router.local(), A)

    def test_bigPools(self) -> None:
        """In big pools it is rarer, so that a server is not asked by more than 64 a second."""
        router = knowing(A, B)
        router.resized("lan", 100_000)
        router.wake(REBALANCE_SECONDS)
        (ping,) = router.take_output()
        router.pinged(ping.number, True, REBALANCE_SECONDS)
        self.assertEqual(router.next_deadline(), REBALANCE_SECONDS + 100_000 * SECONDS_PER_NODE / 2)
