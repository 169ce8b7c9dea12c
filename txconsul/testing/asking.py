"""
Requests to an agent's HTTP API over any L{INetwork<txconsul.interfaces.INetwork>}: one connection each.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import httptools
from twisted.internet.defer import Deferred
from twisted.internet.protocol import Factory, Protocol, connectionDone
from twisted.python.failure import Failure

from txconsul.errors import PeerMisbehaved
from txconsul.interfaces import INetwork

__all__ = ["Answer", "ask"]


@dataclass(frozen=True)
class Answer:
    """@ivar headers: by their names in lower case."""

    status: int
    headers: dict[str, str]
    body: bytes

    def json(self) -> Any:
        """The body, decoded."""
        return json.loads(self.body)

    @property
    def text(self) -> str:
        """The body as text."""
        return self.body.decode()

    @property
    def index(self) -> int:
        """What the answer says of its state, for a blocking query: C{X-Consul-Index}."""
        return int(self.headers["x-consul-index"])


class _Asking(Protocol):
    """One request, and its answer."""

    def __init__(self, request: bytes, head_only: bool) -> None:
        self.answer: Deferred[Answer] = Deferred(lambda _: self._abort())
        self._request = request
        self._head_only = head_only
        self._parser = httptools.HttpResponseParser(self)
        self._headers: dict[str, str] = {}
        self._body: list[bytes] = []
        self._measured = False

    def connectionMade(self) -> None:
        """See L{Protocol}."""
        assert self.transport is not None
        self.transport.write(self._request)

    def dataReceived(self, data: bytes) -> None:
        """See L{Protocol}."""
        try:
            self._parser.feed_data(data)
        except (httptools.HttpParserError, httptools.HttpParserUpgrade) as error:
            self._fail(PeerMisbehaved(f"no HTTP answer: {error}"))

    def connectionLost(self, reason: Failure = connectionDone) -> None:
        """See L{Protocol}."""
        if self._headers and not self._measured:
            self._finish()  # a body without a length ends with its connection
        else:
            self._fail(reason)

    def on_header(self, name: bytes, value: bytes) -> None:
        """The parser found one."""
        key = name.decode("latin-1").lower()
        self._headers[key] = value.decode("latin-1")
        self._measured = self._measured or key in ("content-length", "transfer-encoding")

    def on_headers_complete(self) -> None:
        """The parser has all of them."""
        if self._head_only and self._parser.get_status_code() >= 200:
            self._finish()

    def on_body(self, data: bytes) -> None:
        """The parser found a piece."""
        self._body.append(data)

    def on_message_complete(self) -> None:
        """The parser has it all."""
        if self._parser.get_status_code() >= 200:
            self._finish()

    def _finish(self) -> None:
        if not self.answer.called:
            self.answer.callback(Answer(self._parser.get_status_code(), self._headers, b"".join(self._body)))
        self._abort()

    def _fail(self, reason: Exception | Failure) -> None:
        if not self.answer.called:
            self.answer.errback(reason)
        self._abort()

    def _abort(self) -> None:
        transport: Any = self.transport
        if transport is not None:
            transport.loseConnection()


def ask(
    network: INetwork,
    description: str,
    method: str,
    target: str,
    body: bytes | str | dict[str, Any] | list[Any] = b"",
    headers: Mapping[str, str] | None = None,
) -> Deferred[Answer]:
    """
    Ask an agent.

    @param description: where it listens, such as C{tcp:127.0.0.1:8500}.
    @param target: path and query: C{/v1/kv/a?raw}.
    @param body: bytes, text, or what is to be encoded as JSON.
    @return: fails if the connection does not come about (L{ConnectError<twisted.internet.error.ConnectError>}) or ends
        before the answer is whole (L{ConnectionLost<twisted.internet.error.ConnectionLost>},
        L{ConnectionDone<twisted.internet.error.ConnectionDone>}): what was asked may have been done all the same.
        Cancelling it closes the connection.
    """
    if isinstance(body, dict | list):
        body = json.dumps(body)
    data = body.encode() if isinstance(body, str) else body
    lines = [f"{method} {target} HTTP/1.1", "Host: agent", f"Content-Length: {len(data)}", "Connection: close"]
    lines += [f"{name}: {value}" for name, value in (headers or {}).items()]
    asking = _Asking("\r\n".join(lines).encode("latin-1") + b"\r\n\r\n" + data, method == "HEAD")
    factory: Any = Factory.forProtocol(lambda: asking)  # type: ignore[arg-type]
    factory.noisy = False
    connecting: Deferred[Any] = network.connect(description, factory)
    return connecting.addCallback(lambda _: asking.answer)
