"""DNS of a process: the port, UDP and TCP, the wildcard address, and what cannot be listened on."""

from __future__ import annotations

import json
import socket

from tests.dns.asking import question, show
from tests.real.process import ProcessTestCase
from txconsul.dns.message import decode


class DNSTests(ProcessTestCase):
    """An agent with a DNS port."""

    def ask_dns(self, address: tuple[str, int], name: str, kind: str, udp: bool) -> list[str]:
        """The answers to a question."""
        packet = question(name, kind)
        if udp:
            with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as asker:
                asker.settimeout(10)
                asker.sendto(packet, address)
                data = asker.recv(65535)
        else:
            with socket.create_connection(address, 10) as link, link.makefile("rb") as reader:
                link.sendall(len(packet).to_bytes(2, "big") + packet)
                data = reader.read(int.from_bytes(reader.read(2), "big"))
        return sorted(map(show, decode(data).answer))

    def test_found(self) -> None:
        """What is registered over HTTP is found over DNS, as are the server and its zone."""
        host, port = self.own_address()
        process = self.started(addresses={"http": f"unix://{self.socket_path}", "dns": host}, ports={"dns": port})
        process.wait_for(f"Listening for DNS on {host}:{port}")
        body = json.dumps({"Node": "n1", "Address": "10.0.0.1", "Service": {"Service": "web", "Port": 80}})
        self.assertEqual(self.ask("PUT", "/v1/catalog/register", body.encode()).status, 200)
        for udp in (True, False):
            self.assertEqual(
                self.ask_dns((host, port), "web.service.consul", "SRV", udp),
                ["web.service.consul. 0 SRV 1 1 80 n1.node.dc1.consul."],
            )
            self.assertEqual(self.ask_dns((host, port), "consul", "NS", udp), ["consul. 0 NS one.node.dc1.consul."])
        self.stopped(process)

    def test_taken(self) -> None:
        """A port that somebody else has ends the agent, with a line that says so."""
        host, port = self.own_address()
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as other:
            other.bind((host, port))
            addresses = {"http": f"unix://{self.socket_path}", "dns": host}
            process = self.run_agent("-config-file", self.configuration(addresses=addresses, ports={"dns": port}))
            process.wait_for("cannot go on: .*Address already in use")
            self.assertNotEqual(process.wait(), 0)
            self.assertNotIn("Traceback", process.output)
        self.assertNotIn("DNS on", process.output)
