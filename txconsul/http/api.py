"""
The HTTP API: one request in, one answer out.

Routing, the checks that every path shares (blocked endpoints, methods, who may write), tokens, compression, and errors
as clients see them. What a path does is in its row of the table.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from functools import lru_cache
from ipaddress import ip_address
from time import perf_counter
from typing import Any
from urllib.parse import unquote_to_bytes

from twisted.internet.defer import CancelledError, Deferred
from twisted.logger import Logger
from twisted.python.failure import Failure

from txconsul.errors import Forbidden, MethodNotAllowed, TxconsulError
from txconsul.http.answers import JSON, NO_META, accepts_gzip, compress, failure, misdirection, options
from txconsul.http.counting import COUNTED, count_requests
from txconsul.http.parameters import BadCacheControl, Misdirected, Redirected, parse_target
from txconsul.http.request import Request
from txconsul.http.response import Response
from txconsul.http.routes import Call, Route
from txconsul.http.settings import HTTPSettings
from txconsul.interfaces import ICaller
from txconsul.metrics.instruments import OTHER, Counter, Sample
from txconsul.metrics.metrics import Metrics
from txconsul.records.query import Context

__all__ = ["API"]

#: Targets kept resolved, and the longest that is kept: what clients repeat is short, the rest must not fill the memory.
TARGETS_KEPT = 4096
TARGET_BYTES_KEPT = 512

#: Methods that are told apart in what is measured; the others are whatever clients make up.
_NAMED = frozenset({"GET", "HEAD", "PUT", "POST", "DELETE", "OPTIONS"})
_READING = frozenset({b"GET", b"HEAD", b"OPTIONS"})
_ANONYMOUS = Context()

_NOT_API = (
    "Invalid URL path: if attempting to use the HTTP API, ensure the path starts with '/v1/'\n",
    "Invalid URL path: not a recognized HTTP API endpoint\n",
)


class NotAPath(Misdirected):
    """No row of the table has this path."""

    status = 404
    with_headers = True


class API:
    """The application of an HTTP listener."""

    _log = Logger("txconsul.http")

    def __init__(
        self,
        door: ICaller,
        settings: HTTPSettings,
        routes: Iterable[Route],
        cache: ICaller | None = None,
        metrics: Metrics | None = None,
        seconds: Callable[[], float] = perf_counter,
    ) -> None:
        """
        @param cache: who is asked instead of the door where C{?cached} allows it.
        @param metrics: the instruments of what is measured.
        @param seconds: monotonic.
        """
        self.door = door
        self.cache = door if cache is None else cache
        self.settings = settings
        self._metrics = metrics or Metrics()
        self._seconds = seconds
        self._exact: dict[bytes, Route] = {}
        self._prefixes: dict[bytes, Route] = {}
        for route in routes:
            (self._prefixes if route.path.endswith(b"/") and route.path != b"/" else self._exact)[route.path] = route
        self._errors: dict[tuple[bytes, str], Counter] = {
            (path, method): count_requests(self._metrics, settings.node_name, name, self._timer(method, path))
            for path, (method, name) in COUNTED.items()
        }
        self.yes = Response(200, settings.common_head + JSON, b"true")
        self._kept = lru_cache(TARGETS_KEPT)(self._resolve)

    def __call__(self, request: Request) -> Response | Deferred[Response]:
        """Answer a request; the answer, or a Deferred of it, is always a L{Response}."""
        call = None
        began = self._seconds()
        try:
            target = request.target
            resolve = self._kept if len(target) <= TARGET_BYTES_KEPT else self._resolve
            call = resolve(request.method, target)
            if type(call) is Response:
                return call
            if self.settings.write_networks and request.method not in _READING:
                self._check_writer(request)
            call.action.tenancy.check_headers(request)
            response = call.action.serve(self, call, request)
        except TxconsulError as error:
            if call is not None:
                call.timer.add((self._seconds() - began) * 1000)
            return self._refuse(error, call, request)
        except Exception:
            return self._broken(Failure(), request)
        if type(response) is Deferred:
            response.addCallbacks(
                self._answered,
                self._failed,
                callbackArgs=(call.timer, began),
                errbackArgs=(call, request, began),
            )
            if request.header(b"accept-encoding"):
                response.addCallback(self._compress, request)
            return response
        call.timer.add((self._seconds() - began) * 1000)
        return self._compress(response, request)

    # ---- what rows use ----

    def context(self, call: Call, request: Request) -> Context:
        """Who asks: the token in the query, or in a header."""
        token = call.token
        if not token:
            if header := request.header(b"x-consul-token"):
                token = header.decode("latin-1")
            elif header := request.header(b"authorization"):
                token = _bearer(header)
        return Context(token=token) if token else _ANONYMOUS

    # ---- routing ----

    def _resolve(self, verb: bytes, raw: bytes) -> Any:
        """The L{Call} of a target, or the L{Response} that it always gets."""
        method = verb.decode("latin-1")
        raw_path, _, query = raw.partition(b"?")
        try:
            target = parse_target(raw, self.settings.keep_unprintable)
        except Redirected as unclean:
            if unclean.path + b"/" in self._prefixes:
                raise Redirected(unclean.path + b"/", query) from None
            raise
        route, rest = self._route(target.path)
        if route is not None and b"%" in raw_path and raw[:1] == b"/" and not _leads_to(route, raw_path):
            route = None
        if (route is None or rest) and target.path + b"/" in self._prefixes:
            raise Redirected(target.path + b"/", query)
        if route is None:
            raise NotAPath(_NOT_API[b"/v1/" in target.path])
        if target.path.startswith(self.settings.blocked or b"\0"):
            raise Forbidden("Endpoint is blocked by agent configuration")
        allowed = ("OPTIONS", *route.methods)
        if method == "OPTIONS" and "*" not in route.methods:
            return options(self.settings, allowed)
        action = route.methods.get(method) or route.methods.get("*")
        if action is None:
            raise MethodNotAllowed(method, allowed)
        prepared = None
        if action.prepare is not None:
            prepared = action.prepare(self, target, rest)
        action.tenancy.check_query(target)
        timer = self._timer(method, route.path)
        return Call(
            action,
            target,
            rest,
            prepared,
            target.has("pretty"),
            target.get("token"),
            timer,
            self._errors.get((route.path, method)),
        )

    def _timer(self, method: str, path: bytes) -> Sample:
        label = path[1:].decode().replace("/", "_")
        return self._metrics.sample("api.http", method=method if method in _NAMED else OTHER, path=label)

    def _route(self, path: bytes) -> tuple[Route | None, bytes]:
        """The row of a path, and what is behind the row's own part."""
        found = self._exact.get(path)
        if found is not None:
            return found, b""
        end = path.rfind(b"/") + 1
        while end > 1:
            found = self._prefixes.get(path[:end])
            if found is not None:
                return found, path[end:]
            end = path.rfind(b"/", 0, end - 1) + 1
        return None, b""

    def _check_writer(self, request: Request) -> None:
        address = request.client.rpartition(":")[0].strip("[]")
        try:
            source = ip_address(address)
        except ValueError:
            raise Forbidden("Access is restricted") from None
        if not any(source in network for network in self.settings.write_networks):
            raise Forbidden("Access is restricted")

    # ---- errors ----

    def _refuse(self, error: TxconsulError, call: Call | None, request: Request) -> Response:
        self._log.debug(
            "Request error: method={method} from={source} error={error}",
            method=request.method.decode("ascii", "backslashreplace"),
            source=request.client,
            error=str(error).encode("utf-8", "backslashreplace").decode(),  # it may quote a path
        )
        if isinstance(error, Misdirected):
            head = self.settings.index_head if error.with_headers else b""
            return misdirection(error, head, request.method)
        if call is not None and call.errors is not None:
            call.errors.add()
        asked = call is not None and call.action.meta_on_error and not isinstance(error, BadCacheControl)
        head = NO_META if asked else b""
        return failure(self.settings, error, head)

    def _answered(self, response: Response, timer: Sample, began: float) -> Response:
        timer.add((self._seconds() - began) * 1000)
        return response

    def _failed(self, reason: Failure, call: Call, request: Request, began: float) -> Response | Failure:
        call.timer.add((self._seconds() - began) * 1000)
        if isinstance(reason.value, CancelledError):
            return reason  # the client has gone, and its connection knows
        if isinstance(reason.value, TxconsulError):
            return self._refuse(reason.value, call, request)
        return self._broken(reason, request)

    def _broken(self, reason: Failure, request: Request) -> Response:
        self._log.failure("Request failed: method={method}", failure=reason, method=request.method)
        return failure(self.settings, TxconsulError())

    def _compress(self, response: Response, request: Request) -> Response:
        header = request.header(b"accept-encoding")
        return compress(response) if header and accepts_gzip(header) else response


def _leads_to(route: Route, raw_path: bytes) -> bool:
    """Do the slashes of a row's own part stand in the path as such? An escaped one parts no segments."""
    own = route.path.rstrip(b"/").split(b"/")
    return [unquote_to_bytes(one) for one in raw_path.split(b"/")[: len(own)]] == own


def _bearer(header: bytes) -> str:
    """The token of an Authorization header; empty where its scheme is another."""
    scheme, _, rest = header.decode("latin-1").partition(" ")
    words = rest.split()
    return words[0] if scheme.lower() == "bearer" and words else ""
