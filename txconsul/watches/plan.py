"""
What is watched: a watch's parameters, of flags or of a configuration file, made into the question to ask.

Source: Consul's documentation "Watches", its types and their parameters.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from txconsul.codec.duration import SECOND, BadDuration, parse_duration
from txconsul.errors import TxconsulError
from txconsul.watches import shapes
from txconsul.watches.shapes import Shape

__all__ = ["AGENT_TYPES", "BadWatch", "HTTPHandler", "Params", "Plan", "parse"]

Params = Mapping[str, str | tuple[str, ...]]

#: Types whose data is an agent's own, or secret.
AGENT_TYPES = ("connect_", "agent_")
_STATES = ("any", "passing", "warning", "critical")
#: Seconds that an HTTP handler has, unless its configuration says otherwise.
HANDLER_SECONDS = 10.0


class BadWatch(TxconsulError):
    """There is no such watch; the message says why."""


@dataclass(frozen=True)
class HTTPHandler:
    """
    A handler that is an HTTP request.

    @ivar timeout: seconds.
    @ivar verify: whether the certificate must be good.
    """

    url: str
    method: str = "POST"
    headers: tuple[tuple[str, tuple[str, ...]], ...] = ()
    timeout: float = HANDLER_SECONDS
    verify: bool = True


@dataclass(frozen=True)
class Plan:
    """
    One watch.

    @ivar path: what to ask an agent, with C{params}, by GET.
    @ivar shape: from the answer's JSON to what is told.
    @ivar absent: whether 404 is an answer: there is nothing, C{null}.
    @ivar by_hash: changes are told by the content's hash and not by an index.
    @ivar single: the answer is a list, of which the first element is told.
    @ivar http: the handler, where it is a request.
    """

    type: str
    path: str
    params: Params
    shape: Shape
    absent: bool = False
    by_hash: bool = False
    single: bool = False
    datacenter: str = ""
    token: str = ""
    http: HTTPHandler | None = None

    @property
    def is_events(self) -> bool:
        """Whether the answer is a list of events, of which the new ones are told."""
        return self.type == "event"


class _Parameters:
    """Parameters that are taken one by one, so that those that nobody takes can be named."""

    def __init__(self, values: Mapping[str, Any]) -> None:
        self._left = dict(values)

    def text(self, name: str) -> str:
        return str(self._take(name, "", lambda value: isinstance(value, str), "a string"))

    def truth(self, name: str) -> bool:
        return bool(self._take(name, False, lambda value: isinstance(value, bool), "a boolean"))

    def texts(self, name: str) -> tuple[str, ...]:
        found = self._take(name, (), lambda value: isinstance(value, str | list | tuple), "a string or []string")
        if isinstance(found, str):
            return (found,)
        for place, one in enumerate(found):
            if not isinstance(one, str):
                raise BadWatch(f"Index {place} of {name} expected to be string")
        return tuple(found)

    def anything(self, name: str) -> Any:
        return self._left.pop(name, None)

    def _take(self, name: str, zero: Any, good: Callable[[Any], bool], what: str) -> Any:
        if name not in self._left:
            return zero
        value = self._left.pop(name)
        if not good(value):
            raise BadWatch(f"Expecting {name} to be {what}")
        return value

    def finish(self) -> None:
        if self._left:
            raise BadWatch(f"Invalid parameters: [{' '.join(sorted(self._left))}]")


def parse(values: Mapping[str, Any]) -> Plan:
    """
    The plan of a watch.

    @param values: such as C{{"type": "key", "key": "a"}}. What only the agent's configuration has (C{args},
        C{handler}) is not among them.
    @raise BadWatch: they make none.
    """
    parameters = _Parameters(values)
    common: dict[str, Any] = {name: parameters.text(name) for name in ("datacenter", "token", "type")}
    if not common["type"]:
        raise BadWatch("Watch type must be specified")
    if parameters.text("handler_type") == "http":
        common["http"] = _http_handler(parameters.anything("http_handler_config"))
    kind = _TYPES.get(common["type"])
    if kind is None:
        raise BadWatch(f"Unsupported watch type: {common['type']}")
    specific = kind(parameters)
    parameters.finish()
    return Plan(**common, **specific)


# ---- types ----


def _stale(parameters: _Parameters) -> dict[str, str]:
    return {"stale": ""} if parameters.truth("stale") else {}


def _filtered(parameters: _Parameters) -> dict[str, str]:
    params = _stale(parameters)
    expression = parameters.text("filter")
    return {**params, "filter": expression} if expression else params


def _key(parameters: _Parameters) -> dict[str, Any]:
    params, key = _stale(parameters), parameters.text("key")
    if not key:
        raise BadWatch("Must specify a single key to watch")
    path = f"/v1/kv/{key.removeprefix('/')}"
    return {"path": path, "params": params, "shape": shapes.KEY, "absent": True, "single": True}


def _key_prefix(parameters: _Parameters) -> dict[str, Any]:
    params, prefix = _stale(parameters), parameters.text("prefix")
    if not prefix:
        raise BadWatch("Must specify a single prefix to watch")
    path = f"/v1/kv/{prefix.removeprefix('/')}"
    return {"path": path, "params": {**params, "recurse": ""}, "shape": shapes.KEYS, "absent": True}


def _services(parameters: _Parameters) -> dict[str, Any]:
    return {"path": "/v1/catalog/services", "params": _filtered(parameters), "shape": shapes.AS_IS}


def _nodes(parameters: _Parameters) -> dict[str, Any]:
    return {"path": "/v1/catalog/nodes", "params": _filtered(parameters), "shape": shapes.NODES}


def _service(parameters: _Parameters) -> dict[str, Any]:
    params: dict[str, Any] = dict(_filtered(parameters))
    service = parameters.text("service")
    if not service:
        raise BadWatch("Must specify a single service to watch")
    tags = parameters.texts("tag")
    if tags:
        params["tag"] = tags
    if parameters.truth("passingonly"):
        params["passing"] = "1"
    return {"path": f"/v1/health/service/{service}", "params": params, "shape": shapes.SERVICE}


def _checks(parameters: _Parameters) -> dict[str, Any]:
    params = _filtered(parameters)
    service, state = parameters.text("service"), parameters.text("state")
    if service and state:
        raise BadWatch("Cannot specify service and state")
    if state and state not in _STATES:
        raise BadWatch(f"Unsupported state: {state}")
    path = f"/v1/health/checks/{service}" if service else f"/v1/health/state/{state or 'any'}"
    return {"path": path, "params": params, "shape": shapes.CHECKS}


def _event(parameters: _Parameters) -> dict[str, Any]:
    name = parameters.text("name")
    return {"path": "/v1/event/list", "params": {"name": name} if name else {}, "shape": shapes.EVENTS}


def _roots(parameters: _Parameters) -> dict[str, Any]:
    return {"path": "/v1/agent/connect/ca/roots", "params": {}, "shape": shapes.ROOTS}


def _leaf(parameters: _Parameters) -> dict[str, Any]:
    path = f"/v1/agent/connect/ca/leaf/{parameters.text('service')}"
    return {"path": path, "params": {}, "shape": shapes.LEAF}


def _agent_service(parameters: _Parameters) -> dict[str, Any]:
    path = f"/v1/agent/service/{parameters.text('service_id')}"
    return {"path": path, "params": {}, "shape": shapes.AGENT_SERVICE, "by_hash": True}


_TYPES: dict[str, Callable[[_Parameters], dict[str, Any]]] = {
    "key": _key,
    "keyprefix": _key_prefix,
    "services": _services,
    "nodes": _nodes,
    "service": _service,
    "checks": _checks,
    "event": _event,
    "connect_roots": _roots,
    "connect_leaf": _leaf,
    "agent_service": _agent_service,
}


# ---- HTTP handlers ----


def _http_handler(value: Any) -> HTTPHandler:
    if value is None:
        raise BadWatch("Handler type 'http' requires 'http_handler_config' to be set")
    try:
        return _handler_of(_unwrapped(value))
    except BadWatch as error:
        raise BadWatch(f"Failed to parse 'http_handler_config': {error}") from None


def _unwrapped(value: Any) -> Any:
    """HCL reads a block as a list with one object."""
    return value[0] if isinstance(value, list | tuple) and len(value) == 1 else value


def _handler_of(value: Any) -> HTTPHandler:
    if not isinstance(value, Mapping):
        raise BadWatch("expected a map")
    # keys that nobody knows are passed over, as Consul does
    parameters = _Parameters({str(name).lower(): one for name, one in value.items()})
    url, method, wait = (parameters.text(name) for name in ("path", "method", "timeout"))
    verify, headers = not parameters.truth("tls_skip_verify"), _unwrapped(parameters.anything("header"))
    if headers is not None and not isinstance(headers, Mapping):
        raise BadWatch("'header' expected a map")
    named = _Parameters(headers or {})
    pairs = tuple((str(name), named.texts(name)) for name in headers or ())
    if not url:
        raise BadWatch("Requires 'path' to be set")
    try:
        timeout = parse_duration(wait) / SECOND if wait else HANDLER_SECONDS
    except BadDuration as error:
        raise BadWatch(f"Failed to parse timeout: {error}") from None
    return HTTPHandler(url, method or "POST", pairs, timeout, verify)
