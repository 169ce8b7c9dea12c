"""
What is asked of catalog and health.

C{peer_name} asks for what was imported from a peer instead of what is here. C{source} asks for what is near it first.

Source: the wire documents' DCSpecificRequest, NodeSpecificRequest, ServiceSpecificRequest and ChecksInStateRequest.
"""

from __future__ import annotations

from txconsul.records.base import Record
from txconsul.records.query import DEFAULT, NOWHERE, QueryOptions, QuerySource

__all__ = [
    "ChecksInStateRequest",
    "DCSpecificRequest",
    "MembersRequest",
    "MonitorRequest",
    "NodeSpecificRequest",
    "ServiceSpecificRequest",
]


class DCSpecificRequest(Record, frozen=True):
    """
    Ask a datacenter something that needs no further words.

    @ivar node_meta_filters: only nodes with all of these in their metadata.
    """

    datacenter: str = ""
    node_meta_filters: dict[str, str] | None = None
    peer_name: str = ""
    source: QuerySource = NOWHERE
    options: QueryOptions = DEFAULT


class MembersRequest(Record, frozen=True):
    """
    Ask an agent for the members of a gossip pool.

    @ivar datacenter: always empty: only the agent that is asked knows.
    @ivar wan: of the pool that servers of all datacenters share, rather than of the agent's own.
    """

    datacenter: str = ""
    wan: bool = False
    options: QueryOptions = DEFAULT


class MonitorRequest(Record, frozen=True):
    """
    Ask an agent for its log as it is written.

    @ivar datacenter: always empty: only the agent that is asked knows.
    @ivar level: the least level that is wanted.
    @ivar json: as JSON objects rather than as text.
    """

    datacenter: str = ""
    level: str = ""
    json: bool = False
    options: QueryOptions = DEFAULT


class NodeSpecificRequest(Record, frozen=True):
    """
    Ask about one node.

    @ivar merge_central_config: show proxies and gateways with what configuration entries say of them.
    """

    datacenter: str = ""
    node: str = ""
    merge_central_config: bool = False
    peer_name: str = ""
    options: QueryOptions = DEFAULT


class ServiceSpecificRequest(Record, frozen=True):
    """
    Ask about one service.

    @ivar service_tags: only instances with all of these tags.
    @ivar must_be_passing: only instances whose checks all pass; C{exclude_critical}: only those without a critical one.
    @ivar service_address: of the catalog, instances with this address, instead of those of one name.
    @ivar connect: instances which make the service reachable in the mesh: its proxies, or itself.
    @ivar ingress: the ingress gateways that let clients from outside the mesh in to the service.
    @ivar merge_central_config: show proxies and gateways with what configuration entries say of them.
    @ivar service_kind: of the service, where that matters.
    """

    datacenter: str = ""
    service_name: str = ""
    service_tags: tuple[str, ...] = ()
    must_be_passing: bool = False
    exclude_critical: bool = False
    service_address: str = ""
    connect: bool = False
    ingress: bool = False
    merge_central_config: bool = False
    service_kind: str = ""
    node_meta_filters: dict[str, str] | None = None
    peer_name: str = ""
    source: QuerySource = NOWHERE
    options: QueryOptions = DEFAULT


class ChecksInStateRequest(Record, frozen=True):
    """
    Ask for checks by their status.

    @ivar state: C{any}, C{passing}, C{warning} or C{critical}.
    """

    datacenter: str = ""
    state: str = ""
    node_meta_filters: dict[str, str] | None = None
    peer_name: str = ""
    source: QuerySource = NOWHERE
    options: QueryOptions = DEFAULT
