"""
The way from this agent to servers, kept true to who gossips.
"""

from __future__ import annotations

from collections.abc import Callable
from random import Random
from typing import Any

from twisted.application.service import Service
from twisted.internet.defer import Deferred

from txconsul.agent.configuration.model import Configuration
from txconsul.agent.pools import Pools
from txconsul.agent.tags import ServerParts, server_of, wide_name
from txconsul.codec.duration import SECOND, parse_duration
from txconsul.driver import Driver
from txconsul.gossip import GossipPool
from txconsul.interfaces import INetwork
from txconsul.raft.autopilot import NEVER, Stats
from txconsul.records.queries import DCSpecificRequest
from txconsul.records.status import RaftStats
from txconsul.rpc.dialing import Dialer, Peer
from txconsul.rpc.forwarding import Forwarder
from txconsul.rpc.pool import IDLE_SECONDS, IDLE_STREAMS_MAX, ConnectionPool
from txconsul.rpc.router import Ping, Router, by_distance
from txconsul.rpc.snapshot_asking import SnapshotAsker
from txconsul.serf.coordinate import compatible, distance
from txconsul.serf.members import Member
from txconsul.serf.messages import Status
from txconsul.serf.outputs import Event, EventKind, MemberEvent, MembersChanged

__all__ = ["Routing"]

#: What a client agent keeps of its connections: half as many streams, and a little longer, as Consul's.
_CLIENT_STREAMS_MAX = 32
_CLIENT_IDLE_SECONDS = 127.0

_GONE = frozenset({EventKind.LEAVE, EventKind.REAP})


class Routing(Service):
    """
    Knows the servers that gossip knows, and asks them.

    @ivar router: which one is next.
    @ivar calls: the connections to them.
    @ivar forwarder: the door's way to them.
    """

    name = "routing"

    def __init__(
        self,
        configuration: Configuration,
        network: INetwork,
        dialer: Dialer,
        pools: Pools,
        random: Random,
        leader_address: Callable[[], str],
    ) -> None:
        """
        @param dialer: opens connections to server ports.
        @param pools: whose news is followed from now on.
        @param leader_address: gives where the Raft of this datacenter's leader is; empty while that is not known.
        """
        it = self._configuration = configuration
        self._pools = pools
        self._clock = network.clock
        own = (it.node_name, wide_name(it.node_name, it.datacenter)) if it.server else ()
        self.router = Router(it.datacenter, random, own)
        self.calls = ConnectionPool(
            network.clock,
            dialer,
            idle_streams_max=IDLE_STREAMS_MAX if it.server else _CLIENT_STREAMS_MAX,
            idle_seconds=IDLE_SECONDS if it.server else _CLIENT_IDLE_SECONDS,
        )
        self.forwarder = Forwarder(
            self.calls,
            self.router,
            _peer_of,
            leader_address=leader_address,
            snapshots=SnapshotAsker(network.clock, dialer),
            hold_timeout=it.performance.rpc_hold_timeout,
            default_query_time=it.default_query_time,
            max_query_time=it.max_query_time,
            call_timeout=it.limits.rpc_client_timeout,
        )
        self._driver = Driver(self.router, network.clock, {Ping: self._ping})
        pools.listen(self._heard)

    def stopService(self) -> Deferred[None]:
        """Ask nobody any more."""
        super().stopService()
        self._driver.stop()
        return self.calls.stop()

    # ---- asking one server ----

    def stats(self, server: ServerParts) -> Deferred[Stats]:
        """How far a server's Raft is."""
        asked = self.forwarder.ask(server, "Status.RaftStats", DCSpecificRequest())
        return asked.addCallback(_stats)

    def peers(self, server: ServerParts) -> Deferred[list[str]]:
        """The addresses of the group that a server belongs to."""
        request = DCSpecificRequest(datacenter=self._configuration.datacenter)
        return self.forwarder.ask(server, "Status.Peers", request)

    def _ping(self, ping: Ping) -> None:
        def answered(well: bool) -> None:
            self.router.pinged(ping.number, well, self._clock.seconds())
            self._driver.fed()

        asked = self.forwarder.ask(ping.server, "Status.Ping", DCSpecificRequest())
        asked.addCallbacks(lambda _: answered(True), lambda _: answered(False))

    # ---- what is known ----

    def other_datacenters(self) -> list[str]:
        """All datacenters but this one, the nearest first."""
        node = None if self._pools.wan is None else self._pools.wan.node
        if node is None:
            return []
        here = None if node.vivaldi is None else node.vivaldi.position

        def seconds_to(server: Any) -> float:
            there = node.positions.get(server.name)
            if here is None or there is None or not compatible(here, there):
                return float("inf")
            return distance(here, there) / SECOND

        known = [server_of(member) for member in node.members if member.status is not Status.LEFT]
        own = self._configuration.datacenter
        found = by_distance([one for one in known if one is not None], own, seconds_to)
        return [name for name in found if name != own]

    def _heard(self, pool: GossipPool, event: Event) -> None:
        """A member came, changed, or went."""
        members: tuple[Member, ...]
        if isinstance(event, MemberEvent):
            members = (event.member,)
        elif isinstance(event, MembersChanged):
            members = event.members
        else:
            return
        local = pool is self._pools.lan
        self.router.resized("lan" if local else "wan", len(pool.core.members))
        for member in members:
            server = server_of(member)
            if server is not None and not server.segment:
                (self._heard_local if local else self._heard_wide)(server, event.kind)
        self._driver.fed()

    def _heard_local(self, server: ServerParts, kind: EventKind) -> None:
        if server.datacenter == self._configuration.datacenter:
            here = kind not in _GONE and kind is not EventKind.FAILED
            self.router.lan_changed(server, here, self._clock.seconds())
            if kind is EventKind.FAILED:
                self.calls.give_up(_peer_of(server))

    def _heard_wide(self, server: ServerParts, kind: EventKind) -> None:
        """Whoever is said to have failed may still be there for us: the way between datacenters is long."""
        if kind is EventKind.FAILED:
            self.router.failed(server)
        else:
            self.router.wan_changed(server, kind not in _GONE, self._clock.seconds())


def _peer_of(server: ServerParts) -> Peer:
    return Peer(server.short_name, server.address, server.datacenter)


def _stats(told: RaftStats) -> Stats:
    contact = NEVER if told.last_contact == "never" else parse_duration(told.last_contact) / SECOND
    return Stats(contact, told.last_term, told.last_index)
