"""The catalog: what registers, what goes, and which index moves."""

from __future__ import annotations

from twisted.trial.unittest import SynchronousTestCase

from tests.state.driving import Driven
from txconsul.errors import InvalidRequest
from txconsul.records.catalog import RegisterRequest
from txconsul.records.health import HealthCheck
from txconsul.records.service import ConnectProxyConfig, NodeService, ServiceAddress, ServiceConnect, Weights
from txconsul.state.watches import check, node, service, table

UUID1 = "40e4a748-2192-161a-0510-9bf59fe950b5"
UUID2 = "50e4a748-2192-161a-0510-9bf59fe950b5"


class RegisteringTests(SynchronousTestCase):
    """Nodes, services and checks come."""

    def setUp(self) -> None:
        self.it = Driven()
        self.catalog = self.it.store.catalog

    def test_everythingAtOnce(self) -> None:
        """One registration brings a node, a service and checks; the checks learn the service's name and tags."""
        checks = (
            HealthCheck(node="N1", check_id="alive", status="passing"),
            HealthCheck(node="n1", check_id="web-up", service_id="web1"),
        )
        web = NodeService(id="web1", service="web", tags=("v1",), port=80)
        self.assertIsNone(self.it.register("n1", service=web, checks=checks, node_meta={"rack": "a"}))
        index, found = self.catalog.check_service_nodes("WEB")
        self.assertEqual(index, 1)
        (instance,) = found
        assert instance.node is not None and instance.service is not None and instance.checks is not None
        self.assertEqual((instance.node.node, instance.node.meta), ("n1", {"rack": "a"}))
        self.assertEqual(instance.service.weights, Weights(passing=1, warning=1))
        self.assertEqual(
            [(one.check_id, one.status) for one in instance.checks], [("alive", "passing"), ("web-up", "critical")]
        )
        self.assertEqual((instance.checks[1].service_name, instance.checks[1].service_tags), ("web", ("v1",)))

    def test_sameAgainChangesNothing(self) -> None:
        """Registering what is there moves no index and wakes nobody."""
        request = RegisterRequest(
            node="n1",
            address="10.0.0.1",
            service=NodeService(id="web1", service="web", weights=Weights(passing=0)),
            check=HealthCheck(node="n1", check_id="alive", status="passing"),
        )
        self.it.apply(0, request)
        before = dict(self.it.store.tables.indexes.rows)
        woken = self.it.watch(*map(table, ("nodes", "services", "checks")), node("n1"), service("web"))
        self.it.apply(0, request)
        self.assertEqual(self.it.store.tables.indexes.rows, before)
        self.assertEqual(woken, [])

    def test_allOrNothing(self) -> None:
        """A registration that fails at its last check has not registered its node either."""
        refusal = self.it.register(
            "n1",
            service=NodeService(id="web1", service="web"),
            checks=(HealthCheck(node="n1", check_id="c", service_id="none"),),
        )
        self.assertIsInstance(refusal, InvalidRequest)
        self.assertEqual(str(refusal), 'failed inserting check on node "n1": Missing service registration')
        self.assertEqual(self.catalog.nodes(), (1, []))
        self.assertEqual(self.it.store.index, 0)

    def test_refusals(self) -> None:
        """A check of another node, metadata that break a rule, parts of different peers."""
        stray = HealthCheck(node="n2", check_id="c")
        self.assertEqual(str(self.it.register("n1", check=stray)), 'check node "n2" does not match node "n1"')
        odd = NodeService(id="w", service="w", meta={"consul-x": "1"})
        self.assertIn("reserved for internal use", str(self.it.register("n1", service=odd)))
        foreign = NodeService(id="w", service="w", peer_name="east")
        self.assertIn("multiple peer names", str(self.it.register("n1", service=foreign)))

    def test_skipNodeUpdate(self) -> None:
        """With skip_node_update an existing node stays as it is; a missing one is made."""
        self.it.register("n1", address="10.0.0.1", skip_node_update=True)
        self.it.register("n1", address="10.0.0.2", skip_node_update=True)
        found = self.catalog.node("N1")[1]
        assert found is not None
        self.assertEqual((found.address, found.modify_index), ("10.0.0.1", 1))

    def test_checkOfAnotherInstance(self) -> None:
        """A check that becomes another instance's moves the index of the one that had it, too."""
        for name in ("web", "db"):
            self.it.register("n1", service=NodeService(id=name, service=name))
        self.it.check("n1", "c", service_id="web")
        self.it.check("n1", "c", service_id="db")
        self.assertEqual(self.catalog.health_index("web"), self.it.index)
        self.it.check("n1", "c")
        self.assertEqual(self.catalog.health_index("db"), self.it.index)


class IdentityTests(SynchronousTestCase):
    """Names and ids of nodes."""

    def setUp(self) -> None:
        self.it = Driven()
        self.catalog = self.it.store.catalog

    def test_namelessMayGetAnId(self) -> None:
        """A node without an id may be given one, even while it is healthy."""
        self.it.register("n1")
        self.it.check("n1", "serfHealth")
        self.assertIsNone(self.it.register("n1", id=UUID1))
        self.assertEqual(self.catalog.nodes()[1][0].id, UUID1)

    def test_nameOfALivingNode(self) -> None:
        """The name of a healthy node is refused to another id; that of a dead one is not."""
        self.it.register("n1", id=UUID1)
        self.it.check("n1", "serfHealth")
        refusal = self.it.register("N1", id=UUID2)
        self.assertIn(f"Node name N1 is reserved by node {UUID1} with name n1 (10.0.0.1)", str(refusal))
        self.it.check("n1", "serfHealth", "critical")
        self.assertIsNone(self.it.register("n1", id=UUID2))
        self.assertEqual([one.id for one in self.catalog.nodes()[1]], [UUID2])

    def test_renaming(self) -> None:
        """A known id under a new name renames its node; what hung on the old name goes; the creation index stays."""
        self.it.register("old", id=UUID1, service=NodeService(id="web1", service="web"))
        self.it.register("new", id=UUID1)
        (found,) = self.catalog.nodes()[1]
        self.assertEqual((found.node, found.create_index, found.modify_index), ("new", 1, 2))
        self.assertEqual(self.catalog.services()[1], {})

    def test_lookupByIdPrefix(self) -> None:
        """A node's services are found by the beginning of its id, unless two nodes share it."""
        self.it.register("n1", id=UUID1)
        self.it.register("n2", id=UUID2)
        for part in (UUID1[:5].replace("-", ""), UUID1[:9], UUID1[:14], UUID1.upper()):
            self.assertIsNotNone(self.catalog.node_services(part)[1], part)
        for part in (
            UUID1[:13],
            UUID1[:11],
            UUID1 + "00",
            UUID1[:6] + "------",
            "--",
        ):  # no whole bytes, too long, dashes
            self.assertIsNone(self.catalog.node_services(part)[1], part)
        found = self.catalog.node_services(UUID1[:7])[1]
        assert found is not None
        self.assertEqual(found[0].node, "n1")
        self.it.register("n3", id="40ffffff-2192-161a-0510-9bf59fe950b5")
        self.assertEqual(self.catalog.node_services("40"), (1, None))
        self.assertEqual(self.catalog.node_services("x"), (1, None))


class IndexTests(SynchronousTestCase):
    """A service keeps its index while others change."""

    def setUp(self) -> None:
        self.it = Driven()
        self.catalog = self.it.store.catalog
        self.it.register("n1", service=NodeService(id="web1", service="web"))
        self.it.register("n2", service=NodeService(id="db1", service="db"))

    def test_services(self) -> None:
        """An instance's change moves its own service, its node and the tables; watches are as exact."""
        web, db = self.it.watch(service("web")), self.it.watch(service("db"), node("n2"))
        self.it.register("n1", service=NodeService(id="web1", service="web", port=81))
        self.assertEqual(self.catalog.service_nodes("web")[0], 3)
        self.assertEqual(self.catalog.service_nodes("db")[0], 2)
        self.assertEqual(self.catalog.node_services("n1")[0], 3)
        self.assertEqual(self.catalog.node_services("n2")[0], 2)
        self.assertEqual(self.catalog.services()[0], 3)
        self.assertEqual((web, db), ([3], []))

    def test_nodeChecks(self) -> None:
        """A check of the node moves all its services; a service's check only that service."""
        self.it.register("n1", service=NodeService(id="api1", service="api"))
        self.it.check("n1", "alive")
        self.assertEqual([self.catalog.check_service_nodes(name)[0] for name in ("web", "api", "db")], [4, 4, 2])
        api, web, one = self.it.watch(service("api")), self.it.watch(service("web")), self.it.watch(check("n1", "up"))
        self.it.check("n1", "up", service_id="api1")
        self.assertEqual([self.catalog.check_service_nodes(name)[0] for name in ("web", "api", "db")], [4, 5, 2])
        self.assertEqual((api, web, one), ([5], [], [5]))

    def test_extinction(self) -> None:
        """What is not there has the index of the last service that went, so that its waiters sleep on."""
        self.assertEqual(self.catalog.service_nodes("none")[0], 2)
        self.it.deregister("n2", service_id="db1")
        self.assertEqual(self.catalog.service_nodes("db"), (3, []))
        self.it.register("n1", service=NodeService(id="web2", service="web"))
        self.assertEqual(self.catalog.service_nodes("none")[0], 3)

    def test_tags(self) -> None:
        """Instances are found by all their tags, whatever the case; the index does not depend on them."""
        self.it.register("n2", service=NodeService(id="web2", service="web", tags=("Blue", "v2")))
        self.assertEqual([one.node for one in self.catalog.service_nodes("web", ["blue", "V2"])[1]], ["n2"])
        self.assertEqual(self.catalog.service_nodes("web", ["red"]), (3, []))
        self.assertEqual(self.catalog.services()[1], {"web": ["Blue", "v2"], "db": []})

    def test_checkLists(self) -> None:
        """Checks are listed by node, by service and by what they say."""
        self.it.check("n1", "a", "warning")
        self.it.check("n2", "b", "critical", service_id="db1")
        self.assertEqual([one.check_id for one in self.catalog.node_checks("n1")[1]], ["a"])
        self.assertEqual([one.check_id for one in self.catalog.service_checks("db")[1]], ["b"])
        self.assertEqual([one.check_id for one in self.catalog.checks_in_state("warning")[1]], ["a"])
        self.assertEqual([one.check_id for one in self.catalog.checks_in_state("any")[1]], ["a", "b"])
        self.assertEqual(self.catalog.checks_in_state("passing"), (4, []))


class DeregisteringTests(SynchronousTestCase):
    """Nodes, services and checks go, with what hangs on them."""

    def test_cascade(self) -> None:
        """With a service go its checks, with a node everything; other nodes stay."""
        it = Driven()
        catalog = it.store.catalog
        for name in ("n1", "n2"):
            it.register(name, service=NodeService(id="web", service="web"))
            it.check(name, "alive")
            it.check(name, "web-up", service_id="web")
        it.deregister("n1", service_id="WEB")
        self.assertEqual([one.check_id for one in catalog.node_checks("n1")[1]], ["alive"])
        self.assertEqual(len(catalog.service_nodes("web")[1]), 1)
        it.deregister("n2", check_id="alive")
        self.assertEqual([one.check_id for one in catalog.node_checks("n2")[1]], ["web-up"])
        it.deregister("N2")
        self.assertEqual([one.node for one in catalog.nodes()[1]], ["n1"])
        self.assertEqual(catalog.services()[1], {})
        self.assertEqual(catalog.node_services("n2"), (9, None))
        it.deregister("n2")
        self.assertEqual(it.store.index, 9)


def proxy(destination: str, id: str = "proxy", port: int = 21000) -> NodeService:
    """A sidecar proxy."""
    config = ConnectProxyConfig(destination_service_name=destination)
    return NodeService(id=id, service=f"{destination}-proxy", kind="connect-proxy", port=port, proxy=config)


class VirtualAddressTests(SynchronousTestCase):
    """Services of the mesh have virtual addresses."""

    def setUp(self) -> None:
        self.it = Driven()
        self.it.register("n1")
        self.addresses = self.it.store.virtual_ips

    def test_onlyOnceSwitchedOn(self) -> None:
        """Before the leader says so, no address is given out."""
        self.it.register("n1", service=proxy("web"))
        self.assertEqual(self.addresses.of_service("web"), "")
        self.it.switch_virtual_ips_on()
        self.it.register("n1", service=proxy("web"))
        self.assertEqual(self.addresses.of_service("web"), "240.0.0.1")
        found = self.it.store.catalog.service("n1", "proxy")
        assert found is not None and found.tagged_addresses is not None
        self.assertEqual(found.tagged_addresses["consul-virtual"], ServiceAddress(address="240.0.0.1", port=21000))

    def test_oneForEachService(self) -> None:
        """Proxies of one service share its address; a native service has its own; others have none."""
        self.it.switch_virtual_ips_on()
        self.it.register("n1", service=proxy("web", "p1"))
        self.it.register("n1", service=proxy("WEB", "p2"))
        self.it.register("n1", service=NodeService(id="db", service="db", connect=ServiceConnect(native=True)))
        self.it.register("n1", service=NodeService(id="plain", service="plain"))
        shown = [self.addresses.of_service(name) for name in ("web", "db", "plain")]
        self.assertEqual(shown, ["240.0.0.1", "240.0.0.2", ""])
        self.assertEqual(self.it.store.tables.index("service-virtual-ips"), 5)

    def test_sameAgainChangesNothing(self) -> None:
        """Registering a proxy again, without the address it was given, moves no index."""
        self.it.switch_virtual_ips_on()
        self.it.register("n1", service=proxy("web"))
        before = dict(self.it.store.tables.indexes.rows)
        self.it.register("n1", service=proxy("web"))
        self.assertEqual(self.it.store.tables.indexes.rows, before)

    def test_givenBack(self) -> None:
        """The address of a service that went is given to the next one, before new ones are."""
        self.it.switch_virtual_ips_on()
        for name in ("a", "b"):
            self.it.register("n1", service=NodeService(id=name, service=name, connect=ServiceConnect(native=True)))
        self.it.deregister("n1", service_id="a")
        self.assertEqual(self.addresses.of_service("a"), "")
        for name in ("c", "d"):
            self.it.register("n1", service=NodeService(id=name, service=name, connect=ServiceConnect(native=True)))
        self.assertEqual([self.addresses.of_service(name) for name in "bcd"], ["240.0.0.2", "240.0.0.1", "240.0.0.3"])

    def test_meshNames(self) -> None:
        """The names that can be reached in the mesh are kept while there is an instance for them."""
        listed = self.it.store.tables.services_by_kind_and_name
        self.it.register("n1", service=proxy("web"))
        self.assertIn(("connect-enabled", "web"), listed)
        self.it.register("n1", service=NodeService(id="proxy", service="web-proxy"))
        self.assertEqual([*listed.names()], [("typical", "web-proxy")])
        indexes = self.it.store.tables.indexes.rows
        kinds = ("connect-enabled", "connect-proxy", "typical")
        self.assertEqual([indexes["kind_service_names." + kind] for kind in kinds], [3, 3, 3])
