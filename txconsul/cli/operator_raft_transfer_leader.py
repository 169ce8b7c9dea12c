"""C{txconsul operator raft transfer-leader}."""

from __future__ import annotations

from txconsul.cli.api import ApiError
from txconsul.cli.call import Call, Failed, command
from txconsul.cli.settings import CLIENT_FLAGS, SERVER_FLAGS
from txconsul.language.goflags import STRING, Flag

__all__ = ["FLAGS", "HELP", "run"]

HELP = """
Usage: txconsul operator raft transfer-leader [options]

  Has another server lead: the one with the given ID, or whoever is up to date.
  Writes wait for a moment, and none is lost.
"""

FLAGS = (Flag("id", STRING, "The ID of the server that is to lead."), *CLIENT_FLAGS, *SERVER_FLAGS)

_FAILED = "Error transfering leadership: Failed to transfer leadership"


@command(FLAGS)
def run(call: Call) -> None:
    """Transfer it."""
    client = call.client("Error initializing client: ")
    id = call.flags["id"]
    try:
        answer = client.call("POST", "/v1/operator/raft/transfer-leader", {"id": id} if id else {}).fields()
    except ApiError as error:
        raise Failed(f"{_FAILED} {error}") from None
    if not answer.get("Success"):
        raise Failed(_FAILED)
    call.say("Success")
