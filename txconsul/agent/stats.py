"""
What an agent does now, in numbers, for C{/v1/agent/self} and C{txconsul info}.

Source: Consul's documentation of C{consul info}.
"""

from __future__ import annotations

import os
import platform
import threading

from txconsul import CONSUL_VERSION, __version__
from txconsul.agent.local import LocalState
from txconsul.agent.part import Part
from txconsul.agent.pools import Pools
from txconsul.agent.running_checks import RunningChecks

__all__ = ["agent_stats"]

#: Processors as Go's programs call them.
_ARCHITECTURES = {"x86_64": "amd64", "aarch64": "arm64"}


def agent_stats(part: Part, pools: Pools, local: LocalState, checks: RunningChecks) -> dict[str, dict[str, str]]:
    """Numbers and words by topic."""
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
        **part.stats(),
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
