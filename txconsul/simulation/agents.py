"""
Whole agents in a bad world: servers and clients with their HTTP APIs, some time of trouble, then peace.

What clients saw must be linearizable: every write, and every read that is C{consistent} or by the leader's lease. When
peace comes, requests must be answered again, and nothing may have gone wrong that nobody foresaw.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from random import Random
from typing import Any

from twisted.internet.defer import CancelledError, Deferred
from twisted.logger import ILogObserver, globalLogPublisher
from twisted.python.failure import Failure
from zope.interface import implementer

from txconsul.errors import DiskFailed, DiskFull
from txconsul.simulation.agents_faults import AgentsFaults
from txconsul.simulation.agents_workloads import PATIENCE_SECONDS, WORKLOADS, Lost, Refused, Workload
from txconsul.simulation.invariants import Broken
from txconsul.simulation.transcript import Transcript
from txconsul.testing.asking import Answer
from txconsul.testing.linearizability import History, Undecided, check
from txconsul.testing.memory_agent import MemoryAgent
from txconsul.testing.memory_cluster import MemoryCluster

__all__ = ["AgentsWorld"]

#: How long peace may take to become visible.
HEALING_SECONDS = 180.0
#: How many servers a world may have.
SIZES = (1, 3, 3)
#: Fast elections, so that much happens in few seconds.
CONFIGURATION = {"performance": {"raft_multiplier": 1}}


@implementer(ILogObserver)
class _Failures:
    """Hears of what is logged as a failure."""

    def __init__(self, failed: Callable[[Failure], object]) -> None:
        self._failed = failed

    def __call__(self, event: Any) -> None:
        """See L{ILogObserver}."""
        failure = event.get("log_failure")
        if failure is not None:
            self._failed(failure)


class AgentsWorld:
    """
    @ivar cluster: the agents.
    @ivar transcript: what happened.
    @ivar until: when trouble ends.
    @ivar values_given: how many values there are so far.
    """

    kind = "agents"

    def __init__(self, seed: int, servers: int | None = None) -> None:
        """@param servers: how many there are, or None to let the seed choose."""
        rng = self._rng = Random(f"agents {seed}")
        self.seed = seed
        chosen = rng.choice(SIZES)
        self.size = servers or chosen
        self.cluster = MemoryCluster(self.size, seed=seed, configuration=CONFIGURATION)
        self.clock = self.cluster.clock
        self.transcript = Transcript()
        self.values_given = 0
        self._broken: Broken | None = None
        self._moves = 0
        self.cluster.start()
        self.until = self.clock.now + rng.uniform(15.0, 60.0)
        kinds = [kind for kind in WORKLOADS if rng.random() < 0.6] or [WORKLOADS[0]]
        self.histories = {kind: History() for kind in kinds}
        self.clients: list[Workload] = [
            kind(self, number, Random(f"{kind.name} {number} {seed}"), self.histories[kind])
            for kind in kinds
            for number in range(rng.choice((2, 4)))
        ]
        for client in self.clients:
            client.start(rng.choice((0.05, 0.3)))
        self.faults = AgentsFaults(self, Random(f"faults {seed}"))

    # ---- what the parts ask ----

    def tell(self, line: str) -> None:
        """Into the transcript."""
        self.transcript.add(self.clock.now, line)

    def failed(self, reason: Failure) -> None:
        """A client came upon something that must not be; the run ends with the first."""
        if isinstance(reason.value, Broken):
            self._broken = self._broken or reason.value
        else:
            self._broken = self._broken or Broken("nothing_fails_unforeseen", reason.getTraceback())

    def value(self, number: int) -> str:
        """The text of a value: they are in order."""
        return f"v{number:06}"

    def next_value(self) -> str:
        """One that was never written."""
        self.values_given += 1
        return self.value(self.values_given)

    def any_agent(self, rng: Random) -> MemoryAgent:
        """One to be asked, whether it is up or not."""
        return rng.choice(list(self.cluster.agents.values()))

    def new_address(self, agent: MemoryAgent) -> str:
        """One that nobody had."""
        self._moves += 1
        return f"10.100.{self._moves // 250}.{self._moves % 250 + 1}"

    def restart_later(self, agent: MemoryAgent) -> None:
        """Start an agent again after a while."""
        self.clock.callLater(self._rng.choice((0.1, 1.0, 5.0)) * self._rng.random(), self._restart, agent)

    def _restart(self, agent: MemoryAgent) -> None:
        if not agent.is_up:
            self.tell(f"*> {agent.name} starts at {agent.address}")
            agent.start()

    # ---- the run ----

    def run(self, until: float | None = None) -> None:
        """
        Let it happen.

        @param until: stop then, whatever is going on.
        @raise Broken: a law was broken.
        """
        end = float("inf") if until is None else until
        with self._unforeseen():
            self._run(min(self.until, end))
            if end > self.until:
                self._heal(end)
                if self.clock.now < end:
                    self._judge()

    @contextmanager
    def _unforeseen(self) -> Iterator[None]:
        """What is logged as a failure counts as one."""

        observer = _Failures(self.failed)
        globalLogPublisher.addObserver(observer)
        try:
            yield
        finally:
            globalLogPublisher.removeObserver(observer)

    def _run(self, end: float) -> None:
        clock = self.clock
        while (due := clock.next_time()) is not None and due <= end:
            clock.step()
            self._look()
        clock.run_until(end)

    def _look(self) -> None:
        if self._broken is not None:
            raise self._broken
        for agent in self.cluster.agents.values():
            if agent.failure is not None and not agent.is_up:
                failure, agent.failure = agent.failure, None
                if failure.check(DiskFailed, DiskFull, CancelledError) is None:
                    raise Broken("agents_stop_for_a_reason", f"{agent.name}: {failure.getTraceback()}", (agent.name,))
                self.tell(f"*> {agent.name} stopped: {failure.getErrorMessage()}")
                self.restart_later(agent)

    def _heal(self, end: float) -> None:
        """Peace: every client must be answered again, and every agent answer."""
        self.tell("*> peace")
        self.faults.stop()
        deadline = min(self.clock.now + HEALING_SECONDS, end)
        answered = {client: client.answered for client in self.clients}
        waiting: list[Workload | MemoryAgent] = [*self.clients, *self.cluster.agents.values()]
        by_hand = self.clock.now + HEALING_SECONDS / 2
        while waiting and self.clock.now < deadline:
            if self.faults.moves and self.clock.now >= by_hand:
                by_hand = deadline
                self._restart_lost([one for one in waiting if isinstance(one, MemoryAgent)])
            self._run(min(self.clock.now + 1.0, deadline))
            for agent in self.cluster.agents.values():
                self._restart(agent)
            waiting = [
                one
                for one in waiting
                if not (self._answers(one) if isinstance(one, MemoryAgent) else one.answered >= answered[one] + 3)
            ]
        if waiting and self.clock.now < end:
            names = [one.name if isinstance(one, MemoryAgent) else one.client for one in waiting]
            raise Broken("alive_after_healing", f"{', '.join(names)} not well in {HEALING_SECONDS} s", names)
        for client in self.clients:
            client.stop()
        self._run(min(self.clock.now + 2 * PATIENCE_SECONDS, end))
        if self.clock.now < end:
            self._last_look()

    def _restart_lost(self, agents: list[MemoryAgent]) -> None:
        """
        Who was cut off until it was taken for dead, while all others moved, knows no address of theirs any more, nor
        do they look for it: somebody must start it again.
        """
        for agent in agents:
            self.tell(f"*> {agent.name} is lost, and started again")
            agent.kill()
            agent.start()

    def _answers(self, agent: MemoryAgent) -> bool:
        """Does it know the leader, and get what that says?"""
        asking = agent.request("GET", "/v1/kv/peace?consistent")
        asking.addTimeout(PATIENCE_SECONDS, self.clock)
        try:
            answer: Answer = self.cluster.result(asking)
        except Exception:  # whatever it is, the agent is not well
            return False
        return answer.status == 404

    def _last_look(self) -> None:
        """
        Every key is read once more. Whoever is asked may have been taken out of the group just now, because it was long
        unknown to gossip; it comes back.
        """
        deadline = self.clock.now + HEALING_SECONDS
        for kind in self.histories:
            client = next(one for one in self.clients if type(one) is kind)
            for key in client.keys:
                while not self._looked(client, key):
                    if self.clock.now > deadline:
                        text = f"{key} cannot be read {HEALING_SECONDS} s after the last clients were answered"
                        raise Broken("alive_after_healing", text, (client.client,))
                    self._run(self.clock.now + 1.0)

    def _looked(self, client: Workload, key: str) -> bool:
        try:
            self.cluster.result(Deferred.fromCoroutine(client.look(key)))
        except (Refused, Lost):
            return False
        return True

    def _judge(self) -> None:
        """Is there an order that explains what was seen?"""
        for kind, history in self.histories.items():
            try:
                violation = check(history.finish(), kind.model)
            except Undecided as error:
                raise Broken("histories_are_decided", str(error)) from None
            if violation is not None:
                raise Broken("histories_are_linearizable", f"{kind.name}: {violation}")
