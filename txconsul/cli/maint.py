"""C{txconsul maint}: take the agent's node or one of its services out of use, and put it back."""

from __future__ import annotations

from txconsul.cli.api import ApiError, Client
from txconsul.cli.call import Call, Failed, command
from txconsul.cli.gotext import go_quoted
from txconsul.cli.settings import CLIENT_FLAGS
from txconsul.language.goflags import BOOL, STRING, Flag

__all__ = ["FLAGS", "HELP", "run"]

HELP = """
Usage: txconsul maint [options]

  Takes the agent's node, or one of its services, out of use: DNS and health
  queries pass it over, because it has a critical check more. It stays so when
  the agent starts again, until it is put back.

      $ txconsul maint -enable -reason="new disk"
      $ txconsul maint -disable
      $ txconsul maint -enable -service=web-1

  Without -enable or -disable it shows what is out of use, and why.
"""

FLAGS = (
    Flag("enable", BOOL, "Take out of use."),
    Flag("disable", BOOL, "Put back."),
    Flag("reason", STRING, "Why, for whoever looks at the check. Only with -enable."),
    Flag("service", STRING, "The ID of a service, instead of the whole node."),
    *CLIENT_FLAGS,
)

_NODE = "_node_maintenance"
_SERVICE = "_service_maintenance:"


@command(FLAGS)
def run(call: Call) -> None:
    """Set, lift or show."""
    enable, disable = call.flags["enable"], call.flags["disable"]
    service, reason = call.flags["service"], call.flags["reason"]
    if enable and disable:
        raise Failed("Only one of -enable or -disable may be provided")
    if reason and not enable:
        raise Failed("Reason may only be provided with -enable")
    if service and not enable and not disable:
        raise Failed("Service requires either -enable or -disable")
    client = call.client()
    if not enable and not disable:
        _show(call, client)
        return
    params = {"enable": "true" if enable else "false", **({"reason": reason} if enable else {})}
    path = f"/v1/agent/service/maintenance/{service}" if service else "/v1/agent/maintenance"
    what = "service" if service else "node"
    try:
        client.call("PUT", path, params)
    except ApiError as error:
        raise Failed(f"Error {'enabling' if enable else 'disabling'} {what} maintenance: {error}") from None
    state = "enabled" if enable else "disabled"
    call.say(f"{what.capitalize()} maintenance is now {state}" + (f" for {go_quoted(service)}" if service else ""))


def _show(call: Call, client: Client) -> None:
    try:
        config = client.call("GET", "/v1/agent/self").fields().get("Config")
        name = config.get("NodeName", "") if isinstance(config, dict) else ""
    except ApiError as error:
        raise Failed(f"Error querying Consul agent: {error}") from None
    try:
        checks = client.call("GET", "/v1/agent/checks").fields()
    except ApiError as error:
        raise Failed(f"Error getting checks: {error}") from None
    for id, check in sorted(checks.items()):
        if id == _NODE:
            call.say(f"Node:\n  Name:   {name}\n  Reason: {check.get('Notes', '')}\n")
        elif id.startswith(_SERVICE):
            call.say(f"Service:\n  ID:     {check.get('ServiceID', '')}\n  Reason: {check.get('Notes', '')}\n")
