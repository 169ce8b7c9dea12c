"""
The leader keeps the catalog, and the group of servers, true to who is in the gossip pool.

It goes through all members when leadership was gained and every minute after, and looks at one when gossip tells of it.

Source: Consul's documentation of its architecture; see L{txconsul.leader.presence} for what is written.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import TYPE_CHECKING, Any

from twisted.application.service import Service
from twisted.internet.defer import Deferred, DeferredList, maybeDeferred
from twisted.internet.interfaces import IDelayedCall, IReactorTime
from twisted.logger import Logger
from twisted.python.failure import Failure

from txconsul.agent.tags import ServerParts, server_of
from txconsul.interfaces import ICaller
from txconsul.leader import presence
from txconsul.leader.autopilot import Autopilot, Group
from txconsul.raft.autopilot import Change, ChangeKind, TooManyRemovals, addition
from txconsul.records.catalog import DeregisterRequest, RegisterRequest
from txconsul.records.query import Context
from txconsul.serf.messages import Status

if TYPE_CHECKING:
    from txconsul.consensus import Consensus
    from txconsul.serf.members import Member
    from txconsul.state.store import Store

__all__ = ["INTERVAL_SECONDS", "RETRY_SECONDS", "Reconcile"]

#: Seconds between two looks at everybody (Consul's).
INTERVAL_SECONDS = 60.0
#: Seconds before another try, where something could not be written.
RETRY_SECONDS = 5.0
#: How many members are looked at in one turn of the reactor, and written in one batch.
MEMBERS_PER_TURN = 64


class Reconcile(Service):
    """While leading: write down who is there."""

    name = "reconcile"
    _log = Logger("txconsul.leader")

    def __init__(
        self,
        store: Store,
        door: ICaller,
        consensus: Consensus,
        autopilot: Autopilot,
        group: Group,
        registration: RegisterRequest,
        clock: IReactorTime,
    ) -> None:
        """@param registration: what the catalog is to say of this server's own node."""
        self._store = store
        self._door = door
        self._consensus = consensus
        self._autopilot = autopilot
        self._group = group
        self._own = registration
        self._clock = clock
        self._timer: IDelayedCall | None = None
        self._turn: IDelayedCall | None = None
        #: What is to be done, by the node that it is about: the newest word of each counts.
        self._waiting: dict[str, Callable[[], Deferred[Any] | None]] = {}
        self._busy = False
        self._retry = False

    def change(self, registration: RegisterRequest) -> None:
        """Register this of the own node from now on."""
        self._own = registration

    def startService(self) -> None:
        """Leadership was gained."""
        super().startService()
        self._retry = False
        self._look_at_all()
        if self._turn is not None and self._turn.active():  # the first few at once: clients wait for this node
            self._turn.cancel()
            self._look_at_some()

    def stopService(self) -> None:
        """Leadership was lost: the next leader looks."""
        super().stopService()
        self._waiting.clear()
        for call in (self._timer, self._turn):
            if call is not None and call.active():
                call.cancel()

    # ---- what is to be looked at ----

    def heard(self, member: Member, *, reaped: bool = False) -> None:
        """Gossip tells of a member. @param reaped: that it is forgotten."""
        if self.running:
            self._wait(member.name, lambda: self._look_at(member, reaped))

    def _look_at_all(self) -> None:
        self._timer = self._clock.callLater(INTERVAL_SECONDS, self._look_at_all)
        known = set()
        for member in self._group.members():
            known.add(member.name.lower())
            self._wait(member.name, partial(self._look_at, member, False))
        if self._own.node.lower() not in known:  # before the pool is open nothing is known of anybody else
            self._wait(self._own.node, self._look_at_own)
            return
        for name in presence.forgotten(self._store, known):
            self._wait(name, partial(self._forget, name))

    def _wait(self, name: str, look: Callable[[], Deferred[Any] | None]) -> None:
        self._waiting[name] = look
        self._next()

    def _next(self) -> None:
        """Look at the next few, unless some are being written."""
        if self.running and self._waiting and not self._busy and (self._turn is None or not self._turn.active()):
            self._turn = self._clock.callLater(0, self._look_at_some)

    def _look_at_some(self) -> None:
        self._busy = True
        batch = [(name, self._waiting.pop(name)) for name in list(self._waiting)[:MEMBERS_PER_TURN]]
        looks = [maybeDeferred(look).addErrback(self._not_done, name) for name, look in batch]
        DeferredList(looks).addCallback(self._looked)

    def _looked(self, _: object) -> None:
        self._busy = False
        self._next()
        if self._retry and self.running and not self._waiting and self._timer is not None:
            self._retry = False
            self._timer.reset(RETRY_SECONDS)

    def _not_done(self, reason: Failure, name: str) -> None:
        self._retry = True
        if self.running:
            self._log.warn("{node} could not be reconciled: {error}", node=name, error=reason.getErrorMessage())

    # ---- one member ----

    def _look_at(self, member: Member, reaped: bool) -> Deferred[Any] | None:
        server, datacenter = server_of(member), self._own.datacenter
        if not self._is_ours(member, server):
            return None
        is_own = member.name.lower() == self._own.node.lower()
        if reaped or member.status is Status.LEFT:
            if is_own:  # it leaves: whoever leads next writes that down
                return None
            done = None if server is None else self._remove(server)
            return self._after(done, lambda: self._forget(member.name))
        if member.status is Status.FAILED:
            return self._write(presence.failed(self._store, datacenter, member))
        if member.status is not Status.ALIVE:
            return None
        if is_own:
            return self._look_at_own()
        done = None if server is None else self._add(member, server)
        return self._after(done, lambda: self._write(presence.alive(self._store, datacenter, member)))

    def _look_at_own(self) -> Deferred[Any] | None:
        return self._write(presence.own(self._store, self._own))

    def _forget(self, name: str) -> Deferred[Any] | None:
        return self._write(presence.gone(self._store, self._own.datacenter, name))

    def _is_ours(self, member: Member, server: ServerParts | None) -> bool:
        """Whether it is an agent of this datacenter; the pool may have others, which the catalog does not show."""
        if server is not None:
            return server.datacenter == self._own.datacenter
        return member.tags.get("role") == "node" and member.tags.get("dc") == self._own.datacenter

    # ---- the group of servers ----

    def _add(self, member: Member, server: ServerParts) -> Deferred[None] | None:
        """Have a server in the group."""
        if server.bootstrap and any(
            other.bootstrap
            for one in self._group.members()
            if one.name != member.name and (other := server_of(one)) is not None
        ):
            self._log.error(
                "Two servers are in bootstrap mode, of which only one may be: {name} is not added", name=member.name
            )
            return None
        try:
            changes = addition(self._consensus.configuration, server.id, server.address)
        except TooManyRemovals as error:
            self._log.error("{name} is not added: {error}", name=member.name, error=error)
            return None
        if not changes:
            return None
        named = [one._replace(name=member.name) if one.id == server.id else one for one in changes]
        done = self._autopilot.carry_out(named)
        return done.addCallback(lambda _: self._autopilot.carry_out(self._autopilot.dead()))

    def _remove(self, server: ServerParts) -> Deferred[None] | None:
        """Have a server that is gone in the group no more."""
        if all(one.id != server.id for one in self._consensus.configuration.servers):
            return None
        return self._autopilot.carry_out([Change(ChangeKind.REMOVE, server.id, server.address, server.short_name)])

    # ---- writing ----

    def _after(self, before: Deferred[None] | None, write: Callable[[], Deferred[Any] | None]) -> Deferred[Any] | None:
        """Write when the group is as it is to be."""
        return write() if before is None else before.addCallback(lambda _: write())

    def _write(self, request: RegisterRequest | DeregisterRequest | None) -> Deferred[Any] | None:
        if request is None:
            return None
        if isinstance(request, DeregisterRequest):
            self._log.info("{node} is gone, and leaves the catalog", node=request.node)
            return maybeDeferred(self._door.call, "Catalog.Deregister", request, Context())
        if request.node != self._own.node and request.check is not None:
            self._log.info("{node} is {how}", node=request.node, how=request.check.status)
        return maybeDeferred(self._door.call, "Catalog.Register", request, Context())
