"""
What an agent is to its datacenter: a server, which replicates the state, or a client, which keeps none.

Everything else of an agent (its edges, its checks, its gossip) is the same for both.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Protocol

from twisted.internet.defer import Deferred

from txconsul.agent.reloading import Part as ReloadedPart
from txconsul.endpoints.door import Door
from txconsul.endpoints.site import Site
from txconsul.gossip import GossipPool
from txconsul.metrics.metrics import Gauge
from txconsul.records.catalog import RegisterRequest
from txconsul.serf.outputs import Event

__all__ = ["Part"]


class Part(Protocol):
    """
    L{txconsul.agent.server_part.ServerPart} and L{txconsul.agent.client_part.ClientPart} are these.

    @ivar door: where everything is asked.
    @ivar site: what is behind it.
    @ivar ready: fires when the datacenter's servers can be asked for the first time.
    """

    door: Door
    site: Site
    ready: Deferred[None]

    def heard(self, pool: GossipPool, event: Event) -> None:
        """Gossip tells of something."""

    def leader_address(self) -> str:
        """Where the leader's Raft is; empty where that is not known."""

    def register(self, registration: RegisterRequest) -> None:
        """Its own node is to be in the catalog like this from now on."""

    def reloadable(self) -> list[ReloadedPart]:
        """What can change while it runs."""

    def gauges(self) -> Iterator[Gauge]:
        """Values that are looked at when somebody wants to know."""

    def stats(self) -> dict[str, dict[str, str]]:
        """What it tells of itself, by topic."""
