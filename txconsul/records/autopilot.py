"""
How the group of servers looks after itself, and the little facts that the leader keeps.

Source: Consul's documentation of Autopilot; the wire documents' AutopilotConfig and SystemMetadataEntry.
"""

from __future__ import annotations

from typing import Annotated

from txconsul.records.base import OMIT_JSON, Duration, DurationText, Record, Uint

__all__ = [
    "DEFAULT_AUTOPILOT",
    "AutopilotConfig",
    "AutopilotConfiguration",
    "AutopilotSetConfigRequest",
    "SystemMetadataEntry",
    "SystemMetadataRequest",
]


class AutopilotConfig(Record, frozen=True):
    """The operator's settings; durations in ns."""

    cleanup_dead_servers: bool = False
    create_index: Uint = 0
    disable_upgrade_migration: bool = False
    last_contact_threshold: Duration = 0
    max_trailing_logs: Uint = 0
    min_quorum: Uint = 0
    modify_index: Uint = 0
    redundancy_zone_tag: str = ""
    server_stabilization_time: Duration = 0
    upgrade_version_tag: str = ""


#: What a group begins with where the configuration says nothing.
DEFAULT_AUTOPILOT = AutopilotConfig(
    cleanup_dead_servers=True,
    last_contact_threshold=200_000_000,
    max_trailing_logs=250,
    server_stabilization_time=10_000_000_000,
)


class AutopilotConfiguration(Record, frozen=True):
    """The settings as the HTTP API shows and takes them; those that are not given are Consul's defaults."""

    cleanup_dead_servers: bool = True
    last_contact_threshold: DurationText = DEFAULT_AUTOPILOT.last_contact_threshold
    max_trailing_logs: Uint = DEFAULT_AUTOPILOT.max_trailing_logs
    min_quorum: Uint = 0
    server_stabilization_time: DurationText = DEFAULT_AUTOPILOT.server_stabilization_time
    redundancy_zone_tag: str = ""
    disable_upgrade_migration: bool = False
    upgrade_version_tag: str = ""
    create_index: Uint = 0
    modify_index: Uint = 0


class AutopilotSetConfigRequest(Record, frozen=True):
    """
    @ivar cas: write only if C{config.modify_index} is that of the present settings.
    """

    cas: bool = False
    config: AutopilotConfig = AutopilotConfig()
    datacenter: str = ""
    token: str = ""


class SystemMetadataEntry(Record, frozen=True):
    """One fact."""

    create_index: Uint = 0
    key: str = ""
    modify_index: Uint = 0
    value: Annotated[str, OMIT_JSON] = ""


class SystemMetadataRequest(Record, frozen=True):
    """
    @ivar op: C{upsert} or C{delete}.
    """

    datacenter: str = ""
    entry: SystemMetadataEntry | None = None
    op: str = ""
    token: str = ""
