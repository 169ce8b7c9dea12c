"""C{txconsul operator raft list-peers}."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from txconsul.cli.api import ApiError
from txconsul.cli.call import Call, Failed, command
from txconsul.cli.columns import table
from txconsul.cli.settings import CLIENT_FLAGS, SERVER_FLAGS

__all__ = ["FLAGS", "HELP", "run"]

HELP = """
Usage: txconsul operator raft list-peers [options]

  Lists the servers that replicate the state: who leads, who votes, and how far
  each is behind the leader. Without a leader, -stale asks any server.
"""

FLAGS = CLIENT_FLAGS + SERVER_FLAGS

_HEAD = ["Node", "ID", "Address", "State", "Voter", "RaftProtocol", "Commit Index", "Trails Leader By"]


@command(FLAGS)
def run(call: Call) -> None:
    """List them."""
    client = call.client("Error initializing client: ")
    try:
        found = client.call(
            "GET", "/v1/operator/raft/configuration", {"stale": ""} if call.flags["stale"] else {}
        ).fields()
    except ApiError as error:
        raise Failed(f"Error getting peers: Failed to retrieve raft configuration: {error}") from None
    servers = found.get("Servers") or []
    last = next((one.get("LastIndex", 0) for one in servers if one.get("Leader")), 0)
    call.say(table([_HEAD, *(_row(one, last) for one in servers)]))


def _row(server: Mapping[str, Any], last: int) -> list[str]:
    index = server.get("LastIndex", 0)
    behind = last - index
    return [
        server.get("Node", ""),
        server.get("ID", ""),
        server.get("Address", ""),
        "leader" if server.get("Leader") else "follower",
        "true" if server.get("Voter") else "false",
        server.get("ProtocolVersion") or "<=1",
        str(index),
        "-" if server.get("Leader") else "1 commit" if behind == 1 else f"{behind} commits",
    ]
