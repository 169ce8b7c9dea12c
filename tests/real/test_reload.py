"""What a running agent takes up when its configuration is read again, and what a watcher sees meanwhile."""

from __future__ import annotations

import signal
import socket
import ssl

from tests.dns.asking import question, show
from tests.net.test_tls import CA, CLIENT, SERVER, certificate_pem, key_pem
from tests.real.process import DEADLINE_SECONDS, Process, ProcessTestCase
from txconsul.dns.message import decode


class ReloadTests(ProcessTestCase):
    """C{PUT /v1/agent/reload} after the file changed."""

    def reload(self, **more: object) -> None:
        """Write another file, and have it read."""
        self.configuration(**more)
        answer = self.ask("PUT", "/v1/agent/reload")
        self.assertEqual(answer.status, 200, answer.body)

    def test_dns(self) -> None:
        """TTLs of names change, and no kept answer survives; the domain stays."""
        host, port = self.own_address()
        places = {"addresses": {"http": f"unix://{self.socket_path}", "dns": host}, "ports": {"dns": port}}
        process = self.started(**places)
        process.wait_for("Listening for DNS")
        # answered when the node is registered
        self.ask("GET", "/v1/catalog/node/one?index=1&wait=20s")
        found = []
        for ttl in ("0s", "7s"):
            self.reload(**places, dns_config={"node_ttl": ttl}, domain="other.")
            with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as asker:
                asker.settimeout(DEADLINE_SECONDS)
                asker.sendto(question("one.node.consul", "A"), (host, port))
                found += map(show, decode(asker.recv(65535)).answer)
        self.assertEqual(found, [f"one.node.consul. {ttl} A {self.bind_host}" for ttl in (0, 7)])
        self.stopped(process)

    def test_manyParts(self) -> None:
        """The log's level, the node's metadata, which metrics are told, and services; all of it is shown."""
        process = self.started(node_meta={"rack": "1"})
        self.reload(
            log_level="debug",
            node_meta={"rack": "2"},
            telemetry={"prefix_filter": ["-consul.api"]},
            services=[{"name": "web", "port": 80}],
        )
        process.wait_for("The configuration was read again")
        self.ask("GET", "/v1/no/such")
        process.wait_for("DEBUG.*not a recognized")
        self.assertEqual(list(self.ask("GET", "/v1/agent/services").json()), ["web"])
        shown = self.ask("GET", "/v1/agent/self").json()
        self.assertEqual(shown["Meta"]["rack"], "2")
        self.assertEqual(shown["DebugConfig"]["Logging"]["LogLevel"], "debug")
        measured = {one["Name"] for one in self.ask("GET", "/v1/agent/metrics").json()["Samples"]}
        self.assertIn("consul.catalog.register", measured)
        self.assertNotIn("consul.api.http", measured)
        index = 0
        while True:
            answer = self.ask("GET", f"/v1/catalog/node/one?index={index}&wait=20s")
            if answer.json()["Node"]["Meta"]["rack"] == "2":
                break
            self.assertGreater(answer.index, index)
            index = answer.index
        self.stopped(process)

    def test_refused(self) -> None:
        """A configuration that cannot be used changes nothing, whichever part refuses it."""
        process = self.started()
        for wrong in ({"log_level": "loud"}, {"datacenter": "no good"}):
            self.configuration(**{"log_level": "debug", **wrong})
            self.assertEqual(self.ask("PUT", "/v1/agent/reload").status, 500, wrong)
        self.ask("GET", "/v1/no/such")
        self.stopped(process)
        self.assertNotIn("DEBUG", process.output)

    def test_certificate(self) -> None:
        """An HTTPS listener shows the certificate that its file holds now."""
        paths = {name: str(self.directory / f"{name}.pem") for name in ("cert", "key", "ca")}
        host, port = self.own_address()
        given = {
            "addresses": {"http": f"unix://{self.socket_path}", "https": host},
            "ports": {"https": port},
            "tls": {"defaults": {"cert_file": paths["cert"], "key_file": paths["key"]}},
        }
        self.show_certificate(paths, SERVER)
        process = self.started(**given)
        process.wait_for("Listening for HTTPS")
        seen = [self.certificate_at(host, port)]
        self.show_certificate(paths, CLIENT)
        self.reload(**given)
        seen.append(self.certificate_at(host, port))
        self.assertEqual(seen, [ssl.PEM_cert_to_DER_cert(certificate_pem(one[0]).decode()) for one in (SERVER, CLIENT)])
        self.stopped(process)

    def show_certificate(self, paths: dict[str, str], who: tuple[object, object]) -> None:
        """Write somebody's certificate and key."""
        for name, data in (("cert", certificate_pem(who[0])), ("key", key_pem(who[1])), ("ca", certificate_pem(CA[0]))):
            with open(paths[name], "wb") as file:
                file.write(data)

    def certificate_at(self, host: str, port: int) -> bytes | None:
        """What a listener shows."""
        context = ssl.create_default_context()
        context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
        with socket.create_connection((host, port), DEADLINE_SECONDS) as plain, context.wrap_socket(plain) as link:
            return link.getpeercert(binary_form=True)


class WatchingTests(ProcessTestCase):
    """Those who stay: watchers of the log, followers of metrics."""

    def watch(self, path: str) -> socket.socket:
        """A request whose answer has begun."""
        link = self.connect()
        link.sendall(f"GET {path} HTTP/1.1\r\nHost: x\r\n\r\n".encode())
        head = b""
        while b"\r\n\r\n" not in head:
            head += link.recv(1)
        self.assertIn(b"200 OK", head)
        self.assertIn(b"Transfer-Encoding: chunked", head)
        return link

    def rest(self, link: socket.socket) -> bytes:
        """All that still comes."""
        found = b""
        while data := link.recv(65536):
            found += data
        return found

    def test_end(self) -> None:
        """When the agent stops, they are told the rest and the end, in order."""
        process = self.started()
        watcher, follower = self.watch("/v1/agent/monitor?logjson"), self.watch("/v1/agent/metrics/stream")
        process.signal(signal.SIGTERM)
        told = self.rest(watcher)
        self.assertIn(b'"@message":"Stopping"', told)
        for data in (told, self.rest(follower)):
            self.assertTrue(data.endswith(b"0\r\n\r\n"), data)
        self.assertEqual(process.wait(), 0, process.output)

    def test_leaving(self) -> None:
        """Who leaves, or never reads, is no trouble to anybody."""
        process: Process = self.started()
        links = [self.watch("/v1/agent/monitor?loglevel=debug") for _ in range(3)]
        links.pop().close()
        for number in range(30):
            self.ask("GET", f"/v1/no/such/{number}/{'x' * 4000}")
        self.assertEqual(self.ask("GET", "/v1/status/leader").status, 200)
        self.stopped(process)
        self.assertNotIn("Traceback", process.output)
