"""
What this release cannot do yet, and must not pretend to.

A key without effect is told of in a warning. A key by which the user relies on something, protection above all, stops
the start.
"""

from __future__ import annotations

import msgspec

from txconsul.agent.configuration.errors import ConfigurationError
from txconsul.agent.configuration.model import Configuration

__all__ = ["check"]


def check(configuration: Configuration) -> Configuration:
    """
    The same configuration, with a warning for each thing in it that has no effect.

    @raise ConfigurationError: the agent would not be what the configuration asks for.
    """
    it = configuration
    if not it.server:
        raise ConfigurationError("server: client agents are not in this release of txconsul; set 'server = true'")
    if it.acl.enabled:
        raise ConfigurationError(
            "acl.enabled: ACLs are not in this release of txconsul, so that everybody could do everything"
        )
    if it.bootstrap_expect > 1:
        raise ConfigurationError(
            "bootstrap_expect: clusters of several servers are not in this release of txconsul; only 1 is possible"
        )
    told = []
    if it.retry_join or it.retry_join_wan:
        told.append("retry_join has no effect: gossip is not in this release of txconsul")
    if it.encrypt:
        told.append("encrypt has no effect: gossip is not in this release of txconsul")
    if it.services or it.checks:
        told.append("services and checks of the configuration have no effect in this release of txconsul")
    if it.config_entries:
        told.append("config_entries have no effect in this release of txconsul")
    return msgspec.structs.replace(it, warnings=(*it.warnings, *told))
