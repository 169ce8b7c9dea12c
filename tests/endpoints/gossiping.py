"""Doors of several servers in one gossip pool, on the network without sockets."""

from __future__ import annotations

from random import Random
from typing import Any

from twisted.internet.defer import Deferred, succeed

from tests.endpoints.serving import Served
from txconsul.agent.user_events import UserEvents
from txconsul.gossip import GossipPool
from txconsul.net.memory import Conditions, Wire
from txconsul.records.service import NodeService
from txconsul.serf.outputs import UserEventCame
from txconsul.serf.settings import Settings
from txconsul.simulation.clock import SimulatedClock
from txconsul.swim.keyring import Keyring
from txconsul.swim.timing import LAN, Timing

__all__ = ["Gossiping", "Member"]


class MemberPools:
    """What an agent's pools are to its door."""

    position = None

    def __init__(self, lan: GossipPool, wan: GossipPool | None) -> None:
        self.lan = lan
        self.wan = wan

    def when_open(self) -> Deferred[None]:
        """It is."""
        return succeed(None)


class Member:
    """
    One server: a door, its pools and the events that it holds.

    @ivar services: what it runs, by id.
    """

    def __init__(self, name: str, clock: Any, pools: MemberPools) -> None:
        self.services: dict[str, NodeService] = {}
        self.served = Served()
        site = self.site = self.served.site
        site.clock = clock
        site.own_name = name
        site.pools = self.pools = pools
        self.random = Random(name)
        site.events = self.events = UserEvents(name, lambda: self.services, self._new_id)
        pools.lan.heard = self._heard

    def call(self, method: str, request: Any) -> Any:
        """Ask its door."""
        return self.served.call(method, request)

    def names(self) -> list[str]:
        """The events that it holds."""
        return [one.name for one in self.events.recent()]

    def _heard(self, event: Any) -> None:
        if isinstance(event, UserEventCame):
            self.events.hear(event.name, event.payload, event.l_time)

    def _new_id(self) -> str:
        digits = f"{self.random.getrandbits(128):032x}"
        return "-".join((digits[:8], digits[8:12], digits[12:16], digits[16:20], digits[20:]))


class Gossiping:
    """
    Some members that know each other, of one datacenter.

    @ivar clock: drives all of them.
    """

    def __init__(self, names: str, key: bytes | None = None, wan: bool = False, **options: Any) -> None:
        """
        @param names: one letter each.
        @param key: if the pools are encrypted.
        @param options: of one member's LAN pool, C{x=dict(...)}.
        """
        self.clock = SimulatedClock()
        self.wire = Wire(self.clock, Random(1), Conditions(delay=0.001))
        self.members: dict[str, Member] = {}
        for number, name in enumerate(names):
            host = f"10.0.0.{number + 1}"
            network = self.wire.host(name, host)

            def pool(
                name: str, port: int, timing: Timing, host: str = host, network: Any = network, **more: Any
            ) -> GossipPool:
                ring = None if key is None else Keyring([key])
                made = GossipPool(
                    network,
                    name,
                    settings=Settings(timing=timing),
                    host=host,
                    port=port,
                    keyring=ring,
                    random=Random(name),
                    entropy=Random(name).randbytes,
                    **more,
                )
                made.open()
                return made

            pools = MemberPools(
                pool(name, 8301, LAN, **options.get(name, {})), pool(f"{name}.dc1", 8302, LAN) if wan else None
            )
            self.members[name] = Member(name, self.clock, pools)
        first, *others = self.members.values()
        for other in others:
            other.pools.lan.join(*first.pools.lan.address)
            if other.pools.wan is not None and first.pools.wan is not None:
                other.pools.wan.join(*first.pools.wan.address)
        self.clock.advance(20)

    def __getitem__(self, name: str) -> Member:
        return self.members[name]
