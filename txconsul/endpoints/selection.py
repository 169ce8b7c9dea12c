"""
Which instances of a service a prepared query wants, by their health, tags and metadata.

Source: Consul's documentation of the prepared query HTTP API.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from txconsul.records.catalog import CheckServiceNode
from txconsul.records.health import CRITICAL, PASSING
from txconsul.records.prepared_query import ServiceQuery

__all__ = ["SELECTIONS_KEPT", "Selections", "select"]

Instances = list[CheckServiceNode]

#: What was selected last, and from what; each costs eight bytes an instance, and the view that it was selected from.
SELECTIONS_KEPT = 256


class Selections:
    """
    What queries wanted of a service, kept as long as the query and the view of the service's health are the very same.
    """

    def __init__(self, selections_kept: int = SELECTIONS_KEPT) -> None:
        self._kept: dict[int, tuple[ServiceQuery, Sequence[CheckServiceNode], Instances]] = {}
        self._selections_kept = selections_kept

    def __len__(self) -> int:
        return len(self._kept)

    def select(self, service: ServiceQuery, instances: Sequence[CheckServiceNode]) -> Instances:
        """Those of some instances that a query wants: a list of the caller's own, in their order."""
        kept = self._kept.get(id(service))
        if kept is None or kept[0] is not service or kept[1] is not instances:
            if kept is None and len(self._kept) >= self._selections_kept:
                del self._kept[next(iter(self._kept))]
            # both are kept, so that nothing else can get their identities meanwhile
            kept = self._kept[id(service)] = (service, instances, select(service, instances))
        return kept[2][:]


def select(service: ServiceQuery, instances: Iterable[CheckServiceNode]) -> Instances:
    """Those of some instances that a query wants, in their order."""
    found = [*instances]
    if not service.include_all:
        found = [one for one in found if not _is_unfit(one, service.only_passing, service.ignore_check_ids or ())]
    if service.node_meta:
        wanted = service.node_meta.items()
        found = [one for one in found if one.node is not None and wanted <= (one.node.meta or {}).items()]
    if service.service_meta:
        wanted = service.service_meta.items()
        found = [one for one in found if one.service is not None and wanted <= (one.service.meta or {}).items()]
    if service.tags:
        tags = [tag.lower() for tag in service.tags]
        unwanted = {tag[1:] for tag in tags if tag.startswith("!")}
        needed = {tag for tag in tags if not tag.startswith("!")}
        found = [one for one in found if needed <= (own := _tags(one)) and not unwanted & own]
    return found


def _is_unfit(instance: CheckServiceNode, only_passing: bool, ignored: tuple[str, ...]) -> bool:
    for check in instance.checks or ():
        status = check.status
        if (status != PASSING if only_passing else status == CRITICAL) and check.check_id not in ignored:
            return True
    return False


def _tags(instance: CheckServiceNode) -> set[str]:
    return {tag.lower() for tag in (instance.service.tags or ())} if instance.service is not None else set()
