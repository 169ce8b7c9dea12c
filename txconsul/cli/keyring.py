"""C{txconsul keyring}: change or list the keys with which gossip is encrypted."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from txconsul.cli.api import ApiError
from txconsul.cli.call import Call, Failed, command
from txconsul.cli.commands import SHOW_HELP
from txconsul.cli.settings import CLIENT_FLAGS
from txconsul.language.goflags import BOOL, INT, STRING, Flag

__all__ = ["FLAGS", "HELP", "run"]

HELP = """
Usage: txconsul keyring [options]

  Changes or lists the keys with which gossip is encrypted, on all agents of all
  datacenters. Keys are changed in three steps, each on all agents before the
  next one:

      $ txconsul keyring -install=KEY
      $ txconsul keyring -use=KEY
      $ txconsul keyring -remove=OLD-KEY

  The exit status is 1 if an agent could not do it, or did not answer.
  txconsul keygen makes a key.
"""

#: Through how many members an answer may come a second time: Consul's bound.
_RELAY_FACTOR_MAX = 5

FLAGS = (
    Flag("install", STRING, "Give all agents this key, to read with."),
    Flag("use", STRING, "Have all agents encrypt with this key, which they must have already."),
    Flag("remove", STRING, "Take this key from all agents. They must not encrypt with it."),
    Flag("list", BOOL, "List the keys, and how many agents have each."),
    Flag("list-primary", BOOL, "List the keys that are encrypted with."),
    Flag(
        "relay-factor",
        INT,
        f"Have each answer come a second time through so many other agents, up to {_RELAY_FACTOR_MAX}.",
    ),
    Flag("local-only", BOOL, "With -list: ask only the agent's own datacenter."),
    *CLIENT_FLAGS,
)

#: Flag -> HTTP method, and what is said before.
_CHANGES = {
    "install": ("POST", "Installing new gossip encryption key..."),
    "use": ("PUT", "Changing primary gossip encryption key..."),
    "remove": ("DELETE", "Removing gossip encryption key..."),
}


@command(FLAGS)
def run(call: Call) -> int | None:
    """Do the one thing that is asked for."""
    wanted = [name for name in ("list", "list-primary", *_CHANGES) if call.flags[name]]
    if not wanted:
        return SHOW_HELP
    if len(wanted) > 1:
        raise Failed("Only a single action is allowed")
    if not 0 <= call.flags["relay-factor"] <= _RELAY_FACTOR_MAX:
        raise Failed(f"Error parsing relay factor: Relay factor must be in range: [0, {_RELAY_FACTOR_MAX}]")
    if call.flags["local-only"] and wanted != ["list"]:
        raise Failed("Error validating local-only: local-only can only be set for list requests")
    params = {"relay-factor": str(call.flags["relay-factor"])} if call.flags["relay-factor"] else {}
    if wanted[0] in _CHANGES:
        _change(call, wanted[0], params)
    elif wanted[0] == "list":
        _list(call, "Gathering installed encryption keys...", "Keys", params)
    else:
        _list(call, "Gathering installed primary encryption keys...", "PrimaryKeys", params)
    return None


def _change(call: Call, flag: str, params: Mapping[str, str]) -> None:
    method, said = _CHANGES[flag]
    client = call.client()
    call.say(f"==> {said}")
    body = json.dumps({"Key": call.flags[flag]}).encode()
    try:
        client.call(method, "/v1/operator/keyring", params, body=body).read()
    except ApiError as error:
        raise Failed(f"error: {error}") from None


def _list(call: Call, said: str, column: str, params: Mapping[str, str]) -> None:
    client = call.client()
    call.say(f"==> {said}")
    local = {"local-only": "true"} if call.flags["local-only"] else {}
    try:
        pools = client.call("GET", "/v1/operator/keyring", {**params, **local}).objects()
    except ApiError as error:
        raise Failed(f"error: {error}") from None
    for pool in pools:
        call.say(_shown(pool, column))


def _shown(pool: Mapping[str, Any], column: str) -> str:
    """One pool's keys."""
    name = "WAN" if pool.get("WAN") else f"{pool.get('Datacenter', '')} (LAN)"
    if pool.get("Segment"):
        name += f" [{pool['Segment']}]"
    lines = [f"\n{name}:"]
    lines += [f"  ===> {member}: {message}" for member, message in sorted((pool.get("Messages") or {}).items())]
    total = pool.get("NumNodes", 0)
    lines += [f"  {key} [{count}/{total}]" for key, count in sorted((pool.get(column) or {}).items())]
    return "\n".join(lines)
