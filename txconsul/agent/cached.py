"""
The agent's cache: which methods' answers it keeps, and how, a row a method; and what the configuration says of it.

Source: Consul's page on agent caching, and what each endpoint's own page says of it.
"""

from __future__ import annotations

from random import Random
from typing import Any

from twisted.internet.interfaces import IReactorTime

from txconsul.agent.configuration.model import Configuration
from txconsul.agent.subscriptions import Subscriptions
from txconsul.caching.entry import FetchLimits, Kind

__all__ = ["CACHED", "VIEW_SECONDS", "agent_cache", "fetch_limits"]

#: How long a view of a service's health is kept after it was last asked for. Consul has these from a stream rather than
#: from a poll, and gives that up sooner.
VIEW_SECONDS = 20 * 60.0

#: By the method's name. The kinds' names are those of Consul's metrics.
CACHED = {
    "Catalog.ListDatacenters": Kind("catalog-datacenters", refreshes=False, blocks=False, by_token=False),
    "Catalog.ListServices": Kind("catalog-list-services"),
    "Catalog.NodeServices": Kind("node-services"),
    "Catalog.ServiceNodes": Kind("catalog-services"),
    "Health.ServiceNodes": Kind("health-services", kept_seconds=VIEW_SECONDS),
    "PreparedQuery.Execute": Kind("prepared-query", refreshes=False, blocks=False),
}


def fetch_limits(configuration: Configuration) -> FetchLimits:
    """How often one answer may be fetched."""
    it = configuration.cache
    return FetchLimits(it.entry_fetch_rate, it.entry_fetch_max_burst)


def agent_cache(configuration: Configuration, door: Any, clock: IReactorTime, rng: Random) -> Subscriptions:
    """The cache of an agent before its door."""
    it = configuration
    return Subscriptions(door, CACHED, clock, rng, fetch_limits(it), it.default_query_time, it.max_query_time)
