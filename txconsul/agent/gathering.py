"""
Servers that expect each other begin a group together.

Each waits until as many as are expected are in the gossip pool, asks whether any of them belongs to a group already,
and then writes the same first configuration as the others do.

Source: the wire documents, GOSSIP section 7; Consul's documentation of C{bootstrap_expect}.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import NamedTuple

from twisted.application.service import Service
from twisted.internet.defer import CancelledError, Deferred, maybeDeferred
from twisted.internet.interfaces import IReactorTime
from twisted.internet.task import deferLater
from twisted.logger import Logger

from txconsul.agent.tags import ServerParts
from txconsul.consensus import Consensus
from txconsul.errors import TxconsulError
from txconsul.records.raft import Configuration, Server, Suffrage
from txconsul.serf.messages import Status

__all__ = ["Gathering", "Verdict", "judge"]

#: How often a server is asked for its group before it is taken for one that has none, and the first pause between.
ATTEMPTS = 6
PAUSE_SECONDS = 1.0


class Verdict(NamedTuple):
    """
    @ivar servers: who begins the group; empty while that must wait.
    @ivar problem: why nobody may; empty if that is not so.
    """

    servers: tuple[ServerParts, ...] = ()
    problem: str = ""


def judge(expect: int, datacenter: str, servers: Iterable[ServerParts]) -> Verdict:
    """Whether the servers in the pool may begin a group."""
    found = [one for one in servers if one.datacenter == datacenter and one.status is not Status.LEFT]
    for one in found:
        if one.expect and one.expect != expect:
            return Verdict(problem=f"{one.short_name} expects {one.expect} servers, and this one {expect}")
        if one.bootstrap:
            return Verdict(problem=f"{one.short_name} is in bootstrap mode: it begins a group of its own")
    if sum(not one.read_replica for one in found) < expect:
        return Verdict()
    return Verdict(tuple(found))


class Gathering(Service):
    """Until this server belongs to a group: see whether one can be begun."""

    name = "gathering"
    _log = Logger("txconsul.agent")

    def __init__(
        self,
        expect: int,
        datacenter: str,
        servers: Callable[[], Iterable[ServerParts]],
        peers: Callable[[ServerParts], Deferred[list[str]]],
        consensus: Consensus,
        clock: IReactorTime,
    ) -> None:
        """
        @param servers: the servers that gossip knows.
        @param peers: asks one for the addresses of its group.
        """
        self._expect = expect
        self._datacenter = datacenter
        self._servers = servers
        self._peers = peers
        self._consensus = consensus
        self._clock = clock
        self._asking: Deferred[None] | None = None
        self._told = ""
        self._over = False

    def stopService(self) -> None:
        """It is of no concern any more."""
        super().stopService()
        if self._asking is not None:
            self._asking.cancel()

    def look(self) -> None:
        """Gossip has told of somebody."""
        if self._over or self._asking is not None or not self.running or not self._consensus.is_blank:
            return
        verdict = judge(self._expect, self._datacenter, self._servers())
        if verdict.problem and verdict.problem != self._told:
            self._told = verdict.problem
            self._log.error("No group of servers is begun: {problem}", problem=verdict.problem)
        if verdict.servers:
            self._asking = Deferred.fromCoroutine(self._begin(verdict.servers))
            self._asking.addErrback(lambda reason: reason.trap(CancelledError) and None)
            self._asking.addErrback(lambda reason: self._log.failure("The servers cannot be asked", failure=reason))
            self._asking.addBoth(self._asked)

    def _asked(self, _: object) -> None:
        self._asking = None

    async def _begin(self, servers: tuple[ServerParts, ...]) -> None:
        for server in servers:
            if await self._group_of(server):
                self._log.info("{server} belongs to a group already, which will take this one in", server=server.name)
                self._over = True
                return
        if not self._consensus.is_blank:  # somebody was faster
            return
        addresses = ", ".join(one.address for one in servers)
        self._log.info("All expected servers are here: a group begins: {addresses}", addresses=addresses)
        self._over = True
        self._consensus.bootstrap(
            Configuration(
                servers=tuple(
                    Server(
                        suffrage=Suffrage.NONVOTER if one.read_replica else Suffrage.VOTER,
                        id=one.id,
                        address=one.address,
                    )
                    for one in servers
                )
            )
        )

    async def _group_of(self, server: ServerParts) -> list[str]:
        """The addresses of a server's group; none of a server that does not answer."""
        for attempt in range(ATTEMPTS):
            try:
                return await maybeDeferred(self._peers, server)
            except TxconsulError as error:
                pause = PAUSE_SECONDS * 2**attempt
                self._log.warn(
                    "{server} does not say whether it belongs to a group, and is asked again in {pause} s: {error}",
                    server=server.name,
                    pause=pause,
                    error=error,
                )
                await deferLater(self._clock, pause)
        return []
