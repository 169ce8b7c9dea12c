"""
Status and Operator: who leads, who belongs to the group.

Source: Consul's documentation of the status and operator HTTP APIs; the wire documents' Status and Operator methods.
"""

from __future__ import annotations

from txconsul.endpoints.authorizing import Authorizer
from txconsul.endpoints.placing import Rule
from txconsul.endpoints.registry import server
from txconsul.endpoints.site import Site
from txconsul.records.queries import DCSpecificRequest
from txconsul.records.raft import Suffrage
from txconsul.records.status import RaftConfigurationResponse, RaftServer

__all__: list[str] = []

#: The version of hashicorp/raft's protocol that servers speak.
RAFT_PROTOCOL = "3"


@server("Status.Leader", DCSpecificRequest)
def leader(site: Site, request: DCSpecificRequest, authorizer: Authorizer) -> str:
    """The leader's address; empty while there is none."""
    return site.consensus.leader_address


@server("Status.Peers", DCSpecificRequest)
def peers(site: Site, request: DCSpecificRequest, authorizer: Authorizer) -> list[str]:
    """The addresses of all servers of the group."""
    return [one.address for one in site.consensus.configuration.servers]


@server("Operator.RaftGetConfiguration", DCSpecificRequest, Rule.WRITE)
def raft_configuration(site: Site, request: DCSpecificRequest, authorizer: Authorizer) -> RaftConfigurationResponse:
    """Who belongs to the group."""
    authorizer.require_operator_read()
    consensus = site.consensus
    servers = tuple(
        RaftServer(
            id=one.id,
            node=site.node_name(one.id),
            address=one.address,
            leader=one.id == consensus.leader_id,
            protocol_version=RAFT_PROTOCOL,
            voter=one.suffrage == Suffrage.VOTER,
            last_index=consensus.last_index if one.id == consensus.leader_id else 0,
        )
        for one in consensus.configuration.servers
    )
    return RaftConfigurationResponse(servers=servers)
