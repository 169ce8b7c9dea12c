"""Servers that call each other without a network between them."""

from __future__ import annotations

from random import Random
from typing import Any, NamedTuple

from twisted.internet.defer import Deferred, fail, maybeDeferred

from tests.endpoints.serving import Served
from txconsul.endpoints.placing import Me
from txconsul.errors import CallLost, RemoteError, TxconsulError, Unreachable
from txconsul.rpc.forwarding import Forwarder
from txconsul.rpc.router import Router
from txconsul.rpc.serving import Serving


class Known(NamedTuple):
    """What gossip tells of a server."""

    name: str
    address: str
    datacenter: str = "dc1"


class Links:
    """
    The calls of one agent, carried to whoever is in C{agents}.

    @ivar made: calls that were made: whom, what, how, and in which time.
    @ivar held: answers that are kept back while C{holding}.
    @ivar given_up: calls that the caller cancelled.
    """

    def __init__(self, agents: dict[str, Agent], source: str) -> None:
        self._agents = agents
        self._source = source
        self.made: list[tuple[str, str, bytes, float]] = []
        self.lost = False
        self.given_up: list[str] = []
        self._under_way: list[tuple[str, Deferred[bytes]]] = []

    def call(self, peer: Known, method: str, body: bytes, timeout: float) -> Deferred[bytes]:
        """As L{txconsul.rpc.pool.ConnectionPool} does."""
        self.made.append((peer.address, method, body, timeout))
        there = self._agents.get(peer.address)
        if there is None:
            return fail(Unreachable())
        asked = maybeDeferred(there.serving.serve, method, body, self._source)

        def cancelled(_: object) -> None:
            self.given_up.append(method)
            asked.cancel()

        answer: Deferred[bytes] = Deferred(cancelled)
        self._under_way.append((peer.address, answer))

        def answered(result: Any) -> None:
            if answer.called:
                return
            if self.lost:
                answer.errback(CallLost())
            elif isinstance(result, bytes):
                answer.callback(result)
            elif result.check(TxconsulError):
                answer.errback(RemoteError(str(result.value)))

        asked.addBoth(answered)
        return answer

    def cut(self, address: str) -> None:
        """The connection to a server breaks."""
        broken = [answer for there, answer in self._under_way if there == address and not answer.called]
        for answer in broken:
            answer.errback(CallLost())


class Agent(Served):
    """
    An agent among others.

    @ivar calls: those that it makes.
    """

    def __init__(self, agents: dict[str, Agent], address: str, *, server: bool = True, datacenter: str = "dc1") -> None:
        super().__init__(is_leader=False)
        self.address = address
        self.known = Known(f"n{len(agents)}", address, datacenter)
        self.site.me = Me(datacenter, server, False, False, False)
        self.consensus.leader_address = ""
        self.serving = Serving(self.door)
        self.router = Router(datacenter, Random(1))
        self.calls = Links(agents, address)
        self.site.elsewhere = Forwarder(
            self.calls, self.router, lambda server: server, leader_address=lambda: self.consensus.leader_address
        )
        if server:
            agents[address] = self

    def follow(self, leader: Agent | None) -> None:
        """Another server leads now, or none."""
        self.consensus.leader_address = "" if leader is None else leader.address
        known = leader is not None
        heard = known or self.site.me.heard_of_leader
        self.site.me = self.site.me._replace(is_leader=False, leader_known=known, heard_of_leader=heard)
        if known:
            self.door.leader_changed()

    def lead(self) -> None:
        """Become the leader."""
        self.consensus.leader_address = self.address
        super().lead()

    def gone(self, agents: dict[str, Agent]) -> None:
        """It is there no more."""
        del agents[self.address]
        for one in agents.values():
            one.calls.cut(self.address)


def datacenter(size: int, agents: dict[str, Agent] | None = None, name: str = "dc1", net: int = 0) -> list[Agent]:
    """So many servers that know each other; the first one leads."""
    agents = {} if agents is None else agents
    made = [Agent(agents, f"10.{net}.0.{number}:8300", datacenter=name) for number in range(1, size + 1)]
    for one in made:
        for other in made:
            one.router.lan_changed(other.known, True, 0.0)
    for one in made[1:]:
        one.follow(made[0])
    made[0].lead()
    return made
