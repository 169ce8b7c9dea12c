"""
What an agent does now, in numbers, for C{/v1/agent/self} and C{txconsul info}.

Source: Consul's documentation of C{consul info}.
"""

from __future__ import annotations

import os
import platform
import threading

from txconsul import CONSUL_VERSION, __version__
from txconsul.agent.configuration.model import Configuration
from txconsul.agent.local import LocalState
from txconsul.agent.pools import Pools
from txconsul.agent.running_checks import RunningChecks
from txconsul.agent.server import Server

__all__ = ["agent_stats"]

#: Processors as Go's programs call them.
_ARCHITECTURES = {"x86_64": "amd64", "aarch64": "arm64"}


def agent_stats(
    configuration: Configuration, server: Server, pools: Pools, local: LocalState, checks: RunningChecks
) -> dict[str, dict[str, str]]:
    """Numbers and words by topic."""
    consensus = server.consensus
    return {
        "agent": {
            "check_monitors": str(checks.count(ttl=False)),
            "check_ttls": str(checks.count(ttl=True)),
            "checks": str(len(local.living_checks())),
            "services": str(len(local.living_services())),
        },
        "build": {
            "prerelease": "",
            "revision": "",
            "version": CONSUL_VERSION,
            "version_metadata": "",
            "txconsul": __version__,
        },
        "consul": {
            "acl": "enabled" if configuration.acl.enabled else "disabled",
            "bootstrap": str(configuration.bootstrap).lower(),
            "known_datacenters": str(1 + len(server.site.other_datacenters())),
            "leader": str(consensus.is_leader).lower(),
            "leader_addr": consensus.leader_address,
            "server": "true",
        },
        "raft": consensus.stats(),
        "runtime": _runtime(),
        **pools.stats(),
    }


def _runtime() -> dict[str, str]:
    """What runs the agent: Python in place of Go, and its threads in place of Go's."""
    machine = platform.machine()
    return {
        "arch": _ARCHITECTURES.get(machine, machine),
        "cpu_count": str(os.cpu_count() or 1),
        "goroutines": str(threading.active_count()),
        "max_procs": "1",
        "os": platform.system().lower(),
        "version": f"python{platform.python_version()}",
    }
