"""
A request's target, taken apart: path, query, and the options of a read, once for all routes.

Source: Go's net/url and net/http (what Consul's clients meet), and Consul's documentation of query parameters.
"""

from __future__ import annotations

import re
from typing import NamedTuple
from urllib.parse import quote, unquote_to_bytes

import msgspec

from txconsul.codec.duration import SECOND, BadDuration, parse_duration
from txconsul.codec.goquote import quote as quote_go
from txconsul.errors import BadRequest, TxconsulError
from txconsul.records.query import DEFAULT, QueryOptions

__all__ = [
    "BadCacheControl",
    "BadPath",
    "BadQuery",
    "Misdirected",
    "ReadDefaults",
    "Redirected",
    "Target",
    "Unprintable",
    "cache_control",
    "parse_int",
    "parse_target",
    "parse_uint",
    "read_options",
    "read_wait",
    "with_cache_control",
]

_HEX = frozenset(b"0123456789abcdefABCDEF")
UINT_MAX = 2**64 - 1
#: Digits of UINT_MAX: longer numbers are not even converted, which would take quadratic time.
_UINT_DIGITS = 20
_INT = re.compile("[+-]?[0-9]+", re.ASCII)


class Misdirected(TxconsulError):
    """The path leads to no row of the table; nothing of the API's own is in the answer."""

    #: Whether the configured headers are, all the same.
    with_headers = False


class BadPath(Misdirected):
    """The path is no path."""

    status = 400
    text = "400 Bad Request"


class Unprintable(Misdirected):
    """The path has a character that cannot be printed. Answered without a word, as Consul does."""

    status = 400
    text = ""


class BadQuery(TxconsulError):
    """The query string cannot be read. Answered without a word, as Consul does."""

    status = 500
    text = ""


class Redirected(Misdirected):
    """
    The path is not clean.

    @ivar path: the clean path, escaped as in the request.
    @ivar location: where clients are sent. Like Go's multiplexer, this escapes a path that is escaped already.
    """

    status = 301

    def __init__(self, path: bytes, query: bytes) -> None:
        super().__init__("Moved Permanently")
        self.path = path
        self.location = quote(path, _UNESCAPED).encode() + (b"?" + query if query else b"")


#: What Go leaves as it is in a path besides letters, digits and C{-_.~}; and what it takes there from others.
_UNESCAPED = "$&+,/:;=@"
_TAKEN = frozenset(b"abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-_.~$&+,/:;=@!'()*[]%")


class Target(NamedTuple):
    """
    @ivar path: decoded, as bytes; it need not be UTF-8.
    @ivar query: names and values in their order; the names of C{?a&b=1} are C{a} and C{b}.
    """

    path: bytes
    query: dict[str, list[str]]

    def has(self, name: str) -> bool:
        """Is the parameter there, with a value or without?"""
        return name in self.query

    def get(self, name: str) -> str:
        """The first value; empty where there is none."""
        values = self.query.get(name)
        return values[0] if values else ""


def parse_target(raw: bytes, keep_unprintable: bool = False) -> Target:
    """
    Take a request target apart.

    @param keep_unprintable: Consul's C{disable_http_unprintable_char_filter}.
    @raise BadPath: an escape in the path is none.
    @raise Unprintable: the path has a character that cannot be printed.
    @raise Redirected: the path has empty or dot segments.
    @raise BadQuery: the query string cannot be read.
    """
    raw_path, _, raw_query = raw.partition(b"?")
    if raw_path[:1] != b"/":
        raw_path = _absolute_form(raw_path)
    path = _unquote(raw_path, BadPath) if b"%" in raw_path else raw_path
    if not keep_unprintable and not path.decode("utf-8", "replace").isprintable():
        raise Unprintable()
    clean = _clean(raw_path)
    if clean != raw_path:
        if not _TAKEN.issuperset(raw_path):
            clean = _clean(quote(path, _UNESCAPED).encode())
        raise Redirected(clean, raw_query)
    return Target(path, _parse_query(raw_query) if raw_query else {})


def _absolute_form(raw: bytes) -> bytes:
    """The path of C{http://host/path}, as proxies ask."""
    scheme, separator, rest = raw.partition(b"://")
    if not separator or scheme.lower() not in (b"http", b"https"):
        raise BadPath()
    return b"/" + rest.partition(b"/")[2]


def _unquote(raw: bytes, error: type[TxconsulError]) -> bytes:
    at = raw.find(b"%")
    while at >= 0:
        if len(raw) < at + 3 or raw[at + 1] not in _HEX or raw[at + 2] not in _HEX:
            raise error()
        at = raw.find(b"%", at + 1)
    return unquote_to_bytes(raw)


def _clean(path: bytes) -> bytes:
    """The path without empty and dot segments; a trailing slash stays, but not a trailing dot."""
    if b"//" not in path and b"/." not in path:
        return path
    kept: list[bytes] = []
    segments = path.split(b"/")
    for segment in segments:
        if segment == b"..":
            if kept:
                kept.pop()
        elif segment not in (b"", b"."):
            kept.append(segment)
    tail = b"/" if kept and not segments[-1] else b""
    return b"/" + b"/".join(kept) + tail


def _parse_query(raw: bytes) -> dict[str, list[str]]:
    found: dict[str, list[str]] = {}
    for part in raw.split(b"&"):
        if not part:
            continue
        if b";" in part:
            raise BadQuery()
        name, _, value = part.partition(b"=")
        found.setdefault(_query_text(name), []).append(_query_text(value))
    return found


def _query_text(raw: bytes) -> str:
    raw = raw.replace(b"+", b" ")
    if b"%" in raw:
        raw = _unquote(raw, BadQuery)
    return raw.decode("utf-8", "surrogateescape")


def parse_uint(text: str) -> int:
    """
    A decimal number of at most 64 bits, as Go's strconv reads it.

    @raise ValueError: it is none; the text is Go's.
    """
    if not text.isascii() or not text.isdigit():
        raise ValueError(f"strconv.ParseUint: parsing {quote_go(text)}: invalid syntax")
    digits = text.lstrip("0") or "0"
    value = int(digits) if len(digits) <= _UINT_DIGITS else UINT_MAX + 1
    if value > UINT_MAX:
        raise ValueError(f"strconv.ParseUint: parsing {quote_go(text)}: value out of range")
    return value


def parse_int(text: str) -> int:
    """
    A decimal number of 64 bits with or without a sign, as Go's Atoi reads it.

    @raise ValueError: it is none; the text is Go's.
    """
    if not _INT.fullmatch(text):
        raise ValueError(f"strconv.Atoi: parsing {quote_go(text)}: invalid syntax")
    digits = text.lstrip("+-").lstrip("0") or "0"
    value = int(digits) if len(digits) <= _UINT_DIGITS else _INT_END
    value = -value if text.startswith("-") else value
    if not -_INT_END <= value < _INT_END:
        raise ValueError(f"strconv.Atoi: parsing {quote_go(text)}: value out of range")
    return value


class ReadDefaults(NamedTuple):
    """
    @ivar discovery_max_stale: ns; catalog and health reads that say nothing are stale by up to this.
    @ivar use_cache: whether C{?cached} has an effect.
    @ivar streaming: whether who waits for the health of a service is answered from a view that is kept of it.
    """

    discovery_max_stale: int = 0
    use_cache: bool = True
    streaming: bool = True


def read_wait(target: Target) -> tuple[int, int]:
    """
    For how long a read waits, in nanoseconds, and behind which index; 0 where nothing is said.

    @raise BadRequest: one of them is malformed.
    """
    wait = index = 0
    if text := target.get("wait"):
        try:
            wait = parse_duration(text)
        except BadDuration:
            raise BadRequest("Invalid wait time") from None
    if text := target.get("index"):
        try:
            index = parse_uint(text)
        except ValueError:
            raise BadRequest("Invalid index") from None
    return wait, index


def read_options(target: Target, defaults: ReadDefaults) -> QueryOptions:
    """
    How a read wants to be answered.

    @raise BadRequest: a value is malformed, or two of them contradict each other.
    """
    query = target.query
    discovery = defaults.discovery_max_stale > 0 and target.path.startswith((b"/v1/catalog", b"/v1/health"))
    if not query and not discovery:
        return DEFAULT
    wait, index = read_wait(target)
    stale = "stale" in query
    consistent = "consistent" in query
    cached = "cached" in query and defaults.use_cache
    said = stale or consistent or cached or "leader" in query
    max_stale = 0
    if text := target.get("max_stale"):
        try:
            max_stale = parse_duration(text)
        except BadDuration:
            raise BadRequest(f"Invalid max_stale value {quote_go(text)}") from None
        if max_stale > 0:
            stale = said = True
    if discovery and not said:
        stale, max_stale = True, defaults.discovery_max_stale
    if stale and consistent:
        raise BadRequest("Cannot specify ?stale with ?consistent, conflicting semantics.")
    if cached and consistent:
        raise BadRequest("Cannot specify ?cached with ?consistent, conflicting semantics.")
    if not (stale or consistent or cached or index or wait or "filter" in query):
        return DEFAULT
    return QueryOptions(
        allow_stale=stale,
        require_consistent=consistent,
        min_query_index=index,
        max_query_time=wait,
        max_stale_duration=max_stale,
        use_cache=cached,
        filter=target.get("filter"),
    )


#: A number of at most 64 bits, as Go's Atoi reads it; more digits are too many whatever they are.
_SECONDS = re.compile("[+-]?[0-9]{1,30}", re.ASCII)
_INT_END = 2**63


class BadCacheControl(BadRequest):
    """An age in a Cache-Control header is no number. It is said before anything is asked, so that no index is known."""

    text = "Invalid Cache-Control header."


def cache_control(header: str) -> dict[str, int | bool]:
    """
    The directives of a Cache-Control header that reads heed, as fields of L{QueryOptions}.

    @raise BadCacheControl: an age is no number.
    """
    found: dict[str, int | bool] = {}
    for directive in header.lower().split(","):
        name, _, value = directive.strip().partition("=")
        if name == "must-revalidate":
            found["must_revalidate"] = True
        elif name in ("max-age", "stale-if-error") and "=" in directive:
            if not _SECONDS.fullmatch(value) or not -_INT_END <= (seconds := int(value)) < _INT_END:
                raise BadCacheControl()
            found["max_age" if name == "max-age" else "stale_if_error"] = max(
                -_INT_END, min(seconds * SECOND, _INT_END - 1)
            )
            if name == "max-age" and seconds == 0:
                found["must_revalidate"] = True
    return found


def with_cache_control(options: QueryOptions, header: str) -> QueryOptions:
    """
    The options with what a Cache-Control header asks.

    @raise BadCacheControl: an age is no number.
    """
    found = cache_control(header)
    return msgspec.structs.replace(options, **found) if found else options
