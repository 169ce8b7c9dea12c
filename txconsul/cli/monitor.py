"""C{txconsul monitor}: an agent's log, as it is written."""

from __future__ import annotations

from txconsul.cli.api import Answer, ApiError
from txconsul.cli.call import Call, Failed, command
from txconsul.cli.interrupting import Interrupted, interruptible
from txconsul.cli.settings import CLIENT_FLAGS
from txconsul.language.goflags import BOOL, STRING, Flag

__all__ = ["FLAGS", "HELP", "run"]

HELP = """
Usage: txconsul monitor [options]

  Shows what the agent logs from now on, until a signal. The level is this
  command's own: it may be finer than that of the agent's own log.

      $ txconsul monitor -log-level=debug
"""

FLAGS = (
    Flag("log-level", STRING, "The level, and all above it: trace, debug, info, warn or error.", default="INFO"),
    Flag("log-json", BOOL, "Show each message as JSON."),
    *CLIENT_FLAGS,
)

_ENDED = "\nRemote side ended the monitor! This usually means that the\nremote side has exited or crashed."


@command(FLAGS)
def run(call: Call) -> int:
    """Show the log until a signal, or until the agent ends."""
    client = call.client()
    as_json = call.flags["log-json"]
    params = {"loglevel": call.flags["log-level"]} if call.flags["log-level"] else {}
    if as_json:
        params["logjson"] = "true"
    with interruptible():
        try:
            _show(call, client.call("GET", "/v1/agent/monitor", params))
        except Interrupted:
            return 0
        except ApiError as error:
            raise Failed(f"Error starting {'JSON ' if as_json else ''}monitor: {error}") from None
        call.say(_ENDED)
        return 1


def _show(call: Call, answer: Answer) -> None:
    """Line by line, so that no line is shown in halves."""
    rest = b""
    try:
        for piece in answer.pieces():
            lines, newline, rest = (rest + piece).rpartition(b"\n")
            if newline:
                call.say(lines)
    except ApiError:
        pass  # however it ended, it ended
    if rest:
        call.say(rest)
