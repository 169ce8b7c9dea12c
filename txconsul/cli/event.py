"""C{txconsul event}: tell all agents of a datacenter of something."""

from __future__ import annotations

from txconsul.cli.api import ApiError
from txconsul.cli.call import Call, Failed, command
from txconsul.cli.commands import SHOW_HELP
from txconsul.cli.gotext import to_bytes
from txconsul.cli.settings import CLIENT_FLAGS
from txconsul.language.goflags import STRING, Flag
from txconsul.language.goregexp import Allowance, BadRegexp, Pattern

__all__ = ["FLAGS", "HELP", "run"]

HELP = """
Usage: txconsul event [options] -name=NAME [payload]

  Tells all agents of the agent's datacenter of something that has a name, and
  perhaps a payload of some hundred bytes. Those who watch it act on it:

      $ txconsul watch -type=event -name=deploy ./deploy
      $ txconsul event -name=deploy -service=web v1.2

  Patterns of nodes, services and tags choose the agents that are meant.
"""

FLAGS = (
    Flag("name", STRING, "The event's name. Required."),
    Flag("node", STRING, "Pattern: only agents whose node's name has a match are meant."),
    Flag("service", STRING, "Pattern: only agents with a service whose ID has a match are meant."),
    Flag("tag", STRING, "Pattern: and of which a tag has a match. Only with -service."),
    *CLIENT_FLAGS,
)


@command(FLAGS)
def run(call: Call) -> int | None:
    """Fire it."""
    filters = {name: call.flags[name] for name in ("node", "service", "tag") if call.flags[name]}
    if not call.flags["name"]:
        call.complain("Event name must be specified\n")
        return SHOW_HELP
    for name, pattern in filters.items():
        try:
            Pattern(pattern, Allowance())
        except BadRegexp as error:
            raise Failed(f"Failed to compile {name} filter regexp: {error}") from None
    if "tag" in filters and "service" not in filters:
        raise Failed("Cannot provide tag filter without service filter.")
    if len(call.rest) > 1:
        call.complain("Too many command line arguments.\n")
        return SHOW_HELP
    client = call.client()
    try:
        client.call("GET", "/v1/agent/self").read()
    except ApiError as error:
        raise Failed(f"Error querying Consul agent: {error}") from None
    payload = to_bytes(call.rest[0]) if call.rest else b""
    try:
        event = client.call("PUT", f"/v1/event/fire/{call.flags['name']}", filters, body=payload).fields()
    except ApiError as error:
        raise Failed(f"Error firing event: {error}") from None
    call.say(f"Event ID: {event.get('ID', '')}")
    return None
