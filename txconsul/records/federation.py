"""
How other datacenters are reached through their mesh gateways.

Source: Consul's documentation of WAN federation; the wire documents' FederationState.
"""

from __future__ import annotations

from txconsul.records.base import Record, Time, Uint
from txconsul.records.catalog import CheckServiceNode
from txconsul.records.raft import NO_TIME

__all__ = ["FederationState", "FederationStateRequest"]


class FederationState(Record, frozen=True):
    """
    One datacenter.

    @ivar primary_modify_index: its index in the primary datacenter, from which it is copied.
    """

    create_index: Uint = 0
    datacenter: str = ""
    mesh_gateways: tuple[CheckServiceNode, ...] | None = None
    modify_index: Uint = 0
    primary_modify_index: Uint = 0
    updated_at: Time = NO_TIME


class FederationStateRequest(Record, frozen=True):
    """C{upsert} or C{delete} one. In a snapshot each stands as an upsert."""

    datacenter: str = ""
    op: str = ""
    state: FederationState | None = None
    token: str = ""
