"""C{txconsul operator autopilot state}."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from typing import Any

from txconsul.cli.api import ApiError
from txconsul.cli.call import Call, Failed, command
from txconsul.cli.gotext import go_quoted
from txconsul.cli.settings import CLIENT_FLAGS, SERVER_FLAGS
from txconsul.language.goflags import STRING, Flag

__all__ = ["FLAGS", "HELP", "run"]

HELP = """
Usage: txconsul operator autopilot state [options]

  Shows how every server is, and how many of them may fail.
"""

FLAGS = (
    Flag("format", STRING, "How to show it: pretty or json.", default="pretty"),
    *CLIENT_FLAGS,
    *SERVER_FLAGS,
)

_GROUP = {
    "Healthy": "Healthy",
    "Failure Tolerance": "FailureTolerance",
    "Optimistic Failure Tolerance": "OptimisticFailureTolerance",
    "Leader": "Leader",
}
_SERVER = {
    "Name": "Name",
    "Address": "Address",
    "Version": "Version",
    "Status": "Status",
    "Node Type": "NodeType",
    "Node Status": "NodeStatus",
    "Healthy": "Healthy",
    "Last Contact": "LastContact",
    "Last Term": "LastTerm",
    "Last Index": "LastIndex",
}


@command(FLAGS)
def run(call: Call) -> None:
    """Show the state."""
    client = call.client("Error initializing client: ")
    try:
        state = client.call(
            "GET", "/v1/operator/autopilot/state", {"stale": ""} if call.flags["stale"] else {}
        ).fields()
    except ApiError as error:
        raise Failed(f"Error querying Autopilot state: {error}") from None
    shape = call.flags["format"]
    if shape == "json":
        call.say(json.dumps(state, indent=4, ensure_ascii=False))
    elif shape == "pretty":
        call.say("\n".join(_pretty(state)) + "\n")
    else:
        raise Failed(f"Unknown format: {shape}")


def _pretty(state: Mapping[str, Any]) -> Iterator[str]:
    for title, name in _GROUP.items():
        yield f"{title + ':':<30}{_text(state.get(name))}"
    yield "Voters:"
    for id in state.get("Voters") or ():
        yield f"   {id}"
    yield "Servers:"
    for id, server in sorted((state.get("Servers") or {}).items()):
        yield f"   {id}"
        for title, name in _SERVER.items():
            yield f"      {title + ':':<17}{_text(server.get(name))}"
        if server.get("ReadReplica"):
            yield f"      {'Read Replica:':<17}true"
        meta = server.get("Meta") or {}
        if meta:
            yield "      Meta"
            for key, value in sorted(meta.items()):
                yield f"         {go_quoted(key)}: {go_quoted(value)}"


def _text(value: object) -> str:
    return str(value).lower() if isinstance(value, bool) else str(value)
