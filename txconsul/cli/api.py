"""
A small client of an agent's HTTP interface: one request after the other, answers whole or as a stream.

L{Client} makes requests of paths and parameters and judges the answers; a I{transport} carries them. The one over
sockets is that of L{txconsul.cli.sockets}; tests put a function in its place. Errors read as Go's HTTP client
writes them, since scripts look for those words.
"""

from __future__ import annotations

import json
from base64 import b64encode
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Protocol
from urllib.parse import quote, quote_plus

from txconsul.cli.gotext import go_quoted
from txconsul.cli.settings import Settings

__all__ = ["Answer", "ApiError", "Client", "Params", "Request", "Transport", "TransportFailed"]

#: What Go leaves as it is in a path.
_PATH_SAFE = "$&+,/:;=@"

#: Read at once of a body that comes bit by bit.
_PIECE_BYTES_MAX = 1 << 16

#: Answers which say that the same is to be asked elsewhere, and how often one after the other (as in Go's client).
_REDIRECTS = frozenset({301, 302, 307, 308})
_REDIRECTS_MAX = 10

Body = bytes | Iterable[bytes] | None
#: Parameters of a request by name; a list stands for a parameter that is given several times.
Params = Mapping[str, str | Sequence[str]]


class ApiError(Exception):
    """The request did not get an answer of use; the message is for the user."""


class StatusError(ApiError):
    """The agent answered with another status than those that were expected."""

    def __init__(self, status: int, text: str) -> None:
        super().__init__(f"Unexpected response code: {status} ({text})")
        self.status = status


class TransportFailed(Exception):
    """Nothing came back, or no HTTP; the message is the cause alone, such as C{EOF}."""


class Source(Protocol):
    """Where an answer's body comes from."""

    def read(self, size: int = -1, /) -> bytes: ...

    def read1(self, size: int = -1, /) -> bytes: ...

    def close(self) -> None: ...


@dataclass(frozen=True)
class Request:
    """
    One request, ready for the wire.

    @ivar target: path and query, escaped.
    @ivar url: what errors call it.
    @ivar body: bytes, or pieces; pieces need a Content-Length among the headers, or are sent as chunks.
    """

    method: str
    target: str
    url: str
    headers: Mapping[str, str]
    body: Body = None


@dataclass
class Answer:
    """
    What came back.

    @ivar headers: by name in lower case.
    @ivar interrupt: ends the body for whoever waits for more of it, in another thread.
    """

    status: int
    headers: Mapping[str, str]
    source: Source
    url: str = field(default="", repr=False)
    interrupt: Callable[[], object] = field(default=lambda: None, repr=False)

    def read(self, size: int = -1) -> bytes:
        """
        Up to so many bytes, everything if negative; none at the end.

        @raise ApiError: the connection broke.
        """
        try:
            return self.source.read(size)
        except TransportFailed as error:
            raise ApiError(str(error)) from None

    def pieces(self) -> Iterator[bytes]:
        """
        The body as it comes, for as long as it comes.

        @raise ApiError: the connection broke.
        """
        try:
            while piece := self.source.read1(_PIECE_BYTES_MAX):
                yield piece
        except TransportFailed as error:
            raise ApiError(str(error)) from None

    def json(self) -> Any:
        """
        The body as JSON.

        @raise ApiError: it is none.
        """
        body = self.read()
        try:
            return json.loads(body)
        except (ValueError, RecursionError) as error:
            raise ApiError(f"the agent's answer is no JSON: {error}") from None

    def objects(self) -> list[dict[str, Any]]:
        """
        The body as a list of JSON objects; none for C{null}.

        @raise ApiError: it is none.
        """
        found = self.json()
        if found is None:
            return []
        if not isinstance(found, list) or not all(isinstance(one, dict) for one in found):
            raise ApiError("the agent's answer is no list of objects")
        return found

    def fields(self) -> dict[str, Any]:
        """
        The body as one JSON object; empty for C{null}.

        @raise ApiError: it is none.
        """
        found = self.json()
        if found is None:
            return {}
        if not isinstance(found, dict):
            raise ApiError("the agent's answer is no object")
        return found

    @property
    def index(self) -> int:
        """X-Consul-Index; 0 where it is absent or no number."""
        text = self.headers.get("x-consul-index", "")
        return int(text) if text.isascii() and text.isdigit() else 0


Transport = Callable[[Request], Answer]


class Client:
    """An agent, as the commands see it."""

    def __init__(self, settings: Settings, transport: Transport) -> None:
        self._settings = settings
        self._transport = transport

    def call(
        self,
        method: str,
        path: str,
        params: Params | None = None,
        *,
        body: Body = None,
        headers: Mapping[str, str] | None = None,
        allowed: tuple[int, ...] = (200,),
    ) -> Answer:
        """
        Ask, and judge the status. The answer's body is still to be read.

        @param path: from the first slash, not escaped; bytes that are no UTF-8 as surrogates.
        @param params: beside those of the settings, which they override.
        @raise ApiError: the agent cannot be reached, or the status is none of C{allowed}.
        """
        request = self._request(method, path, params or {}, body, headers or {})
        answer = self._ask(request)
        if answer.status not in allowed:
            text = answer.read().decode("utf-8", "replace").strip()
            raise StatusError(answer.status, text)
        return answer

    def _ask(self, request: Request) -> Answer:
        """One answer, after as many redirects as the agent's own paths need. A body in pieces is sent once only."""
        for _ in range(_REDIRECTS_MAX):
            try:
                answer = self._transport(request)
            except TransportFailed as error:
                raise ApiError(f"{request.method.capitalize()} {go_quoted(request.url)}: {error}") from None
            target = answer.headers.get("location", "")
            again = request.body is None or isinstance(request.body, bytes)
            if answer.status not in _REDIRECTS or not again or not _is_path(target):
                return answer
            answer.source.close()
            url = f"{self._settings.scheme}://{self._settings.host}{target}"
            request = replace(request, target=target, url=url)
        raise ApiError(
            f"{request.method.capitalize()} {go_quoted(request.url)}: stopped after {_REDIRECTS_MAX} redirects"
        )

    def _request(self, method: str, path: str, params: Params, body: Body, headers: Mapping[str, str]) -> Request:
        settings = self._settings
        target = quote(settings.prefix + path, safe=_PATH_SAFE, errors="surrogateescape")
        query = "&".join(
            f"{quote_plus(key)}={quote_plus(value, errors='surrogateescape')}"
            for key, values in sorted({**dict(settings.params), **params}.items())
            for value in ([values] if isinstance(values, str) else values)
        )
        if query:
            target += "?" + query
        sent = dict(headers)
        if settings.token:
            sent["X-Consul-Token"] = settings.token
        if settings.auth:
            pair = ":".join(settings.auth).encode("utf-8", "surrogateescape")
            sent["Authorization"] = "Basic " + b64encode(pair).decode("ascii")
        return Request(method, target, f"{settings.scheme}://{settings.host}{target}", sent, body)


def _is_path(target: str) -> bool:
    """Whether a place is one of the same agent: the token is shown to nobody else."""
    return target.startswith("/") and not target.startswith("//")
