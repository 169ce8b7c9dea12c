"""
Which server is asked next. A pure core.

Of each datacenter the servers are known in an order of chance. The first is asked; if it fails, it goes to the end.
Every few minutes the order is drawn anew, so that load moves to servers that came, and the new first is asked
whether it is there; the bigger the pool, the rarer that is, as its servers would be asked by all.

Source: Consul's documentation of its architecture; its numbers for the time between two draws.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from random import Random
from typing import NamedTuple, Protocol

from txconsul.errors import DatacenterUnreachable, NoKnownServers, NoPathToDatacenter

__all__ = [
    "REBALANCE_JITTER_SECONDS",
    "REBALANCE_SECONDS",
    "SECONDS_PER_NODE",
    "Area",
    "Ping",
    "Router",
    "Server",
    "by_distance",
]

#: Seconds until the order is drawn anew, at least, and up to so many more by chance.
REBALANCE_SECONDS = 120.0
REBALANCE_JITTER_SECONDS = 60.0
#: In big pools: so many seconds for each node, shared among the servers, so that a server is asked by at most 64 agents
#: a second that move to it.
SECONDS_PER_NODE = 1 / 64


class Server(Protocol):
    """What must be known of a server; L{txconsul.agent.tags.ServerParts} says it."""

    @property
    def name(self) -> str:
        """As its pool has it."""

    @property
    def datacenter(self) -> str:
        """Where it is."""

    @property
    def address(self) -> str:
        """Where its RPC and its Raft are reached, C{host:port}."""


class Ping(NamedTuple):
    """
    A server is to be asked whether it is there; L{Router.pinged} is to be told.

    @ivar number: which question it is.
    """

    number: int
    server: Server


class Area:
    """
    The servers of one datacenter, as one pool knows them.

    @ivar servers: in the order in which they are asked.
    @ivar reachable: whether one of them was there when they were last asked, or came since.
    """

    def __init__(self, datacenter: str) -> None:
        self.datacenter = datacenter
        self.servers: list[Server] = []
        self.reachable = False
        self.deadline = 0.0
        #: The order that is being tried, and how many of it were not there; empty while none is.
        self.trying: list[Server] = []
        self.tried = 0
        self.number = 0

    def add(self, server: Server, random: Random) -> None:
        """It came, or changed."""
        self.reachable = True
        for place, known in enumerate(self.servers):
            if known.name == server.name:
                self.servers[place] = server
                return
        self.servers.insert(random.randrange(len(self.servers) + 1), server)

    def remove(self, name: str) -> None:
        """It went."""
        self.servers = [one for one in self.servers if one.name != name]

    def failed(self, name: str) -> None:
        """It did not answer: if it is the first, it is now the last."""
        if len(self.servers) > 1 and self.servers[0].name == name:
            self.servers.append(self.servers.pop(0))

    def settle(self) -> None:
        """Go by the order that was tried, with who came meanwhile at its end and without who went."""
        now = {one.name: one for one in self.servers}
        kept = [now.pop(one.name) for one in self.trying if one.name in now]
        self.servers = [*kept, *now.values()]


class Router:
    """
    All servers that are known.

    @ivar own: this agent's name in each pool, if it is a server itself: it need not be asked whether it is there.
    """

    def __init__(self, datacenter: str, random: Random, own: Iterable[str] = ()) -> None:
        self._datacenter = datacenter
        self._random = random
        self.own = frozenset(own)
        self._local = Area(datacenter)
        self._wide: dict[str, Area] = {}
        self._by_address: dict[str, Server] = {}
        self._nodes = {"lan": 1, "wan": 1}
        self._numbers = 0
        self._output: list[Ping] = []

    # ---- what gossip says ----

    def lan_changed(self, server: Server, here: bool, now: float) -> None:
        """A server of this datacenter is there, perhaps with another address, or is not."""
        known = next((one for one in self._local.servers if one.name == server.name), None)
        if known is not None and self._by_address.get(known.address) is known:
            del self._by_address[known.address]
        if here:
            self._begin(self._local, now)
            self._local.add(server, self._random)
            self._by_address[server.address] = server
        else:
            self._local.remove(server.name)

    def wan_changed(self, server: Server, here: bool, now: float) -> None:
        """A server of any datacenter is there, or has left. Those that fail are kept: see L{failed}."""
        area = self._wide.get(server.datacenter)
        if here:
            if area is None:
                area = self._wide[server.datacenter] = Area(server.datacenter)
            self._begin(area, now)
            area.add(server, self._random)
        elif area is not None:
            area.remove(server.name)
            if not area.servers:
                del self._wide[server.datacenter]

    def resized(self, pool: str, nodes: int) -> None:
        """A pool, C{lan} or C{wan}, has so many members."""
        self._nodes[pool] = nodes

    def failed(self, server: Server) -> None:
        """A server did not answer, or is said to have failed."""
        self._local.failed(server.name)
        area = self._wide.get(server.datacenter)
        if area is not None:
            area.failed(server.name)

    # ---- whom to ask ----

    def local(self) -> Server:
        """
        A server of this datacenter.

        @raise NoKnownServers: none is known.
        """
        if not self._local.servers:
            raise NoKnownServers()
        return self._local.servers[0]

    def at(self, address: str) -> Server | None:
        """The server of this datacenter whose Raft is at an address; None where gossip knows none."""
        return self._by_address.get(address)

    def distant(self, datacenter: str) -> Server:
        """
        A server of another datacenter.

        @raise NoPathToDatacenter: none is known.
        @raise DatacenterUnreachable: none of those that are known was there.
        """
        area = self._wide.get(datacenter)
        if area is None:
            raise NoPathToDatacenter()
        if not area.reachable:
            raise DatacenterUnreachable()
        return area.servers[0]

    def locals(self) -> list[Server]:
        """All servers of this datacenter, in the order in which they are asked."""
        return [*self._local.servers]

    def datacenters(self) -> list[str]:
        """All datacenters that are known, this one among them, by their names."""
        return sorted({self._datacenter, *self._wide})

    # ---- drawing anew ----

    def pinged(self, number: int, well: bool, now: float) -> None:
        """A L{Ping} was answered, or was not. What comes late is not heard."""
        area = next((one for one in self._areas() if one.trying and one.number == number), None)
        if area is None:
            return
        if well:
            self._settle(area, True, now)
            return
        area.tried += 1
        area.trying.append(area.trying.pop(0))
        self._try(area, now)

    def wake(self, now: float) -> None:
        """Draw anew where it is time."""
        for area in self._areas():
            if area.servers and not area.trying and area.deadline <= now:
                area.trying = [*area.servers]
                self._random.shuffle(area.trying)
                area.tried = 0
                self._try(area, now)

    def next_deadline(self) -> float | None:
        """When L{wake} is wanted next."""
        return min((area.deadline for area in self._areas() if area.servers and not area.trying), default=None)

    def take_output(self) -> list[Ping]:
        """Whom to ask whether they are there."""
        output, self._output = self._output, []
        return output

    def _areas(self) -> list[Area]:
        return [self._local, *self._wide.values()]

    def _begin(self, area: Area, now: float) -> None:
        if not area.servers:
            area.deadline = now + REBALANCE_SECONDS

    def _try(self, area: Area, now: float) -> None:
        if area.tried == len(area.trying):
            self._settle(area, False, now)
        elif area.trying[0].name in self.own:
            self._settle(area, True, now)
        else:
            self._numbers += 1
            area.number = self._numbers
            self._output.append(Ping(area.number, area.trying[0]))

    def _settle(self, area: Area, well: bool, now: float) -> None:
        """An order was found whose first server is there, or none is: then it stays as it was."""
        area.reachable = well
        if well and area.trying[0].name in {one.name for one in area.servers}:
            area.settle()
        area.trying = []
        nodes = self._nodes["lan" if area is self._local else "wan"]
        least = REBALANCE_SECONDS + self._random.random() * REBALANCE_JITTER_SECONDS
        area.deadline = now + max(least, nodes * SECONDS_PER_NODE / max(1, len(area.servers)))


def by_distance(servers: Iterable[Server], own_datacenter: str, seconds_to: Callable[[Server], float]) -> list[str]:
    """
    Datacenters, the nearest first; of those that are equally far, by their names.

    @param servers: those of all datacenters that have not left.
    @param seconds_to: how far one is; infinite where that is not known.
    """
    found: dict[str, list[float]] = {}
    for one in servers:
        found.setdefault(one.datacenter, []).append(0.0 if one.datacenter == own_datacenter else seconds_to(one))
    medians = {name: sorted(seconds)[len(seconds) // 2] for name, seconds in found.items()}
    return sorted(medians, key=lambda name: (medians[name], name))
