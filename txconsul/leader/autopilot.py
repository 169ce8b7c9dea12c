"""
The leader looks after its group: which servers are well, who becomes a voter, who is taken out.

What is decided is in L{txconsul.raft.autopilot}; here servers are asked, again and again, and decisions are carried
out.

Source: Consul's documentation of Autopilot.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING, Any, Protocol

from twisted.application.service import Service
from twisted.internet.defer import Deferred, DeferredLock, maybeDeferred, succeed
from twisted.internet.interfaces import IDelayedCall, IReactorTime
from twisted.internet.task import LoopingCall
from twisted.logger import Logger
from twisted.python.failure import Failure

from txconsul.codec.duration import SECOND
from txconsul.codec.gotime import pack_time, unpack_time
from txconsul.raft.autopilot import (
    Change,
    ChangeKind,
    Health,
    Known,
    NodeStatus,
    ServerHealth,
    Settings,
    Stats,
    assess,
    promotions,
    removals,
)
from txconsul.records.autopilot import AutopilotConfig
from txconsul.records.operator import AutopilotHealthReply, AutopilotServer, AutopilotServerHealth, AutopilotState
from txconsul.serf.messages import Status

if TYPE_CHECKING:
    from txconsul.consensus import Consensus
    from txconsul.serf.members import Member
    from txconsul.state.store import Store

__all__ = ["Autopilot", "Group"]

#: How often servers are asked how they are, in seconds; an answer counts for half of that.
LOOK_SECONDS = 2.0
#: How often voters are made, and servers that are gone removed.
ACT_SECONDS = 10.0

_SERF_STATUS = {NodeStatus.ALIVE: Status.ALIVE, NodeStatus.LEFT: Status.LEFT, NodeStatus.FAILED: Status.FAILED}


class Group(Protocol):
    """This datacenter as gossip knows it."""

    def members(self) -> Iterable[Member]:
        """Everybody, those who are gone included until they are forgotten; nobody before the pool is open."""

    def servers(self) -> Iterable[Known]:
        """All servers, also those that failed or left."""

    def name_of(self, id: str) -> str:
        """The node of the server with an id; empty where it is not known."""

    def stats(self, server: Known) -> Deferred[Stats]:
        """Ask another server how it is."""

    def force_leave(self, name: str) -> None:
        """Have gossip hold a node for gone."""


class Autopilot(Service):
    """While leading: look after the group. @ivar health: what was seen last; None while not leading."""

    name = "autopilot"
    _log = Logger("txconsul.leader")

    def __init__(
        self,
        store: Store,
        consensus: Consensus,
        group: Group,
        config: AutopilotConfig,
        clock: IReactorTime,
        wall: Callable[[], bytes],
        silence: float = 0.0,
    ) -> None:
        """
        @param config: what counts until there are settings in the state.
        @param wall: the wall clock, as Go's 15 bytes.
        @param silence: seconds for which a follower that is well may hear nothing of a leader who has nothing to say.
            That is added to the operator's threshold, which supposes Consul's leader, who speaks all the time.
        """
        self._store = store
        self._consensus = consensus
        self._group = group
        self._config = config
        self._clock = clock
        self._wall = wall
        self._silence = silence
        self.health: Health | None = None
        self._loops = [LoopingCall(self._look), LoopingCall(self._act)]
        for loop in self._loops:
            loop.clock = clock
        self._asked: dict[str, Deferred[Any]] = {}
        self._told: dict[str, Stats] = {}
        self._last = Stats()
        self._end: IDelayedCall | None = None
        self._changing = DeferredLock()

    def startService(self) -> None:
        """Leadership was gained."""
        super().startService()
        look, act = self._loops
        look.start(LOOK_SECONDS)
        act.start(ACT_SECONDS, now=False)

    def stopService(self) -> None:
        """Leadership was lost: what was seen is of no use to a later time as leader."""
        super().stopService()
        for loop in self._loops:
            loop.stop()
        if self._end is not None:
            self._end.cancel()
            self._end = None
        asked, self._asked = self._asked, {}
        for question in asked.values():
            question.cancel()
        self.health = None

    @property
    def settings(self) -> Settings:
        """The operator's."""
        it = self._store.tables.autopilot.rows.get("") or self._config
        return Settings(
            cleanup_dead_servers=it.cleanup_dead_servers,
            last_contact_threshold=it.last_contact_threshold / SECOND + self._silence,
            max_trailing_logs=it.max_trailing_logs,
            min_quorum=it.min_quorum,
            server_stabilization_time=it.server_stabilization_time / SECOND,
        )

    # ---- looking ----

    def _look(self) -> None:
        """Ask all servers, and see what they said when half of the time is over, or all have answered."""
        if self._end is not None:
            return
        consensus, log = self._consensus, self._consensus.core.log
        self._last = Stats(0.0, log.last_term, log.last)
        self._told[consensus.id] = self._last
        for server in self._group.servers():
            if server.id == consensus.id or server.status is NodeStatus.LEFT:
                continue
            if server.id in self._asked:
                self._log.warn("{server} has not yet said how it is", server=server.name)
                continue
            question = self._asked[server.id] = maybeDeferred(self._group.stats, server)
            question.addCallbacks(
                self._answered, self._silent, callbackArgs=(server.id,), errbackArgs=(server.id, server.name)
            )
        self._end = self._clock.callLater(LOOK_SECONDS / 2, self._see)
        self._seen_all()

    def _answered(self, stats: Stats, id: str) -> None:
        self._asked.pop(id, None)
        self._told[id] = stats
        self._seen_all()

    def _silent(self, reason: Failure, id: str, name: str) -> None:
        if self._asked.pop(id, None) is not None:
            self._log.warn("{server} does not say how it is: {error}", server=name, error=reason.getErrorMessage())
            self._seen_all()

    def _seen_all(self) -> None:
        if not self._asked and self._end is not None:
            self._end.cancel()
            self._see()

    def _see(self) -> None:
        self._end = None
        before, consensus = self.health, self._consensus
        told, self._told = self._told, {}  # what comes late counts next time
        self.health = health = assess(
            before,
            self.settings,
            consensus.configuration,
            {one.id: one for one in self._group.servers()},
            told,
            consensus.id,
            self._last,
            self._clock.seconds(),
        )
        if before is not None and before.healthy != health.healthy:
            unwell = ", ".join(one.known.name or id for id, one in health.servers.items() if not one.healthy)
            self._log.info("autopilot: {how}", how=f"unwell: {unwell}" if unwell else "all servers are well")

    # ---- acting ----

    def _act(self) -> None:
        """Make voters; where nobody becomes one, remove who is gone."""
        if self.health is None or self._changing.locked:
            return
        changes = promotions(self.health, self.settings, self._clock.seconds())
        done = self.carry_out(changes or self.dead())
        done.addErrback(lambda reason: self._log.warn("autopilot: {error}", error=reason.getErrorMessage()))

    def dead(self) -> list[Change]:
        """Who is to be removed now."""
        return removals(self._consensus.configuration, self._group.servers(), self.settings)

    def carry_out(self, changes: Iterable[Change]) -> Deferred[None]:
        """
        Change the group, one step after the other, when earlier changes are done.

        @return: a Deferred firing when that is over, or failing as the first step that failed, after which no more is
            tried: whoever looks next finds out what is still to be done.
        """
        steps = list(changes)
        if not steps:
            return succeed(None)
        return self._changing.run(lambda: Deferred.fromCoroutine(self._carry_out(steps)))

    async def _carry_out(self, changes: list[Change]) -> None:
        consensus = self._consensus
        for change in changes:
            if not self.running:
                return
            self._log.info(
                "autopilot: {what}: {name} id={id} address={address}",
                what=change.kind.value,
                name=change.name or "a server",
                id=change.id,
                address=change.address,
            )
            if change.kind is ChangeKind.ADD_NONVOTER:
                await consensus.add_nonvoter(change.id, change.address)
            elif change.kind is ChangeKind.ADD_VOTER:
                await consensus.add_voter(change.id, change.address)
            elif change.kind is ChangeKind.REMOVE:
                await consensus.remove(change.id)
            else:
                self._group.force_leave(change.name)

    # ---- telling ----

    def last_index(self, id: str) -> int:
        """The last index that a server told; 0 of one that told none."""
        server = None if self.health is None else self.health.servers.get(id)
        return 0 if server is None else server.stats.last_index

    def _stable_since(self, server: ServerHealth) -> bytes:
        ago = self._clock.seconds() - server.stable_since
        return pack_time(unpack_time(self._wall()) - int(ago * SECOND))

    def reply(self) -> AutopilotHealthReply:
        """The health, as other servers are told it."""
        if self.health is None:
            return AutopilotHealthReply()

        def shown(one: ServerHealth) -> AutopilotServerHealth:
            return AutopilotServerHealth(
                address=one.address,
                healthy=one.healthy,
                id=one.id,
                last_contact=int(one.stats.last_contact * SECOND),
                last_index=one.stats.last_index,
                last_term=one.stats.last_term,
                leader=one.id == self._consensus.id,
                name=one.known.name,
                serf_status=_SERF_STATUS.get(one.known.status, Status.NONE).value,
                stable_since=self._stable_since(one),
                version=one.known.version,
                voter=one.is_voter,
            )

        return AutopilotHealthReply(
            failure_tolerance=self.health.failure_tolerance,
            healthy=self.health.healthy,
            servers=tuple([shown(one) for one in self.health.servers.values()]) or None,
        )

    def _meta(self, id: str) -> dict[str, str] | None:
        """What the catalog has of a server's node; None before it is registered."""
        node = self._store.catalog.node_by_id(id)
        return None if node is None else node.meta

    def state(self) -> AutopilotState:
        """Everything, as operators are told it."""
        if self.health is None:
            return AutopilotState()

        def shown(one: ServerHealth) -> AutopilotServer:
            return AutopilotServer(
                id=one.id,
                name=one.known.name,
                address=one.address,
                node_status=one.known.status.value,
                version=one.known.version,
                last_contact=int(one.stats.last_contact * SECOND),
                last_term=one.stats.last_term,
                last_index=one.stats.last_index,
                healthy=one.healthy,
                stable_since=self._stable_since(one),
                status=one.role.value,
                meta=self._meta(one.id),
            )

        health = self.health
        return AutopilotState(
            healthy=health.healthy,
            failure_tolerance=health.failure_tolerance,
            servers={id: shown(one) for id, one in health.servers.items()},
            leader=health.leader,
            voters=health.voters,
        )
