"""
A small HTTP/1.1 client for checks, which are many and often run: one connection, one request after another.

Source: RFC 9110 and RFC 9112.
"""

from __future__ import annotations

from typing import NamedTuple

import httptools
from twisted.internet.defer import Deferred
from twisted.internet.protocol import Protocol, connectionDone
from twisted.python.failure import Failure

from txconsul.agent.checks.dialing import in_tls_words
from txconsul.agent.checks.output import Tail
from txconsul.errors import PeerMisbehaved

__all__ = ["HTTPClient", "Reply"]

#: A header section of more than this is no answer to a check.
HEADER_BYTES_MAX = 64 * 1024


class Reply(NamedTuple):
    """
    @ivar body: its end, as far as it is kept.
    """

    status: int
    reason: str
    location: str
    body: Tail


class HTTPClient(Protocol):
    """
    One connection.

    @ivar usable: another request may be sent.
    @ivar heard: something of the answer came.
    """

    def __init__(self) -> None:
        self.usable = False
        self.heard = False
        self._waiting: Deferred[Reply] | None = None

    def connectionMade(self) -> None:
        self.usable = True

    def ask(self, data: bytes, kept: int, *, head_only: bool = False, tunnel: bool = False) -> Deferred[Reply]:
        """
        Send a request.

        @param kept: so many bytes of the body are.
        @param head_only: the answer has no body, whatever it says (C{HEAD}).
        @param tunnel: after an answer of 2xx the connection is somebody else's (C{CONNECT}).
        @return: fails with L{PeerMisbehaved} where no answer comes; cancelling it closes the connection.
        """
        self._parser = httptools.HttpResponseParser(self)
        self._head_only = head_only
        self._tunnel = tunnel
        self._reason, self._location = b"", b""
        self._body = Tail(kept)
        self._measured = self._headed = False
        self._header_bytes = 0
        self.heard = False
        waiting: Deferred[Reply] = Deferred(lambda _: self.close())
        self._waiting = waiting
        assert self.transport is not None
        self.transport.write(data)
        return waiting

    def close(self) -> None:
        """Use it no more."""
        self.usable = False
        if self.transport is not None:
            self.transport.loseConnection()

    def dataReceived(self, data: bytes) -> None:
        self.heard = True
        if self._waiting is None:
            self.close()  # nothing was asked
            return
        try:
            self._parser.feed_data(data)
        except httptools.HttpParserUpgrade:
            self._finish(keep=False)
        except httptools.HttpParserError as error:
            self._fail(PeerMisbehaved(f"malformed HTTP response: {error}"))

    def connectionLost(self, reason: Failure = connectionDone) -> None:
        self.usable = False
        if self._waiting is not None:
            if self._headed and not self._measured:
                self._finish(keep=False)  # a body without a length ends with its connection
            else:
                self._fail(in_tls_words(reason))

    # ---- the parser's ----

    def on_status(self, text: bytes) -> None:
        self._reason += text

    def on_header(self, name: bytes, value: bytes) -> None:
        self._header_bytes += len(name) + len(value)
        if self._header_bytes > HEADER_BYTES_MAX:
            self._fail(PeerMisbehaved("response headers are too large"))
        name = name.lower()
        if name == b"location":
            self._location = value
        elif name in (b"content-length", b"transfer-encoding"):
            self._measured = True

    def on_headers_complete(self) -> None:
        self._headed = not self._is_interim()
        if self._headed and self._tunnel and 200 <= self._parser.get_status_code() < 300:
            self._finish(keep=True)
        elif self._headed and self._head_only:
            self._finish(keep=False)

    def on_body(self, data: bytes) -> None:
        self._body.add(data)

    def on_message_complete(self) -> None:
        if self._is_interim():
            self._reason = b""
            return
        self._finish(keep=self._parser.should_keep_alive())

    def _is_interim(self) -> bool:
        """Whether this is no answer yet, but a remark before it (RFC 9110, section 15.2)."""
        return 100 <= self._parser.get_status_code() < 200

    def _finish(self, keep: bool) -> None:
        waiting, self._waiting = self._waiting, None
        if not keep:
            self.close()
        if waiting is not None and not waiting.called:
            status = self._parser.get_status_code()
            location = self._location.decode("latin-1")
            waiting.callback(Reply(status, self._reason.decode("latin-1"), location, self._body))

    def _fail(self, error: Exception | Failure) -> None:
        waiting, self._waiting = self._waiting, None
        self.close()
        if waiting is not None and not waiting.called:
            waiting.errback(error)
