"""Views: kept values are never old, wake nobody too early, and stay within their bounds."""

from __future__ import annotations

from io import BytesIO
from random import Random
from typing import Any

from msgspec.structs import replace
from twisted.trial.unittest import SynchronousTestCase

from tests.endpoints.serving import Served
from txconsul.endpoints.authorizing import ALLOW_ALL
from txconsul.endpoints.methods import METHODS
from txconsul.endpoints.registry import Read
from txconsul.endpoints.views import View, Views
from txconsul.records.catalog import DeregisterRequest, RegisterRequest
from txconsul.records.coordinate import Coordinate, Position
from txconsul.records.health import HealthCheck
from txconsul.records.queries import DCSpecificRequest, ServiceSpecificRequest
from txconsul.records.query import Context, QueryOptions, QuerySource
from txconsul.records.service import ConnectProxyConfig, NodeService
from txconsul.state.machine import StateMachine

NEAR = QuerySource(datacenter="dc1", node="n2")
NODES, SERVICES, STATES = ("n1", "n2", "N3"), ("web", "db"), ("passing", "warning", "critical")


def register(node: str, service: str = "", status: str = "", **more: Any) -> RegisterRequest:
    """A registration of an instance, if C{service} says so, and of a check of it, if C{status} does."""
    return RegisterRequest(
        datacenter="dc1",
        node=node,
        address="10.0.0.1",
        service=NodeService(id=service, service=service, port=80, **more) if service else None,
        checks=(HealthCheck(node=node, check_id=service or "node", service_id=service, status=status),)
        if status
        else None,
    )


def health(service: str = "web", **options: Any) -> ServiceSpecificRequest:
    """A question for the instances of a service."""
    return ServiceSpecificRequest(datacenter="dc1", service_name=service, options=QueryOptions(**options))


class ViewsTests(SynchronousTestCase):
    """Through the door."""

    def setUp(self) -> None:
        self.served = Served()
        self.views = self.served.site.views

    def call(self, method: str, request: Any) -> Any:
        """Ask the door."""
        return self.served.door.call(method, request, Context())

    def register(self, *args: Any, **more: Any) -> None:
        """Register something."""
        self.successResultOf(self.call("Catalog.Register", register(*args, **more)))

    def test_sharedByWhoAsksTheSame(self) -> None:
        """How something is read does not matter, only what; a filter is part of what."""
        self.register("n1", "web", "passing")
        first = self.call("Health.ServiceNodes", health())
        again = self.call("Health.ServiceNodes", health(require_consistent=True, max_query_time=7))
        self.assertIs(first.value, again.value)
        self.assertIs(first.view, again.view)
        other = self.call("Health.ServiceNodes", health(filter='Node.Node == "n1"'))
        self.assertEqual(other.value, first.value)
        self.assertIsNot(other.view, first.view)
        self.assertEqual(len(self.views), 2)

    def test_waitersShareOneRendering(self) -> None:
        """Who waited for the same, with whatever index, is answered from one view, made after the change."""
        self.register("n1", "web", "passing")
        index = self.call("Health.ServiceNodes", health()).index
        waiting = [
            self.call("Health.ServiceNodes", health(min_query_index=index + n % 2, max_query_time=60_000_000_000 + n))
            for n in range(10)
        ]
        self.register("n1", "db", "passing")
        for one in waiting:
            self.assertNoResult(one)
        self.register("n1", "web", "critical")
        made: list[int] = []

        def render(value: Any) -> bytes:
            made.append(len(value))
            return value[0].checks[0].status.encode()  # type: ignore[no-any-return]

        for one in waiting:
            view = self.successResultOf(one).view
            self.assertEqual(view.rendering("test", render), b"critical")
        self.assertEqual(made, [1])

    def test_requestsWithMetadataAreNotKept(self) -> None:
        """They are answered as without views."""
        self.register("n1", "web", "passing")
        request = replace(health(), node_meta_filters={"a": "b"})
        answer = self.call("Health.ServiceNodes", request)
        self.assertEqual((answer.value, answer.view), ([], None))
        self.assertEqual(len(self.views), 0)

    def test_neverOld(self) -> None:
        """After any change, every kept answer and its index are what a fresh read gives."""
        rng = Random(4)
        methods = [
            (METHODS[name], request)
            for name, request in [
                *[("Health.ServiceNodes", health(name)) for name in (*SERVICES, "none")],
                *[("Catalog.ServiceNodes", health(name)) for name in (*SERVICES, "none")],
                ("Health.ServiceNodes", replace(health("WEB"), must_be_passing=True)),
                ("Health.ServiceNodes", replace(health(), service_tags=("b",))),
                ("Catalog.ListServices", DCSpecificRequest(datacenter="dc1")),
                ("Catalog.ListNodes", DCSpecificRequest(datacenter="dc1")),
                *[(f"{part}.ServiceNodes", replace(health(), connect=True)) for part in ("Health", "Catalog")],
                *[(f"{part}.ServiceNodes", replace(health(), source=NEAR)) for part in ("Health", "Catalog")],
                ("Catalog.ListNodes", DCSpecificRequest(datacenter="dc1", source=NEAR)),
                ("UI.Topology", health()),
            ]
        ]
        for step in range(1000):
            node, service = rng.choice(NODES), rng.choice(SERVICES)
            change = rng.random()
            if change < 0.1:
                point = Position(vec=tuple([rng.random()] * 8), height=1e-5)
                self.served.store.coordinates.update(
                    self.served.consensus.last_index, [Coordinate(node=node, coord=point)]
                )
                self.served.store.applied()
            elif change < 0.2:
                proxy = ConnectProxyConfig(destination_service_name=service)
                self.register(node, "proxy", rng.choice((*STATES, "")), kind="connect-proxy", proxy=proxy)
            elif change < 0.6:
                tags = tuple(rng.sample("abc", rng.randrange(3)))
                self.register(node, rng.choice((service, "")), rng.choice((*STATES, "")), tags=tags)
            else:
                what = rng.choice(({}, {"service_id": service}, {"service_id": "proxy"}, {"check_id": service}))
                self.successResultOf(
                    self.call("Catalog.Deregister", DeregisterRequest(datacenter="dc1", node=node, **what))
                )
            for endpoint, request in methods:
                assert isinstance(endpoint, Read)
                index, value, view = self.views.read(endpoint, request, ALLOW_ALL)
                fresh = endpoint.function(self.served.store, request, ALLOW_ALL)
                self.assertEqual((index, value), fresh, f"step {step}: {endpoint.name}")
                self.assertIsNotNone(view)

    def test_replacedState(self) -> None:
        """Another state, from a snapshot, leaves no view of the one before."""
        self.register("n1", "web", "passing")
        self.assertEqual(len(self.call("Health.ServiceNodes", health()).value), 1)
        for _ in self.served.machine.restore(BytesIO(b"".join(StateMachine().freeze()))):
            pass
        self.assertEqual(len(self.views), 0)
        self.assertEqual(self.call("Health.ServiceNodes", health()).value, [])


class BoundsTests(SynchronousTestCase):
    """What is kept is bounded."""

    def setUp(self) -> None:
        self.served = Served()
        self.endpoint = METHODS["Health.ServiceNodes"]

    def read(self, views: Views, name: str) -> View:
        """A view."""
        assert isinstance(self.endpoint, Read)
        view = views.read(self.endpoint, health(name), ALLOW_ALL)[2]
        assert view is not None
        return view

    def test_number(self) -> None:
        """The oldest goes, and leaves nothing behind."""
        views = Views(self.served.store, views_max=3)
        kept = [self.read(views, f"s{n}") for n in range(5)]
        self.assertEqual((len(views), len(self.served.store.derived)), (3, 3))
        self.assertIs(self.read(views, "s4"), kept[4])
        self.assertIsNot(self.read(views, "s0"), kept[0])

    def test_bytes(self) -> None:
        """Renderings count; those of a view that has gone do not."""
        views = Views(self.served.store, bytes_max=100)
        first, second = self.read(views, "a"), self.read(views, "b")
        self.assertEqual(first.rendering(1, lambda value: b"x" * 60), b"x" * 60)
        self.assertEqual(views.size, 60)
        second.rendering(1, lambda value: b"x" * 60)
        self.assertEqual((len(views), views.size), (1, 60))
        first.rendering(2, lambda value: b"x" * 60)
        self.assertEqual((len(views), views.size), (1, 60))
        second.rendering(2, lambda value: b"x" * 60)
        self.assertEqual((len(views), views.size, len(self.served.store.derived)), (0, 0, 0))
