"""
What a gossip pool does, measured in virtual time: C{python -m txconsul.simulation gossip}.

Sources: SWIM section 5 for what is measured; Lifeguard section V for nodes whose sending and receiving is held up.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from random import Random
from statistics import median

from msgspec.structs import replace

from txconsul.simulation.gossip import GossipWorld
from txconsul.simulation.gossip_churn import pruning, replacing
from txconsul.swim.messages import State
from txconsul.swim.outputs import Change, MemberChanged, Output, Problem
from txconsul.swim.timing import LAN, Timing, suspicion_minimum

__all__ = ["EXPERIMENTS"]

#: Lifeguard's two arithmetical parts switched off; what is left is SWIM with suspicion.
WITHOUT_LIFEGUARD = replace(LAN, awareness_max_multiplier=1, suspicion_max_timeout_mult=1)


def dissemination(nodes: int, seed: int, loss: float = 0.0) -> str:
    """How long a word about a member takes to reach all but one in ten thousand; and all."""
    world = GossipWorld(nodes, seed, loss=loss)
    heard: dict[int, float] = {}

    def told(now: float, number: int, output: Output) -> None:
        if isinstance(output, MemberChanged) and output.member.name == "node-0":
            heard.setdefault(number, now)

    world.run(3.0)
    world.told = told
    begin = world.now
    world.do(0, lambda node: node.change_meta(b"changed", world.now))
    world.run(10.0, lambda: len(heard) >= nodes * 0.9999)
    most = world.now - begin
    world.run(120.0, lambda: len(heard) == nodes)
    missing = nodes - len(heard)
    whole = f"all in {world.now - begin:.2f} s" if not missing else f"{missing} never heard of it"
    lossy = f", {loss:.0%} of packets lost" if loss else ""
    return f"{nodes} nodes{lossy}: 99.99 % in {most:.2f} s, {whole}"


def _deaths(nodes: int, seed: int, deaths: int) -> list[tuple[float, float]]:
    """How long after each death somebody suspected the member, and somebody called it dead."""
    world = GossipWorld(nodes, seed)
    random, died = Random(seed), dict[str, float]()
    suspected: dict[str, float] = {}
    dead: dict[str, float] = {}

    def told(now: float, number: int, output: Output) -> None:
        if isinstance(output, Problem):
            name = output.text.split(" ", 1)[0]
            if name in died:
                suspected.setdefault(name, now - died[name])
        elif isinstance(output, MemberChanged) and output.change is Change.GONE and output.member.name in died:
            dead.setdefault(output.member.name, now - died[output.member.name])

    world.told = told
    world.run(5.0)
    for number in random.sample(range(nodes), deaths):
        world.kill(number)
        died[f"node-{number}"] = world.now
        world.run(1.0 + random.random())
    world.run(60.0, lambda: len(dead) == deaths)
    return [(suspected[name], dead[name]) for name in died if name in dead]


def detection(nodes: int, seed: int, deaths: int, worlds: int) -> str:
    """How long it takes from a death to the first suspicion, and from there to the first who calls the member dead."""
    found = [one for world in range(worlds) for one in _deaths(nodes, seed + world, deaths)]
    first = median([suspected for suspected, _ in found])
    after = median([dead - suspected for suspected, dead in found])
    least = suspicion_minimum(LAN.suspicion_mult, nodes, LAN.probe_interval)
    return (
        f"{worlds * deaths} deaths in pools of {nodes}: first suspicion after {first:.2f} probe periods (median), dead "
        f"{after:.2f} s later (the least suspicion lasts {least:.2f} s), {worlds * deaths - len(found)} not found"
    )


def _false_positives(timing: Timing, seed: int, nodes: int, stalled: int, seconds: float) -> int:
    """How often somebody calls a member dead that never stalled, while some are held up again and again."""
    world, random = GossipWorld(nodes, seed, timing=timing), Random(seed)
    sick = random.sample(range(nodes), stalled)
    names = {f"node-{number}" for number in sick}
    false = 0

    def told(now: float, number: int, output: Output) -> None:
        nonlocal false
        if isinstance(output, MemberChanged) and output.member.state is State.DEAD:
            false += output.member.name not in names

    def hold_up(number: int) -> None:
        if world.now < seconds:
            held = random.uniform(8.0, 16.0)
            world.stall(number, held)
            world.after(held + 0.05, lambda: hold_up(number))

    world.told = told
    for number in sick:
        world.after(random.random() * 5.0, lambda number=number: hold_up(number))  # type: ignore[misc]
    world.run(seconds + 30.0)
    return false


def lifeguard(nodes: int, seeds: range, stalled: int = 8, seconds: float = 120.0) -> str:
    """False positives with and without Lifeguard, the same seeds."""
    with_, without = (
        sum(_false_positives(timing, seed, nodes, stalled, seconds) for seed in seeds)
        for timing in (LAN, WITHOUT_LIFEGUARD)
    )
    ratio = f"{without / with_:.0f} times fewer" if with_ else "none left"
    return (
        f"{nodes} nodes, {stalled} held up 8 to 16 s again and again for {seconds:.0f} s, {len(seeds)} seeds: "
        f"{without} false positives without Lifeguard, {with_} with it: {ratio}"
    )


def pace(nodes: int, seed: int, seconds: float = 20.0) -> str:
    """How fast virtual time passes in a pool that has converged."""
    world = GossipWorld(nodes, seed)
    world.run(2.0)
    packets, begin = world.packets, time.process_time()
    world.run(seconds)
    spent = time.process_time() - begin
    sent = world.packets - packets
    return (
        f"{nodes} nodes: {seconds / spent:.1f} virtual seconds a CPU second, {sent} packets in {seconds:.0f} s, "
        f"digest {world.digest}"
    )


#: What there is to see, by name: each gives a line.
EXPERIMENTS: dict[str, Callable[[int], list[str]]] = {
    "dissemination": lambda seed: [dissemination(1000, seed), dissemination(10_000, seed)],
    "loss": lambda seed: [dissemination(1000, seed, loss=0.25)],
    "detection": lambda seed: [detection(100, seed, 10, 100)],
    "lifeguard": lambda seed: [lifeguard(128, range(seed, seed + 5))],
    "pruning": lambda seed: [pruning(1000, seed)],
    "replacing": lambda seed: [replacing(2000, seed)],
    "pace": lambda seed: [pace(10_000, seed)],
}
