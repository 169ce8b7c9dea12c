"""C{txconsul operator autopilot set-config}."""

from __future__ import annotations

import json

from txconsul.cli.api import ApiError
from txconsul.cli.call import Call, Failed, command
from txconsul.cli.operator_autopilot_get_config import PATH, fetch
from txconsul.cli.settings import CLIENT_FLAGS, SERVER_FLAGS
from txconsul.codec.duration import format_duration
from txconsul.language.goflags import (
    OPTIONAL_BOOL,
    OPTIONAL_DURATION,
    OPTIONAL_STRING,
    OPTIONAL_UINT,
    Flag,
)

__all__ = ["FLAGS", "HELP", "run"]

HELP = """
Usage: txconsul operator autopilot set-config [options]

  Changes how the leader is to look after the servers. What no flag names stays
  as it is. Nothing is changed if somebody else changes it at the same time.
"""

FLAGS = (
    Flag("cleanup-dead-servers", OPTIONAL_BOOL, "Remove servers that are gone from the group."),
    Flag("max-trailing-logs", OPTIONAL_UINT, "How many entries a server may be behind the leader and be well."),
    Flag("min-quorum", OPTIONAL_UINT, "How many voters are kept, however many are gone."),
    Flag(
        "last-contact-threshold", OPTIONAL_DURATION, "For how long a server may hear nothing of the leader and be well."
    ),
    Flag("server-stabilization-time", OPTIONAL_DURATION, "How long a server must be well to become a voter."),
    Flag("redundancy-zone-tag", OPTIONAL_STRING, "Kept, and without effect: Consul Enterprise's."),
    Flag("disable-upgrade-migration", OPTIONAL_BOOL, "Kept, and without effect: Consul Enterprise's."),
    Flag("upgrade-version-tag", OPTIONAL_STRING, "Kept, and without effect: Consul Enterprise's."),
    *CLIENT_FLAGS,
    *SERVER_FLAGS,
)

_FIELDS = {
    "cleanup-dead-servers": "CleanupDeadServers",
    "max-trailing-logs": "MaxTrailingLogs",
    "min-quorum": "MinQuorum",
    "last-contact-threshold": "LastContactThreshold",
    "server-stabilization-time": "ServerStabilizationTime",
    "redundancy-zone-tag": "RedundancyZoneTag",
    "disable-upgrade-migration": "DisableUpgradeMigration",
    "upgrade-version-tag": "UpgradeVersionTag",
}
_DURATIONS = frozenset({"last-contact-threshold", "server-stabilization-time"})


@command(FLAGS)
def run(call: Call) -> int:
    """Change the settings that flags name."""
    client = call.client("Error initializing client: ")
    config = fetch(client, {})
    for flag, name in _FIELDS.items():
        value = call.flags[flag]
        if value is not None:
            config[name] = format_duration(value) if flag in _DURATIONS else value
    params = {"cas": str(config.get("ModifyIndex", 0))}
    try:
        done = client.call("PUT", PATH, params, body=json.dumps(config).encode()).read().strip()
    except ApiError as error:
        raise Failed(f"Error setting Autopilot configuration: {error}") from None
    if done == b"true":
        call.say("Configuration updated!")
        return 0
    call.say("Configuration could not be atomically updated, please try again")
    return 1
