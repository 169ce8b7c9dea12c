"""C{txconsul catalog nodes}."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from txconsul.cli.api import ApiError, Client, Params
from txconsul.cli.call import Call, Failed, command
from txconsul.cli.catalog import no_arguments, node_meta
from txconsul.cli.columns import table
from txconsul.cli.gotext import to_text
from txconsul.cli.settings import CLIENT_FLAGS, PARTITION_FLAG, SERVER_FLAGS
from txconsul.cli.sources import load_source
from txconsul.language.goflags import BOOL, KEY_VALUES, STRING, Flag

__all__ = ["FLAGS", "HELP", "run"]

HELP = """
Usage: txconsul catalog nodes [options]

  Lists the nodes of a datacenter, by default the agent's own.

      $ txconsul catalog nodes

  With whole IDs, tagged addresses and metadata:

      $ txconsul catalog nodes -detailed

  Only those that run a service, or that have some metadata; the nearest first:

      $ txconsul catalog nodes -service=web
      $ txconsul catalog nodes -node-meta=rack=r2
      $ txconsul catalog nodes -near=_agent
"""

FLAGS = (
    Flag("detailed", BOOL, "Show whole IDs, tagged addresses and metadata too."),
    Flag("filter", STRING, "Expression that the nodes must meet; @FILE or - takes it from there."),
    Flag("near", STRING, "Sort by the round trip time from this node; _agent means that of the agent asked."),
    Flag("node-meta", KEY_VALUES, "Only nodes with this metadata, `key=value`. May be repeated."),
    Flag("service", STRING, "Only nodes that run the service with this `name`."),
    *CLIENT_FLAGS,
    *SERVER_FLAGS,
    PARTITION_FLAG,
)


@command(FLAGS)
def run(call: Call) -> None:
    """List nodes, in a table."""
    no_arguments(call)
    client = call.client()
    params = dict(node_meta(call))
    if call.flags["near"]:
        params["near"] = call.flags["near"]
    if call.flags["filter"]:
        params["filter"] = _filter(call)
    service = call.flags["service"]
    try:
        nodes = _of_service(client, service, params) if service else _all(client, params)
    except ApiError as error:
        raise Failed(f"Error listing nodes{' for service' if service else ''}: {error}") from None
    if not nodes:
        call.complain("No nodes match the given query - try expanding your search.")
        return
    detailed = call.flags["detailed"]
    header = ["Node", "ID", "Address", "DC", *(["TaggedAddresses", "Meta"] if detailed else [])]
    call.say(table([header, *(_row(node, detailed) for node in nodes)]))


def _filter(call: Call) -> str:
    try:
        return to_text(load_source(call.flags["filter"], call.stdin))
    except Failed as error:
        raise Failed(f"Could not process filter argument: {error}") from None


def _all(client: Client, params: Params) -> list[dict[str, Any]]:
    return client.call("GET", "/v1/catalog/nodes", params).objects()


def _of_service(client: Client, service: str, params: Params) -> list[dict[str, Any]]:
    found = client.call("GET", f"/v1/catalog/service/{service}", params).objects()
    return [{**one, "Meta": one.get("NodeMeta")} for one in found]


def _row(node: Mapping[str, Any], detailed: bool) -> list[str]:
    id = str(node.get("ID") or "")
    row = [str(node.get("Node", "")), id, str(node.get("Address", "")), str(node.get("Datacenter", ""))]
    if detailed:
        return [*row, _pairs(node.get("TaggedAddresses")), _pairs(node.get("Meta"))]
    dash = id.find("-")
    row[1] = id[:dash] if dash > 0 else id
    return row


def _pairs(value: object) -> str:
    return ", ".join(f"{key}={one}" for key, one in sorted(value.items())) if isinstance(value, dict) else ""
