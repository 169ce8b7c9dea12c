"""
Services at a glance, made from their instances.

The checks of a service's proxies count as its own. A service that a proxy stands before is told of even if nobody
registered it.

Source: Consul's internal UI endpoints.
"""

from __future__ import annotations

from collections.abc import Iterable

from txconsul.records.catalog import CheckServiceNode
from txconsul.records.health import CRITICAL, PASSING, WARNING
from txconsul.records.service import NodeService
from txconsul.records.ui import ServiceListing, ServiceSummary

__all__ = ["Gathered", "listed", "summarize"]

#: Under this key in its metadata an instance says which program registered it.
_EXTERNAL_SOURCE = "external-source"


class Gathered:
    """What was found of one service."""

    __slots__ = (
        "_checks",
        "_count",
        "_datacenter",
        "_native",
        "_nodes",
        "_opaque_proxies",
        "_sources",
        "_tags",
        "has_proxy",
        "kind",
        "name",
        "transparent_proxies",
    )

    def __init__(self, name: str) -> None:
        self.name = name
        self.kind = self._datacenter = ""
        self.has_proxy = self._native = False
        self.transparent_proxies = self._opaque_proxies = self._count = 0
        self._checks: dict[tuple[str, str], str] = {}
        self._nodes: set[str] = set()
        self._sources: dict[str, None] = {}
        self._tags: set[str] = set()

    def add(self, instance: CheckServiceNode) -> None:
        """One of its instances."""
        node, service = instance.node, instance.service
        assert node is not None and service is not None
        self.kind = service.kind
        self._datacenter = node.datacenter
        self._count += 1
        self._nodes.add(node.node)
        self._native = self._native or service.connect.native
        self._tags.update(service.tags or ())
        if source := (service.meta or {}).get(_EXTERNAL_SOURCE):
            self._sources[source] = None
        self._add_checks(instance)

    def add_proxy(self, instance: CheckServiceNode, service: NodeService) -> None:
        """A proxy that stands before it."""
        self.has_proxy = True
        if service.proxy.mode == "transparent":
            self.transparent_proxies += 1
        else:
            self._opaque_proxies += 1
        self._add_checks(instance)

    def _add_checks(self, instance: CheckServiceNode) -> None:
        assert instance.node is not None
        node = instance.node.node
        for check in instance.checks or ():
            self._checks[node, check.check_id] = check.status

    def summary(self, kind: type[ServiceSummary] = ServiceSummary, **more: object) -> ServiceSummary:
        """
        The service at a glance.

        @param kind: the record to make.
        @param more: what that record has beside.
        """
        statuses = [*self._checks.values()]
        return kind(
            checks_critical=statuses.count(CRITICAL),
            checks_passing=statuses.count(PASSING),
            checks_warning=statuses.count(WARNING),
            connect_native=self._native,
            datacenter=self._datacenter,
            external_sources=tuple(self._sources) or None,
            instance_count=self._count,
            kind=self.kind,
            name=self.name,
            nodes=tuple(sorted(self._nodes)) or None,
            tags=tuple(sorted(self._tags)) or None,
            transparent_proxy=bool(self.transparent_proxies and not self._opaque_proxies),
            **more,  # type: ignore[arg-type]
        )


def summarize(instances: Iterable[CheckServiceNode]) -> dict[str, Gathered]:
    """What is found of each service, by its name, in these instances."""
    found: dict[str, Gathered] = {}
    for one in instances:
        service = one.service
        assert service is not None
        _of(found, service.service).add(one)
        if service.kind == "connect-proxy":
            _of(found, service.proxy.destination_service_name).add_proxy(one, service)
    return found


def _of(found: dict[str, Gathered], name: str) -> Gathered:
    there = found.get(name)
    if there is None:
        there = found[name] = Gathered(name)
    return there


def listed(gathered: Gathered) -> ServiceSummary:
    """A service as the list of all shows it."""
    return gathered.summary(ServiceListing, connected_with_proxy=gathered.has_proxy)
