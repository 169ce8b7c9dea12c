"""
Instances of services as JSON, kept as long as they are asked for: who shows the same instances in another order each
time need not render them each time.
"""

from __future__ import annotations

from collections.abc import Iterable

from txconsul.codec import json
from txconsul.records.catalog import CheckServiceNode

__all__ = ["INSTANCES_KEPT", "RenderedInstances"]

#: Instances kept; the oldest go. Each has about one KB.
INSTANCES_KEPT = 4096


class RenderedInstances:
    """What instances look like, by the very instance: records never change."""

    def __init__(self, instances_kept: int = INSTANCES_KEPT) -> None:
        #: Each instance is kept with its rendering, so that no other one can get its identity meanwhile.
        self._kept: dict[int, tuple[CheckServiceNode, bytes]] = {}
        self._instances_kept = instances_kept

    def __len__(self) -> int:
        return len(self._kept)

    def __call__(self, instances: Iterable[CheckServiceNode]) -> list[bytes]:
        """Instances as JSON, each for itself. Where one has no checks, they are null."""
        find = self._kept.get
        return [found[1] if (found := find(id(one))) is not None else self._render(one) for one in instances]

    def _render(self, instance: CheckServiceNode) -> bytes:
        if len(self._kept) >= self._instances_kept:
            del self._kept[next(iter(self._kept))]
        shown = {"Node": instance.node, "Service": instance.service, "Checks": instance.checks or None}
        data = json.encode(shown)
        self._kept[id(instance)] = (instance, data)
        return data
