"""
An HTTP request as the application gets it, where its body goes, and why one is refused. Declarations only.
"""

from __future__ import annotations

from typing import Any, Protocol

from msgspec import Struct

from txconsul.errors import PeerMisbehaved, TooLarge

__all__ = ["BodyRefused", "BodySink", "BodyTooLarge", "Request", "RequestUnreadable"]


class BodySink(Protocol):
    """Where a large body goes instead of memory, such as a temporary file."""

    def write(self, data: bytes) -> object:
        """
        Take the next piece. Return None, or a Deferred: no more pieces come before it fires. Anything raised
        ends the request: L{abandon} follows.
        """

    def abandon(self) -> object:
        """The rest of the body does not come. Called once at most, and never once the request is complete."""


class Request(Struct, gc=False):
    """
    One request.

    @ivar method: as it came, C{b"GET"}; any token, known or not.
    @ivar target: path and query as they came, still escaped, from the first slash (of an absolute URL, what follows
        the host), or C{b"*"}.
    @ivar headers: lower-case name to value. Of a name that came twice, the first (as Go's Header.Get). Shared
        between requests: do not change it.
    @ivar client: C{"ip:port"}, or C{"unix"}.
    @ivar version: 10 or 11.
    @ivar keep_alive: whether the client lets the connection stay.
    @ivar body: the whole body, or C{b""} where C{sink} took it.
    @ivar sink: the L{BodySink} that took the body, complete.
    """

    method: bytes
    target: bytes
    headers: dict[bytes, bytes]
    client: str
    version: int = 11
    keep_alive: bool = True
    body: bytes = b""
    sink: Any = None

    def header(self, name: bytes) -> bytes | None:
        """The value of the header with this lower-case name."""
        return self.headers.get(name)


class RequestUnreadable(PeerMisbehaved):
    """
    What came is not a request, or not one that is served. The connection is of no further use.

    @ivar status: the HTTP status to answer.
    """

    def __init__(self, status: int, text: str = "") -> None:
        super().__init__(text)
        self.status = status


class BodyTooLarge(TooLarge):
    """
    A body over the application's limit.

    @ivar length: what was announced, or what a chunked body has come to so far; in bytes, as C{limit}.
    """

    def __init__(self, length: int, limit: int) -> None:
        super().__init__()
        self.length = length
        self.limit = limit


class BodyRefused(Exception):
    """
    The body cannot be taken. The connection is of no further use once this is answered.

    @ivar request: the request, without body.
    @ivar reason: L{BodyTooLarge}, or what the sink or the application raised.
    """

    def __init__(self, request: Request, reason: Exception) -> None:
        super().__init__(str(reason))
        self.request = request
        self.reason = reason
