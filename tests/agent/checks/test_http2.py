"""Checks by HTTP/2, of servers that really listen: pings and gRPC's health service."""

from __future__ import annotations

import contextlib
from typing import Any

from h2.config import H2Configuration
from h2.connection import H2Connection
from h2.events import DataReceived, RequestReceived, StreamEnded
from hypothesis import given
from hypothesis import strategies as st
from twisted.internet.protocol import Factory, Protocol
from twisted.internet.testing import StringTransport
from twisted.trial.unittest import SynchronousTestCase

from tests.agent.checks.peers import AGENT, TRUSTING, PeerCase, secure
from txconsul.agent.checks import http2
from txconsul.agent.checks.grpc import GRPCCheck, health_request, serving_status
from txconsul.agent.checks.h2ping import H2PingCheck
from txconsul.agent.checks.http2 import ALPN, HTTP2Client
from txconsul.agent.checks.kinds import NotRun, Surroundings, vet
from txconsul.errors import PeerMisbehaved
from txconsul.net.tls_client import ANONYMOUS
from txconsul.records.health import CRITICAL, PASSING, CheckResult
from txconsul.records.service import CheckType

SERVING = bytes([0, 0, 0, 0, 2, 8, 1])
NOT_SERVING = bytes([0, 0, 0, 0, 2, 8, 2])

Answer = tuple[list[tuple[str, str]], bytes, list[tuple[str, str]]]


class Serving(Protocol):
    """
    An HTTP/2 server.

    @ivar answers: headers, body and trailers by the body of the question.
    """

    answers: dict[bytes, Answer] = {}
    asked: list[dict[bytes, bytes]] = []

    def connectionMade(self) -> None:
        self.connection = H2Connection(H2Configuration(client_side=False, header_encoding=None))
        self.connection.initiate_connection()
        self.bodies: dict[int, bytes] = {}
        self.flush()

    def flush(self) -> None:
        """Send what is to be sent."""
        assert self.transport is not None
        self.transport.write(self.connection.data_to_send())

    def dataReceived(self, data: bytes) -> None:
        for event in self.connection.receive_data(data):
            if isinstance(event, RequestReceived):
                self.asked.append({bytes(name): bytes(value) for name, value in event.headers})
            elif isinstance(event, DataReceived):
                self.bodies[event.stream_id] = event.data
            elif isinstance(event, StreamEnded):
                self.answer(event.stream_id)
        self.flush()

    def answer(self, stream: int) -> None:
        """As the table says."""
        headers, body, trailers = self.answers[self.bodies[stream]]
        self.connection.send_headers(stream, headers, end_stream=not body and not trailers)
        if body:
            self.connection.send_data(stream, body, end_stream=not trailers)
        if trailers:
            self.connection.send_headers(stream, trailers, end_stream=True)


def served(body: bytes, status: str = "0", message: str = "") -> Answer:
    """A gRPC answer."""
    headers = [(":status", "200"), ("content-type", "application/grpc")]
    return headers, body, [("grpc-status", status), *([("grpc-message", message)] if message else [])]


class Old(Protocol):
    """Speaks HTTP/1."""

    def dataReceived(self, data: bytes) -> None:
        assert self.transport is not None
        self.transport.write(b"HTTP/1.1 400 Bad Request\r\n\r\n")


class PingTests(PeerCase):
    """Checks by a ping."""

    async def ping(self, address: str, *more: Any, seconds: float = 10.0) -> CheckResult:
        """One look."""
        result: CheckResult = await H2PingCheck(self.network, address, seconds, *more).run()
        await self.settled()
        return result

    async def test_plain(self) -> None:
        """A server that gives it back is passing; one of HTTP/1, none, or a mute one, critical."""
        success = CheckResult(status=PASSING, output="HTTP2 ping was successful")
        self.assertEqual(await self.ping(await self.listen(Factory.forProtocol(Serving))), success)
        old = await self.ping(await self.listen(Factory.forProtocol(Old)))
        self.assertEqual(old.status, CRITICAL)
        self.assertTrue(old.output.startswith("HTTP2 ping failed: http2: "), old.output)
        shut = await self.ping("127.0.0.1:1")
        text = "Failed to dial to 127.0.0.1:1: dial tcp 127.0.0.1:1: connect: connection refused"
        self.assertEqual(shut, CheckResult(status=CRITICAL, output=text))
        mute = await self.ping(await self.listen(Factory.forProtocol(Protocol)), seconds=0.05)
        self.assertEqual(mute.output, "HTTP2 ping failed: context deadline exceeded")
        self.assertEqual((await self.ping("nowhere")).status, CRITICAL)

    async def test_tls(self) -> None:
        """By TLS, with a name for HTTP/2 in it, and with the agent's certificate where one is needed."""
        factory = Factory.forProtocol(Serving)
        address = await self.listen(factory, tls=True, protocols=(ALPN,))
        for used in (secure(TRUSTING, "localhost", True, ALPN), secure(ANONYMOUS, "", False, ALPN)):
            self.assertEqual((await self.ping(address, used)).status, PASSING)
        result = await self.ping(address, secure(ANONYMOUS, "localhost", True, ALPN))
        why = "tls: failed to verify certificate: x509: certificate signed by unknown authority"
        self.assertEqual(result.output, f"Failed to dial to {address}: {why}")
        address = await self.listen(factory, tls=True, client_needed=True, protocols=(ALPN,))
        self.assertEqual((await self.ping(address, secure(AGENT, "localhost", True, ALPN))).status, PASSING)
        self.assertEqual((await self.ping(address, secure(TRUSTING, "localhost", True, ALPN))).status, CRITICAL)
        self.forget_tls_errors()


class GRPCTests(PeerCase):
    """Checks by gRPC's health service."""

    def setUp(self) -> None:
        """A server that knows some services."""
        super().setUp()
        self.patch(Serving, "asked", [])
        answers = {
            "": served(SERVING),
            "slow": served(NOT_SERVING),
            "odd": served(bytes([0, 0, 0, 0, 2, 8, 9])),
            "cut": served(SERVING[:6]),
            "none": ([(":status", "200"), ("grpc-status", "5"), ("grpc-message", "no%20such service")], b"", []),
            "page": ([(":status", "404")], b"not here", []),
            "big": served(b"a" * 15000),
        }
        self.patch(Serving, "answers", {health_request(name): answer for name, answer in answers.items()})
        self.factory = Factory.forProtocol(Serving)

    async def ask(self, target: str, *more: Any, seconds: float = 10.0) -> CheckResult:
        """One look."""
        result: CheckResult = await GRPCCheck(self.network, target, seconds, *more).run()
        await self.settled()
        return result

    async def test_statuses(self) -> None:
        """Serving is passing, all else critical, in gRPC's words."""
        address = await self.listen(self.factory)
        result = await self.ask(address)
        self.assertEqual(result, CheckResult(status=PASSING, output=f"gRPC check {address}: success"))
        unusable = "grpc: failed to unmarshal the received message:"
        for service, text in (
            ("slow", f"gRPC {address}/slow serving status: NOT_SERVING"),
            ("odd", f"gRPC {address}/odd serving status: 9"),
            ("none", "rpc error: code = NotFound desc = no such service"),
            ("page", "rpc error: code = Unimplemented desc = unexpected HTTP status code received from server: 404"),
            ("cut", f"rpc error: code = Internal desc = {unusable} the message is cut off"),
            ("big", f"rpc error: code = Internal desc = {unusable} the message is cut off"),
        ):
            result = await self.ask(f"{address}/{service}")
            self.assertEqual(result, CheckResult(status=CRITICAL, output=text))
        asked = Serving.asked[0]
        self.assertEqual(
            (asked[b":path"], asked[b":scheme"], asked[b":authority"], asked[b"content-type"], asked[b"te"]),
            (b"/grpc.health.v1.Health/Check", b"http", address.encode(), b"application/grpc", b"trailers"),
        )

    async def test_unreachable(self) -> None:
        """Nobody there, no HTTP/2, and no answer."""
        result = await self.ask("127.0.0.1:1/pay")
        dialled = "transport: Error while dialing: dial tcp 127.0.0.1:1: connect: connection refused"
        text = f'rpc error: code = Unavailable desc = connection error: desc = "{dialled}"'
        self.assertEqual(result, CheckResult(status=CRITICAL, output=text))
        result = await self.ask(await self.listen(Factory.forProtocol(Old)))
        self.assertTrue(result.output.startswith("rpc error: code = Unavailable desc = "), result.output)
        result = await self.ask(await self.listen(Factory.forProtocol(Protocol)), seconds=0.05)
        self.assertEqual(result.output, "rpc error: code = DeadlineExceeded desc = context deadline exceeded")
        self.assertEqual((await self.ask("nowhere/pay")).status, CRITICAL)

    async def test_tls(self) -> None:
        """By TLS, as a stranger and with the agent's certificate."""
        address = await self.listen(self.factory, tls=True, protocols=(ALPN,))
        result = await self.ask(address, secure(TRUSTING, "localhost", True, ALPN))
        self.assertEqual(result.status, PASSING, result.output)
        self.assertEqual((Serving.asked[0][b":scheme"], Serving.asked[0][b":authority"]), (b"https", b"localhost"))
        self.assertEqual((await self.ask(address, secure(ANONYMOUS, "", False, ALPN))).status, PASSING)
        result = await self.ask(address, secure(ANONYMOUS, "localhost", True, ALPN))
        why = "tls: failed to verify certificate: x509: certificate signed by unknown authority"
        shaken = f"transport: authentication handshake failed: {why}"
        self.assertEqual(result.output, f'rpc error: code = Unavailable desc = connection error: desc = "{shaken}"')
        address = await self.listen(self.factory, tls=True, client_needed=True, protocols=(ALPN,))
        self.assertEqual((await self.ask(address, secure(AGENT, "localhost", True, ALPN))).status, PASSING)
        self.assertEqual((await self.ask(address, secure(TRUSTING, "localhost", True, ALPN))).status, CRITICAL)
        self.forget_tls_errors()


class BytesTests(SynchronousTestCase):
    """What comes from anybody."""

    def test_request(self) -> None:
        """A service's name may be long."""
        self.assertEqual(health_request(""), bytes(5))
        self.assertEqual(health_request("a" * 300)[:8], bytes([0, 0, 0, 1, 47, 0x0A, 0xAC, 2]))

    def test_statuses(self) -> None:
        """Other fields are passed over."""
        fields = bytes([0x12, 2, 8, 5, 0x19, *range(8), 0x25, *range(4), 8, 1])
        self.assertEqual(serving_status(bytes([0, 0, 0, 0, len(fields)]) + fields), "SERVING")
        self.assertEqual(serving_status(bytes(5)), "UNKNOWN")
        for bad in (b"", bytes(4), bytes([1, 0, 0, 0, 0]), bytes([0, 0, 0, 0, 1, 8]), bytes([0, 0, 0, 0, 2, 0x0B, 0])):
            self.assertRaises(ValueError, serving_status, bad)

    @given(st.binary(max_size=40))
    def test_anyMessage(self, message: bytes) -> None:
        """Any bytes are a status or a ValueError."""
        for data in (message, bytes([0, 0, 0, 0, len(message)]) + message):
            with contextlib.suppress(ValueError):
                self.assertIsInstance(serving_status(data), str)

    @given(st.lists(st.binary(max_size=60), max_size=4), st.booleans())
    def test_anyBytes(self, pieces: list[bytes], settings: bool) -> None:
        """Whatever a server sends, a ping ends at the latest with the connection."""
        client = HTTP2Client()
        client.makeConnection(StringTransport())
        found = client.ping()
        ended: list[Any] = []
        found.addBoth(ended.append)
        if settings:
            pieces = [bytes([0, 0, 0, 4, 0, 0, 0, 0, 0]), *pieces]
        for piece in pieces:
            client.dataReceived(piece)
        client.connectionLost()
        self.assertEqual(len(ended), 1)
        ended[0].trap(PeerMisbehaved)
        client.close()

    def test_absent(self) -> None:
        """Where the library is not installed, such checks are refused, and it is said what to install."""
        self.patch(http2, "AVAILABLE", False)
        for definition in (CheckType(grpc="h:1", interval=1), CheckType(h2_ping="h:1", interval=1)):
            error = self.assertRaises(NotRun, vet, definition, Surroundings(None, None, None, {}))  # type: ignore[arg-type]
            self.assertIn("pip install 'txconsul[grpc]'", str(error))
