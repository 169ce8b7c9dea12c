"""What the configuration depends on besides files and flags. Tests bring their own."""

from __future__ import annotations

import os
import resource
import socket
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field

from txconsul.agent.configuration.interfaces import Interface, read_interfaces

__all__ = ["Surroundings"]


def _descriptors() -> int:
    """How many files this process may have open: the hard limit, which the agent raises its own limit to."""
    return resource.getrlimit(resource.RLIMIT_NOFILE)[1]


@dataclass(frozen=True)
class Surroundings:
    """
    @ivar hostname: the default of C{node_name}; raises OSError.
    @ivar interfaces: for address templates and for the address that is told to others.
    @ivar descriptors: how many files may be open; negative where there is no limit.
    """

    hostname: Callable[[], str] = socket.gethostname
    interfaces: Callable[[], Sequence[Interface]] = read_interfaces
    descriptors: Callable[[], int] = _descriptors
    environment: Mapping[str, str] = field(default_factory=lambda: os.environ)
