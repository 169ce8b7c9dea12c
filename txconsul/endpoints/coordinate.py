"""
Coordinate: where nodes are in the network.

Updates are not written one by one: the leader collects them, and writes what it has every few seconds
(L{txconsul.leader.coordinates}).

Source: Consul's documentation of the coordinate HTTP API; the wire documents' Coordinate methods.
"""

from __future__ import annotations

import msgspec

from txconsul.endpoints.authorizing import Authorizer
from txconsul.endpoints.placing import Rule
from txconsul.endpoints.registry import read, server
from txconsul.endpoints.site import Site
from txconsul.errors import TxconsulError
from txconsul.records.coordinate import Coordinate, CoordinateUpdateRequest, DatacenterMap
from txconsul.records.queries import DCSpecificRequest, NodeSpecificRequest
from txconsul.serf.coordinate import compatible
from txconsul.state.store import Store
from txconsul.state.watches import coordinate as coordinate_key
from txconsul.state.watches import table

__all__: list[str] = []


@server("Coordinate.Update", CoordinateUpdateRequest, Rule.WRITE)
def update(site: Site, request: CoordinateUpdateRequest, authorizer: Authorizer) -> None:
    """
    A node says where it is.

    @raise TxconsulError: it says nothing that could be a position, or one of a space of other dimensions than ours.
    """
    if request.coord is None or not request.coord.is_sound:
        raise TxconsulError("invalid coordinate")
    if site.position is None:
        raise TxconsulError("Coordinates are disabled")
    if not compatible(site.position, request.coord):
        raise TxconsulError("incompatible coordinate")
    authorizer.require_node_write(request.node)
    site.leading.positions.take(Coordinate(coord=request.coord, node=request.node, segment=request.segment))


@server("Coordinate.ListDatacenters", DCSpecificRequest)
def datacenters(site: Site, request: DCSpecificRequest, authorizer: Authorizer) -> list[DatacenterMap]:
    """The servers of each datacenter, as far as their places are known."""
    return [] if site.pools is None or site.position is None else site.pools.places()


@read("Coordinate.ListNodes", DCSpecificRequest, lambda request: (table("coordinates"),))
def nodes(store: Store, request: DCSpecificRequest, authorizer: Authorizer) -> tuple[int, list[Coordinate]]:
    """The network coordinates of all nodes that have any."""
    return store.coordinates.all()


@read("Coordinate.Node", NodeSpecificRequest, lambda request: (coordinate_key(request.node),))
def node(store: Store, request: NodeSpecificRequest, authorizer: Authorizer) -> tuple[int, list[Coordinate]]:
    """The network coordinates of one node, one for each segment that it is in, under the name that was asked for."""
    index, found = store.coordinates.of_node(request.node)
    return index, [msgspec.structs.replace(one, node=request.node) for one in found]
