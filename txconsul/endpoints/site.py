"""
What the door needs of the server in which it stands.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from random import Random
from typing import Any, BinaryIO, Protocol

import msgspec
from twisted.internet.defer import Deferred, succeed
from twisted.internet.interfaces import IReactorTime

from txconsul.endpoints.authorizing import Authorizer
from txconsul.endpoints.held_events import HeldEvents
from txconsul.endpoints.leading import Leading
from txconsul.endpoints.overview import Overview
from txconsul.endpoints.placing import Me
from txconsul.endpoints.pools import Pools
from txconsul.endpoints.registry import Answer
from txconsul.endpoints.selection import Selections
from txconsul.endpoints.trials import Elsewhere
from txconsul.endpoints.views import View, Views
from txconsul.metrics.metrics import Exposed, Metrics
from txconsul.records.agent import CheckDefinition
from txconsul.records.coordinate import Position
from txconsul.records.health import HealthCheck
from txconsul.records.operator import AutopilotHealthReply, AutopilotState
from txconsul.records.query import Context
from txconsul.records.raft import Configuration
from txconsul.records.service import NodeService, ServiceDefinition
from txconsul.serf.coordinate import ORIGIN
from txconsul.state.store import Store

__all__ = ["Autopilot", "Facts", "Local", "Replicated", "Saved", "Site", "SnapshotDesk"]


class Replicated(Protocol):
    """The consensus below the door, as much of it as endpoints use; L{txconsul.consensus.Consensus} is one."""

    @property
    def leader_id(self) -> str:
        """The leader's id, or empty."""

    @property
    def leader_address(self) -> str:
        """Where the leader listens, or empty."""

    @property
    def configuration(self) -> Configuration:
        """Who belongs to the group."""

    @property
    def last_index(self) -> int:
        """The newest entry of the log."""

    def propose(self, data: bytes, record: object) -> Deferred[Any]:
        """Make a command durable on a majority and apply it; see L{txconsul.consensus.Consensus.propose}."""

    def verify(self) -> Deferred[Any] | None:
        """Make sure that this server leads now; None where that is certain."""

    def lease_valid(self) -> bool:
        """Whether no other leader can exist at this moment."""

    def last_contact(self) -> float | None:
        """Seconds since the leader was last heard of; None if it never was."""

    def stats(self) -> dict[str, str]:
        """What is known of the log, under hashicorp/raft's names."""

    def remove(self, id: str) -> Deferred[int]:
        """Take a server out of the group; see L{txconsul.consensus.Consensus.remove}."""

    def transfer_leadership(self, to: str | None = None) -> Deferred[None]:
        """Have another server lead; see L{txconsul.consensus.Consensus.transfer_leadership}."""


class Autopilot(Protocol):
    """Who looks after the group while leading; L{txconsul.leader.autopilot.Autopilot} is one."""

    def last_index(self, id: str) -> int:
        """The last index that a server told; 0 of one that told none."""

    def reply(self) -> AutopilotHealthReply:
        """The group's health."""

    def state(self) -> AutopilotState:
        """All that is known of the group."""


class Facts(Protocol):
    """What an agent tells of itself and of its machine."""

    def document(self) -> dict[str, Any]:
        """What it was told to be, and what it does now."""

    def members(self, wan: bool = False) -> list[dict[str, Any]] | None:
        """The pool that it belongs to, itself included, or that of the servers of all datacenters; None without one."""

    def version(self) -> dict[str, str]:
        """Which program this is."""

    def host(self) -> dict[str, Any]:
        """The machine: memory, processors, disk."""

    def metrics(self) -> dict[str, Any]:
        """What was counted and measured."""

    def exposed_metrics(self) -> list[Exposed]:
        """The same for those who add up themselves."""

    def follow_metrics(self) -> Iterator[Any]:
        """What was counted and measured, each time that ten seconds are over; as L{follow_log}."""

    def follow_log(self, level: str, json: bool) -> Iterator[Any]:
        """
        The log from now on, as the body of an answer: bytes, or a Deferred of the next ones. It ends when the
        agent stops.

        @raise BadRequest: there is no such level.
        """


class Local(Protocol):
    """
    What an agent runs; L{txconsul.agent.registrations.Registrations} is one.

    @ivar node: the node's name.
    """

    node: str

    def services(self) -> dict[str, NodeService]:
        """All services, by id."""

    def checks(self) -> dict[str, HealthCheck]:
        """All checks, by id."""

    def watch(self, service_id: str, woken: Callable[[], object]) -> Callable[[], None]:
        """Be told of every change of a service. @return: ends that."""

    def register_service(self, definition: ServiceDefinition, token: str, replace_checks: bool) -> None:
        """Run a service."""

    def deregister_service(self, id: str) -> None:
        """Run a service no more."""

    def register_check(self, definition: CheckDefinition, token: str) -> None:
        """Run a check."""

    def deregister_check(self, id: str) -> None:
        """Run a check no more."""

    def update_check(self, id: str, status: str, output: str) -> None:
        """A service says how it is."""

    def set_service_maintenance(self, service_id: str, enable: bool, reason: str, token: str) -> None:
        """Take a service out of use, or put it back."""

    def set_node_maintenance(self, enable: bool, reason: str, token: str) -> None:
        """Take the node out of use, or put it back."""


class Saved(msgspec.Struct, frozen=True):
    """
    A snapshot's archive on its way out.

    @ivar index: the state's index that it shows.
    @ivar pieces: the archive, to be written as the other side takes it.
    """

    index: int
    pieces: Iterator[bytes]


class SnapshotDesk(Protocol):
    """Who saves and restores whole states, as Consul's snapshot archives."""

    def save(self) -> Deferred[Saved]:
        """Take a snapshot now."""

    def restore(self, archive: BinaryIO) -> Deferred[None]:
        """
        Replace the whole state, on every server. It fails with L{txconsul.errors.InvalidRequest} if the archive is
        none; the state is then as it was.
        """


class Site:
    """
    One server, seen from the door.

    @ivar me: replaced whenever what it says changes.
    @ivar views: what reads found and still stands.
    @ivar selections: what prepared queries wanted of it.
    @ivar overview: the whole catalog's health, as it was lately.
    @ivar closing: the server stops, so that no read may wait.
    @ivar default_query_time: seconds that a blocking query waits if it does not say.
    @ivar max_query_time: seconds that it waits at most.
    @ivar node_name: the name of the node with a server's id, where it is known.
    @ivar hold_timeout: seconds that a request waits for a leader to be known (Consul's C{rpc_hold_timeout}).
    @ivar own_name: this server's node.
    @ivar pools: the gossip pools of the agent around this server; None where there is no agent.
    @ivar metrics: the instruments of what is counted and measured.
    @ivar blocking: how many reads wait.
    @ivar local: what the agent around this server runs; None where there is no agent.
    @ivar events: the user events that the agent around this server holds; None where there is no agent.
    @ivar elsewhere: the way to other servers; None where there are none.
    @ivar other_datacenters: the names of all others that can be asked, the nearest first.
    @ivar ask: the door, for what an endpoint asks of others; set by the door, as is C{authorizer}.
    @ivar authorizer: what the bearer of a token may do.
    @ivar autopilot: who looks after the group; set when the server is put together.
    @ivar told: a Deferred that fires when the catalog was told what it is being told of this agent, or cannot be told
        soon; None where it is told nothing just now.
    @ivar leave: has the agent leave its pools, and stop then; a Deferred that fires when it has left.
    @ivar reload: reads the agent's configuration again, and takes up what changed.
    """

    ask: Callable[[str, Any, Context], Any]
    authorizer: Callable[[str], Authorizer]
    autopilot: Autopilot

    def __init__(
        self,
        *,
        me: Me,
        store: Store,
        consensus: Replicated,
        clock: IReactorTime,
        rng: Random,
        leading: Leading,
        default_query_time: float,
        max_query_time: float,
        hold_timeout: float,
        node_name: Callable[[str], str],
        facts: Facts,
        snapshots: SnapshotDesk,
        own_name: str = "",
        position: Position | None = ORIGIN,
        metrics: Metrics | None = None,
    ) -> None:
        self.me = me
        self.closing = False
        self.store = store
        self.views = Views(store)
        self.selections = Selections()
        self.overview = Overview(clock.seconds())
        self.consensus = consensus
        self.clock = clock
        self.rng = rng
        self.leading = leading
        self.default_query_time = default_query_time
        self.max_query_time = max_query_time
        self.hold_timeout = hold_timeout
        self.node_name = node_name
        self.facts = facts
        self.snapshots = snapshots
        self.own_name = own_name
        self.pools: Pools | None = None
        self._position = position
        self.metrics = metrics or Metrics()
        self.blocking = 0
        self.local: Local | None = None
        self.events: HeldEvents | None = None
        self.elsewhere: Elsewhere | None = None
        self.other_datacenters: Callable[[], list[str]] = list
        self.told: Callable[[], Deferred[None] | None] = lambda: None
        self.leave: Callable[[], Deferred[None]] = lambda: succeed(None)
        self.reload: Callable[[], object] = lambda: None

    @property
    def position(self) -> Position | None:
        """Where this server is in the network; None where coordinates are switched off."""
        if self._position is None or self.pools is None:
            return self._position
        return self.pools.position or self._position

    @position.setter
    def position(self, position: Position | None) -> None:
        self._position = position

    def answer(self, index: int, value: Any, view: View | None = None) -> Answer:
        """A read's answer with what is known of its freshness; the index is never 0."""
        if self.me.is_leader:
            return Answer(index or 1, value, 0.0, True, view)
        return Answer(index or 1, value, self.consensus.last_contact() or 0.0, self.me.leader_known, view)
