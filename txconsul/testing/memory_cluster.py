"""
A whole cluster in one process, without sockets, files or waiting: its time passes when the test says so.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from random import Random
from typing import Any
from uuid import UUID

from twisted.internet.defer import Deferred
from twisted.python.failure import Failure

from txconsul.net.memory import Conditions, Wire
from txconsul.simulation.clock import SimulatedClock
from txconsul.testing.memory_agent import MemoryAgent

__all__ = ["MemoryCluster"]

#: Virtual seconds that things may take unless told otherwise: more than any blocking query waits.
PATIENCE_SECONDS = 600.0
#: Virtual seconds in which a cluster must find its leader.
START_SECONDS = 60.0
#: Where requests come from.
CLIENT_ADDRESS = "10.255.0.1"


class MemoryCluster:
    """
    Servers and clients of one or several datacenters.

    Every agent is a whole one, with an HTTP API at port 8500 of its own address; only the pool of all datacenters'
    servers is left out where there is one datacenter. One seed decides everything: the same seed, with the same calls,
    gives the same run.

    @ivar clock: the time of this world, an L{IReactorTime<twisted.internet.interfaces.IReactorTime>}.
    @ivar wire: the network, with all that may be wrong with it.
    @ivar client: the L{INetwork<txconsul.interfaces.INetwork>} of a host beside the agents, for what a test runs.
    @ivar agents: by their names.
    """

    def __init__(
        self,
        servers: int = 1,
        clients: int = 0,
        *,
        datacenters: Sequence[str] = ("dc1",),
        seed: int = 1,
        conditions: Conditions | None = None,
        configuration: Mapping[str, Any] | None = None,
    ) -> None:
        """
        @param servers: of each datacenter: C{server1} and so on; in others than the first C{dc2-server1} and so on.
        @param clients: of each datacenter, C{client1} and so on.
        @param conditions: of the network; by default half a millisecond each way, and no loss.
        @param configuration: for every agent: keys and values as in a configuration file.
        """
        self.seed = seed
        self.clock = SimulatedClock(1000.0)
        self.wire = Wire(self.clock, Random(f"{seed} wire"), conditions)
        self.client = self.wire.host("test", CLIENT_ADDRESS)
        self.agents: dict[str, MemoryAgent] = {}
        self._random = Random(f"{seed} cluster")
        # By names, since addresses may change.
        names = [f"server{one}" for one in range(1, servers + 1)]
        for number, datacenter in enumerate(datacenters):
            prefix = "" if number == 0 else f"{datacenter}-"
            keys: dict[str, Any] = {"datacenter": datacenter}
            if servers + clients > 1:
                keys["retry_join"] = [prefix + name for name in names]
            wide: dict[str, Any] = {"retry_join_wan": names}
            if len(datacenters) == 1:
                wide = {"ports": {"serf_wan": -1}}  # a pool in which nobody else can ever be
            for one, name in enumerate(names, 1):
                server = {"server": True, "bootstrap_expect": servers, **keys, **wide, **(configuration or {})}
                self._add(prefix + name, f"10.{number}.0.{one}", server)
            for one in range(1, clients + 1):
                client = {"server": False, **keys, **(configuration or {})}
                self._add(f"{prefix}client{one}", f"10.{number}.1.{one}", client)

    def _add(self, name: str, address: str, configuration: Mapping[str, Any]) -> None:
        node_id = str(UUID(bytes=self._random.randbytes(16), version=4))
        self.agents[name] = MemoryAgent(self, name, address, node_id, configuration)

    def __getitem__(self, name: str) -> MemoryAgent:
        """An agent, by its name."""
        return self.agents[name]

    @property
    def servers(self) -> list[MemoryAgent]:
        """All servers."""
        return [agent for agent in self.agents.values() if agent.configuration["server"]]

    @property
    def clients(self) -> list[MemoryAgent]:
        """All client agents."""
        return [agent for agent in self.agents.values() if not agent.configuration["server"]]

    def leader(self, datacenter: str = "dc1") -> MemoryAgent | None:
        """Who leads a datacenter, as far as it knows itself; the one of the highest term, if several do."""
        leading = [one for one in self.servers if one.leads and one.configuration["datacenter"] == datacenter]
        return max(leading, key=lambda one: one.agent.server.consensus.term if one.agent else 0, default=None)

    # ---- life ----

    def start(self) -> MemoryCluster:
        """
        Start all agents, and let time pass until every datacenter has a leader of whom every agent knows.

        @raise TimeoutError: that takes too long.
        """
        for agent in self.agents.values():
            if not agent.is_up:
                agent.start()
        self.until(self._has_leaders, START_SECONDS)
        return self

    def _has_leaders(self) -> bool:
        for agent in self.agents.values():
            if agent.failure is not None:
                agent.failure.raiseException()
        return all(self.leader(one.configuration["datacenter"]) is not None for one in self.servers)

    def stop(self) -> None:
        """End all agents as termination signals do."""
        for agent in self.agents.values():
            self.result(agent.stop())

    # ---- time ----

    def advance(self, seconds: float) -> None:
        """Let time pass: an hour of a quiet cluster takes a moment."""
        self.clock.advance(seconds)

    def until(self, done: Callable[[], bool], seconds: float = PATIENCE_SECONDS) -> None:
        """
        Let time pass until something is so.

        @raise TimeoutError: it is not, after so many virtual seconds.
        """
        clock = self.clock
        end = clock.now + seconds
        while not done():
            due = clock.next_time()
            if due is None or due > end:
                clock.run_until(end)
                if done():
                    return
                raise TimeoutError(f"not so within {seconds} virtual seconds")
            clock.step()

    def result(self, deferred: Deferred[Any], seconds: float = PATIENCE_SECONDS) -> Any:
        """
        Let time pass until a Deferred has fired.

        @return: its result, or what it failed with is raised.
        @raise TimeoutError: it has not, after so many virtual seconds; it is cancelled.
        """
        results: list[Any] = []
        deferred.addBoth(results.append)
        try:
            self.until(lambda: bool(results), seconds)
        except TimeoutError:
            deferred.cancel()
            raise
        if isinstance(results[0], Failure):
            results[0].raiseException()
        return results[0]

    # ---- trouble ----

    def part(self, *groups: Iterable[str]) -> None:
        """Cut these groups of agents off from each other; requests of the test reach all of them."""
        self.wire.part(*groups)

    def mend(self) -> None:
        """Every way is free again."""
        self.wire.mend()
