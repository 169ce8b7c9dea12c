"""
Services as configuration files define them, for commands that register them with a running agent.
"""

from __future__ import annotations

from txconsul.agent.configuration import ConfigurationError, load
from txconsul.agent.configuration.flags import AgentFlags
from txconsul.agent.definitions import from_configuration
from txconsul.cli.call import Call, Failed
from txconsul.records.service import ServiceDefinition

__all__ = ["services_of_files"]


def services_of_files(call: Call) -> list[ServiceDefinition]:
    """
    The services of the files that are the command's arguments; what else is in them is checked and passed over.

    @raise Failed: a file cannot be read, or is no configuration.
    """
    try:
        configuration = load(AgentFlags(dev=True, config_files=tuple(call.rest)))
    except ConfigurationError as error:
        raise Failed(f"Error: {error}") from None
    for warning in configuration.warnings:
        call.complain(warning)
    return [from_configuration(ServiceDefinition, one) for one in configuration.services]
