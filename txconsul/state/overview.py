"""
The health of the whole catalog in a few numbers.

A node or an instance of a service is as well as the worst of its own checks says.

Source: Consul's internal UI endpoints; the wire documents' CatalogSummary.
"""

from __future__ import annotations

from collections.abc import Iterable

from txconsul.records.health import CRITICAL, PASSING, WARNING, HealthCheck
from txconsul.records.ui import CatalogSummary, HealthSummary
from txconsul.state.tables import Tables

__all__ = ["overview"]


def overview(tables: Tables) -> CatalogSummary:
    """The health of all nodes, of each service's instances, and of all checks of each name."""
    rows = tables.checks.rows
    by_instance = tables.checks_by_instance
    services: dict[str, list[str]] = {}
    for key, service in tables.services.rows.items():
        own = [rows[pair] for pair in by_instance.keys(key)] if key in by_instance else []
        services.setdefault(service.service, []).append(_worst(own))
    checks: dict[str, list[str]] = {}
    for check in rows.values():
        checks.setdefault(check.name, []).append(check.status)
    nodes = [_worst([rows[pair] for pair in by_instance.keys((name, ""))]) for name in tables.nodes.rows]
    return CatalogSummary(
        nodes=_counted({"": nodes} if nodes else {}), services=_counted(services), checks=_counted(checks)
    )


def _worst(checks: Iterable[HealthCheck]) -> str:
    statuses = {check.status for check in checks}
    return next((status for status in (CRITICAL, WARNING) if status in statuses), PASSING)


def _counted(statuses: dict[str, list[str]]) -> tuple[HealthSummary, ...] | None:
    found = [
        HealthSummary(
            name=name,
            total=len(given),
            passing=given.count(PASSING),
            warning=given.count(WARNING),
            critical=given.count(CRITICAL),
        )
        for name, given in sorted(statuses.items())
    ]
    return tuple(found) or None
