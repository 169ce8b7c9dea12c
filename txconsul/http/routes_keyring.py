"""
C{/v1/operator/keyring}: the gossip keys of all pools.

Source: Consul's documentation of the keyring HTTP API.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from txconsul.codec import json
from txconsul.endpoints.registry import Answer
from txconsul.errors import BadRequest, InvalidRequest, several
from txconsul.http.answers import JSON, json_value, value
from txconsul.http.parameters import Target, parse_int
from txconsul.http.routes import IGNORED, Action, Call, Route, asks
from txconsul.language.goflags import go_bool, quoted
from txconsul.records.keyring import KeyBody, KeyringRequest, KeyringResponse

if TYPE_CHECKING:
    from txconsul.http.api import API
    from txconsul.http.request import Request
    from txconsul.http.response import Response

__all__ = ["ROUTES"]

#: Through how many members an answer may come a second time: Consul's bound.
RELAY_FACTOR_MAX = 5


def _action(operation: str) -> Action:
    """What one HTTP method does."""

    def build(api: API, call: Call, request: Request) -> KeyringRequest:
        body = KeyBody()
        if operation != "list":
            try:
                body = json.decode(KeyBody, request.body, strict=True)
            except json.BadJSON as error:
                raise BadRequest(f"Request decode failed: {error}") from None
        if not 0 <= body.relay_factor < 1 << 8:
            raise BadRequest(
                f"Request decode failed: json: cannot unmarshal number {body.relay_factor} into RelayFactor"
            )
        factor = _relay_factor(call.target)
        return KeyringRequest(
            operation=operation,
            key=body.key,
            relay_factor=body.relay_factor if factor is None else factor,
            local_only=_local_only(call.target, operation),
            token=api.context(call, request).token,
        )

    return asks(
        "Internal.KeyringOperation", build, _render_keys if operation == "list" else _render_done, None, IGNORED
    )


def _relay_factor(target: Target) -> int | None:
    """@raise BadRequest: it is no number, or out of range."""
    given = target.get("relay-factor")
    if not given:
        return None
    try:
        factor = parse_int(given)
    except ValueError as error:
        raise BadRequest(f"Error parsing relay factor: {error}") from None
    if not 0 <= factor <= RELAY_FACTOR_MAX:
        raise BadRequest(f"Invalid relay-factor: Relay factor must be in range: [0, {RELAY_FACTOR_MAX}]")
    return factor


def _local_only(target: Target, operation: str) -> bool:
    """@raise BadRequest: it is no truth value, or asked for where keys are changed."""
    given = target.get("local-only")
    if not given:
        return False
    try:
        local = go_bool(given)
    except ValueError:
        raise BadRequest(
            f"Error parsing local-only: strconv.ParseBool: parsing {quoted(given)}: invalid syntax"
        ) from None
    if local and operation != "list":
        raise BadRequest("Invalid use of local-only: local-only can only be set for list requests")
    return local


def _check(responses: Sequence[KeyringResponse]) -> None:
    """@raise InvalidRequest: a pool is not as it was wanted; the text names each, and what its members said."""
    problems: list[str] = []
    for one in responses:
        if one.error:
            pool = "WAN" if one.wan else f"{one.datacenter} (LAN)"
            if one.segment:
                pool += f" [segment: {one.segment}]"
            problems.append(f"{pool} error: {one.error}")
            problems += [f"{member}: {message}" for member, message in sorted((one.messages or {}).items())]
    if problems:
        raise InvalidRequest(several(problems))


def _render_keys(api: API, call: Call, answer: Answer) -> Response:
    responses = answer.value.responses or ()
    _check(responses)
    return json_value(api.settings, responses, call.pretty)


def _render_done(api: API, call: Call, answer: Answer) -> Response:
    _check(answer.value.responses or ())
    return value(api.settings, b"", JSON)


ROUTES = [
    Route(
        b"/v1/operator/keyring",
        {
            "GET": _action("list"),
            "POST": _action("install"),
            "PUT": _action("use"),
            "DELETE": _action("remove"),
        },
    )
]
