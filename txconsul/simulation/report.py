"""
How a failed simulation is told, so that anybody can see it again.
"""

from __future__ import annotations

import subprocess
from math import ceil
from pathlib import Path
from typing import Any, Protocol

from txconsul.simulation.invariants import Broken
from txconsul.simulation.transcript import Transcript

__all__ = ["commit", "failure"]

#: Lines of the transcript that a report shows.
_LINES = 12


def commit() -> str:
    """The commit that runs, in short, or C{unknown} outside a checkout."""
    try:
        found = subprocess.run(
            ["git", "rev-parse", "--short", "HEAD"],
            cwd=Path(__file__).parent,
            capture_output=True,
            text=True,
            check=True,
            timeout=10,
        )
    except (OSError, subprocess.SubprocessError):
        return "unknown"
    return found.stdout.strip()


class World(Protocol):
    """
    A world of any kind.

    @ivar kind: what the command line calls it.
    @ivar size: how many servers there are.
    @ivar faults: whose text says what is going on.
    """

    kind: str
    seed: int
    size: int
    clock: Any
    faults: Any
    transcript: Transcript


def failure(world: World, broken: Broken, servers: int | None, lines: int = _LINES) -> str:
    """
    What was broken, how to see it again, what the world was like, and what those concerned did last.

    @param servers: as it was asked for on the command line.
    """
    until = ceil(world.clock.now * 10 + 1) / 10
    again = f"python -m txconsul.simulation {world.kind} --seed {world.seed} --until {until:.1f}"
    if servers is not None:
        again += f" --servers {servers}"
    conditions = str(world.faults)
    place = f"{world.size} servers, {conditions + ', ' if conditions else ''}commit {commit()}"
    last = world.transcript.last(lines, tuple(f"{id}>" for id in broken.who))
    told = [f"FAILED: {broken} ({broken.law})", f"  again:   {again}", f"  world:   {place}"]
    told += [f"  {'last:   ' if not number else '        '} {line}" for number, line in enumerate(last)]
    return "\n".join(told)
