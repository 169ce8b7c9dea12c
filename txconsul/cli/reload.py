"""C{txconsul reload}: have an agent read its configuration again."""

from __future__ import annotations

from txconsul.cli.api import ApiError
from txconsul.cli.call import Call, Failed, command
from txconsul.cli.settings import CLIENT_FLAGS

__all__ = ["FLAGS", "HELP", "run"]

HELP = """
Usage: txconsul reload

  Has the agent read its configuration files again, as a hang-up signal does,
  and take up the services and checks that they define now.
"""

FLAGS = CLIENT_FLAGS


@command(FLAGS)
def run(call: Call) -> None:
    """Ask C{/v1/agent/reload}."""
    try:
        call.client().call("PUT", "/v1/agent/reload")
    except ApiError as error:
        raise Failed(f"Error reloading: {error}") from None
    call.say("Configuration reload triggered")
