"""What each question is answered with."""

from __future__ import annotations

from twisted.trial.unittest import SynchronousTestCase

from tests.dns.asking import NOW, Asking, show
from txconsul.dns.message import CLIENT_SUBNET, NOERROR, NOTIMP, NXDOMAIN, REFUSED, SERVFAIL
from txconsul.dns.records import parse_address, weight_of
from txconsul.endpoints.placing import Me
from txconsul.records.autopilot import SystemMetadataEntry, SystemMetadataRequest
from txconsul.records.catalog import CheckServiceNode
from txconsul.records.health import HealthCheck
from txconsul.records.service import ConnectProxyConfig, NodeService, ServiceAddress, ServiceConnect, Weights

SOA = "consul. 0 SOA ns.consul."


class NodeTests(SynchronousTestCase):
    """C{NAME.node}."""

    def test_types(self) -> None:
        """An address of its own family, metadata as TXT or beside the address, all for ANY; nothing for others."""
        asking = Asking(node_ttl=7)
        asking.register("n1", "10.0.0.1", node_meta={"a": "1", "RFC1035-b": "x=y", " `=": "`"})
        texts = ["n1.node.consul. 7 TXT ` ```==``", "n1.node.consul. 7 TXT a=1", "n1.node.consul. 7 TXT x=y"]
        address = "n1.node.consul. 7 A 10.0.0.1"
        message = asking.ask("n1.node.consul")
        self.assertEqual([*map(show, message.answer)], [address])
        self.assertEqual(sorted(map(show, message.additional)), texts)
        self.assertTrue(message.authoritative and message.response and message.recursion_desired)
        self.assertFalse(message.recursion_available)
        self.assertEqual(asking.answers("n1.node.dc1.consul", "TXT", udp=False)[1], "n1.node.dc1.consul. 7 TXT a=1")
        self.assertEqual(asking.answers("n1.node.consul", "ANY", udp=False), [address, *texts])
        for kind in ("AAAA", "SRV", "MX"):
            message = asking.ask("n1.node.consul", kind)
            self.assertEqual((message.rcode, message.answer, message.authority), (NOERROR, [], []))

    def test_noMetadata(self) -> None:
        """Metadata is left out of other answers where the configuration says so."""
        asking = Asking(node_meta_txt=False)
        asking.register("n1", "10.0.0.1", node_meta={"a": "1"})
        self.assertEqual(asking.ask("n1.node.consul").additional, [])
        self.assertEqual(asking.answers("n1.node.consul", "TXT"), ["n1.node.consul. 0 TXT a=1"])

    def test_case(self) -> None:
        """Names are found whatever their case; the answer has the question's."""
        asking = Asking()
        asking.register("Mixed", "2001:db8::1")
        self.assertEqual(
            asking.answers("mIXED.Node.CONSUL", "AAAA"), ["mIXED.Node.CONSUL. 0 AAAA 20010db8" + "0" * 23 + "1"]
        )

    def test_absent(self) -> None:
        """What is not there is NXDOMAIN, with the zone's SOA: nodes, datacenters, peers."""
        asking = Asking(soa_minimum=60)
        for name in ("n1.node.consul", "n1.node.dc2.consul", "n1.node.east.peer.consul", "x.consul", "consul"):
            message = asking.ask(name)
            self.assertEqual((message.rcode, message.answer), (NXDOMAIN, []), name)
            (soa,) = message.authority
            self.assertEqual(soa.ttl, 60)
            self.assertEqual(soa.data[2][:4], NOW.to_bytes(4, "big"))

    def test_hostName(self) -> None:
        """A node whose address is a host name is its alias; one of this domain is followed."""
        asking = Asking()
        asking.register("n1", "10.0.0.1")
        asking.register("ext", "www.example.com")
        asking.register("inner", "n1.node.consul")
        self.assertEqual(asking.answers("ext.node.consul"), ["ext.node.consul. 0 CNAME www.example.com."])
        self.assertEqual(
            asking.answers("inner.node.consul"),
            ["inner.node.consul. 0 CNAME n1.node.consul.", "n1.node.consul. 0 A 10.0.0.1"],
        )

    def test_circle(self) -> None:
        """Names that stand for each other in a circle end."""
        asking = Asking()
        asking.register("a", "b.node.consul")
        asking.register("b", "a.node.consul")
        self.assertLessEqual(len(asking.answers("a.node.consul")), 5)

    def test_tagged(self) -> None:
        """The tagged address of a family counts for its questions."""
        asking = Asking()
        asking.register("n1", "10.0.0.1", tagged_addresses={"lan_ipv6": "2001:db8::1", "wan": "192.0.2.1"})
        self.assertEqual(asking.answers("n1.node.consul"), ["n1.node.consul. 0 A 10.0.0.1"])
        self.assertIn("AAAA 20010db8", asking.answers("n1.node.consul", "AAAA")[0])

    def test_noLeader(self) -> None:
        """A server that knows no leader, where stale answers are not wanted, fails when its patience ends."""
        asking = Asking(allow_stale=False)
        asking.served.site.me = Me("dc1", True, False, False, False)
        sent: list[bytes] = []
        asking.server.answer(b"\0\7\1\0\0\1\0\0\0\0\0\0\2n1\4node\6consul\0\0\1\0\1", True, sent.append)
        self.assertEqual(sent, [])
        asking.served.clock.advance(8)
        self.assertEqual(sent[0][3] & 15, SERVFAIL)


class ServiceTests(SynchronousTestCase):
    """C{NAME.service}."""

    def test_addresses(self) -> None:
        """Each instance's address, its own or its node's, once."""
        asking = Asking(service_ttl={"web": 9})
        asking.service("n1", "10.0.0.1", "web")
        asking.service("n2", "10.0.0.2", "web", address="10.9.0.2")
        asking.service("n3", "10.0.0.3", "web", address="10.9.0.2")
        found = ["web.service.consul. 9 A 10.0.0.1", "web.service.consul. 9 A 10.9.0.2"]
        for kind in ("A", "ANY", "TXT"):
            self.assertEqual(asking.answers("web.service.consul", kind), found)
        for kind in ("AAAA", "MX"):
            message = asking.ask("web.service.consul", kind)
            self.assertEqual((message.rcode, message.answer), (NOERROR, []))
            self.assertEqual([*map(show, message.authority)], [SOA])

    def test_srv(self) -> None:
        """Port, weight and a name for each instance, with the addresses and metadata beside them."""
        asking = Asking()
        asking.service("n1", "10.0.0.1", "web", 8001)
        asking.register("n1", "10.0.0.1", node_meta={"a": "1"})
        asking.service("n2", "10.0.0.2", "web", 8002, address="10.9.0.2", weights=Weights(passing=5, warning=2))
        asking.service("n3", "10.0.0.3", "web", 8003, "warning", weights=Weights(passing=5, warning=2))
        message = asking.ask("_web._tcp.consul", "SRV")
        self.assertEqual(
            sorted(map(show, message.answer)),
            [
                "_web._tcp.consul. 0 SRV 1 1 8001 n1.node.dc1.consul.",
                "_web._tcp.consul. 0 SRV 1 2 8003 n3.node.dc1.consul.",
                "_web._tcp.consul. 0 SRV 1 5 8002 0a090002.addr.dc1.consul.",
            ],
        )
        self.assertEqual(
            sorted(map(show, message.additional)),
            [
                "0a090002.addr.dc1.consul. 0 A 10.9.0.2",
                "n1.node.dc1.consul. 0 A 10.0.0.1",
                "n1.node.dc1.consul. 0 TXT a=1",
                "n3.node.dc1.consul. 0 A 10.0.0.3",
            ],
        )

    def test_weights(self) -> None:
        """The worst check decides; maintenance counts for nothing, and a status of nobody's for one."""
        checks = {"": "passing", "w": "warning", "u": "unknown", "_node_maintenance": "passing"}
        for ids, wanted in (
            (["", "w"], 2),
            (["w", "u"], 1),
            (["", "_node_maintenance"], 0),
            (["_node_maintenance", "u"], 1),
            (["_node_maintenance_not"], 5),
            ([], 5),
        ):
            instance = CheckServiceNode(
                service=NodeService(service="web", weights=Weights(passing=5, warning=2)),
                checks=tuple([HealthCheck(check_id=id, status=checks.get(id, "passing")) for id in ids]),
            )
            self.assertEqual(weight_of(instance), wanted, ids)

    def test_health(self) -> None:
        """Critical instances are left out, warning ones too where only passing ones are wanted."""
        for only_passing, wanted in ((False, 2), (True, 1)):
            asking = Asking(only_passing=only_passing)
            for number, status in enumerate(("passing", "warning", "critical")):
                asking.service(f"n{number}", f"10.0.0.{number}", "web", 80, status)
            self.assertEqual(len(asking.answers("web.service.consul")), wanted)

    def test_tags(self) -> None:
        """A tag selects, in both forms, whatever its case."""
        asking = Asking()
        asking.service("n1", "10.0.0.1", "web", tags=("V1.2",))
        asking.service("n2", "10.0.0.2", "web")
        self.assertEqual(len(asking.answers("v1.2.web.service.consul")), 1)
        self.assertEqual(len(asking.answers("_web._tcp.service.consul", "SRV")), 2)
        self.assertEqual(asking.ask("_web._v2.service.consul", "SRV").rcode, NXDOMAIN)

    def test_external(self) -> None:
        """An alias is told only where no instance has an address."""
        asking = Asking()
        asking.service("ext", "www.example.com", "web")
        self.assertEqual(asking.answers("web.service.consul"), ["web.service.consul. 0 CNAME www.example.com."])
        self.assertEqual(
            asking.answers("web.service.consul", "SRV"), ["web.service.consul. 0 SRV 1 1 80 www.example.com."]
        )
        asking.service("n1", "10.0.0.1", "web")
        self.assertEqual(asking.answers("web.service.consul"), ["web.service.consul. 0 A 10.0.0.1"])

    def test_ownName(self) -> None:
        """A service whose address is its own name has its node's."""
        asking = Asking()
        asking.service("n1", "10.0.0.1", "web", address="Web.service.consul")
        self.assertEqual(asking.answers("web.service.consul"), ["web.service.consul. 0 A 10.0.0.1"])

    def test_tagged(self) -> None:
        """Tagged addresses of a service choose the family."""
        asking = Asking()
        tagged = {"lan_ipv4": ServiceAddress("10.9.0.1", 81), "lan_ipv6": ServiceAddress("2001:db8::9", 82)}
        asking.service("n1", "10.0.0.1", "web", tagged_addresses=tagged)
        self.assertEqual(asking.answers("web.service.consul"), ["web.service.consul. 0 A 10.9.0.1"])
        self.assertIn("AAAA 20010db8", asking.answers("web.service.consul", "AAAA")[0])

    def test_unspeakable(self) -> None:
        """An instance with names that DNS cannot hold is left out; the others are told."""
        asking = Asking()
        asking.service("a" * 70, "10.0.0.1", "web")
        asking.service("b..c", "bad..name", "web")
        asking.service("n1", "10.0.0.3", "web")
        self.assertEqual(
            asking.answers("web.service.consul", "SRV"), ["web.service.consul. 0 SRV 1 1 80 n1.node.dc1.consul."]
        )

    def test_limit(self) -> None:
        """C{a_record_limit} bounds addresses over TCP too, and not SRV."""
        asking = Asking(a_record_limit=2)
        for number in range(5):
            asking.service(f"n{number}", f"10.0.0.{number}", "web")
        self.assertEqual(len(asking.answers("web.service.consul", udp=False)), 2)
        self.assertEqual(len(asking.answers("web.service.consul", "SRV", udp=False)), 5)

    def test_mesh(self) -> None:
        """C{connect} leads to proxies and native instances, whatever stands before the name; a peer makes no odds."""
        asking = Asking()
        asking.service("n1", "10.0.0.1", "web", port=80)
        config = ConnectProxyConfig(destination_service_name="web")
        asking.service("n2", "10.0.0.2", "side", port=21000, kind="connect-proxy", proxy=config)
        asking.service("n3", "10.0.0.3", "own", port=9000, connect=ServiceConnect(native=True))
        self.assertEqual(
            asking.answers("web.connect.consul", "SRV"), ["web.connect.consul. 0 SRV 1 1 21000 n2.node.dc1.consul."]
        )
        for name in ("web.connect.consul", "tag.web.connect.dc1.consul", "web.connect.east.peer.consul"):
            self.assertEqual(asking.answers(name), [f"{name}. 0 A 10.0.0.2"])
        self.assertEqual(asking.answers("own.connect.consul"), ["own.connect.consul. 0 A 10.0.0.3"])
        for name in ("side.connect.consul", "web.connect.dc2.consul", "web.service.east.peer.consul"):
            self.assertEqual(asking.ask(name).rcode, NXDOMAIN)
        asking.deregister("n2")
        self.assertEqual(asking.ask("web.connect.consul").rcode, NXDOMAIN)

    def test_nothingOfTheKind(self) -> None:
        """Where no gateway lets anybody in, and no query is defined, the name does not exist."""
        asking = Asking()
        asking.service("n1", "10.0.0.1", "web")
        for kind in ("ingress", "query"):
            self.assertEqual(asking.ask(f"web.{kind}.consul").rcode, NXDOMAIN)

    def test_virtual(self) -> None:
        """A virtual address is told for every type; a peer has none; a new one replaces what was kept."""
        asking = Asking()
        entry = SystemMetadataEntry(key="virtual-ips", value="true")
        asking.served.call("SystemMetadata.Apply", SystemMetadataRequest(datacenter="dc1", op="upsert", entry=entry))
        self.assertEqual(asking.answers("web.virtual.consul", "SRV"), [])
        asking.service("n1", "10.0.0.1", "web", connect=ServiceConnect(native=True))
        self.assertEqual(asking.answers("web.virtual.consul", "SRV"), ["web.virtual.consul. 0 A 240.0.0.1"])
        for name in ("none.virtual.consul", "web.virtual.dc1.consul", "web.virtual.east.peer.consul"):
            self.assertEqual((asking.ask(name).rcode, asking.answers(name)), (NOERROR, []))


class ZoneTests(SynchronousTestCase):
    """The zone itself, and what is outside."""

    def test_servers(self) -> None:
        """NS and SOA tell up to three servers with their addresses."""
        asking = Asking(node_ttl=4)
        for number in range(5):
            asking.service(f"S{number}", f"10.0.0.{number}", "consul", 8300)
        message = asking.ask("consul", "NS")
        self.assertEqual((len(message.answer), len(message.additional)), (3, 3))
        self.assertTrue(show(message.answer[0]).startswith("consul. 4 NS s"))
        message = asking.ask("x.Consul", "SOA")
        self.assertEqual([*map(show, message.answer)], [SOA])
        self.assertEqual({one.name for one in message.authority}, {(b"Consul",)})

    def test_transfer(self) -> None:
        """The zone is not handed out."""
        self.assertEqual(Asking().ask("consul", "AXFR").rcode, NOTIMP)

    def test_domains(self) -> None:
        """Answers have the domain that was asked for."""
        asking = Asking(domain="Corp.Internal", alternative="alt.test.")
        asking.service("n1", "10.0.0.1", "web")
        for domain in ("corp.internal", "ALT.test"):
            self.assertEqual(
                asking.answers(f"web.service.{domain}", "SRV"),
                [f"web.service.{domain}. 0 SRV 1 1 80 n1.node.dc1.{domain}."],
            )
        self.assertEqual(show(asking.ask("x.alt.test").authority[0]), "alt.test. 0 SOA ns.alt.test.")

    def test_outside(self) -> None:
        """What is elsewhere is refused where nobody can be asked."""
        for name in ("www.example.com", "xconsul", "."):
            message = Asking().ask(name, size=1232)
            self.assertEqual((message.rcode, message.authoritative), (REFUSED, False))
            self.assertIsNotNone(message.edns())

    def test_addresses(self) -> None:
        """C{HEX.addr} is an address, beside the answer where its type was not asked for."""
        asking = Asking(node_ttl=3)
        self.assertEqual(asking.answers("0A000001.ADDR.dc9.consul"), ["0a000001.addr.dc9.consul. 3 A 10.0.0.1"])
        message = asking.ask("0a000001.addr.consul", "AAAA")
        self.assertEqual((message.answer, len(message.additional)), ([], 1))
        self.assertEqual(asking.ask("0a0000.addr.consul").rcode, NXDOMAIN)


class NamelessTests(SynchronousTestCase):
    """Names that have the form of a service's, and no name in it."""

    def test_service(self) -> None:
        """No service is named: that is the asker's mistake, and no absence that may be remembered."""
        message = Asking().ask("_._tcp.service.consul", "SRV")
        self.assertEqual((message.rcode, message.authority), (SERVFAIL, []))


class ReverseTests(SynchronousTestCase):
    """Names of addresses."""

    def test_found(self) -> None:
        """A node's name counts before a service's, for every type."""
        asking = Asking()
        asking.service("n1", "10.0.0.1", "web", address="10.9.0.1")
        asking.register("n6", "2001:DB8::5")
        self.assertEqual(
            asking.answers("1.0.0.10.in-addr.arpa", "A"), ["1.0.0.10.in-addr.arpa. 0 PTR n1.node.dc1.consul."]
        )
        self.assertIn("PTR web.service.dc1.consul.", asking.answers("1.0.9.10.in-addr.ARPA", "PTR")[0])
        name = "5." + "0." * 23 + "8.b.d.0.1.0.0.2.ip6.arpa"
        self.assertIn("PTR n6.node.dc1.consul.", asking.answers(name, "PTR")[0])
        asking.register("n2", "10.9.0.1")
        self.assertIn("PTR n2.node.dc1.consul.", asking.answers("1.0.9.10.in-addr.ARPA", "PTR")[0])

    def test_absent(self) -> None:
        """An address that nobody has, or no address, is NXDOMAIN."""
        asking = Asking()
        asking.service("n1", "ext.example.com", "web")
        asking.service("n2", "10.0.0.2", "api", address="::ffff:10.0.0.1")  # not as the address is usually written
        for name in ("1.0.0.10.in-addr.arpa", "10.in-addr.arpa", "arpa"):
            message = asking.ask(name, "PTR")
            self.assertEqual((message.rcode, len(message.authority)), (NXDOMAIN, 1))


class EDNSTests(SynchronousTestCase):
    """EDNS is answered with EDNS."""

    def test_size(self) -> None:
        """The size comes back; options do not, but for the client's subnet."""
        asking = Asking()
        asking.register("n1", "10.0.0.1")
        subnet = b"\0\1\x18\0\x0a\0\0"
        found = asking.ask("n1.node.consul", size=1400, options=[(10, bytes(8)), (CLIENT_SUBNET, subnet)]).edns()
        assert found is not None
        self.assertEqual((found.size, found.options), (1400, ((CLIENT_SUBNET, subnet),)))

    def test_scope(self) -> None:
        """The answer to a query, which may depend on who asks, says for which subnet it is; an absent one does not."""
        found = Asking().ask("q.query.consul", size=1400, options=[(CLIENT_SUBNET, b"\0\1\x18\x05\x0a\0\0")]).edns()
        assert found is not None
        self.assertEqual(found.options[0][1][3], 0)


class AddressTests(SynchronousTestCase):
    """Texts to addresses."""

    def test_parse(self) -> None:
        """IPv4 within IPv6 is IPv4; zones and host names are no addresses."""
        self.assertEqual(parse_address("::ffff:10.0.0.1"), parse_address("10.0.0.1"))
        self.assertIsNone(parse_address("fe80::1%eth0"))
        self.assertIsNone(parse_address("host"))
