"""
What the door needs of the server in which it stands.
"""

from __future__ import annotations

from collections.abc import Callable
from random import Random
from typing import Any, Protocol

from twisted.internet.defer import Deferred
from twisted.internet.interfaces import IReactorTime

from txconsul.endpoints.leading import Leading
from txconsul.endpoints.placing import Me
from txconsul.endpoints.registry import Answer
from txconsul.records.raft import Configuration
from txconsul.state.store import Store

__all__ = ["Replicated", "Site"]


class Replicated(Protocol):
    """The consensus below the door, as much of it as endpoints use; L{txconsul.consensus.Consensus} is one."""

    is_leader: bool
    leader_id: str
    leader_address: str
    configuration: Configuration
    last_index: int
    applied_index: int

    def propose(self, data: bytes, record: object) -> Deferred[Any]:
        """Make a command durable on a majority and apply it; see L{txconsul.consensus.Consensus.propose}."""

    def verify(self) -> Deferred[Any] | None:
        """Make sure that this server leads now; None where that is certain."""

    def lease_valid(self) -> bool:
        """Whether no other leader can exist at this moment."""

    def last_contact(self) -> float:
        """Seconds since the leader was last heard of."""


class Site:
    """
    One server, seen from the door.

    @ivar me: replaced whenever what it says changes.
    @ivar default_query_time: seconds that a blocking query waits if it does not say.
    @ivar max_query_time: seconds that it waits at most.
    @ivar node_name: the name of the node with a server's id, where it is known.
    @ivar hold_timeout: seconds that a request waits for a leader to be known (Consul's C{rpc_hold_timeout}).
    """

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
    ) -> None:
        self.me = me
        self.store = store
        self.consensus = consensus
        self.clock = clock
        self.rng = rng
        self.leading = leading
        self.default_query_time = default_query_time
        self.max_query_time = max_query_time
        self.hold_timeout = hold_timeout
        self.node_name = node_name

    def answer(self, index: int, value: Any) -> Answer:
        """A read's answer with what is known of its freshness; the index is never 0."""
        if self.me.is_leader:
            return Answer(index or 1, value)
        return Answer(index or 1, value, self.consensus.last_contact(), self.me.leader_known)
