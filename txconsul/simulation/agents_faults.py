"""
What goes wrong among simulated agents, and when: chosen by the seed, as in L{txconsul.simulation.faults}.
"""

from __future__ import annotations

from collections.abc import Callable
from random import Random
from typing import TYPE_CHECKING

from txconsul.net.memory import Conditions
from txconsul.simulation.trouble import Trouble
from txconsul.testing.memory_agent import MemoryAgent

if TYPE_CHECKING:
    from txconsul.simulation.agents import AgentsWorld

__all__ = ["AgentsFaults"]

#: How long an ordinary sync takes.
SYNC_SECONDS = 0.001


class AgentsFaults(Trouble):
    """
    Makes trouble until told to stop.

    @ivar moves: whether agents come back with other addresses.
    """

    def __init__(self, world: AgentsWorld, rng: Random) -> None:
        super().__init__(world, rng)
        self._world = world
        self._cluster = world.cluster
        every: list[Callable[[], None]] = [
            self._kill,
            self._power_cut,
            self._kill_at_syncs,
            self._pause_leader,
            self._pause_any,
            self._bad_network,
            self._slow_disk,
            self._full_disk,
            self._failing_disk,
            self._jump,
            self._move,
        ]
        if len(self._cluster.agents) > 1:
            every += [self._isolate, self._isolate_leader, self._cut_one_way, self._split, self._bridge]
        kinds = [kind for kind in every if rng.random() < 0.5] or [self._kill]
        self.moves = self._move in kinds
        pause = rng.uniform(0.5, 3.0)
        self._base = Conditions(
            delay=rng.choice((0.0005, 0.002, 0.01)),
            late=rng.choice((0.0, 0.0, 0.05, 0.2)),
            loss=rng.choice((0.0, 0.01, 0.05)),
            double=rng.choice((0.0, 0.02, 0.1)),
        )
        self._cluster.wire.conditions = self._base
        for agent in self._cluster.agents.values():
            self._heal_disk(agent)
        self.begin(kinds, pause)

    def stop(self) -> None:
        """All faults end, and no new ones begin."""
        super().stop()
        self._cluster.mend()
        self._cluster.wire.conditions = Conditions()

    def __str__(self) -> str:
        words = [f"{self._base.loss:.0%} loss"] if self._base.loss else []
        return ", ".join(words + list(self.active.values()))

    def _any(self) -> MemoryAgent:
        return self._rng.choice(list(self._cluster.agents.values()))

    def _server(self) -> MemoryAgent:
        return self._rng.choice(self._cluster.servers)

    # ---- processes ----

    def _die(self, agent: MemoryAgent, silent: bool) -> None:
        if agent.is_up:
            self._tell(f"*> {agent.name} {'loses its power' if silent else 'is killed'}")
            agent.kill(silent, loses=self._rng)
            self._world.restart_later(agent)

    def _kill(self) -> None:
        leader = self._cluster.leader()
        self._die(leader if leader is not None and self._rng.random() < 0.4 else self._any(), False)

    def _power_cut(self) -> None:
        for agent in self._cluster.agents.values() if self._rng.random() < 0.5 else [self._any()]:
            self._die(agent, True)

    def _kill_at_syncs(self) -> None:
        """It may be killed while a sync is under way."""
        agent = self._server()

        def seconds() -> float:
            if self._rng.random() < 0.05:
                self._clock.callLater(SYNC_SECONDS * self._rng.random(), self._die, agent, self._rng.random() < 0.5)
            return SYNC_SECONDS

        agent.disk.sync_seconds = seconds
        self._for(3.0, f"{agent.name} may be killed at each sync", lambda: self._heal_disk(agent))

    def _pause_leader(self) -> None:
        leader = self._cluster.leader()
        if leader is not None:
            self._pause_agent(leader)

    def _pause_any(self) -> None:
        self._pause_agent(self._any())

    def _pause_agent(self, agent: MemoryAgent) -> None:
        seconds = self._rng.choice((0.3, 2.0, 8.0)) * (0.5 + self._rng.random())
        self._tell(f"*> {agent.name} stands still for {seconds:.3f} s")
        agent.pause(seconds)

    def _move(self) -> None:
        """It is killed, and comes again at another address."""
        agent = self._any()
        if agent.is_up:
            self._die(agent, self._rng.random() < 0.5)
            agent.address = self._world.new_address(agent)
            self._tell(f"*> {agent.name} moves to {agent.address}")

    def _jump(self) -> None:
        """Its clock on the wall is set."""
        agent = self._any()
        agent.wall_offset += self._rng.choice((-86400.0, -30.0, 30.0, 86400.0))
        self._tell(f"*> the clock of {agent.name} is wrong by {agent.wall_offset} s")

    # ---- the network ----

    def _cut(self, text: str, cuts: set[tuple[str, str]], seconds: float) -> None:
        wire = self._cluster.wire
        cuts = cuts - wire.cuts
        wire.cuts |= cuts

        def end() -> None:
            wire.cuts -= cuts

        self._for(seconds, text, end)

    @staticmethod
    def _both(left: list[str], right: list[str]) -> set[tuple[str, str]]:
        return {(one, other) for one in left for other in right} | {(other, one) for one in left for other in right}

    def _isolate(self, name: str = "") -> None:
        name = name or self._any().name
        others = [other for other in self._cluster.agents if other != name]
        self._cut(f"{name} isolated", self._both([name], others), self._rng.choice((1.0, 5.0, 20.0)))

    def _isolate_leader(self) -> None:
        leader = self._cluster.leader()
        if leader is not None:
            self._isolate(leader.name)

    def _cut_one_way(self) -> None:
        one, other = self._rng.sample(list(self._cluster.agents), 2)
        self._cut(f"one-way cut {one} -/-> {other}", {(one, other)}, 5.0)

    def _halves(self) -> tuple[list[str], list[str]]:
        names = list(self._cluster.agents)
        self._rng.shuffle(names)
        middle = self._rng.randrange(1, len(names))
        return names[:middle], names[middle:]

    def _split(self) -> None:
        left, right = self._halves()
        text = f"split {'+'.join(left)} | {'+'.join(right)}"
        self._cut(text, self._both(left, right), self._rng.choice((2.0, 8.0)))

    def _bridge(self) -> None:
        left, right = self._halves()
        bridge = left.pop()
        if left:
            text = f"only {bridge} between {'+'.join(left)} | {'+'.join(right)}"
            self._cut(text, self._both(left, right), 5.0)

    def _bad_network(self) -> None:
        rng, wire = self._rng, self._cluster.wire
        wire.conditions = Conditions(
            delay=rng.choice((0.002, 0.02, 0.06)),
            late=rng.choice((0.0, 0.3)),
            loss=rng.choice((0.0, 0.1, 0.3)),
            double=rng.choice((0.0, 0.3)),
        )

        def end() -> None:
            wire.conditions = self._base

        self._for(4.0, f"bad network ({wire.conditions.loss:.0%} loss)", end)

    # ---- disks ----

    def _heal_disk(self, agent: MemoryAgent) -> None:
        agent.disk.sync_seconds = lambda: SYNC_SECONDS

    def _slow_disk(self) -> None:
        agent = self._server()
        seconds = self._rng.choice((0.02, 0.2, 2.0))
        agent.disk.sync_seconds = lambda: seconds * (0.5 + self._rng.random())
        self._for(4.0, f"slow disk at {agent.name}", lambda: self._heal_disk(agent))

    def _full_disk(self) -> None:
        disk = self._server().disk
        disk.full = True
        disk.full_for_votes = self._rng.random() < 0.3

        def end() -> None:
            disk.full = disk.full_for_votes = False

        self._for(4.0, "a full disk", end)

    def _failing_disk(self) -> None:
        agent = self._server()
        if agent.is_up:
            agent.disk.failing = True
            self._tell(f"*> failing disk at {agent.name}")
