"""
What an agent takes from outside, apart from its network and its disk: chance, the time of day, and its process.

With all of it given, a whole agent is as repeatable as its cores: one seed, one run.
"""

from __future__ import annotations

import socket
import time
from collections.abc import Callable
from dataclasses import dataclass
from random import Random, SystemRandom
from uuid import UUID

from txconsul.agent.joining.nameservers import Nameserver, system_nameserver
from txconsul.agent.process import calm_collector, notify, raise_file_limit

__all__ = ["Outside", "this_process"]

_NANOSECONDS = 1_000_000_000


@dataclass(frozen=True)
class Outside:
    """
    @ivar random: all chance begins here; a C{SystemRandom} where secrets depend on it.
    @ivar wall_ns: the time of day, in nanoseconds since 1970. It may jump.
    @ivar hostname: the machine's.
    @ivar begin: readies the process for a server's work, and tells how many files it may have open.
    @ivar notify: tells whoever started the process what has become of it, such as C{READY=1}.
    @ivar nameserver: who is asked for names of agents to join over TCP, before the network is; None for nobody.
    """

    random: Random
    wall_ns: Callable[[], int]
    hostname: str
    begin: Callable[[], int]
    notify: Callable[[str], object]
    nameserver: Callable[[], Nameserver | None] = lambda: None

    def now_utc(self) -> float:
        """The time of day, in seconds since 1970."""
        return self.wall_ns() / _NANOSECONDS

    def fork_random(self) -> Random:
        """Chance for a part of its own, which no other part's use changes: for decisions, not for secrets."""
        return Random(self.random.getrandbits(64))

    def new_id(self) -> str:
        """A random UUID's text."""
        return str(UUID(bytes=self.random.randbytes(16), version=4))


def _begin() -> int:
    calm_collector()
    return raise_file_limit()


def this_process() -> Outside:
    """The real ones."""
    return Outside(SystemRandom(), time.time_ns, socket.gethostname(), _begin, notify, system_nameserver)
