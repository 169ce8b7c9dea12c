"""The web UI's endpoints, as they are asked by HTTP."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

from twisted.trial.unittest import SynchronousTestCase

from tests.http.test_api import Asking
from txconsul.endpoints.overview import INTERVAL_SECONDS
from txconsul.http.lists import PIECE_ROWS

META = b"X-Consul-Index: "


class UITests(SynchronousTestCase):
    """Nodes, services, and who talks to whom."""

    def setUp(self) -> None:
        self.asking = Asking()
        self.register("n1", {"ID": "web-1", "Service": "web", "Tags": ["blue"]})
        self.register("n2", {"Kind": "connect-proxy", "Service": "side", "Port": 1, "Proxy": self.proxy("web", "db")})
        self.register("n2", {"Service": "db"})

    def proxy(self, destination: str, *upstreams: str) -> dict[str, Any]:
        """A proxy's part of a registration."""
        reached = [{"DestinationName": name, "LocalBindPort": 1} for name in upstreams]
        return {"DestinationServiceName": destination, "Upstreams": reached}

    def register(self, node: str, service: dict[str, Any] | None = None, address: str = "10.0.0.1") -> None:
        """Register an instance."""
        body = {"Node": node, "Address": address, "Service": service}
        self.assertEqual(self.asking.ask("PUT", "/v1/catalog/register", json.dumps(body).encode()).status, 200)

    def get(self, path: str) -> Any:
        """The body of an answer that tells of its index."""
        answer = self.asking.ask("GET", "/v1/internal/ui/" + path)
        self.assertEqual(answer.status, 200, answer.body)
        self.assertIn(META, answer.head)
        body = answer.body
        return json.loads(body if isinstance(body, bytes) else b"".join(body))

    def refused(self, path: str) -> tuple[int, bytes, bool]:
        """Status, text, and whether it tells of an index."""
        answer = self.asking.ask("GET", "/v1/internal/ui/" + path)
        assert isinstance(answer.body, bytes)
        return answer.status, answer.body, META in answer.head

    def test_services(self) -> None:
        """Services in the order of their names; a filter says which instances count."""
        self.assertEqual([one["Name"] for one in self.get("services")], ["db", "side", "web"])
        web = self.get("services")[2]
        self.assertTrue(web["ConnectedWithProxy"])
        self.assertEqual((web["Tags"], web["ExternalSources"], web["GatewayConfig"]), (["blue"], None, {}))
        (filtered,) = self.get("services?filter=Service.Service+==+web")
        self.assertFalse(filtered["ConnectedWithProxy"])
        self.assertEqual(self.get("services?peer=east"), [])
        self.assertEqual(self.refused("services?filter=x")[0], 500)
        self.assertEqual(self.refused("services?dc=dc6"), (500, b"No path to datacenter", True))

    def test_nodes(self) -> None:
        """Nodes with what is on them, all or one; a missing one is not told of at all."""
        first, second = self.get("nodes")
        self.assertEqual((first["Node"], [one["ID"] for one in second["Services"]]), ("n1", ["db", "side"]))
        self.assertEqual((first["Checks"], first["Meta"]), ([], None))
        self.assertEqual(self.get("node/N1"), first)
        self.assertEqual(self.get("nodes?filter=Node+==+n1"), [first])
        for path in ("node/absent", "node/n1?peer=east"):
            self.assertEqual(self.refused(path), (404, b"", False))
        self.assertEqual(self.refused("node/"), (400, b"Missing node name", False))

    def test_versions(self) -> None:
        """A node at a member's address has the member's version, unless it says one."""
        member = {"Addr": "10.9.9.9", "Tags": {"build": "1.2.3:abcdef"}}
        self.asking.served.site.facts.members = lambda wan=False: None if wan else [member, {"Addr": "x", "Tags": {}}]
        self.register("n3", address="10.9.9.9")
        metas = {one["Node"]: one["Meta"] for one in self.get("nodes")}
        self.assertEqual(metas, {"n1": None, "n2": None, "n3": {"consul-version": "1.2.3"}})
        self.assertEqual(self.get("node/n3")["Meta"], {"consul-version": "1.2.3"})

    def test_long(self) -> None:
        """A long list goes out in pieces, and is the same whole."""
        for number in range(PIECE_ROWS):
            self.register("n1", {"Service": f"s{number}"})
        answer = self.asking.ask("GET", "/v1/internal/ui/services")
        self.assertIsInstance(answer.body, Iterator)
        pretty = self.asking.ask("GET", "/v1/internal/ui/services?pretty").body
        assert isinstance(pretty, bytes)
        self.assertEqual(json.loads(b"".join(answer.body)), json.loads(pretty))  # type: ignore[arg-type]
        self.assertEqual(len(json.loads(pretty)), PIECE_ROWS + 3)

    def test_topology(self) -> None:
        """Neighbours; the kind must be said, and be one that has any."""
        found = self.get("service-topology/web?kind=")
        self.assertEqual([(one["Name"], one["Source"]) for one in found["Upstreams"]], [("db", "proxy-registration")])
        self.assertEqual((found["Downstreams"], found["FilteredByACLs"], found["Protocol"]), ([], False, "tcp"))
        self.assertEqual(self.get("service-topology/gw?kind=ingress-gateway")["Protocol"], "")
        for path, text in (
            ("service-topology/?kind=", b"Missing service name"),
            ("service-topology/web", b"Missing service kind"),
            ("service-topology/web?kind=typical", b'Unsupported service kind "typical"'),
        ):
            self.assertEqual(self.refused(path), (400, text, False))
        self.assertEqual(self.refused("service-topology/web?kind=api-gateway"), (500, b"not an APIGateway", True))

    def test_topologyWaits(self) -> None:
        """Who waits for a change of the neighbours is answered with it."""
        index = self.asking.served.store.catalog.everything_index()
        waiting = self.asking.raw("GET", f"/v1/internal/ui/service-topology/web?kind=&index={index}")
        self.assertNoResult(waiting)
        self.register("n2", {"Kind": "connect-proxy", "Service": "side", "Port": 1, "Proxy": self.proxy("web")})
        self.assertEqual(json.loads(self.successResultOf(waiting).body)["Upstreams"], [])

    def test_overview(self) -> None:
        """Numbers that are counted every five minutes, for the first time after five minutes."""
        path = "/v1/internal/ui/catalog-overview"
        self.assertEqual(self.asking.get(path), {"Checks": None, "Nodes": None, "Services": None})
        self.asking.served.clock.advance(INTERVAL_SECONDS)
        counted = self.asking.get(path)
        self.assertEqual(counted["Nodes"], [{"Critical": 0, "Passing": 2, "Total": 2, "Warning": 0}])
        self.register("n3")
        self.assertEqual(self.asking.get(path), counted)

    def test_nothingOfTheKind(self) -> None:
        """Without gateways, peers and a page of our own."""
        self.assertEqual(self.get("gateway-services-nodes/gw"), [])
        self.assertEqual(self.get("gateway-intentions/gw"), [])
        self.assertEqual(self.refused("gateway-intentions/"), (400, b"Missing gateway name", False))
        self.assertEqual(self.get("exported-services?peer=east"), [])
        self.assertEqual(self.refused("exported-services"), (500, b"must provide PeerName", True))
        self.assertEqual(self.refused("metrics-proxy/x"), (404, b"UI is not enabled", False))


class VirtualAddressTests(SynchronousTestCase):
    """C{/v1/internal/service-virtual-ip}."""

    def test_assign(self) -> None:
        """What was done is told in JSON; a name that is not the request's is refused."""
        asking = Asking()
        path = "/v1/internal/service-virtual-ip"
        answer = asking.ask("PUT", path, b'{"Service": "web", "ManualVIPs": ["1.1.1.1"]}')
        assert isinstance(answer.body, bytes)
        self.assertEqual(json.loads(answer.body), {"Found": False, "UnassignedFrom": None})
        self.assertEqual(asking.ask("PUT", path, b'{"Colour": "red"}').status, 400)
        self.assertEqual(asking.ask("PUT", path, b'{"ManualVIPs": ["x"]}').status, 500)
