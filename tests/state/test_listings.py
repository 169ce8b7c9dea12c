"""Lists that are kept row by row, and what they show."""

from __future__ import annotations

from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from tests.state.driving import Driven
from txconsul.codec import json
from txconsul.records.service import ConnectProxyConfig, NodeService, ServiceConnect, Upstream
from txconsul.records.ui import CatalogSummary, HealthSummary, IntentionDecision, ServiceListing
from txconsul.state import listings
from txconsul.state.listings import Listings
from txconsul.state.overview import overview
from txconsul.state.topology import service_neighbours, service_topology


def proxy(id: str, destination: str, *upstreams: str, mode: str = "") -> NodeService:
    """A sidecar proxy."""
    reached = tuple([Upstream(destination_name=name, local_bind_port=1) for name in upstreams]) or None
    config = ConnectProxyConfig(destination_service_name=destination, mode=mode, upstreams=reached)
    return NodeService(id=id, service=f"{destination}-proxy", kind="connect-proxy", port=1, proxy=config)


class ListingsTests(SynchronousTestCase):
    """All services and all nodes."""

    def setUp(self) -> None:
        self.it = Driven()

    def services(self) -> dict[str, ServiceListing]:
        """The services, by name."""
        rows = self.it.store.listings.services.rows()
        self.assertEqual([row.record.name for row in rows], sorted(row.record.name for row in rows))
        return {row.record.name: row.record for row in rows}

    def test_summary(self) -> None:
        """A service is shown with what its instances and their nodes have, each once, and with all their checks."""
        for node, tag, status in (("n2", "b", "critical"), ("n1", "a", "passing")):
            service = NodeService(id="w", service="web", tags=(tag, "x"), meta={"external-source": "nomad"})
            self.it.register(node, service=service, datacenter="dc1")
            self.it.check(node, "w", status, service_id="w")
        self.it.check("n1", "disk", "warning")
        found = self.services()["web"]
        self.assertEqual(
            (found.instance_count, found.nodes, found.tags, found.external_sources, found.datacenter),
            (2, ("n1", "n2"), ("a", "b", "x"), ("nomad",), "dc1"),
        )
        self.assertEqual((found.checks_passing, found.checks_warning, found.checks_critical), (1, 1, 1))
        self.assertFalse(found.connected_with_proxy)

    def test_proxies(self) -> None:
        """The checks of proxies count for their service, too; it is transparent if all of them are."""
        self.it.register("n1", service=NodeService(id="w", service="web"))
        self.it.register("n1", service=proxy("p", "web", mode="transparent"))
        self.it.check("n1", "p", "critical", service_id="p")
        found = self.services()
        self.assertEqual((found["web"].checks_critical, found["web-proxy"].checks_critical), (1, 1))
        self.assertTrue(found["web"].connected_with_proxy and found["web"].transparent_proxy)
        self.it.register("n2", service=proxy("q", "web"))
        self.assertFalse(self.services()["web"].transparent_proxy)
        self.it.deregister("n1", service_id="w")
        alone = self.services()["web"]
        self.assertEqual((alone.instance_count, alone.nodes, alone.kind), (0, None, ""))
        self.assertTrue(alone.connected_with_proxy)

    def test_versionFromTheServersService(self) -> None:
        """A server's node that does not say its version has that of its service."""
        self.it.register("s1", service=NodeService(id="consul", service="consul", meta={"version": "1.2"}))
        node = self.it.store.listings.node("S1")
        assert node is not None
        self.assertEqual(node.meta, {"consul-version": "1.2"})
        self.assertIsNone(self.it.store.catalog.node("s1")[1].meta)

    def test_onlyTheTouchedIsMadeAnew(self) -> None:
        """A change of one service leaves the rows of the others, and their renderings, as they are."""
        for name in ("a", "b", "c"):
            self.it.register("n-" + name, service=NodeService(id=name, service=name))
        before = self.it.store.listings.services.rows()
        self.it.check("n-b", "b", "critical", service_id="b")
        after = self.it.store.listings.services.rows()
        self.assertEqual([one is other for one, other in zip(before, after, strict=True)], [True, False, True])
        self.assertIs(after, self.it.store.listings.services.rows())
        self.assertIs(after[0].rendered(), after[0].rendered())

    def test_goneBeforeItIsLookedAt(self) -> None:
        """A row is made when it is looked at; if what it shows has gone by then, it shows nothing."""
        for name in ("a", "b"):
            self.it.register("n1", service=NodeService(id=name, service=name))
        first, second = self.it.store.listings.services.rows()
        node = self.it.store.listings.nodes.rows()[0]
        self.it.deregister("n1", service_id="a")
        self.it.check("n1", "b", "critical", service_id="b")
        self.assertEqual((first.record, first.rendered()), (None, b""))
        self.assertEqual(second.record.checks_critical, 1)
        self.it.deregister("n1")
        self.assertIsNone(node.record)
        self.assertEqual(self.it.store.listings.services.rows(), [])

    def test_nothingIsKeptUnasked(self) -> None:
        """Until somebody asks, and when nobody asks any more, writes cost nothing."""
        self.assertFalse(self.it.store.listings)
        self.it.register("n1", service=NodeService(id="web", service="web"))
        self.services()
        self.assertTrue(self.it.store.listings)
        self.patch(listings, "STALE_MAX", 3)
        for number in range(5):
            self.it.register("n1", service=NodeService(id=f"s{number}", service=f"s{number}"))
        self.assertFalse(self.it.store.listings)
        self.assertEqual(len(self.services()), 6)

    @given(st.data())
    @settings(max_examples=60, deadline=None)
    def test_asMadeAnew(self, data: Any) -> None:
        """Whatever happened since they were asked for, lists are as if they were made now."""
        it = Driven()
        nodes, names = st.sampled_from(("n1", "N2")), st.sampled_from(("web", "Web", "db"))
        for number in range(data.draw(st.integers(0, 12))):
            what = data.draw(st.sampled_from(("service", "proxy", "native", "check", "go", "node", "look")))
            node, name, id = data.draw(nodes), data.draw(names), data.draw(st.sampled_from("ab"))
            if what == "check":
                if node.lower() in it.store.tables.nodes.rows:
                    owner = id if (node.lower(), id) in it.store.tables.services.rows else ""
                    it.check(node, "c" + owner, ("passing", "warning", "critical")[number % 3], service_id=owner)
            elif what == "go":
                it.deregister(node, service_id=id)
            elif what == "node":
                it.deregister(node)
            elif what != "look":
                native = NodeService(id=id, service=name, connect=ServiceConnect(native=True))
                made = {"service": NodeService(id=id, service=name), "proxy": proxy(id, name), "native": native}
                it.register(node, service=made[what])
            if what == "look" or number % 3 == 0:
                self.check(it)
        self.check(it)

    def check(self, it: Driven) -> None:
        """The kept lists are as new ones."""
        kept, new = it.store.listings, Listings(it.store.tables, it.store.catalog)
        for one, other in ((kept.services, new.services), (kept.nodes, new.nodes)):
            self.assertEqual([row.record for row in one.rows()], [row.record for row in other.rows()])
            self.assertEqual([row.rendered() for row in one.rows()], [json.encode(row.record) for row in other.rows()])


class OverviewTests(SynchronousTestCase):
    """Everything in a few numbers."""

    def test_empty(self) -> None:
        """Nothing is none at all."""
        self.assertEqual(overview(Driven().store.tables), CatalogSummary())

    def test_worstCounts(self) -> None:
        """A node, or an instance, is as well as its worst check; the node's are not the instance's."""
        it = Driven()
        it.register("n1", service=NodeService(id="w", service="web"))
        it.register("n2", service=NodeService(id="w", service="web"))
        for node, check, status, service in (
            ("n1", "a", "warning", "w"),
            ("n1", "b", "critical", "w"),
            ("n1", "disk", "warning", ""),
            ("n2", "a", "passing", "w"),
        ):
            it.check(node, check, status, service_id=service)
        self.assertEqual(
            overview(it.store.tables),
            CatalogSummary(
                nodes=(HealthSummary(total=2, passing=1, warning=1),),
                services=(HealthSummary(name="web", total=2, passing=1, critical=1),),
                checks=(
                    HealthSummary(name="a", total=2, passing=1, warning=1),
                    HealthSummary(name="b", total=1, critical=1),
                    HealthSummary(name="disk", total=1, warning=1),
                ),
            ),
        )


class TopologyTests(SynchronousTestCase):
    """Who talks to whom."""

    def setUp(self) -> None:
        self.it = Driven()
        for name in ("web", "db", "other", "consul"):
            self.it.register("n1", service=NodeService(id=name, service=name))

    def neighbours(self, name: str, kind: str = "", default: bool = True) -> tuple[dict[str, str], dict[str, str]]:
        """Upstreams and downstreams with where they are known from."""
        store = self.it.store
        found = service_topology(service_neighbours(store.tables, store.catalog, name, kind, default))
        return {one.name: one.source for one in found.upstreams}, {one.name: one.source for one in found.downstreams}

    def test_registered(self) -> None:
        """What a proxy says, both ways; a prepared query is no service."""
        query = Upstream(destination_name="other", destination_type="prepared_query", local_bind_port=2)
        service = proxy("p", "Web", "DB")
        config = service.proxy
        upstreams = (*(config.upstreams or ()), query)
        config = ConnectProxyConfig(destination_service_name="Web", upstreams=upstreams)
        self.it.register("n1", service=NodeService(id="p", service="p", kind="connect-proxy", port=1, proxy=config))
        self.assertEqual(self.neighbours("web"), ({"db": "proxy-registration"}, {}))
        self.assertEqual(self.neighbours("DB"), ({}, {"web": "proxy-registration", "Web": "proxy-registration"}))
        self.it.deregister("n1", service_id="p")
        self.assertEqual(self.neighbours("web"), ({}, {}))

    def test_oneOfTwoProxiesGoes(self) -> None:
        """A service is reached as long as any proxy says so."""
        self.it.register("n1", service=proxy("p", "web", "db"))
        self.it.register("n2", service=proxy("p", "web", "db"))
        self.it.deregister("n2")
        self.assertEqual(self.neighbours("web")[0], {"db": "proxy-registration"})

    def test_openEnded(self) -> None:
        """Transparent proxies and native services reach everything that is allowed, but never the servers."""
        self.it.register("n1", service=proxy("p", "web", "db", mode="transparent"))
        self.assertEqual(self.neighbours("web")[0], {"db": "proxy-registration", "other": "default-allow"})
        self.assertEqual(self.neighbours("other")[1], {"web": "default-allow"})
        self.assertEqual(self.neighbours("web", default=False)[0], {"db": "proxy-registration"})
        native = NodeService(id="other", service="other", port=1, connect=ServiceConnect(native=True))
        self.it.register("n1", service=native)
        self.assertEqual(self.neighbours("db")[1], {"web": "proxy-registration", "other": "default-allow"})

    def test_facts(self) -> None:
        """Protocol, transparency and the decision are told."""
        self.it.register("n1", service=proxy("p", "web", "db", mode="transparent"))
        store = self.it.store
        found = service_topology(service_neighbours(store.tables, store.catalog, "web", "", True))
        self.assertEqual((found.protocol, found.transparent_proxy), ("tcp", True))
        self.assertEqual(found.upstreams[0].intention, IntentionDecision(allowed=True, default_allow=True))
        self.it.register("n2", service=proxy("p", "web"))
        self.assertFalse(
            service_topology(service_neighbours(store.tables, store.catalog, "web", "", True)).transparent_proxy
        )
        self.assertEqual(
            service_topology(service_neighbours(store.tables, store.catalog, "gw", "ingress-gateway", True)).protocol,
            "",
        )
