"""
Services and checks of configuration files: what is wrong with them.

The definitions stay as they are in the file; they become records when they are registered.

Source: Consul's "Services configuration reference" and "Health check configuration reference".
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import Any

from msgspec.structs import replace

from txconsul.agent.configuration.values import Values
from txconsul.agent.definitions import from_configuration
from txconsul.agent.sidecar import as_service
from txconsul.codec.duration import BadDuration, parse_duration
from txconsul.endpoints.service_rules import service_problem
from txconsul.language.goflags import quoted
from txconsul.records.service import NodeService, ServiceConnect, ServiceDefinition

__all__ = ["check_problem", "definition_problem", "metadata_problem", "note_problems", "weight_problem"]

_PAIRS_MAX = 64
_KEY_CHARACTERS_MAX = 128
_VALUE_CHARACTERS_MAX = 512
_RESERVED_PREFIX = "consul-"
#: A mesh gateway may say with this that it serves federation.
_MESH_GATEWAY_KEYS = frozenset(("consul-wan-federation",))
_CHECK_DURATIONS = ("interval", "timeout", "ttl", "deregister_critical_service_after")
_WEIGHT_MAX = 65535

_Definition = Mapping[str, Any]


def metadata_problem(meta: Mapping[str, str], allowed: frozenset[str] = frozenset()) -> str:
    """What is wrong with the metadata of a node or service, or an empty string."""
    if len(meta) > _PAIRS_MAX:
        return f"Node metadata cannot contain more than {_PAIRS_MAX} key/value pairs"
    for key, value in meta.items():
        problem = ""
        if not key:
            problem = "Key cannot be blank"
        elif not re.fullmatch(r"[a-zA-Z0-9_-]+", key):
            problem = "Key contains invalid characters"
        elif len(key) > _KEY_CHARACTERS_MAX:
            problem = f"Key is too long (limit: {_KEY_CHARACTERS_MAX} characters)"
        elif key.startswith(_RESERVED_PREFIX) and key not in allowed:
            problem = f"Key prefix '{_RESERVED_PREFIX}' is reserved for internal use"
        elif len(value) > _VALUE_CHARACTERS_MAX:
            problem = f"Value is too long (limit: {_VALUE_CHARACTERS_MAX} characters)"
        if problem:
            return f"Couldn't load metadata pair ('{key}', '{value}'): {problem}"
    return ""


def note_problems(values: Values, services: list[_Definition], checks: list[_Definition]) -> None:
    """Note what is wrong with single values, in the order in which they are read: checks first."""
    for check in checks:
        _note_check(values, check, "checks")
    for service in services:
        _note_service(values, service)


def _note_check(values: Values, check: _Definition, key: str) -> None:
    for name in _CHECK_DURATIONS:
        if name in check:
            values.seconds(check[name], f"check[{check.get('id', '')}].{name}", key)


def _note_service(values: Values, service: _Definition) -> None:
    name = service.get("name", "")
    for check in _checks_of(service):
        _note_check(values, check, "services")
    allowed = _MESH_GATEWAY_KEYS if service.get("kind") == "mesh-gateway" else frozenset()
    problem = metadata_problem(service.get("meta", {}), allowed)
    if problem:
        values.wrong("services", f"invalid meta for service {name}: {problem}")
    weights = service.get("weights", {})
    problem = weight_problem(weights.get("passing", 1), weights.get("warning", 1))
    if problem:
        values.wrong("services", f"Invalid weight definition for service {name}: {problem}")
    if "socket_path" in service and ("port" in service or "address" in service):
        socket = service["socket_path"]
        values.wrong("services", f"service {name} cannot have both socket path {socket} and address/port")
    _note_proxy(values, service.get("proxy", {}))
    sidecar = service.get("connect", {}).get("sidecar_service")
    if sidecar is not None:
        _note_service(values, sidecar)
        if sidecar.get("id"):
            values.wrong("services", "sidecar_service can't specify an ID")
        if sidecar.get("connect", {}).get("sidecar_service") is not None:
            values.wrong("services", "sidecar_service can't have a nested sidecar_service")


def _note_proxy(values: Values, proxy: _Definition) -> None:
    for upstream in proxy.get("upstreams", ()):
        mode = upstream.get("local_bind_socket_mode", "0")
        if not re.fullmatch("[0-7]{1,11}", mode):
            values.wrong("services", f"local_bind_socket_mode: invalid mode: {mode}")
        _note_mesh_gateway(values, upstream)
    _note_mesh_gateway(values, proxy)
    if proxy.get("mode", "") not in ("", "direct", "transparent"):
        values.wrong("services", f"Invalid Proxy Mode: {quoted(proxy['mode'])}")


def _note_mesh_gateway(values: Values, block: _Definition) -> None:
    mode = block.get("mesh_gateway", {}).get("mode", "")
    if mode not in ("", "none", "local", "remote"):
        values.wrong("services", f"Invalid Mesh Gateway Mode: {quoted(mode)}")


def weight_problem(passing: int, warning: int) -> str:
    if passing < 1:
        return "Passing must be greater than 0"
    if warning < 0:
        return "Warning must be greater or equal than 0"
    if max(passing, warning) > _WEIGHT_MAX:
        return f"DNS Weight must be between 0 and {_WEIGHT_MAX}"
    return ""


def _checks_of(service: _Definition) -> Iterator[_Definition]:
    yield from service.get("checks", ())
    if "check" in service:
        yield service["check"]


def check_problem(check: _Definition) -> str:
    """Why a definition is no check, or an empty string."""
    script, alias = bool(check.get("args")), bool(check.get("alias_node") or check.get("alias_service"))
    kinds = ("http", "tcp", "udp", "grpc", "h2ping", "os_service", "plugin")
    repeated = script or any(check.get(kind) for kind in kinds)
    interval, ttl = _nanoseconds(check, "interval"), _nanoseconds(check, "ttl")
    if interval > 0 and ttl > 0:
        return "Interval and TTL cannot both be specified"
    if repeated and interval <= 0:
        return "Interval must be > 0 for Script, HTTP, H2PING, TCP, UDP or OSService checks"
    if repeated and alias:
        return "Interval cannot be set for Alias checks"
    if alias and ttl > 0:
        return "TTL must be not be set for Alias checks"
    if not repeated and not alias and ttl <= 0:
        return "TTL must be > 0 for TTL checks"
    if check.get("output_max_size", 0) < 0:
        return "MaxOutputMaxSize must be positive"
    critical = check.get("failures_before_critical", 0)
    if check.get("failures_before_warning", critical) > critical:
        return "FailuresBeforeWarning can't be higher than FailuresBeforeCritical"
    return ""


def _nanoseconds(check: _Definition, name: str) -> int:
    try:
        return parse_duration(check[name]) if name in check else 0
    except BadDuration:
        # It was noted already; what follows is judged as if it were not there.
        return 0


def definition_problem(service: _Definition) -> str:
    """Why a definition is no service, or an empty string."""
    problem = service_problem(_registered(service))
    if problem:
        return problem
    for check in _checks_of(service):
        problem = check_problem(check)
        if problem:
            return f"check {quoted(check.get('name', ''))}: {problem}"
    return ""


def _registered(service: _Definition) -> NodeService:
    """The registration that a definition leads to, without the checks, which are judged by themselves."""
    plain = {name: value for name, value in service.items() if name not in ("check", "checks", "connect")}
    connect = service.get("connect", {})
    # what is in a sidecar's own definition was judged when it was noted
    sidecar = None if connect.get("sidecar_service") is None else ServiceDefinition()
    registered = as_service(from_configuration(ServiceDefinition, plain))
    return replace(registered, connect=ServiceConnect(native=connect.get("native", False), sidecar_service=sidecar))
