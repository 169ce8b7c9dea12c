"""
An agent that is a client: it keeps no state, and asks servers.

Behind its door is a state that stays empty: every request that does not concern the agent itself is placed at a server,
by the same rule as everywhere.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, BinaryIO

from twisted.application.service import MultiService
from twisted.internet.defer import Deferred, fail

from txconsul.agent import reloading
from txconsul.agent.configuration.model import Configuration
from txconsul.agent.outside import Outside
from txconsul.agent.pools import Pools
from txconsul.agent.tags import server_of
from txconsul.codec.duration import SECOND
from txconsul.endpoints.door import Door
from txconsul.endpoints.leading import Leading
from txconsul.endpoints.methods import METHODS
from txconsul.endpoints.placing import Me
from txconsul.endpoints.site import Facts, Saved, Site
from txconsul.errors import NoKnownServers
from txconsul.gossip import GossipPool
from txconsul.interfaces import INetwork
from txconsul.metrics.metrics import Gauge, Metrics
from txconsul.records.catalog import RegisterRequest
from txconsul.records.raft import Configuration as Group
from txconsul.serf.coordinate import ORIGIN
from txconsul.serf.outputs import Event, MemberEvent
from txconsul.state.store import Store

__all__ = ["ClientPart"]


class _AtServers:
    """What an agent without a state has behind its door: nothing of this is here, and nobody gets so far as to ask."""

    leader_id = leader_address = ""
    configuration = Group()
    last_index = 0

    def propose(self, data: bytes, record: object) -> Deferred[Any]:
        """Servers propose."""
        return fail(NoKnownServers())

    def verify(self) -> Deferred[Any]:
        """It never leads."""
        return fail(NoKnownServers())

    def lease_valid(self) -> bool:
        """It never leads."""
        return False

    def last_contact(self) -> float | None:
        """It never hears of a leader."""
        return None

    def stats(self) -> dict[str, str]:
        """There is no Raft here."""
        return {}

    def remove(self, id: str) -> Deferred[int]:
        """Servers do."""
        return fail(NoKnownServers())

    def transfer_leadership(self, to: str | None = None) -> Deferred[None]:
        """Servers do."""
        return fail(NoKnownServers())

    def save(self) -> Deferred[Saved]:
        """Servers have what is to be saved."""
        return fail(NoKnownServers())

    def restore(self, archive: BinaryIO) -> Deferred[None]:
        """Servers do."""
        return fail(NoKnownServers())


class ClientPart(MultiService):
    """See L{Part<txconsul.agent.part.Part>}. @ivar departing: nobody depends on a client that leaves."""

    departing = None

    def __init__(
        self,
        configuration: Configuration,
        network: INetwork,
        outside: Outside,
        *,
        pools: Pools,
        facts: Facts,
        metrics: Metrics,
    ) -> None:
        super().__init__()
        it = configuration
        self._pools = pools
        self._datacenter = it.datacenter
        self._acl = "enabled" if it.acl.enabled else "disabled"
        self.ready: Deferred[None] = Deferred()
        nothing = _AtServers()
        self.site = Site(
            me=Me(it.datacenter, False, False, False, False),
            store=Store(),
            consensus=nothing,
            clock=network.clock,
            rng=outside.fork_random(),
            leading=Leading(network.clock.seconds, outside.new_id, int(it.session_ttl_min * SECOND), it.datacenter),
            default_query_time=it.default_query_time,
            max_query_time=it.max_query_time,
            hold_timeout=it.performance.rpc_hold_timeout,
            node_name=lambda id: "",
            facts=facts,
            snapshots=nothing,
            own_name=it.node_name,
            position=None if it.disable_coordinates else ORIGIN,
            metrics=metrics,
        )
        self.door = Door(self.site, METHODS)

    def heard(self, pool: GossipPool, event: Event) -> None:
        """See L{Part<txconsul.agent.part.Part>}."""
        if isinstance(event, MemberEvent) and not self.ready.called and self._servers():
            self.ready.callback(None)
            self.door.leader_changed()

    def _servers(self) -> int:
        found = (server_of(member) for member in self._pools.lan.core.members)
        return sum(one is not None and one.datacenter == self._datacenter for one in found)

    def leader_address(self) -> str:
        """Servers know."""
        return ""

    def register(self, registration: RegisterRequest) -> None:
        """A leader registers it, and it tells of itself."""

    def reloadable(self) -> list[reloading.Part]:
        """See L{Part<txconsul.agent.part.Part>}."""
        return []

    def gauges(self) -> Iterator[Gauge]:
        """See L{Part<txconsul.agent.part.Part>}."""
        yield Gauge("rpc.queries_blocking", self.site.blocking)

    def stats(self) -> dict[str, dict[str, str]]:
        """See L{Part<txconsul.agent.part.Part>}."""
        return {"consul": {"acl": self._acl, "known_servers": str(self._servers()), "server": "false"}}
