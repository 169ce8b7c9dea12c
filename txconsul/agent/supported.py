"""
What this release cannot do yet, and must not pretend to.

A key without effect is told of in a warning. A key by which the user relies on something, protection above all, stops
the start.
"""

from __future__ import annotations

import msgspec

from txconsul.agent.configuration.effects import set_without_effect
from txconsul.agent.configuration.errors import ConfigurationError
from txconsul.agent.configuration.model import Configuration

__all__ = ["check"]


def check(configuration: Configuration) -> Configuration:
    """
    The same configuration, with a warning that names what in it has no effect.

    @raise ConfigurationError: the agent would not be what the configuration asks for.
    """
    it = configuration
    if it.acl.enabled:
        raise ConfigurationError(
            "acl.enabled: ACLs are not in this release of txconsul, so that everybody could do everything"
        )
    rpc = it.tls.internal_rpc
    if rpc.verify_incoming or rpc.verify_outgoing or rpc.verify_server_hostname:
        raise ConfigurationError(
            "tls.internal_rpc (or tls.defaults): TLS between agents is not in this release of txconsul, so that RPC "
            "and Raft would be in clear and open to everybody; what is for HTTPS alone belongs in tls.https"
        )
    told = []
    idle = set_without_effect(it.origins, it.raw)
    if idle:
        told.append(f"without effect in this release of txconsul: {', '.join(idle)}")
    return msgspec.structs.replace(it, warnings=(*it.warnings, *told))
