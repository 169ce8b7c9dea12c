"""A door with a store behind it and a consensus that commits at once, or when it is told to."""

from __future__ import annotations

from collections.abc import Iterator
from random import Random
from typing import Any

from twisted.internet.defer import Deferred, fail, succeed
from twisted.internet.task import Clock

from txconsul.endpoints.door import Door
from txconsul.endpoints.leading import Leading
from txconsul.endpoints.methods import METHODS
from txconsul.endpoints.placing import Me
from txconsul.endpoints.site import Site
from txconsul.errors import RequestRefused
from txconsul.records.operator import AutopilotHealthReply, AutopilotState
from txconsul.records.query import Context
from txconsul.records.raft import Configuration, Server
from txconsul.records.session import Session
from txconsul.state.machine import StateMachine

SECOND = 1_000_000_000


class Committing:
    """
    What the door needs of a consensus, without one.

    @ivar refused: what the next proposals fail with.
    @ivar unverified: what C{verify} returns.
    """

    leader_id = "id-a"
    leader_address = "127.0.0.1:8300"
    configuration = Configuration(servers=(Server(id="id-a", address="127.0.0.1:8300"),))

    def __init__(self, machine: StateMachine) -> None:
        self._machine = machine
        self.last_index = 0
        self.proposed: list[tuple[bytes, Any]] = []
        self.refused: Exception | None = None
        self.unverified: Deferred[None] | None = None
        self.leased = True
        self.contact = 0.0

    def propose(self, data: bytes, record: object) -> Deferred[Any]:
        """Apply at once."""
        if self.refused is not None:
            return fail(self.refused)
        self.last_index += 1
        self.proposed.append((data, record))
        result = self._machine.apply(self.last_index, data, record)
        self._machine.applied(self.last_index)
        return fail(result) if isinstance(result, Exception) else succeed(result)

    def verify(self) -> Deferred[None] | None:
        """As it was set."""
        return self.unverified

    def lease_valid(self) -> bool:
        """As it was set."""
        return self.leased

    def last_contact(self) -> float:
        """As it was set."""
        return self.contact

    def remove(self, id: str) -> Deferred[int]:
        """There is nobody else."""
        return fail(RequestRefused("the last voter cannot be removed"))

    def transfer_leadership(self, to: str | None = None) -> Deferred[None]:
        """There is nobody else."""
        return fail(RequestRefused("cannot find peer"))

    def stats(self) -> dict[str, str]:
        """What is known of a log."""
        return {"last_contact": "0", "last_log_index": str(self.last_index), "last_log_term": "2"}


class NobodyLooks:
    """An autopilot that has seen nothing."""

    def last_index(self, id: str) -> int:
        """Nothing was told."""
        return 0

    def reply(self) -> AutopilotHealthReply:
        """Nothing is known."""
        return AutopilotHealthReply()

    def state(self) -> AutopilotState:
        """Nothing is known."""
        return AutopilotState()


class Timers:
    """Session timers that only remember."""

    def __init__(self) -> None:
        self.renewed: list[str] = []
        self.forgotten: list[str] = []

    def renew(self, session: Session) -> None:
        """Remember."""
        self.renewed.append(session.id)

    def forget(self, session_id: str) -> None:
        """Remember."""
        self.forgotten.append(session_id)


class NoFacts:
    """An agent that tells nothing of itself."""

    def document(self) -> dict[str, Any]:
        """Nothing."""
        return {}

    version = host = metrics = document

    def members(self, wan: bool = False) -> list[dict[str, Any]]:
        """Nobody."""
        return []

    def exposed_metrics(self) -> list[Any]:
        """No metrics."""
        return []

    def follow_metrics(self) -> Iterator[Any]:
        """None for anybody who stays."""
        return iter(())

    def follow_log(self, level: str, json: bool) -> Iterator[Any]:
        """A log without a line."""
        return iter(())


class Served:
    """
    A door and all that is behind it.

    @ivar clock: a L{Clock}, which starts at 1000.
    """

    def __init__(self, is_leader: bool = True) -> None:
        self.clock = Clock()
        self.clock.advance(1000)
        self.machine = StateMachine()
        self.store = self.machine.store
        self.consensus = Committing(self.machine)
        ids = (f"00000000-0000-0000-0000-{number:012d}" for number in range(1, 1_000_000))
        self.leading = Leading(self.clock.seconds, lambda: next(ids), 10 * SECOND, "dc1")
        self.timers = self.leading.timers = Timers()
        self.site = Site(
            me=Me("dc1", True, is_leader, is_leader, is_leader),
            store=self.store,
            consensus=self.consensus,
            clock=self.clock,
            rng=Random(1),
            leading=self.leading,
            default_query_time=300.0,
            max_query_time=600.0,
            hold_timeout=7.0,
            node_name=lambda id: "a",
            facts=NoFacts(),
            snapshots=None,
        )
        self.site.autopilot = NobodyLooks()
        self.door = Door(self.site, METHODS)

    def call(self, method: str, request: Any) -> Any:
        """Ask without a token."""
        return self.door.call(method, request, Context())

    def lead(self) -> None:
        """Become the leader."""
        self.site.me = self.site.me._replace(is_leader=True, leader_known=True, heard_of_leader=True)
        self.door.leader_changed()


__all__ = ["SECOND", "Committing", "Served", "Timers"]
