"""C{txconsul members}: who is in the agent's pool."""

from __future__ import annotations

import ipaddress
from typing import Any

from txconsul.cli.api import ApiError
from txconsul.cli.call import Call, Failed, command
from txconsul.cli.columns import table
from txconsul.cli.settings import CLIENT_FLAGS, PARTITION_FLAG
from txconsul.errors import TxconsulError
from txconsul.language.goflags import BOOL, STRING, Flag

__all__ = ["FLAGS", "HELP", "run"]

HELP = """
Usage: txconsul members [options]

  Lists the members of the agent's pool and how they are: servers first, then
  the others, by name.

      $ txconsul members
      $ txconsul members -status="left|failed"

  Exit status 2 means that there is none like that.
"""

_ALL_SEGMENTS = "_all"
_ANY = ".*"

FLAGS = (
    Flag("detailed", BOOL, "Show all tags of each member."),
    Flag("filter", STRING, "Expression that the members must meet."),
    Flag(
        "segment", STRING, "Only members of this segment. Only Consul Enterprise has segments.", default=_ALL_SEGMENTS
    ),
    Flag("status", STRING, "Only members whose status this regular expression matches.", default=_ANY),
    Flag("wan", BOOL, "List the servers of all datacenters instead, as a server knows them."),
    *CLIENT_FLAGS,
    PARTITION_FLAG,
)

_NONE_FOUND = 2
#: Serf's statuses, by number.
_STATUSES = ("none", "alive", "leaving", "left", "failed")
_DEFAULT = "default"
#: What the tag C{role} says, and what is shown.
_TYPES = {"consul": "server", "node": "client"}


@command(FLAGS)
def run(call: Call) -> int | None:
    """List members, in a table."""
    found = _asked(call)
    if not found:
        return _NONE_FOUND
    found.sort(key=_place)
    detailed = call.flags["detailed"]
    header = ["Node", "Address", "Status"]
    header += ["Tags"] if detailed else ["Type", "Build", "Protocol", "DC", "Partition", "Segment"]
    call.say(table([header, *(_row(one, detailed) for one in found)]))
    return None


def _asked(call: Call) -> list[dict[str, Any]]:
    """The members of the status that is wanted."""
    wanted = call.flags["status"]
    matches = None
    if wanted != _ANY:
        from txconsul.language.goregexp import Allowance, Pattern

        try:
            matches = Pattern(wanted, Allowance())
        except TxconsulError as error:
            raise Failed(f"Failed to compile status regexp: {error}") from None
    client, segment = call.client(), call.flags["segment"]
    params = {"segment": segment, **({"wan": "1"} if call.flags["wan"] else {})}
    if call.flags["filter"]:
        params["filter"] = call.flags["filter"]
    try:
        members = client.call("GET", "/v1/agent/members", params).objects()
    except ApiError as error:
        raise Failed(f"Error retrieving members: {error}") from None
    for one in members:
        one["Tags"] = _tags(one.get("Tags"), segment)
    return [one for one in members if matches is None or matches.search(_status(one))]


def _tags(value: object, segment: str) -> dict[str, str]:
    """A member's tags, with what stands for those that are not set."""
    tags = {str(name): str(one) for name, one in value.items()} if isinstance(value, dict) else {}
    tags["ap"] = tags.get("ap") or _DEFAULT
    if tags["ap"].lower() != _DEFAULT:
        tags["segment"] = ""
    elif segment == _ALL_SEGMENTS and tags.get("role") == "consul":
        tags["segment"] = "<all>"
    else:
        tags["segment"] = tags.get("segment") or "<default>"
    return tags


def _status(member: dict[str, Any]) -> str:
    number = member.get("Status")
    return _STATUSES[number] if isinstance(number, int) and 0 <= number < len(_STATUSES) else "none"


def _place(member: dict[str, Any]) -> tuple[Any, ...]:
    tags = member["Tags"]
    is_server, is_default = tags.get("role") == "consul", tags["ap"] == _DEFAULT
    return not is_server, not is_default, tags["segment"], tags["ap"], str(member.get("Name", ""))


def _row(member: dict[str, Any], detailed: bool) -> list[str]:
    tags = member["Tags"]
    row = [str(member.get("Name", "")), _address(member), _status(member)]
    if detailed:
        return [*row, ",".join(f"{name}={one}" for name, one in sorted(tags.items()))]
    kind = _TYPES.get(tags.get("role", ""))
    if kind is None:
        return [*row, "unknown", "", "", "", "", ""]
    build = tags.get("build", "").partition(":")[0] if tags.get("build") else "< 0.3"
    return [*row, kind, build, tags.get("vsn", ""), tags.get("dc", ""), tags["ap"], tags["segment"]]


def _address(member: dict[str, Any]) -> str:
    try:
        host = str(ipaddress.ip_address(str(member.get("Addr", ""))))
    except ValueError:
        host = ""  # as Go shows what is no address
    return f"{f'[{host}]' if ':' in host else host}:{member.get('Port', 0)}"
