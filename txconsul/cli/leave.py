"""C{txconsul leave}: have the agent say goodbye and stop."""

from __future__ import annotations

from txconsul.cli.api import ApiError
from txconsul.cli.call import Call, Failed, command
from txconsul.cli.settings import CLIENT_FLAGS
from txconsul.cli.usage import command_help

__all__ = ["FLAGS", "HELP", "run"]

HELP = """
Usage: txconsul leave [options]

  Has the agent leave its pool and stop. The others know that it left, and do
  not take it for one that failed: a client's node and its services are taken
  from the catalog, a server is no longer counted among those that elect.
"""

FLAGS = CLIENT_FLAGS


@command(FLAGS)
def run(call: Call) -> int | None:
    """Ask C{/v1/agent/leave}, which answers when the agent has left."""
    if call.rest:
        call.complain(f"Error found unexpected args: [{' '.join(call.rest)}]")
        call.say(command_help(HELP, FLAGS, ()))
        return 1
    try:
        call.client().call("PUT", "/v1/agent/leave")
    except ApiError as error:
        raise Failed(f"Error leaving: {error}") from None
    call.say("Graceful leave complete")
    return None
