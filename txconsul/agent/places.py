"""
Where the servers of all datacenters are in the network, as the pool in which they gossip has it.

Source: Consul's documentation of C{/v1/coordinate/datacenters}.
"""

from __future__ import annotations

from txconsul.agent.tags import server_of
from txconsul.gossip import GossipPool
from txconsul.records.coordinate import Coordinate, DatacenterMap
from txconsul.serf.messages import Status

__all__ = ["AREA", "places"]

#: How the pool of all datacenters is called among areas.
AREA = "wan"


def places(wan: GossipPool | None) -> list[DatacenterMap]:
    """The servers that have not left and have told where they are, by datacenter, without it in their names."""
    if wan is None or wan.node is None:
        return []
    node = wan.node
    known: dict[str, list[Coordinate]] = {}
    for member in sorted(node.members, key=lambda one: one.name):
        server = None if member.status is Status.LEFT else server_of(member)
        position = node.positions.get(member.name)
        if position is None and member.name == node.name and node.vivaldi is not None:
            position = node.vivaldi.position
        if server is not None and position is not None:
            known.setdefault(server.datacenter, []).append(Coordinate(coord=position, node=server.short_name))
    return [
        DatacenterMap(area_id=AREA, coordinates=tuple(found), datacenter=datacenter)
        for datacenter, found in sorted(known.items())
    ]
