"""
One server of a Raft group: L{RaftCore<txconsul.raft.core.RaftCore>} with its log, its state machine and its peers.

Everything that comes in during one reactor turn is drained at the turn's end: all that was proposed goes to the log
in one append and one sync (L{txconsul.consensus.durability}), in parallel with what is sent to the followers. What
arrives while the disk works forms the next batch.

A full disk refuses writes and nothing else. A failed one, or an exception while a committed entry is applied, stops
the server: observers are told once, and the process should end.
"""

from __future__ import annotations

from collections.abc import Callable
from random import Random
from typing import Any, BinaryIO

from twisted.internet.defer import Deferred, fail, succeed
from twisted.internet.interfaces import IReactorTime
from twisted.logger import Logger
from twisted.python.failure import Failure

from txconsul.codec import gomsgpack
from txconsul.consensus.applying import Applying
from txconsul.consensus.barriers import ReadBarriers
from txconsul.consensus.durability import Durability
from txconsul.consensus.measuring import RaftMeasures
from txconsul.consensus.observing import Observer, Observers
from txconsul.consensus.snapshots import SnapshotPolicy, Snapshots, Thrown
from txconsul.consensus.stats import raft_stats
from txconsul.consensus.traffic import SnapshotTraffic
from txconsul.driver import Driver, Slices
from txconsul.errors import DiskFull, LeadershipLost, NoLeader, TxconsulError, Unavailable
from txconsul.interfaces import (
    ILogStore,
    IRaftTransport,
    ISnapshotReceiver,
    ISnapshotStore,
    IStableStore,
    IStateMachine,
)
from txconsul.metrics.metrics import Metrics
from txconsul.raft import messages as raft
from txconsul.raft.configuration import check
from txconsul.raft.core import RaftCore
from txconsul.raft.messages import Role
from txconsul.raft.timing import Timing
from txconsul.records.raft import NO_TIME, Configuration, Entry, EntryType, Suffrage
from txconsul.records.snapshot import SnapshotMeta

__all__ = ["Consensus", "Observer"]


class Consensus:
    """
    One server of the group.

    @ivar id: its id.
    @ivar core: the L{RaftCore}, once L{start} is through.
    @ivar is_leader: whether this server leads, as far as it knows.
    """

    log = Logger()
    core: RaftCore

    def __init__(
        self,
        id: str,
        *,
        log_store: ILogStore,
        stable_store: IStableStore,
        snapshot_store: ISnapshotStore,
        machine: IStateMachine,
        transport: IRaftTransport,
        clock: IReactorTime,
        rng: Random,
        wall: Callable[[], bytes] = lambda: NO_TIME,
        timing: Timing | None = None,
        policy: SnapshotPolicy | None = None,
        slices: Slices | None = None,
        metrics: Metrics | None = None,
    ) -> None:
        """
        @param clock: monotonic.
        @param wall: the time of day in Go's 15 bytes, for C{Entry.appended_at}.
        @param slices: how long work is cut up, if not in slices of 10 ms.
        @param metrics: the instruments of what is measured.
        """
        self.id = id
        self.is_leader = False
        self._log_store = log_store
        self._stable_store = stable_store
        self._transport = transport
        self._clock = clock
        self._seconds = clock.seconds
        self._rng = rng
        self._wall = wall
        self._appended_at: bytes | None = None
        self._timing = timing or Timing()
        self._snapshots = Snapshots(snapshot_store, machine, clock, slices or Slices(clock))
        self._policy = policy or SnapshotPolicy()
        self._applying = Applying(log_store, machine, clock, lambda: self._reads.applied(), self._fail)
        self._measures = RaftMeasures(metrics or Metrics(), clock.seconds)
        self._reads = ReadBarriers(self._applying)
        self._proposed = self._applying.proposed
        self._observers = Observers()
        self._driver: Driver | None = None
        self._stopped = False
        self._starting: Deferred[None] | None = None
        self._transfer: Deferred[None] | None = None
        # While an archive is being restored: what is proposed, and which reads wait until its state is committed.
        self._restoring: list[tuple[bytes, object, Deferred[Any]]] | None = None
        self._uncertain: list[Deferred[None]] | None = None

    # ---- beginning and end ----

    def observe(self, observer: Observer) -> None:
        """Tell C{observer} from now on."""
        self._observers.add(observer)

    def start(self, bootstrap: Configuration | None = None) -> Deferred[None]:
        """
        Read what is stored, restore the newest snapshot, and take part. Entries of the log after the snapshot are
        applied as soon as they are known to be committed.

        @param bootstrap: what a server that has nothing stored begins the group with; without it, it waits to be
            added to one. All servers that bootstrap a group do so with the same configuration. Ignored by a server
            that has something stored.
        @return: a Deferred firing when the server takes part. It fails with L{Corrupt} (the message names the file)
            or L{DiskFull}.
        """

        async def work() -> None:
            term, vote = self._stable_store.load()
            meta = self._snapshots.newest()
            if meta is not None:
                await self._snapshots.load(meta.id)
                self._applying.restored(meta.index)
            elif bootstrap is not None and not term and not self._log_store.last:
                await self._bootstrap(bootstrap)
                term = 1
            self._begin(term, vote, meta)

        self._starting = Deferred.fromCoroutine(work())
        return self._starting

    async def _bootstrap(self, configuration: Configuration) -> None:
        """The first entry makes the group. The term is stored after it, so a crash between is no harm."""
        data = gomsgpack.encode(check(configuration))
        entry = Entry(index=1, term=1, type=EntryType.CONFIGURATION, data=data, appended_at=self._wall())
        self._log_store.append([entry])
        await self._log_store.sync()
        self._stable_store.store(1, "")

    @property
    def is_blank(self) -> bool:
        """Whether this server takes part and belongs to no group yet: nothing is stored."""
        return self._driver is not None and not self.core.log.last and not self.core.term

    def bootstrap(self, configuration: Configuration) -> None:
        """
        Begin a group while running, of a server that L{is_blank}. All servers of it do so, in whatever order they name
        each other. It raises L{RequestRefused<txconsul.errors.RequestRefused>} where such a group cannot be.
        """
        self.core.bootstrap(configuration, self._seconds())
        self._fed()

    def _begin(self, term: int, vote: str, meta: SnapshotMeta | None) -> None:
        if self._stopped:
            return
        last = self._log_store.last
        meta = meta or SnapshotMeta()
        self.core = core = RaftCore(
            self.id,
            log=self._log_store,
            now=self._seconds(),
            rng=self._rng,
            timing=self._timing,
            term=max(term, self._log_store.term(last) if last else 0),
            vote=vote if not last or term >= self._log_store.term(last) else "",
            configuration=meta.configuration,
            configuration_index=meta.configuration_index,
            snapshot_index=meta.index,
            snapshot_term=meta.term,
        )
        self._durability = durability = Durability(
            core,
            log_store=self._log_store,
            stable_store=self._stable_store,
            transport=self._transport,
            clock=self._clock,
            resume=self._resume,
            synced=self._drain,
            timed=self._measures.timed_sync,
            failed=self._fail,
        )
        self._traffic = traffic = SnapshotTraffic(
            core,
            snapshots=self._snapshots,
            applying=self._applying,
            log_store=self._log_store,
            transport=self._transport,
            clock=self._clock,
            rng=self._rng,
            policy=self._policy,
            fed=self._fed,
            failed=self._fail,
            meta=meta,
        )
        self._driver = Driver(
            core,
            self._clock,
            {
                raft.Send: durability.send,
                raft.PersistState: durability.persist_state,
                raft.Persist: durability.persist,
                raft.Truncate: durability.truncate,
                raft.ResetLog: durability.reset_log,
                raft.Commit: self._on_commit,
                raft.RoleChanged: self._on_role,
                raft.LeaderChanged: self._on_leader,
                raft.ConfigurationChanged: self._on_configuration,
                raft.Dropped: self._on_dropped,
                raft.ReadReady: self._reads.ready,
                raft.ReadFailed: self._reads.failed,
                raft.TransferFailed: self._on_transfer_failed,
                raft.SendSnapshot: traffic.send,
                raft.ReceiveSnapshot: traffic.expect,
            },
            self._drained,
            lambda failure: self._fail("driving the Raft core", failure),
        )
        self._driver.drain()

    def stop(self) -> Deferred[None]:
        """
        Take no part any more; whoever waits is told L{LeadershipLost}. The stores stay open: they are their owner's.

        @return: a Deferred firing when nothing of this server is under way.
        """
        self._halt()
        return succeed(None)

    def _halt(self) -> None:
        if self._stopped:
            return
        self._stopped = True
        if self._starting is not None and not self._starting.called:
            self._starting.addErrback(lambda _: None)
            self._starting.cancel()
        if self._driver is not None:
            self._driver.stop()
            self._durability.stop()
            self._traffic.stop()
            self.core.stop(self._seconds())
        led, self.is_leader = self.is_leader, False
        self._applying.stop(LeadershipLost)
        self._reads.stop()
        transfer, self._transfer = self._transfer, None
        if transfer is not None:
            transfer.errback(LeadershipLost())
        if led:
            self._observers.tell(lambda observer: observer.role_changed(Role.STOPPED, self.core.term))

    def _fail(self, doing: str, failure: Failure) -> None:
        """Stop for good: what this server would do next cannot be trusted."""
        if self._stopped:
            return
        if failure.check(TxconsulError):
            self.log.critical("Raft stopped while {doing}: {error}", doing=doing, error=failure.value)
        else:
            self.log.failure("Raft stopped while {doing}", failure, doing=doing)
        self._halt()
        self._observers.tell(lambda observer: observer.consensus_failed(failure))

    # ---- what comes in ----

    def receive(self, sender: str, message: raft.Message) -> None:
        """A message of the server C{sender} arrived."""
        if self._driver is not None and not self._stopped:
            self.core.receive(message, sender, self._seconds())
            self._driver.fed()

    def receive_snapshot(self, sender: str, message: raft.InstallSnapshot) -> ISnapshotReceiver:
        """
        A snapshot of the server C{sender} begins to arrive. Its bytes go to what this returns, wanted or not.
        """
        if self._driver is None or self._stopped:
            return Thrown()
        self.core.receive(message, sender, self._seconds())
        self._traffic.offer(message)
        self._driver.drain()
        self._traffic.offer(None)
        return self._traffic.receiver(message)

    def unreachable(self, server: str) -> None:
        """The transport lost its connection to a server, or could not make one."""
        if self._driver is not None and not self._stopped:
            self.core.unreachable(server, self._seconds())
            self._driver.fed()

    # ---- writes ----

    def propose(self, data: bytes, record: object = None) -> Deferred[Any]:
        """
        Replicate a command and apply it. All that is proposed in one turn goes down in one append and one sync.

        @param data: type byte and body.
        @param record: the decoded command, given to the state machine as it is. It must not be changed afterwards.
        @return: a Deferred firing with what the state machine returned; an exception that it returned is a failure.
            It fails with L{NoLeader} (not proposed), L{DiskFull} (will not happen), L{LeadershipLost} (nobody knows).
        """
        if self._restoring is not None:
            waiting: Deferred[Any] = Deferred()
            self._restoring.append((data, record, waiting))
            return waiting
        if not self.is_leader:
            return fail(NoLeader())
        stamp, first = self._appended_at, False
        if stamp is None:
            stamp, first = self._wall(), True
            self._appended_at = stamp
        try:
            index = self.core.propose(data, self._seconds(), appended_at=stamp)
        except NoLeader as error:
            return fail(error)
        self._measures.proposals += 1
        if first:
            self._measures.dispatched(index)
        self._driver.fed()  # type: ignore[union-attr]
        return self._proposed(index, 0, data, record)

    def barrier(self) -> Deferred[int]:
        """@return: a Deferred firing when everything proposed before is applied here; fails as L{propose}."""
        self._measures.barriers += 1
        return self._append(EntryType.BARRIER, lambda now: self.core.barrier(now, appended_at=self._wall()))

    def add_voter(self, id: str, address: str) -> Deferred[int]:
        """
        Add a server that votes, or give a vote to one that is there, or change its address.

        @return: a Deferred firing with the entry's index when that is committed. It fails with L{NoLeader},
            L{LeadershipLost}, L{RequestRefused} (such a group cannot be), or L{Unavailable} (another change is not
            committed yet).
        """
        return self._append(EntryType.CONFIGURATION, lambda now: self.core.add_voter(id, address, now))

    def add_nonvoter(self, id: str, address: str) -> Deferred[int]:
        """Add a server that gets the log and has no vote. As L{add_voter}."""
        return self._append(EntryType.CONFIGURATION, lambda now: self.core.add_nonvoter(id, address, now))

    def demote(self, id: str) -> Deferred[int]:
        """Take a server's vote. As L{add_voter}."""
        return self._append(EntryType.CONFIGURATION, lambda now: self.core.demote(id, now))

    def remove(self, id: str) -> Deferred[int]:
        """Remove a server; a leader that removes itself steps down. As L{add_voter}."""
        return self._append(EntryType.CONFIGURATION, lambda now: self.core.remove_server(id, now))

    def _append(self, kind: EntryType, append: Callable[[float], int]) -> Deferred[int]:
        if self._restoring is not None and kind is EntryType.CONFIGURATION:
            return fail(Unavailable("a snapshot is being restored"))
        if not self.is_leader:
            return fail(NoLeader())
        try:
            index = append(self._seconds())
        except TxconsulError as error:
            return fail(error)
        self._fed()
        return self._proposed(index, kind, None, None)

    def transfer_leadership(self, to: str | None = None) -> Deferred[None]:
        """
        Let another voter lead.

        @param to: its id; None is the one whose log is nearest.
        @return: a Deferred firing when this server does not lead any more. It fails with L{NoLeader},
            L{RequestRefused} (no such voter) or L{Unavailable} (it did not take over in time).
        """
        if not self.is_leader:
            return fail(NoLeader())
        if self._transfer is not None:
            return fail(Unavailable("a leadership transfer is under way"))
        try:
            self.core.transfer_leadership(to, self._seconds())
        except TxconsulError as error:
            return fail(error)
        self._fed()
        self._transfer = Deferred()
        return self._transfer

    # ---- reads ----

    def verify(self) -> Deferred[None] | None:
        """
        Make sure that a read of the state now, or when this fires, sees every write acknowledged by now.

        @return: None if that is so already; else a Deferred firing when it is, or failing with L{NoLeader}.
        """
        if not self.is_leader:
            return fail(NoLeader())
        if self._uncertain is not None:
            waiting: Deferred[None] = Deferred()
            self._uncertain.append(waiting)
            return waiting
        now = self._seconds()
        core = self.core
        if core.members.is_alone(self.id) and core.lease_valid(now) and self._applying.applied >= core.commit_index:
            return None
        try:
            ticket = core.read(now)
        except NoLeader as error:
            return fail(error)
        self._fed()
        return self._reads.add(ticket)

    def lease_valid(self) -> bool:
        """
        Whether this server's state is the newest there is, by its clock alone: it leads, no other server can have
        been elected, and all that it knows to be committed is applied.
        """
        return (
            self.is_leader
            and self._uncertain is None
            and self.core.lease_valid(self._seconds())
            and self._applying.applied >= self.core.commit_index
        )

    # ---- what is known ----

    @property
    def is_running(self) -> bool:
        """Whether this server takes part: what is on its disk is read, and it has not stopped."""
        return self._driver is not None and not self._stopped

    @property
    def leader_id(self) -> str:
        """The leader's id, or empty."""
        return self.core.leader if self._driver is not None else ""

    @property
    def leader_address(self) -> str:
        """Where the leader listens, or empty."""
        return self.core.leader_address if self._driver is not None else ""

    @property
    def term(self) -> int:
        """The newest term known."""
        return self.core.term if self._driver is not None else 0

    @property
    def last_index(self) -> int:
        """The newest entry of the log."""
        return self.core.log.last if self._driver is not None else 0

    @property
    def commit_index(self) -> int:
        """The newest entry known to be committed."""
        return self.core.commit_index if self._driver is not None else 0

    @property
    def applied_index(self) -> int:
        """The newest entry in the state."""
        return self._applying.applied

    @property
    def configuration(self) -> Configuration:
        """The membership in force."""
        return self.core.members.latest if self._driver is not None else Configuration()

    def last_contact(self) -> float | None:
        """Seconds since the leader was heard; 0.0 if this server leads, None if it never heard one."""
        if self.is_leader:
            return 0.0
        if self._driver is None:
            return None
        seconds = self._seconds() - self.core.last_contact
        return seconds if seconds < float("inf") else None

    def stats(self) -> dict[str, str]:
        """What C{consul info} shows of Raft; nothing while the server is still starting."""
        if self._driver is None:
            return {}
        return raft_stats(self.core, self.applied_index, self.last_contact(), self._traffic.meta)

    # ---- snapshots ----

    def snapshot(self) -> Deferred[SnapshotMeta]:
        """
        Write a snapshot of the state as it is now, and let go of the log before it, but for the trailing entries.

        @return: a Deferred firing when it is durable. One that is being written already is waited for, and counts if
            nothing was applied since it was begun. It fails with L{DiskFull}, or L{Unavailable} if the state is being
            replaced.
        """
        if self._driver is None:
            return fail(Unavailable("the server is still starting"))
        return self._traffic.take()

    def change_policy(self, policy: SnapshotPolicy) -> None:
        """Write snapshots on other terms, from the next look on."""
        self._policy = policy
        if self._driver is not None:
            self._traffic.policy = policy

    def restore(self, meta: SnapshotMeta, stream: BinaryIO) -> Deferred[None]:
        """
        Replace the group's state by that of an archive, as an operator wishes. What is proposed meanwhile waits.

        @param meta: the archive's; its index only says that what follows must be above it.
        @param stream: the FSM stream, which can seek; it is left open.
        @return: a Deferred firing when the new state is committed. It fails with L{Corrupt} or L{DiskFull} (the old
            state stands), L{NoLeader}, or L{LeadershipLost}.
        """
        if not self.is_leader:
            return fail(NoLeader())
        if self._restoring is not None:
            return fail(Unavailable("a snapshot is being restored"))

        async def work() -> None:
            await self.barrier()
            self._uncertain = []
            await self._traffic.take_over(meta, stream)
            self._drain()
            self._end_of_restore()
            await self.barrier()

        def over(result: Any) -> Any:
            self._end_of_restore()
            uncertain, self._uncertain = self._uncertain or [], None
            for read in uncertain:
                verified = self.verify()
                (succeed(None) if verified is None else verified).chainDeferred(read)
            return result

        self._restoring = []
        return Deferred.fromCoroutine(work()).addBoth(over)

    def _end_of_restore(self) -> None:
        """What was proposed meanwhile comes after it."""
        held, self._restoring = self._restoring or [], None
        for data, record, waiting in held:
            self.propose(data, record).chainDeferred(waiting)

    # ---- what the core wishes ----

    def _fed(self) -> None:
        if self._driver is not None:
            self._driver.fed()

    def _drain(self) -> None:
        if self._driver is not None:
            self._driver.drain()

    def _resume(self) -> None:
        if self._driver is not None:
            self._driver.resume()

    def _drained(self) -> None:
        self._appended_at = None
        self._durability.drained()

    def _on_commit(self, output: raft.Commit) -> None:
        self._measures.committed(output.index)
        self._applying.commit(output.index)

    def _on_role(self, output: raft.RoleChanged) -> None:
        led, self.is_leader = self.is_leader, output.role is Role.LEADER
        self._measures.became(output.role)
        if led == self.is_leader:
            return
        if led:
            self.log.info("lost leadership in term {term}", term=output.term)
            self._applying.give_up(self._applying.committed, LeadershipLost)
            transfer, self._transfer = self._transfer, None
            if transfer is not None:
                transfer.callback(None)
        else:
            self.log.info("leading in term {term}", term=output.term)
        self._observers.tell(lambda observer: observer.role_changed(output.role, output.term))

    def _on_leader(self, output: raft.LeaderChanged) -> None:
        self._observers.tell(lambda observer: observer.leader_changed(output.leader, output.address))

    def _on_configuration(self, output: raft.ConfigurationChanged) -> None:
        if output.committed:
            servers = ", ".join(
                f"{server.id} at {server.address}" + (" (non-voter)" if server.suffrage != Suffrage.VOTER else "")
                for server in output.configuration.servers
            )
            self.log.info("the group is {servers}", servers=servers or "empty")

    def _on_dropped(self, output: raft.Dropped) -> None:
        self._applying.give_up(output.after, DiskFull if self._durability.full else LeadershipLost)

    def _on_transfer_failed(self, output: raft.TransferFailed) -> None:
        transfer, self._transfer = self._transfer, None
        if transfer is not None:
            transfer.errback(Unavailable(f"server {output.to} did not take over leadership in time"))
