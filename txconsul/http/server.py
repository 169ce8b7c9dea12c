"""
The listener's side of HTTP: makes connections, counts them, keeps their deadlines, and stops gracefully.
"""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable
from email.utils import formatdate
from typing import Any

from twisted.internet.defer import Deferred, succeed
from twisted.internet.interfaces import IProtocolFactory
from twisted.internet.protocol import Protocol
from twisted.logger import Logger
from twisted.python.failure import Failure
from zope.interface import implementer

from txconsul.errors import TooManyRequests, TxconsulError
from txconsul.http.connection import HTTPConnection
from txconsul.http.deadlines import Deadlines
from txconsul.http.parser import Rules
from txconsul.http.request import BodySink, Request
from txconsul.http.response import Response, plain, reason_phrase, status_line

__all__ = ["BODY_BYTES_MAX_DEFAULT", "Application", "HTTPFactory", "connections_allowed", "refuse"]

#: What the application is: it answers now, or later. It should not raise; if it does, the answer is 500.
Application = Callable[[Request], "Response | Deferred[Response]"]

#: A body's limit where the application names none: Consul's default for values and transactions.
BODY_BYTES_MAX_DEFAULT = 512 * 1024
#: From a head's first byte to its last. Consul has no such limit; ten seconds suffice for any honest client.
HEAD_SECONDS_MAX = 30.0
#: Between two arrivals of a body's bytes.
BODY_PAUSE_SECONDS_MAX = 60.0
#: For a client to take what the transport holds (some hundred KiB); after that it is given up, since it holds memory.
UNREAD_SECONDS_MAX = 120.0
#: What a client that closed its own direction may still wait for. One that is gone looks the same, and must not hold
#: a blocking query for ten minutes.
HALF_CLOSED_SECONDS_MAX = 5.0
#: How long input is thrown away after a last answer.
LINGER_SECONDS = 2.0
#: Descriptors that clients cannot take.
DESCRIPTORS_RESERVED = 128
#: Spent in one turn on connections that have had their share already, in seconds: far below any Raft heartbeat.
TURN_SECONDS_MAX = 0.01
#: How often deadlines are looked at, and the date is made anew.
TICK_SECONDS = 1.0

_log = Logger()


def connections_allowed(descriptors_max: int) -> int:
    """
    How many connections fit into a process's limit of descriptors (RLIMIT_NOFILE), with a reserve for its disk, its
    peers and its listeners.
    """
    return max(descriptors_max - max(DESCRIPTORS_RESERVED, descriptors_max // 8), 1)


def refuse(request: Request, reason: Exception) -> Response:
    """The answer to a body that was not taken, where the application has no own."""
    if isinstance(reason, TxconsulError):
        return plain(reason.status, str(reason))
    _log.failure("a body could not be taken", Failure(reason))  # type: ignore[no-untyped-call]
    return plain(500, "Internal Server Error")


class _Refusal(Protocol):
    """A connection that is told why it is not wanted."""

    def __init__(self, answer: bytes) -> None:
        self._answer = answer

    def connectionMade(self) -> None:
        assert self.transport is not None
        self.transport.write(self._answer)
        self.transport.loseConnection()


def _refusal(status: int, text: str) -> bytes:
    body = text.encode("ascii")
    return b"%bContent-Type: text/plain; charset=utf-8\r\nConnection: close\r\nContent-Length: %d\r\n\r\n%b" % (
        status_line(status),
        len(body),
        body,
    )


_TOO_MANY_OF_ONE = _refusal(429, TooManyRequests.text + "\n")
_TOO_MANY = _refusal(503, "Too many connections\n")


@implementer(IProtocolFactory)
class HTTPFactory:
    """
    Makes the L{HTTPConnection}s of one or several listeners.

    @param application: see L{Application}.
    @param clock: an L{IReactorTime} whose C{seconds()} is monotonic.
    @param body_limit: the largest body, in bytes, of the request with this head.
    @param body_sink: where that body goes instead of memory, or None.
    @param refused: the answer where the body is too large (L{BodyTooLarge}) or its sink raised; the connection ends
        with it.
    @param header_bytes_max: Consul's C{http_config.max_header_bytes}; 0 or less means the default.
    @param connections_per_client_max: Consul's C{limits.http_max_conns_per_client}; 0 or less means no limit.
    @param connections_max: altogether; see L{connections_allowed}; 0 means no limit.
    @param handshake_seconds_max: Consul's C{limits.https_handshake_timeout}: over TLS, from the connection to its first
        request.
    @param now_utc: wall time for the C{Date} header, in seconds since 1970.

    @ivar connections: all that are open.
    """

    noisy = False

    def __init__(
        self,
        application: Application,
        clock: Any,
        *,
        body_limit: Callable[[Request], int] = lambda request: BODY_BYTES_MAX_DEFAULT,
        body_sink: Callable[[Request], BodySink | None] = lambda request: None,
        refused: Callable[[Request, Exception], Response] = refuse,
        header_bytes_max: int = 0,
        connections_per_client_max: int = 200,
        connections_max: int = 0,
        handshake_seconds_max: float = 5.0,
        now_utc: Callable[[], float] = time.time,
    ) -> None:
        self.application: Application = application
        self.clock = clock
        self.refused = refused
        self.rules = Rules(header_bytes_max, lambda request: (body_limit(request), body_sink(request)))
        self.connections_per_client_max = connections_per_client_max
        self.connections_max = connections_max
        self.connections: set[HTTPConnection] = set()
        self.prefixes: dict[int, bytes] = {}
        self._now_utc = now_utc
        self._date = b""
        self._of_client: dict[str, int] = {}
        self._tick: Any = None
        self._waiting_turn: deque[HTTPConnection] = deque()
        self._turn: Any = None
        self._stopped: Deferred[None] | None = None
        self._stop_call: Any = None
        self.slow_heads = Deadlines(HEAD_SECONDS_MAX, HTTPConnection.timed_out)
        self.slow_bodies = Deadlines(BODY_PAUSE_SECONDS_MAX, HTTPConnection.timed_out)
        self.unread = Deadlines(UNREAD_SECONDS_MAX, HTTPConnection.timed_out)
        self.half_closed = Deadlines(HALF_CLOSED_SECONDS_MAX, HTTPConnection.timed_out)
        self.lingering = Deadlines(LINGER_SECONDS, HTTPConnection.timed_out)
        self.handshaking = Deadlines(handshake_seconds_max, HTTPConnection.timed_out)
        self._deadlines = (
            self.slow_heads,
            self.slow_bodies,
            self.unread,
            self.half_closed,
            self.lingering,
            self.handshaking,
        )

    # ---- IProtocolFactory ----

    def doStart(self) -> None:
        """See L{IProtocolFactory}."""

    def doStop(self) -> None:
        """See L{IProtocolFactory}."""

    def buildProtocol(self, address: Any) -> Any:
        """A connection, or a short refusal where there are too many."""
        if self.connections_max and len(self.connections) >= self.connections_max:
            return _Refusal(_TOO_MANY)
        host = getattr(address, "host", "")
        if not host:
            return HTTPConnection(self, "unix", "")
        limit = self.connections_per_client_max
        if limit > 0 and self._of_client.get(host, 0) >= limit:
            return _Refusal(_TOO_MANY_OF_ONE)
        client = f"[{host}]:{address.port}" if ":" in host else f"{host}:{address.port}"
        return HTTPConnection(self, client, host)

    # ---- the connections' side ----

    def connected(self, connection: HTTPConnection) -> None:
        """It is there: count it."""
        self.connections.add(connection)
        if connection.host:
            self._of_client[connection.host] = self._of_client.get(connection.host, 0) + 1
        if self._tick is None:
            self._ticked()

    def disconnected(self, connection: HTTPConnection) -> None:
        """It is gone."""
        self.connections.discard(connection)
        if connection.host:
            left = self._of_client[connection.host] - 1
            if left:
                self._of_client[connection.host] = left
            else:
                del self._of_client[connection.host]
        if not self.connections:
            if self._tick is not None:
                self._tick.cancel()
                self._tick = None
            self._all_gone()

    def yielded(self, connection: HTTPConnection) -> None:
        """It has had its share; it goes on after the others that have, as far as a turn's time allows."""
        self._waiting_turn.append(connection)
        if self._turn is None:
            self._turn = self.clock.callLater(0, self._next_turns)

    def _next_turns(self) -> None:
        self._turn = None
        seconds = self.clock.seconds
        until = seconds() + TURN_SECONDS_MAX
        for _ in range(len(self._waiting_turn)):  # those that yield again are behind all others
            connection = self._waiting_turn.popleft()
            try:
                connection.go_on()
            except Exception:  # one connection's failure must not keep the others waiting
                _log.failure("error while serving a connection")
                connection.abort()
            if seconds() >= until:
                break
        if self._waiting_turn and self._turn is None:
            self._turn = self.clock.callLater(0, self._next_turns)

    def prefix(self, status: int) -> bytes:
        """Status line and date, made once a second."""
        prefix = self.prefixes[status] = status_line(status) + self._date
        return prefix

    def failed(self, request: Request, failure: Failure) -> Response:
        """The application broke its promise."""
        _log.failure(
            "error while answering {method!r} {target!r}", failure, method=request.method, target=request.target
        )
        return plain(500, reason_phrase(500))

    def _ticked(self) -> None:
        now = self.clock.seconds()
        self._date = b"Date: %b\r\n" % formatdate(self._now_utc(), usegmt=True).encode("ascii")
        self.prefixes.clear()
        for deadlines in self._deadlines:
            deadlines.look(now)
        self._tick = self.clock.callLater(TICK_SECONDS, self._ticked)

    # ---- stopping ----

    def stop(self, seconds_max: float) -> Deferred[None]:
        """
        End every connection: idle ones now, others after the answers under way, all after C{seconds_max}. The listeners
        are to be stopped before.

        @return: a Deferred that fires when the last one is gone.
        """
        if not self.connections:
            return succeed(None)
        self._stopped = Deferred()
        self._stop_call = self.clock.callLater(seconds_max, self._abort_all)
        stopped = self._stopped
        for connection in list(self.connections):
            connection.close_soon()
        return stopped

    def _abort_all(self) -> None:
        self._stop_call = None
        for connection in list(self.connections):
            connection.abort()

    def _all_gone(self) -> None:
        stopped, self._stopped = self._stopped, None
        if self._stop_call is not None:
            self._stop_call.cancel()
            self._stop_call = None
        if stopped is not None:
            stopped.callback(None)
