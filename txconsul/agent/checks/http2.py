"""
HTTP/2 for checks: a connection on which pings and requests are sent, on the h2 library, which is an extra.

Source: RFC 9113.
"""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import suppress
from typing import Any, NamedTuple

from twisted.internet.defer import Deferred
from twisted.internet.protocol import Protocol, connectionDone
from twisted.python.failure import Failure

from txconsul.agent.checks.dialing import in_tls_words
from txconsul.errors import PeerMisbehaved

try:
    from h2.config import H2Configuration
    from h2.connection import H2Connection
    from h2.errors import ErrorCodes
    from h2.events import (
        ConnectionTerminated,
        DataReceived,
        PingAckReceived,
        ResponseReceived,
        StreamEnded,
        StreamReset,
        TrailersReceived,
    )
    from h2.exceptions import ProtocolError

    AVAILABLE = True
except ImportError:
    AVAILABLE = False

__all__ = ["ALPN", "AVAILABLE", "HTTP2Client", "Response"]

#: What HTTP/2 is called within TLS.
ALPN = b"h2"
#: What a ping carries, and must bring back.
PING = b"txconsul"
#: A response longer than this is none to a check.
RESPONSE_BYTES_MAX = 64 * 1024

#: Where a frame's type is, and that of the first frame (RFC 9113, sections 3.4, 4.1 and 6.5).
_TYPE_AT, _SETTINGS = 3, b"\4"

Headers = Sequence[tuple[bytes, bytes]]


class Response(NamedTuple):
    """
    @ivar headers: and, without difference, trailers; names in lower case.
    """

    headers: dict[bytes, bytes]
    body: bytes


class HTTP2Client(Protocol):
    """One connection, for one ping or request."""

    def connectionMade(self) -> None:
        self._connection = H2Connection(H2Configuration(client_side=True, header_encoding=None))
        self._waiting: Deferred[Any] | None = None
        self._headers: dict[bytes, bytes] = {}
        self._body = b""
        self._begin = b""
        self._connection.initiate_connection()
        self._send()

    def ping(self) -> Deferred[None]:
        """Fires when the ping came back; fails with L{PeerMisbehaved}."""
        self._connection.ping(PING)
        return self._wait()

    def ask(self, headers: Headers, body: bytes) -> Deferred[Response]:
        """Send a request; fails with L{PeerMisbehaved}."""
        stream = self._connection.get_next_available_stream_id()
        self._connection.send_headers(stream, list(headers))
        self._connection.send_data(stream, body, end_stream=True)
        return self._wait()

    def close(self) -> None:
        """Say good-bye, as far as that can be said."""
        with suppress(ProtocolError):
            self._connection.close_connection()
        self._send()
        if self.transport is not None:
            self.transport.loseConnection()

    def _wait(self) -> Deferred[Any]:
        self._send()
        waiting: Deferred[Any] = Deferred(lambda _: self.close())
        self._waiting = waiting
        return waiting

    def _send(self) -> None:
        data = self._connection.data_to_send()
        if data and self.transport is not None:
            self.transport.write(data)

    def dataReceived(self, data: bytes) -> None:
        if len(self._begin) < _TYPE_AT + 1:
            # h2 would wait for all of what another protocol's letters say is a large frame.
            self._begin += data[: _TYPE_AT + 1]
            if self._begin[_TYPE_AT : _TYPE_AT + 1] not in (b"", _SETTINGS):
                self._fail(PeerMisbehaved("http2: the first frame has no settings; is it another protocol?"))
                return
        try:
            events = self._connection.receive_data(data)
        except ProtocolError as error:
            self._send()
            self._fail(PeerMisbehaved(f"http2: {error or type(error).__name__}"))
            return
        for event in events:
            self._heard(event)
        self._send()

    def connectionLost(self, reason: Failure = connectionDone) -> None:
        self._fail(in_tls_words(reason))

    def _heard(self, event: Any) -> None:
        if isinstance(event, PingAckReceived):
            if event.ping_data == PING:
                self._answer(None)
        elif isinstance(event, (ResponseReceived, TrailersReceived)):
            self._headers.update((bytes(name), bytes(value)) for name, value in event.headers or ())
        elif isinstance(event, DataReceived):
            self._body += event.data or b""
            if len(self._body) > RESPONSE_BYTES_MAX:
                self._fail(PeerMisbehaved("the response is too large"))
            else:
                self._connection.acknowledge_received_data(event.flow_controlled_length or 0, event.stream_id or 0)
        elif isinstance(event, StreamEnded):
            self._answer(Response(self._headers, self._body))
        elif isinstance(event, StreamReset):
            self._fail(PeerMisbehaved(f"stream terminated by RST_STREAM with error code: {_named(event.error_code)}"))
        elif isinstance(event, ConnectionTerminated):
            self._fail(PeerMisbehaved(f"connection terminated by GOAWAY with error code: {_named(event.error_code)}"))

    def _answer(self, answer: Any) -> None:
        waiting, self._waiting = self._waiting, None
        if waiting is not None and not waiting.called:
            waiting.callback(answer)

    def _fail(self, error: Exception | Failure) -> None:
        waiting, self._waiting = self._waiting, None
        if self.transport is not None:
            self.transport.loseConnection()
        if waiting is not None and not waiting.called:
            waiting.errback(error)


def _named(code: Any) -> str:
    try:
        return ErrorCodes(code).name
    except ValueError:
        return str(code)
