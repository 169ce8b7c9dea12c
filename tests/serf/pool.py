"""A pool of Serf nodes, on the network of tests.swim.pool."""

from __future__ import annotations

from random import Random
from typing import Any

from msgspec.structs import replace

from tests.swim.pool import Pool
from txconsul.serf.messages import Status
from txconsul.serf.node import SerfNode
from txconsul.serf.settings import Settings
from txconsul.swim.members import Address
from txconsul.swim.timing import LAN

__all__ = ["SerfPool"]


class SerfPool(Pool[SerfNode]):
    """@ivar settings: of nodes that are added."""

    def __init__(self, count: int, seed: int = 1, loss: float = 0.0, **settings: Any) -> None:
        self.settings = replace(Settings(timing=LAN), **settings)
        super().__init__(count, seed, LAN, loss)

    def make(self, name: str, address: Address, **options: Any) -> SerfNode:
        """A node."""
        options.setdefault("tags", {"role": "web"})
        random = Random(self.random.random())
        return SerfNode(name, address, settings=self.settings, random=random, now=self.now, **options)

    def join(self, node: SerfNode) -> None:
        """A node joins by the first one."""
        self.do(node, lambda: node.join(self.address(0), self.now))

    def status(self, name: str) -> set[Status | None]:
        """What all nodes hold of one."""
        known = [node.members.get(name) for node in self.nodes.values()]
        return {None if member is None else member.status for member in known}
