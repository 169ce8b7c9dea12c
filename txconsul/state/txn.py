"""
Transactions: operations on keys, nodes, services and checks that happen together or not at all.

Every operation is tried, so that the answer names all that fail; if any does, everything is taken back.

Source: Consul's documentation of the transaction HTTP API.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING, TypeVar

from msgspec.structs import replace

from txconsul.codec.goquote import quote
from txconsul.errors import Corrupt, InvalidRequest
from txconsul.records.catalog import Node
from txconsul.records.health import HealthCheck
from txconsul.records.kv import DirEntry
from txconsul.records.txn import (
    TxnCheckOp,
    TxnError,
    TxnKVOp,
    TxnNodeOp,
    TxnOp,
    TxnResponse,
    TxnResult,
    TxnServiceOp,
    TxnSessionOp,
)
from txconsul.state.tables import NAMELESS_CHECK

if TYPE_CHECKING:
    from txconsul.state.store import Store

__all__ = ["UnknownVerb", "transact"]

Results = list[TxnResult]

N = TypeVar("N", Node, HealthCheck)


class UnknownVerb(Corrupt):
    """A committed transaction holds an operation that is not known: the server stops rather than diverge."""


def transact(store: Store, index: int, operations: Iterable[TxnOp]) -> TxnResponse:
    """
    Run a transaction.

    @param index: the entry's index; whatever for operations that only read.
    @return: results, or errors.
    @raise UnknownVerb: an operation is not known.
    """
    tables = store.tables
    mark, delays = len(tables.journal), len(tables.lock_delays)
    results: Results = []
    errors: list[TxnError] = []
    for place, operation in enumerate(operations):
        try:
            results += _run(store, index, operation)
        except InvalidRequest as error:
            errors.append(TxnError(op_index=place, what=str(error)))
    if errors:
        tables.rollback(mark, delays)
        return TxnResponse(errors=tuple(errors))
    return TxnResponse(results=tuple(results))


def _run(store: Store, index: int, operation: TxnOp) -> Results:
    if operation.kv is not None:
        return _kv(store, index, operation.kv)
    if operation.node is not None:
        return _node(store, index, operation.node)
    if operation.service is not None:
        return _service(store, index, operation.service)
    if operation.check is not None:
        return _check(store, index, operation.check)
    if operation.session is not None:
        return _session(store, index, operation.session)
    raise UnknownVerb("a transaction without a known operation")


# ---- keys ----


def _kv(store: Store, index: int, operation: TxnKVOp) -> Results:
    kv, entry, verb = store.kv, operation.dir_ent, operation.verb
    key = entry.key
    if verb == "set":
        return _without_value(kv.set(index, entry))
    if verb == "cas":
        return _without_value(_done(kv.cas(index, entry), f"failed to set key {quote(key)}, index is stale"))
    if verb == "lock":
        failure = f"failed to lock key {quote(key)}, lock is already held"
        return _without_value(_done(kv.lock(index, entry), failure))
    if verb == "unlock":
        failure = f"failed to unlock key {quote(key)}, lock isn't held, or is held by another session"
        return _without_value(_done(kv.unlock(index, entry), failure))
    if verb == "delete":
        kv.delete(index, key)
        return []
    if verb == "delete-cas":
        if not kv.delete_cas(index, entry.modify_index, key):
            raise InvalidRequest(f"failed to delete key {quote(key)}, index is stale")
        return []
    if verb == "delete-tree":
        kv.delete_tree(index, key)
        return []
    if verb == "get-tree":
        return [TxnResult(kv=one) for one in kv.list(key)[1]]
    return _kv_read(kv.get(key)[1], entry, verb)


def _kv_read(present: DirEntry | None, entry: DirEntry, verb: str) -> Results:
    key = quote(entry.key)
    if verb == "get":
        return [TxnResult(kv=_done(present, f"key {key} doesn't exist"))]
    if verb == "get-or-empty":
        return [TxnResult(kv=replace(entry, value=None) if present is None else present)]
    if verb == "check-not-exists":
        if present is not None:
            raise InvalidRequest(f"key {key} exists")
        return []
    if verb == "check-session":
        present = _done(present, f"failed to check session, key {key} doesn't exist")
        if present.session != entry.session:
            both = f"{quote(present.session)} != {quote(entry.session)}"
            raise InvalidRequest(f"failed session check for key {key}, current session {both}")
        return _without_value(present)
    if verb == "check-index":
        present = _done(present, f"failed to check index, key {key} doesn't exist")
        if present.modify_index != entry.modify_index:
            raise InvalidRequest(
                f"failed index check for key {key}, current modify index {present.modify_index} != {entry.modify_index}"
            )
        return _without_value(present)
    raise UnknownVerb(f"unknown KV verb {quote(verb)}")


def _done(entry: DirEntry | None, failure: str) -> DirEntry:
    if entry is None:
        raise InvalidRequest(failure)
    return entry


def _without_value(entry: DirEntry) -> Results:
    return [TxnResult(kv=replace(entry, value=None))]


# ---- the catalog ----


def _node(store: Store, index: int, operation: TxnNodeOp) -> Results:
    registrations, node, verb = store.registrations, operation.node, operation.verb
    name = quote(node.node)
    if verb == "set":
        registrations.ensure_node(index, node)
    elif verb == "cas":
        if not _compared(registrations.ensure_node_cas, index, node):
            raise InvalidRequest(f"failed to set node {name}, index is stale")
    elif verb == "delete":
        registrations.delete_node(index, node.node)
        return []
    elif verb == "delete-cas":
        if not registrations.delete_node_cas(index, node.modify_index, node.node):
            raise InvalidRequest(f"failed to delete node {name}, index is stale")
        return []
    elif verb != "get":
        raise UnknownVerb(f"unknown Node verb {quote(verb)}")
    found = registrations.node_by_id(node.id) if node.id else store.catalog.node(node.node)[1]
    if found is None:
        if verb == "get":
            raise InvalidRequest(f"node {name} doesn't exist")
        return []
    return [TxnResult(node=found)]


def _service(store: Store, index: int, operation: TxnServiceOp) -> Results:
    registrations, node, service, verb = store.registrations, operation.node, operation.service, operation.verb
    name = f"service {quote(service.id)} on node {quote(node)}"
    if verb == "set":
        registrations.ensure_service(index, node, service)
    elif verb == "cas":
        if not registrations.ensure_service_cas(index, node, service):
            raise InvalidRequest(f"failed to set {name}, index is stale")
    elif verb == "delete":
        registrations.delete_service(index, node, service.id)
        return []
    elif verb == "delete-cas":
        if not registrations.delete_service_cas(index, service.modify_index, node, service.id):
            raise InvalidRequest(f"failed to delete {name}, index is stale")
        return []
    elif verb != "get":
        raise UnknownVerb(f"unknown Service verb {quote(verb)}")
    found = store.catalog.service(node, service.id)
    if found is None:
        if verb == "get":
            raise InvalidRequest(f"{name} doesn't exist")
        return []
    return [TxnResult(service=found)]


def _check(store: Store, index: int, operation: TxnCheckOp) -> Results:
    registrations, check, verb = store.registrations, operation.check, operation.verb
    name = f"check {quote(check.check_id)} on node {quote(check.node)}"
    if verb == "set":
        registrations.ensure_check(index, check)
    elif verb == "cas":
        if not _compared(registrations.ensure_check_cas, index, check):
            raise InvalidRequest(f"failed to set {name}, index is stale")
    elif verb == "delete":
        _require_check_name(check, "check lookup failed")
        registrations.delete_check(index, check.node, check.check_id)
        return []
    elif verb == "delete-cas":
        _require_check_name(check, "check lookup failed: failed check lookup")
        if not registrations.delete_check_cas(index, check.modify_index, check.node, check.check_id):
            raise InvalidRequest(f"failed to delete {name}, index is stale")
        return []
    elif verb != "get":
        raise UnknownVerb(f"unknown check verb {quote(verb)}")
    _require_check_name(check, "failed check lookup")
    found = store.catalog.check(check.node, check.check_id)
    if found is None:
        if verb == "get":
            raise InvalidRequest(f"{name} doesn't exist")
        return []
    return [TxnResult(check=found)]


def _compared(ensure: Callable[[int, N], bool], index: int, given: N) -> bool:
    """
    Compare and set. What the comparison lets through and the catalog refuses (a taken name, a node or service that is
    not there) is no failure in Consul: the transaction succeeds, and that operation has changed nothing.
    """
    try:
        return ensure(index, given)
    except InvalidRequest:
        return True


def _require_check_name(check: HealthCheck, looking: str) -> None:
    """@raise InvalidRequest: the check that is looked for has no node or no id."""
    if not (check.node and check.check_id):
        raise InvalidRequest(f"{looking}: {NAMELESS_CHECK}")


def _session(store: Store, index: int, operation: TxnSessionOp) -> Results:
    if operation.verb != "delete":
        raise UnknownVerb(f"unknown session verb {quote(operation.verb)}")
    store.sessions.forget(index, operation.session)
    return []
