"""
What watches tell: the agent's answers in the form that handlers have come to know from Consul's client library.

It differs a little from what the agent answers. Fields come in their own order, some that are empty are left out, some
that the agent leaves out are there with their zero value, and what the library does not know is gone.

Source: Consul's documentation of its API, and recorded output of C{consul watch}.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

from txconsul.codec.duration import format_duration, parse_duration

__all__ = ["AGENT_SERVICE", "AS_IS", "CHECKS", "EVENTS", "KEY", "KEYS", "LEAF", "NODES", "ROOTS", "SERVICE", "Shape"]

Shape = Callable[[Any], Any]


def as_is(value: Any) -> Any:
    """What the library reads into a map: names are sorted, at every depth."""
    if isinstance(value, dict):
        return {name: as_is(one) for name, one in sorted(value.items())}
    return [as_is(one) for one in value] if isinstance(value, list) else value


class Field(NamedTuple):
    """
    @ivar zero: what stands for a value that is not there.
    @ivar omitted: left out while empty.
    """

    name: str
    zero: Any = ""
    omitted: bool = False
    shape: Shape = as_is


def record(*fields: Field) -> Shape:
    """An object with these fields."""

    def shape(value: Any) -> Any:
        if not isinstance(value, Mapping):
            return value
        found = {}
        for field in fields:
            one = value.get(field.name)
            if field.omitted and one in (None, "", 0, [], {}) and not (one == {} and field.zero is None):
                continue
            found[field.name] = field.zero if one is None else field.shape(one)
        return found

    return shape


def listing(of: Shape) -> Shape:
    """A list of them; null stays null."""

    def shape(value: Any) -> Any:
        return [of(one) for one in value] if isinstance(value, list) else value

    return shape


def _texts(names: str) -> tuple[Field, ...]:
    return tuple(Field(name) for name in names.split())


def _numbers(names: str) -> tuple[Field, ...]:
    return tuple(Field(name, 0) for name in names.split())


def _optional(names: str) -> tuple[Field, ...]:
    """Left out while empty."""
    return tuple(Field(name, omitted=True) for name in names.split())


def _objects(names: str) -> tuple[Field, ...]:
    """Left out where there is none; an empty one is shown."""
    return tuple(Field(name, None, omitted=True) for name in names.split())


def _duration(value: Any) -> Any:
    """A duration as text, of a text or of nanoseconds."""
    try:
        return format_duration(parse_duration(value) if isinstance(value, str) and value else int(value or 0))
    except ValueError:
        return value


_INDEXES = _numbers("CreateIndex ModifyIndex")
_TENANCY = _optional("Namespace Partition")

AS_IS: Shape = as_is

KEY = record(
    *_texts("Key"),
    *_numbers("CreateIndex ModifyIndex LockIndex Flags"),
    Field("Value", None),
    *_texts("Session"),
    *_TENANCY,
)
KEYS = listing(KEY)

_NODE = record(
    *_texts("ID Node Address Datacenter"),
    Field("TaggedAddresses", None),
    Field("Meta", None),
    *_INDEXES,
    *_optional("Partition PeerName"),
    *_objects("Locality"),
)
NODES = listing(_NODE)

_DEFINITION = record(
    Field("Interval", "0s", shape=_duration),
    Field("Timeout", "0s", shape=_duration),
    Field("DeregisterCriticalServiceAfter", "0s", shape=_duration),
    *_texts("HTTP"),
    Field("Header", None),
    *_texts("Method Body TLSServerName"),
    Field("TLSSkipVerify", False),
    *_texts("TCP"),
    Field("TCPUseTLS", False),
    *_texts("UDP GRPC OSService"),
    Field("GRPCUseTLS", False),
    *_optional("SessionName"),
)


def _definition(value: Any) -> Any:
    """A check's definition, whose durations the agent may call by their longer names."""
    if not isinstance(value, Mapping):
        return value
    longer = {name.removesuffix("Duration"): one for name, one in value.items() if name.endswith("Duration")}
    return _DEFINITION({**value, **longer})


_CHECK = record(
    *_texts("Node CheckID Name Status Notes Output ServiceID ServiceName"),
    Field("ServiceTags", None),
    *_texts("Type"),
    *_TENANCY,
    *_numbers("ExposedPort"),
    *_optional("PeerName"),
    Field("Definition", _definition({}), shape=_definition),
    *_INDEXES,
)
CHECKS = listing(_CHECK)

_UPSTREAM = record(
    *_optional("DestinationType DestinationPartition DestinationNamespace DestinationPeer"),
    *_texts("DestinationName"),
    *_optional("Datacenter LocalBindAddress LocalBindPort LocalBindSocketPath LocalBindSocketMode Config"),
    Field("MeshGateway", {}),
    *_optional("CentrallyConfigured"),
)
_PROXY = record(
    *_optional("EnvoyExtensions DestinationServiceName DestinationServiceID LocalServiceAddress LocalServicePort"),
    *_optional("LocalServiceSocketPath Mode"),
    *_objects("TransparentProxy"),
    *_optional("Config"),
    Field("Upstreams", omitted=True, shape=listing(_UPSTREAM)),
    Field("MeshGateway", {}),
    Field("Expose", {}),
    *_objects("AccessLogs"),
)
AGENT_SERVICE = record(
    *_optional("Kind"),
    *_texts("ID Service"),
    Field("Tags", None),
    Field("Meta", None),
    *_numbers("Port"),
    *_texts("Address"),
    *_optional("SocketPath TaggedAddresses"),
    Field("Weights", {"Passing": 0, "Warning": 0}, shape=record(*_numbers("Passing Warning"))),
    Field("EnableTagOverride", False),
    *_optional("CreateIndex ModifyIndex ContentHash"),
    Field("Proxy", None, omitted=True, shape=_PROXY),
    *_objects("Connect"),
    *_optional("PeerName"),
    *_TENANCY,
    *_optional("Datacenter"),
    *_objects("Locality"),
)
SERVICE = listing(
    record(
        Field("Node", None, shape=_NODE),
        Field("Service", None, shape=AGENT_SERVICE),
        Field("Checks", None, shape=CHECKS),
    )
)

EVENTS = listing(
    record(
        *_texts("ID Name"),
        Field("Payload", None),
        *_texts("NodeFilter ServiceFilter TagFilter"),
        *_numbers("Version LTime"),
    )
)

_ROOT = record(*_texts("ID Name RootCert"), Field("Active", False), *_INDEXES)
ROOTS = record(*_texts("ActiveRootID TrustDomain"), Field("Roots", None, shape=listing(_ROOT)))
LEAF = record(
    *_texts("SerialNumber"),
    *_optional("CertPEM PrivateKeyPEM"),
    *_texts("Service ServiceURI ValidAfter ValidBefore"),
    *_INDEXES,
)
