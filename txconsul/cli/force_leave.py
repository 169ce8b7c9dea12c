"""C{txconsul force-leave}: take a node that failed for one that left."""

from __future__ import annotations

from txconsul.cli.api import ApiError
from txconsul.cli.call import Call, Failed, command
from txconsul.cli.commands import SHOW_HELP
from txconsul.cli.settings import CLIENT_FLAGS, PARTITION_FLAG
from txconsul.language.goflags import BOOL, Flag

__all__ = ["FLAGS", "HELP", "run"]

HELP = """
Usage: txconsul force-leave [options] name

  Has all members take a node that failed for one that left. It is for nodes
  that do not come back: until they are forgotten by themselves, days later,
  the others try to reach them. A node that does live comes back by itself.

      $ txconsul force-leave -prune web-7
"""

FLAGS = (
    Flag("prune", BOOL, "Forget the node at once, so that it is no longer listed."),
    Flag("wan", BOOL, "Only in the pool of the servers of all datacenters, where names are NODE.DATACENTER."),
    *CLIENT_FLAGS,
    PARTITION_FLAG,
)


@command(FLAGS)
def run(call: Call) -> int | None:
    """Ask C{/v1/agent/force-leave}; silent when that is done."""
    if len(call.rest) != 1:
        call.complain("A single node name must be specified to force leave.\n")
        return SHOW_HELP
    params = {name: "1" for name in ("prune", "wan") if call.flags[name]}
    try:
        call.client().call("PUT", f"/v1/agent/force-leave/{call.rest[0]}", params)
    except ApiError as error:
        raise Failed(f"Error force leaving: {error}") from None
    return None
