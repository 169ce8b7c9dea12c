"""
What a server is told to be, from the configuration.
"""

from __future__ import annotations

from txconsul.agent.configuration.model import Configuration
from txconsul.agent.reloading import snapshot_policy
from txconsul.agent.server import ServerSettings
from txconsul.codec.duration import SECOND
from txconsul.raft.timing import Timing
from txconsul.records.autopilot import AutopilotConfig
from txconsul.records.catalog import RegisterRequest

__all__ = ["server_settings"]

#: The shortest time to live of a session where the configuration names none, in ns.
SESSION_TTL_MIN = 10 * SECOND


def server_settings(configuration: Configuration, node_id: str, registration: RegisterRequest) -> ServerSettings:
    """@param registration: what the catalog is to say of the server."""
    it = configuration
    return ServerSettings(
        id=node_id,
        name=it.node_name,
        datacenter=it.datacenter,
        address=str(it.rpc_advertise),
        bootstrap=it.bootstrap or it.bootstrap_expect == 1 or it.dev_mode,
        registration=registration,
        timing=Timing.multiplied(it.performance.raft_multiplier),
        policy=snapshot_policy(it),
        session_ttl_min=int(it.session_ttl_min * SECOND) or SESSION_TTL_MIN,
        any_key=it.disable_kv_key_validation,
        default_query_time=it.default_query_time,
        max_query_time=it.max_query_time,
        hold_timeout=it.performance.rpc_hold_timeout,
        autopilot=_autopilot(it),
        coordinates=not it.disable_coordinates,
        coordinate_period=it.coordinate_update_period,
    )


def _autopilot(configuration: Configuration) -> AutopilotConfig:
    """What a new group begins with."""
    it, raw = configuration.autopilot, configuration.raw
    return AutopilotConfig(
        cleanup_dead_servers=it.cleanup_dead_servers,
        last_contact_threshold=round(it.last_contact_threshold * SECOND),
        max_trailing_logs=it.max_trailing_logs,
        min_quorum=it.min_quorum,
        server_stabilization_time=round(it.server_stabilization_time * SECOND),
        redundancy_zone_tag=raw.get("autopilot.redundancy_zone_tag", ""),
        disable_upgrade_migration=raw.get("autopilot.disable_upgrade_migration", False),
        upgrade_version_tag=raw.get("autopilot.upgrade_version_tag", ""),
    )
