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
STEPS = 2000

#: What can happen, and about how often.
ACTIONS = {
    "message": 12.0,
    "time": 6.0,
    "propose": 2.0,
    "read": 0.7,
    "transfer": 0.05,
    "step_down": 0.02,
    "change": 0.1,
    "crash": 0.05,
    "compact": 0.1,
    "disk": 0.1,
    "sync": 0.3,
    "cut": 0.05,
    "heal": 0.15,
    "sleep": 0.03,
}


class World:
    """A cluster, what is done to it, and what must hold all the time."""

    def __init__(self, seed: int) -> None:
        self.rng = Random(seed)
        ids = self.rng.choice(["abc", "abc", "abcde", ("a", "b", "c", "d?"), "a", "ab"])
        self.cluster = Cluster.of(*ids, terms=(1,))
        self.asleep: dict[str, float] = {}
        self.leaders: dict[int, str] = {}
        self.committed: list[Entry] = []
        self.reads: dict[tuple[str, int], int] = {}
        self.seen: dict[str, int] = {}
        self.value = 0
        # Each schedule has its own mixture: what is rare in one is frequent in another.
        self.weights = [weight * self.rng.choice([0.0, 0.3, 1.0, 1.0, 4.0]) for weight in ACTIONS.values()]
        self.weights[:2] = list(ACTIONS.values())[:2]
        self.step_seconds = self.rng.choice([0.005, 0.02, 0.06])

    # ---- what happens ----

    def step(self) -> None:
        """One thing happens."""
        machine = self.rng.choice(list(self.cluster.machines.values()))
        (action,) = self.rng.choices(list(ACTIONS), self.weights)
        with contextlib.suppress(Unavailable, RequestRefused):
            getattr(self, action)(machine)
        self.cluster.drain()
        self.check()

    def message(self, _: Machine) -> None:
        """One message is delivered, mostly the oldest; or lost; or there are two of it."""
        rng, queue = self.rng, self.cluster.queue
        awake = [place for place, (_, to, _) in enumerate(queue) if to not in self.asleep]
        if not awake:
            return
        place = awake[0] if rng.random() < 0.7 else rng.choice(awake)
        fate = rng.random()
        if fate < 0.03:
            queue.pop(place)
        elif fate < 0.05:
            queue.append(queue[place])
        else:
            self.cluster.deliver(place)

    def time(self, _: Machine) -> None:
        """A little time passes; who has something to do does it, perhaps late."""
        cluster = self.cluster
        cluster.now += self.rng.uniform(0.0, self.step_seconds)
        for machine in cluster.machines.values():
            if self.asleep.get(machine.id, 0.0) > cluster.now:
                continue
            self.asleep.pop(machine.id, None)
            deadline = machine.core.next_deadline()
            if deadline is not None and deadline <= cluster.now and self.rng.random() < 0.9:
                machine.core.wake(cluster.now)
            if machine.disk == "slow" and self.rng.random() < 0.3:
                machine.sync()

    def propose(self, machine: Machine) -> None:
        """Somebody, most likely a leader, is given a command."""
        self.value += 1
        self.some_leader(machine).core.propose(b"%d" % self.value, self.cluster.now)

    def read(self, machine: Machine) -> None:
        """Somebody reads; what is committed anywhere by now must be seen."""
        core = self.some_leader(machine).core
        newest = len(self.committed)
        self.reads[core.id, core.read(self.cluster.now)] = newest

    def transfer(self, machine: Machine) -> None:
        """A leader hands over."""
        self.some_leader(machine).core.transfer_leadership(None, self.cluster.now)

    def step_down(self, machine: Machine) -> None:
        """A leader gives up."""
        machine.core.step_down(self.cluster.now)

    def change(self, machine: Machine) -> None:
        """The membership changes."""
        rng, now, core = self.rng, self.cluster.now, self.some_leader(machine).core
        other = rng.choice(list(self.cluster.machines))
        what = rng.randrange(5)
        if what <= 1:
            core.add_voter(other, f"{other}:8300", now)
        elif what == 2:
            core.add_nonvoter(other, f"{other}:8300", now)
        elif what == 3:
            core.demote(other, now)
        else:
            core.remove_server(other, now)

    def some_leader(self, machine: Machine) -> Machine:
        """A server that thinks it leads, if there is one: not always the newest."""
        leaders = [each for each in self.cluster.machines.values() if each.core.role is Role.LEADER]
        return self.rng.choice(leaders) if leaders else machine

    def crash(self, machine: Machine) -> None:
        """A server begins again with what was durable."""
        self.cluster.restart(machine.id)
        machine.ready.clear()
        self.seen.pop(machine.id, None)
        self.reads = {key: index for key, index in self.reads.items() if key[0] != machine.id}

    def compact(self, machine: Machine) -> None:
        """A server takes a snapshot."""
        index = len(machine.applied) - self.rng.randrange(3)
        if index > max(machine.core.log.base, machine.log.first) and index <= machine.log.last:
            machine.compact(index)

    def disk(self, machine: Machine) -> None:
        """A disk gets slow, or full, or well again."""
        machine.disk = self.rng.choice(["ok", "slow", "slow", "full"])
        machine.sync()

    def sync(self, machine: Machine) -> None:
        """A disk has done its work, and is well."""
        machine.disk = "ok"
        machine.sync()

    def cut(self, machine: Machine) -> None:
        """A server is alone, or one way is cut."""
        if self.rng.random() < 0.7:
            self.cluster.cut(machine.id)
        else:
            self.cluster.cuts.add((machine.id, self.rng.choice(list(self.cluster.machines))))

    def heal(self, _: Machine) -> None:
        """All ways are open."""
        self.cluster.heal()

    def sleep(self, machine: Machine) -> None:
        """A server stands still for a while, and does not know."""
        self.asleep[self.some_leader(machine).id] = self.cluster.now + self.rng.uniform(0.0, 3.0)

    def recover(self) -> None:
        """Everything works again: a leader must be found, and a write go through."""
        cluster = self.cluster
        cluster.heal()
        self.asleep.clear()
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
        """Leader completeness: the newest leader has every committed entry."""
        wanted = self.committed[index - 1]
        for machine in self.cluster.machines.values():
            core = machine.core
            if core.role is Role.LEADER and core.term == max(self.leaders, default=0) and index > core.log.base:
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
