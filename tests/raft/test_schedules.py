"""
Random schedules of cores without a driver: messages lost, doubled and overtaken, crashes that lose what was not
durable, slow and full disks, partitions, snapshots, changes of membership.

The simulation does the same with the whole server; this one is quick, and stands nearer to the core.
"""

from __future__ import annotations

import contextlib
import os
from random import Random

from twisted.trial.unittest import SynchronousTestCase

from tests.raft.cluster import Cluster, Machine
from txconsul.errors import RequestRefused, Unavailable
from txconsul.raft.messages import Role
from txconsul.records.raft import Entry

SCHEDULES = int(os.environ.get("RAFT_SCHEDULES", "25"))
STEPS = 1500


class World:
    """A cluster, what is done to it, and what must hold all the time."""

    def __init__(self, seed: int) -> None:
        self.rng = Random(seed)
        ids = self.rng.choice(["abc", "abc", "abcde", ("a", "b", "c", "d?"), "a", "ab"])
        self.cluster = Cluster.of(*ids, terms=(1,))
        self.leaders: dict[int, str] = {}
        self.committed: list[Entry] = []
        self.reads: dict[tuple[str, int], int] = {}
        self.seen: dict[str, int] = {}
        self.value = 0

    # ---- what happens ----

    def step(self) -> None:
        """One thing happens."""
        rng, cluster = self.rng, self.cluster
        machine = rng.choice(list(cluster.machines.values()))
        what = rng.random()
        if what < 0.55 and cluster.queue:
            self.message()
        elif what < 0.8:
            self.time()
        elif what < 0.94:
            with contextlib.suppress(Unavailable, RequestRefused):
                self.ask(machine)
        else:
            self.trouble(machine)
        cluster.drain()
        self.check()

    def message(self) -> None:
        """One message is delivered, mostly the oldest; or lost; or there are two of it."""
        rng, queue = self.rng, self.cluster.queue
        place = 0 if rng.random() < 0.7 else rng.randrange(len(queue))
        fate = rng.random()
        if fate < 0.03:
            queue.pop(place)
        elif fate < 0.05:
            queue.append(queue[place])
        else:
            self.cluster.deliver(place)

    def time(self) -> None:
        """A little time passes; who has something to do does it, perhaps late."""
        cluster = self.cluster
        cluster.now += self.rng.choice([0.0, 0.001, 0.01, 0.03])
        for machine in cluster.machines.values():
            deadline = machine.core.next_deadline()
            if deadline is not None and deadline <= cluster.now and self.rng.random() < 0.9:
                machine.core.wake(cluster.now)
            if machine.disk == "slow" and self.rng.random() < 0.3:
                machine.sync()

    def ask(self, machine: Machine) -> None:
        """Somebody wants something of one server."""
        rng, core, now = self.rng, machine.core, self.cluster.now
        what = rng.random()
        if what < 0.6:
            self.value += 1
            core.propose(b"%d" % self.value, now)
        elif what < 0.85:
            newest = max(len(self.committed), core.commit_index)
            self.reads[machine.id, core.read(now)] = newest
        elif what < 0.9:
            core.transfer_leadership(None, now)
        elif what < 0.93:
            core.step_down(now)
        else:
            other = rng.choice(list(self.cluster.machines))
            rng.choice([
                lambda: core.add_voter(other, f"{other}:8300", now),
                lambda: core.add_nonvoter(other, f"{other}:8300", now),
                lambda: core.demote(other, now),
                lambda: core.remove_server(other, now),
            ])()  # fmt: skip

    def trouble(self, machine: Machine) -> None:
        """Something goes wrong, or right again."""
        rng, cluster = self.rng, self.cluster
        what = rng.random()
        if what < 0.15:
            cluster.restart(machine.id)
            machine.ready.clear()
            self.seen.pop(machine.id, None)
            self.reads = {key: index for key, index in self.reads.items() if key[0] != machine.id}
        elif what < 0.3:
            index = len(machine.applied) - rng.randrange(3)
            if index > max(machine.core.log.base, machine.log.first) and index <= machine.log.last:
                machine.compact(index)
        elif what < 0.5:
            machine.disk = rng.choice(["ok", "slow", "full"])
            machine.sync()
        elif what < 0.7:
            machine.disk = "ok"
            machine.sync()
        elif what < 0.8:
            cluster.cut(machine.id)
        elif what < 0.85:
            other = rng.choice(list(cluster.machines))
            cluster.cuts.add((machine.id, other))
        else:
            cluster.heal()

    def recover(self) -> None:
        """Everything works again: a leader must be found, and a write go through."""
        cluster = self.cluster
        cluster.heal()
        for machine in cluster.machines.values():
            machine.disk = "ok"
            machine.sync()
        cluster.wait(15.0)
        self.check()
        leaders = [machine.core for machine in cluster.machines.values() if machine.core.role is Role.LEADER]
        assert leaders, "no leader"
        core = max(leaders, key=lambda each: each.term)
        index = core.propose(b"last", cluster.now)
        cluster.wait(5.0)
        self.check()
        for id in core.members.others(""):
            assert len(cluster.machines[id].applied) >= index, f"{id} has not applied {index}"

    # ---- what must hold ----

    def check(self) -> None:
        """After every step."""
        for machine in self.cluster.machines.values():
            self.one_leader_a_term(machine)
            self.same_commands(machine)
            self.reads_are_fresh(machine)
            self.lease_is_true(machine)

    def one_leader_a_term(self, machine: Machine) -> None:
        core = machine.core
        if core.role is Role.LEADER:
            known = self.leaders.setdefault(core.term, machine.id)
            assert known == machine.id, f"two leaders in term {core.term}: {known} and {machine.id}"

    def same_commands(self, machine: Machine) -> None:
        """State machine safety: the same entries in the same order everywhere."""
        begin = min(self.seen.get(machine.id, 0), len(machine.applied))
        for place in range(begin, len(machine.applied)):
            entry = machine.applied[place]
            if place == len(self.committed):
                self.committed.append(entry)
                self.complete(place + 1)
            assert self.committed[place] == entry, f"{machine.id} applied {entry}, others {self.committed[place]}"
        self.seen[machine.id] = len(machine.applied)

    def complete(self, index: int) -> None:
        """Leader completeness: whoever leads a term later than that of a committed entry has the entry."""
        for machine in self.cluster.machines.values():
            core = machine.core
            wanted = self.committed[index - 1]
            if core.role is Role.LEADER and core.term > wanted.term and index > core.log.base:
                assert index <= core.log.last and core.log.term(index) == wanted.term, f"{machine.id} lacks {wanted}"

    def reads_are_fresh(self, machine: Machine) -> None:
        for ready in machine.ready:
            newest = self.reads.pop((machine.id, ready.ticket))
            assert ready.index >= newest, f"{machine.id} reads at {ready.index}, committed was {newest}"
        machine.ready.clear()

    def lease_is_true(self, machine: Machine) -> None:
        core = machine.core
        if core.lease_valid(self.cluster.now):
            newest = max(each.core.commit_index for each in self.cluster.machines.values())
            assert core.commit_index >= newest, f"{machine.id} trusts its lease at {core.commit_index} of {newest}"


class ScheduleTests(SynchronousTestCase):
    """Each seed is one schedule."""

    def play(self, seed: int) -> World:
        """All of one."""
        world = World(seed)
        for _ in range(STEPS):
            world.step()
            world.cluster.lines.clear()
        world.recover()
        return world

    def test_safeAndAlive(self) -> None:
        """Whatever happens, nothing committed is lost or read stale; when it is over, writes go through."""
        for seed in range(SCHEDULES):
            try:
                self.play(seed)
            except Exception as error:
                raise AssertionError(f"seed {seed}: {error!r}") from error
