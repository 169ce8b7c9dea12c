"""
An agent that takes part: it replicates the state, and serves it.

Consensus below, the door above, and the duties that are held only while leading. What it stands on (clock, stores,
transport, chance) is given to it, so that a whole server runs inside a test.
"""

from __future__ import annotations

from collections.abc import Callable
from random import Random
from typing import Any

from twisted.application.service import MultiService
from twisted.internet.defer import CancelledError, Deferred, maybeDeferred
from twisted.internet.interfaces import IReactorTime
from twisted.logger import Logger
from twisted.python.failure import Failure

from txconsul.agent.archives import Archives
from txconsul.agent.group import Alone
from txconsul.agent.measured_machine import MeasuredMachine
from txconsul.consensus import Consensus, Observer, SnapshotPolicy
from txconsul.endpoints.door import Door
from txconsul.endpoints.leading import Leading
from txconsul.endpoints.methods import METHODS
from txconsul.endpoints.placing import Me
from txconsul.endpoints.site import Facts, Site
from txconsul.interfaces import ILogStore, IRaftTransport, ISnapshotStore, IStableStore
from txconsul.leader.announcing import Announcing
from txconsul.leader.autopilot import Autopilot, Group
from txconsul.leader.autopilot_settings import AutopilotSettings
from txconsul.leader.coordinates import PERIOD_SECONDS, Positions
from txconsul.leader.features import Features
from txconsul.leader.reconcile import Reconcile
from txconsul.leader.session_ttl import SessionTTL
from txconsul.leader.tombstones import Tombstones
from txconsul.metrics.metrics import Metrics
from txconsul.raft.messages import Role
from txconsul.raft.timing import Timing
from txconsul.records.autopilot import DEFAULT_AUTOPILOT, AutopilotConfig
from txconsul.records.base import Record
from txconsul.records.catalog import RegisterRequest
from txconsul.records.raft import Configuration
from txconsul.records.raft import Server as RaftServer
from txconsul.serf.coordinate import ORIGIN

__all__ = ["Server", "ServerSettings"]

_NANOSECONDS = 1_000_000_000
#: Seconds before a new leader, whose disk was full, tries again to commit an entry of its own.
ESTABLISH_RETRY_SECONDS = 1.0


class ServerSettings(Record, frozen=True):
    """
    What a server is told to be.

    @ivar id: the node's UUID.
    @ivar address: where its Raft is reached, C{host:port}.
    @ivar bootstrap: begin a group of its own, if it belongs to none.
    @ivar session_ttl_min: ns.
    @ivar any_key: keys with dot segments may be written (C{disable_kv_key_validation}).
    @ivar default_query_time: seconds that a blocking query waits if it does not say; C{max_query_time}: at most.
    @ivar hold_timeout: seconds that a request waits for a leader (Consul's C{rpc_hold_timeout}).
    @ivar autopilot: what a new group begins with.
    @ivar coordinates: whether nodes may say where they are (no C{disable_coordinates}).
    @ivar coordinate_period: seconds for which that is collected before it is written.
    """

    id: str
    name: str
    datacenter: str
    address: str
    bootstrap: bool
    registration: RegisterRequest
    timing: Timing = Timing()
    policy: SnapshotPolicy = SnapshotPolicy()
    session_ttl_min: int = 10 * _NANOSECONDS
    any_key: bool = False
    default_query_time: float = 300.0
    max_query_time: float = 600.0
    hold_timeout: float = 7.0
    autopilot: AutopilotConfig = DEFAULT_AUTOPILOT
    coordinates: bool = True
    coordinate_period: float = PERIOD_SECONDS


class _Machine(MeasuredMachine):
    """The state machine, which tells the leader which locks are delayed."""

    leading: Leading

    def applied(self, index: int) -> None:
        """A batch ends: note lock delays before anybody is woken who could take the lock."""
        for key, delay in self.store.take_lock_delays():
            self.leading.lock_delays.add(key, delay / _NANOSECONDS, self.leading.now)
        super().applied(index)


class Server(MultiService, Observer):
    """
    One server.

    @ivar door: where requests are asked.
    @ivar timers: those of sessions.
    @ivar reconcile: keeps the catalog true to who is there.
    @ivar ready: fires when a leader is known for the first time.
    """

    _log = Logger("txconsul.server")

    def __init__(
        self,
        settings: ServerSettings,
        *,
        log_store: ILogStore,
        stable_store: IStableStore,
        snapshot_store: ISnapshotStore,
        transport: IRaftTransport,
        clock: IReactorTime,
        rng: Random,
        wall: Callable[[], bytes],
        new_id: Callable[[], str],
        facts: Facts,
        failed: Callable[[Failure], object],
        metrics: Metrics | None = None,
        group: Group | None = None,
    ) -> None:
        """
        @param wall: the time of day, as Go's 15 bytes.
        @param new_id: makes a random UUID's text.
        @param failed: told once if the server cannot go on.
        @param metrics: the instruments of what is counted and measured.
        @param group: the servers of the datacenter; None where there are no others.
        """
        super().__init__()
        self._settings = settings
        self._failed = failed
        self._clock = clock
        group = group or Alone(settings.id, settings.name, settings.address)
        metrics = metrics or Metrics()
        self.machine = _Machine(metrics, clock.seconds)
        self._barriers = metrics.sample("leader.barrier")
        self.store = self.machine.store
        self.consensus = Consensus(
            settings.id,
            log_store=log_store,
            stable_store=stable_store,
            snapshot_store=snapshot_store,
            machine=self.machine,
            transport=transport,
            clock=clock,
            rng=rng,
            wall=wall,
            timing=settings.timing,
            policy=settings.policy,
            metrics=metrics,
        )
        self.leading = Leading(
            clock.seconds, new_id, settings.session_ttl_min, settings.datacenter, any_key=settings.any_key
        )
        self.machine.leading = self.leading
        self.site = Site(
            me=Me(settings.datacenter, True, False, False, False),
            store=self.store,
            consensus=self.consensus,
            clock=clock,
            rng=rng,
            leading=self.leading,
            default_query_time=settings.default_query_time,
            max_query_time=settings.max_query_time,
            hold_timeout=settings.hold_timeout,
            node_name=group.name_of,
            facts=facts,
            snapshots=Archives(self.consensus, snapshot_store, clock),
            metrics=metrics,
            own_name=settings.name,
            position=ORIGIN if settings.coordinates else None,
        )
        self.door = Door(self.site, METHODS)
        self.timers = self.leading.timers = SessionTTL(self.store, self.door, settings.datacenter, clock)
        positions = self.leading.positions = Positions(self.consensus.propose, clock, settings.coordinate_period)
        self.site.autopilot = self.autopilot = Autopilot(
            self.store, self.consensus, group, settings.autopilot, clock, wall, settings.timing.silence
        )
        self.reconcile = Reconcile(
            self.store, self.door, self.consensus, self.autopilot, group, settings.registration, clock
        )
        self._duties = MultiService()
        for duty in (
            self.timers,
            positions,
            Tombstones(self.store, self.door, settings.datacenter, clock),
            AutopilotSettings(self.store, self.door, settings.datacenter, settings.autopilot),
            Features(self.store, self.door, settings.datacenter),
            self.autopilot,
            Announcing(self.site),
            self.reconcile,
        ):
            duty.setServiceParent(self._duties)
        self.ready: Deferred[None] = Deferred()

    # ---- coming and going ----

    def startService(self) -> None:
        """Bring back what is on disk, and take part in the group."""
        super().startService()
        self.consensus.observe(self)
        bootstrap = None
        if self._settings.bootstrap:
            bootstrap = Configuration(servers=(RaftServer(id=self._settings.id, address=self._settings.address),))
        self.consensus.start(bootstrap).addErrback(self.consensus_failed)

    def stopService(self) -> Deferred[Any]:
        """Take no part any more. The stores are whose they are, and stay open."""
        stopped = maybeDeferred(super().stopService)
        self._step_aside()
        return stopped.addCallback(lambda _: self.consensus.stop())

    # ---- what becomes of it ----

    def role_changed(self, role: Role, term: int) -> None:
        """Leadership was gained, or lost."""
        if role is not Role.LEADER:
            self._step_aside()
            return
        self._log.info("Won the election: term={term}", term=term)
        self._establish(term)

    def _leads(self, term: int) -> bool:
        return bool(self.running) and self.consensus.is_leader and self.consensus.term == term

    def _establish(self, term: int) -> None:
        """Everything that was ever committed must be applied before it is served."""
        if self._leads(term):
            self.consensus.barrier().addCallbacks(
                self._established,
                self._not_established,
                callbackArgs=(term, self._clock.seconds()),
                errbackArgs=(term,),
            )

    def _not_established(self, reason: Failure, term: int) -> None:
        if self._leads(term):
            self._log.warn("Leadership cannot be established yet: {error}", error=reason.getErrorMessage())
            self._clock.callLater(ESTABLISH_RETRY_SECONDS, self._establish, term)

    def _established(self, _: object, term: int, began: float) -> None:
        if not self._leads(term):
            return
        self._barriers.add((self._clock.seconds() - began) * 1000)
        self.site.me = self.site.me._replace(is_leader=True, leader_known=True, heard_of_leader=True)
        self._duties.startService()
        self.door.leader_changed()
        self._log.info("Leadership is established: term={term}", term=term)
        self._is_ready()

    def _is_ready(self) -> None:
        """Somebody leads, this server or another one."""
        if not self.ready.called:
            self.ready.callback(None)

    def _step_aside(self) -> None:
        if self._duties.running:
            self._duties.stopService()
        if self.site.me.is_leader:
            self.site.me = self.site.me._replace(is_leader=False)
            if self.running:
                self._log.warn("Leadership is lost")

    def leader_changed(self, leader: str, address: str) -> None:
        """Another leader is known, or none."""
        known = bool(leader) and leader != self._settings.id
        if known:
            self.site.me = self.site.me._replace(leader_known=True, heard_of_leader=True)
            self.door.leader_changed()
            self._is_ready()
        elif not leader:
            self.site.me = self.site.me._replace(leader_known=False)

    def consensus_failed(self, reason: Failure) -> None:
        """The server cannot go on; or it was stopped before it began."""
        if not (reason.check(CancelledError) and not self.running):
            self._failed(reason)
