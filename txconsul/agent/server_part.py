"""
An agent that is a server: its port, its server, and how its group begins.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator

from twisted.application.service import MultiService
from twisted.python.failure import Failure

from txconsul.agent import reloading
from txconsul.agent.configuration.model import Configuration
from txconsul.agent.departing import Departing
from txconsul.agent.gathering import Gathering
from txconsul.agent.gauges import server_gauges, state_gauges
from txconsul.agent.group import PoolGroup
from txconsul.agent.outside import Outside
from txconsul.agent.pools import Pools
from txconsul.agent.routing import Routing
from txconsul.agent.server import Server
from txconsul.agent.server_port import OwnPort
from txconsul.agent.server_settings import server_settings
from txconsul.agent.stores import Stores
from txconsul.codec.gotime import pack_time
from txconsul.endpoints.site import Facts
from txconsul.gossip import GossipPool
from txconsul.interfaces import INetwork
from txconsul.metrics.metrics import Gauge, Metrics
from txconsul.records.catalog import RegisterRequest
from txconsul.rpc.dialing import Dialer
from txconsul.serf.outputs import Event, EventKind, MemberEvent

__all__ = ["ServerPart"]


class ServerPart(MultiService):
    """
    See L{Part<txconsul.agent.part.Part>}.

    @ivar port: where servers meet.
    @ivar departing: what it does for its group when it leaves.
    @ivar server: what replicates the state and serves it.
    """

    def __init__(
        self,
        configuration: Configuration,
        stores: Stores,
        network: INetwork,
        outside: Outside,
        *,
        dialer: Dialer,
        pools: Pools,
        routing: Routing,
        facts: Facts,
        metrics: Metrics,
        registration: RegisterRequest,
        failed: Callable[[Failure], object],
    ) -> None:
        """
        @param registration: what the catalog is to say of this node.
        @param failed: told once if it cannot go on.
        """
        super().__init__()
        it = self._configuration = configuration
        self._pools = pools
        self.port = OwnPort(it, stores.node_id, network, dialer, failed=failed, metrics=metrics)
        group = PoolGroup(pools.lan, it.datacenter, routing.stats)
        self.server = Server(
            server_settings(it, stores.node_id, registration),
            log_store=stores.log,
            stable_store=stores.stable,
            snapshot_store=stores.snapshots,
            transport=self.port.raft,
            clock=network.clock,
            rng=outside.fork_random(),
            wall=lambda: pack_time(outside.wall_ns()),
            new_id=outside.new_id,
            facts=facts,
            failed=failed,
            metrics=metrics,
            group=group,
        )
        self.departing = Departing(stores.node_id, self.server.consensus, network.clock)
        self.port.serve(self.server, pools)
        self._gathering = Gathering(
            it.bootstrap_expect, it.datacenter, group.parts, routing.peers, self.server.consensus, network.clock
        )
        if it.bootstrap_expect > 1:
            self._gathering.setServiceParent(self)
        self.port.setServiceParent(self)
        self.server.setServiceParent(self)
        self.door, self.site, self.ready = self.server.door, self.server.site, self.server.ready

    def heard(self, pool: GossipPool, event: Event) -> None:
        """See L{Part<txconsul.agent.part.Part>}."""
        if pool is self._pools.lan and isinstance(event, MemberEvent):
            self.server.reconcile.heard(event.member, reaped=event.kind is EventKind.REAP)
            self._gathering.look()

    def leader_address(self) -> str:
        """See L{Part<txconsul.agent.part.Part>}."""
        return self.server.consensus.leader_address

    def register(self, registration: RegisterRequest) -> None:
        """See L{Part<txconsul.agent.part.Part>}."""
        self.server.reconcile.change(registration)

    def reloadable(self) -> list[reloading.Part]:
        """See L{Part<txconsul.agent.part.Part>}."""
        return [reloading.snapshots(self.server.consensus)]

    def gauges(self) -> Iterator[Gauge]:
        """See L{Part<txconsul.agent.part.Part>}."""
        yield from server_gauges(self.server)
        yield from state_gauges(self.server, self._configuration.datacenter)

    def stats(self) -> dict[str, dict[str, str]]:
        """See L{Part<txconsul.agent.part.Part>}."""
        consensus = self.server.consensus
        return {
            "consul": {
                "acl": "enabled" if self._configuration.acl.enabled else "disabled",
                "bootstrap": str(self._configuration.bootstrap).lower(),
                "known_datacenters": str(1 + len(self.site.other_datacenters())),
                "leader": str(consensus.is_leader).lower(),
                "leader_addr": consensus.leader_address,
                "server": "true",
            },
            "raft": consensus.stats(),
        }
