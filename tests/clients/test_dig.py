"""dig asks the agent for everything that there is by DNS."""

from __future__ import annotations

from typing import Any

from tests.clients.discovering import DiscoveryTestCase, needs


class DigTests(DiscoveryTestCase):
    """An agent with some nodes and services."""

    def setUp(self) -> None:
        needs("dig")
        super().setUp()
        self.register("web", "web1", 8001, Tags=["v1", "blue.green"])
        self.register(
            "web", "web2", 8002, "warning", Tags=["v2"], Address="10.0.0.2", Weights={"Passing": 5, "Warning": 2}
        )
        self.register("web", "web3", 8003, "critical", Tags=["v1"], Address="10.0.0.3")
        node = {"Node": "db", "Address": "10.1.2.3", "NodeMeta": {"rack": "r1", "plain": "x"}}
        self.api("PUT", "/v1/catalog/register", node)
        self.api("PUT", "/v1/catalog/register", {"Node": "six", "Address": "2001:db8::6"})
        for number in range(60):
            service = {"Service": "many", "Port": 8000 + number, "Address": f"10.0.1.{number}"}
            self.api("PUT", "/v1/catalog/register", {"Node": f"m{number}", "Address": "10.9.9.9", "Service": service})
        # what the agent registers itself comes to the catalog a moment later
        self.comes(lambda: self.short("web.service.consul"), ["10.0.0.2", "127.0.0.1"])

    def more_configuration(self) -> dict[str, Any]:
        return {"alt_domain": "site.example", "dns_config": {"enable_truncate": True}}

    def short(self, *arguments: str) -> list[str]:
        """The data of the answer."""
        return self.dig("+short", *arguments)

    def whole(self, *arguments: str) -> str:
        """All that dig tells."""
        return "\n".join(self.dig(*arguments))

    def test_names(self) -> None:
        """Each kind of name, in every form."""
        both = ["10.0.0.2", "127.0.0.1"]
        for name, wanted in {
            "web.service.consul": both,
            "web.service.dc1.consul": both,
            "web.service.dc1.dc.consul": both,
            "web.service.site.example": both,
            "WEB.Service.Consul.": both,
            "v2.web.service.consul": ["10.0.0.2"],
            "blue.green.web.service.consul": ["127.0.0.1"],
            "_web._v1.service.consul": ["127.0.0.1"],
            "db.node.consul": ["10.1.2.3"],
            "db.node.dc1.consul": ["10.1.2.3"],
            "0a010203.addr.consul": ["10.1.2.3"],
            "none.service.consul": [],
            "web.service.elsewhere.consul": [],
        }.items():
            self.assertEqual(self.short(name), wanted, name)

    def test_types(self) -> None:
        """Each type of record."""
        srv = ["1 1 8001 7f000001.addr.dc1.consul.", "1 2 8002 0a000002.addr.dc1.consul."]
        for arguments, wanted in (
            (("web.service.consul", "SRV"), srv),
            (("_web._tcp.service.consul", "SRV"), srv),
            (("_web._v2.service.consul", "SRV"), srv[1:]),
            (("six.node.consul", "AAAA"), ["2001:db8::6"]),
            (("six.node.consul", "A"), []),
            (("20010db8000000000000000000000006.addr.consul", "AAAA"), ["2001:db8::6"]),
            (("db.node.consul", "TXT"), ['"rack=r1"', '"plain=x"']),
            (("db.node.consul", "ANY"), ["10.1.2.3", '"rack=r1"', '"plain=x"']),
            (("-x", "10.1.2.3"), ["db.node.dc1.consul."]),
            (("-x", "2001:db8::6"), ["six.node.dc1.consul."]),
            (("-x", "10.0.0.2"), ["web.service.dc1.consul."]),
            (("consul", "NS"), ["one.node.dc1.consul."]),
        ):
            self.assertEqual(self.short(*arguments), sorted(wanted), arguments)
        self.assertRegex(self.short("consul", "SOA")[0], r"^ns\.consul\. hostmaster\.consul\. \d+ 3600 600 86400 0$")

    def test_whatIsNotThere(self) -> None:
        """No such name, no such type, a zone that is not ours; the SOA says how long that may be believed."""
        nothing = self.whole("none.service.consul")
        self.assertIn("status: NXDOMAIN", nothing)
        self.assertRegex(nothing, r"consul\.\t+0\tIN\tSOA")
        self.assertIn("status: NOERROR", self.whole("web.service.consul", "AAAA"))
        self.assertIn("status: REFUSED", self.whole("www.example.org"))
        self.assertIn("status: NOTIMP", self.whole("+opcode=NOTIFY", "web.service.consul"))

    def test_sizes(self) -> None:
        """A datagram has what it can carry and says so; dig then asks by TCP and has all."""
        self.assertEqual(len(self.short("many.service.consul")), 60)  # over TCP after a truncated answer
        self.assertEqual(len(self.short("+tcp", "many.service.consul", "SRV")), 60)
        small = self.whole("+ignore", "+noedns", "many.service.consul")
        self.assertRegex(small, r"flags: [a-z ]*\btc\b")
        self.assertIn("ANSWER: 3,", small)
        large = self.whole("+ignore", "+bufsize=4096", "many.service.consul")
        self.assertNotRegex(large, r"flags: [a-z ]*\btc\b")
        self.assertIn("ANSWER: 60,", large)

    def test_options(self) -> None:
        """Cookies, a client's subnet, the DO bit, an unknown version: what is not understood is passed over."""
        for options in (
            ["+cookie"],
            ["+subnet=10.0.0.0/8"],
            ["+dnssec"],
            ["+adflag", "+cdflag"],
            ["+norecurse"],
            ["+nsid", "+padding=128"],
            ["+keepopen", "+tcp"],
            ["+ednsopt=65001:abcd"],
        ):
            self.assertEqual(self.short(*options, "db.node.consul"), ["10.1.2.3"], options)
        self.assertIn("flags: qr aa rd", self.whole("db.node.consul"))

    def test_health(self) -> None:
        """Who is critical is not told of, and comes back."""
        for status, wanted in (
            ("critical", ["10.0.0.2"]),
            ("passing", ["10.0.0.2", "127.0.0.1"]),
        ):
            self.update("web1", status)
            self.comes(lambda: self.short("web.service.consul"), wanted)
        self.api("PUT", "/v1/agent/maintenance?enable=true&reason=works")
        self.comes(lambda: self.short("web.service.consul"), [])
        self.api("PUT", "/v1/agent/maintenance?enable=false")
        self.comes(lambda: self.short("web.service.consul"), ["10.0.0.2", "127.0.0.1"])
