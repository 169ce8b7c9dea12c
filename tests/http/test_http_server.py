"""
The factory of connections, and connections fed with anything.
"""

from __future__ import annotations

from itertools import pairwise
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st
from twisted.internet.address import IPv4Address, IPv6Address, UNIXAddress
from twisted.internet.defer import Deferred
from twisted.internet.interfaces import IProtocolFactory
from twisted.internet.task import Clock
from twisted.trial.unittest import SynchronousTestCase
from zope.interface.verify import verifyObject

from tests.http.connected import Case, Transport, bodies, get, put
from txconsul.http.connection import Response
from txconsul.http.request import Request
from txconsul.http.server import HTTPFactory, connections_allowed


class FactoryTests(Case):
    """Counting connections, and stopping."""

    def test_interface(self) -> None:
        """It is a protocol factory."""
        verifyObject(IProtocolFactory, self.factory)

    def test_clients(self) -> None:
        """Clients are named as Go names them."""
        for address, client in [
            (IPv4Address("TCP", "1.2.3.4", 5), "1.2.3.4:5"),
            (IPv6Address("TCP", "::1", 5), "[::1]:5"),
            (UNIXAddress(None), "unix"),
        ]:
            protocol = self.factory.buildProtocol(address)
            protocol.makeConnection(Transport())
            protocol.dataReceived(get())
            self.assertEqual(self.application.requests[-1].client, client)

    def test_perClient(self) -> None:
        """One client's connections are limited; it is told so with 429. Others are not concerned."""
        factory = self.make_factory(connections_per_client_max=2)
        first, _ = self.open(factory)
        self.open(factory)
        _, refused = self.open(factory)
        self.assertTrue(refused.value().startswith(b"HTTP/1.1 429 Too Many Requests\r\n"))
        self.assertIn(b"Your IP is issuing too many concurrent connections", refused.value())
        self.assertTrue(refused.disconnecting)
        _, other = self.open(factory, "10.0.0.2")
        self.assertEqual(other.value(), b"")
        self.close(first)
        _, again = self.open(factory)
        self.assertEqual(again.value(), b"")

    def test_altogether(self) -> None:
        """All connections together are limited."""
        factory = self.make_factory(connections_max=1)
        self.open(factory)
        _, refused = self.open(factory, "10.0.0.2")
        self.assertTrue(refused.value().startswith(b"HTTP/1.1 503 "))

    def test_allowed(self) -> None:
        """Some descriptors are not for clients."""
        self.assertEqual(connections_allowed(1024), 896)
        self.assertEqual(connections_allowed(1 << 20), (1 << 20) * 7 // 8)
        self.assertEqual(connections_allowed(10), 1)

    def test_stop(self) -> None:
        """Stopping ends idle connections now, the others after their answers."""
        _, idle = self.open()
        busy, transport = self.open()
        busy.dataReceived(get(b"/wait"))
        half, half_transport = self.open()
        half.dataReceived(put(2) + b"a")
        stopped = self.factory.stop(10.0)
        self.assertTrue(idle.disconnecting)
        self.assertFalse(transport.disconnecting)
        self.application.answer(b"/wait")
        self.assertTrue(transport.disconnecting)
        self.assertIn(b"Connection: close", transport.value())
        half.dataReceived(b"b")
        self.assertEqual(bodies(half_transport.value()), [b"/putab"])
        self.assertTrue(half_transport.disconnecting)
        self.assertNoResult(stopped)
        for connection in list(self.factory.connections):
            self.close(connection)
        self.successResultOf(stopped)
        self.assertEqual(self.clock.getDelayedCalls(), [])

    def test_stopInTime(self) -> None:
        """Those that take longer are cut off."""
        busy, transport = self.open()
        busy.dataReceived(get(b"/wait"))
        stopped = self.factory.stop(10.0)
        self.clock.advance(10)
        self.assertTrue(transport.aborted)
        self.close(busy)
        self.successResultOf(stopped)
        self.successResultOf(self.factory.stop(1.0))


_MATERIAL = st.sampled_from(
    [
        get(b"/a"),
        get(b"/wait"),
        get(b"/a", method=b"HEAD"),
        get(b"/a", b"Connection: close"),
        put(3) + b"abc",
        put(3, b"Expect: 100-continue"),
        put(1 << 30),
        get(b"/", b"Transfer-Encoding: chunked") + b"1\r\na\r\n0\r\n\r\n",
        b"\r\n",
        b"\n",
        b"nonsense",
        b"\0",
    ]
)


class FuzzTests(Case):
    """Whatever comes, in whatever pieces: an answer for each request, or the end; and others are served."""

    @settings(max_examples=300, deadline=None)
    @given(st.lists(_MATERIAL, max_size=8), st.binary(max_size=8), st.integers(1, 60))
    def test_anything(self, parts: list[bytes], noise: bytes, size: int) -> None:
        """The connection never raises, and a bystander's request is answered at the end."""
        self.setUp()
        _, bystander = other = self.open()
        protocol, transport = self.open()
        data = b"".join(parts) + noise
        for at in range(0, len(data), size):
            protocol.dataReceived(data[at : at + size])
        for deferred in list(self.application.waiting.values()):
            if not deferred.called:
                deferred.callback(Response(200, b"", b"late"))
        self.clock.pump([0, 1, 1])
        answers = transport.value().count(b"HTTP/1.1 ") - transport.value().count(b"100 Continue")
        refused = transport.value().count(b"HTTP/1.1 4")
        waited = sum(request.target == b"/wait" for request in self.application.requests)
        self.assertLessEqual(refused, 1)
        if waited <= 1:
            self.assertEqual(answers, len(self.application.requests) + refused)
        other[0].dataReceived(get(b"/b"))
        self.assertEqual(bodies(bystander.value()), [b"/b"])
        self.close(protocol)
        self.assertEqual(len(self.factory.connections), 1)


class Muddle:
    """A connection whose client, application and transport do things in any order, and what must come of it."""

    #: Kinds of requests, and whether their answers are chunked.
    KINDS = {
        b"now": get(b"/now"),
        b"wait": get(b"/wait"),
        b"put": put(3) + b"abc",
        b"chunked": get(b"/put", b"Transfer-Encoding: chunked", method=b"PUT") + b"1\r\na\r\n0\r\n\r\n",
        b"large": get(b"/large"),
        b"stream": get(b"/stream"),
        b"head": get(b"/large", method=b"HEAD"),
    }

    def __init__(self, kinds: list[bytes], cuts: list[int]) -> None:
        self.clock = Clock()
        self.kinds = kinds
        self.waiting: list[tuple[Deferred[Any], Any]] = []
        self.factory = HTTPFactory(self.answer, self.clock)
        self.protocol = self.factory.buildProtocol(IPv4Address("TCP", "10.0.0.1", 1))
        self.transport = Transport()
        self.protocol.makeConnection(self.transport)
        self.full = False
        data = b"".join(self.KINDS[kind] for kind in kinds)
        places = sorted({cut % (len(data) + 1) for cut in cuts} | {0, len(data)})
        self.unsent = [data[a:b] for a, b in pairwise(places) if a != b]

    def answer(self, request: Request) -> Any:
        if request.target == b"/wait":
            self.waiting.append((Deferred(), Response(200, b"", b"waited")))
            return self.waiting[-1][0]
        if request.target == b"/stream":
            later: Deferred[bytes] = Deferred()
            self.waiting.append((later, b"w"))
            return Response(200, b"", iter([b"s", later, b"t" * 70_000]), 70_002)
        return Response(200, b"", b"l" * 600_000 if request.target == b"/large" else request.body)

    def do(self, what: str) -> None:
        if what == "send" and self.unsent and not self.transport.paused:
            self.protocol.dataReceived(self.unsent.pop(0))
        elif what == "answer" and self.waiting:
            deferred, result = self.waiting.pop(len(self.waiting) // 2)
            deferred.callback(result)
        elif what == "full" and not self.full:
            self.full = True
            self.protocol.pauseProducing()
        elif what == "empty" and self.full:
            self.full = False
            self.protocol.resumeProducing()
        elif what == "turn":
            self.clock.advance(0)

    def finish(self) -> None:
        for _ in range(1000):
            for what in ("empty", "send", "answer", "turn"):
                self.do(what)
            if not self.unsent and not self.waiting:
                break
        self.do("turn")


class MuddleTests(SynchronousTestCase):
    """No order of events loses an answer or leaves a connection stuck."""

    @settings(max_examples=400, deadline=None)
    @given(
        st.lists(st.sampled_from(sorted(Muddle.KINDS)), max_size=50),
        st.lists(st.integers(0, 3000), max_size=10),
        st.lists(st.sampled_from(["send", "send", "answer", "full", "empty", "turn"]), max_size=40),
        st.booleans(),
    )
    def test_everyRequestIsAnswered(self, kinds: list[bytes], cuts: list[int], events: list[str], ends: bool) -> None:
        """Whatever happens when, each request has its answer in the end, in order, and the connection reads on."""
        muddle = Muddle(kinds, cuts)
        for what in events:
            muddle.do(what)
        if ends and not muddle.unsent and not muddle.transport.paused:
            muddle.protocol.readConnectionLost()
        else:
            ends = False
        muddle.finish()
        wanted = {b"put": b"abc", b"chunked": b"a", b"large": b"l" * 600_000, b"wait": b"waited"}
        wanted[b"stream"] = b"sw" + b"t" * 70_000
        data = muddle.transport.value()
        for kind in kinds:
            head, _, data = data.partition(b"\r\n\r\n")
            self.assertTrue(head.startswith(b"HTTP/1.1 200 OK\r\n"), head)
            body = wanted.get(kind, b"")
            self.assertEqual(data[: len(body)], body)
            data = data[len(body) :]
        self.assertEqual(data, b"")
        self.assertFalse(muddle.transport.paused)
        self.assertEqual(muddle.transport.disconnecting, ends)
        self.assertEqual((muddle.factory.rules.held, muddle.factory.rules.unfinished), (0, 0))
