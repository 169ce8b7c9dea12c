"""
How much is registered: counts of nodes, services and their instances.

Source: Consul's documentation of C{/v1/operator/usage}.
"""

from __future__ import annotations

from collections import Counter

from txconsul.records.service import NodeService

__all__ = ["BILLABLE", "MESH", "Usage"]

_NATIVE = "connect-native"
#: What an instance may be to the mesh; a proxy or gateway is what its kind says.
MESH = ("api-gateway", _NATIVE, "connect-proxy", "ingress-gateway", "mesh-gateway", "terminating-gateway")
#: An instance of a service that does something of its own.
BILLABLE = "billable"
#: The servers' own service, which is nobody's.
_CONSUL = "consul"


class Usage:
    """
    Follows the table of services, so that nothing has to be walked through.

    @ivar counts: how many instances are what of L{MESH}, and how many are L{BILLABLE}.
    """

    def __init__(self) -> None:
        self.counts: Counter[str] = Counter()

    def move(self, key: object, before: NodeService | None, after: NodeService | None) -> None:
        """An instance changed."""
        if before is not None:
            self.counts.subtract(_classes(before))
        if after is not None:
            self.counts.update(_classes(after))


def _classes(service: NodeService) -> list[str]:
    found = [service.kind] if service.kind else []
    if service.connect.native:
        found.append(_NATIVE)
    if not service.kind and service.service != _CONSUL:
        found.append(BILLABLE)
    return found
