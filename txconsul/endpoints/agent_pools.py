"""
Agent: the gossip pools that it belongs to, joined and left.

Source: Consul's documentation of the agent HTTP API.
"""

from __future__ import annotations

from typing import Any

from twisted.internet.defer import Deferred

from txconsul.endpoints.authorizing import Authorizer
from txconsul.endpoints.placing import Rule
from txconsul.endpoints.pools import Pools
from txconsul.endpoints.registry import server
from txconsul.endpoints.site import Site
from txconsul.errors import InvalidRequest
from txconsul.records.member import ForceLeaveRequest, JoinRequest
from txconsul.records.queries import DCSpecificRequest

__all__: list[str] = []


def _pools(site: Site) -> Pools:
    """@raise InvalidRequest: there is no agent around this server."""
    if site.pools is None:
        raise InvalidRequest("this agent is in no gossip pool")
    return site.pools


@server("Agent.Join", JoinRequest, Rule.AGENT)
def join(site: Site, request: JoinRequest, authorizer: Authorizer) -> Deferred[int]:
    """Join a pool by the agent at an address; how many were joined."""
    authorizer.require_agent_write()
    return _pools(site).join([request.address], wan=request.wan)


@server("Agent.ForceLeave", ForceLeaveRequest, Rule.AGENT)
def force_leave(site: Site, request: ForceLeaveRequest, authorizer: Authorizer) -> None:
    """Have a failed member be gone for good."""
    authorizer.require_operator_write()
    _pools(site).force_leave(request.node, wan=request.wan, prune=request.prune)


@server("Agent.Leave", DCSpecificRequest, Rule.AGENT)
def leave(site: Site, request: DCSpecificRequest, authorizer: Authorizer) -> Any:
    """Leave all pools, and stop the agent; answered when it has left."""
    authorizer.require_agent_write()
    return site.leave()
