"""
HTTPS as an agent's users meet it.
"""

from __future__ import annotations

import os
import shutil
import signal
import socket
import ssl
import subprocess
import time
from unittest import SkipTest

from tests.net.test_tls import CA, CLIENT, SERVER, STRANGER, certificate_pem, key_pem
from tests.real.process import DEADLINE_SECONDS, ProcessTestCase, environment

REQUEST = b"GET /v1/kv/a?raw HTTP/1.1\r\nHost: x\r\n\r\n"


class HTTPSTests(ProcessTestCase):
    """One agent with HTTPS beside its Unix socket."""

    def setUp(self) -> None:
        """Write the certificates of the tests of TLS."""
        super().setUp()
        self.files = {}
        for name, (certificate, key) in {"server": SERVER, "client": CLIENT, "stranger": STRANGER, "ca": CA}.items():
            for kind, data in (("cert", certificate_pem(certificate)), ("key", key_pem(key))):
                path = self.directory / f"{name}-{kind}.pem"
                path.write_bytes(data)
                self.files[f"{name}_{kind}"] = str(path)
        self.host, self.port = self.own_address()

    def serve(self, limits: dict[str, object] | None = None, **tls: object) -> None:
        """Start the agent."""
        files = {"cert_file": self.files["server_cert"], "key_file": self.files["server_key"]}
        self.process = self.started(
            addresses={"http": f"unix://{self.socket_path}", "https": self.host},
            ports={"https": self.port},
            tls={"https": {**files, **tls}},
            limits=limits or {},
        )
        self.process.wait_for("Listening for HTTPS")
        self.put("a", "x" * 300_000)

    def context(self, who: str = "") -> ssl.SSLContext:
        """A client that trusts the tests' authority, and shows a certificate if it is somebody."""
        context = ssl.create_default_context(cafile=self.files["ca_cert"])
        if who:
            context.load_cert_chain(self.files[f"{who}_cert"], self.files[f"{who}_key"])
        return context

    def plain(self) -> socket.socket:
        """A TCP connection to the HTTPS port."""
        link = socket.create_connection((self.host, self.port), DEADLINE_SECONDS)
        self.addCleanup(link.close)
        return link

    def secure(self, who: str = "") -> ssl.SSLSocket:
        """A TLS connection."""
        link = self.context(who).wrap_socket(self.plain(), server_hostname="localhost")
        self.addCleanup(link.close)
        return link

    def ask_securely(self, link: ssl.SSLSocket) -> bytes:
        """One request, and its whole answer."""
        link.sendall(REQUEST)
        got = b""
        while not got.endswith(b"x" * 1000) or len(got) < 300_000:
            piece = link.recv(1 << 16)
            if not piece:
                break
            got += piece
        return got

    def test_curl(self) -> None:
        """curl, with the authority's certificate, is served; it speaks TLS 1.2 or 1.3 and no older one."""
        if shutil.which("curl") is None:
            raise SkipTest("curl is not installed: script/debian-packages")
        self.serve()
        at = f"https://localhost:{self.port}/v1/kv/a?raw"
        command = ["curl", "-sS", "--cacert", self.files["ca_cert"], "--resolve", f"localhost:{self.port}:{self.host}"]
        for version in ([], ["--tlsv1.2", "--tls-max", "1.2"], ["--tlsv1.3"]):
            done = subprocess.run([*command, *version, at], capture_output=True, env=environment(), timeout=30)
            self.assertEqual((done.returncode, len(done.stdout)), (0, 300_000), done.stderr)
        done = subprocess.run(
            [*command, "--tls-max", "1.1", "--ciphers", "DEFAULT@SECLEVEL=0", at],
            capture_output=True,
            env=environment(),
            timeout=30,
        )
        self.assertNotEqual(done.returncode, 0)
        self.stopped(self.process)

    def test_clientCertificates(self) -> None:
        """With C{verify_incoming}, whoever shows no certificate of the authority's is not served."""
        self.serve(verify_incoming=True, ca_file=self.files["ca_cert"])
        with self.secure("client") as link:
            self.assertTrue(self.ask_securely(link).startswith(b"HTTP/1.1 200 "))
        for who in ("", "stranger"):
            try:  # TLS 1.3 says so only after the handshake
                self.assertEqual(self.ask_securely(self.secure(who)), b"")
            except (ssl.SSLError, ConnectionError):
                continue
        self.stopped(self.process)
        self.assertNotIn("Traceback", self.process.output)

    def test_hostile(self) -> None:
        """
        Plain requests, rubbish, and handshakes that are broken off or never go on harm nobody, and are closed after
        C{limits.https_handshake_timeout}.
        """
        self.serve(limits={"https_handshake_timeout": "1s"})
        idle = [self.plain() for _ in range(50)]
        began = [self.plain() for _ in range(50)]
        for link in began:
            link.sendall(b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03")
        for data in (REQUEST, os.urandom(2000), b"\x16\x03\x01\xff\xff" + bytes(70000), b"\x80\x2e\x01\x00\x02"):
            link = self.plain()
            try:
                link.sendall(data)
                link.shutdown(socket.SHUT_WR)
                while link.recv(1 << 16):
                    pass
            except ConnectionError:
                continue
        late = self.secure()
        start = time.monotonic()
        for link in (*idle, *began, late):
            try:
                while link.recv(1 << 16):
                    pass
            except ConnectionError:
                continue
        self.assertLess(time.monotonic() - start, 10.0)
        with self.secure() as link:
            self.assertTrue(self.ask_securely(link).startswith(b"HTTP/1.1 200 "))
        self.stopped(self.process)
        self.assertNotIn("Traceback", self.process.output)

    def test_stops(self) -> None:
        """Idle connections, waiting queries and slow readers over TLS do not keep a stopping agent."""
        self.serve()
        index = self.ask("GET", "/v1/kv/?keys").headers["x-consul-index"]
        idle, waiting, slow = self.secure(), self.secure(), self.secure()
        self.ask_securely(idle)
        self.ask_securely(waiting)
        waiting.sendall(b"GET /v1/kv/b?index=%b&wait=5m HTTP/1.1\r\nHost: x\r\n\r\n" % index.encode())
        slow.sendall(REQUEST * 30)
        slow.recv(1)
        self.process.signal(signal.SIGTERM)
        self.assertEqual(self.process.wait(12.0), 0, self.process.output)
        self.assertNotIn("Traceback", self.process.output)

    def test_unusableFiles(self) -> None:
        """A certificate that is absent, or that does not fit its key, ends the start with status 1 and is named."""
        for files in (
            {"cert_file": str(self.directory / "absent.pem"), "key_file": self.files["server_key"]},
            {"cert_file": self.files["server_cert"], "key_file": self.files["client_key"]},
        ):
            process = self.run_agent(
                "-config-file",
                self.configuration(
                    addresses={"http": f"unix://{self.socket_path}", "https": self.host},
                    ports={"https": self.port},
                    tls={"defaults": files},
                ),
            )
            self.assertEqual(process.wait(), 1, process.output)
            self.assertRegex(process.output, f"{files['cert_file']}|{files['key_file']}")
            self.assertNotIn("Traceback", process.output)
