"""
C{/v1/txn}: several operations that happen together, or not at all.

Source: Consul's documentation of the transaction HTTP API.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import msgspec
from twisted.internet.defer import Deferred

from txconsul.codec import json
from txconsul.codec.goquote import quote
from txconsul.endpoints.registry import Answer
from txconsul.endpoints.txn import writes
from txconsul.errors import BadRequest, TooLarge
from txconsul.http.answers import json_value
from txconsul.http.parameters import read_options
from txconsul.http.response import Response
from txconsul.http.routes import IGNORED, Action, Call, Route, check_cache_control, datacenter, done
from txconsul.http.txn_input import OpInput
from txconsul.records.txn import TxnOp, TxnReadRequest, TxnRequest, TxnResponse

if TYPE_CHECKING:
    from txconsul.http.api import API
    from txconsul.http.request import Request

__all__ = ["ROUTES", "too_large"]

#: Operations in one transaction: Consul's bound against abuse.
OPS_MAX = 128
_LIMIT_PAGE = "https://developer.hashicorp.com/docs/agent/config/config-files#txn_max_req_len"


def too_large(length: int, limit: int) -> TooLarge:
    """The refusal of a transaction that is longer than C{txn_max_req_len}."""
    return TooLarge(f"Request body({length} bytes) too large, max size: {limit} bytes. See {_LIMIT_PAGE}.")


def _read_ops(api: API, body: bytes) -> tuple[TxnOp, ...]:
    try:
        given = json.parse(body)
        if given is None:
            return ()
        if not isinstance(given, list):
            raise json.BadJSON("json: cannot unmarshal a value that is no array into a list of operations")
        if len(given) > OPS_MAX:
            raise TooLarge(f"Transaction contains too many operations ({len(given)} > {OPS_MAX})")
        inputs = [json.from_json(OpInput, one, strict=True) for one in given]
        ops = [_convert(api, one) for one in inputs]
    except json.BadJSON as error:
        raise BadRequest(f"Failed to parse body: {error}") from None
    return tuple([one for one in ops if one is not None])


def _convert(api: API, op: OpInput) -> TxnOp | None:
    """The operation as it goes into the log; None where nothing was said."""
    if op.kv is not None:
        size, limit = len(op.kv.value or b""), api.settings.kv_max_value_size
        if size > limit:
            raise TooLarge(f"Value for key {quote(op.kv.key)} is too large ({size} > {limit} bytes)")
        return TxnOp(kv=op.kv.logged())
    if op.node is not None:
        return TxnOp(node=op.node.logged(api.settings.datacenter))
    if op.service is not None:
        return TxnOp(service=op.service.logged())
    if op.check is not None:
        return TxnOp(check=op.check.logged())
    return None


def _txn(api: API, call: Call, request: Request) -> Response | Deferred[Response]:
    ops = _read_ops(api, request.body)
    where = datacenter(api, call.target)
    context = api.context(call, request)
    if any(writes(op) for op in ops):
        answer = api.door.call("Txn.Apply", TxnRequest(datacenter=where, ops=ops), context)
        return done(api, answer, call, _render_applied)
    options = read_options(call.target, api.settings.read_defaults)
    check_cache_control(request)
    # Transactions never block, whatever the index.
    record = TxnReadRequest(datacenter=where, ops=ops, options=msgspec.structs.replace(options, min_query_index=0))
    return done(api, api.door.call("Txn.Read", record, context), call, _render_read)


def _with_status(response: Response, errors: Any) -> Response:
    return Response(409, response.head, response.body) if errors else response


def _render_applied(api: API, call: Call, response: TxnResponse) -> Response:
    return _with_status(json_value(api.settings, response, call.pretty), response.errors)


def _render_read(api: API, call: Call, answer: Answer) -> Response:
    response, carried_out = answer.value
    known = answer.known_leader and carried_out
    contact = answer.last_contact if carried_out else 0.0
    body = {
        "Results": response.results,
        "Errors": response.errors,
        "Index": answer.index if carried_out else 0,
        "LastContact": int(contact * 1e9),
        "KnownLeader": known,
        "ConsistencyLevel": "",
        "NotModified": False,
        "Backend": 0,
        "ResultsFilteredByACLs": False,
    }
    head = b"X-Consul-Knownleader: %b\r\nX-Consul-Lastcontact: %d\r\n" % (
        b"true" if known else b"false",
        int(contact * 1000),
    )
    return _with_status(json_value(api.settings, body, call.pretty, head), response.errors)


ROUTES = [Route(b"/v1/txn", {"PUT": Action(_txn, tenancy=IGNORED)})]
