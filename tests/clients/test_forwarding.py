"""Resolvers that forward the zone C{consul} to the agent: dnsmasq and unbound."""

from __future__ import annotations

import getpass

from tests.clients.discovering import DiscoveryTestCase, needs

UNBOUND = """
server:
  interface: {host}@{port}
  do-daemonize: no
  use-syslog: no
  logfile: ""
  username: ""
  chroot: ""
  directory: "{directory}"
  pidfile: ""
  module-config: "validator iterator"
  do-not-query-localhost: no
  domain-insecure: "consul"
  domain-insecure: "10.in-addr.arpa"
  local-zone: "10.in-addr.arpa." nodefault
{zone}
remote-control:
  control-enable: no
"""
FORWARD = """
forward-zone:
  name: "consul"
  forward-addr: {dns[0]}@{dns[1]}
forward-zone:
  name: "10.in-addr.arpa"
  forward-addr: {dns[0]}@{dns[1]}
"""
STUB = """
stub-zone:
  name: "consul"
  stub-addr: {dns[0]}@{dns[1]}
stub-zone:
  name: "10.in-addr.arpa"
  stub-addr: {dns[0]}@{dns[1]}
"""


class ForwardingTests(DiscoveryTestCase):
    """What is found through a resolver is what the agent knows."""

    def setUp(self) -> None:
        needs("dig")
        super().setUp()
        self.api(
            "PUT",
            "/v1/catalog/register",
            {"Node": "n1", "Address": "10.1.2.3", "Service": {"Service": "db", "Port": 5432, "Tags": ["primary"]}},
        )
        for number in range(30):
            service = {"Service": "many", "Port": 80, "Address": f"10.0.0.{number}"}
            self.api("PUT", "/v1/catalog/register", {"Node": f"m{number}", "Address": "10.9.9.9", "Service": service})

    def look(self, where: tuple[str, int]) -> None:
        """Look names up through a resolver."""

        def ask(*arguments: str) -> list[str]:
            return self.dig(*arguments, at=where)

        self.comes(lambda: ask("+short", "n1.node.consul"), ["10.1.2.3"])
        self.assertEqual(ask("+short", "db.service.consul"), ["10.1.2.3"])
        self.assertEqual(ask("+short", "primary.db.service.dc1.consul"), ["10.1.2.3"])
        self.assertEqual(ask("+short", "DB.Service.Consul"), ["10.1.2.3"])
        self.assertEqual(ask("+short", "_db._tcp.service.consul", "SRV"), ["1 1 5432 n1.node.dc1.consul."])
        self.assertEqual(ask("+short", "-x", "10.1.2.3"), ["n1.node.dc1.consul."])
        self.assertEqual(ask("+short", "none.service.consul"), [])
        self.assertIn("status: NXDOMAIN", "\n".join(ask("none.service.consul")))
        self.assertEqual(ask("+short", "db.service.consul", "AAAA"), [])
        self.assertIn("status: NOERROR", "\n".join(ask("db.service.consul", "AAAA")))
        self.assertEqual(len(ask("+short", "+tcp", "many.service.consul")), 30)
        self.register("web", "web", 8080)
        self.comes(lambda: ask("+short", "web.service.consul"), ["127.0.0.1"])
        self.update("web", "critical")
        self.comes(lambda: ask("+short", "web.service.consul"), [])

    def test_dnsmasq(self) -> None:
        """C{server=/consul/…}"""
        needs("dnsmasq")
        host, port = self.own_address()
        self.run_program(
            "dnsmasq",
            "--keep-in-foreground",
            "--log-facility=-",
            "--conf-file=/dev/null",
            "--pid-file",
            f"--user={getpass.getuser()}",
            "--no-resolv",
            "--no-hosts",
            "--bind-interfaces",
            f"--listen-address={host}",
            f"--port={port}",
            f"--server=/consul/{self.dns[0]}#{self.dns[1]}",
            f"--rev-server=10.0.0.0/8,{self.dns[0]}#{self.dns[1]}",
        )
        self.look((host, port))

    def through_unbound(self, zone: str) -> None:
        """Ask through an unbound with these zones."""
        needs("unbound")
        host, port = self.own_address()
        file = self.directory / "unbound.conf"
        zones = zone.format(dns=self.dns)
        file.write_text(UNBOUND.format(host=host, port=port, directory=self.directory, zone=zones))
        self.run_program("unbound", "-d", "-c", str(file))
        self.look((host, port))

    def test_unboundForwarding(self) -> None:
        """C{forward-zone}: the agent is asked to recurse."""
        self.through_unbound(FORWARD)

    def test_unboundStub(self) -> None:
        """C{stub-zone}: the agent is asked as the authority that it is."""
        self.through_unbound(STUB)
