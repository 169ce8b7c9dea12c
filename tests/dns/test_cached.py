"""C{dns_config.use_cache}: names answered from what the agent keeps."""

from __future__ import annotations

from random import Random
from typing import Any

from twisted.trial.unittest import SynchronousTestCase

from tests.agent.caching import CachedServer
from tests.dns.asking import NOW, Asking, question
from txconsul.caching.entry import FetchLimits
from txconsul.dns.message import NXDOMAIN, decode
from txconsul.dns.server import DNSServer
from txconsul.dns.settings import DNSSettings
from txconsul.errors import NoLeader
from txconsul.records.prepared_query import PreparedQuery, PreparedQueryRequest, ServiceQuery


class CachedAsking(Asking):
    """An edge before an agent's cache."""

    def __init__(self, limits: FetchLimits | None = None, **settings: Any) -> None:
        super().__init__()
        self.served = self.cached = CachedServer(limits)
        self.register("first", "10.0.0.9")
        self.register("second", "10.0.0.9")
        self.server = DNSServer(
            self.cached.cache,
            DNSSettings(datacenter="dc1", use_cache=True, **settings),
            self.network,  # type: ignore[arg-type]
            Random(1),
            Random(2),
            lambda: NOW,
        )

    def send(self, packet: bytes, udp: bool = True) -> list[bytes]:
        """The answer, which may come in the next turn."""
        sent = super().send(packet, udp)
        if not sent:
            self.cached.turn()
        return sent


class CachedTests(SynchronousTestCase):
    """Services and nodes."""

    def test_follows(self) -> None:
        """A change is told in the turn of its write, whether answers are kept as bytes or not."""
        asking = CachedAsking()
        self.assertEqual(asking.ask("web.service.consul").rcode, NXDOMAIN)
        asking.cached.turn()
        for number in range(1, 4):
            asking.service(f"n{number}", f"10.0.0.{number}", "web")
            for _ in range(40):
                self.assertEqual(len(asking.ask("web.service.consul").answer), number)
            asking.cached.turn()
        asking.deregister("n1")
        self.assertEqual(len(asking.ask("web.service.consul").answer), 2)
        self.assertEqual(len(asking.cached.cache), 1)

    def test_nodes(self) -> None:
        """Nodes, too; their absence is remembered no longer than it lasts."""
        asking = CachedAsking()
        self.assertEqual(asking.ask("n1.node.consul").rcode, NXDOMAIN)
        asking.cached.turn()
        asking.register("n1", "10.0.0.1")
        self.assertEqual(asking.answers("n1.node.consul"), ["n1.node.consul. 0 A 10.0.0.1"])

    def test_oneQuestionManyTypes(self) -> None:
        """All types of a name are answered from one kept answer."""
        asking = CachedAsking()
        asking.service("n1", "10.0.0.1", "web")
        for kind in ("A", "SRV", "TXT", "ANY"):
            asking.ask("web.service.consul", kind)
        health = [one for one in asking.cached.counting.asked if one[0] == "Health.ServiceNodes"]
        self.assertEqual(len([one for one in health if not one[1]]), 1)

    def test_withoutServers(self) -> None:
        """What is kept is told while no server can be reached, as long as somebody asks for it."""
        asking = CachedAsking()
        asking.service("n1", "10.0.0.1", "web")
        asking.ask("web.service.consul")
        asking.cached.counting.error = NoLeader()
        for _ in range(24 * 6):
            asking.served.clock.pump([60.0] * 10)
            self.assertEqual(len(asking.ask("web.service.consul").answer), 1)

    def test_fetchedSeldom(self) -> None:
        """Bytes that were made from an old answer go when a later fetch brings the new one."""
        asking = CachedAsking(FetchLimits(0.1, 1))
        asking.service("n1", "10.0.0.1", "web")
        for _ in range(40):
            asking.ask("web.service.consul")
        asking.service("n2", "10.0.0.2", "web")
        self.assertEqual(len(asking.ask("web.service.consul").answer), 1)
        asking.served.clock.advance(10)
        asking.cached.turn()
        self.assertEqual(len(asking.ask("web.service.consul").answer), 2)

    def test_keptAsBytes(self) -> None:
        """A question that was answered comes out of what is kept as bytes, and costs no look at the agent's cache."""
        asking = CachedAsking()
        asking.service("n1", "10.0.0.1", "web")
        for _ in range(3):
            asking.ask("web.service.consul")
        hits = asking.cached.cache.counts["hit", "health-services"]
        self.assertEqual(len(decode(asking.send(question("web.service.consul"))[0]).answer), 1)
        self.assertEqual(asking.cached.cache.counts["hit", "health-services"], hits)

    def test_queries(self) -> None:
        """A prepared query is answered from what was fetched for it, as long as that is young enough."""
        asking = CachedAsking(cache_max_age=10.0)
        asking.service("n1", "10.0.0.1", "web")
        query = PreparedQuery(name="q", service=ServiceQuery(service="web", near="_ip"))
        asking.served.call("PreparedQuery.Apply", PreparedQueryRequest(op="create", query=query))
        self.assertEqual(len(asking.ask("q.query.consul").answer), 1)
        asking.service("n2", "10.0.0.2", "web")
        self.assertEqual(len(asking.ask("q.query.consul").answer), 1)
        self.assertEqual(len(asking.server.udp_answers), 0)
        asking.cached.clock.advance(11)
        self.assertEqual(len(asking.ask("q.query.consul").answer), 2)
        # one answer for all who ask, whatever their addresses
        self.assertEqual(len(asking.cached.cache), 1)
        self.assertEqual(asking.ask("none.query.consul").rcode, NXDOMAIN)

    def test_anySequence(self) -> None:
        """
        Whatever changes, fails, expires or is asked for: while servers can be reached, what is told is what there is,
        and kept bytes never outlive it.
        """
        for seed in range(20):
            rng = Random(seed)
            asking = CachedAsking()
            there: set[int] = set()
            for _ in range(80):
                number = rng.randrange(1, 4)
                if rng.random() < 0.3:
                    asking.service(f"n{number}", f"10.0.0.{number}", "web")
                    there.add(number)
                elif rng.random() < 0.2:
                    asking.deregister(f"n{number}")
                    there.discard(number)
                asking.cached.counting.error = NoLeader() if rng.random() < 0.1 else None
                asking.served.clock.advance(rng.choice([0, 1, 700]))
                asking.cached.counting.error = None
                asking.served.clock.pump([1.0] * 40)
                for _ in range(rng.choice([0, 1, 20])):
                    found = {text.rpartition(".")[2] for text in asking.answers("web.service.consul")}
                    self.assertEqual(found, {str(one) for one in there}, seed)
