"""A server on real ports."""

from __future__ import annotations

from typing import Any

from twisted.internet import reactor
from twisted.internet.defer import inlineCallbacks
from twisted.internet.error import ConnectionRefusedError
from twisted.names.client import Resolver
from twisted.trial.unittest import TestCase

from txconsul.testing import TestServer


class TestServerTests(TestCase):
    """In this process."""

    timeout = 30

    @inlineCallbacks
    def test_asked(self) -> Any:
        """It answers over HTTP and DNS, beside another, until it is stopped."""
        server = yield TestServer(reactor).start()
        other = yield TestServer(reactor, {"datacenter": "east"}).start()
        self.addCleanup(other.stop)
        put = yield server.request("PUT", "/v1/kv/a", "1")
        got = yield server.request("GET", "/v1/kv/a?raw")
        self.assertEqual((put.json(), got.text), (True, "1"))
        missing = yield other.request("GET", "/v1/kv/a")
        self.assertEqual(missing.status, 404)
        self.assertIn(str(server.http_port), server.url)
        resolver = Resolver(servers=[("127.0.0.1", server.dns_port)])
        answers, _, _ = yield resolver.lookupAddress("consul.service.consul")
        self.assertEqual(answers[0].payload.dottedQuad(), "127.0.0.1")
        yield server.stop()
        yield server.stop()
        yield self.assertFailure(server.request("GET", "/v1/kv/a"), ConnectionRefusedError)
