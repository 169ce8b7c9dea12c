"""C{txconsul rtt}: the estimated round trip between two nodes."""

from __future__ import annotations

from typing import Any

from txconsul.cli.api import ApiError, Client
from txconsul.cli.call import Call, Failed, command
from txconsul.cli.commands import SHOW_HELP
from txconsul.cli.gotext import go_quoted
from txconsul.cli.settings import CLIENT_FLAGS
from txconsul.codec import json
from txconsul.errors import TxconsulError
from txconsul.language.goflags import BOOL, Flag
from txconsul.records.coordinate import Coordinate, Position
from txconsul.serf.coordinate import closest_segment, compatible, distance

__all__ = ["FLAGS", "HELP", "run"]

HELP = """
Usage: txconsul rtt [options] node1 [node2]

  Estimates the round trip between two nodes from their network coordinates,
  without sending anything to either. Without a second node it is that of the
  agent that is asked.

      $ txconsul rtt web-1 web-2

  With -wan the nodes are servers of any datacenters, named NODE.DATACENTER.
  Coordinates of servers among themselves and those within a datacenter are
  kept apart, and cannot be compared.
"""

FLAGS = (
    Flag("wan", BOOL, "Compare servers of datacenters rather than nodes of one."),
    *CLIENT_FLAGS,
)

_MILLISECOND = 1_000_000


@command(FLAGS)
def run(call: Call) -> int | None:
    """Ask for the coordinates, and compute."""
    nodes = list(call.rest)
    if not 1 <= len(nodes) <= 2:
        call.complain("One or two node names must be specified\n")
        return SHOW_HELP
    client = call.client()
    wan = call.flags["wan"]
    if len(nodes) == 1:
        nodes.append(_own_name(client, wan))
    pair = _of_servers(client, nodes) if wan else _of_nodes(client, nodes)
    positions: list[Position] = []
    for name, position in zip(nodes, pair, strict=True):
        if position is None:
            raise Failed(f"Could not find a coordinate for node {go_quoted(name)}")
        positions.append(position)
    one, other = positions
    if not compatible(one, other):
        raise Failed(f"The coordinates of {nodes[0]} and {nodes[1]} have different numbers of dimensions")
    call.say(
        f"Estimated {nodes[0]} <-> {nodes[1]} rtt: {distance(one, other) / _MILLISECOND:.3f} ms"
        f" (using {'WAN' if wan else 'LAN'} coordinates)"
    )
    return None


def _own_name(client: Client, wan: bool) -> str:
    try:
        config = client.call("GET", "/v1/agent/self").fields().get("Config")
    except ApiError as error:
        raise Failed(f"Unable to look up agent info: {error}") from None
    if not isinstance(config, dict):
        raise Failed("Unable to look up agent info: it has no Config")
    name = str(config.get("NodeName", ""))
    return f"{name}.{config.get('Datacenter', '')}" if wan else name


def _of_nodes(client: Client, nodes: list[str]) -> tuple[Position | None, Position | None]:
    """The positions of two nodes, in a segment that both are in."""
    found: tuple[dict[str, Position], dict[str, Position]] = ({}, {})
    for entry in _entries(client, "/v1/coordinate/nodes"):
        for name, positions in zip(nodes, found, strict=True):
            if entry.node.lower() == name.lower() and entry.coord is not None:
                positions[entry.segment] = entry.coord
    return closest_segment(*found)


def _of_servers(client: Client, nodes: list[str]) -> tuple[Position | None, Position | None]:
    """The positions of two servers, in an area that both are in."""
    wanted = [tuple(name.split(".")) for name in nodes]
    if any(len(parts) != 2 for parts in wanted):
        raise Failed("Node names must be specified as <node name>.<datacenter> with -wan")
    areas: dict[str, dict[tuple[str, str], Position]] = {}
    for each in _objects(client, "/v1/coordinate/datacenters"):
        datacenter, area = str(each.get("Datacenter", "")), areas.setdefault(str(each.get("AreaID", "")), {})
        for entry in _read(each.get("Coordinates") or []):
            if entry.coord is not None:
                area[entry.node.lower(), datacenter] = entry.coord
    for area in areas.values():
        one, other = (area.get((name.lower(), datacenter)) for name, datacenter in wanted)
        if one is not None and other is not None:
            return one, other
    return None, None


def _entries(client: Client, path: str) -> list[Coordinate]:
    return _read(_objects(client, path))


def _objects(client: Client, path: str) -> list[dict[str, Any]]:
    try:
        return client.call("GET", path).objects()
    except ApiError as error:
        raise Failed(f"Error getting coordinates: {error}") from None


def _read(entries: Any) -> list[Coordinate]:
    try:
        return [json.from_json(Coordinate, one) for one in entries]
    except (TxconsulError, TypeError) as error:
        raise Failed(f"Error getting coordinates: {error}") from None
