"""
What endpoints need of the gossip pools that the agent belongs to.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Protocol

from txconsul.records.coordinate import Position

__all__ = ["Pool", "Pools"]


class Pool(Protocol):
    """One pool; L{txconsul.gossip.GossipPool} is one."""

    @property
    def core(self) -> Any:
        """The Serf node: to be looked at. The pool must be open."""

    def do(self, verb: Callable[[Any, float], Any]) -> Any:
        """Have the core do something: C{verb(node, now)}. @return: what that returns."""


class Pools(Protocol):
    """All of one agent; C{txconsul.agent.pools.Pools} is that."""

    @property
    def lan(self) -> Pool:
        """The datacenter's."""

    @property
    def wan(self) -> Pool | None:
        """That of all datacenters' servers; None where the agent is in none."""

    @property
    def position(self) -> Position | None:
        """Where the agent is in its datacenter's network; None before the pool is open."""
