"""
What goes wrong in a simulation, and when: chosen by the seed.

Each run draws the kinds of fault that it knows, so that some runs have much of few kinds (swarm testing, Groce et
al., 2012).
"""

from __future__ import annotations

from collections.abc import Callable
from io import BytesIO
from random import Random
from typing import TYPE_CHECKING, Any

from twisted.internet.defer import Deferred
from twisted.python.failure import Failure

from txconsul.errors import DiskFailed, RequestRefused, Unavailable
from txconsul.records.snapshot import SnapshotMeta
from txconsul.simulation.invariants import Broken
from txconsul.simulation.machine import epoch_stream
from txconsul.simulation.network import Conditions
from txconsul.simulation.server import SimulatedServer
from txconsul.simulation.trouble import Trouble

if TYPE_CHECKING:
    from txconsul.simulation.world import World

__all__ = ["Faults"]


class Faults(Trouble):
    """Makes trouble among the servers of a Raft group."""

    def __init__(self, world: World, rng: Random) -> None:
        super().__init__(world, rng)
        self._world = world
        every: list[Callable[[], None]] = [
            self._crash,
            self._power_cut,
            self._crash_at_writes,
            self._pause_leader,
            self._pause_any,
            self._isolate,
            self._isolate_leader,
            self._cut_one_way,
            self._split,
            self._bridge,
            self._shifting,
            self._bad_network,
            self._slow_disk,
            self._full_disk,
            self._failing_disk,
            self._transfer,
            self._remove,
            self._add,
            self._snapshot,
            self._restore,
        ]
        kinds = [kind for kind in every if rng.random() < 0.5] or [self._crash]
        pause = rng.uniform(0.2, 1.5)
        self._base = Conditions(
            delay=rng.choice((0.001, 0.003, 0.01)),
            late=rng.choice((0.0, 0.0, 0.05, 0.2)),
            loss=rng.choice((0.0, 0.01, 0.05)),
            double=rng.choice((0.0, 0.02, 0.1)),
        )
        world.network.conditions = self._base
        self.begin(kinds, pause)

    def stop(self) -> None:
        """All faults end, and no new ones begin."""
        super().stop()
        self._world.network.heal()
        self._world.network.conditions = Conditions()

    def __str__(self) -> str:
        base = self._base
        words = [f"{base.loss:.0%} loss"] if base.loss else []
        return ", ".join(words + list(self.active.values()))

    def _any(self) -> SimulatedServer:
        servers = self._world.servers
        return servers[self._rng.choice(sorted(servers))]

    def _leader(self) -> SimulatedServer | None:
        leaders = [server for server in self._world.servers.values() if server.leads and server.awake]
        return self._rng.choice(leaders) if leaders else None

    # ---- processes ----

    def _crash(self) -> None:
        server = self._leader() if self._rng.random() < 0.4 else self._any()
        if server is not None and server.up:
            server.crash()
            self._world.restart_later(server)

    def _power_cut(self) -> None:
        for server in self._world.servers.values():
            if server.up:
                server.crash()
                self._world.restart_later(server)

    def _crash_at_writes(self) -> None:
        server = self._any()
        server.crash_chance = 0.02

        def end() -> None:
            server.crash_chance = 0.0

        self._for(2.0, f"{server.id} may crash at each write", end)

    def _pause_any(self) -> None:
        self._pause_server(self._any())

    def _pause_leader(self) -> None:
        leader = self._leader()
        if leader is not None:
            self._pause_server(leader)

    def _pause_server(self, server: SimulatedServer) -> None:
        """It stands still; and clients are at its door when it goes on."""
        world = self._world
        if not server.awake:
            return
        seconds = self._rng.choice((0.1, 0.5, 1.5)) * (0.5 + self._rng.random())
        server.clock.paused_until = world.clock.now + seconds
        world.tell(f"*> {server.id} stands still for {seconds:.3f} s")
        for client in world.clients:
            world.clock.callLater(seconds, client.probe, server)

    # ---- the network ----

    def _cut(self, text: str, cuts: set[tuple[str, str]], seconds: float = 1.0) -> None:
        network = self._world.network
        cuts = cuts - network.cuts
        network.cuts |= cuts

        def end() -> None:
            network.cuts -= cuts

        self._for(seconds, text, end)

    def _isolate(self, server: SimulatedServer | None = None) -> None:
        server = server or self._any()
        others = [other for other in self._world.servers if other != server.id]
        cuts = {(server.id, other) for other in others} | {(other, server.id) for other in others}
        self._cut(f"{server.id} isolated", cuts, self._rng.choice((0.3, 1.0, 3.0)))

    def _isolate_leader(self) -> None:
        leader = self._leader()
        if leader is not None:
            self._isolate(leader)

    def _cut_one_way(self) -> None:
        one, other = self._rng.sample(sorted(self._world.servers), 2)
        self._cut(f"one-way cut {one} -/-> {other}", {(one, other)}, 2.0)

    def _halves(self) -> tuple[list[str], list[str]]:
        names = sorted(self._world.servers)
        self._rng.shuffle(names)
        middle = self._rng.randrange(1, len(names))
        return names[:middle], names[middle:]

    def _split(self) -> None:
        left, right = self._halves()
        cuts = {(one, other) for one in left for other in right}
        if self._rng.random() < 0.7:
            cuts |= {(other, one) for one, other in cuts}
        self._cut(f"split {'+'.join(left)} | {'+'.join(right)}", cuts, self._rng.choice((0.5, 2.0)))

    def _bridge(self) -> None:
        left, right = self._halves()
        bridge = left.pop()
        cuts = {(one, other) for one in left for other in right} | {(other, one) for one in left for other in right}
        self._cut(f"only {bridge} between {'+'.join(left)} | {'+'.join(right)}", cuts, 2.0)

    def _shifting(self) -> None:
        for turn in range(self._rng.randrange(2, 8)):
            self._world.clock.callLater(turn * 0.4, self._shift)

    def _shift(self) -> None:
        if not self._stopped:
            self._split()

    def _bad_network(self) -> None:
        rng, network = self._rng, self._world.network
        network.conditions = Conditions(
            delay=rng.choice((0.002, 0.02, 0.06)),
            late=rng.choice((0.0, 0.3)),
            loss=rng.choice((0.0, 0.1, 0.3)),
            double=rng.choice((0.0, 0.3)),
        )

        def end() -> None:
            network.conditions = self._base

        self._for(1.5, f"bad network ({network.conditions.loss:.0%} loss)", end)

    # ---- disks ----

    def _slow_disk(self) -> None:
        server = self._any()
        server.sync_seconds = self._rng.choice((0.02, 0.1, 0.4))

        def end() -> None:
            server.sync_seconds = 0.001

        self._for(2.0, f"slow disk at {server.id}", end)

    def _full_disk(self) -> None:
        server = self._any()
        server.disk.full = True
        server.disk.full_for_votes = self._rng.random() < 0.3

        def end() -> None:
            server.disk.full = server.disk.full_for_votes = False

        self._for(2.0, f"full disk at {server.id}", end)

    def _failing_disk(self) -> None:
        server = self._any()
        if server.up:
            server.disk.failing = True
            self._world.tell(f"*> failing disk at {server.id}")

    # ---- what operators do ----

    def _known(self, waiting: Deferred[Any]) -> None:
        """Whatever an operator is told must be one of the answers there are."""

        def failed(failure: Failure) -> None:
            if failure.check(Unavailable, RequestRefused, DiskFailed) is None:
                self._world.broken(Broken("answers_are_known", f"an operator was told {failure.getTraceback()}"))

        waiting.addCallbacks(lambda _: None, failed)

    def _transfer(self) -> None:
        leader = self._leader()
        if leader is not None and leader.consensus is not None:
            to = self._rng.choice([None, *sorted(self._world.servers)])
            self._world.tell(f"*> {leader.id} hands over to {to}")
            self._known(leader.consensus.transfer_leadership(to))

    def _remove(self) -> None:
        leader = self._leader()
        if leader is None or leader.consensus is None:
            return
        servers = leader.consensus.configuration.servers
        if len(servers) > 2:
            gone = self._rng.choice(servers).id
            self._world.tell(f"*> {leader.id} removes {gone}")
            self._known(leader.consensus.remove(gone) if self._rng.random() < 0.8 else leader.consensus.demote(gone))

    def _add(self) -> None:
        leader = self._leader()
        if leader is None or leader.consensus is None:
            return
        id = self._rng.choice(sorted(self._world.servers))
        self._world.tell(f"*> {leader.id} adds {id}")
        add = leader.consensus.add_voter if self._rng.random() < 0.7 else leader.consensus.add_nonvoter
        self._known(add(id, self._world.address(id)))

    def _snapshot(self) -> None:
        server = self._any()
        if server.consensus is not None and server.awake:
            self._world.tell(f"*> {server.id} writes a snapshot")
            self._known(server.consensus.snapshot())

    def _restore(self) -> None:
        """
        An archive takes the place of the state. Only in a group of one: in a larger one an archive is lost, and in the
        way, if its leader is lost before a majority has it.
        """
        leader = self._leader()
        if leader is None or leader.consensus is None or len(leader.consensus.configuration.servers) > 1:
            return
        epoch = leader.machine.epoch + 1
        data = epoch_stream(epoch)
        self._world.tell(f"*> {leader.id} restores an archive")
        meta = SnapshotMeta(index=self._rng.randrange(1000), size=len(data))
        self._known(leader.consensus.restore(meta, BytesIO(data)))
