"""
KVS: the key-value store.

Source: Consul's documentation of the KV HTTP API; the wire documents' KVS methods.
"""

from __future__ import annotations

from typing import Any

import msgspec

from txconsul.codec.goquote import quote
from txconsul.endpoints.authorizing import Authorizer
from txconsul.endpoints.leading import Leading
from txconsul.endpoints.registry import Decided, read, write
from txconsul.errors import BadRequest, InvalidRequest, TxconsulError
from txconsul.records.command import Command
from txconsul.records.kv import DirEntry, KeyListRequest, KeyRequest, KVSRequest, TombstoneRequest
from txconsul.state.store import Store
from txconsul.state.watches import kv_key, kv_prefix

__all__ = ["WRITE_VERBS", "check_verb"]

#: Verbs that change a key, here and in transactions.
WRITE_VERBS = frozenset({"set", "delete", "delete-cas", "delete-tree", "cas", "lock", "unlock"})
#: Those of them after which the key is there.
_STORING_VERBS = frozenset({"set", "cas", "lock"})
#: Verbs that only transactions have.
_READ_VERBS = frozenset({"get", "get-tree", "get-or-empty"})
_CHECK_VERBS = frozenset({"check-index", "check-session", "check-not-exists"})


@read("KVS.Get", KeyRequest, lambda request: (kv_key(request.key),), absent=lambda entry: entry is None)
def get(store: Store, request: KeyRequest, authorizer: Authorizer) -> tuple[int, DirEntry | None]:
    """One key."""
    authorizer.require_key_read(request.key)
    return store.kv.get(request.key)


@read("KVS.List", KeyRequest, lambda request: (kv_prefix(request.key),), absent=lambda entries: not entries)
def list_(store: Store, request: KeyRequest, authorizer: Authorizer) -> tuple[int, Any]:
    """All keys under a prefix, with their values."""
    authorizer.require_key_list(request.key)
    return store.kv.list(request.key)


@read("KVS.ListKeys", KeyListRequest, lambda request: (kv_prefix(request.prefix),))
def list_keys(store: Store, request: KeyListRequest, authorizer: Authorizer) -> tuple[int, Any]:
    """The names of the keys under a prefix, cut at a separator."""
    authorizer.require_key_list(request.prefix)
    return store.kv.keys(request.prefix, request.seperator)


def check_verb(op: str, entry: DirEntry, authorizer: Authorizer, leading: Leading | None) -> bool:
    """
    What must hold before a change is proposed, for single writes and for those in transactions.

    @param leading: None where nothing is written.
    @return: False if the key's lock is delayed; lock delays go by the leader's clock, so they are not in the log.
    @raise InvalidRequest: no key, or an unknown verb.
    @raise BadRequest: the key has a dot segment.
    @raise PermissionDenied: by the authorizer.
    """
    if not entry.key and op != "delete-tree":
        raise InvalidRequest("Must provide key")
    if op == "delete-tree":
        authorizer.require_key_write_prefix(entry.key)
    elif op in WRITE_VERBS or op == "check-not-exists":
        authorizer.require_key_write(entry.key)
        if op in _STORING_VERBS and b"." in entry.key and leading is not None and not leading.any_key:
            _check_segments(entry.key)
    elif op in _CHECK_VERBS:
        authorizer.require_key_read(entry.key)
    elif op not in _READ_VERBS:
        raise InvalidRequest(f"unknown KV operation: {op}")
    return not (op == "lock" and leading is not None and leading.lock_delays.holds(entry.key, leading.now))


def _check_segments(key: bytes) -> None:
    """
    Refuse what a program that joins paths could take for another key: Consul from 1.22 on does, for that reason
    (CVE-2025-11392). Keys of before can still be read and deleted.
    """
    if not {b".", b".."}.isdisjoint(key.split(b"/")):
        raise BadRequest(
            f"Invalid key name {quote(key)}: '.' and '..' may not stand between slashes."
            " See disable_kv_key_validation in the agent configuration."
        )


def _failed(error: TxconsulError) -> TxconsulError:
    """What the state refused, in the words that clients know."""
    return InvalidRequest(f"raft apply failed: {error}")


@write("KVS.Apply", KVSRequest, Command.KVS, refused=_failed)
def apply(store: Store, request: KVSRequest, authorizer: Authorizer, leading: Leading) -> KVSRequest | Decided:
    """Change a key; true, or whether the condition held."""
    if request.op not in WRITE_VERBS:
        raise InvalidRequest(f"unknown KV operation: {request.op}")
    if not check_verb(request.op, request.dir_ent, authorizer, leading):
        return Decided(False)
    return request if not request.token else msgspec.structs.replace(request, token="")


@write("Tombstone.Reap", TombstoneRequest, Command.TOMBSTONE)
def reap(store: Store, request: TombstoneRequest, authorizer: Authorizer, leading: Leading) -> TombstoneRequest:
    """Forget old tombstones; only the leader itself asks this."""
    return request
