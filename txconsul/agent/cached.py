"""
The agent's cache: which methods' answers it keeps, and how, a row a method; and what the configuration says of it.

Source: Consul's page on agent caching, and what each endpoint's own page says of it.
"""

from __future__ import annotations

from functools import partial
from random import Random
from typing import Any

from twisted.internet.interfaces import IReactorTime

from txconsul.agent.configuration.model import Configuration
from txconsul.agent.subscriptions import Subscriptions
from txconsul.caching.entry import FetchLimits, Kind
from txconsul.interfaces import IMetricSink
from txconsul.metrics.metrics import Gauge

__all__ = ["CACHED", "VIEW_SECONDS", "agent_cache", "fetch_limits", "measure"]

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


def measure(cache: Subscriptions, metrics: IMetricSink) -> None:
    """Have what the cache counts told under Consul's names."""
    counts = cache.counts
    kinds = [kind.name for kind in CACHED.values()]

    def of_all(what: str) -> int:
        return sum(counts[what, kind] for kind in kinds)

    for kind in kinds:
        for what in ("hit", "miss_new", "miss_block", "fetch_success", "fetch_error"):
            metrics.counted(f"cache.{kind}.{what}", partial(counts.__getitem__, (what, kind)))
    metrics.counted("cache.fetch_success", partial(of_all, "fetch_success"), result_not_modified="false")
    metrics.counted("cache.fetch_error", lambda: of_all("fetch_error") - of_all("fetch_refused"), fatal="false")
    metrics.counted("cache.fetch_error", partial(of_all, "fetch_refused"), fatal="true")
    metrics.counted("cache.evict_expired", partial(counts.__getitem__, ("evict_expired", "")))
    metrics.gauges(lambda: [Gauge("cache.entries_count", len(cache))])
