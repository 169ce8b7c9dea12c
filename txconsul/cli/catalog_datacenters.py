"""C{txconsul catalog datacenters}."""

from __future__ import annotations

from txconsul.cli.api import ApiError
from txconsul.cli.call import Call, Failed, command
from txconsul.cli.catalog import no_arguments
from txconsul.cli.settings import CLIENT_FLAGS, SERVER_FLAGS

__all__ = ["FLAGS", "HELP", "run"]

HELP = """
Usage: txconsul catalog datacenters [options]

  Lists the datacenters that the servers know, the nearest first.
"""

FLAGS = CLIENT_FLAGS + SERVER_FLAGS


@command(FLAGS)
def run(call: Call) -> None:
    """List the datacenters."""
    no_arguments(call)
    client = call.client()
    try:
        found = client.call("GET", "/v1/catalog/datacenters").json()
    except ApiError as error:
        raise Failed(f"Error listing datacenters: {error}") from None
    for name in found if isinstance(found, list) else ():
        call.say(str(name))
