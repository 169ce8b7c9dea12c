"""
The key-value store: its entries, what changes them, what asks for them.

Source: Consul's documentation of the KV store; the wire documents' DirEntry, KVSRequest, KeyRequest,
KeyListRequest and TombstoneRequest.
"""

from __future__ import annotations

from typing import Annotated

from txconsul.records.base import OMIT_JSON, Record, Text, Uint
from txconsul.records.query import DEFAULT, QueryOptions

__all__ = [
    "DirEntry",
    "IndexedDirEntries",
    "IndexedKeyList",
    "KVSRequest",
    "KeyListRequest",
    "KeyRequest",
    "TombstoneRequest",
]


class DirEntry(Record, frozen=True, gc=False):
    """
    One key and its value.

    @ivar key: any bytes; shown as text.
    @ivar value: None where nothing was ever written, which JSON tells from empty.
    @ivar lock_index: how often the key's lock was acquired.
    @ivar session: the session that holds the lock; empty is none.
    @ivar modify_index: in a request, the index that C{cas} and C{delete-cas} compare with.
    """

    create_index: Uint = 0
    flags: Uint = 0
    key: Text = b""
    lock_index: Uint = 0
    modify_index: Uint = 0
    session: Annotated[str, OMIT_JSON] = ""
    value: bytes | None = None


class KVSRequest(Record, frozen=True, gc=False):
    """
    Change one key, or a tree of keys.

    @ivar op: C{set}, C{delete}, C{delete-cas}, C{delete-tree}, C{cas}, C{lock} or C{unlock}.
    """

    datacenter: str = ""
    dir_ent: DirEntry = DirEntry()
    op: str = ""
    token: str = ""


class TombstoneRequest(Record, frozen=True):
    """
    Forget the tombstones of deleted keys up to and with C{reap_index}.

    @ivar op: C{reap}.
    """

    datacenter: str = ""
    op: str = ""
    reap_index: Uint = 0
    token: str = ""


class KeyRequest(Record, frozen=True):
    """Ask for one key, or for all below it as a prefix."""

    datacenter: str = ""
    key: Text = b""
    options: QueryOptions = DEFAULT


class KeyListRequest(Record, frozen=True):
    """
    Ask for the names of keys.

    @ivar seperator: names are cut after its first appearance behind the prefix. (The spelling is the wire's.)
    """

    datacenter: str = ""
    prefix: Text = b""
    seperator: Text = b""
    options: QueryOptions = DEFAULT


class IndexedDirEntries(Record, frozen=True):
    """Keys with their values. C{entries} is None where there are none."""

    entries: tuple[DirEntry, ...] | None = None


class IndexedKeyList(Record, frozen=True):
    """Names of keys."""

    keys: tuple[bytes, ...] | None = None
