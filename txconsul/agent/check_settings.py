"""
What checks are run with, from the agent's configuration and this machine.
"""

from __future__ import annotations

import os

from txconsul.agent.checks.dialing import CheckTLS
from txconsul.agent.checks.kinds import Surroundings
from txconsul.agent.checks.programs import starter
from txconsul.agent.configuration.model import Configuration
from txconsul.agent.running_checks import Limits
from txconsul.interfaces import INetwork
from txconsul.net.tls_client import ANONYMOUS, Identity, identity

__all__ = ["check_identity", "check_limits", "check_surroundings"]


def check_identity(configuration: Configuration) -> tuple[Identity, str]:
    """
    As whom checks call, and the name they expect where they name none.

    @raise TLSUnusable: a file cannot be used.
    """
    it = configuration
    if not it.enable_agent_tls_for_checks:
        return ANONYMOUS, ""
    own = it.tls.internal_rpc
    shown = identity(own.cert_file, own.key_file, own.ca_file, own.ca_path)
    return shown, it.server_name or it.node_name


def check_surroundings(configuration: Configuration, network: INetwork) -> Surroundings:
    """
    What checks reach.

    @raise TLSUnusable: a file cannot be used.
    """
    return Surroundings(network, CheckTLS(*check_identity(configuration)), starter(network.clock), dict(os.environ))


def check_limits(configuration: Configuration) -> Limits:
    """What checks may do."""
    return Limits(
        output_size_max=configuration.check_output_max_size,
        scripts_remote=configuration.enable_script_checks,
        scripts_local=configuration.enable_local_script_checks,
    )
