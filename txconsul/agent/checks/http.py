"""
The check that a page answers, over a connection that is kept, since many checks run often.

Redirects are followed on the same host only: a service must not be able to send its agent anywhere else.

Source: Consul's documentation of HTTP checks.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any
from urllib.parse import SplitResult, urljoin, urlsplit

from twisted.internet.defer import Deferred
from twisted.internet.defer import TimeoutError as DeferredTimeout
from twisted.internet.protocol import Factory
from twisted.python.failure import Failure
from zope.interface import implementer

from txconsul.agent.checks.dialing import CannotDial, CheckTLS, Secure, Target, dial, split_address
from txconsul.agent.checks.http_client import HTTPClient, Reply
from txconsul.agent.checks.proxying import PORTS, authorization, proxy_for, tunnel
from txconsul.agent.checks.tcp import LOOPBACK
from txconsul.errors import PeerMisbehaved
from txconsul.interfaces import ICheck, INetwork
from txconsul.records.health import CRITICAL, PASSING, WARNING, CheckResult

__all__ = ["HTTPCheck"]

#: As many as Go's client follows.
REDIRECTS_MAX = 10
#: What asks, unless a header says so.
USER_AGENT = "Consul Health Check"
ACCEPT = "text/plain, text/*, */*"
TOO_MANY_REQUESTS = 429
_REDIRECTS = (301, 302, 303, 307, 308)
#: After these the next request has no body, and is a GET unless it was a HEAD (RFC 9110, section 15.4).
_FORGETS_METHOD = (301, 302, 303)
#: A token of RFC 9110, section 5.6.2.
_TOKEN = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]+")


@implementer(ICheck)
class HTTPCheck:
    """
    @param timeout: seconds for all of it.
    @param output_size_max: bytes of the body that are kept.
    @param secure: how TLS is spoken, where the URL asks for it.
    @param environment: may name proxies; see L{txconsul.agent.checks.proxying}.
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
        secure: Secure | None = None,
        environment: Mapping[str, str] | None = None,
    ) -> None:
        self._network = network
        self._url = url
        self._method = method or "GET"
        self._headers = headers or {}
        self._body = body.encode("utf-8", "surrogateescape")
        self._timeout = timeout
        self._output_size_max = output_size_max
        self._redirects = redirects
        self._secure = secure or Secure(CheckTLS())
        self._environment = environment or {}
        self._client: HTTPClient | None = None

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
        method, body = self._method, self._body
        reply = await self._ask(url, method, body)
        for _ in range(REDIRECTS_MAX):
            if not self._redirects or reply.status not in _REDIRECTS or not reply.location:
                break
            further = self._parsed(urljoin(url.geturl(), reply.location))
            if (further.scheme, further.netloc) != (url.scheme, url.netloc):
                break
            url = further
            if reply.status in _FORGETS_METHOD:
                method, body = ("HEAD" if method == "HEAD" else "GET"), b""
            reply = await self._ask(url, method, body)
        status = WARNING if reply.status == TOO_MANY_REQUESTS else CRITICAL
        if 200 <= reply.status <= 299:
            status = PASSING
        shown = f"{reply.status} {reply.reason}".strip()
        output = f"HTTP {self._method} {self._url}: {shown} Output: {reply.body.text()}"
        return CheckResult(status=status, output=output)

    def _parsed(self, text: str) -> SplitResult:
        url = urlsplit(text)
        if url.scheme not in PORTS:
            raise ValueError(f'unsupported protocol scheme "{url.scheme}"')
        if not url.netloc.rpartition("@")[2]:
            raise ValueError("no Host in request URL")
        return url

    async def _ask(self, url: SplitResult, method: str, body: bytes) -> Reply:
        proxy = proxy_for(url, self._environment)
        request = self._request(url, method, body, proxy)
        head_only = method == "HEAD"
        client = self._client
        if client is not None and client.usable:
            try:
                return await client.ask(request, self._output_size_max, head_only=head_only)
            except PeerMisbehaved:
                # It may have been closed while it was idle, which says nothing of the service.
                if client.heard or method not in ("GET", "HEAD"):
                    raise
        self._client = client = await self._dialled(url, proxy)
        return await client.ask(request, self._output_size_max, head_only=head_only)

    async def _dialled(self, url: SplitResult, proxy: SplitResult | None) -> HTTPClient:
        host, port = split_address(url.netloc.rpartition("@")[2], PORTS[url.scheme])
        secure = self._secure if url.scheme == "https" else None
        connect = None
        if proxy is not None and secure is None:
            host, port = split_address(proxy.netloc.rpartition("@")[2], PORTS["http"])
        elif proxy is not None:
            connect = tunnel(self._network, proxy)
        target = Target(host or LOOPBACK, port, secure)
        factory: Any = Factory.forProtocol(HTTPClient)
        client: HTTPClient = await dial(self._network, target, factory, self._timeout, connect)
        return client

    def _request(self, url: SplitResult, method: str, body: bytes, proxy: SplitResult | None) -> bytes:
        if not _TOKEN.fullmatch(method):
            raise ValueError(f'net/http: invalid method "{method}"')
        place = url.netloc.rpartition("@")[2]
        path = (url.path or "/").replace(" ", "%20")
        if url.query:
            path += f"?{url.query}"
        if proxy is not None and url.scheme == "http":
            path = f"http://{place}{path}"
        given = {name.lower() for name, values in self._headers.items() if values}
        hosts = next((values for name, values in self._headers.items() if name.lower() == "host" and values), None)
        lines = [f"{method} {path} HTTP/1.1", f"Host: {hosts[0] if hosts else place}"]
        if "user-agent" not in given:
            lines.append(f"User-Agent: {USER_AGENT}")
        if "accept" not in given:
            lines.append(f"Accept: {ACCEPT}")
        if url.username is not None and "authorization" not in given:
            lines.append(f"Authorization: {authorization(url)}")
        if proxy is not None and url.scheme == "http" and proxy.username is not None:
            lines.append(f"Proxy-Authorization: {authorization(proxy)}")
        if body or method in ("PUT", "POST", "PATCH"):
            lines.append(f"Content-Length: {len(body)}")
        for name, values in self._headers.items():
            if not _TOKEN.fullmatch(name):
                raise ValueError(f'net/http: invalid header field name "{name}"')
            if name.lower() not in ("host", "content-length", "transfer-encoding", "connection"):
                lines.extend(f"{name}: {value}" for value in values or ())
        text = "\r\n".join(one.replace("\r", "").replace("\n", "") for one in lines)
        return text.encode("utf-8", "surrogateescape") + b"\r\n\r\n" + body
