"""C{txconsul services deregister}."""

from __future__ import annotations

from txconsul.cli.api import ApiError
from txconsul.cli.call import Call, Failed, command
from txconsul.cli.gotext import go_quoted
from txconsul.cli.settings import HTTP_FLAGS
from txconsul.language.goflags import STRING, Flag

__all__ = ["FLAGS", "HELP", "run"]

HELP = """
Usage: txconsul services deregister [options] [FILE...]

  Takes services back that were registered with the agent that is asked: those
  that configuration files define, or one by its ID.

      $ txconsul services deregister web.json db.json
      $ txconsul services deregister -id=web
"""

FLAGS = (Flag("id", STRING, "ID of the service, instead of files."), *HTTP_FLAGS)


@command(FLAGS)
def run(call: Call) -> None:
    """Deregister one service or several."""
    id = call.flags["id"]
    if not call.rest and not id:
        raise Failed("Service deregistration requires at least one argument or -id.")
    if call.rest and id:
        raise Failed("Service deregistration requires arguments or -id, not both.")
    services = _defined(call) if call.rest else [(id, "")]
    client = call.client()
    for one, name in services:
        try:
            client.call("PUT", f"/v1/agent/service/deregister/{one}")
        except ApiError as error:
            raise Failed(f"Error deregistering service {go_quoted(name)}: {error}") from None
        call.say(f"Deregistered service: {one}")


def _defined(call: Call) -> list[tuple[str, str]]:
    """IDs and names of the services in the files."""
    from txconsul.cli.service_files import services_of_files

    return [(one.id or one.name, one.name) for one in services_of_files(call) if one.id or one.name]
