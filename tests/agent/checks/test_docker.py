"""Checks within containers, by a daemon that a test plays."""

from __future__ import annotations

import json
import os
from typing import Any

from twisted.internet.defer import Deferred, succeed
from twisted.internet.protocol import Factory, Protocol
from twisted.internet.task import Clock
from twisted.internet.testing import StringTransport
from twisted.trial.unittest import SynchronousTestCase

from tests.agent.checks.peers import PeerCase
from txconsul.agent.checks.docker import DEFAULT_HOST, DockerCheck, daemon_of
from txconsul.errors import InvalidRequest
from txconsul.records.health import CRITICAL, PASSING, WARNING, CheckResult


def answer(status: int, body: Any) -> bytes:
    """An answer of the daemon."""
    data = body if isinstance(body, bytes) else json.dumps(body).encode()
    return b"HTTP/1.1 %d Word\r\nContent-Length: %d\r\n\r\n%b" % (status, len(data), data)


class Answered:
    """A network on which every connection is a transport to look into."""

    def __init__(self) -> None:
        self.clock = Clock()
        self.protocols: list[Any] = []
        self.dialled: list[str] = []

    def connect(self, description: str, factory: Any) -> Deferred[Any]:
        """Connected at once."""
        self.dialled.append(description)
        protocol = factory.buildProtocol(None)
        protocol.makeConnection(StringTransport())
        self.protocols.append(protocol)
        return succeed(protocol)


class DaemonTests(SynchronousTestCase):
    """Where the daemon is."""

    def test_hosts(self) -> None:
        """A socket file or a port, with a path before all others."""
        self.assertEqual(daemon_of(DEFAULT_HOST).target.description(), "unix:path=/var/run/docker.sock")
        daemon = daemon_of("tcp://10.0.0.1:2376/docker/")
        self.assertEqual((daemon.target.host, daemon.target.port, daemon.base), ("10.0.0.1", 2376, "/docker"))
        self.assertEqual(daemon_of("tcp://box").target.port, 2375)
        for host in ("box", "", "npipe:////./pipe/docker", "unix://", "tcp://h:x"):
            error = self.assertRaises(InvalidRequest, daemon_of, host)
            self.assertIn(f"unable to parse docker host `{host}`", str(error))


class DockerTests(SynchronousTestCase):
    """The three questions."""

    def setUp(self) -> None:
        """A container."""
        self.network = Answered()
        daemon = daemon_of("tcp://box:1/v1")
        self.check = DockerCheck(self.network, daemon, "web/1", ("check", "-x"), 30.0, 6)  # type: ignore[arg-type]

    def next(self, data: bytes, closes: bool = False) -> bytes:
        """Answer the last question, which is given back."""
        protocol = self.network.protocols[-1]
        asked: bytes = protocol.transport.value()
        protocol.dataReceived(data)
        if closes:
            protocol.connectionLost()
        return asked

    def output(self, found: Any) -> str:
        """The output of a critical result."""
        result = self.successResultOf(found)
        self.assertEqual(result.status, CRITICAL)
        return str(result.output)

    def test_runs(self) -> None:
        """Created, started, and asked for the code, which means what a script's does."""
        for code, status in ((0, PASSING), (1, WARNING), (2, CRITICAL)):
            found = self.check.run()
            asked = self.next(answer(201, {"Id": "e1"}))
            head, _, body = asked.partition(b"\r\n\r\n")
            self.assertTrue(head.startswith(b"POST /v1/containers/web%2F1/exec HTTP/1.1\r\nHost: box:1\r\n"), head)
            self.assertEqual(json.loads(body)["Cmd"], ["check", "-x"])
            raw = b"HTTP/1.1 200 OK\r\nContent-Type: application/vnd.docker.raw-stream\r\n\r\nso it is"
            asked = self.next(raw, closes=True)
            self.assertTrue(asked.startswith(b"POST /v1/exec/e1/start "), asked)
            self.next(answer(200, {"ID": "e1", "Running": True, "ExitCode": None}))
            self.network.clock.advance(0.1)
            asked = self.next(answer(200, {"ID": "e1", "Running": False, "ExitCode": code}))
            self.assertTrue(asked.startswith(b"GET /v1/exec/e1/json "), asked)
            output = "Captured 6 of 8 bytes\n...\n it is"
            self.assertEqual(self.successResultOf(found), CheckResult(status=status, output=output))

    def test_refused(self) -> None:
        """What the daemon does not do is critical in words."""
        for status, text in (
            (404, "create exec failed for unknown container web/1"),
            (409, "create exec failed since container web/1 is paused or stopped"),
            (500, 'create exec failed for container web/1 with status 500: "oh"'),
        ):
            found = self.check.run()
            self.next(answer(status, "oh"))
            self.assertEqual(self.output(found), text)
        found = self.check.run()
        self.next(answer(201, b"{"))
        self.assertIn("create exec response for container web/1 cannot be parsed: ", self.output(found))
        for status, text in (
            (404, "start exec failed for container web/1: invalid exec id e1"),
            (409, "start exec failed since container web/1 is paused or stopped"),
            (500, 'start exec failed for container web/1 with status 500: "oh"'),
        ):
            found = self.check.run()
            self.next(answer(201, {"Id": "e1"}))
            self.next(answer(status, "oh"))
            self.assertEqual(self.output(found), text)
        found = self.check.run()
        self.next(answer(201, {"Id": "e1"}))
        self.next(answer(200, b""))
        self.next(answer(404, "oh"))
        self.assertEqual(self.output(found), "inspect exec failed for container web/1: invalid exec id e1")

    def test_lost(self) -> None:
        """A daemon that goes away, or answers nothing in time."""
        found = self.check.run()
        self.network.protocols[-1].connectionLost()
        self.assertEqual(self.output(found), "create exec failed for container web/1: EOF")
        found = self.check.run()
        self.network.clock.advance(30)
        self.assertEqual(self.output(found), "Timed out (30s) running check")


class Daemon(Protocol):
    """Says that there is no container."""

    def dataReceived(self, data: bytes) -> None:
        assert self.transport is not None
        self.transport.write(answer(404, b""))


class SocketTests(PeerCase):
    """By a socket file."""

    async def test_socket(self) -> None:
        """It is asked there; where there is none, that is told."""
        path = os.path.relpath(self.mktemp())
        missing = await DockerCheck(self.network, daemon_of(f"unix://{path}"), "web", ("true",), 10.0, 64).run()
        self.assertEqual(missing.status, CRITICAL)
        self.assertIn(f"create exec failed for container web: dial unix {path}: ", missing.output)
        port = await self.network.listen(f"unix:{path}", Factory.forProtocol(Daemon))
        self.addCleanup(port.stopListening)
        result = await DockerCheck(self.network, daemon_of(f"unix://{path}"), "web", ("true",), 10.0, 64).run()
        self.assertEqual(result.output, "create exec failed for unknown container web")
        await self.settled()
