"""
One machine of a cluster in memory: a disk that survives, and an agent that starts, stops, stands still or dies on it.
"""

from __future__ import annotations

from collections.abc import Mapping
from random import Random
from typing import TYPE_CHECKING, Any

import msgspec
from twisted.internet.defer import Deferred, succeed
from twisted.python.failure import Failure

from txconsul.agent.agent import Agent
from txconsul.agent.configuration import Configuration, Surroundings, agent_flags, load
from txconsul.agent.outside import Outside
from txconsul.agent.stores import Stores
from txconsul.agent.supported import check
from txconsul.net.memory import MemoryNetwork
from txconsul.simulation.clock import ProcessClock
from txconsul.storage.memory import MemoryDisk, MemoryLogStore, MemorySnapshotStore, MemoryStableStore
from txconsul.storage.worker import Inline
from txconsul.testing.asking import Answer, ask

if TYPE_CHECKING:
    from txconsul.testing.memory_cluster import MemoryCluster

__all__ = ["MemoryAgent"]

#: When the simulated world begins, in seconds since 1970.
BEGAN_UTC = 1_700_000_000
#: How many files an agent may think it can open.
FILES = 4096
#: Stands for a data directory while the configuration is checked; nothing is ever written there.
_DIRECTORY = "/memory"
_NANOSECONDS = 1_000_000_000


class MemoryAgent:
    """
    @ivar name: of the node, and of its host on the wire.
    @ivar address: where it is reached. A restart may change it.
    @ivar disk: what survives; its faults are L{MemoryDisk}'s: C{full}, C{failing}, C{sync_seconds}.
    @ivar wall_offset: seconds by which its clock on the wall is wrong.
    @ivar agent: what runs, or None.
    @ivar failure: why the agent ended by itself, if it did.
    """

    def __init__(
        self, cluster: MemoryCluster, name: str, address: str, node_id: str, configuration: Mapping[str, Any]
    ) -> None:
        """@param configuration: keys and values as in a configuration file."""
        self.name = name
        self.address = address
        self.node_id = node_id
        self.configuration = dict(configuration)
        self.wall_offset = 0.0
        self.agent: Agent | None = None
        self.failure: Failure | None = None
        self.disk = MemoryDisk(sync_seconds=lambda: 0.0)
        self._cluster = cluster
        self._clock = ProcessClock(cluster.clock)
        self._network: MemoryNetwork | None = None
        self._lives = 0

    def __repr__(self) -> str:
        return f"<{self.name} at {self.address}, {'up' if self.is_up else 'down'}>"

    # ---- life ----

    @property
    def is_up(self) -> bool:
        """Does its process run?"""
        return self.agent is not None

    @property
    def leads(self) -> bool:
        """Is it the leader, as far as it knows, and established as such?"""
        return self.agent is not None and self.agent.site.me.is_leader

    def start(self, address: str | None = None) -> None:
        """
        Start the process, with what is on the disk.

        @param address: a new one, if the machine has moved.
        @raise ValueError: it runs.
        @raise ConfigurationError: the configuration cannot be used.
        """
        if self.agent is not None:
            raise ValueError(f"{self.name} runs")
        self.address = address or self.address
        self._lives += 1
        self.failure = None
        self.disk.failing = False
        self.disk.crash()
        self._clock = clock = ProcessClock(self._cluster.clock)
        self.disk.clock = clock
        self._network = self._cluster.wire.host(self.name, self.address, clock=clock, paused=lambda: clock.paused)
        disk = self.disk
        stores = Stores(
            node_id=self.node_id,
            log=MemoryLogStore(disk),
            stable=MemoryStableStore(disk),
            snapshots=MemorySnapshotStore(disk),
            serf="",
            worker=Inline(),
            close=lambda: succeed(None),
        )
        outside = Outside(
            random=Random(f"{self._cluster.seed} {self.name} {self._lives}"),
            wall_ns=self._wall_ns,
            hostname=self.name,
            begin=lambda: FILES,
            notify=lambda state: None,
        )
        self.agent = Agent(self._load(), stores, self._network, outside, self._failed, ended=self.stop)
        self.agent.startService()

    def stop(self) -> Deferred[Any]:
        """End the process as a termination signal does. @return: a Deferred firing when it has ended."""
        if self.agent is None:
            return succeed(None)
        stopped: Deferred[Any] = self.agent.stopService()
        return stopped.addCallback(lambda _: self.kill())

    def kill(self, silent: bool = False, *, loses: Random | None = None) -> None:
        """
        End the process at once.

        @param silent: the machine loses its power, and says goodbye to nobody; otherwise connections are reset.
        @param loses: decides which part of what was not synced is on the disk all the same; None is nothing.
        """
        if self.agent is None or self._network is None:
            return
        self.agent = None
        self._clock.end()
        self._network.kill(silent)
        self.disk.crash(loses)

    def pause(self, seconds: float) -> None:
        """The process stands still for so long; its machine, with all that comes in, does not."""
        self._clock.paused_until = self._cluster.clock.now + seconds

    def _failed(self, reason: Failure) -> None:
        self.failure = reason
        self._cluster.clock.callLater(0, self.kill)

    def _wall_ns(self) -> int:
        return int((BEGAN_UTC + self._cluster.clock.now + self.wall_offset) * _NANOSECONDS)

    def _load(self) -> Configuration:
        keys = {
            "node_name": self.name,
            "bind_addr": self.address,
            "client_addr": "0.0.0.0",
            "data_dir": _DIRECTORY,
            **self.configuration,
        }
        surroundings = Surroundings(
            hostname=lambda: self.name, interfaces=lambda: (), descriptors=lambda: FILES, environment={}
        )
        configuration = check(load(agent_flags([]), surroundings=surroundings, defaults=keys))
        return msgspec.structs.replace(configuration, data_dir="")

    # ---- asking it ----

    def request(
        self,
        method: str,
        target: str,
        body: bytes | str | dict[str, Any] | list[Any] = b"",
        headers: Mapping[str, str] | None = None,
    ) -> Deferred[Answer]:
        """Ask it over HTTP, from a host of its own on the wire. See L{ask<txconsul.testing.asking.ask>}."""
        return ask(self._cluster.client, f"tcp:{self.address}:8500", method, target, body, headers)

    def ask(
        self,
        method: str,
        target: str,
        body: bytes | str | dict[str, Any] | list[Any] = b"",
        headers: Mapping[str, str] | None = None,
    ) -> Answer:
        """
        Ask it over HTTP, and let the time pass that this takes.

        @raise TimeoutError: there is no answer within ten minutes.
        """
        return self._cluster.result(self.request(method, target, body, headers))  # type: ignore[no-any-return]
