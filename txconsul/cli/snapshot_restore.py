"""C{txconsul snapshot restore}."""

from __future__ import annotations

import os
import stat
from collections.abc import Iterator
from typing import BinaryIO

from txconsul.cli.api import ApiError
from txconsul.cli.call import Call, Failed, command
from txconsul.cli.gotext import file_error
from txconsul.cli.settings import CLIENT_FLAGS, SERVER_FLAGS

__all__ = ["FLAGS", "HELP", "run"]

HELP = """
Usage: txconsul snapshot restore [options] FILE

  Puts a snapshot in the place of the servers' state. What has been written
  since the snapshot is lost; sessions and locks are those of its moment.

  It is meant for servers that start anew after a disaster. No server should
  fail while it runs. Where ACLs are enabled the token needs management rights.

      $ txconsul snapshot restore monday.snap
"""

FLAGS = CLIENT_FLAGS + SERVER_FLAGS

#: Bytes to send at once.
_CHUNK_BYTES = 1 << 18


@command(FLAGS)
def run(call: Call) -> None:
    """Send a snapshot file to the agent."""
    if not call.rest:
        raise Failed("Missing FILE argument")
    if len(call.rest) > 1:
        raise Failed(f"Too many arguments (expected 1, got {len(call.rest)})")
    client = call.client()
    name = call.rest[0]
    try:
        with open(os.fsencode(name), "rb") as file:
            headers = {"Content-Type": "application/octet-stream"}
            status = os.fstat(file.fileno())
            if stat.S_ISREG(status.st_mode):  # a pipe is sent in chunks instead
                headers["Content-Length"] = str(status.st_size)
            client.call("PUT", "/v1/snapshot", body=_pieces(file), headers=headers).read()
    except OSError as error:
        raise Failed(f"Error opening snapshot file: {file_error(error, name)}") from None
    except ApiError as error:
        raise Failed(f"Error restoring snapshot: {error}") from None
    call.say("Restored snapshot")


def _pieces(file: BinaryIO) -> Iterator[bytes]:
    while piece := file.read(_CHUNK_BYTES):
        yield piece
