"""C{txconsul info}: an agent's counters and states."""

from __future__ import annotations

from typing import Any

from txconsul.cli.api import ApiError
from txconsul.cli.call import Call, Failed, command
from txconsul.cli.settings import CLIENT_FLAGS

__all__ = ["FLAGS", "HELP", "run"]

HELP = """
Usage: txconsul info [options]

  Shows what an agent knows of itself: build, Raft, Serf, runtime. Meant for
  people who look for a fault.
"""

FLAGS = CLIENT_FLAGS


@command(FLAGS)
def run(call: Call) -> None:
    """Show the C{Stats} of C{/v1/agent/self}, sorted."""
    client = call.client()
    try:
        answer = client.call("GET", "/v1/agent/self").json()
    except ApiError as error:
        raise Failed(f"Error querying agent: {error}") from None
    stats: Any = answer.get("Stats") if isinstance(answer, dict) else None
    if not isinstance(stats, dict):
        raise Failed("Agent response did not contain 'Stats' key")
    for name, values in sorted(stats.items()):
        call.say(f"{name}:")
        if not isinstance(values, dict):
            raise Failed(f"Got invalid subkey in stats: {values}")
        for key, value in sorted(values.items()):
            call.say(f"\t{key} = {value}")
