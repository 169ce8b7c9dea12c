"""C{txconsul join}: have the agent join the pool of others."""

from __future__ import annotations

from txconsul.cli.api import ApiError
from txconsul.cli.call import Call, Failed, command
from txconsul.cli.commands import SHOW_HELP
from txconsul.cli.settings import CLIENT_FLAGS, PARTITION_FLAG
from txconsul.language.goflags import BOOL, Flag

__all__ = ["FLAGS", "HELP", "run"]

HELP = """
Usage: txconsul join [options] address ...

  Has the agent join the pool of the agents at these addresses. One of them is
  enough; it tells of all others. Both pools become one.

      $ txconsul join 10.0.0.5 10.0.0.6:8301

  With -wan a server joins servers of other datacenters, at their port for the
  WAN.
"""

FLAGS = (
    Flag("wan", BOOL, "Join the pool of the servers of all datacenters."),
    *CLIENT_FLAGS,
    PARTITION_FLAG,
)


@command(FLAGS)
def run(call: Call) -> int | None:
    """Join by each address; one that succeeds is enough."""
    if not call.rest:
        call.complain("At least one address to join must be specified.\n")
        return SHOW_HELP
    client, params = call.client(), {"wan": "1"} if call.flags["wan"] else {}
    joined = 0
    for address in call.rest:
        try:
            client.call("PUT", f"/v1/agent/join/{address}", params)
        except ApiError as error:
            call.complain(f"Error joining address '{address}': {error}")
        else:
            joined += 1
    if not joined:
        raise Failed("Failed to join any nodes.")
    call.say(f"Successfully joined cluster by contacting {joined} nodes.")
    return None
