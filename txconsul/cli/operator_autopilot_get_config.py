"""C{txconsul operator autopilot get-config}."""

from __future__ import annotations

from txconsul.cli.api import ApiError, Client, Params
from txconsul.cli.call import Call, Failed, command
from txconsul.cli.gotext import go_quoted
from txconsul.cli.settings import CLIENT_FLAGS, SERVER_FLAGS

__all__ = ["FLAGS", "HELP", "PATH", "fetch", "run"]

HELP = """
Usage: txconsul operator autopilot get-config [options]

  Shows how the leader is to look after the servers.
"""

FLAGS = CLIENT_FLAGS + SERVER_FLAGS

PATH = "/v1/operator/autopilot/configuration"
_SHOWN = (
    "CleanupDeadServers",
    "LastContactThreshold",
    "MaxTrailingLogs",
    "MinQuorum",
    "ServerStabilizationTime",
    "RedundancyZoneTag",
    "DisableUpgradeMigration",
    "UpgradeVersionTag",
)
#: Texts that may be empty stand in quotes.
_QUOTED = frozenset({"RedundancyZoneTag", "UpgradeVersionTag"})


def fetch(client: Client, params: Params) -> dict[str, object]:
    """
    The settings as the API gives them.

    @raise Failed: it does not.
    """
    try:
        return client.call("GET", PATH, params).fields()
    except ApiError as error:
        raise Failed(f"Error querying Autopilot configuration: {error}") from None


@command(FLAGS)
def run(call: Call) -> None:
    """Show the settings."""
    config = fetch(call.client("Error initializing client: "), {"stale": ""} if call.flags["stale"] else {})
    for name in _SHOWN:
        value = config.get(name, "")
        if name in _QUOTED:
            value = go_quoted(str(value))
        call.say(f"{name} = {str(value).lower() if isinstance(value, bool) else value}")
