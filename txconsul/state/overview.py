"""
The health of the whole catalog in a few numbers.

A node or an instance of a service is as well as the worst of its own checks says.

Source: Consul's internal UI endpoints; the wire documents' CatalogSummary.
"""

from __future__ import annotations

from txconsul.records.health import CRITICAL, PASSING, WARNING
from txconsul.records.ui import CatalogSummary, HealthSummary
from txconsul.state.tables import Pair, Tables

__all__ = ["overview"]


#: How bad a status is; all others are well.
_BADNESS = {WARNING: 1, CRITICAL: 2}
_STATUSES = (PASSING, WARNING, CRITICAL)


def overview(tables: Tables) -> CatalogSummary:
    """The health of all nodes, of each service's instances, and of all checks of each name."""
    checks: _Counts = {}
    worst: dict[Pair, int] = {}
    for (node, _), check in tables.checks.rows.items():
        _count(checks, check.name, check.status)
        badness = _BADNESS.get(check.status)
        if badness:
            instance = (node, check.service_id.lower())
            worst[instance] = max(badness, worst.get(instance, 0))
    services: _Counts = {}
    for key, service in tables.services.rows.items():
        _count(services, service.service, _STATUSES[worst.get(key, 0)])
    nodes: _Counts = {}
    for name in tables.nodes.rows:
        _count(nodes, "", _STATUSES[worst.get((name, ""), 0)])
    return CatalogSummary(nodes=_summaries(nodes), services=_summaries(services), checks=_summaries(checks))


#: Name -> status -> how many.
_Counts = dict[str, dict[str, int]]


def _count(counts: _Counts, name: str, status: str) -> None:
    own = counts.setdefault(name, {})
    own[status] = own.get(status, 0) + 1


def _summaries(counts: _Counts) -> tuple[HealthSummary, ...] | None:
    found = [
        HealthSummary(
            name=name,
            total=sum(own.values()),
            passing=own.get(PASSING, 0),
            warning=own.get(WARNING, 0),
            critical=own.get(CRITICAL, 0),
        )
        for name, own in sorted(counts.items())
    ]
    return tuple(found) or None
