"""
The streams of a gossip pool: each carries one request, and at most one answer.
"""

from __future__ import annotations

from collections.abc import Callable
from ipaddress import ip_address
from typing import TYPE_CHECKING, Any

from twisted.internet.error import ConnectionDone
from twisted.internet.interfaces import IDelayedCall
from twisted.internet.protocol import Factory, Protocol, connectionDone
from twisted.logger import Logger
from twisted.python.failure import Failure

from txconsul.net.dial_errors import dial_error
from txconsul.swim import outputs as swim
from txconsul.swim.messages import BadGossip, ErrorMessage

if TYPE_CHECKING:
    from txconsul.gossip import GossipPool

__all__ = ["STREAMS_MAX", "Asking", "Stream", "Streams", "printable"]

#: Streams that others may have open to us at a time: memberlist's limit of exchanges.
STREAMS_MAX = 128

_log = Logger()


def printable(text: object) -> str:
    """What others said, for a log: names need not be UTF-8."""
    return str(text).encode("utf-8", "backslashreplace").decode()


class Stream(Protocol):
    """One connection that carries one request, and at most one answer."""

    def __init__(self, pool: GossipPool) -> None:
        self._pool = pool
        self._reader = pool.reader()
        self._timer: IDelayedCall | None = None

    def connectionMade(self) -> None:
        """See L{Protocol}."""
        self._pool.streams.add(self)

    def connectionLost(self, reason: Failure = connectionDone) -> None:
        """See L{Protocol}."""
        self._pool.streams.discard(self)
        if self._timer is not None and self._timer.active():
            self._timer.cancel()

    def abandon(self) -> None:
        """Break the connection off."""
        transport: Any = self.transport
        if transport is not None:
            transport.abortConnection()


class _Serving(Stream):
    """A stream that somebody else opened."""

    _served = False

    def connectionMade(self) -> None:
        """See L{Protocol}."""
        super().connectionMade()
        self._timer = self._pool.call_later(self._pool.stream_timeout, self.abandon)

    def dataReceived(self, data: bytes) -> None:
        """See L{Protocol}."""
        transport: Any = self.transport
        if self._served:
            return
        try:
            request = self._reader.feed(data)
            answer = None if request is None else self._pool.serve(request)
        except BadGossip as error:
            _log.warn("gossip stream from {peer} is refused: {error}", peer=transport.getPeer(), error=printable(error))
            request, answer = None, self._pool.written(ErrorMessage(error=str(error)))
            self._served = True
        if answer is not None:
            transport.write(answer)
        if request is not None or self._served:
            self._served = True
            transport.loseConnection()


class Streams(Factory):
    """TCP's end of a pool."""

    noisy = False

    def __init__(self, pool: GossipPool) -> None:
        self._pool = pool

    def buildProtocol(self, addr: Any) -> Protocol | None:
        """See L{Factory}."""
        if len(self._pool.streams) >= STREAMS_MAX:
            _log.warn("too many gossip streams: one from {peer} is refused", peer=addr)
            return None
        return _Serving(self._pool)


class Asking(Stream):
    """A stream that this node opened."""

    def __init__(self, pool: GossipPool, request: swim.Request, seconds: float) -> None:
        super().__init__(pool)
        self._request = request
        self._ended = False
        self._timer = pool.call_later(seconds, self._too_late)

    def connectionMade(self) -> None:
        """See L{Protocol}."""
        super().connectionMade()
        transport: Any = self.transport
        if self._ended:
            transport.abortConnection()
            return
        transport.write(self._pool.written(self._request.message))
        if not self._request.wants_answer:
            self._end(lambda: self._pool.answered(self._request.number, None))
            transport.loseConnection()

    def dataReceived(self, data: bytes) -> None:
        """See L{Protocol}."""
        if self._ended:
            return
        transport: Any = self.transport
        try:
            answer = self._reader.feed(data)
        except BadGossip as error:
            self._fail(str(error))
            transport.abortConnection()
            return
        if answer is not None:
            self._end(lambda: self._pool.answered(self._request.number, answer))
            transport.loseConnection()

    def connectionLost(self, reason: Failure = connectionDone) -> None:
        """See L{Protocol}."""
        super().connectionLost(reason)
        self._fail("EOF" if reason.check(ConnectionDone) else reason.getErrorMessage())

    def not_connected(self, failure: Failure) -> None:
        """There was no connection."""
        self._fail(dial_error(failure, self._target()) or failure.getErrorMessage())

    def _target(self) -> str:
        addr, port = self._request.to
        host = ip_address(addr)
        return f"tcp [{host}]:{port}" if host.version == 6 else f"tcp {host}:{port}"

    def _too_late(self) -> None:
        what = "dial" if self.transport is None else "read"
        self._fail(f"{what} {self._target()}: i/o timeout")
        self.abandon()

    def _fail(self, reason: str) -> None:
        self._end(lambda: self._pool.failed(self._request.number, reason))

    def _end(self, tell: Callable[[], None]) -> None:
        if self._ended:
            return
        self._ended = True
        if self._timer is not None and self._timer.active():
            self._timer.cancel()
        tell()
