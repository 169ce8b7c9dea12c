"""
The program C{txconsul}: what setup.cfg's entry point calls.

Nothing of Twisted is imported here; only the command C{agent} needs it.
"""

from __future__ import annotations

import os
import sys
from typing import TYPE_CHECKING

from txconsul.cli.call import standard_streams
from txconsul.cli.dispatch import dispatch

if TYPE_CHECKING:
    from txconsul.cli.api import Client
    from txconsul.cli.settings import Settings

__all__ = ["run"]

#: Exit statuses of a program that a signal ended, as shells count them.
_INTERRUPTED = 128 + 2
_PIPE_CLOSED = 128 + 13


def run() -> int:
    """Run the command that the process's arguments name, and return its exit status."""
    stdin, stdout, stderr = standard_streams()
    try:
        status = dispatch(sys.argv[1:], os.environ, stdin, stdout, stderr, _connect)
        stdout.flush()
    except BrokenPipeError:
        # nobody reads any more (such as head): end quietly, and keep the interpreter from flushing again
        os.dup2(os.open(os.devnull, os.O_WRONLY), stdout.fileno())
        return _PIPE_CLOSED
    except KeyboardInterrupt:
        return _INTERRUPTED
    return status


def _connect(settings: Settings) -> Client:
    from txconsul.cli.sockets import connect

    return connect(settings)


if __name__ == "__main__":
    sys.exit(run())
