"""
Defaults < files (HCL and JSON) < flags, to one frozen L{Configuration} (layer 6).

C{agent_flags} reads the command line, L{load} does the rest::

    configuration = load(agent_flags(["-server", "-data-dir=/var/lib/consul", "-config-dir=/etc/consul.d"]))
    configuration.http_addresses, configuration.warnings
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import msgspec

from txconsul.agent.configuration.addresses import Address
from txconsul.agent.configuration.build import build
from txconsul.agent.configuration.errors import ConfigurationError
from txconsul.agent.configuration.flags import AGENT_FLAGS, AgentFlags, agent_flags
from txconsul.agent.configuration.model import Configuration
from txconsul.agent.configuration.sources import collect
from txconsul.agent.configuration.starting import validate_for_start
from txconsul.agent.configuration.surroundings import Surroundings
from txconsul.agent.configuration.validation import validate

__all__ = [
    "AGENT_FLAGS",
    "Address",
    "AgentFlags",
    "Configuration",
    "ConfigurationError",
    "Surroundings",
    "agent_flags",
    "load",
]


def load(
    flags: AgentFlags,
    *,
    surroundings: Surroundings | None = None,
    defaults: Mapping[str, Any] | None = None,
    for_start: bool = False,
) -> Configuration:
    """
    Read, merge, resolve and check a configuration.

    @param surroundings: host name, interfaces and limits; those of this machine by default.
    @param defaults: keys and values as in a file, weaker than any file or flag.
    @param for_start: check too what only a starting agent refuses, such as a log level that there is not.
    @raise ConfigurationError: it cannot be used. The text names the key and what set it.
    """
    surroundings = surroundings or Surroundings()
    collected = collect(flags, defaults or {})
    configuration, values = build(collected, flags.dev, surroundings)
    validate(configuration, values, surroundings)
    if for_start:
        validate_for_start(configuration)
    return msgspec.structs.replace(configuration, warnings=tuple(values.warnings))
