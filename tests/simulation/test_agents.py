"""Whole agents in bad worlds, some at each commit, and what finds mistakes there."""

from __future__ import annotations

import os
import time
from typing import Any
from unittest.mock import patch

from twisted.internet.defer import Deferred, succeed
from twisted.trial.unittest import SynchronousTestCase

from tests.simulation.test_raft import seed_base
from txconsul.simulation.__main__ import simulate
from txconsul.simulation.agents import AgentsWorld
from txconsul.simulation.agents_workloads import Registers
from txconsul.storage.memory import MemoryLogStore

#: Worlds at each commit, and the CPU seconds after which no more are begun.
SEEDS = int(os.environ.get("TXCONSUL_AGENTS_SEEDS", "200"))
CPU_SECONDS_MAX = 60


class AgentsTests(SynchronousTestCase):
    """No law is broken in any world."""

    def test_sameSeedSameTranscript(self) -> None:
        """One seed is one history, to the last answer."""
        hashes = []
        for _ in range(2):
            world = AgentsWorld(3)
            world.run()
            hashes.append((world.transcript.hash, world.transcript.count))
        self.assertEqual(hashes[0], hashes[1])
        self.assertGreater(hashes[0][1], 200)

    def test_seeds(self) -> None:
        """Some worlds that no commit before has seen."""
        began, base = time.process_time(), seed_base()
        for seed in range(base, base + SEEDS):
            report = simulate(seed, kind="agents")
            if report is not None:
                self.fail("\n" + report)
            if time.process_time() - began > CPU_SECONDS_MAX:
                break


class MistakeTests(SynchronousTestCase):
    """Mistakes that are planted are found."""

    def found(self, seeds: range) -> str:
        """What is said of the first world in which something is wrong."""
        for seed in seeds:
            report = simulate(seed, 1, kind="agents")
            if report is not None:
                return report
        raise self.failureException("nothing was found")

    def test_lostWrites(self) -> None:
        """A disk that says too early that all is on it."""

        def sync(store: Any) -> Deferred[int]:
            return succeed(store.last)

        with patch.object(MemoryLogStore, "sync", sync):
            report = self.found(range(40))
        self.assertIn("histories_are_linearizable", report)
        self.assertIn("again:   python -m txconsul.simulation agents --seed", report)

    def test_oldAnswers(self) -> None:
        """Reads that are answered from the past."""
        kept: dict[str, Any] = {}
        honest = Registers._read

        async def late(client: Any, key: str, target: str, understand: Any) -> Any:
            def old(answer: Any) -> Any:
                before, kept[key] = kept.get(key), answer
                return understand(before or answer)

            return await honest(client, key, target, old)

        with patch.object(Registers, "_read", late):
            self.assertIn("registers: r", self.found(range(40)))

    def test_silence(self) -> None:
        """Clients that are not answered any more."""

        def forget(world: AgentsWorld, agent: Any) -> None:
            """Nobody starts it again."""

        with patch.object(AgentsWorld, "_restart", forget):
            self.assertIn("not well in 180.0 s (alive_after_healing)", self.found(range(40)))
