"""
C{twist txconsul}: the agent as a Twisted application.

The flags are the agent's own, with one dash or two. What is not said is chosen so that C{--server --dc dc1} is a
working server: it elects itself when nobody to join is named, and keeps its data in C{./txconsul-data}.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import msgspec
from twisted.application.service import IService, MultiService
from twisted.python.usage import UsageError

from txconsul.agent.configuration import Configuration
from txconsul.agent.configuration.flags import AGENT_FLAGS, AgentFlags, agent_flags
from txconsul.agent.process import heed_signals, monotonic, stop_failed
from txconsul.agent.running import assemble, configured, default_data_dir
from txconsul.errors import TxconsulError
from txconsul.language.goflags import FlagError, HelpWanted, defaults_text

__all__ = ["Options", "makeService"]


class Options(dict[str, Any]):
    """
    The agent's flags, as C{twist} wants options: it knows nothing of one dash, so this is no L{usage.Options}.

    @ivar configuration: what they ask for, once they are parsed.
    @ivar reread: reads the files again, for a reload.
    """

    #: What C{twist} asks of every plugin's options.
    parent: Any = None
    subOptions: Any = None
    subCommand: Any = None
    #: Whether they could not be used.
    _refused = False

    def parseOptions(self, options: list[str] | None = None) -> None:
        """
        Read the flags and the files that they name.

        @raise UsageError: they cannot be used; C{twist} ends with status 64.
        """
        try:
            flags = agent_flags(list(options or ()))
            flags = _with_data_dir(flags)
            configuration = configured(flags)
        except HelpWanted:
            print(self.getUsage())
            raise SystemExit(0) from None
        except (FlagError, TxconsulError) as error:
            self._refused = True
            raise UsageError(str(error)) from None
        self.configuration = _leading_alone(configuration)
        self.reread = lambda: _leading_alone(configured(flags))

    def getUsage(self, width: int | None = None) -> str:
        """The list of flags; but C{twist} shows it below an error as well, which must not scroll away."""
        if self._refused:
            return "\nRun 'twist txconsul --help' for the list of options.\n"
        return f"{self.getSynopsis()}\n\n{defaults_text(AGENT_FLAGS)}"

    def getSynopsis(self) -> str:
        """One line."""
        return "Usage: twist [twist options] txconsul [options]"

    def __str__(self) -> str:
        return self.getUsage()


def _with_data_dir(flags: AgentFlags) -> AgentFlags:
    """The flags with a data directory, where nothing says otherwise."""
    if flags.dev or flags.config_files or "data_dir" in flags.values:
        return flags
    return replace(flags, values={**flags.values, "data_dir": default_data_dir()})


def _leading_alone(configuration: Configuration) -> Configuration:
    """The configuration of a server that elects itself, if nobody else is spoken of."""
    it = configuration
    if it.bootstrap_expect or it.retry_join or it.retry_join_wan:
        return it
    return msgspec.structs.replace(it, bootstrap=True)


def makeService(options: Options) -> IService:
    """
    The agent of these options.

    @raise SystemExit: the data directory cannot be used.
    """
    from twisted.internet import reactor

    monotonic(reactor)

    parent = MultiService()
    try:
        agent = assemble(options.configuration, reactor, lambda: stop_failed(reactor), options.reread)
        agent.setServiceParent(parent)
    except (TxconsulError, OSError) as error:
        raise SystemExit(f"txconsul: {error}") from None
    # twist's own handlers would end the process by the signal itself, and a hang-up would kill it.
    reactor.callWhenRunning(heed_signals, reactor, agent.hang_up, agent.leaving.leave_at)  # type: ignore[attr-defined]
    return parent
