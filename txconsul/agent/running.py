"""
From flags to an agent that can be started: what C{txconsul agent} and C{twist txconsul} share.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from typing import Any

from twisted.internet.error import CannotListenError
from twisted.logger import Logger
from twisted.python.failure import Failure

from txconsul.agent.agent import Agent
from txconsul.agent.configuration import Configuration, load
from txconsul.agent.configuration.flags import AgentFlags
from txconsul.agent.last_seen import check_last_seen
from txconsul.agent.outside import this_process
from txconsul.agent.process import stop_once
from txconsul.agent.stores import on_disk, volatile
from txconsul.agent.supported import check
from txconsul.errors import TxconsulError
from txconsul.net.direct import DirectNetwork

__all__ = ["assemble", "configured"]

_log = Logger("txconsul.agent")


def configured(flags: AgentFlags) -> Configuration:
    """
    The configuration that the flags ask for, of an agent that this release can run.

    @raise ConfigurationError: it is not usable; the text says which key, where, and why.
    """
    return check(load(flags, for_start=True))


def assemble(
    configuration: Configuration,
    reactor: Any,
    stop: Callable[[], object],
    reread: Callable[[], Configuration] | None = None,
    change_log_level: Callable[[str], object] | None = None,
) -> Agent:
    """
    Put an agent together on this machine.

    @param stop: ends the process as failed; called at most once.
    @param reread: reads the configuration again, for a reload; it may raise L{TxconsulError}.
    @param change_log_level: logs from another level on, for a reload.
    @raise TxconsulError: the data directory cannot be used, or is too old.
    @raise OSError: likewise, in the system's words.
    """
    outside = this_process()
    check_last_seen(configuration, outside.now_utc())
    if configuration.data_dir:
        stores = on_disk(configuration.data_dir, reactor, configuration.node_id)
    else:
        stores = volatile(reactor, configuration.node_id or outside.new_id())

    def failed(reason: Failure) -> None:
        if isinstance(reason.value, TxconsulError | OSError | CannotListenError):
            _log.critical("The agent cannot go on: {error}", error=reason.getErrorMessage())
        else:
            _log.failure("The agent cannot go on", failure=reason)
        stop()

    def ended() -> None:
        stop_once(reactor)

    return Agent(configuration, stores, DirectNetwork(reactor), outside, failed, reread, change_log_level, ended)


def default_data_dir() -> str:
    """Where C{twist txconsul} keeps its data unless told otherwise."""
    return os.path.join(os.curdir, "txconsul-data")
