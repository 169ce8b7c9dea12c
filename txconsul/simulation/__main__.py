"""
C{python -m txconsul.simulation raft|agents --seeds N}: as many worlds as you like, and how to see a failure again.
"""

from __future__ import annotations

import argparse
import sys
import time
from collections.abc import Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from functools import partial
from random import SystemRandom

from twisted.logger import globalLogBeginner, textFileLogObserver

from txconsul.simulation.agents import AgentsWorld
from txconsul.simulation.gossip_experiments import EXPERIMENTS
from txconsul.simulation.invariants import Broken
from txconsul.simulation.report import failure
from txconsul.simulation.world import World

_ABOUT = "Groups of simulated servers on a bad day: as many worlds as you like, and how to see a failure again."
#: Seconds between two words on how far it is.
_TELL_SECONDS = 10.0


#: By what the command line calls them.
WORLDS: dict[str, type[World | AgentsWorld]] = {one.kind: one for one in (World, AgentsWorld)}


def simulate(
    seed: int, servers: int | None = None, until: float | None = None, lines: int = 12, kind: str = World.kind
) -> str | None:
    """@return: what was broken in the world of this seed, or None."""
    world = WORLDS[kind](seed, servers)
    try:
        world.run(until)
    except Broken as broken:
        return failure(world, broken, servers, lines)
    return None


def _results(kind: str, seeds: Sequence[int], servers: int | None, jobs: int) -> Iterator[str | None]:
    run = partial(simulate, servers=servers, kind=kind)
    if jobs == 1:
        yield from map(run, seeds)
        return
    with ProcessPoolExecutor(jobs, initializer=_quiet) as pool:
        yield from pool.map(run, seeds, chunksize=4)


def _quiet() -> None:
    globalLogBeginner.beginLoggingTo([], redirectStandardIO=False)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m txconsul.simulation", description=_ABOUT)
    kinds = parser.add_subparsers(dest="kind", required=True)
    raft = kinds.add_parser(World.kind, help="groups of Raft servers with their drivers")
    agents = kinds.add_parser(AgentsWorld.kind, help="whole agents with their HTTP APIs, and what clients see of them")
    for kind in (raft, agents):
        _add_world_options(kind)
    gossip = kinds.add_parser("gossip", help="pools of gossip nodes: what they do, measured in virtual time")
    gossip.add_argument("experiments", nargs="*", metavar="EXPERIMENT", help=f"{', '.join(EXPERIMENTS)}; else all")
    gossip.add_argument("--seed", type=int, default=1)
    return parser


def _add_world_options(kind: argparse.ArgumentParser) -> None:
    kind.add_argument("--seeds", type=int, metavar="N", help="how many worlds to run")
    kind.add_argument("--first", type=int, metavar="SEED", help="the first of them; else it is drawn")
    kind.add_argument("--seed", type=int, help="one world, with all of its transcript's end and its log")
    kind.add_argument("--until", type=float, metavar="T", help="stop after so many simulated seconds")
    kind.add_argument("--servers", type=int, choices=(1, 3, 5), help="else the seed chooses")
    kind.add_argument("--jobs", type=int, default=1, metavar="J", help="processes")
    kind.add_argument("--lines", type=int, default=40, metavar="L", help="of the transcript, with --seed")


def _measure(names: Sequence[str], seed: int) -> int:
    """Print what each experiment gives. @return: the exit status."""
    unknown = [name for name in names if name not in EXPERIMENTS]
    if unknown:
        print(f"no such experiment: {', '.join(unknown)}; there are {', '.join(EXPERIMENTS)}", file=sys.stderr)
        return 2
    for name in names or EXPERIMENTS:
        for line in EXPERIMENTS[name](seed):
            print(f"{name}: {line}", flush=True)
    return 0


def main(arguments: Sequence[str] | None = None) -> int:
    """@return: the exit status: 1 if anything was broken."""
    options = _parser().parse_args(arguments)
    if options.kind == "gossip":
        return _measure(options.experiments, options.seed)
    if options.seed is not None:
        globalLogBeginner.beginLoggingTo([textFileLogObserver(sys.stderr)], redirectStandardIO=False)
        told = simulate(options.seed, options.servers, options.until, options.lines, options.kind)
        print(told or f"seed {options.seed}: all is well")
        return 1 if told else 0
    _quiet()
    count = options.seeds or 100
    first = SystemRandom().randrange(1 << 32) if options.first is None else options.first
    began = told_at = time.monotonic()
    failed = 0
    for done, told in enumerate(_results(options.kind, range(first, first + count), options.servers, options.jobs), 1):
        if told is not None:
            failed += 1
            print(told, flush=True)
        now = time.monotonic()
        if now - told_at >= _TELL_SECONDS:
            told_at = now
            print(f"{done} of {count} seeds, {failed} failed, {now - began:.0f} s", flush=True)
    print(f"{count} seeds from {first}: {failed} failed, {time.monotonic() - began:.0f} s")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
