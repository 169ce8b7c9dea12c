"""
The whole table of routes: the HTTP API at one glance.
"""

from __future__ import annotations

from txconsul.http import (
    routes_agent,
    routes_agent_pools,
    routes_agent_services,
    routes_catalog,
    routes_coordinate,
    routes_event,
    routes_keyring,
    routes_kv,
    routes_operator,
    routes_query,
    routes_session,
    routes_snapshot,
    routes_txn,
    routes_ui,
    routes_unserved,
)

__all__ = ["ROUTES"]

ROUTES = [
    *routes_kv.ROUTES,
    *routes_session.ROUTES,
    *routes_txn.ROUTES,
    *routes_catalog.ROUTES,
    *routes_coordinate.ROUTES,
    *routes_event.ROUTES,
    *routes_agent.ROUTES,
    *routes_agent_pools.ROUTES,
    *routes_agent_services.ROUTES,
    *routes_operator.ROUTES,
    *routes_keyring.ROUTES,
    *routes_query.ROUTES,
    *routes_snapshot.ROUTES,
    *routes_ui.ROUTES,
    *routes_unserved.ROUTES,
]
