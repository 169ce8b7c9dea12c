"""
The key-value store over HTTP, as the kv commands ask it.

Keys are texts whose bytes that are no UTF-8 are surrogates; values are bytes. Every function may raise L{ApiError}.
"""

from __future__ import annotations

from base64 import b64decode
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from txconsul.cli.api import Answer, ApiError, Client

__all__ = ["Entry", "delete", "fetch", "keys", "listing", "poll", "put", "trimmed"]


@dataclass(frozen=True)
class Entry:
    """One key with its value."""

    key: str
    value: bytes
    flags: int = 0
    session: str = ""
    create_index: int = 0
    modify_index: int = 0
    lock_index: int = 0
    namespace: str = ""
    partition: str = ""


def trimmed(key: str) -> str:
    """A key without the slash that people like to put before it; no key begins with one."""
    return key.removeprefix("/")


def fetch(client: Client, key: str, stale: bool) -> Entry | None:
    """One key, or None where there is none."""
    entries = _entries(client, key, {}, stale)
    return entries[0] if entries else None


def listing(client: Client, prefix: str, stale: bool) -> list[Entry]:
    """All keys that begin so."""
    return _entries(client, prefix, {"recurse": ""}, stale)


def poll(client: Client, key: str, params: Mapping[str, str]) -> tuple[list[Entry], int]:
    """What a read with these parameters finds, such as C{index} and C{wait}, and the index of the answer."""
    answer = client.call("GET", f"/v1/kv/{key}", params, allowed=(200, 404))
    return _entries_of(_listed(answer)), answer.index


def keys(client: Client, prefix: str, separator: str, stale: bool) -> list[str]:
    """Names of keys that begin so, up to the first separator behind the prefix."""
    params = {"keys": "", **({"separator": separator} if separator else {})}
    found = _read(client, prefix, params, stale)
    return [str(one) for one in found]


def put(client: Client, key: str, value: bytes, params: Mapping[str, str], flags: int = 0) -> bool:
    """
    Write a key.

    @param params: such as C{{"cas": "7"}}.
    @return: whether the condition in C{params} held.
    """
    if key.startswith("/"):
        raise ApiError(f"Invalid key. Key must not begin with a '/': {key}")
    query = {**params, **({"flags": str(flags)} if flags else {})}
    sent = {"Content-Type": "application/octet-stream"}
    return b"true" in client.call("PUT", f"/v1/kv/{key}", query, body=value, headers=sent).read()


def delete(client: Client, key: str, params: Mapping[str, str]) -> bool:
    """Delete a key, or with C{recurse} all that begin so; whether the condition in C{params} held."""
    return b"true" in client.call("DELETE", f"/v1/kv/{key}", params).read()


def _entries(client: Client, key: str, params: Mapping[str, str], stale: bool) -> list[Entry]:
    return _entries_of(_read(client, key, params, stale))


def _entries_of(found: list[Any]) -> list[Entry]:
    try:
        return [_entry(one) for one in found]
    except (KeyError, TypeError, ValueError, OverflowError) as error:
        raise ApiError(f"the agent's answer is no list of keys: {error}") from None


def _entry(one: Mapping[str, Any]) -> Entry:
    key = one["Key"]
    if not isinstance(key, str):
        raise TypeError(f"a key is {type(key).__name__}")
    return Entry(
        key=key,
        value=b64decode(one.get("Value") or ""),
        flags=int(one.get("Flags", 0)),
        session=str(one.get("Session") or ""),
        create_index=int(one.get("CreateIndex", 0)),
        modify_index=int(one.get("ModifyIndex", 0)),
        lock_index=int(one.get("LockIndex", 0)),
        namespace=str(one.get("Namespace") or ""),
        partition=str(one.get("Partition") or ""),
    )


def _read(client: Client, key: str, params: Mapping[str, str], stale: bool) -> list[Any]:
    query = {**params, **({"stale": ""} if stale else {})}
    return _listed(client.call("GET", f"/v1/kv/{key}", query, allowed=(200, 404)))


def _listed(answer: Answer) -> list[Any]:
    if answer.status == 404:
        answer.read()
        return []
    found = answer.json()
    if found is None:
        return []
    if not isinstance(found, list):
        raise ApiError("the agent's answer is no list")
    return found
