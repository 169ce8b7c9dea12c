"""Hostile clients by the hundred on real sockets, and one honest client among them."""

from __future__ import annotations

import contextlib
import os
import socket
from random import Random
from typing import Any

from twisted.internet import reactor
from twisted.internet.defer import Deferred, inlineCallbacks
from twisted.internet.protocol import Factory
from twisted.trial.unittest import TestCase

from tests.net.test_networks import Collector
from txconsul.http.connection import Response
from txconsul.http.request import Request
from txconsul.http.server import HTTPFactory
from txconsul.net.direct import DirectNetwork

#: SO_LINGER of zero seconds: closing resets the connection.
RESET = b"\1\0\0\0\0\0\0\0"

GET = b"GET / HTTP/1.1\r\nHost: a\r\n\r\n"


def hostile(rng: Random) -> list[bytes]:
    """What each kind sends first; nobody reads an answer."""
    return [
        b"",
        b"G",
        GET[:-2],
        b"GET / HTTP/1.1\r\nHost: a\r\nX: " + b"a" * 50_000,
        b"PUT / HTTP/1.1\r\nHost: a\r\nContent-Length: 100000\r\n\r\n" + b"a" * 50_000,
        b"PUT / HTTP/1.1\r\nHost: a\r\nContent-Length: 99999999999\r\n\r\n" + b"a" * 50_000,
        b"PUT / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n" + b"1\r\na\r\n" * 8000,
        b"GET /wait HTTP/1.1\r\nHost: a\r\n\r\n" * 100,
        b"GET /large HTTP/1.1\r\nHost: a\r\n\r\n" * 100,
        GET * 1000,
        b"\n" * 1000,
        b"GET / HTTP/1.1\r\n" + b"X: y\r\n" * 5000 + b"\r\n",
        rng.randbytes(200),
        b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03",
    ]


class HostileTests(TestCase):
    """Nobody's behaviour is another's loss."""

    timeout = 60

    def application(self, request: Request) -> Any:
        if request.target == b"/wait":
            self.waiting += 1
            deferred: Deferred[Response] = Deferred(self.cancelled)
            return deferred
        return Response(200, b"", self.large if request.target == b"/large" else b"here")

    def cancelled(self, deferred: Any) -> None:
        self.waiting -= 1

    @inlineCallbacks
    def test_othersAreServed(self) -> Any:
        """An honest client is answered while they are there and after; all that they took is given back."""
        self.waiting = 0
        self.large = os.urandom(1_000_000)
        network = DirectNetwork(reactor)
        factory = HTTPFactory(self.application, network.clock, connections_per_client_max=1000)
        port = yield network.listen("tcp:0:interface=127.0.0.1", factory)
        where = f"tcp:127.0.0.1:{port.getHost().port}"
        honest = yield network.connect(where, Factory.forProtocol(Collector))
        yield self.ask(honest)
        rng = Random(1)
        clients = []
        for turn in range(10):
            for data in hostile(rng):
                client = socket.create_connection(("127.0.0.1", port.getHost().port))
                client.settimeout(0.01)
                if turn % 3 == 0:
                    client.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, RESET)
                clients.append(client)
                with contextlib.suppress(OSError):  # it takes no more, or has ended the connection already
                    client.sendall(data)
            yield self.ask(honest)
        for i, client in enumerate(clients):
            if i % 2:
                client.close()
            yield self.ask(honest)
        for client in clients:
            client.close()
        while len(factory.connections) > 1:
            yield self.ask(honest)
        self.assertEqual(self.waiting, 0)
        self.assertEqual((factory.rules.held, factory.rules.unfinished), (0, 0))
        yield port.stopListening()
        honest.transport.loseConnection()
        yield factory.stop(5.0)

    @inlineCallbacks
    def ask(self, client: Any) -> Any:
        """One request, and its whole answer."""
        client.data = b""
        client.transport.write(GET)
        while not client.data.endswith(b"here"):
            turn: Deferred[None] = Deferred()
            reactor.callLater(0, turn.callback, None)  # type: ignore[attr-defined]
            yield turn
        self.assertEqual(client.data.count(b"HTTP/1.1 200 OK"), 1)
