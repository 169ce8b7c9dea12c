"""Addresses, templates and interfaces."""

from __future__ import annotations

import ipaddress

from hypothesis import given, settings
from hypothesis import strategies as st
from twisted.internet.endpoints import serverFromString
from twisted.internet.testing import MemoryReactor
from twisted.trial.unittest import SynchronousTestCase

from tests.agent.configuring import INTERFACES, ConfigurationTestCase, surroundings
from txconsul.agent.configuration.addresses import Address
from txconsul.agent.configuration.interfaces import Interface, private_ipv4, public_ipv6, read_interfaces
from txconsul.agent.configuration.sockaddr import BadTemplate, expand

TEMPLATE_WORDS = [
    *("{{", "}}", "|", '"', "`", " ", "GetAllInterfaces", "GetPrivateIP", "include", "sort", "attr", "limit"),
    *('"name"', '"address"', '"size"', "1", "-1", "x", "-", "\\"),
]


class AddressTests(SynchronousTestCase):
    """What an address says of itself."""

    def test_texts(self) -> None:
        """IPv6 stands in brackets, a Unix socket is its path."""
        for address, text in (
            (Address("127.0.0.1", 8500), "127.0.0.1:8500"),
            (Address("::1", 8500), "[::1]:8500"),
            (Address(path="/run/x"), "/run/x"),
        ):
            self.assertEqual(str(address), text)

    def test_endpoints(self) -> None:
        """The endpoint strings are Twisted's, whatever signs are in the address."""
        reactor = MemoryReactor()
        for address, host in ((Address("127.0.0.1", 80), "127.0.0.1"), (Address("::1", 81), "::1")):
            serverFromString(reactor, address.endpoint()).listen(None)
            self.assertEqual(reactor.tcpServers[-1][0::3], (address.port, host))
        serverFromString(reactor, Address(path="/run/a:b\\c=d").endpoint("0700")).listen(None)
        self.assertEqual(reactor.unixServers[0][0], "/run/a:b\\c=d")
        self.assertEqual(reactor.unixServers[0][3], 0o700)


class TemplateTests(SynchronousTestCase):
    """The subset of go-sockaddr."""

    def expanded(self, text: str) -> str:
        return expand(text, lambda: INTERFACES)

    def test_sources(self) -> None:
        """Each source of addresses."""
        for text, address in (
            ("{{ GetPrivateIP }}", "10.1.2.3"),
            ("{{GetPrivateIPs}}", "10.1.2.3"),
            ("{{- GetPublicIP -}}", "2001:4860::8888"),
            ("{{ GetPublicIPs }}", "2001:4860::8888 8.8.4.4"),
            ('{{ GetInterfaceIP "eth0" }}', "10.1.2.3"),
            ("{{ GetInterfaceIP `eth1` }}", "8.8.4.4"),
            ('{{ GetInterfaceIP "none" }}', ""),
            ('{{ GetInterfaceIPs "eth0" }}', "10.1.2.3 2001:4860::8888 fe80::1"),
            ('{{ GetAllInterfaces | attr "name" }}', "lo"),
            ('{{ GetDefaultInterfaces | join "address" "," }}', "10.1.2.3,2001:4860::8888"),
            ('{{ GetPrivateInterfaces | attr "network" }}', "10.1.0.0/16"),
            ('{{ GetPublicInterfaces | limit 1 | join "name" " " }}', "eth0"),
        ):
            self.assertEqual(self.expanded(text), address, text)

    def test_filters(self) -> None:
        """Each filter."""
        for text, names in (
            ('include "name" "^eth1$"', "eth1"),
            ('exclude "name" "eth" | exclude "flags" "loopback"', "down0"),
            ('include "type" "IPv6" | include "flags" "up|forwardable"', "eth0"),
            ('include "network" "10.0.0.0/8" | include "flag" "up"', "eth0"),
            ('include "network" "8.0.0.0/8|10.9.0.0/16"', "eth1 down0"),
            ('include "rfc" "6890" | include "type" "ipv4"', "lo eth0 down0"),
            ('include "address" "^8[.]"', "eth1"),
            ('include "size" "/16"', "eth0"),
            ('sort "-name" | offset 1 | limit 2', "eth1 eth0"),
            ('sort "default,-size" | limit 1', "eth0"),
            ('unique "name"', "lo eth0 eth1 down0"),
        ):
            self.assertEqual(self.expanded("{{ GetAllInterfaces | " + text + ' | join "name" " " }}'), names, text)

    def test_textAround(self) -> None:
        """Text around templates stays; without a template no interface is asked for."""
        self.assertEqual(
            self.expanded("1.1.1.1 {{ GetPrivateIP }} {{ GetPublicIP }}"), "1.1.1.1 10.1.2.3 2001:4860::8888"
        )
        self.assertEqual(expand("plain", lambda: self.fail("asked")), "plain")

    def test_refusals(self) -> None:
        """What is beyond the subset is refused by name."""
        for text, words in (
            ("{{ GetWeather }}", 'function "GetWeather" not defined'),
            ("{{ GetPrivateIP | upper }}", 'function "upper" not defined'),
            ('{{ GetPrivateIP | attr "name" }}', "attr needs interfaces, and was given a text"),
            ("{{ GetAllInterfaces }}", '"GetAllInterfaces" gives interfaces, not a text; end it with | attr "address"'),
            ("{{ GetInterfaceIP }}", "wrong number of args for GetInterfaceIP: want 1 got 0"),
            ("{{ GetPrivateIP", "unclosed action"),
            ("{{ }}", "missing value for command"),
            ("{{ GetAllInterfaces | | limit 1 }}", "missing value for command"),
            ('{{ GetAllInterfaces | include "name" "(" | attr "name" }}', "unable to compile regexp '('"),
            ('{{ GetAllInterfaces | include "moon" "x" | attr "name" }}', 'cannot select interfaces by moon "x"'),
            ('{{ GetAllInterfaces | include "network" "x" | attr "name" }}', "unable to parse network 'x'"),
            ('{{ GetAllInterfaces | sort "moon" | attr "name" }}', "cannot sort interfaces by 'moon'"),
            ('{{ GetAllInterfaces | attr "moon" }}', "unsupported attribute name 'moon'"),
            ('{{ GetAllInterfaces | limit "x" | attr "name" }}', "limit needs a number from 0 on"),
            ("{{ ! }}", "unexpected '!' in template"),
        ):
            self.assertEqual(str(self.assertRaises(BadTemplate, self.expanded, text)), words)

    @settings(max_examples=300, deadline=None)
    @given(
        st.lists(
            st.sampled_from(TEMPLATE_WORDS),
            max_size=14,
        ).map(" ".join)
    )
    def test_anyTemplate(self, text: str) -> None:
        """Any text is expanded or refused with a BadTemplate."""
        try:
            self.expanded(text)
        except BadTemplate:
            return


class InterfaceTests(SynchronousTestCase):
    """The interfaces of a machine."""

    def test_detection(self) -> None:
        """Only interfaces in use count; loopback only where there is no other."""
        self.assertEqual(private_ipv4(INTERFACES), ["10.1.2.3"])
        self.assertEqual(public_ipv6(INTERFACES), ["2001:4860::8888"])
        self.assertEqual(private_ipv4(INTERFACES[:1]), ["127.0.0.1"])

    def test_thisMachine(self) -> None:
        """Reading this machine's interfaces gives well-formed addresses, or nothing."""
        for one in read_interfaces():
            self.assertIsInstance(one, Interface)
            self.assertTrue(one.name)
            if one.address.ip.is_loopback:
                self.assertTrue(one.loopback)


class ConfiguredAddressTests(ConfigurationTestCase):
    """Addresses of a configuration."""

    def test_bindToAll(self) -> None:
        """An agent that listens on all addresses tells others its only private one."""
        loaded = self.load()
        self.assertEqual((loaded.bind_address, loaded.advertise_address), ("0.0.0.0", "10.1.2.3"))
        self.assertEqual(loaded.rpc_bind, Address("0.0.0.0", 8300))
        self.assertEqual(loaded.serf_lan_advertise, Address("10.1.2.3", 8301))
        self.assertEqual(
            loaded.tagged_addresses,
            {"lan": "10.1.2.3", "lan_ipv4": "10.1.2.3", "wan": "10.1.2.3", "wan_ipv4": "10.1.2.3"},
        )
        self.assertEqual(self.load("-bind=[::]").advertise_address, "2001:4860::8888")

    def test_noneOrSeveralToTell(self) -> None:
        """Without exactly one address to tell others, the user must say which."""
        two = (*INTERFACES, Interface("eth2", ipaddress.ip_interface("192.168.1.1/24")))
        self.assertEqual(
            self.refused(surroundings=surroundings(two)),
            "Multiple private IPv4 addresses found. Please configure one with 'bind' and/or 'advertise'.",
        )
        self.assertEqual(self.refused(surroundings=surroundings(())), "No private IPv4 address found")
        self.assertEqual(self.load("-advertise=9.9.9.9", surroundings=surroundings(())).advertise_address, "9.9.9.9")

    def test_kindsOfAddresses(self) -> None:
        """Each address has its own key, and falls back to a more general one."""
        loaded = self.load(
            "-bind=10.1.2.3",
            "-advertise-wan=8.8.4.4",
            "-serf-lan-bind={{ GetPrivateIP }}",
            hcl='serf_wan = "127.0.0.1"\nadvertise_addr_ipv6 = "2001:db8::1"\ntagged_addresses { rack = "r" }',
        )
        self.assertEqual(loaded.serf_lan_bind, Address("10.1.2.3", 8301))
        self.assertEqual(loaded.serf_wan_bind, Address("127.0.0.1", 8302))
        self.assertEqual(loaded.serf_wan_advertise, Address("8.8.4.4", 8302))
        self.assertEqual(loaded.tagged_addresses["lan_ipv6"], "2001:db8::1")
        self.assertEqual(loaded.tagged_addresses["wan"], "8.8.4.4")
        self.assertEqual(loaded.tagged_addresses["rack"], "r")

    def test_listeners(self) -> None:
        """Services listen on all client addresses, or on their own; a port of 0 or less means not at all."""
        loaded = self.load(
            "-client=127.0.0.1 ::1",
            hcl='addresses { http = "unix:///run/http.sock 10.1.2.3" }\nports { https = 8501, dns = -1, grpc = 0 }',
        )
        self.assertEqual(loaded.http_addresses, (Address(path="/run/http.sock"), Address("10.1.2.3", 8500)))
        self.assertEqual(loaded.https_addresses, (Address("127.0.0.1", 8501), Address("::1", 8501)))
        self.assertEqual((loaded.dns_addresses, loaded.ports.dns, loaded.ports.grpc), ((), -1, -1))

    def test_grpcOfServers(self) -> None:
        """Servers offer gRPC with TLS unless they are told otherwise."""
        self.assertEqual(self.load("-server").ports.grpc_tls, 8503)
        self.assertEqual(self.load("-server", "-grpc-tls-port=-1").ports.grpc_tls, -1)
        self.assertEqual(self.load().ports.grpc_tls, -1)

    def test_noWAN(self) -> None:
        """Without a port there is no gossip with other datacenters."""
        loaded = self.load("-serf-wan-port=-1")
        self.assertEqual((loaded.serf_wan_bind, loaded.serf_wan_advertise), (None, None))

    def test_noClients(self) -> None:
        """Without client addresses nothing listens, and a warning says so."""
        loaded = self.load("-client=")
        self.assertEqual(loaded.http_addresses, ())
        self.assertIn("client_addr is empty", loaded.warnings[0])

    def test_joins(self) -> None:
        """Addresses to join may be templates, names, or instructions of several words."""
        loaded = self.load("-retry-join={{ GetPublicIPs }}", "-retry-join=provider=aws tag_key=x", "-retry-join=a:1")
        self.assertEqual(loaded.retry_join, ("2001:4860::8888", "8.8.4.4", "provider=aws tag_key=x", "a:1"))

    def test_refusals(self) -> None:
        """Addresses that cannot be."""
        for arguments, words in (
            (["-bind=x"], "bind_addr cannot be empty: bind_addr: invalid ip address: x (by -bind)"),
            (["-bind=1.1.1.1 2.2.2.2"], "bind_addr cannot contain multiple addresses"),
            (["-bind=unix:///x"], "bind_addr cannot be a unix socket (by -bind)"),
            (["-bind={{ GetMoon }}"], 'error parsing "{{ GetMoon }}": function "GetMoon" not defined'),
            (["-advertise=0.0.0.0"], "Advertise address cannot be 0.0.0.0, :: or [::] (advertise_addr by -advertise)"),
            (["-advertise-wan=[::]"], "Advertise WAN address cannot be 0.0.0.0, :: or [::]"),
            (["-client=unix:///x"], "client_addr cannot be a unix socket"),
            (["-client=1.2.3"], "client_addr: invalid ip address: 1.2.3"),
            (["-advertise=1.1.1.1 2.2.2.2"], "advertise_addr: multiple addresses found: 1.1.1.1 2.2.2.2"),
            (["-bind=fe80::1%eth0"], "invalid ip address: fe80::1%eth0"),
            (["-http-port=70000"], "1 error occurred:\n\t* ports.http: invalid port: 70000 (by -http-port)"),
            (["-server-port=0"], "server-port must be greater than zero (ports.server by -server-port)"),
            (["-serf-lan-port=-1"], "serf-lan-port must be greater than zero"),
            (["-hcl", 'addresses { dns = "unix:///x" }'], "DNS address cannot be a unix socket"),
            (["-hcl", 'advertise_addr_ipv4 = "::1"'], "advertise_addr_ipv4 must be an ipv4 address"),
            (["-hcl", "ports { sidecar_min_port = 30000 }"], "sidecar_min_port must be less than sidecar_max_port"),
            (["-recursor=unix:///x"], "DNS Recursors cannot be unix sockets: unix:///x"),
            (["-recursor=0.0.0.0"], "DNS recursor address cannot be 0.0.0.0, :: or [::]"),
            (["-http-port=8500", "-https-port=8500"], "HTTPS address 127.0.0.1:8500 already configured for HTTP"),
            (
                ["-serf-lan-port=8300"],
                "Serf Advertise LAN address 10.1.2.3:8300 already configured for RPC Advertise"
                " (ports.serf_lan by -serf-lan-port)",
            ),
        ):
            self.assertIn(words, self.refused(*arguments))
