"""
SystemMetadata: facts about the group that the leader writes for every replica to heed.
"""

from __future__ import annotations

from txconsul.endpoints.authorizing import Authorizer
from txconsul.endpoints.leading import Leading
from txconsul.endpoints.registry import write
from txconsul.records.autopilot import SystemMetadataRequest
from txconsul.records.command import Command
from txconsul.state.store import Store

__all__: list[str] = []


@write("SystemMetadata.Apply", SystemMetadataRequest, Command.SYSTEM_METADATA)
def apply(
    store: Store, request: SystemMetadataRequest, authorizer: Authorizer, leading: Leading
) -> SystemMetadataRequest:
    """Set a fact, or forget one; only the leader itself asks this."""
    return request
