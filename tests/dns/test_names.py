"""What names ask for."""

from __future__ import annotations

from ipaddress import ip_address

from hypothesis import given, settings
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from txconsul.dns.message import make_name
from txconsul.dns.names import Asked, Zone, address_of, is_arpa, parse, reversed_address
from txconsul.dns.settings import ServiceTTLs


def asked(text: str, for_srv: bool = False) -> Asked | None:
    """What a name below the domain asks for."""
    return parse(make_name(text), for_srv)


class FormTests(SynchronousTestCase):
    """Each form of a name."""

    def test_service(self) -> None:
        """A service, with tags and places; the case is no matter."""
        self.assertEqual(asked("Web.Service"), Asked("service", "web"))
        self.assertEqual(asked("v1.2.web.service"), Asked("service", "web", "v1.2"))
        self.assertEqual(asked("web.service.dc2"), Asked("service", "web", "", "dc2", "", "dc2"))
        self.assertEqual(asked("web.service.dc2.dc"), Asked("service", "web", "", "dc2"))
        self.assertEqual(asked("web.service.east.peer"), Asked("service", "web", "", "", "east"))
        self.assertIsNone(asked("web.service.a.peer.b.dc"))
        self.assertIsNone(asked("web.service.a.b"))
        self.assertIsNone(asked("web.service.a.b.c"))
        self.assertIsNone(asked("service"))

    def test_rfc2782(self) -> None:
        """C{_NAME._TAG}, where the tag C{tcp} is none; without C{.service} for SRV only."""
        self.assertEqual(asked("_web._v1.service"), Asked("service", "web", "v1"))
        self.assertEqual(asked("_web._tcp.service.dc1.dc"), Asked("service", "web", "", "dc1"))
        self.assertEqual(asked("_web._tcp", True), Asked("service", "web"))
        self.assertEqual(asked("_web._tcp.dc1", True), Asked("service", "web", "", "dc1", "", "dc1"))
        self.assertIsNone(asked("_web._tcp"))
        self.assertEqual(asked("_web.service"), Asked("service", "_web"))
        self.assertEqual(asked("_a._b._c.service"), Asked("service", "_c", "_a._b"))

    def test_node(self) -> None:
        """A node's name may have dots."""
        self.assertEqual(asked("rack1.host.node"), Asked("node", "rack1.host"))
        self.assertEqual(asked("a.node.dc1"), Asked("node", "a", "", "dc1", "", "dc1"))
        self.assertIsNone(asked("node.dc1"))

    def test_query(self) -> None:
        """A query's name may have dots; the RFC 2782 form drops the last label."""
        self.assertEqual(asked("a.b.query"), Asked("query", "a.b"))
        self.assertEqual(asked("_a.b._tcp.query.dc1"), Asked("query", "a.b", "", "dc1"))
        self.assertEqual(asked("_a.query"), Asked("query", "_a"))
        self.assertIsNone(asked("a.query.dc1.dc"))
        self.assertIsNone(asked("query"))

    def test_mesh(self) -> None:
        """Names of the mesh take the last label."""
        for kind in ("connect", "virtual", "ingress"):
            self.assertEqual(asked(f"tag.shop.{kind}"), Asked(kind, "shop"))
            self.assertIsNone(asked(kind))

    def test_addresses(self) -> None:
        """Hexadecimal digits are an address, wherever it is; nothing else is."""
        self.assertEqual(asked("0A01fe02.addr.dc7.x.y"), Asked("addr", "0a01fe02"))
        self.assertIsNone(asked("a.b.addr"))
        self.assertEqual(address_of("0a01fe02"), ip_address("10.1.254.2"))
        self.assertEqual(address_of("20010db8000000000000000000000007"), ip_address("2001:db8::7"))
        for digits in ("7f00", "7f0000012", "7g000001", "7f 00001", "", "7f00000é"):
            self.assertIsNone(address_of(digits), digits)

    def test_last(self) -> None:
        """The rightmost word that means something counts; without one there is nothing."""
        self.assertEqual(asked("web.service.node"), Asked("node", "web.service"))
        self.assertIsNone(asked("a.b.c"))
        self.assertIsNone(parse((), True))

    @given(st.lists(st.sampled_from(["_a", "b", "service", "node", "query", "dc", "addr", "peer"]), max_size=7))
    @settings(deadline=None)
    def test_any(self, words: list[str]) -> None:
        """Any words mean something or nothing, for every type."""
        for for_srv in (False, True):
            found = parse(tuple([word.encode() for word in words]), for_srv)
            if found is not None:
                self.assertTrue(found.name or found.kind in ("service", "query"))


class ZoneTests(SynchronousTestCase):
    """Which domain a name is in."""

    zone = Zone(make_name("corp.internal"), make_name("alt.corp.internal"))

    def test_split(self) -> None:
        """The longer domain counts, whatever its case, and its case is kept."""
        self.assertEqual(self.zone.split(make_name("a.Corp.internal")), ((b"a",), (b"Corp", b"internal")))
        self.assertEqual(self.zone.split(make_name("a.ALT.corp.internal")), ((b"a",), (b"ALT", b"corp", b"internal")))
        self.assertIsNone(self.zone.split(make_name("a.internal")))
        self.assertIsNone(self.zone.split(make_name("xcorp.internal")))
        self.assertIsNone(Zone(make_name("consul"), ()).split(()))


class ReverseTests(SynchronousTestCase):
    """Names of addresses."""

    def test_addresses(self) -> None:
        """Whole addresses are found, of both families."""
        for text in ("10.8.0.1", "255.255.255.255", "2001:db8::2:5", "::"):
            name = make_name(ip_address(text).reverse_pointer.upper())
            self.assertTrue(is_arpa(name))
            self.assertEqual(reversed_address(name), ip_address(text))

    def test_others(self) -> None:
        """Parts of addresses, and nonsense, are none."""
        for text in ("arpa", "8.10.in-addr.arpa", "x.1.8.10.in-addr.arpa", "300.1.8.10.in-addr.arpa", "1.ip6.arpa"):
            self.assertIsNone(reversed_address(make_name(text)))
        self.assertIsNone(reversed_address(make_name(".".join(["g"] * 32) + ".ip6.arpa")))
        self.assertIsNone(reversed_address(make_name(".".join(["-"] * 32) + ".ip6.arpa")))
        self.assertFalse(is_arpa(()))


class TTLTests(SynchronousTestCase):
    """The TTL of a service."""

    def test_longest(self) -> None:
        """Its own name counts most, then the longest beginning, then anything."""
        of = ServiceTTLs({"*": 5, "db*": 20, "db-main": 40, "cache-*": 60})
        found = [of(name) for name in ("db-main", "db-side", "cache-a", "other")]
        self.assertEqual(found, [40, 20, 60, 5])
        self.assertEqual(ServiceTTLs({})("web"), 0)
