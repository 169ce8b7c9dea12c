"""
What the door counts and measures, under Consul's names.

Most of it costs nothing: how often each method was asked is known already. Writes are timed, as are some other methods;
reads of a service are counted by its name.

Source: Consul's "Agent telemetry reference".
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from txconsul.endpoints.placing import Rule
from txconsul.metrics.instruments import CounterFamily, Sample
from txconsul.metrics.metrics import Metrics

if TYPE_CHECKING:
    from collections.abc import Mapping

    from txconsul.endpoints.registry import Read, ServerMethod, Write
    from txconsul.records.queries import ServiceSpecificRequest

__all__ = ["TIMERS", "Counts", "ServiceQueries"]

#: Methods whose time is measured, and under which name; writes until they are committed.
TIMERS = {
    "Catalog.Deregister": "catalog.deregister",
    "Catalog.Register": "catalog.register",
    "ConfigEntry.Apply": "config_entry.apply",
    "Intention.Apply": "intention.apply",
    "KVS.Apply": "kvs.apply",
    "PreparedQuery.Apply": "prepared-query.apply",
    "PreparedQuery.Execute": "prepared-query.execute",
    "PreparedQuery.ExecuteRemote": "prepared-query.execute_remote",
    "PreparedQuery.Explain": "prepared-query.explain",
    "Session.Apply": "session.apply",
    "Session.Renew": "session.renew",
    "Tombstone.Reap": "leader.reapTombstones",
    "Txn.Apply": "txn.apply",
}


class ServiceQueries:
    """Reads of one kind, C{catalog} or C{health}, by the service that they ask for."""

    def __init__(self, metrics: Metrics, kind: str) -> None:
        self._service = self._families(metrics, f"{kind}.service")
        self._connect = self._families(metrics, f"{kind}.connect")
        self._ingress = self._families(metrics, f"{kind}.ingress")

    def _families(self, metrics: Metrics, name: str) -> tuple[CounterFamily, CounterFamily, CounterFamily]:
        return (
            metrics.counters(f"{name}.query", "service"),
            metrics.counters(f"{name}.query-tags", "service", "tag"),
            metrics.counters(f"{name}.not-found", "service"),
        )

    def count(self, request: ServiceSpecificRequest, found: Any) -> None:
        """This was asked, and that was found."""
        asked = self._connect if request.connect else self._ingress if request.ingress else self._service
        query, query_tags, not_found = asked
        name = request.service_name
        query.add(name)
        if request.service_tags:
            query_tags.add(name, ",".join(request.service_tags))
        if not found:
            not_found.add(name)


class Counts:
    """
    The instruments of one door.

    @ivar asked: how often each method was asked.
    @ivar timers: by the method's name, in milliseconds.
    @ivar queries: reads of services, by the kind that L{Read<registry.Read>} names.
    """

    def __init__(self, metrics: Metrics, methods: Mapping[str, Read | Write | ServerMethod]) -> None:
        self.asked: dict[str, int] = dict.fromkeys(methods, 0)
        self.timers: dict[str, Sample] = {
            method: metrics.sample(name) for method, name in TIMERS.items() if method in methods
        }
        self.queries = {kind: ServiceQueries(metrics, kind) for kind in ("catalog", "health")}
        reads = [name for name, method in methods.items() if method.rule is Rule.READ]
        distant = [name for name, method in methods.items() if method.rule is not Rule.AGENT]
        metrics.counted("rpc.query", lambda: self._sum(reads))
        metrics.counted("client.rpc", lambda: self._sum(distant))

    def _sum(self, methods: list[str]) -> int:
        asked = self.asked
        return sum([asked[method] for method in methods])
