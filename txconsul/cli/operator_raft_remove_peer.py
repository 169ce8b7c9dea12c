"""C{txconsul operator raft remove-peer}."""

from __future__ import annotations

from txconsul.cli.api import ApiError
from txconsul.cli.call import Call, Failed, command
from txconsul.cli.gotext import go_quoted
from txconsul.cli.settings import CLIENT_FLAGS, SERVER_FLAGS
from txconsul.language.goflags import STRING, Flag

__all__ = ["FLAGS", "HELP", "run"]

HELP = """
Usage: txconsul operator raft remove-peer [options]

  Takes a server out of those that replicate the state, by its address or its
  ID. It is for one that is gone for good and was left behind: one that gossip
  still knows is added again soon, and 'txconsul force-leave' is for it.
"""

FLAGS = (
    Flag("address", STRING, "The server's address, IP:port."),
    Flag("id", STRING, "The server's ID."),
    *CLIENT_FLAGS,
    *SERVER_FLAGS,
)


@command(FLAGS)
def run(call: Call) -> None:
    """Remove one."""
    client = call.client("Error initializing client: ")
    given = {name: call.flags[name] for name in ("address", "id") if call.flags[name]}
    if not given:
        raise Failed("Error removing peer: an address or id is required for the peer to remove")
    if len(given) > 1:
        raise Failed("Error removing peer: cannot give both an address and id")
    try:
        client.call("DELETE", "/v1/operator/raft/peer", given)
    except ApiError as error:
        raise Failed(f"Error removing peer: {error}") from None
    ((name, value),) = given.items()
    call.say(f"Removed peer with {name} {go_quoted(value)}")
