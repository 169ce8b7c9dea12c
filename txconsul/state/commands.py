"""
The table of commands: type byte -> record, and the function that applies it.

An apply function takes the store, the entry's index and the record; it returns what the proposer gets, as Consul's
state machine does: None where there is nothing to say, a bool for a comparison, an exception instance for a refusal.

Source: Consul's documentation of the KV store, sessions and transactions; the wire documents, Raft, section 2.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

from txconsul.codec.gomsgpack import decode
from txconsul.errors import Corrupt, InvalidRequest
from txconsul.records.base import Record
from txconsul.records.command import IGNORABLE, Command
from txconsul.records.kv import KVSRequest, TombstoneRequest
from txconsul.state.store import Store

__all__ = ["COMMANDS", "Row", "UnknownCommand", "apply", "decode_command"]


class UnknownCommand(Corrupt):
    """A committed command that this program cannot apply: the server stops rather than diverge."""


class Row(NamedTuple):
    """How one type of command is applied."""

    record: type[Record]
    function: Callable[[Store, int, Any], object]


def _kvs(store: Store, index: int, request: KVSRequest) -> object:
    op, entry, kv = request.op, request.dir_ent, store.kv
    if op == "set":
        kv.set(index, entry)
        return None
    if op == "cas":
        return kv.cas(index, entry) is not None
    if op == "lock":
        return kv.lock(index, entry) is not None
    if op == "unlock":
        return kv.unlock(index, entry) is not None
    if op == "delete":
        return kv.delete(index, entry.key)
    if op == "delete-cas":
        return kv.delete_cas(index, entry.modify_index, entry.key)
    if op == "delete-tree":
        return kv.delete_tree(index, entry.key)
    raise InvalidRequest(f"Invalid KVS operation '{op}'")


def _tombstone(store: Store, index: int, request: TombstoneRequest) -> object:
    if request.op != "reap":
        raise InvalidRequest(f"Invalid Tombstone operation '{request.op}'")
    return store.kv.reap(request.reap_index)


#: Every command that this state knows how to apply.
COMMANDS: dict[int, Row] = {
    Command.KVS: Row(KVSRequest, _kvs),
    Command.TOMBSTONE: Row(TombstoneRequest, _tombstone),
}


def decode_command(data: bytes) -> tuple[int, Record | None]:
    """
    A log entry's bytes.

    @return: C{(type, record)}; the record is None for a type that may be ignored and is not known.
    @raise UnknownCommand: the type is not known and must not be ignored.
    @raise Corrupt: the body is malformed.
    """
    if not data:
        raise Corrupt("an empty command")
    type_ = data[0] & ~IGNORABLE
    row = COMMANDS.get(type_)
    if row is not None:
        return type_, decode(row.record, memoryview(data)[1:])
    if data[0] & IGNORABLE:
        return type_, None
    raise UnknownCommand(f"cannot apply a command of type {_name(type_)}: this program does not know it")


def apply(store: Store, index: int, type_: int, record: Any) -> object:
    """
    Apply one command: all that it changes, or nothing.

    @return: the command's result, or an L{InvalidRequest} instance where it was refused.
    @raise UnknownCommand: there is no such command.
    """
    row = COMMANDS.get(type_)
    if row is None:
        raise UnknownCommand(f"cannot apply a command of type {_name(type_)}: this program does not know it")
    tables = store.tables
    mark, delays = len(tables.journal), len(tables.lock_delays)
    try:
        return row.function(store, index, record)
    except InvalidRequest as refusal:
        tables.rollback(mark, delays)
        return refusal


def _name(type_: int) -> str:
    try:
        return f"{type_} ({Command(type_).name})"
    except ValueError:
        return str(type_)
