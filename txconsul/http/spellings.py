"""
Other spellings of what is registered: bodies may use the names of configuration files, C{destination_service_name} for
C{DestinationServiceName}, where Consul's take both. The usual spelling goes first.

Source: Consul's documentation of the agent and catalog HTTP APIs, and of service and check definitions.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from txconsul.codec.fields import fields_of
from txconsul.records.health import HealthCheckDefinition

__all__ = ["registration", "service_definition", "standing_check"]

_CHECK_SPELLINGS = {
    "args": "ScriptArgs",
    "script_args": "ScriptArgs",
    "deregister_critical_service_after": "DeregisterCriticalServiceAfter",
    "docker_container_id": "DockerContainerID",
    "tls_server_name": "TLSServerName",
    "tls_skip_verify": "TLSSkipVerify",
    "tcp_use_tls": "TCPUseTLS",
    "grpc_use_tls": "GRPCUseTLS",
    "h2ping_use_tls": "H2PingUseTLS",
    "plugin_options": "PluginOptions",
}
_STANDING_SPELLINGS = _CHECK_SPELLINGS | {"service_id": "ServiceID", "disable_redirects": "DisableRedirects"}
_SERVICE_SPELLINGS = {"enable_tag_override": "EnableTagOverride", "tagged_addresses": "TaggedAddresses"}
_PROXY_SPELLINGS = {
    "destination_service_name": "DestinationServiceName",
    "destination_service_id": "DestinationServiceID",
    "local_service_address": "LocalServiceAddress",
    "local_service_port": "LocalServicePort",
    "local_service_socket_path": "LocalServiceSocketPath",
    "mesh_gateway": "MeshGateway",
    "transparent_proxy": "TransparentProxy",
    "access_logs": "AccessLogs",
}
_UPSTREAM_SPELLINGS = {
    "destination_type": "DestinationType",
    "destination_partition": "DestinationPartition",
    "destination_namespace": "DestinationNamespace",
    "destination_peer": "DestinationPeer",
    "destination_name": "DestinationName",
    "local_bind_address": "LocalBindAddress",
    "local_bind_port": "LocalBindPort",
    "local_bind_socket_path": "LocalBindSocketPath",
    "local_bind_socket_mode": "LocalBindSocketMode",
    "mesh_gateway": "MeshGateway",
}
_PATH_SPELLINGS = {
    "listener_port": "ListenerPort",
    "local_path_port": "LocalPathPort",
    "parsed_from_check": "ParsedFromCheck",
}
_HEEDED_OF_CONNECT = frozenset({"native", "sidecarservice", "peermeta"})
_DEFINITION = frozenset(field.wire.lower() for field in fields_of(HealthCheckDefinition))
_DURATIONS = frozenset({"interval", "timeout", "deregistercriticalserviceafter", "ttl"})
#: What a check in a service's definition may say, and nobody heeds.
_UNHEEDED = frozenset({"serviceid", "service_id"})


def _respelled(given: Any, spellings: Mapping[str, str]) -> Any:
    """The object with its other spellings replaced; the usual one goes first."""
    if not isinstance(given, dict):
        return given
    usual = {name.lower() for name in given}
    found = {}
    for name, one in given.items():
        other = spellings.get(name.lower())
        if other is None:
            found[name] = one
        elif other.lower() not in usual:
            found[other] = one
    return found


def _respelled_check(given: Any, spellings: Mapping[str, str]) -> Any:
    """A check's definition in the usual spelling; a ping is by TLS unless it says otherwise."""
    found = _respelled(given, spellings)
    if isinstance(found, dict):
        names = {name.lower(): one for name, one in found.items()}
        if names.get("h2ping") and "h2pingusetls" not in names:
            found["H2PingUseTLS"] = True
    return found


def _check(given: Any) -> Any:
    found = _respelled_check(given, _CHECK_SPELLINGS)
    if isinstance(found, dict):
        found = {name: one for name, one in found.items() if name.lower() not in _UNHEEDED}
    return found


def standing_check(given: Any) -> Any:
    """The definition of a check that is registered by itself, in the usual spelling."""
    return _respelled_check(given, _STANDING_SPELLINGS)


def service_definition(given: Any) -> Any:
    """The definition of a service, in the usual spelling."""
    return _within(
        _respelled(given, _SERVICE_SPELLINGS),
        {"check": _check, "checks": _each(_check), "connect": _connect, "proxy": _proxy},
    )


def registration(given: Any) -> Any:
    """What is registered with the catalog, in the usual spelling: there, only the mesh's parts have another one."""
    return _within(
        given, {"service": _registered_service, "check": _registered_check, "checks": _each(_registered_check)}
    )


def _registered_service(given: Any) -> Any:
    return _within(given, {"connect": _connect, "proxy": _proxy})


def _registered_check(given: Any) -> Any:
    return _within(given, {"definition": _registered_definition})


def _registered_definition(given: Any) -> Any:
    """A check's definition: Consul passes over names that it does not know, and durations that are of no use."""
    if not isinstance(given, dict):
        return given
    heeded = {name: one for name, one in given.items() if name.lower() in _DEFINITION}
    for name, one in heeded.items():
        if name.lower() in _DURATIONS:
            heeded[name] = _duration(one)
    return heeded


def _duration(given: Any) -> Any:
    """Nanoseconds, whole ones; text as it is; None for what is neither."""
    if isinstance(given, float):
        return int(given)
    return given if isinstance(given, str | int) and not isinstance(given, bool) else None


def _within(given: Any, parts: Mapping[str, Callable[[Any], Any]]) -> Any:
    """The object with some of its parts, by their names in lower case, in the usual spelling."""
    if not isinstance(given, dict):
        return given
    return {name: parts[name.lower()](one) if name.lower() in parts else one for name, one in given.items()}


def _each(respell: Callable[[Any], Any]) -> Callable[[Any], Any]:
    return lambda given: [respell(one) for one in given] if isinstance(given, list) else given


def _connect(given: Any) -> Any:
    found = _respelled(given, {"sidecar_service": "SidecarService"})
    if isinstance(found, dict):
        # the one place where Consul passes over names that it does not know
        found = {name: one for name, one in found.items() if name.lower() in _HEEDED_OF_CONNECT}
    return _within(found, {"sidecarservice": service_definition})


def _proxy(given: Any) -> Any:
    return _within(_respelled(given, _PROXY_SPELLINGS), {"upstreams": _each(_upstream), "expose": _expose})


def _upstream(given: Any) -> Any:
    return _respelled(given, _UPSTREAM_SPELLINGS)


def _expose(given: Any) -> Any:
    return _within(given, {"paths": _each(lambda path: _respelled(path, _PATH_SPELLINGS))})
