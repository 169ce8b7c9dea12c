"""
How much of a snapshot is what: records and bytes a type, and a prefix of keys.

A state file is a header and then, for each record, a byte of type and a msgpack value; the bytes of the header count
with the first record. Source: Consul's documentation of C{snapshot inspect}; the wire documents, Raft, section 3.1.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import msgpack

from txconsul.codec.gomsgpack import MESSAGE_BYTES_MAX, BadMessage
from txconsul.records.command import Command

__all__ = ["Group", "KeyGroups", "Survey", "survey"]

#: What Consul calls the types.
_NAMES: dict[int, str] = {
    Command.ACL_LEGACY: "ACL",
    Command.ACL_TOKEN_SET: "ACLToken",
    Command.ACL_POLICY_SET: "ACLPolicy",
    Command.ACL_ROLE_SET: "ACLRole",
    Command.ACL_BINDING_RULE_SET: "ACLBindingRule",
    Command.ACL_AUTH_METHOD_SET: "ACLAuthMethod",
    Command.KVS: "KVS",
    Command.PEERING_WRITE: "Peering",
    Command.PEERING_TRUST_BUNDLE_WRITE: "PeeringTrustBundle",
    Command.PEERING_SECRETS_WRITE: "PeeringSecret",
    Command.RESOURCE_OPERATION: "Resource",
    Command.UPDATE_VIRTUAL_IP: "UpdateManualVirtualIPRequestType",
    34: "KindServiceName",  # reserved, not among our commands
}
_NAMES |= {
    one: "".join(word if word in ("ACL", "CA", "IP") else word.capitalize() for word in one.name.split("_"))
    for one in Command
    if one not in _NAMES
}

#: Bytes to read at once.
_READ_BYTES = 1 << 18


@dataclass
class Group:
    """Records that belong together."""

    name: str
    size: int = 0
    count: int = 0


@dataclass(frozen=True)
class KeyGroups:
    """
    How to group keys.

    @ivar depth: by so many parts between slashes.
    @ivar prefix: only keys that begin so.
    """

    depth: int = 2
    prefix: bytes = b""


@dataclass
class Survey:
    """
    What a state file holds.

    @ivar types: by the type's name.
    @ivar keys: by the beginning of the keys; empty unless it was asked for.
    @ivar size: bytes of everything.
    """

    types: dict[str, Group] = field(default_factory=dict)
    keys: dict[str, Group] = field(default_factory=dict)
    size: int = 0

    @property
    def keys_size(self) -> int:
        """Bytes of the keys that were grouped."""
        return sum(group.size for group in self.keys.values())


def survey(read: Callable[[int], bytes], groups: KeyGroups | None) -> Survey:
    """
    Read a state file from its beginning.

    @param read: gives up to so many bytes, none at the end.
    @param groups: None to leave keys alone.
    @raise BadMessage: something in it is malformed, or it ends within a record.
    """
    found = Survey()
    reader = _Reader(read)
    reader.value("the header")
    while (number := reader.type_byte()) is not None:
        name = _NAMES.get(number, f"Unknown({number})")
        value = reader.value(f"msg type {name}")
        size = reader.offset - found.size
        found.size = reader.offset
        _add(found.types, name, size)
        if groups is not None and number == Command.KVS and isinstance(value, dict):
            key = value.get(b"Key")
            if isinstance(key, bytes) and key.startswith(groups.prefix):
                beginning = b"/".join(key.split(b"/")[: groups.depth])
                _add(found.keys, beginning.decode("utf-8", "surrogateescape"), size)
    return found


def _add(groups: dict[str, Group], name: str, size: int) -> None:
    group = groups.setdefault(name, Group(name))
    group.size += size
    group.count += 1


class _Reader:
    """Type bytes and values out of a stream, with the offset behind what was read."""

    def __init__(self, read: Callable[[int], bytes]) -> None:
        class Source:
            """What msgpack calls a file."""

            def read(self, size: int) -> bytes:
                return read(size)

        self._unpacker = msgpack.Unpacker(
            Source(), raw=True, strict_map_key=False, read_size=_READ_BYTES, max_buffer_size=MESSAGE_BYTES_MAX
        )

    @property
    def offset(self) -> int:
        place: int = self._unpacker.tell()
        return place

    def type_byte(self) -> int | None:
        byte: bytes = self._unpacker.read_bytes(1)
        return byte[0] if byte else None

    def value(self, what: str) -> Any:
        try:
            return self._unpacker.unpack()
        except msgpack.OutOfData:
            raise BadMessage(f"failed to decode {what}, error unexpected EOF") from None
        except (ValueError, msgpack.UnpackException, TypeError, RecursionError, OverflowError) as error:
            raise BadMessage(f"failed to decode {what}, error {error or type(error).__name__}") from None
