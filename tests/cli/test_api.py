"""The HTTP client, alone and against real sockets."""

from __future__ import annotations

import os
import socket
import ssl
import threading
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from http.server import BaseHTTPRequestHandler, HTTPServer, ThreadingHTTPServer
from ipaddress import ip_address
from pathlib import Path
from tempfile import TemporaryDirectory

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from twisted.trial.unittest import SynchronousTestCase

from tests.cli.invoking import FakeAgent, answer
from txconsul.cli.api import ApiError, Client, StatusError
from txconsul.cli.settings import BadSettings, Settings
from txconsul.cli.sockets import connect


class RequestTests(SynchronousTestCase):
    """What L{Client} asks for."""

    def sent(self, settings: Settings, target: str, **more: object) -> FakeAgent:
        """An agent that was asked for C{/v1/x}."""
        agent = FakeAgent({f"GET {target}": answer("{}")})
        agent.connect(settings).call("GET", "/v1/x", **more)  # type: ignore[arg-type]
        return agent

    def test_credentials(self) -> None:
        """Token and basic authentication are headers."""
        headers = self.sent(Settings(token="t", auth=("me", "pw")), "/v1/x").requests[0].headers
        self.assertEqual(dict(headers), {"X-Consul-Token": "t", "Authorization": "Basic bWU6cHc="})

    def test_parameters(self) -> None:
        """A request's own parameters override those of the settings; all are sorted."""
        settings = Settings(params=(("dc", "dc1"), ("ns", "a")), prefix="/behind")
        self.sent(settings, "/behind/v1/x?a=+%2F&dc=dc1&ns=b", params={"ns": "b", "a": " /"})

    def test_status(self) -> None:
        """Another status than those allowed is an error with the agent's words, without space around."""
        agent = FakeAgent({"GET /v1/x": answer(" no \n", 403)})
        error = self.assertRaises(StatusError, agent.connect(Settings()).call, "GET", "/v1/x")
        self.assertEqual((str(error), error.status), ("Unexpected response code: 403 (no)", 403))

    def test_redirects(self) -> None:
        """A request goes where the agent says, as far as that is the agent itself; but not for ever."""
        moved = answer("moved", 301, Location="/v1/y?a=b")
        agent = FakeAgent({"GET /v1/x": moved, "GET /v1/y?a=b": answer("{}"), "PUT /v1/y?a=b": answer("true")})
        client = agent.connect(Settings(token="t"))
        self.assertEqual(client.call("GET", "/v1/x").read(), b"{}")
        self.assertEqual(agent.requests[-1].headers, {"X-Consul-Token": "t"})
        agent.answers["PUT /v1/x"] = lambda request: answer("moved", 301, Location="/v1/y?a=b")
        self.assertEqual(client.call("PUT", "/v1/x", body=b"value").read(), b"true")
        self.assertEqual(agent.bodies[-1], b"value")
        self.assertRaises(StatusError, client.call, "PUT", "/v1/x", body=iter([b"in pieces, which are gone"]))
        for place in ("//evil.example/v1/x", "http://evil.example/"):
            agent.answers["GET /v1/x"] = answer("moved", 307, Location=place)
            self.assertEqual(self.assertRaises(StatusError, client.call, "GET", "/v1/x").status, 307)
        agent.answers["GET /v1/x"] = lambda request: answer("", 302, Location="/v1/x")
        error = self.assertRaises(ApiError, client.call, "GET", "/v1/x")
        self.assertIn("stopped after 10 redirects", str(error))

    def test_index(self) -> None:
        """X-Consul-Index is a number, or 0."""
        self.assertEqual(answer(X_Consul_Index="17").index, 17)
        self.assertEqual((answer(X_Consul_Index="x").index, answer().index), (0, 0))


class Handler(BaseHTTPRequestHandler):
    """Answers with what it was asked."""

    protocol_version = "HTTP/1.1"

    def log_message(self, *_: object) -> None:
        """Keep quiet."""

    def do_GET(self) -> None:
        data = f"{self.command} {self.path}".encode() + self.body()
        self.server.clients.add(self.client_address)  # type: ignore[attr-defined]
        self.send_response(200)
        if self.path == "/v1/last":
            self.send_header("Connection", "close")
        self.send_header("Content-Length", str(len(data) + (9 if self.path == "/v1/short" else 0)))
        self.send_header("X-Consul-Index", "5")
        self.end_headers()
        self.wfile.write(data)

    do_PUT = do_GET

    def body(self) -> bytes:
        if self.headers.get("Transfer-Encoding") != "chunked":
            return self.rfile.read(int(self.headers.get("Content-Length", 0)))
        whole = b""
        while size := int(self.rfile.readline(), 16):
            whole += self.rfile.read(size)
            self.rfile.readline()
        self.rfile.readline()
        return whole


class UnixServer(ThreadingHTTPServer):
    """The same on a socket file."""

    address_family = socket.AF_UNIX

    def server_bind(self) -> None:
        self.socket.bind(str(self.server_address))
        self.server_name, self.server_port = "localhost", 0

    def get_request(self) -> tuple[socket.socket, str]:
        one, _ = self.socket.accept()
        return one, "unix:"


class ServedTestCase(SynchronousTestCase):
    """A test with servers on this machine."""

    def serve(self, server: HTTPServer) -> HTTPServer:
        """Let it serve until the test ends; it notes who connected."""
        server.clients = set()  # type: ignore[attr-defined]
        server.block_on_close = False  # type: ignore[attr-defined]
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        self.addCleanup(thread.join)
        self.addCleanup(server.server_close)
        self.addCleanup(server.shutdown)
        return server

    def failure(self, client: Client, path: str = "/v1/x") -> str:
        """How asking fails, without what stands before the cause."""
        error = self.assertRaises(ApiError, lambda: client.call("GET", path).read())
        return str(error)


class SocketTests(ServedTestCase):
    """L{connect} over TCP and socket files."""

    def raw(self, reply: bytes | Callable[[socket.socket], None]) -> Client:
        """A client of a server that says this to the first who connects, and closes."""
        listener = socket.create_server(("127.0.0.1", 0))

        def talk() -> None:
            one, _ = listener.accept()
            with one:
                if callable(reply):
                    reply(one)
                else:
                    one.recv(65536)
                    one.sendall(reply)

        thread = threading.Thread(target=talk)
        thread.start()
        self.addCleanup(thread.join)
        self.addCleanup(listener.close)
        return connect(Settings(address=f"127.0.0.1:{listener.getsockname()[1]}"))

    def test_tcp(self) -> None:
        """Requests and answers over TCP, whole, with a length, and in chunks."""
        server = self.serve(ThreadingHTTPServer(("127.0.0.1", 0), Handler))
        client = connect(Settings(address=f"127.0.0.1:{server.server_port}"))
        found = client.call("GET", "/v1/é", {"a": ""})
        self.assertEqual((found.read(), found.index, found.read()), (b"GET /v1/%C3%A9?a=", 5, b""))
        self.assertEqual(client.call("PUT", "/v1/x", body=b"whole").read(), b"PUT /v1/xwhole")
        pieces = client.call("PUT", "/v1/x", body=iter([b"two", b"-pieces"]))
        self.assertEqual(pieces.read(), b"PUT /v1/xtwo-pieces")
        sized = client.call("PUT", "/v1/x", body=iter([b"abc"]), headers={"Content-Length": "3"})
        self.assertEqual([sized.read(6), sized.read(6), sized.read(6)], [b"PUT /v", b"1/xabc", b""])

    def test_connectionIsKept(self) -> None:
        """Requests one after the other use one connection; when the agent closed it, another one."""
        server = self.serve(ThreadingHTTPServer(("127.0.0.1", 0), Handler))
        client = connect(Settings(address=f"127.0.0.1:{server.server_port}"))
        for _ in range(3):
            client.call("GET", "/v1/x").read()
        self.assertEqual(len(server.clients), 1)  # type: ignore[attr-defined]
        client.call("GET", "/v1/last").read()
        client.call("PUT", "/v1/x").read()
        self.assertEqual(len(server.clients), 2)  # type: ignore[attr-defined]

    def test_idleConnectionWasClosed(self) -> None:
        """A connection that the agent closed while nothing was asked is not used again."""
        listener = socket.create_server(("127.0.0.1", 0))
        self.addCleanup(listener.close)
        closed = threading.Event()

        def talk() -> None:
            for _ in range(2):
                one, _address = listener.accept()
                with one:
                    one.recv(65536)
                    one.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok")
                closed.set()

        thread = threading.Thread(target=talk)
        thread.start()
        self.addCleanup(thread.join)
        client = connect(Settings(address=f"127.0.0.1:{listener.getsockname()[1]}"))
        self.assertEqual(client.call("PUT", "/v1/x").read(), b"ok")
        closed.wait(10)
        self.assertEqual(client.call("PUT", "/v1/x").read(), b"ok")

    def test_pieces(self) -> None:
        """A body is given as it comes, and broken off by whoever wants no more."""
        done = threading.Event()

        def talk(one: socket.socket) -> None:
            one.recv(65536)
            one.sendall(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n4\r\nsome\r\n")
            done.wait(30)

        answer = self.raw(talk).call("GET", "/v1/x")
        self.addCleanup(done.set)
        pieces = answer.pieces()
        self.assertEqual(next(pieces), b"some")
        waiting = threading.Thread(target=lambda: self.assertRaises(ApiError, list, pieces))
        waiting.start()
        answer.interrupt()
        waiting.join(30)
        self.assertFalse(waiting.is_alive())

    def test_badToken(self) -> None:
        """A token that HTTP cannot carry is refused, and not shown."""
        server = self.serve(ThreadingHTTPServer(("127.0.0.1", 0), Handler))
        for token in ("secret\nX-Other: 1", "secret\u20ac"):
            found = self.failure(connect(Settings(address=f"127.0.0.1:{server.server_port}", token=token)))
            self.assertIn("a header's value cannot be sent", found)
            self.assertNotIn("secret", found)

    def test_unix(self) -> None:
        """Requests over a socket file, whose errors call the host localhost."""
        folder = TemporaryDirectory()  # not trial's own: a socket's path has at most 107 bytes
        self.addCleanup(folder.cleanup)
        name = os.path.join(folder.name, "http.sock")
        self.assertEqual(
            self.failure(connect(Settings(address=name, unix=True))),
            f'Get "http://localhost/v1/x": dial unix {name}: connect: no such file or directory',
        )
        self.serve(UnixServer(name, Handler))  # type: ignore[arg-type]
        self.assertEqual(connect(Settings(address=name, unix=True)).call("GET", "/v1/x").read(), b"GET /v1/x")

    def test_refusedConnection(self) -> None:
        """The address that was dialled is named with the cause."""
        with socket.create_server(("127.0.0.1", 0)) as listener:
            port = listener.getsockname()[1]
        self.assertEqual(
            self.failure(connect(Settings(address=f"127.0.0.1:{port}"))),
            f'Get "http://127.0.0.1:{port}/v1/x": dial tcp 127.0.0.1:{port}: connect: connection refused',
        )

    def test_badAddresses(self) -> None:
        """Addresses that are none are told before anything is dialled."""
        for address, reason in (
            ("a:b:c", "address a:b:c: too many colons in address"),
            ("127.0.0.1:http!", "address http!: invalid port"),
            ("127.0.0.1:70000", "address 70000: invalid port"),
        ):
            self.assertIn(f"dial tcp: {reason}", self.failure(connect(Settings(address=address))))

    def test_brokenAnswers(self) -> None:
        """No answer, no HTTP, and an answer cut short each have their words."""
        self.assertTrue(self.failure(self.raw(b"")).endswith('/v1/x": EOF'))
        self.assertIn('malformed HTTP response "SSH-2.0-x"', self.failure(self.raw(b"SSH-2.0-x\r\n")))
        cut = b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nabc"
        self.assertEqual(self.failure(self.raw(cut)), "unexpected EOF")
        client = self.raw(cut)
        found = client.call("GET", "/v1/x")
        self.assertEqual(found.read(3), b"abc")
        self.assertRaises(ApiError, found.read, 3)

    def test_answerBeforeTheBodyIsRead(self) -> None:
        """When the agent refuses a large body early, its words are shown, not the broken pipe."""

        def refuse(one: socket.socket) -> None:
            one.recv(100)
            one.sendall(b"HTTP/1.1 413 X\r\nContent-Length: 9\r\nConnection: close\r\n\r\ntoo large")
            one.shutdown(socket.SHUT_RDWR)

        client = self.raw(refuse)
        error = self.assertRaises(ApiError, client.call, "PUT", "/v1/x", body=(b"x" * 65536 for _ in range(400)))
        self.assertTrue(
            "Unexpected response code: 413 (too large)" in str(error) or "connection reset" in str(error), str(error)
        )


def make_authority() -> tuple[x509.Certificate, ec.EllipticCurvePrivateKey]:
    """A certificate authority for one test."""
    key = ec.generate_private_key(ec.SECP256R1())
    return certify("Test CA", key, None, []), key


def certify(
    name: str,
    key: ec.EllipticCurvePrivateKey,
    issuer: tuple[x509.Certificate, ec.EllipticCurvePrivateKey] | None,
    names: list[x509.GeneralName],
) -> x509.Certificate:
    """A certificate for two hours of today."""
    subject = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, name)])
    now = datetime.now(UTC)
    builder = (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(issuer[0].subject if issuer else subject)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - timedelta(hours=1))
        .not_valid_after(now + timedelta(hours=1))
        .add_extension(x509.BasicConstraints(ca=issuer is None, path_length=None), critical=True)
    )
    if names:
        builder = builder.add_extension(x509.SubjectAlternativeName(names), critical=False)
    return builder.sign(issuer[1] if issuer else key, hashes.SHA256())


class TLSTests(ServedTestCase):
    """HTTPS with an authority of one's own."""

    def setUp(self) -> None:
        folder = Path(self.mktemp())
        folder.mkdir()
        authority = make_authority()
        self.ca = self.write(folder / "ca.pem", authority[0])
        self.pairs: dict[str, tuple[str, str]] = {}
        for name in ("server", "client"):
            key = ec.generate_private_key(ec.SECP256R1())
            alternatives = [x509.DNSName("server.dc1.consul"), x509.IPAddress(ip_address("127.0.0.1"))]
            made = certify(name, key, authority, alternatives)
            self.pairs[name] = self.write(folder / f"{name}.pem", made), self.write(folder / f"{name}-key.pem", key)

    def write(self, path: Path, one: x509.Certificate | ec.EllipticCurvePrivateKey) -> str:
        """A PEM file's name."""
        if isinstance(one, x509.Certificate):
            path.write_bytes(one.public_bytes(serialization.Encoding.PEM))
        else:
            form = serialization.PrivateFormat.PKCS8
            path.write_bytes(one.private_bytes(serialization.Encoding.PEM, form, serialization.NoEncryption()))
        return str(path)

    def https(self, *, wants_client: bool = False) -> str:
        """The address of a server over TLS."""
        server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        server.handle_error = lambda *_: None  # type: ignore[method-assign]
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(*self.pairs["server"])
        if wants_client:
            context.verify_mode = ssl.CERT_REQUIRED
            context.load_verify_locations(self.ca)
        server.socket = context.wrap_socket(server.socket, server_side=True)
        return f"127.0.0.1:{self.serve(server).server_port}"

    def settings(self, address: str, **more: object) -> Settings:
        """Settings for HTTPS."""
        return Settings(address=address, scheme="https", **more)  # type: ignore[arg-type]

    def test_trust(self) -> None:
        """An authority in a file or in a folder is trusted, for addresses and names of the certificate."""
        address = self.https()
        for more in (
            {"ca_file": self.ca},
            {"ca_path": self.only_ca()},
            {"ca_file": self.ca, "server_name": "server.dc1.consul"},
        ):
            self.assertEqual(connect(self.settings(address, **more)).call("GET", "/v1/x").read(), b"GET /v1/x")

    def only_ca(self) -> str:
        """A folder that holds the authority and nothing else."""
        folder = Path(self.mktemp())
        folder.mkdir()
        (folder / "authority.pem").write_bytes(Path(self.ca).read_bytes())
        return str(folder)

    def test_mistrust(self) -> None:
        """An unknown authority and another name end the request; without verification nothing does."""
        address = self.https()
        self.assertIn(
            "tls: failed to verify certificate: x509: certificate signed by unknown authority",
            self.failure(connect(self.settings(address))),
        )
        self.assertIn(
            "x509: certificate is not valid for elsewhere.example",
            self.failure(connect(self.settings(address, ca_file=self.ca, server_name="elsewhere.example"))),
        )
        self.assertEqual(connect(self.settings(address, verify=False)).call("GET", "/v1/x").read(), b"GET /v1/x")

    def test_clientCertificate(self) -> None:
        """A server that wants a certificate gets it; without one it ends the connection, with or without an alert."""
        address = self.https(wants_client=True)
        certificate, key = self.pairs["client"]
        settings = self.settings(address, ca_file=self.ca, client_cert=certificate, client_key=key)
        self.assertEqual(connect(settings).call("GET", "/v1/x").read(), b"GET /v1/x")
        found = self.failure(connect(self.settings(address, ca_file=self.ca)))
        # whether the alert comes before the request is broken off is chance
        self.assertTrue(
            any(word in found for word in ("remote error: tls: certificate required", "EOF", "reset", "pipe")), found
        )

    def test_plainServer(self) -> None:
        """A server that speaks no TLS is told from one that is not there."""
        server = self.serve(ThreadingHTTPServer(("127.0.0.1", 0), Handler))
        found = self.failure(connect(self.settings(f"127.0.0.1:{server.server_port}", ca_file=self.ca)))
        self.assertTrue(found.endswith("http: server gave HTTP response to HTTPS client"), found)

    def test_badFiles(self) -> None:
        """Files that are absent, hold no PEM, or lack their counterpart are refused before anything is dialled."""
        certificate, key = self.pairs["client"]
        folder = os.path.dirname(key)
        for more, reason in (
            ({"ca_file": "absent"}, "Error loading CA File: open absent: no such file or directory"),
            ({"ca_file": key}, f"Error loading CA File: Couldn't parse PEM in: {key}"),
            ({"ca_path": folder}, "Error loading CA Path: Couldn't parse PEM in: "),
            ({"client_cert": certificate}, "both client cert and client key must be provided"),
            ({"client_cert": "absent", "client_key": key}, "open absent: no such file or directory"),
            ({"client_cert": key, "client_key": certificate}, "tls: "),
        ):
            error = self.assertRaises(BadSettings, connect, self.settings("127.0.0.1:1", **more))
            self.assertIn(reason, str(error))
