"""
Agent: what concerns only the agent that is asked.

Source: Consul's documentation of the agent HTTP API.
"""

from __future__ import annotations

from collections.abc import Iterator
from ipaddress import ip_address
from typing import Any

import msgspec

from txconsul.endpoints.authorizing import Authorizer
from txconsul.endpoints.placing import Rule
from txconsul.endpoints.registry import server
from txconsul.endpoints.site import Site
from txconsul.language.bexpr import filter_for
from txconsul.metrics.metrics import Exposed
from txconsul.records.member import Member
from txconsul.records.queries import DCSpecificRequest, MembersRequest, MonitorRequest

__all__: list[str] = []


@server("Agent.Self", DCSpecificRequest, Rule.AGENT)
def self_(site: Site, request: DCSpecificRequest, authorizer: Authorizer) -> dict[str, Any]:
    """The agent's configuration and state."""
    authorizer.require_agent_read()
    return {**site.facts.document(), "Coord": site.position}


@server("Agent.Version", DCSpecificRequest, Rule.AGENT)
def version(site: Site, request: DCSpecificRequest, authorizer: Authorizer) -> dict[str, str]:
    """Which program this is."""
    authorizer.require_agent_read()
    return site.facts.version()


@server("Agent.Host", DCSpecificRequest, Rule.AGENT)
def host(site: Site, request: DCSpecificRequest, authorizer: Authorizer) -> dict[str, Any]:
    """The machine below the agent."""
    authorizer.require_operator_read()
    return site.facts.host()


@server("Agent.Metrics", DCSpecificRequest, Rule.AGENT)
def metrics(site: Site, request: DCSpecificRequest, authorizer: Authorizer) -> dict[str, Any]:
    """What the agent counted and measured."""
    authorizer.require_agent_read()
    return site.facts.metrics()


@server("Agent.ExposedMetrics", DCSpecificRequest, Rule.AGENT)
def exposed_metrics(site: Site, request: DCSpecificRequest, authorizer: Authorizer) -> list[Exposed]:
    """The same for those who add up themselves."""
    authorizer.require_agent_read()
    return site.facts.exposed_metrics()


@server("Agent.MetricsStream", DCSpecificRequest, Rule.AGENT)
def metrics_stream(site: Site, request: DCSpecificRequest, authorizer: Authorizer) -> Iterator[Any]:
    """What the agent counted and measured, every ten seconds: an answer's body that ends when the agent stops."""
    authorizer.require_agent_read()
    return site.facts.follow_metrics()


@server("Agent.Monitor", MonitorRequest, Rule.AGENT)
def monitor(site: Site, request: MonitorRequest, authorizer: Authorizer) -> Iterator[Any]:
    """The log as it is written: an answer's body that ends when the agent stops."""
    authorizer.require_agent_read()
    return site.facts.follow_log(request.level, request.json)


@server("Agent.Members", MembersRequest, Rule.AGENT)
def members(site: Site, request: MembersRequest, authorizer: Authorizer) -> list[dict[str, Any]] | None:
    """Who is in the pool, as far as this agent knows."""
    authorizer.require_agent_read()
    found = site.facts.members(request.wan)
    expression = request.options.filter
    if not expression or found is None:
        return found
    passing = filter_for(expression, Member).select_values({one["Name"]: _member(one) for one in found})
    return [one for one in found if one["Name"] in passing]


def _member(shown: dict[str, Any]) -> Member:
    """What is shown of a member, as a record that a filter can ask."""
    return msgspec.convert({**shown, "Addr": ip_address(shown["Addr"]).packed}, Member)
