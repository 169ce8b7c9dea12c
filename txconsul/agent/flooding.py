"""
A server sees to it that all servers of its datacenter are in the pool of all datacenters.

So it is enough that one of them is joined there by others. Source: Consul's documentation of WAN federation; the wire
documents, GOSSIP section 7.
"""

from __future__ import annotations

from twisted.application.service import Service
from twisted.internet.interfaces import IReactorTime
from twisted.internet.task import LoopingCall
from twisted.logger import Logger

from txconsul.agent.tags import ServerParts, server_of, wide_name
from txconsul.gossip import GossipPool, JoinFailed
from txconsul.serf.messages import Status
from txconsul.serf.outputs import Event, EventKind, MemberEvent

__all__ = ["FLOOD_SECONDS", "Flooding"]

#: How often it is looked who is missing, beside the times when a server joins the datacenter.
FLOOD_SECONDS = 60.0


class Flooding(Service):
    """Joins the servers of one pool in another one."""

    name = "flooding"
    _log = Logger("txconsul.agent")

    def __init__(self, lan: GossipPool, wan: GossipPool, datacenter: str, clock: IReactorTime) -> None:
        self._lan = lan
        self._wan = wan
        self._datacenter = datacenter
        self._joining: set[str] = set()
        self._looking = LoopingCall(self._look)
        self._looking.clock = clock

    def startService(self) -> None:
        """See L{Service}."""
        super().startService()
        self._looking.start(FLOOD_SECONDS).addErrback(
            lambda reason: self._log.failure("Servers are not joined over the WAN any more", reason)
        )

    def stopService(self) -> None:
        """See L{Service}."""
        super().stopService()
        if self._looking.running:
            self._looking.stop()

    def heard(self, pool: GossipPool, event: Event) -> None:
        """Something happened in a pool: who joins the one may have to be joined in the other."""
        if not (self.running and pool is self._lan):
            return
        if isinstance(event, MemberEvent) and event.kind is EventKind.JOIN:
            server = server_of(event.member)
            if server is not None:
                self._join(server)

    def _look(self) -> None:
        for member in self._lan.core.members:
            server = server_of(member) if member.status is Status.ALIVE else None
            if server is not None:
                self._join(server)

    def _join(self, server: ServerParts) -> None:
        """Join one, unless it is there already or says that it is in no such pool."""
        name = wide_name(server.name, server.datacenter)
        if (
            not server.wan_join_port
            or server.datacenter != self._datacenter
            or name in self._joining
            or self._wan.core.members.get(name) is not None
            or self._wan.core.is_leaving
        ):
            return
        self._joining.add(name)
        joining = self._wan.join(server.host, server.wan_join_port, ignore_old=True)
        joining.addErrback(self._not_joined, name).addBoth(lambda _: self._joining.discard(name))

    def _not_joined(self, reason: object, name: str) -> None:
        error = getattr(reason, "value", reason)
        if not isinstance(error, JoinFailed):
            self._log.failure("{name} could not be joined over the WAN", reason, name=name)  # type: ignore[arg-type]
            return
        self._log.debug("{name} could not be joined over the WAN: {error}", name=name, error=error)
