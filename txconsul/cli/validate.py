"""C{txconsul validate}. It asks no agent."""

from __future__ import annotations

from txconsul.cli.call import Call, Failed, command
from txconsul.language.goflags import BOOL, STRING, Flag

__all__ = ["FLAGS", "HELP", "run"]

HELP = """
Usage: txconsul validate [options] FILE_OR_DIRECTORY...

  Reads configuration files, and those in folders, as an agent would when it
  starts, and tells the first mistake. Exit status 0 means that an agent could
  start with them.

  All files of the agent belong together here: a part of a configuration may
  lack what another part has.

      $ txconsul validate /etc/txconsul.d
"""

FLAGS = (
    Flag("config-format", STRING, "Format of all files whatever their extension: 'hcl' or 'json'."),
    Flag("quiet", BOOL, "Say nothing if all is well."),
)


@command(FLAGS, repeats_errors=True)
def run(call: Call) -> None:
    """Check configuration files."""
    if not call.rest:
        raise Failed("Must specify at least one config file or directory")
    form = call.flags["config-format"]
    if form not in ("", "hcl", "json"):
        raise Failed("-config-format must be either 'hcl' or 'json")
    from txconsul.agent.configuration import ConfigurationError, load
    from txconsul.agent.configuration.flags import AgentFlags

    try:
        configuration = load(AgentFlags(config_files=tuple(call.rest), config_format=form))
    except ConfigurationError as error:
        raise Failed(f"Config validation failed: {error}") from None
    if call.flags["quiet"]:
        return
    for warning in configuration.warnings:
        call.complain(warning)
    call.say("Configuration is valid!")
