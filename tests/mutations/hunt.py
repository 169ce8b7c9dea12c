"""
Looks for a seed whose simulated world breaks a law when a mistake is planted.
"""

from __future__ import annotations

import time
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import NamedTuple

from tests.mutations.mistakes import MISTAKES
from txconsul.simulation.invariants import Broken
from txconsul.simulation.world import World

README = Path(__file__).parent / "README.md"

_HEAD = """# Planted mistakes

Each of these is planted into the code from outside (`mistakes.py`) and must be found by the simulation. The table is
written by `python -m tests.mutations`, which tries seeds from 0 on; `tests/mutations/test_mutations.py` runs the seeds
named here (and some after them, should other changes have made a seed pass).

| mistake | what is wrong | seed | law that broke | at (simulated s) | CPU s with this seed | CPU s from seed 0 |
|---|---|---|---|---|---|---|
"""


class Found(NamedTuple):
    """What showed a mistake: the seed, what broke and when, and how long that seed ran, in CPU seconds."""

    seed: int
    law: str
    at: float
    seconds: float


def hunt(name: str, seeds: Iterable[int]) -> Found | None:
    """@return: the first of C{seeds} that finds the mistake, or None."""
    plant, _ = MISTAKES[name]
    for seed in seeds:
        began = time.process_time()
        with plant():
            try:
                world = World(seed)
                world.run()
            except Broken as broken:
                return Found(seed, broken.law, world.clock.now, time.process_time() - began)
    return None


def write_table(rows: Sequence[tuple[str, Found | None, float]]) -> None:
    """Write what was found, and after how many seconds from the first seed on."""
    lines = []
    for name, found, search in rows:
        text = MISTAKES[name][1]
        if found is None:
            lines.append(f"| {name} | {text} | - | not found | - | - | {search:.1f} |")
        else:
            place = f"{found.seed} | {found.law} | {found.at:.1f} | {found.seconds:.2f} | {search:.1f}"
            lines.append(f"| {name} | {text} | {place} |")
    README.write_text(_HEAD + "\n".join(lines) + "\n")


def recorded() -> dict[str, int]:
    """The seeds of the table, by mistake."""
    seeds = {}
    for line in README.read_text().splitlines():
        cells = [cell.strip() for cell in line.strip("|").split("|")]
        if len(cells) == 7 and cells[2].isdigit():
            seeds[cells[0]] = int(cells[2])
    return seeds
