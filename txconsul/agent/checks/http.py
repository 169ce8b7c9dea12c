"""
The check that a page answers, over a connection that is kept: a small HTTP/1.1 client, since many checks run often.

Redirects are followed on the same host only: a service must not be able to send its agent anywhere else.

Source: Consul's documentation of HTTP checks; RFC 9112.
"""

from __future__ import annotations

import re
from base64 import b64encode
from collections.abc import Mapping
from typing import Any, NamedTuple
from urllib.parse import SplitResult, unquote, urljoin, urlsplit

import httptools
from twisted.internet.defer import Deferred
from twisted.internet.defer import TimeoutError as DeferredTimeout
from twisted.internet.protocol import Factory, Protocol, connectionDone
from twisted.python.failure import Failure
from zope.interface import implementer

from txconsul.agent.checks.dialing import CannotDial, Target, dial, split_address
from txconsul.errors import PeerMisbehaved
from txconsul.interfaces import ICheck, INetwork
from txconsul.records.health import CRITICAL, PASSING, WARNING, CheckResult

__all__ = ["HTTPCheck"]

#: As many as Go's client follows.
REDIRECTS_MAX = 10
#: A header section of more than this is no answer to a check.
HEADER_BYTES_MAX = 64 * 1024
#: What asks, unless a header says so.
USER_AGENT = "Consul Health Check"
ACCEPT = "text/plain, text/*, */*"
TOO_MANY_REQUESTS = 429
_REDIRECTS = (301, 302, 303, 307, 308)
#: A token of RFC 9110, section 5.6.2.
_METHOD = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]+")
_PORTS = {"http": 80, "https": 443}


class Reply(NamedTuple):
    """
    @ivar body: its end, as far as it is kept.
    """

    status: int
    reason: str
    location: str
    body: bytes


class _Client(Protocol):
    """One connection, for one request after another."""

    def __init__(self) -> None:
        self.usable = False
        self.heard = False
        self._waiting: Deferred[Reply] | None = None

    def connectionMade(self) -> None:
        self.usable = True

    def ask(self, data: bytes, head_only: bool, kept: int) -> Deferred[Reply]:
        """Send a request; C{kept} is how many bytes of the body are."""
        self._parser = httptools.HttpResponseParser(self)
        self._head_only = head_only
        self._kept = kept
        self._reason, self._location, self._body = b"", b"", b""
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
                self._fail(PeerMisbehaved("EOF"))

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
        if self._headed and self._head_only:
            self._finish(keep=False)

    def on_body(self, data: bytes) -> None:
        self._body = (self._body + data)[-self._kept :]

    def on_message_complete(self) -> None:
        if self._is_interim():
            self._reason = self._body = b""
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

    def _fail(self, error: Exception) -> None:
        waiting, self._waiting = self._waiting, None
        self.close()
        if waiting is not None and not waiting.called:
            waiting.errback(error)


@implementer(ICheck)
class HTTPCheck:
    """
    @param timeout: seconds for all of it.
    @param output_size_max: bytes of the body that are kept.
    """

    def __init__(
        self,
        network: INetwork,
        url: str,
        *,
        method: str = "",
        headers: Mapping[str, tuple[str, ...] | None] | None = None,
        body: str = "",
        timeout: float = 10.0,
        output_size_max: int = 4096,
        redirects: bool = True,
        server_name: str = "",
        verify: bool = True,
    ) -> None:
        self._network = network
        self._url = url
        self._method = method or "GET"
        self._headers = headers or {}
        self._body = body.encode("utf-8", "surrogateescape")
        self._timeout = timeout
        self._output_size_max = output_size_max
        self._redirects = redirects
        self._server_name = server_name
        self._verify = verify
        self._client: _Client | None = None

    def run(self) -> Deferred[CheckResult]:
        """See L{ICheck}."""
        found: Deferred[CheckResult] = Deferred.fromCoroutine(self._run())
        return found.addTimeout(self._timeout, self._network.clock).addErrback(self._failed)

    def stop(self) -> None:
        """See L{ICheck}."""
        if self._client is not None:
            self._client.close()
            self._client = None

    def _failed(self, reason: Failure) -> CheckResult:
        if reason.check(DeferredTimeout):
            self.stop()
            why = "context deadline exceeded (Client.Timeout exceeded while awaiting headers)"
        elif reason.check(CannotDial, PeerMisbehaved, ValueError):
            why = reason.getErrorMessage()
        else:
            return reason  # type: ignore[return-value]  # a Failure goes on as one
        verb = self._method[:1] + self._method[1:].lower()
        return CheckResult(status=CRITICAL, output=f'{verb} "{self._url}": {why}')

    async def _run(self) -> CheckResult:
        url = self._parsed(self._url)
        reply = await self._ask(url)
        for _ in range(REDIRECTS_MAX):
            if not self._redirects or reply.status not in _REDIRECTS or not reply.location:
                break
            further = self._parsed(urljoin(url.geturl(), reply.location))
            if (further.scheme, further.netloc) != (url.scheme, url.netloc):
                break
            url = further
            reply = await self._ask(url)
        status = WARNING if reply.status == TOO_MANY_REQUESTS else CRITICAL
        if 200 <= reply.status <= 299:
            status = PASSING
        body = reply.body.decode("utf-8", "replace")
        shown = f"{reply.status} {reply.reason}".strip()
        return CheckResult(status=status, output=f"HTTP {self._method} {self._url}: {shown} Output: {body}")

    def _parsed(self, text: str) -> SplitResult:
        url = urlsplit(text)
        if url.scheme not in _PORTS:
            raise ValueError(f'unsupported protocol scheme "{url.scheme}"')
        if not url.hostname:
            raise ValueError("no Host in request URL")
        return url

    async def _ask(self, url: SplitResult) -> Reply:
        request = self._request(url)
        head_only = self._method == "HEAD"
        client = self._client
        if client is not None and client.usable:
            try:
                return await client.ask(request, head_only, self._output_size_max)
            except PeerMisbehaved:
                # It may have been closed while it was idle, which says nothing of the service.
                if client.heard or self._method not in ("GET", "HEAD"):
                    raise
        host, port = split_address(url.netloc.rpartition("@")[2], _PORTS[url.scheme])
        target = Target(host, port, url.scheme == "https", self._server_name, self._verify)
        factory: Any = Factory.forProtocol(_Client)
        dialled: Any = await dial(self._network, target, factory, self._timeout)
        self._client = getattr(dialled, "wrappedProtocol", dialled)
        return await self._client.ask(request, head_only, self._output_size_max)

    def _request(self, url: SplitResult) -> bytes:
        if not _METHOD.fullmatch(self._method):
            raise ValueError(f'net/http: invalid method "{self._method}"')
        path = (url.path or "/").replace(" ", "%20")
        if url.query:
            path += f"?{url.query}"
        given = {name.lower() for name, values in self._headers.items() if values}
        hosts = next((values for name, values in self._headers.items() if name.lower() == "host" and values), None)
        lines = [f"{self._method} {path} HTTP/1.1", f"Host: {hosts[0] if hosts else url.netloc.rpartition('@')[2]}"]
        if "user-agent" not in given:
            lines.append(f"User-Agent: {USER_AGENT}")
        if "accept" not in given:
            lines.append(f"Accept: {ACCEPT}")
        if url.username is not None and "authorization" not in given:
            pair = f"{unquote(url.username)}:{unquote(url.password or '')}".encode()
            lines.append(f"Authorization: Basic {b64encode(pair).decode()}")
        if self._body or self._method in ("PUT", "POST", "PATCH"):
            lines.append(f"Content-Length: {len(self._body)}")
        for name, values in self._headers.items():
            if name.lower() not in ("host", "content-length"):
                lines.extend(f"{name}: {value}" for value in values or ())
        text = "\r\n".join(one.replace("\r", "").replace("\n", "") for one in lines)
        return text.encode("utf-8", "surrogateescape") + b"\r\n\r\n" + self._body
