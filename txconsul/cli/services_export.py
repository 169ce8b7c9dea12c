"""C{txconsul services export}."""

from __future__ import annotations

import json
from typing import Any

from txconsul.cli.api import ApiError, Client, StatusError
from txconsul.cli.call import Call, Failed, command
from txconsul.cli.gotext import go_quoted
from txconsul.cli.settings import CLIENT_FLAGS, TENANCY_FLAGS
from txconsul.language.goflags import STRING, Flag

__all__ = ["FLAGS", "HELP", "run"]

HELP = """
Usage: txconsul services export [options] -name=NAME -consumer-peers=PEERS

  Lets peered clusters use a service: adds them to the service's consumers in
  the configuration entry "exported-services".

      $ txconsul services export -name=web -consumer-peers=east,west
"""

FLAGS = (
    Flag("name", STRING, "Name of the service. Required."),
    Flag("consumer-peers", STRING, "The peers that may use it, separated by commas. Required."),
    Flag(
        "consumer-partitions",
        STRING,
        "Admin partitions that may use it, separated by commas. Only Consul Enterprise has partitions.",
    ),
    *CLIENT_FLAGS,
    *TENANCY_FLAGS,
)

_KIND = "exported-services"
_ABSENT = 404


@command(FLAGS)
def run(call: Call) -> None:
    """Add consumers to a service's."""
    name = call.flags["name"]
    if not name:
        raise Failed("Missing the required -name flag")
    if not call.flags["consumer-peers"] and not call.flags["consumer-partitions"]:
        raise Failed("Missing the required -consumer-peers or -consumer-partitions flag")
    peers = _names(call.flags["consumer-peers"], "peer")
    partitions = _names(call.flags["consumer-partitions"], "partition")
    client = call.client("Error connect to Consul agent: ")
    entry = _entry(client, call.flags["partition"] or "default")
    wanted = [{"Peer": one} for one in peers] + [{"Partition": one} for one in partitions]
    _add(entry, name, call.flags["namespace"] or "", wanted)
    _write(client, entry)
    told = [f"cluster peers {_shown(peers)}"] if peers else []
    told += [f"{'to ' if peers else ''}partitions {_shown(partitions)}"] if partitions else []
    call.say(f"Successfully exported service {go_quoted(name)} to {' and '.join(told)}")


def _names(text: str, what: str) -> list[str]:
    names = text.split(",") if text else []
    if not all(names):
        raise Failed(f'Invalid {what} ""')
    return names


def _shown(names: list[str]) -> str:
    return f"[{' '.join(go_quoted(name) for name in names)}]"


def _entry(client: Client, name: str) -> dict[str, Any]:
    """The entry as it is, or a new one."""
    try:
        return client.call("GET", f"/v1/config/{_KIND}/{name}").fields()
    except ApiError as error:
        if isinstance(error, StatusError) and error.status == _ABSENT and "Config entry not found" in str(error):
            return {"Kind": _KIND, "Name": name}
        raise Failed(f"Error reading config entry {_KIND}/default: {error}") from None


def _add(entry: dict[str, Any], name: str, namespace: str, wanted: list[dict[str, str]]) -> None:
    services = entry["Services"] = list(entry.get("Services") or ())
    found = [one for one in services if one.get("Name") == name and (one.get("Namespace") or "") == namespace]
    if not found:
        found = [{"Name": name, **({"Namespace": namespace} if namespace else {})}]
        services += found
    for service in found:
        consumers = service["Consumers"] = list(service.get("Consumers") or ())
        for consumer in wanted:
            key, value = next(iter(consumer.items()))
            if not any(one.get(key) == value for one in consumers):
                consumers.append(consumer)


def _write(client: Client, entry: dict[str, Any]) -> None:
    params = {"cas": str(entry.get("ModifyIndex", 0))}
    try:
        written = client.call("PUT", "/v1/config", params, body=json.dumps(entry).encode()).json()
    except ApiError as error:
        raise Failed(f"Error writing config entry: {error}") from None
    if written is not True:
        raise Failed("Config entry was changed during update. Please try again")
