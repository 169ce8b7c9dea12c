"""
Serf pools that lose and change many members at once: what is left of who went, and how long the queues get.
"""

from __future__ import annotations

from collections.abc import Callable
from random import Random
from typing import Any

from txconsul.serf.messages import Status
from txconsul.serf.outputs import EventKind, MemberEvent
from txconsul.serf.settings import Settings
from txconsul.simulation.gossip import GossipWorld, address_of, name_of
from txconsul.swim.timing import LAN

__all__ = ["pruning", "replacing"]

#: Where nodes are in the network is not of interest here, and learning it takes half of the time.
_SETTINGS = Settings(timing=LAN, coordinates=False)
#: After so long all deaths are known to all.
_NOTICED = 120.0


def pruning(nodes: int, seed: int, share: float = 0.3, seconds: float = 3600.0) -> str:
    """Some die, and are force-left with C{-prune} by one node all at once: does anybody hear of them again?"""
    world = GossipWorld(nodes, seed, serf=_SETTINGS)
    died = Random(seed).sample(range(1, nodes), round(nodes * share))
    names = {name_of(number) for number in died}
    back = 0

    def told(now: float, number: int, output: Any) -> None:
        nonlocal back
        if isinstance(output, MemberEvent) and output.kind is EventKind.JOIN:
            back += output.member.name in names

    for number in died:
        world.kill(number)
    noticed = world.run(_NOTICED, lambda: len(world.nodes[0].members.failed) == len(died))
    took, begin = world.now, world.now

    def prune(node: Any) -> None:
        for name in sorted(names):
            node.force_leave(name, world.now, prune=True)

    world.told = told
    world.do(0, prune)
    spread = _every_second(world, 60.0, lambda: not _holding(world, names))
    gone = f"forgotten by all after {world.now - begin:.0f} s" if spread else "not forgotten by all within 60 s"
    world.run(seconds - (world.now - begin))
    return (
        f"{nodes} nodes, {len(died)} dead, known to one after {took:.0f} s{'' if noticed else ' (not all)'}, pruned by "
        f"it at once: {gone}; in {seconds:.0f} s {back} came back, at the end {_holding(world, names)} nodes hold any"
    )


def _holding(world: GossipWorld, names: set[str]) -> int:
    """How many nodes know any of these, dead or alive."""
    return sum(1 for node in world.nodes if node is not None and any(map(node.members.get, names)))


def replacing(nodes: int, seed: int, share: float = 0.5, seconds: float = 600.0) -> str:
    """Nodes die one after the other, and others come: how long do the queues get, and do all agree in the end?"""
    world, random = GossipWorld(nodes, seed, serf=_SETTINGS), Random(seed)
    died = random.sample(range(nodes), round(nodes * share))
    longest = 0

    def replace(number: int) -> None:
        world.kill(number)
        alive = [one for one, node in enumerate(world.nodes) if node is not None]
        joined = address_of(random.choice(alive))
        world.do(world.add(), lambda node: node.join(joined, world.now))

    def measured() -> bool:
        nonlocal longest
        for node in world.nodes:
            if node is not None:
                longest = max(longest, node.swim.queued, *map(len, node.queues))
        return False

    for turn, number in enumerate(died):
        world.after((turn + 1) * seconds / len(died), lambda number=number: replace(number))  # type: ignore[misc]
    _every_second(world, seconds, measured)
    _every_second(world, 60.0, measured)
    alive = {name_of(number) for number, node in enumerate(world.nodes) if node is not None}
    views = [
        {one.name for one in node.members if one.status is Status.ALIVE} for node in world.nodes if node is not None
    ]
    differ = sum(view != alive for view in views)
    return (
        f"{nodes} nodes, {len(died)} replaced in {seconds:.0f} s: the longest queue had {longest} messages; 60 s later "
        f"{len(views)} nodes hold {len(alive)} alive, {differ} of them differ"
    )


def _every_second(world: GossipWorld, seconds: float, done: Callable[[], bool]) -> bool:
    """Let time pass, and look once a second. @return: whether it was done."""
    end = world.now + seconds
    while world.now < end:
        world.run(min(1.0, end - world.now))
        if done():
            return True
    return False
