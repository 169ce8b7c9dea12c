"""
The servers of a datacenter, and everybody else in it, as its gossip pool knows them.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator

from twisted.internet.defer import Deferred, fail

from txconsul import CONSUL_VERSION
from txconsul.agent.tags import ServerParts, server_of
from txconsul.errors import NoKnownServers
from txconsul.gossip import GossipPool
from txconsul.raft.autopilot import Known, NodeStatus, Stats
from txconsul.serf.members import Member
from txconsul.serf.messages import Status

__all__ = ["Alone", "PoolGroup"]

_NODE_STATUS = {
    Status.ALIVE: NodeStatus.ALIVE,
    Status.LEAVING: NodeStatus.ALIVE,
    Status.LEFT: NodeStatus.LEFT,
    Status.FAILED: NodeStatus.FAILED,
}


class Alone:
    """The group of a server without a pool: itself."""

    def __init__(self, id: str, name: str, address: str) -> None:
        self._servers = [Known(id, name, address, NodeStatus.ALIVE, CONSUL_VERSION)]

    def members(self) -> Iterable[Member]:
        """Nobody is known to gossip."""
        return ()

    def servers(self) -> list[Known]:
        """Itself."""
        return self._servers

    def name_of(self, id: str) -> str:
        """Its own, of its own id."""
        return next((one.name for one in self._servers if one.id == id), "")

    def stats(self, server: Known) -> Deferred[Stats]:
        """Nobody else is there to be asked."""
        return fail(NoKnownServers())

    def force_leave(self, name: str) -> None:
        """Nobody else is there to be gone."""


class PoolGroup:
    """The group as a pool knows it; see L{txconsul.leader.autopilot.Group}."""

    def __init__(self, pool: GossipPool, datacenter: str, ask: Callable[[ServerParts], Deferred[Stats]]) -> None:
        """@param ask: asks a server how it is."""
        self._pool = pool
        self._datacenter = datacenter
        self._ask = ask

    def members(self) -> Iterable[Member]:
        """See L{Group<txconsul.leader.autopilot.Group>}."""
        return () if self._pool.node is None else list(self._pool.node.members)

    def parts(self) -> Iterator[ServerParts]:
        """Every server of the datacenter."""
        for member in self.members():
            server = server_of(member)
            if server is not None and server.datacenter == self._datacenter:
                yield server

    def servers(self) -> list[Known]:
        """See L{Group<txconsul.leader.autopilot.Group>}."""
        return [
            Known(
                one.id,
                one.short_name,
                one.address,
                _NODE_STATUS.get(one.status, NodeStatus.UNKNOWN),
                ".".join(map(str, one.build)),
            )
            for one in self.parts()
        ]

    def name_of(self, id: str) -> str:
        """See L{Group<txconsul.leader.autopilot.Group>}."""
        return next((one.short_name for one in self.parts() if one.id == id), "")

    def stats(self, server: Known) -> Deferred[Stats]:
        """See L{Group<txconsul.leader.autopilot.Group>}."""
        for one in self.parts():
            if one.id == server.id:
                return self._ask(one)
        return fail(NoKnownServers())

    def force_leave(self, name: str) -> None:
        """See L{Group<txconsul.leader.autopilot.Group>}."""
        self._pool.do(lambda node, now: node.force_leave(name, now))
