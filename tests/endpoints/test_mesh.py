"""What makes a service reachable in the mesh, as the door tells it."""

from __future__ import annotations

from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st
from twisted.internet.defer import Deferred
from twisted.trial.unittest import SynchronousTestCase

from tests.endpoints.serving import SECOND, Served
from txconsul.errors import InvalidRequest
from txconsul.records.autopilot import SystemMetadataEntry, SystemMetadataRequest
from txconsul.records.catalog import DeregisterRequest, RegisterRequest
from txconsul.records.health import HealthCheck
from txconsul.records.queries import NodeSpecificRequest, ServiceSpecificRequest
from txconsul.records.query import QueryOptions
from txconsul.records.service import (
    ConnectProxyConfig,
    EnvoyExtension,
    MeshGatewayConfig,
    NodeService,
    ServiceConnect,
    Upstream,
)
from txconsul.records.virtual_ip import (
    AssignServiceManualVIPsRequest,
    AssignServiceManualVIPsResponse,
    PeeredServiceName,
    ServiceName,
)

RESPONSE = AssignServiceManualVIPsResponse


def asked(name: str = "web", index: int = 0, **more: Any) -> ServiceSpecificRequest:
    """A question about a service."""
    options = QueryOptions(min_query_index=index, max_query_time=60 * SECOND)
    return ServiceSpecificRequest(datacenter="dc1", service_name=name, options=options, **more)


def proxy(id: str, destination: str, name: str = "", **more: Any) -> NodeService:
    """A sidecar proxy."""
    config = ConnectProxyConfig(destination_service_name=destination, **more)
    return NodeService(id=id, service=name or f"{destination}-proxy", kind="connect-proxy", port=21000, proxy=config)


def native(id: str, name: str) -> NodeService:
    """A service that speaks the mesh's protocol itself."""
    return NodeService(id=id, service=name, port=80, connect=ServiceConnect(native=True))


class Mesh(Served):
    """A door with a mesh behind it."""

    def register(self, node: str, service: NodeService | None = None, check: HealthCheck | None = None) -> Any:
        """Register."""
        return self.call(
            "Catalog.Register",
            RegisterRequest(datacenter="dc1", node=node, address="10.0.0.1", service=service, check=check),
        )

    def deregister(self, node: str, id: str = "", check: str = "") -> Any:
        """Deregister."""
        return self.call(
            "Catalog.Deregister", DeregisterRequest(datacenter="dc1", node=node, service_id=id, check_id=check)
        )


class ReachableTests(SynchronousTestCase):
    """Proxies and native instances."""

    def setUp(self) -> None:
        self.mesh = Mesh()

    def ids(self, **more: Any) -> list[str]:
        """The ids of what makes web reachable, which both methods must agree on."""
        nodes = self.mesh.call("Catalog.ServiceNodes", asked(connect=True, **more)).value
        instances = self.mesh.call("Health.ServiceNodes", asked(connect=True, **more)).value
        self.assertEqual([one.service_id for one in nodes], [one.service.id for one in instances])
        return [one.service_id for one in nodes]

    def test_reachable(self) -> None:
        """Proxies of a service and its native instances, whatever the case of its name and their tags."""
        self.mesh.register("n2", proxy("p", "WEB"))
        self.mesh.register("n1", native("w", "web"))
        self.mesh.register("n1", proxy("d", "db"))
        self.mesh.register("n1", NodeService(id="plain", service="web"))
        self.assertEqual(self.ids(), ["w", "p"])
        self.assertEqual(self.ids(service_tags=("v1",)), ["w", "p"])
        self.mesh.register("n2", proxy("p", "db"))
        self.assertEqual(self.ids(), ["w"])

    def test_passing(self) -> None:
        """The checks of the proxy, not those of its service, say whether it passes."""
        self.mesh.register("n1", NodeService(id="w", service="web"))
        self.mesh.register("n1", proxy("p", "web"))
        request = asked(connect=True, must_be_passing=True)
        self.mesh.register("n1", check=HealthCheck(check_id="w", service_id="w", status="critical"))
        self.assertEqual(len(self.mesh.call("Health.ServiceNodes", request).value), 1)
        self.mesh.register("n1", check=HealthCheck(check_id="p", service_id="p", status="critical"))
        self.assertEqual(self.mesh.call("Health.ServiceNodes", request).value, [])

    def test_ingress(self) -> None:
        """No gateway lets anybody in yet; with a tag, the service itself is told of, as by Consul."""
        self.mesh.register("n1", NodeService(id="w", service="web", tags=("v1",)))
        self.assertEqual(self.mesh.call("Health.ServiceNodes", asked(ingress=True)).value, [])
        tagged = self.mesh.call("Health.ServiceNodes", asked(ingress=True, service_tags=("v1",)))
        self.assertEqual([one.service.id for one in tagged.value], ["w"])
        self.assertEqual(self.mesh.call("Catalog.GatewayServices", asked("gw")).value, [])

    def test_refusals(self) -> None:
        """A registration that breaks a rule is refused before it is proposed; so is one from a peer."""
        self.assertRaises(InvalidRequest, self.mesh.register, "n1", proxy("p", ""))
        error = self.assertRaises(InvalidRequest, self.mesh.register, "n1", NodeService(service="w", peer_name="east"))
        self.assertEqual(str(error), "cannot register requests with PeerName in them")
        self.assertEqual(self.mesh.consensus.proposed, [])


class WaitingTests(SynchronousTestCase):
    """Blocking queries about the mesh."""

    def setUp(self) -> None:
        self.mesh = Mesh()
        self.mesh.register("n1", native("w", "web"))
        self.mesh.register("n1", proxy("p", "web", "sidecar"))
        self.mesh.register("n1", proxy("d", "db", "sidecar"))

    def wait(self, method: str = "Health.ServiceNodes") -> Any:
        """Wait for a change of what makes web reachable."""
        index = self.mesh.call(method, asked(connect=True)).index
        return self.mesh.call(method, asked(index=index, connect=True))

    def test_wakes(self) -> None:
        """Every change of a proxy, its checks or its node answers, and the index moves on."""
        changes = (
            lambda: self.mesh.register("n1", check=HealthCheck(check_id="c", service_id="p", status="passing")),
            lambda: self.mesh.register("n1", check=HealthCheck(check_id="node", status="passing")),
            lambda: self.mesh.register("n2", proxy("q", "web", "other")),
            lambda: self.mesh.deregister("n2", "q"),
            lambda: self.mesh.deregister("n1", check="c"),
            lambda: self.mesh.register("n1", proxy("p", "db", "sidecar")),
            lambda: self.mesh.deregister("n1", "w"),
            lambda: self.mesh.register("n1", native("w", "web")),
        )
        for number, change in enumerate(changes):
            waiting = self.wait()
            index = self.mesh.call("Health.ServiceNodes", asked(connect=True)).index
            change()
            answer = self.successResultOf(waiting)
            self.assertGreater(answer.index, index, number)

    def test_sleeps(self) -> None:
        """Others' proxies wake nobody, even under one name with ours; nor does the service that ours stands before."""
        for method in ("Health.ServiceNodes", "Catalog.ServiceNodes"):
            waiting = self.wait(method)
            self.mesh.register("n2", proxy("e", "db", "sidecar"))
            self.mesh.register("n2", NodeService(id="plain", service="web"))
            self.mesh.deregister("n2")
            self.assertNoResult(waiting)
            waiting.cancel()
            self.failureResultOf(waiting)

    @given(
        st.lists(
            st.tuples(
                st.sampled_from(("native", "proxy", "plain", "check", "go", "node")),
                st.sampled_from(("n1", "n2")),
                st.sampled_from(("web", "db")),
                st.sampled_from(("a", "b")),
            ),
            max_size=12,
        )
    )
    @settings(max_examples=60, deadline=None)
    def test_noChangeIsMissed(self, steps: list[tuple[str, str, str, str]]) -> None:
        """Whatever is done, the index never goes back, and moves on whenever the answer does."""
        mesh = Mesh()
        mesh.register("first")  # the first entry of a log is never a registration
        before = mesh.call("Health.ServiceNodes", asked(connect=True))
        for number, (what, node, name, id) in enumerate(steps):
            if what == "go":
                mesh.deregister(node, id)
            elif what == "node":
                mesh.deregister(node)
            elif what == "check":
                if (node, id) in mesh.store.tables.services.rows:
                    status = "passing" if number % 2 else "critical"
                    mesh.register(node, check=HealthCheck(check_id="c", service_id=id, status=status))
            else:
                plain = NodeService(id=id, service=name)
                service = {"native": native(id, name), "proxy": proxy(id, name, "side")}.get(what, plain)
                mesh.register(node, service)
            after = mesh.call("Health.ServiceNodes", asked(connect=True))
            self.assertGreaterEqual(after.index, before.index)
            if after.value != before.value:
                self.assertGreater(after.index, before.index)
            before = after


class CentralConfigTests(SynchronousTestCase):
    """C{?merge-central-config} without configuration entries."""

    def test_merged(self) -> None:
        """A proxy's upstreams go through its own gateways, unless they say otherwise; extensions are not its own."""
        mesh = Mesh()
        service = proxy(
            "p",
            "web",
            mesh_gateway=MeshGatewayConfig(mode="local"),
            envoy_extensions=(EnvoyExtension(name="lua"),),
            upstreams=(
                Upstream(destination_name="db", local_bind_port=1),
                Upstream(destination_name="x", local_bind_port=2, mesh_gateway=MeshGatewayConfig(mode="remote")),
                Upstream(destination_name="q", destination_type="prepared_query", local_bind_port=3),
            ),
        )
        mesh.register("n1", service)
        plain = mesh.call("Health.ServiceNodes", asked(connect=True)).value[0].service
        self.assertEqual(plain.proxy, service.proxy)
        merged = mesh.call("Health.ServiceNodes", asked(connect=True, merge_central_config=True)).value[0].service
        self.assertEqual([one.mesh_gateway.mode for one in merged.proxy.upstreams], ["local", "remote", ""])
        self.assertIsNone(merged.proxy.envoy_extensions)
        request = NodeSpecificRequest(datacenter="dc1", node="n1", merge_central_config=True)
        self.assertEqual(mesh.call("Catalog.NodeServices", request).value[1]["p"], merged)

    def test_transparent(self) -> None:
        """A transparent proxy has an upstream that stands for those it finds by itself."""
        mesh = Mesh()
        mesh.register("n1", proxy("p", "web", mode="transparent", mesh_gateway=MeshGatewayConfig(mode="local")))
        merged = mesh.call("Health.ServiceNodes", asked(connect=True, merge_central_config=True)).value[0].service
        self.assertEqual([one.destination_name for one in merged.proxy.upstreams], ["*"])

    def test_nodeIsLost(self) -> None:
        """In the catalog's listing a merged proxy keeps only its node's name; an ordinary service keeps all."""
        mesh = Mesh()
        mesh.register("n1", proxy("p", "web"))
        mesh.register("n1", NodeService(id="w", service="web"))
        request = asked("web-proxy", merge_central_config=True)
        (found,) = mesh.call("Catalog.ServiceNodes", request).value
        self.assertEqual((found.node, found.address, found.datacenter), ("n1", "", ""))
        (kept,) = mesh.call("Catalog.ServiceNodes", asked(merge_central_config=True)).value
        self.assertEqual((kept.node, kept.address, kept.datacenter), ("n1", "10.0.0.1", "dc1"))


class ManualAddressTests(SynchronousTestCase):
    """Virtual addresses of an operator's choice."""

    def setUp(self) -> None:
        self.mesh = Mesh()
        entry = SystemMetadataEntry(key="virtual-ips", value="true")
        self.mesh.call("SystemMetadata.Apply", SystemMetadataRequest(datacenter="dc1", op="upsert", entry=entry))
        for name in ("web", "db"):
            self.mesh.register("n1", native(name, name))

    def assign(self, service: str, *ips: str) -> Any:
        """Assign; what is answered."""
        request = AssignServiceManualVIPsRequest(datacenter="dc1", service=service, manual_vips=ips)
        answer = self.mesh.call("Internal.AssignManualServiceVIPs", request)
        return self.successResultOf(answer) if isinstance(answer, Deferred) else answer

    def manual(self, service: str) -> Any:
        """The addresses that a service has."""
        return self.mesh.store.virtual_ips.manual(service)

    def test_assign(self) -> None:
        """An address belongs to one service: whoever had it loses it, and is told of."""
        self.assertEqual(self.assign("WEB", "10.0.0.2", "10.0.0.1", "10.0.0.2"), RESPONSE(found=True))
        self.assertEqual(self.manual("web"), ("10.0.0.1", "10.0.0.2"))
        web = PeeredServiceName(service_name=ServiceName(name="web"))
        self.assertEqual(self.assign("db", "10.0.0.2", "10.0.0.3"), RESPONSE(found=True, unassigned_from=(web,)))
        self.assertEqual((self.manual("web"), self.manual("db")), (("10.0.0.1",), ("10.0.0.2", "10.0.0.3")))
        self.assertEqual(self.assign("db"), RESPONSE(found=True))
        self.assertEqual(self.manual("db"), ())

    def test_unknown(self) -> None:
        """A service without a virtual address can have no others, and takes none from anybody."""
        self.assign("web", "10.0.0.1")
        self.assertEqual(self.assign("nope", "10.0.0.1"), RESPONSE())
        self.assertEqual(self.manual("web"), ("10.0.0.1",))

    def test_same(self) -> None:
        """What is there already is not even proposed."""
        self.assign("web", "10.0.0.1", "10.0.0.2")
        proposed = len(self.mesh.consensus.proposed)
        self.assertEqual(self.assign("web", "10.0.0.2", "10.0.0.1"), RESPONSE(found=True))
        self.assertEqual(len(self.mesh.consensus.proposed), proposed)

    def test_refusals(self) -> None:
        """Too many, and what is no IPv4 address."""
        error = self.assertRaises(InvalidRequest, self.assign, "web", *["10.0.0.1"] * 9)
        self.assertEqual(str(error), "cannot associate more than 8 manual virtual IPs with the same service")
        for text, shown in (
            ("x", "<nil>"),
            ("10.0.0.01", "<nil>"),
            ("2001:DB8::1", "2001:db8::1"),
            ("::1%lo", "<nil>"),
        ):
            error = self.assertRaises(InvalidRequest, self.assign, "web", text)
            self.assertEqual(str(error), f'"{shown}" is not a valid IPv4 address')
        self.assertEqual(self.assign("web", "::ffff:10.0.0.1"), RESPONSE(found=True))

    def test_told(self) -> None:
        """A service's own address stays what it is, and who waits for it is woken when it goes."""
        self.assign("web", "10.0.0.1")
        found = self.mesh.call("Catalog.VirtualIPForService", asked())
        self.assertEqual(found.value, "240.0.0.1")
        waiting = self.mesh.call("Catalog.VirtualIPForService", asked(index=found.index))
        self.mesh.register("n2", NodeService(id="plain", service="plain"))
        self.assertNoResult(waiting)
        self.mesh.deregister("n1", "web")
        self.assertEqual(self.successResultOf(waiting).value, "")
