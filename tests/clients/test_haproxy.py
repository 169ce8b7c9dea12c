"""HAProxy finds the servers of a backend by DNS, as C{server-template} asks for SRV records."""

from __future__ import annotations

import socket

from tests.clients.discovering import DiscoveryTestCase, needs
from tests.real.process import DEADLINE_SECONDS

CONFIGURATION = """
global
  stats socket {directory}/stats.sock mode 600 level admin
resolvers agent
  nameserver one {dns[0]}:{dns[1]}
  accepted_payload_size 8192
  resolve_retries 3
  timeout resolve 200ms
  timeout retry 200ms
  hold valid 200ms
  hold nx 0s
  hold obsolete 0s
defaults
  mode http
  timeout connect 5s
  timeout client 10s
  timeout server 10s
frontend site
  bind unix@{directory}/site.sock
  default_backend web
backend web
  server-template web 1-4 _web._tcp.service.consul resolvers agent resolve-prefer ipv4 init-addr none
"""
#: Columns of C{show servers state}.
_ADDRESS, _OPERATIONAL, _ADMINISTRATIVE, _PORT = 4, 5, 6, 18
_RUNNING = "2"
#: Every kind of maintenance and draining.
_OUT_OF_USE = 0x3F


class HAProxyTests(DiscoveryTestCase):
    """An agent, and a HAProxy that asks it."""

    def setUp(self) -> None:
        needs("haproxy")
        super().setUp()
        file = self.directory / "haproxy.cfg"
        file.write_text(CONFIGURATION.format(directory=self.directory, dns=self.dns).lstrip())
        self.haproxy = self.run_program("haproxy", "-db", "-f", str(file))

    def talk(self, name: str, request: bytes) -> str:
        """What a socket of HAProxy says."""
        with socket.socket(socket.AF_UNIX) as link:
            link.settimeout(DEADLINE_SECONDS)
            link.connect(str(self.directory / name))
            link.sendall(request)
            answer = b""
            while more := link.recv(65536):
                answer += more
        return answer.decode()

    def servers(self) -> set[tuple[str, int]]:
        """Address and port of each server that HAProxy would use."""
        lines = self.talk("stats.sock", b"show servers state web\n").splitlines()
        rows = [line.split() for line in lines if line and line[0].isdigit() and " " in line]
        return {
            (row[_ADDRESS], int(row[_PORT]))
            for row in rows
            if row[_OPERATIONAL] == _RUNNING and not int(row[_ADMINISTRATIVE]) & _OUT_OF_USE
        }

    def test_serversFollow(self) -> None:
        """Servers are those that are not critical, and follow registrations."""
        self.register("web", "web1", 8001)
        self.register("web", "web2", 8002, "warning")
        self.register("web", "web3", 8003, "critical")
        self.comes(self.servers, {("127.0.0.1", 8001), ("127.0.0.1", 8002)})
        self.update("web1", "critical")
        self.update("web3", "passing")
        self.comes(self.servers, {("127.0.0.1", 8002), ("127.0.0.1", 8003)})
        self.deregister("web2")
        self.register("web", "web4", 8004)
        self.comes(self.servers, {("127.0.0.1", 8003), ("127.0.0.1", 8004)})
        self.api("PUT", "/v1/agent/service/maintenance/web3?enable=true")
        self.comes(self.servers, {("127.0.0.1", 8004)})
        self.api("PUT", "/v1/agent/service/maintenance/web3?enable=false")
        self.comes(self.servers, {("127.0.0.1", 8003), ("127.0.0.1", 8004)})
        self.update("web3", "critical")
        self.update("web4", "critical")
        self.comes(self.servers, set())

    def test_requests(self) -> None:
        """A request goes to the service that passes; with none, HAProxy says so."""
        host, port = self.http.split(":")
        self.register("web", "web1", int(port), Address=host)  # the agent's own API is the site
        self.comes(self.servers, {(host, int(port))})
        request = b"GET /v1/status/leader HTTP/1.1\r\nHost: site\r\nConnection: close\r\n\r\n"
        self.assertIn(':8300"', self.talk("site.sock", request))
        self.update("web1", "critical")
        self.comes(self.servers, set())
        self.assertIn("503 Service Unavailable", self.talk("site.sock", request))
