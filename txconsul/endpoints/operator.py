"""
Operator: the group of servers, as operators see and change it.

Source: Consul's documentation of the operator HTTP API; the wire documents' Operator methods.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, NoReturn

from twisted.internet.defer import Deferred
from twisted.python.failure import Failure

from txconsul.codec.goquote import quote
from txconsul.endpoints.authorizing import Authorizer
from txconsul.endpoints.placing import Rule
from txconsul.endpoints.registry import read, server
from txconsul.endpoints.site import Site
from txconsul.errors import InvalidRequest, RequestRefused
from txconsul.records.operator import (
    AutopilotHealthReply,
    AutopilotState,
    OperatorUsageRequest,
    RaftRemovePeerRequest,
    ServiceUsage,
    TransferLeaderRequest,
    TransferLeaderResponse,
)
from txconsul.records.queries import DCSpecificRequest
from txconsul.records.raft import Server, Suffrage
from txconsul.records.status import RaftConfigurationResponse, RaftServer
from txconsul.state.store import Store
from txconsul.state.usage import BILLABLE, MESH
from txconsul.state.watches import Key, table

__all__: list[str] = []

#: The version of hashicorp/raft's protocol that servers speak.
RAFT_PROTOCOL = "3"
#: What is said of a server of the group whose node nobody knows.
UNKNOWN_NODE = "(unknown)"


@server("Operator.RaftGetConfiguration", DCSpecificRequest, Rule.READ)
def raft_configuration(site: Site, request: DCSpecificRequest, authorizer: Authorizer) -> RaftConfigurationResponse:
    """Who belongs to the group."""
    authorizer.require_operator_read()
    consensus = site.consensus

    def shown(one: Server) -> RaftServer:
        node = site.node_name(one.id)
        return RaftServer(
            id=one.id,
            node=node or UNKNOWN_NODE,
            address=one.address,
            leader=one.id == consensus.leader_id,
            protocol_version=RAFT_PROTOCOL if node else "unknown",
            voter=one.suffrage == Suffrage.VOTER,
            last_index=consensus.last_index if one.id == consensus.leader_id else site.autopilot.last_index(one.id),
        )

    return RaftConfigurationResponse(servers=tuple([shown(one) for one in consensus.configuration.servers]))


def _remove(site: Site, found: Iterable[Server], missing: str) -> Deferred[dict[str, Any]]:
    for one in found:
        return site.consensus.remove(one.id).addCallback(lambda _: {})
    raise InvalidRequest(f"{missing} was not found in the Raft configuration")


@server("Operator.RaftRemovePeerByAddress", RaftRemovePeerRequest, Rule.WRITE)
def remove_by_address(site: Site, request: RaftRemovePeerRequest, authorizer: Authorizer) -> Deferred[dict[str, Any]]:
    """Take the server at an address out of the group; one that gossip still knows is added again soon."""
    authorizer.require_operator_write()
    servers = site.consensus.configuration.servers
    found = (one for one in servers if one.address == request.address)
    return _remove(site, found, f"address {quote(request.address)}")


@server("Operator.RaftRemovePeerByID", RaftRemovePeerRequest, Rule.WRITE)
def remove_by_id(site: Site, request: RaftRemovePeerRequest, authorizer: Authorizer) -> Deferred[dict[str, Any]]:
    """Take the server with an id out of the group; see L{remove_by_address}."""
    authorizer.require_operator_write()
    found = (one for one in site.consensus.configuration.servers if one.id == request.id)
    return _remove(site, found, f"id {quote(request.id)}")


@server("Operator.TransferLeader", TransferLeaderRequest, Rule.WRITE)
def transfer_leader(
    site: Site, request: TransferLeaderRequest, authorizer: Authorizer
) -> Deferred[TransferLeaderResponse]:
    """Have another server lead: the one with an id, or whoever is up to date."""
    authorizer.require_operator_write()
    if request.id and all(one.id != request.id for one in site.consensus.configuration.servers):
        raise InvalidRequest(f"Could not find address for server id {request.id}")
    done = site.consensus.transfer_leadership(request.id or None)
    return done.addCallbacks(lambda _: TransferLeaderResponse(success=True), _not_transferred)


def _not_transferred(reason: Failure) -> NoReturn:
    """There is no such voter, or no other one: Consul's clients are told with status 500."""
    reason.trap(RequestRefused)
    raise InvalidRequest(str(reason.value))


@server("Operator.ServerHealth", DCSpecificRequest, Rule.WRITE)
def server_health(site: Site, request: DCSpecificRequest, authorizer: Authorizer) -> AutopilotHealthReply:
    """Whether every server of the group is well."""
    authorizer.require_operator_read()
    return site.autopilot.reply()


@server("Operator.AutopilotState", DCSpecificRequest, Rule.WRITE)
def autopilot_state(site: Site, request: DCSpecificRequest, authorizer: Authorizer) -> AutopilotState:
    """What autopilot knows of every server."""
    authorizer.require_operator_read()
    return site.autopilot.state()


def _usage_keys(request: OperatorUsageRequest) -> list[Key]:
    return [table("nodes"), table("services")]


@read("Operator.Usage", OperatorUsageRequest, watch=_usage_keys)
def service_usage(store: Store, request: OperatorUsageRequest, authorizer: Authorizer) -> tuple[int, ServiceUsage]:
    """How much is registered in this datacenter."""
    authorizer.require_operator_read()
    tables = store.tables
    counts = tables.usage.counts
    found = ServiceUsage(
        services=len(tables.services_by_name),
        service_instances=len(tables.services.rows),
        connect_service_instances={one: counts[one] for one in MESH},
        billable_service_instances=counts[BILLABLE],
        nodes=len(tables.nodes.rows),
    )
    return max(store.catalog.nodes_index(), store.catalog.services_index()), found
