"""
Status: who leads, who belongs to the group.

Source: Consul's documentation of the status HTTP API; the wire documents' Status methods.
"""

from __future__ import annotations

from txconsul.endpoints.authorizing import Authorizer
from txconsul.endpoints.registry import server
from txconsul.endpoints.site import Site
from txconsul.records.queries import DCSpecificRequest
from txconsul.records.status import RaftStats

__all__: list[str] = []


@server("Status.Leader", DCSpecificRequest)
def leader(site: Site, request: DCSpecificRequest, authorizer: Authorizer) -> str:
    """The leader's address; empty while there is none."""
    return site.consensus.leader_address


@server("Status.Peers", DCSpecificRequest)
def peers(site: Site, request: DCSpecificRequest, authorizer: Authorizer) -> list[str]:
    """The addresses of all servers of the group."""
    return [one.address for one in site.consensus.configuration.servers]


@server("Status.Ping", DCSpecificRequest)
def ping(site: Site, request: DCSpecificRequest, authorizer: Authorizer) -> None:
    """Whether this server answers."""


@server("Status.RaftStats", DCSpecificRequest)
def raft_stats(site: Site, request: DCSpecificRequest, authorizer: Authorizer) -> RaftStats:
    """How far this server is."""
    known = site.consensus.stats()
    return RaftStats(
        last_contact=known["last_contact"],
        last_index=int(known["last_log_index"]),
        last_term=int(known["last_log_term"]),
    )
