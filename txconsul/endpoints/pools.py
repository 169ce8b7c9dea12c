"""
What endpoints need of the gossip pools that the agent belongs to.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, Protocol

from twisted.internet.defer import Deferred

from txconsul.records.coordinate import DatacenterMap, Position

__all__ = ["Pool", "Pools"]


class Pool(Protocol):
    """One pool; L{txconsul.gossip.GossipPool} is one."""

    @property
    def core(self) -> Any:
        """The Serf node: to be looked at. The pool must be open."""

    def fire(self, name: str, payload: bytes, *, coalesce: bool = True) -> None:
        """Tell all members of something. @raise RequestRefused: name and payload have too many bytes."""

    def change_keys(self, operation: str, key: bytes = b"", *, relay_factor: int = 0) -> Deferred[Any]:
        """
        Have all members change or list their keys.

        @param operation: C{install}, C{use}, C{remove} or C{list}.
        @return: a Deferred of L{txconsul.serf.keyquery.KeyResults}.
        """

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

    def when_open(self) -> Deferred[None]:
        """@return: a Deferred firing when all pools are open; never if one cannot be."""

    @property
    def position(self) -> Position | None:
        """Where the agent is in its datacenter's network; None before the pool is open."""

    def join(self, addresses: Sequence[str], *, wan: bool = False) -> Deferred[int]:
        """Join by all who are spoken of. @return: fires with their number; fails if there was none."""

    def force_leave(self, name: str, *, wan: bool = False, prune: bool = False) -> None:
        """Have a failed member be gone for good. @raise InvalidRequest: there is none of the name."""

    def places(self) -> list[DatacenterMap]:
        """Where the servers of each datacenter are, as far as this agent knows, by datacenter."""
