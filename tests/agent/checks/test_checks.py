"""Kinds of checks and what repeats them, by a clock and without a network."""

from __future__ import annotations

from random import Random
from typing import Any

from hypothesis import given
from hypothesis import strategies as st
from twisted.internet.defer import Deferred, fail, succeed
from twisted.internet.task import Clock
from twisted.internet.testing import StringTransport
from twisted.trial.unittest import SynchronousTestCase

from tests.agent.local_agent import LocalAgent
from txconsul.agent.checks.dialing import split_address
from txconsul.agent.checks.http import HTTPCheck
from txconsul.agent.checks.output import captured
from txconsul.agent.checks.repeated import RepeatedCheck, Thresholds
from txconsul.agent.checks.tcp import TCPCheck
from txconsul.records.agent import CheckDefinition
from txconsul.records.catalog import RegisterRequest
from txconsul.records.health import CRITICAL, PASSING, WARNING, CheckResult, HealthCheck
from txconsul.records.service import CheckType, ServiceDefinition

SECOND = 1_000_000_000


class ThresholdTests(SynchronousTestCase):
    """How many results of a kind it takes."""

    def test_none(self) -> None:
        """Without thresholds each result counts."""
        judge = Thresholds(0, 0, 0).judge
        self.assertEqual([judge(one) for one in (PASSING, WARNING, CRITICAL)], [PASSING, WARNING, CRITICAL])

    def test_first(self) -> None:
        """The first result counts at once."""
        self.assertEqual(Thresholds(3, 3, 3).judge(PASSING), PASSING)
        self.assertEqual(Thresholds(3, 3, 3).judge(CRITICAL), CRITICAL)

    def test_inARow(self) -> None:
        """So many in a row; another kind between them starts the count anew."""
        judge = Thresholds(2, 1, 3).judge
        given = [PASSING, PASSING, CRITICAL, CRITICAL, CRITICAL, PASSING, CRITICAL]
        expected = [PASSING, PASSING, WARNING, WARNING, CRITICAL, None, WARNING]
        self.assertEqual([judge(one) for one in given], expected)


class Answering:
    """A check that answers what it is told to."""

    def __init__(self) -> None:
        self.runs = 0
        self.stopped = False
        self.answer: Any = CheckResult(status=PASSING, output="yes")

    def run(self) -> Any:
        """What it is told to."""
        self.runs += 1
        return self.answer

    def stop(self) -> None:
        """Remember."""
        self.stopped = True


class RepeatedTests(SynchronousTestCase):
    """A check is run again and again."""

    def setUp(self) -> None:
        """A check every ten seconds."""
        self.clock, self.check = Clock(), Answering()
        self.told: list[tuple[str, str]] = []
        self.repeated = self.make(1)

    def make(self, seed: int) -> RepeatedCheck:
        """One with its own luck."""
        return RepeatedCheck(
            self.check,  # type: ignore[arg-type]
            10.0,
            Thresholds(0, 0, 0),
            self.clock,
            Random(seed),
            lambda status, output: self.told.append((status, output)),
        )

    def test_spread(self) -> None:
        """First runs are spread over the interval."""
        for seed in range(20):
            self.make(seed).start()
        self.clock.advance(5)
        self.assertTrue(4 <= self.check.runs <= 16, self.check.runs)
        self.clock.advance(5)
        self.assertGreaterEqual(self.check.runs, 20)

    def test_interval(self) -> None:
        """The next run begins an interval after the last one ended."""
        waiting: Deferred[CheckResult] = Deferred()
        self.check.answer = waiting
        self.repeated.start()
        self.clock.advance(10)
        self.clock.advance(100)
        self.assertEqual(self.check.runs, 1)
        self.check.answer = CheckResult(status=PASSING, output="fast")
        waiting.callback(CheckResult(status=WARNING, output="slow"))
        self.clock.advance(9.9)
        self.assertEqual((self.check.runs, self.told), (1, [(WARNING, "slow")]))
        self.clock.advance(0.1)
        self.assertEqual(self.check.runs, 2)

    def test_failure(self) -> None:
        """A check that fails is critical, with what it failed of."""
        self.check.answer = fail(OSError("no such thing"))
        self.repeated.start()
        self.clock.advance(10)
        self.assertEqual(self.told, [(CRITICAL, "no such thing")])

    def test_certain(self) -> None:
        """What is certain is not waited for."""
        self.repeated = RepeatedCheck(
            self.check,  # type: ignore[arg-type]
            10.0,
            Thresholds(0, 5, 5),
            self.clock,
            Random(1),
            lambda status, output: self.told.append((status, output)),
        )
        self.repeated.start()
        self.clock.advance(10)
        for certain in (False, True):
            self.check.answer = CheckResult(status=CRITICAL, output=str(certain), certain=certain)
            self.clock.advance(10)
        self.assertEqual(self.told, [(PASSING, "yes"), (CRITICAL, "True")])

    def test_stop(self) -> None:
        """A stopped check is broken off, and says and does nothing more."""
        self.check.answer = Deferred()
        self.repeated.start()
        self.clock.advance(10)
        self.repeated.stop()
        self.assertTrue(self.check.stopped)
        self.assertEqual((self.told, self.clock.getDelayedCalls()), ([], []))


class Answered:
    """A network on which every connection is a transport to look into."""

    def __init__(self) -> None:
        self.clock = Clock()
        self.protocols: list[Any] = []

    def connect(self, description: str, factory: Any) -> Deferred[Any]:
        """Connected at once."""
        protocol = factory.buildProtocol(None)
        protocol.makeConnection(StringTransport())
        self.protocols.append(protocol)
        return succeed(protocol)


class HTTPTests(SynchronousTestCase):
    """Checks of a page."""

    def setUp(self) -> None:
        """Somebody answers."""
        self.network = Answered()

    def check(self, url: str = "http://h:81/p?q", **more: Any) -> HTTPCheck:
        """A check."""
        return HTTPCheck(self.network, url, **more)  # type: ignore[arg-type]

    def answer(self, data: bytes, at: int = -1) -> None:
        """Answer what was asked last."""
        self.network.protocols[at].dataReceived(data)

    def sent(self, at: int = -1) -> bytes:
        """What was sent over a connection since the last look."""
        transport = self.network.protocols[at].transport
        data: bytes = transport.value()
        transport.clear()
        return data

    def test_request(self) -> None:
        """Method, path, host, headers and body as they were configured; no header can be smuggled in."""
        headers = {"Host": ("other",), "X-A": ("1", "2\r\nX-B: 3")}
        self.check(method="PUT", headers=headers, body="data").run()
        lines = self.sent().split(b"\r\n")
        self.assertEqual(lines[:2], [b"PUT /p?q HTTP/1.1", b"Host: other"])
        self.assertEqual(lines[-5:], [b"Content-Length: 4", b"X-A: 1", b"X-A: 2X-B: 3", b"", b"data"])

    def test_statuses(self) -> None:
        """2xx is passing, 429 a warning, all else critical."""
        check = self.check()
        for status, expected in ((200, PASSING), (204, PASSING), (429, WARNING), (404, CRITICAL), (302, CRITICAL)):
            found = check.run()
            self.answer(b"HTTP/1.1 %d Word\r\nContent-Length: 0\r\n\r\n" % status)
            result = self.successResultOf(found)
            self.assertEqual(result.status, expected)
            self.assertEqual(result.output, f"HTTP GET http://h:81/p?q: {status} Word Output: ")
        self.assertEqual(len(self.network.protocols), 1, "connections are kept")

    def test_bodies(self) -> None:
        """Measured, chunked, and ended by the connection; of a long one the end is kept."""
        for data, ends in (
            (b"Content-Length: 5\r\n\r\n12345", False),
            (b"Transfer-Encoding: chunked\r\n\r\n3\r\n123\r\n2\r\n45\r\n0\r\n\r\n", False),
            (b"\r\n12345", True),
        ):
            found = self.check(output_size_max=3).run()
            self.answer(b"HTTP/1.1 200 OK\r\n" + data)
            if ends:
                self.network.protocols[-1].connectionLost()
            self.assertTrue(self.successResultOf(found).output.endswith("Output: 345"))

    def test_interim(self) -> None:
        """A remark before the answer is not the answer."""
        found = self.check().run()
        self.answer(b"HTTP/1.1 100 Continue\r\n\r\n")
        self.assertNoResult(found)
        self.answer(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok")
        self.assertTrue(self.successResultOf(found).output.endswith("200 OK Output: ok"))

    def test_redirects(self) -> None:
        """Followed on the same host, so many times; never to another one, and not at all if told so."""
        check = self.check()
        found = check.run()
        self.answer(b"HTTP/1.1 301 Moved\r\nLocation: /elsewhere\r\nContent-Length: 0\r\n\r\n")
        self.assertIn(b"GET /elsewhere ", self.sent())
        self.answer(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n")
        self.assertEqual(self.successResultOf(found).status, PASSING)
        for location, followed in (("http://h:82/", True), ("http://evil:81/", True), ("/x", False)):
            found = self.check(redirects=followed).run()
            self.answer(b"HTTP/1.1 302 Found\r\nLocation: %b\r\nContent-Length: 0\r\n\r\n" % location.encode())
            self.assertEqual(self.successResultOf(found).status, CRITICAL)
        found = check.run()
        for _ in range(11):
            self.answer(b"HTTP/1.1 302 Found\r\nLocation: /loop\r\nContent-Length: 0\r\n\r\n", 0)
        self.assertEqual(self.successResultOf(found).status, CRITICAL)

    def test_redirectedMethod(self) -> None:
        """After 301 to 303 it is a GET without a body, unless it was a HEAD; after 307 and 308 the same again."""
        for status, method, expected in (
            (303, "POST", b"GET /next "),
            (301, "HEAD", b"HEAD /next "),
            (307, "POST", b"POST /next "),
        ):
            self.check(method=method, body="data").run()
            self.sent()
            self.answer(b"HTTP/1.1 %d Word\r\nLocation: /next\r\nContent-Length: 0\r\n\r\n" % status)
            sent = self.sent()
            self.assertTrue(sent.startswith(expected), sent)
            self.assertEqual(sent.endswith(b"data"), expected.startswith(b"POST"))

    def test_headerNames(self) -> None:
        """What is no header's name is critical; lengths and the connection are the check's own."""
        result = self.successResultOf(self.check(headers={"a b": ("x",)}).run())
        self.assertEqual(result.output, 'Get "http://h:81/p?q": net/http: invalid header field name "a b"')
        self.check(headers={"Content-Length": ("9",), "Connection": ("close",), "Accept": ("x/y",)}).run()
        sent = self.sent()
        self.assertNotIn(b"Content-Length", sent)
        self.assertNotIn(b"close", sent)
        self.assertEqual(sent.count(b"Accept: "), 1)

    def test_timeout(self) -> None:
        """A page that does not answer in time is critical, and its connection is given up."""
        check = self.check(timeout=3.0)
        found = check.run()
        self.network.clock.advance(3)
        self.assertIn("context deadline exceeded", self.successResultOf(found).output)
        self.assertTrue(self.network.protocols[0].transport.disconnecting)
        check.run()
        self.assertEqual(len(self.network.protocols), 2)

    def test_idleConnectionClosed(self) -> None:
        """A kept connection that was closed meanwhile is no failure."""
        check = self.check()
        found = check.run()
        self.answer(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n")
        self.successResultOf(found)
        found = check.run()
        self.network.protocols[0].connectionLost()
        self.answer(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n")
        self.assertEqual(self.successResultOf(found).status, PASSING)
        self.assertEqual(len(self.network.protocols), 2)

    def test_unusable(self) -> None:
        """What is no URL, or no answer, is critical in words."""
        for url in ("127.0.0.1:80/x", "ftp://h/", "http:///p", "http://h:99999/", "http://[::1/"):
            self.assertEqual(self.successResultOf(self.check(url).run()).status, CRITICAL, url)
        for data in (
            b"\x00\xff",
            b"HTTP/1.1 200 OK\r\nContent-Length: x\r\n\r\n",
            b"HTTP/1.1 200 OK\r\nA: %b\r\n\r\n" % (b"b" * 70000),
        ):
            found = self.check().run()
            self.answer(data)
            self.assertEqual(self.successResultOf(found).status, CRITICAL)

    @given(st.lists(st.binary(max_size=60), max_size=5), st.booleans())
    def test_anyBytes(self, pieces: list[bytes], valid_head: bool) -> None:
        """Whatever bytes come, there is one answer, at the latest when the connection is lost."""
        self.network = Answered()
        found = self.check().run()
        if valid_head:
            pieces = [b"HTTP/1.1 200 OK\r\n", *pieces]
        for piece in pieces:
            self.answer(piece)
        self.network.protocols[-1].connectionLost()
        self.assertIsInstance(self.successResultOf(found), CheckResult)


class TCPTests(SynchronousTestCase):
    """Checks of a port."""

    def test_connects(self) -> None:
        """A connection is enough, and is given back."""
        network = Answered()
        found = TCPCheck(network, "h:1", 1.0).run()  # type: ignore[arg-type]
        self.assertEqual(self.successResultOf(found), CheckResult(status=PASSING, output="TCP connect h:1: Success"))
        self.assertTrue(network.protocols[0].transport.disconnecting)

    def test_refused(self) -> None:
        """Nobody listens, or the address is none."""
        agent = LocalAgent()
        for address, text in (
            ("h:1", "dial tcp h:1: connect: connection refused"),
            ("h", "dial tcp: address h: missing port in address"),
        ):
            found = self.successResultOf(TCPCheck(agent.network, address, 1.0).run())  # type: ignore[arg-type]
            self.assertEqual(found.status, CRITICAL)
            self.assertIn(text, found.output)

    def test_addresses(self) -> None:
        """Names, IPv4 and IPv6, with and without a port."""
        self.assertEqual(split_address("[::1]:8"), ("::1", 8))
        self.assertEqual(split_address("a", 80), ("a", 80))
        for address in ("a", "a:x", "a:70000", "[::1]", "a:-1"):
            self.assertRaises(ValueError, split_address, address)

    def test_captured(self) -> None:
        """Letters are not cut in two."""
        self.assertEqual(captured("äöü", 3), "ä ... (captured 3 of 6 bytes)")


class AliasTests(SynchronousTestCase):
    """Checks that are what others are."""

    def setUp(self) -> None:
        """Two services, one with a check; the other follows."""
        self.agent = LocalAgent()
        self.own = self.agent.registrations
        self.addCleanup(self.agent.running.stop_all)
        beat = CheckType(check_id="beat", name="beat", ttl=600 * SECOND, status=PASSING)
        self.own.register_service(ServiceDefinition(name="web", check=beat), "", False)
        self.own.register_service(
            ServiceDefinition(name="side", check=CheckType(check_id="alias", alias_service="web")), "", False
        )

    def said(self, id: str = "alias") -> tuple[str, str]:
        """What the alias says."""
        found = self.own.checks()[id]
        return found.status, found.output

    def test_follows(self) -> None:
        """At once, with the name and output of what fails."""
        self.assertEqual(self.said(), (PASSING, "All checks passing."))
        self.own.update_check("beat", WARNING, "slow")
        self.assertEqual(self.said(), (WARNING, 'Aliased check "beat" failing: slow'))
        self.own.register_check(CheckDefinition(name="node", ttl=SECOND), "")
        self.assertEqual(self.said(), (CRITICAL, 'Aliased check "node" failing: '))
        self.own.deregister_check("node")
        self.own.update_check("beat", PASSING, "")
        self.assertEqual(self.said(), (PASSING, "All checks passing."))

    def test_missing(self) -> None:
        """A service that is gone is missed after a moment, one that never was at once; and one that comes back, too."""
        self.own.deregister_service("web")
        self.assertEqual(self.said(), (PASSING, "No checks found."))
        self.agent.clock.advance(2)
        self.assertEqual(self.said()[0], CRITICAL)
        self.own.register_service(ServiceDefinition(name="web"), "", False)
        self.assertEqual(self.said()[0], PASSING)
        self.own.register_check(CheckDefinition(name="lone", alias_service="absent"), "")
        self.assertEqual(self.said("lone"), (CRITICAL, "Service absent could not be found on node "))

    def test_anotherNode(self) -> None:
        """An alias of another node follows the catalog."""

        def disk(status: str) -> None:
            check = HealthCheck(node="rack", check_id="disk", name="disk", status=status)
            request = RegisterRequest(datacenter="dc1", node="rack", address="10.0.0.1", check=check)
            self.agent.served.call("Catalog.Register", request)
            self.agent.clock.advance(0)

        disk(CRITICAL)
        self.own.register_check(CheckDefinition(name="far", alias_node="rack"), "")
        self.assertEqual(self.said("far"), (CRITICAL, 'Aliased check "disk" failing: '))
        self.agent.clock.advance(0)
        disk(PASSING)
        self.assertEqual(self.said("far"), (PASSING, "All checks passing."))
        self.own.deregister_check("far")
