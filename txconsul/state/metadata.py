"""
Rules for the metadata of nodes and services.

Source: Consul's documentation of node and service metadata.
"""

from __future__ import annotations

import re

from txconsul.errors import InvalidRequest

__all__ = ["check_metadata_filter", "check_service_metadata"]

#: Consul's documented bounds.
PAIRS_MAX = 64
KEY_CHARACTERS_MAX = 128
VALUE_CHARACTERS_MAX = 512
#: Keys that begin so are Consul's own.
RESERVED_PREFIX = "consul-"
#: Reserved, but given to mesh gateways by their users.
_MESH_GATEWAY_KEYS = frozenset({"consul-wan-federation"})
_KEY = re.compile(r"[a-zA-Z0-9_-]+")


def check_service_metadata(kind: str, metadata: dict[str, str] | None) -> None:
    """
    @param kind: the service's kind.
    @raise InvalidRequest: too many pairs, or one of them breaks a rule.
    """
    _check(metadata, _MESH_GATEWAY_KEYS if kind == "mesh-gateway" else frozenset())


def check_metadata_filter(metadata: dict[str, str] | None) -> None:
    """
    @param metadata: what nodes are to be found by; reserved keys are allowed.
    @raise InvalidRequest: too many pairs, or one of them breaks a rule.
    """
    _check(metadata, None)


def _check(metadata: dict[str, str] | None, allowed: frozenset[str] | None) -> None:
    """@param allowed: reserved keys that may be used; None is all."""
    if not metadata:
        return
    if len(metadata) > PAIRS_MAX:
        raise InvalidRequest(f"Node metadata cannot contain more than {PAIRS_MAX} key/value pairs")
    for key in sorted(metadata):
        problem = _problem(key, metadata[key], allowed)
        if problem:
            raise InvalidRequest(f"Couldn't load metadata pair ('{key}', '{metadata[key]}'): {problem}")


def _problem(key: str, value: str, allowed: frozenset[str] | None) -> str:
    if not key:
        return "Key cannot be blank"
    if not _KEY.fullmatch(key):
        return "Key contains invalid characters"
    if len(key) > KEY_CHARACTERS_MAX:
        return f"Key is too long (limit: {KEY_CHARACTERS_MAX} characters)"
    if key.startswith(RESERVED_PREFIX) and allowed is not None and key not in allowed:
        return f"Key prefix '{RESERVED_PREFIX}' is reserved for internal use"
    if len(value.encode("utf-8", "surrogateescape")) > VALUE_CHARACTERS_MAX:
        return f"Value is too long (limit: {VALUE_CHARACTERS_MAX} characters)"
    return ""
