"""
C{txconsul agent}: run an agent in this process, until a signal.

Source: Consul's "Agent CLI reference".
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import BinaryIO

from txconsul.agent.configuration.flags import AGENT_FLAGS, agent_flags
from txconsul.cli.call import Connect, write_line
from txconsul.cli.gotext import to_bytes
from txconsul.errors import TxconsulError
from txconsul.language.goflags import FlagError, HelpWanted, defaults_text

__all__ = ["FLAGS", "HELP", "run"]

HELP = """
Usage: txconsul agent [options]

  Runs an agent until it is told to stop by an interrupt or a termination
  signal. A server keeps its state in its data directory.

      $ txconsul agent -server -bootstrap-expect=1 -data-dir=/var/lib/txconsul
"""

FLAGS = AGENT_FLAGS


def run(
    arguments: list[str],
    environment: Mapping[str, str],
    stdin: BinaryIO,
    stdout: BinaryIO,
    stderr: BinaryIO,
    connect: Connect,
) -> int:
    """Run the agent; 0 after a clean stop, 1 if it could not start or had to stop."""
    try:
        flags = agent_flags(arguments)
    except (FlagError, HelpWanted) as error:
        if isinstance(error, FlagError):
            write_line(stderr, str(error))
        stderr.write(to_bytes(defaults_text(FLAGS)))
        return 1
    from txconsul.agent.running import assemble, configured

    try:
        configuration = configured(flags)
    except TxconsulError as error:
        write_line(stderr, f"==> {error}")
        return 1

    from twisted.internet import reactor

    from txconsul.agent.logs import begin, open_file
    from txconsul.agent.process import heed_signals, monotonic, stop_once

    monotonic(reactor)
    log = configuration.log
    file = None
    if log.file:
        file = open_file(
            log.file,
            rotate_bytes=log.rotate_bytes,
            rotate_files=log.rotate_max_files,
            rotate_seconds=log.rotate_duration,
        )
    change_log_level = begin(log.level, log.json, file)
    status = [0]

    def stop_failed() -> None:
        status[0] = 1
        stop_once(reactor)

    try:
        agent = assemble(configuration, reactor, stop_failed, lambda: configured(flags), change_log_level)
    except (TxconsulError, OSError) as error:
        write_line(stderr, f"==> {error}")
        return 1
    reactor.callWhenRunning(agent.startService)  # type: ignore[attr-defined]
    reactor.callWhenRunning(heed_signals, reactor, agent.hang_up, agent.leaving.leave_at)  # type: ignore[attr-defined]
    reactor.addSystemEventTrigger("before", "shutdown", agent.stopService)  # type: ignore[attr-defined]
    reactor.run()  # type: ignore[attr-defined]
    return status[0]
