"""
What goes on in an agent's gossip pools, counted and measured under Serf's, memberlist's and Consul's names.

Nothing is done for each packet but two additions; members are counted when somebody wants to know.

Source: Consul's "Agent telemetry reference".
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator

from twisted.application.service import Service
from twisted.internet.interfaces import IReactorTime
from twisted.internet.task import LoopingCall
from twisted.logger import Logger

from txconsul.agent.pools import Pools
from txconsul.gossip import GossipPool
from txconsul.metrics.metrics import Gauge, Metrics
from txconsul.serf.messages import Status
from txconsul.serf.outputs import Event, EventKind, MemberEvent, UserEventCame
from txconsul.swim.messages import State

__all__ = ["PoolMetrics"]

#: How often it is looked how long queues are.
QUEUE_SECONDS = 30.0
#: The queues of L{SerfNode<txconsul.serf.node.SerfNode>}, in its order, as Serf calls them.
_QUEUES = ("Intent", "Query", "Event")
_EVENTS = {
    EventKind.JOIN: "join",
    EventKind.LEAVE: "left",
    EventKind.FAILED: "failed",
    EventKind.UPDATE: "update",
}
_STATES = {State.ALIVE: "alive", State.SUSPECT: "suspect", State.DEAD: "dead", State.LEFT: "left"}


class PoolMetrics(Service):
    """The instruments of one agent's pools."""

    name = "pool-metrics"
    _log = Logger("txconsul.agent")

    def __init__(self, pools: Pools, metrics: Metrics, datacenter: str, clock: IReactorTime) -> None:
        self._pools = pools
        self._labels = (("datacenter", datacenter),)
        self._networks = {"lan": pools.lan} if pools.wan is None else {"lan": pools.lan, "wan": pools.wan}
        self._counters = {
            (pool, kind): metrics.counter(f"serf.member.{word}", network=network)
            for network, pool in self._networks.items()
            for kind, word in _EVENTS.items()
        }
        self._events = {
            pool: metrics.counter("serf.events", network=network) for network, pool in self._networks.items()
        }
        self._queues = {
            pool: [metrics.sample(f"serf.queue.{queue}", network=network) for queue in _QUEUES]
            for network, pool in self._networks.items()
        }
        for network, pool in self._networks.items():
            metrics.counted("memberlist.udp.sent", lambda pool=pool: pool.sent_bytes, network=network)  # type: ignore[misc]
            metrics.counted("memberlist.udp.received", lambda pool=pool: pool.received_bytes, network=network)  # type: ignore[misc]
        metrics.gauges(self.gauges)
        pools.listen(self._hear)
        self._looking = LoopingCall(self._look)
        self._looking.clock = clock

    def startService(self) -> None:
        """See L{Service}."""
        super().startService()
        self._looking.start(QUEUE_SECONDS, now=False).addErrback(
            lambda reason: self._log.failure("Gossip is not measured any more", reason)
        )

    def stopService(self) -> None:
        """See L{Service}."""
        super().stopService()
        if self._looking.running:
            self._looking.stop()

    def _hear(self, pool: GossipPool, event: Event) -> None:
        if isinstance(event, MemberEvent):
            counter = self._counters.get((pool, event.kind))
            if counter is not None:
                counter.add()
        elif isinstance(event, UserEventCame):
            self._events[pool].add()

    def _look(self) -> None:
        for pool, samples in self._queues.items():
            if pool.node is not None:
                for sample, queue in zip(samples, pool.node.queues, strict=True):
                    sample.add(len(queue))

    def gauges(self) -> Iterator[Gauge]:
        """Who is there, and how well this node is."""
        for network, pool in self._networks.items():
            if pool.node is None:
                continue
            swim = pool.node.swim
            yield Gauge("memberlist.health.score", swim.health_score, (("network", network),))
            found = Counter(one.state for one in swim.members)
            for state, word in _STATES.items():
                yield Gauge("memberlist.node.instances", found[state], (("network", network), ("node_state", word)))
        lan = self._pools.lan.node
        alive = [one for one in lan.members if one.status is Status.ALIVE] if lan is not None else []
        servers = sum(1 for one in alive if one.tags.get("role") == "consul")
        yield Gauge("members.servers", servers, self._labels)
        yield Gauge("members.clients", len(alive) - servers, self._labels)
