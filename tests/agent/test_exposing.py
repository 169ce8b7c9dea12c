"""Checks that go through a proxy's listener."""

from __future__ import annotations

from typing import Any

from twisted.trial.unittest import SynchronousTestCase

from tests.agent.local_agent import LocalAgent
from txconsul.agent.exposing import Exposure, through_grpc, through_http
from txconsul.errors import InvalidRequest
from txconsul.records.agent import CheckDefinition
from txconsul.records.service import CheckType, ConnectProxyConfig, ExposeConfig, NodeService, ServiceDefinition

SECOND = 1_000_000_000


class AddressTests(SynchronousTestCase):
    """Where a check goes instead."""

    def test_http(self) -> None:
        """Host and port change, nothing else; what is no URL stays."""
        for url, expected in (
            ("http://web/", "http://p:1/"),
            ("https://me:it@[::1]:80/a?b=c#d", "https://me:it@p:1/a?b=c#d"),
            ("http://web:8080", "http://p:1"),
            ("web:80/x", "web:80/x"),
            ("http://[::1/", "http://[::1/"),
        ):
            self.assertEqual(through_http(url, "p", 1), expected)
        self.assertEqual(through_http("http://web/", "::1", 1), "http://[::1]:1/")
        self.assertEqual(through_http("http://web/", "", 1), "http://:1/")

    def test_grpc(self) -> None:
        """The service stays."""
        self.assertEqual(through_grpc("web:80", "p", 1), "p:1")
        self.assertEqual(through_grpc("[::1]:80/a/b", "::2", 1), "[::2]:1/a/b")


class ExposureTests(SynchronousTestCase):
    """Which port a check gets."""

    def test_ports(self) -> None:
        """The lowest that is free; the same one again; of those that are gone, and none where none is left."""
        exposure = Exposure(10, 12)
        expose = ExposeConfig(checks=True)
        proxy = NodeService(id="p", proxy=ConnectProxyConfig(destination_service_id="web", expose=expose))
        check = CheckType(http="http://web/", interval=1)
        self.assertEqual(exposure.routed("web", "a", check)[1], 0)
        self.assertTrue(exposure.put(proxy))
        self.assertFalse(exposure.put(proxy))
        ports = [exposure.routed("web", id, check)[1] for id in ("a", "b", "a")]
        self.assertEqual(ports, [10, 11, 10])
        self.assertRaises(InvalidRequest, exposure.routed, "web", "c", check)
        exposure.forget("web", "a")
        self.assertEqual(exposure.routed("web", "c", check)[1], 10)
        self.assertEqual(exposure.routed("web", "t", CheckType(tcp="web:1", interval=1))[1], 0)
        self.assertFalse(exposure.drop(NodeService(id="other", proxy=proxy.proxy)))
        self.assertTrue(exposure.drop(proxy))
        self.assertEqual(exposure.routed("web", "a", check)[1], 0)


class RegistrationTests(SynchronousTestCase):
    """An agent with a service and its proxy."""

    def setUp(self) -> None:
        """A service with a check."""
        self.agent = LocalAgent()
        self.own = self.agent.registrations
        self.addCleanup(self.agent.running.stop_all)
        page = CheckType(check_id="page", http="http://127.0.0.1:80/health", interval=SECOND)
        self.own.register_service(ServiceDefinition(name="web", port=80, check=page), "", False)

    def proxy(self, **more: Any) -> None:
        """Register the proxy."""
        config = ConnectProxyConfig(destination_service_name="web", destination_service_id="web", **more)
        definition = ServiceDefinition(
            name="web-proxy", kind="connect-proxy", port=81, address="10.0.0.9", proxy=config
        )
        self.own.register_service(definition, "", False)

    def gone_to(self) -> tuple[list[str], int]:
        """Where the check went in its next run, and the port that is shown."""
        self.agent.network.dialled.clear()
        self.agent.clock.advance(1)
        return self.agent.network.dialled, self.own.checks()["page"].exposed_port

    def test_proxy(self) -> None:
        """With the proxy a check goes through it, without or when it exposes nothing any more, directly."""
        self.assertEqual(self.gone_to(), (["tcp:host=127.0.0.1:port=80"], 0))
        self.proxy(expose=ExposeConfig(checks=True))
        self.assertEqual(self.gone_to(), (["tcp:host=10.0.0.9:port=21500"], 21500))
        self.proxy()
        self.assertEqual(self.gone_to(), (["tcp:host=127.0.0.1:port=80"], 0))
        self.proxy(expose=ExposeConfig(checks=True))
        self.own.deregister_service("web-proxy")
        self.assertEqual(self.gone_to(), (["tcp:host=127.0.0.1:port=80"], 0))

    def test_checkLater(self) -> None:
        """A check that comes after the proxy goes through it; a user's own target for that is not heeded."""
        self.proxy(expose=ExposeConfig(checks=True))
        more = CheckDefinition(id="more", name="more", service_id="web", grpc="127.0.0.1:80/pay", interval=SECOND)
        self.own.register_check(more, "")
        self.assertEqual(self.own.checks()["more"].exposed_port, 21501)
        lone = CheckDefinition(name="lone", http="http://h/", interval=SECOND, proxy_http="http://evil/")
        self.own.register_check(lone, "")
        self.agent.clock.advance(1)
        self.assertEqual(
            sorted(self.agent.network.dialled),
            ["tcp:host=10.0.0.9:port=21500", "tcp:host=10.0.0.9:port=21501", "tcp:host=h:port=80"],
        )
