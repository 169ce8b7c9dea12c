"""
Txn: several operations that happen together, or not at all.

Source: Consul's documentation of the transaction HTTP API; the wire documents' Txn methods.
"""

from __future__ import annotations

from typing import Any

import msgspec

from txconsul.codec.goquote import quote
from txconsul.endpoints.authorizing import Authorizer
from txconsul.endpoints.catalog import prepare_check, prepare_node, prepare_service
from txconsul.endpoints.kv import WRITE_VERBS, check_verb
from txconsul.endpoints.leading import Leading
from txconsul.endpoints.registry import Decided, read, write
from txconsul.errors import RequestRefused
from txconsul.records.command import Command
from txconsul.records.txn import TxnError, TxnOp, TxnReadRequest, TxnRequest, TxnResponse
from txconsul.state.store import Store

__all__ = ["writes"]

_CHANGES = ("set", "cas", "delete", "delete-cas")


def writes(op: TxnOp) -> bool:
    """Does this operation change anything, as far as its verb tells?"""
    if op.kv is not None:
        return op.kv.verb in WRITE_VERBS
    for one in (op.node, op.service, op.check, op.session):
        if one is not None:
            return one.verb != "get"
    return False


class _Refused(RequestRefused):
    """One operation cannot be taken."""


def _prepare(op: TxnOp, authorizer: Authorizer, leading: Leading | None) -> TxnOp:
    """
    One operation made complete.

    @raise RequestRefused: it cannot be taken; the text says why.
    """
    if op.kv is not None:
        if not check_verb(op.kv.verb, op.kv.dir_ent, authorizer, leading):
            raise _Refused(f"failed to lock key {quote(op.kv.dir_ent.key)} due to lock delay")
    elif op.node is not None:
        if _changes("node", op.node.verb):
            prepare_node(op.node.node.node, op.node.node.id)
            authorizer.require_node_write(op.node.node.node)
    elif op.service is not None:
        if _changes("service", op.service.verb):
            service = prepare_service(op.service.service, authorizer)
            return TxnOp(service=msgspec.structs.replace(op.service, service=service))
    elif op.check is not None:
        if _changes("check", op.check.verb):
            check = prepare_check(op.check.check, op.check.check.node)
            return TxnOp(check=msgspec.structs.replace(op.check, check=check))
    elif op.session is not None:
        if op.session.verb != "delete":
            raise _Refused(f"unknown session operation: {op.session.verb}")
    else:
        raise _Refused("unknown operation type")
    return op


def _changes(kind: str, verb: str) -> bool:
    if verb in _CHANGES:
        return True
    if verb != "get":
        raise _Refused(f"unknown {kind} operation: {verb}")
    return False


def _prepare_all(
    ops: tuple[TxnOp, ...], authorizer: Authorizer, leading: Leading | None
) -> tuple[tuple[TxnOp, ...], tuple[TxnError, ...]]:
    """The operations made complete, and what is wrong with those that cannot be."""
    prepared, errors = [], []
    for place, op in enumerate(ops):
        try:
            prepared.append(_prepare(op, authorizer, leading))
        except RequestRefused as error:
            errors.append(TxnError(op_index=place, what=str(error)))
    return tuple(prepared), tuple(errors)


@write("Txn.Apply", TxnRequest, Command.TXN)
def apply(store: Store, request: TxnRequest, authorizer: Authorizer, leading: Leading) -> TxnRequest | Decided:
    """Carry out operations together; a L{TxnResponse}."""
    ops, errors = _prepare_all(request.ops or (), authorizer, leading)
    if errors:
        return Decided(TxnResponse(errors=errors))
    return TxnRequest(datacenter=request.datacenter, ops=ops)


@read("Txn.Read", TxnReadRequest, lambda request: ())
def read_all(store: Store, request: TxnReadRequest, authorizer: Authorizer) -> tuple[int, Any]:
    """
    Operations that only read; C{(response, whether it was carried out)}.

    Those that cannot be taken are told of without reading, and then nothing is known of the state.
    """
    ops, errors = _prepare_all(request.ops or (), authorizer, None)
    if errors:
        return 0, (TxnResponse(errors=errors), False)
    return 0, (store.read_txn(ops), True)
