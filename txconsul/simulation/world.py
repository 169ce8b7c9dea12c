"""
A group of Raft servers in a bad world: some seconds of trouble, then peace, in which all must be well again.

One seed makes it all: one L{Random} for the world, one for each server and each client. The same seed gives the same
transcript.
"""

from __future__ import annotations

from random import Random
from typing import Any

from txconsul.consensus import SnapshotPolicy
from txconsul.raft.timing import Timing
from txconsul.records.raft import Configuration, Server
from txconsul.simulation import invariants
from txconsul.simulation.clients import Client
from txconsul.simulation.clock import SimulatedClock
from txconsul.simulation.faults import Faults
from txconsul.simulation.invariants import Broken, Facts
from txconsul.simulation.network import Network
from txconsul.simulation.server import SimulatedServer
from txconsul.simulation.transcript import Transcript

__all__ = ["World"]

#: How long peace may take to become visible: some thirty election timeouts.
_HEALING_SECONDS = 10.0
#: Between two looks at what servers believe.
_LOOK_SECONDS = 0.05


class World:
    """
    @ivar facts: what was seen.
    @ivar transcript: what happened.
    @ivar servers: all that ever take part, by id; the last of them is not of the first group.
    @ivar until: when trouble ends.
    """

    kind = "raft"

    def __init__(self, seed: int, servers: int | None = None) -> None:
        """@param servers: how many begin: 3 or 5, or None to let the seed choose."""
        rng = Random(f"world {seed}")
        self.seed = seed
        self.clock = SimulatedClock()
        self.transcript = Transcript()
        self.facts = Facts()
        self._broken: Broken | None = None
        self._value = 0
        self._rng = rng
        chosen = rng.choice((3, 3, 5))
        self.size = servers or chosen
        self.until = rng.uniform(6.0, 16.0)
        self.network = Network(self.clock, Random(f"network {seed}"), self.tell)
        self.network.sent = self._sent
        self.network.paused_until = lambda id: self.servers[id].clock.paused_until
        policy = SnapshotPolicy(
            threshold=rng.choice((10, 40, 1000)), interval=rng.choice((0.3, 1.0)), trailing=rng.choice((0, 5, 30))
        )
        # Fast, so that much happens in few seconds; at times with one entry in a message, so that more can part them.
        self.timing = timing = Timing(
            heartbeat=0.3,
            election=0.3,
            lease=0.15,
            commit=0.03,
            retry=0.1,
            snapshot=0.4,
            entries_max=rng.choice((1, 8)),
            in_flight_max=rng.choice((1, 2, 4)),
        )
        names = "abcdefg"[: self.size + 1]
        self.servers = {id: SimulatedServer(self, id, policy, timing, Random(f"{id} {seed}")) for id in names}
        first = Configuration(servers=tuple(Server(id=id, address=self.address(id)) for id in names[: self.size]))
        for id in names[: self.size]:
            self.servers[id].bootstrap = first
        self.clients = [
            Client(self, Random(f"client {number} {seed}"), rng.choice((0.02, 0.1)))
            for number in range(rng.choice((2, 4)))
        ]
        for server in self.servers.values():
            server.start()
        self.faults = Faults(self, Random(f"faults {seed}"))

    # ---- what the parts ask ----

    def tell(self, line: str) -> None:
        """Into the transcript."""
        self.transcript.add(self.clock.now, line)

    def broken(self, broken: BaseException | None) -> None:
        """A law was broken where it cannot be raised; the run ends with the first."""
        if self._broken is None and isinstance(broken, Broken):
            self._broken = broken

    def next_value(self) -> int:
        """A value that was never written."""
        self._value += 1
        return self._value

    @staticmethod
    def address(id: str) -> str:
        """Where a server listens."""
        return f"{id}:8300"

    def restart_later(self, server: SimulatedServer) -> None:
        """Start a server again after a while."""
        self.clock.callLater(self._rng.choice((0.05, 0.5, 2.0)) * self._rng.random(), self._restart, server)

    def _restart(self, server: SimulatedServer) -> None:
        if not server.up:
            server.start()

    def _sent(self, sender: str, to: str, message: Any) -> None:
        self.servers[sender].sent(to, message)

    # ---- the run ----

    def run(self, until: float | None = None) -> None:
        """
        Let it happen.

        @param until: stop then, whatever is going on.
        @raise Broken: a law was broken.
        """
        end = float("inf") if until is None else until
        self._run(min(self.until, end))
        if end > self.until:
            self._heal(end)

    def _run(self, end: float) -> None:
        clock = self.clock
        look_at = clock.now
        while clock.now < end:
            look_at = min(look_at + _LOOK_SECONDS, end)
            while (due := clock.next_time()) is not None and due <= look_at:
                clock.step()
                if self._broken is not None:
                    raise self._broken
            clock.run_until(look_at)
            for server in self.servers.values():
                server.look()

    def _heal(self, end: float) -> None:
        """Peace: the group must answer, every member must catch up, and a late comer must not disturb."""
        self.tell("*> peace")
        self.faults.stop()
        for server in self.servers.values():
            server.crash_chance = 0.0
        healed = self.clock.now
        deadline = min(healed + _HEALING_SECONDS, end)
        written = self._written()
        while self.clock.now < deadline and (self._written() < written + 5 or self._laggards()):
            self._run(min(self.clock.now + 0.3, deadline))
            for server in self.servers.values():
                self._restart(server)
            if self._written() >= written + 5:
                for client in self.clients:
                    client.stop()
        if self.clock.now >= end:
            return
        invariants.alive_after_healing(self._written() > written, self._laggards(), self.clock.now - healed)
        for id in self._members():
            invariants.no_lost_write(self.facts, id, self.servers[id].machine)
        self._calm(end)

    def _written(self) -> int:
        return sum(client.written for client in self.clients)

    def _leader(self) -> SimulatedServer | None:
        leaders = [server for server in self.servers.values() if server.leads]
        return max(leaders, key=lambda server: server.consensus.term if server.consensus else 0, default=None)

    def _members(self) -> list[str]:
        leader = self._leader()
        if leader is None or leader.consensus is None:
            return []
        return [server.id for server in leader.consensus.configuration.servers]

    def _laggards(self) -> list[str]:
        """Members that do not have, by now, all that was acknowledged."""
        members = self._members()
        behind = []
        for id in members:
            server = self.servers[id]
            if not server.up or any(server.machine.place(key)[:2] < floor for key, floor in self.facts.floors.items()):
                behind.append(id)
        return behind if members else ["everybody"]

    def _calm(self, end: float) -> None:
        """One follower is cut off for some elections' time, and comes back."""
        leader = self._leader()
        if leader is None or leader.consensus is None:
            return
        others = [id for id in self._members() if id != leader.id]
        voters = leader.consensus.core.members.voters
        if len(voters) < 3 or not others or self.clock.now >= end:
            return
        cut = self._rng.choice(others)
        self.tell(f"*> {cut} is cut off")
        self.network.cut([cut], self.servers)
        self.network.cut(self.servers, [cut])
        before = leader.id, leader.consensus.term
        self._run(min(self.clock.now + 5 * self.timing.heartbeat, end))
        self.tell(f"*> {cut} comes back")
        self.network.heal()
        self._run(min(self.clock.now + 3 * self.timing.heartbeat, end))
        after = self._leader()
        now = (after.id, after.consensus.term) if after is not None and after.consensus is not None else ("", 0)
        invariants.returning_server_disturbs_nobody(cut, before, now)
