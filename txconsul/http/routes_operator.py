"""
C{/v1/status/} and C{/v1/operator/}: who leads, who belongs to the group.

Source: Consul's documentation of the status and operator HTTP APIs.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from txconsul.http.parameters import Target, read_options
from txconsul.http.routes import IGNORED, Route, datacenter, reads
from txconsul.records.queries import DCSpecificRequest

if TYPE_CHECKING:
    from txconsul.http.api import API

__all__ = ["ROUTES"]


def _of_dc(api: API, target: Target, rest: bytes) -> DCSpecificRequest:
    options = read_options(target, api.settings.read_defaults)
    return DCSpecificRequest(datacenter=datacenter(api, target), options=options)


ROUTES = [
    Route(b"/v1/status/leader", {"GET": reads("Status.Leader", _of_dc, tenancy=IGNORED)}),
    Route(b"/v1/status/peers", {"GET": reads("Status.Peers", _of_dc, tenancy=IGNORED)}),
    Route(
        b"/v1/operator/raft/configuration",
        {"GET": reads("Operator.RaftGetConfiguration", _of_dc, tenancy=IGNORED)},
    ),
]
