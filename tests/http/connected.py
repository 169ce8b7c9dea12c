"""
An HTTP connection over a transport in memory, for the tests of both.
"""

from __future__ import annotations

from typing import Any

from twisted.internet.address import IPv4Address
from twisted.internet.defer import Deferred
from twisted.internet.error import ConnectionDone
from twisted.internet.task import Clock
from twisted.internet.testing import StringTransport
from twisted.python.failure import Failure
from twisted.trial.unittest import SynchronousTestCase

from txconsul.http.connection import HTTPConnection, Response
from txconsul.http.request import Request
from txconsul.http.server import HTTPFactory

DATE = b"Date: Thu, 01 Jan 1970 00:00:00 GMT\r\n"


class Transport(StringTransport):
    """Counts writes, and can close one direction."""

    def __init__(self) -> None:
        super().__init__()
        self.writes = 0
        self.write_ended = False
        self.aborted = False

    def write(self, data: bytes) -> None:
        self.writes += 1
        super().write(data)

    def loseWriteConnection(self) -> None:
        self.write_ended = True

    def abortConnection(self) -> None:
        self.aborted = True

    @property
    def paused(self) -> bool:
        return self.producerState == "paused"

    def taken(self) -> bytes:
        data = self.value()
        self.clear()
        return data


class Application:
    """Answers C{/wait...} later, C{/raise} never, C{/stream} with C{pieces}, and everything else with its target."""

    def __init__(self) -> None:
        self.requests: list[Request] = []
        self.waiting: dict[bytes, Deferred[Any]] = {}
        self.cancelled: list[bytes] = []
        self.pieces: Any = None
        self.length: int | None = None

    def __call__(self, request: Request) -> Any:
        self.requests.append(request)
        target = request.target
        if target.startswith(b"/wait"):
            deferred: Deferred[Any] = Deferred(lambda _: self.cancelled.append(target))
            self.waiting[target] = deferred
            return deferred
        if target == b"/raise":
            raise ZeroDivisionError
        if target == b"/nonsense":
            return 7
        if target == b"/stream":
            return Response(200, b"", self.pieces, self.length)
        if target == b"/last":
            return Response(200, b"", b"last", None, True)
        return Response(200, b"X: y\r\n", target + request.body)

    def answer(self, target: bytes) -> None:
        self.waiting.pop(target).callback(Response(200, b"", target))


class Case(SynchronousTestCase):
    """A factory, its application and a clock."""

    def setUp(self) -> None:
        self.clock = Clock()
        self.application = Application()
        self.factory = self.make_factory()

    def make_factory(self, **options: Any) -> HTTPFactory:
        return HTTPFactory(self.application, self.clock, now_utc=self.clock.seconds, **options)

    def open(self, factory: HTTPFactory | None = None, host: str = "10.0.0.1") -> tuple[HTTPConnection, Transport]:
        protocol = (factory or self.factory).buildProtocol(IPv4Address("TCP", host, 5))
        transport = Transport()
        protocol.makeConnection(transport)
        return protocol, transport

    def close(self, protocol: HTTPConnection) -> None:
        protocol.connectionLost(Failure(ConnectionDone()))


def get(target: bytes = b"/", *lines: bytes, method: bytes = b"GET", version: bytes = b"1.1") -> bytes:
    return b"".join(line + b"\r\n" for line in (b"%b %b HTTP/%b" % (method, target, version), b"Host: a", *lines, b""))


def put(size: int, *lines: bytes) -> bytes:
    return get(b"/put", b"Content-Length: %d" % size, *lines, method=b"PUT")


def bodies(data: bytes) -> list[bytes]:
    """The bodies of the answers in C{data}, all of known length."""
    found = []
    while data:
        head, _, data = data.partition(b"\r\n\r\n")
        size = int(head.lower().partition(b"content-length: ")[2].split(b"\r\n")[0])
        found.append(data[:size])
        data = data[size:]
    return found
