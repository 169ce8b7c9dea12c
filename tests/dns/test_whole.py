"""A whole server asked by DNS: in memory, and by sockets with clients that are not ours."""

from __future__ import annotations

import shutil
from random import Random
from typing import Any

from twisted.internet import reactor
from twisted.internet.defer import Deferred, inlineCallbacks
from twisted.internet.error import CannotListenError
from twisted.internet.utils import getProcessOutput
from twisted.names import dns
from twisted.names.client import Resolver
from twisted.names.error import DNSNameError
from twisted.trial.unittest import SynchronousTestCase, TestCase

from tests.agent.test_server import OneServer
from tests.dns.asking import NOW, Asking, FakeNetwork, question, show
from tests.dns.fuzzing import Edge, attack
from txconsul.dns.message import decode
from txconsul.dns.server import DNSServer
from txconsul.dns.settings import DNSSettings
from txconsul.net.direct import DirectNetwork
from txconsul.records.catalog import RegisterRequest
from txconsul.records.service import NodeService


class MemoryTests(SynchronousTestCase):
    """A server with a log and a leader, in memory."""

    def test_restart(self) -> None:
        """What was registered is found, the server itself too, and after the power was cut again."""
        one = OneServer()
        service = NodeService(id="web", service="web", port=80)
        request = RegisterRequest(datacenter="dc1", node="n1", address="10.0.0.1", service=service)
        for _ in range(2):
            network: Any = FakeNetwork(one.clock)
            edge = DNSServer(one.server.door, DNSSettings(datacenter="dc1"), network, Random(1), Random(2), lambda: NOW)
            found = {name: self.ask(edge, name, kind) for name, kind in (("web.service.consul", "A"), ("consul", "NS"))}
            self.assertEqual(found["consul"], ["consul. 0 NS a.node.dc1.consul."])
            if not found["web.service.consul"]:
                one.ask("Catalog.Register", request)
                found["web.service.consul"] = self.ask(edge, "web.service.consul", "A")
            self.assertEqual(found["web.service.consul"], ["web.service.consul. 0 A 10.0.0.1"])
            one.kill()
            one.start()
        self.assertEqual(one.failures, [])

    def test_mutated(self) -> None:
        """
        Thousands of questions with mistakes, over UDP and TCP, have one answer or none, and none is slow;
        C{python -m tests.dns.fuzzing} puts more of them.
        """
        edge = Edge()
        self.assertLess(attack(edge, Random(6), 3000), 0.5)
        self.assertGreater(edge.told["answered"], 4000)
        self.assertEqual((self.flushLoggedErrors(), edge.one.failures), ([], []))

    def ask(self, edge: DNSServer, name: str, kind: str) -> list[str]:
        """The answers to a question."""
        packet, got = question(name, kind), []
        kept = edge.udp_answers.get(packet[2:])
        if kept is None:
            edge.answer(packet, True, got.append)
        else:
            got.append(packet[:2] + kept)
        return [show(one) for one in decode(got[0]).answer]


class SocketTests(TestCase):
    """Clients of others, by UDP and TCP."""

    timeout = 30

    @inlineCallbacks
    def setUp(self) -> Any:
        """An edge that listens."""
        self.asking = Asking(enable_truncate=True)
        self.asking.service("n1", "10.0.0.1", "web", 8080)
        self.asking.register("n1", "10.0.0.1", node_meta={"rack": "r1"})
        for number in range(40):
            self.asking.service(f"m{number}", f"10.1.0.{number}", "many")
        yield self.listen(self.asking.server)

    @inlineCallbacks
    def listen(self, server: DNSServer) -> Any:
        """Have a port for both: one that is free for UDP may be somebody's for TCP."""
        network = DirectNetwork(reactor)
        tcp = None
        while tcp is None:
            udp = yield network.datagrams("udp:0:interface=127.0.0.1", server.datagrams())
            self.port = udp.getHost().port
            try:
                tcp = yield network.listen(f"tcp:{self.port}:interface=127.0.0.1", server.streams)
            except CannotListenError:
                yield udp.stopListening()
        self.addCleanup(udp.stopListening)
        self.addCleanup(tcp.stopListening)
        self.addCleanup(server.stop)
        self.resolver = Resolver(servers=[("127.0.0.1", self.port)], timeout=(5,))

    @inlineCallbacks
    def test_twisted(self) -> Any:
        """Twisted's resolver finds addresses, places and texts, and what is not there."""
        answers, _, _ = yield self.resolver.lookupAddress("web.service.consul")
        self.assertEqual(answers[0].payload.dottedQuad(), "10.0.0.1")
        answers, _, more = yield self.resolver.lookupService("_web._tcp.service.consul")
        self.assertEqual((answers[0].payload.port, str(answers[0].payload.target)), (8080, "n1.node.dc1.consul"))
        self.assertEqual(more[0].payload.dottedQuad(), "10.0.0.1")
        answers, _, _ = yield self.resolver.lookupText("n1.node.consul")
        self.assertEqual(answers[0].payload.data, [b"rack=r1"])
        answers, _, _ = yield self.resolver.lookupPointer("1.0.0.10.in-addr.arpa")
        self.assertEqual(str(answers[0].payload.name), "n1.node.dc1.consul")
        yield self.assertFailure(self.resolver.lookupAddress("none.service.consul"), DNSNameError)

    @inlineCallbacks
    def test_truncated(self) -> Any:
        """A client that is told of more than UDP carries asks by TCP, and has it all."""
        answers, _, _ = yield self.resolver.lookupAddress("many.service.consul")
        self.assertEqual(len(answers), 40)

    @inlineCallbacks
    def test_recursor(self) -> Any:
        """A second server forwards to the first, by UDP and TCP; where nobody is, it goes on to the next at once."""
        gone = yield DirectNetwork(reactor).datagrams("udp:0:interface=127.0.0.1", self.asking.server.datagrams())
        nowhere = gone.getHost().port
        yield gone.stopListening()
        network = DirectNetwork(reactor)
        settings = DNSSettings(
            datacenter="dc2",
            domain="other.",
            recursors=(("127.0.0.1", nowhere), ("127.0.0.1", self.port)),
            recursor_timeout=20.0,
        )
        second = DNSServer(Asking().served.door, settings, network, Random(1), Random(2), lambda: NOW)
        yield self.listen(second)
        answers, _, _ = yield self.resolver.lookupAddress("web.service.consul")
        self.assertEqual(answers[0].payload.dottedQuad(), "10.0.0.1")
        answers, _, _ = yield self.resolver.queryTCP([dns.Query("many.service.consul", dns.A)]).addCallback(
            self.resolver.filterAnswers
        )
        self.assertEqual(len(answers), 40)

    @inlineCallbacks
    def test_dig(self) -> Any:
        """dig, with its cookie, is answered with the same."""
        dig = shutil.which("dig")
        if dig is None:
            self.skipTest("dig is not installed (Debian: bind9-dnsutils)")
        output: Deferred[bytes] = getProcessOutput(
            dig, ["@127.0.0.1", "-p", str(self.port), "+noall", "+answer", "+additional", "web.service.consul", "SRV"]
        )
        text = (yield output).decode()
        self.assertRegex(text, r"web\.service\.consul\.\s+0\s+IN\s+SRV\s+1 1 8080 n1\.node\.dc1\.consul\.")
        self.assertRegex(text, r"n1\.node\.dc1\.consul\.\s+0\s+IN\s+A\s+10\.0\.0\.1")
