"""
A few hundred worlds at each commit, and those that ever found something.

C{TXCONSUL_SEED_BASE} says where to begin; else it comes from the commit's hash, so that each commit sees others.
"""

from __future__ import annotations

import os
import re
import subprocess
import sys
import time
from pathlib import Path

from twisted.trial.unittest import SynchronousTestCase

from txconsul.simulation.__main__ import simulate
from txconsul.simulation.world import World

HERE = Path(__file__).parent
#: Worlds at each commit, and the CPU seconds after which no more are begun.
SEEDS = int(os.environ.get("TXCONSUL_SEEDS", "300"))
CPU_SECONDS_MAX = 200
#: Where to begin outside a checkout.
_BASE = 20_000


def seed_base() -> int:
    """The first seed of this commit."""
    named = os.environ.get("TXCONSUL_SEED_BASE")
    if named is not None:
        return int(named[:8], 16) if len(named) == 40 else int(named)  # a commit's hash from CI, a number from people
    try:
        found = subprocess.run(
            ["git", "rev-parse", "HEAD"], cwd=HERE, capture_output=True, text=True, check=True, timeout=10
        )
    except (OSError, subprocess.SubprocessError):
        return _BASE
    return int(found.stdout[:8], 16)


def failed_seeds() -> list[int]:
    """Seeds that ever found something."""
    lines = (HERE / "failed_seeds.txt").read_text().splitlines()
    return [int(match[0]) for line in lines if (match := re.match(r"\d+", line))]


class RaftTests(SynchronousTestCase):
    """No law is broken in any world."""

    def test_sameSeedSameTranscript(self) -> None:
        """One seed is one history, to the last message."""
        hashes = []
        for _ in range(2):
            world = World(3)
            world.run()
            hashes.append((world.transcript.hash, world.transcript.count))
        self.assertEqual(hashes[0], hashes[1])
        self.assertGreater(hashes[0][1], 1000)

    def test_sameSeedInAnotherProcess(self) -> None:
        """The order of a set, which differs between processes, decides nothing."""
        code = "from txconsul.simulation.world import World; w = World(3); w.run(4.0); print(w.transcript.hash)"
        hashes = []
        for number in (1, 2):
            environment = {**os.environ, "PYTHONHASHSEED": str(number), "PYTHONPATH": str(HERE.parent.parent)}
            ran = subprocess.run(
                [sys.executable, "-c", code], env=environment, capture_output=True, text=True, check=True, timeout=60
            )
            hashes.append(ran.stdout)
        self.assertEqual(hashes[0], hashes[1])
        self.assertRegex(hashes[0], "^[0-9a-f]{8}\n$")

    def test_otherSeedOtherTranscript(self) -> None:
        """Another seed is another history."""
        worlds = [World(seed) for seed in (4, 5)]
        for world in worlds:
            world.run(until=2.0)
        self.assertNotEqual(worlds[0].transcript.hash, worlds[1].transcript.hash)

    def test_failedSeeds(self) -> None:
        """What once was found is not there any more."""
        told = [report for seed in failed_seeds() if (report := simulate(seed)) is not None]
        self.assertEqual(told, [])

    def test_newSeeds(self) -> None:
        """Worlds that no earlier commit has seen."""
        base = seed_base()
        began = time.process_time()
        for seed in range(base, base + SEEDS):
            report = simulate(seed)
            if report is not None:
                self.fail("\n" + report)
            if time.process_time() - began > CPU_SECONDS_MAX:
                break


class LonelyTests(SynchronousTestCase):
    """A group of one keeps the same laws."""

    def test_oneServer(self) -> None:
        """A lone server in trouble."""
        for seed in range(20):
            self.assertIsNone(simulate(seed, servers=1))
