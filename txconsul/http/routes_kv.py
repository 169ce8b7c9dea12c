"""
C{/v1/kv/}: keys and values.

Source: Consul's documentation of the KV HTTP API.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, NamedTuple
from urllib.parse import urlencode

from twisted.internet.defer import Deferred

from txconsul.endpoints.registry import Answer
from txconsul.errors import BadRequest, InvalidRequest, TooLarge
from txconsul.http import lists
from txconsul.http.answers import empty, json_pieces, json_value, meta_head, value
from txconsul.http.parameters import Target, parse_uint, read_options
from txconsul.http.routes import BOTH, Action, Call, Route, check_cache_control, datacenter, done
from txconsul.records.kv import DirEntry, KeyListRequest, KeyRequest, KVSRequest

if TYPE_CHECKING:
    from txconsul.http.api import API
    from txconsul.http.request import Request
    from txconsul.http.response import Response

__all__ = ["ROUTES"]

_RAW = b"Content-Security-Policy: sandbox\r\nContent-Type: text/plain\r\nX-Content-Type-Options: nosniff\r\n"
_LIMIT_PAGE = "https://developer.hashicorp.com/docs/agent/config/config-files#kv_max_value_size"


class _Read(NamedTuple):
    """What a GET asks, and how its answer is shown."""

    method: str
    record: KeyRequest | KeyListRequest
    raw: bool


def _prepare_read(api: API, target: Target, key: bytes) -> _Read:
    options = read_options(target, api.settings.read_defaults)
    where = datacenter(api, target)
    if target.has("keys"):
        separator = target.get("separator") if target.has("separator") else target.get("seperator")
        listed = KeyListRequest(
            datacenter=where, prefix=key, seperator=separator.encode("utf-8", "surrogateescape"), options=options
        )
        return _Read("KVS.ListKeys", listed, False)
    record = KeyRequest(datacenter=where, key=key, options=options)
    if target.has("recurse"):
        return _Read("KVS.List", record, False)
    if not key:
        raise BadRequest("Missing key name")
    return _Read("KVS.Get", record, target.has("raw"))


def _get(api: API, call: Call, request: Request) -> Response | Deferred[Response]:
    check_cache_control(request)
    asked: _Read = call.prepared
    answer = api.door.call(asked.method, asked.record, api.context(call, request))
    return done(api, answer, call, _RENDER[asked.method])


def _render_entry(api: API, call: Call, answer: Answer) -> Response:
    entry: DirEntry | None = answer.value
    head = meta_head(answer)
    if entry is None:
        return empty(api.settings, 404, head)
    if call.prepared.raw:
        return value(api.settings, entry.value or b"", head + _RAW)
    if entry.value is not None and len(entry.value) > lists.PIECE_BYTES:
        return _entries(api, call, (entry,), head)
    return json_value(api.settings, (entry,), call.pretty, head)


def _render_entries(api: API, call: Call, answer: Answer) -> Response:
    if not answer.value:
        return empty(api.settings, 404, meta_head(answer))
    return _entries(api, call, answer.value, meta_head(answer))


def _entries(api: API, call: Call, rows: Sequence[DirEntry], head: bytes) -> Response:
    if _pretty(api, call) or not lists.is_long(rows, lists.weigh_entry):
        return json_value(api.settings, rows, call.pretty, head)
    return json_pieces(api.settings, lists.entries(rows), head)


def _pretty(api: API, call: Call) -> bool:
    return call.pretty or api.settings.always_pretty


def _render_keys(api: API, call: Call, answer: Answer) -> Response:
    if not answer.value and call.prepared.record.prefix:
        return empty(api.settings, 404, meta_head(answer))
    if not _pretty(api, call) and lists.is_long(answer.value, len):
        return json_pieces(api.settings, lists.names(answer.value), meta_head(answer))
    names = [key.decode("utf-8", "replace") for key in answer.value]
    return json_value(api.settings, names, call.pretty, meta_head(answer))


_RENDER = {"KVS.Get": _render_entry, "KVS.List": _render_entries, "KVS.ListKeys": _render_keys}


def _conflict(target: Target, *names: str) -> None:
    """@raise BadRequest: two of these parameters were given."""
    if sum(target.has(name) for name in names) > 1:
        pairs = [(name, one) for name, values in sorted(target.query.items()) for one in values]
        shown = urlencode(pairs, encoding="utf-8", errors="surrogateescape")
        raise BadRequest(f"Conflicting flags: {shown}\n")


def _uint(target: Target, name: str) -> int:
    try:
        return parse_uint(target.get(name))
    except ValueError as error:
        raise InvalidRequest(str(error)) from None


def _prepare_put(api: API, target: Target, key: bytes) -> KVSRequest:
    """The change without its value."""
    read_options(target, api.settings.read_defaults)  # a write does not heed them, but refuses what is malformed
    BOTH.check_query(target)
    if not key:
        raise BadRequest("Missing key name")
    _conflict(target, "cas", "acquire", "release")
    op, session, index = "set", "", 0
    flags = _uint(target, "flags") if target.has("flags") else 0
    if target.has("cas"):
        op, index = "cas", _uint(target, "cas")
    if target.has("acquire"):
        op, session = "lock", target.get("acquire")
    if target.has("release"):
        op, session = "unlock", target.get("release")
    entry = DirEntry(key=key, flags=flags, session=session, modify_index=index)
    return KVSRequest(datacenter=datacenter(api, target), op=op, dir_ent=entry)


def _put(api: API, call: Call, request: Request) -> Response | Deferred[Response]:
    check_cache_control(request)
    change: KVSRequest = call.prepared
    blank = change.dir_ent
    entry = DirEntry(
        key=blank.key,
        flags=blank.flags,
        session=blank.session,
        modify_index=blank.modify_index,
        value=request.body or None,
    )
    record = KVSRequest(datacenter=change.datacenter, op=change.op, dir_ent=entry)
    return done(api, api.door.call("KVS.Apply", record, api.context(call, request)), call, _render_applied)


def _render_applied(api: API, call: Call, applied: Any) -> Response:
    if applied is False or call.pretty:  # None, of changes without a condition, is true as well
        return json_value(api.settings, applied is not False, call.pretty)
    return api.yes


def _prepare_delete(api: API, target: Target, key: bytes) -> KVSRequest:
    read_options(target, api.settings.read_defaults)
    BOTH.check_query(target)
    _conflict(target, "recurse", "cas")
    op, index = "delete", 0
    if target.has("recurse"):
        op = "delete-tree"
    elif not key:
        raise BadRequest("Missing key name")
    if target.has("cas"):
        op, index = "delete-cas", _uint(target, "cas")
    return KVSRequest(datacenter=datacenter(api, target), op=op, dir_ent=DirEntry(key=key, modify_index=index))


def _delete(api: API, call: Call, request: Request) -> Response | Deferred[Response]:
    check_cache_control(request)
    return done(api, api.door.call("KVS.Apply", call.prepared, api.context(call, request)), call, _render_applied)


def too_large(length: int, limit: int) -> TooLarge:
    """The refusal of a value that is longer than C{kv_max_value_size}."""
    return TooLarge(f"Request body({length} bytes) too large, max size: {limit} bytes. See {_LIMIT_PAGE}.")


ROUTES = [
    Route(
        b"/v1/kv/",
        {
            "GET": Action(_get, _prepare_read),
            "PUT": Action(_put, _prepare_put),
            "DELETE": Action(_delete, _prepare_delete),
        },
    ),
]
