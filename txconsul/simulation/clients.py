"""
Clients that append and read, and notice whatever a single list in one place would not do.
"""

from __future__ import annotations

from random import Random
from typing import TYPE_CHECKING

from twisted.python.failure import Failure

from txconsul.errors import DiskFull, LeadershipLost, NoLeader, Unavailable
from txconsul.simulation import invariants
from txconsul.simulation.invariants import Broken
from txconsul.simulation.machine import Place, command
from txconsul.simulation.server import SimulatedServer

if TYPE_CHECKING:
    from txconsul.simulation.world import World

__all__ = ["Client"]

#: Few, so that clients meet.
KEYS = ("x", "y", "z")
#: How long a client waits for an answer before it goes on; the command may still take effect.
_PATIENCE = 1.0


class Client:
    """
    Does one thing after the other, at the server that it takes for the leader or at any.

    @ivar written: how many of its writes were acknowledged.
    @ivar read: how many of its reads were answered.
    """

    def __init__(self, world: World, rng: Random, pause: float) -> None:
        """@param pause: seconds between two requests, on average."""
        self.written = 0
        self.read = 0
        self._world = world
        self._rng = rng
        self._pause = pause
        self._server = ""
        self._number = 0
        self._busy = 0
        self._stopped = False
        self._again()

    def stop(self) -> None:
        """Ask nothing more."""
        self._stopped = True

    def _again(self) -> None:
        self._world.clock.callLater(self._rng.expovariate(1 / self._pause), self._go)

    def _choose(self) -> SimulatedServer | None:
        servers = self._world.servers
        if not self._server or self._rng.random() < 0.1:
            self._server = self._rng.choice(sorted(servers))
        server = servers[self._server]
        consensus = server.consensus
        if consensus is None or not server.awake:
            self._server = ""
            return None
        if not consensus.is_leader and self._rng.random() < 0.9:
            self._server = consensus.leader_id if consensus.leader_id in servers else ""
            return None
        return server

    def _go(self) -> None:
        if self._stopped:
            return
        server = self._choose()
        if server is None:
            self._again()
            return
        self._number += 1
        self._busy = self._number
        key = self._rng.choice(KEYS)
        try:
            how = self._rng.random()
            if how < 0.55:
                self._write(server, key)
            elif how < 0.85:
                self._read_verified(server, key, self._busy)
            else:
                self._read_by_lease(server, key)
                self._over(self._busy)
        except Broken as broken:
            self._world.broken(broken)
        if self._busy == self._number:
            self._world.clock.callLater(_PATIENCE, self._over, self._number)

    def _over(self, number: int) -> None:
        """The request is answered, or has taken too long."""
        if number and self._busy == number:
            self._busy = 0
            self._again()

    def probe(self, server: SimulatedServer) -> None:
        """A read of each kind, beside what else is going on: at a moment when the server may be wrong about itself."""
        if server.leads and server.awake:
            try:
                for key in KEYS:
                    self._read_verified(server, key, 0)
                    self._read_by_lease(server, key)
            except Broken as broken:
                self._world.broken(broken)

    def _write(self, server: SimulatedServer, key: str) -> None:
        """Append the next value to a list."""
        world, number = self._world, self._busy
        value = world.next_value()
        floor = world.facts.floor(key)
        assert server.consensus is not None

        def done(place: Place) -> None:
            self._over(number)
            self.written += 1
            world.tell(f"{server.id}> client wrote {key}={value} at {place[0]}:{place[1]}")
            try:
                invariants.writes_are_ordered(server.id, key, floor, place)
            except Broken as broken:
                world.broken(broken)
            world.facts.answered(key, place)

        def failed(failure: Failure) -> None:
            self._over(number)
            try:
                if failure.check(NoLeader, DiskFull) is not None:
                    world.facts.refused.add(value)
                    invariants.refused_means_refused(world.facts, value)
                elif failure.check(LeadershipLost) is None:
                    raise Broken("answers_are_known", f"a write failed with {failure.value!r}", (server.id,))
            except Broken as broken:
                world.broken(broken)

        server.consensus.propose(command(key, value), None).addCallbacks(done, failed)

    def _read_verified(self, server: SimulatedServer, key: str, number: int) -> None:
        world = self._world
        floor = world.facts.floor(key)
        assert server.consensus is not None
        machine = server.machine
        waiting = server.consensus.verify()

        def done(_: object) -> None:
            self._over(number)
            try:
                self._saw(server, "verified", key, floor, machine.place(key))
            except Broken as broken:
                world.broken(broken)

        def failed(failure: Failure) -> None:
            self._over(number)
            if failure.check(NoLeader, Unavailable) is None:
                world.broken(Broken("answers_are_known", f"a read failed with {failure.value!r}", (server.id,)))

        if waiting is None:
            done(None)
        else:
            waiting.addCallbacks(done, failed)

    def _read_by_lease(self, server: SimulatedServer, key: str) -> None:
        assert server.consensus is not None
        floor = self._world.facts.floor(key)
        if server.consensus.lease_valid():
            self._saw(server, "lease", key, floor, server.machine.place(key))

    def _saw(self, server: SimulatedServer, how: str, key: str, floor: tuple[int, int], place: Place) -> None:
        self.read += 1
        world = self._world
        world.tell(f"{server.id}> client read {key} by {how}: {place[0]}:{place[1]}")
        invariants.reads_are_linearizable(world.facts, server.id, how, key, floor, place)
        world.facts.answered(key, place)
