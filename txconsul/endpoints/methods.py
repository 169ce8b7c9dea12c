"""
All methods together: importing this declares every endpoint.
"""

from __future__ import annotations

from txconsul.endpoints import (
    agent,
    agent_pools,
    agent_services,
    autopilot,
    catalog,
    coordinate,
    event,
    keyring,
    kv,
    mesh,
    metadata,
    operator,
    prepared_query,
    query_execution,
    reverse,
    session,
    snapshot,
    status,
    txn,
    ui,
)
from txconsul.endpoints.registry import METHODS

__all__ = ["METHODS"]

_DECLARED = (
    agent,
    agent_pools,
    agent_services,
    autopilot,
    catalog,
    coordinate,
    event,
    keyring,
    kv,
    mesh,
    metadata,
    operator,
    prepared_query,
    query_execution,
    reverse,
    session,
    snapshot,
    status,
    txn,
    ui,
)
