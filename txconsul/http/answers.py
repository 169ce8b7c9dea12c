"""
Answers: what is known of them as headers, their values as bodies, errors as text.
"""

from __future__ import annotations

import re
import zlib
from collections.abc import Callable, Iterator
from functools import lru_cache
from html import escape
from typing import TYPE_CHECKING, Any

from txconsul.codec import json
from txconsul.errors import MethodNotAllowed, TxconsulError
from txconsul.http.parameters import Misdirected, Redirected
from txconsul.http.response import Response

if TYPE_CHECKING:
    from txconsul.endpoints.registry import Answer, Cached
    from txconsul.http.settings import HTTPSettings
    from txconsul.records.query import QueryOptions

__all__ = [
    "JSON",
    "accepts_gzip",
    "body",
    "cache_head",
    "compress",
    "consistency",
    "consistency_head",
    "empty",
    "failure",
    "json_pieces",
    "json_value",
    "meta_head",
    "misdirection",
    "options",
    "plain",
    "shown",
    "value",
]

JSON = b"Content-Type: application/json\r\n"
PLAIN = b"Content-Type: text/plain; charset=utf-8\r\n"

#: Bodies below this are not worth compressing: with their headers they fit into one packet anyway.
GZIP_BYTES_MIN = 1400
#: zlib's own default, and Go's.
GZIP_LEVEL = 6
#: Bodies kept compressed, and the longest that is kept: one that is shared by many is compressed once.
PACKED_KEPT = 16
PACKED_BYTES_KEPT = 1 << 20
#: zlib's word for "with gzip's header and trailer".
_GZIP_WINDOW = 31

_META = (
    b"X-Consul-Index: %d\r\nX-Consul-Knownleader: %b\r\nX-Consul-Lastcontact: %d\r\n"
    b"X-Consul-Query-Backend: blocking-query\r\n"
)
#: What is told of an answer that never came: Go writes the zero values, and an index of 0 as 1.
NO_META = _META % (1, b"false", 0)


def meta_head(answer: Answer) -> bytes:
    """The header lines that tell of a read's answer."""
    known = b"true" if answer.known_leader else b"false"
    head = _META % (answer.index, known, int(answer.last_contact * 1000))
    return head if answer.cached is None else head + cache_head(answer.cached)


def cache_head(cached: Cached) -> bytes:
    """The header lines that tell of an answer that this agent keeps."""
    return b"X-Cache: HIT\r\nAge: %.0f\r\n" % cached.age if cached.hit else b"X-Cache: MISS\r\n"


def consistency_head(options: QueryOptions) -> bytes:
    """The header line that tells with which consistency a read was answered."""
    return b"X-Consul-Effective-Consistency: %b\r\n" % consistency(options).encode()


def consistency(options: QueryOptions) -> str:
    """The name of the consistency with which a read was answered."""
    return "stale" if options.allow_stale else "consistent" if options.require_consistent else "leader"


def json_value(settings: HTTPSettings, value: Any, pretty: bool, head: bytes = b"") -> Response:
    """A value as JSON."""
    return Response(200, settings.common_head + head + JSON, _json(settings, value, pretty))


def _json(settings: HTTPSettings, value: Any, pretty: bool) -> bytes:
    return body(settings, json.encode(value), pretty)


def body(settings: HTTPSettings, data: bytes, pretty: bool) -> bytes:
    """JSON as it is sent: indented, where the client or the configuration wants that."""
    if pretty:
        return json.indent(data) + b"\n"
    return json.indent(data) if settings.always_pretty else data


def shown(
    settings: HTTPSettings, answer: Answer, show: Callable[[Any], Any], pretty: bool, head: bytes = b""
) -> Response:
    """
    A read's value as JSON, rendered once where the value is kept.

    @param show: C{value -> what is rendered}, always the same function for the same way to show it.
    """
    if answer.view is None:
        return json_value(settings, show(answer.value), pretty, head)
    data = answer.view.rendering((show, pretty), lambda value: _json(settings, show(value), pretty))
    return Response(200, settings.common_head + head + JSON, data)


def json_pieces(settings: HTTPSettings, pieces: Iterator[bytes], head: bytes) -> Response:
    """A value as JSON that is made as the client takes it."""
    return Response(200, settings.common_head + head + JSON, pieces)


def value(settings: HTTPSettings, data: bytes, head: bytes) -> Response:
    """Bytes that are rendered already; C{head} names their type."""
    return Response(200, settings.common_head + head, data)


def plain(settings: HTTPSettings, status: int, text: str, head: bytes = b"") -> Response:
    """A text."""
    return Response(status, settings.common_head + head + PLAIN, text.encode("utf-8", "replace"))


def empty(settings: HTTPSettings, status: int, head: bytes = b"") -> Response:
    """No body, and nothing said of its type."""
    return Response(status, settings.common_head + head, b"")


def options(settings: HTTPSettings, allowed: tuple[str, ...]) -> Response:
    """The methods that a path knows."""
    return Response(200, settings.common_head + b"Allow: %b\r\n" % ",".join(allowed).encode() + JSON, b"")


def failure(settings: HTTPSettings, error: TxconsulError, head: bytes = b"") -> Response:
    """An error as clients see it."""
    if isinstance(error, MethodNotAllowed):
        head += b"Allow: %b\r\n" % ",".join(error.allowed).encode()
    text = str(error)
    if not text:
        return empty(settings, error.status, head + PLAIN if error.status >= 500 else head)
    return plain(settings, error.status, text, head)


def misdirection(error: Misdirected, head: bytes, method: bytes) -> Response:
    """The answer to a path that leads nowhere. Only who reads gets a page with the link, as from Go's redirects."""
    if isinstance(error, Redirected):
        head += b"Location: %b\r\n" % error.location
        if method not in (b"GET", b"HEAD"):
            return Response(error.status, head, b"")
        link = escape(error.location.decode("latin-1"))
        body = f'<a href="{link}">{error}</a>.\n\n'
        return Response(error.status, head + b"Content-Type: text/html; charset=utf-8\r\n", body.encode())
    text = str(error)
    return Response(error.status, head + PLAIN if text else head, text.encode("utf-8", "replace"))


_GZIP_Q = re.compile(rb"(?:^|,)\s*(?:gzip|\*)\s*(?:;\s*q=([0-9.]+))?\s*(?:,|$)")


def accepts_gzip(header: bytes) -> bool:
    """Does an Accept-Encoding header want gzip?"""
    match = _GZIP_Q.search(header.lower())
    if match is None:
        return False
    try:
        return match[1] is None or float(match[1]) > 0
    except ValueError:
        return False


def compress(response: Response) -> Response:
    """The same answer compressed, if that is worth it."""
    body = response.body
    if b"Content-Encoding:" in response.head:
        return response
    data: bytes | Iterator[bytes]
    if type(body) is not bytes:
        if JSON not in response.head:  # an archive, which is compressed already
            return response
        data = _packed(body)
    elif len(body) < GZIP_BYTES_MIN:
        return response
    else:
        data = (_packed_whole if len(body) <= PACKED_BYTES_KEPT else _packed_whole.__wrapped__)(body)
    return Response(response.status, response.head + b"Content-Encoding: gzip\r\n", data)


@lru_cache(PACKED_KEPT)
def _packed_whole(body: bytes) -> bytes:
    return b"".join(_packed(iter((body,))))


def _packed(pieces: Any) -> Iterator[bytes]:
    packer = zlib.compressobj(GZIP_LEVEL, zlib.DEFLATED, _GZIP_WINDOW)
    for piece in pieces:
        if data := packer.compress(piece):
            yield data
    yield packer.flush()
