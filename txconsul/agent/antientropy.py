"""
Anti-entropy: the catalog is made to say of this node what its agent says.

The difference is a pure function (L{compare}), and so is what must be asked to close it (L{repairs}). The service
around them compares everything at the start and at intervals that grow with the cluster, tells single changes at once,
and tries again later what failed.

Source: Consul's documentation of anti-entropy.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Iterator, Mapping
from itertools import islice
from random import Random
from typing import Any, NamedTuple

import msgspec
from twisted.application.service import Service
from twisted.internet.defer import CancelledError, Deferred, DeferredList, maybeDeferred
from twisted.internet.interfaces import IDelayedCall, IReactorTime
from twisted.logger import Logger
from twisted.python.failure import Failure

from txconsul.agent.local import EVERYTHING, LocalCheck, LocalService, LocalState
from txconsul.codec import json
from txconsul.errors import RequestRefused
from txconsul.interfaces import ICaller
from txconsul.records.catalog import DeregisterRequest, Node, RegisterRequest
from txconsul.records.health import SERF_HEALTH, HealthCheck
from txconsul.records.queries import NodeSpecificRequest
from txconsul.records.query import Context
from txconsul.records.service import NodeService

__all__ = ["AntiEntropy", "Repair", "compare", "repairs", "said", "same_check", "same_service", "scale"]

#: For so long an answer is held back at the most while the catalog is told of others' changes.
SETTLE_SECONDS = 0.5
#: Asked at the same time: enough for one sync of the disk to serve many, and few enough to leave room for others.
REPAIRS_AT_ONCE = 64
#: What the leader registers of a server: no agent's to remove.
SERVERS_SERVICE = "consul"
#: What the tagged addresses begin with that servers give: virtual IPs.
SERVERS_ADDRESSES = "consul-"
#: Seconds between two comparisons of everything, in a small cluster (Consul's C{ae_interval}).
INTERVAL_SECONDS = 60.0
#: Seconds after which everything is compared again when a service of the mesh was told of: by then the servers have
#: given it a virtual address, which the agent shows, too. Several services that come together are compared together.
ADDRESSES_SECONDS = 1.0
#: Seconds within which everything is compared when there is a new leader: Consul's.
LEADER_SECONDS = 3.0
#: Up to so many nodes the interval stays; then it grows by itself with each doubling.
SCALE_NODES = 128
#: Seconds before what failed is tried again: at first, and at most. Both are drawn up to twice as long.
RETRY_SECONDS_MIN = 0.5
RETRY_SECONDS_MAX = 15.0
#: After so many doublings the longest wait is reached anyway.
DOUBLINGS_MAX = 10


def scale(nodes: int) -> int:
    """
    By how much the interval is longer in a cluster of this size.

    >>> scale(1), scale(128), scale(129), scale(1000)
    (1, 1, 2, 4)
    """
    return 1 if nodes <= SCALE_NODES else math.ceil(math.log2(nodes / SCALE_NODES)) + 1


# ---- the difference ----


def same_service(here: NodeService, there: NodeService) -> bool:
    """Whether the catalog's service is the agent's, apart from indexes and from how emptiness is written."""
    return _same(_plain_service(here), _plain_service(there))


def same_check(here: HealthCheck, there: HealthCheck, with_output: bool) -> bool:
    """Likewise for a check; without its output where that may be told later."""
    return _same(_plain_check(here, with_output), _plain_check(there, with_output))


def _same(one: NodeService | HealthCheck, other: NodeService | HealthCheck) -> bool:
    # Settings of no declared type may have become other sequences on their way through the log.
    return one == other or json.encode(one) == json.encode(other)


def _plain_service(service: NodeService) -> NodeService:
    return msgspec.structs.replace(
        service,
        create_index=0,
        modify_index=0,
        locally_registered_as_sidecar=False,
        meta=service.meta or None,
        tags=service.tags or None,
        tagged_addresses=service.tagged_addresses or None,
    )


def _plain_check(check: HealthCheck, with_output: bool) -> HealthCheck:
    return msgspec.structs.replace(
        check,
        create_index=0,
        modify_index=0,
        node=check.node.lower(),
        output=check.output if with_output else "",
        service_tags=check.service_tags or None,
    )


def compare(local: LocalState, services: Mapping[str, NodeService], checks: Iterable[HealthCheck]) -> None:
    """
    Note in C{local} what of it the catalog does not have, and what the catalog has that is nobody's.

    A service that lets its tags be overridden takes those of the catalog. An output that waits to be told is no
    difference.

    @param services: the node's in the catalog, by id; C{checks} likewise.
    """
    for id, entry in local.services.items():
        found = services.get(id)
        if entry.deleted or found is None:
            entry.in_sync = False
        else:
            entry.service = _with_theirs(entry.service, found)
            entry.in_sync = same_service(entry.service, found)
    for id, service in services.items():
        if id not in local.services and id != SERVERS_SERVICE:
            local.services[id] = LocalService(service, deleted=True)
    known = {one.check_id: one for one in checks}
    for id, check in local.checks.items():
        there = known.get(id)
        if check.deleted or there is None:
            check.in_sync = False
            continue
        owner = local.services.get(check.check.service_id)
        if owner is not None and owner.service.enable_tag_override:
            check.check = msgspec.structs.replace(check.check, service_tags=there.service_tags)
        check.in_sync = same_check(check.check, there, with_output=check.deferred_until is None)
    for id, there in known.items():
        if id not in local.checks and id != SERF_HEALTH:
            local.checks[id] = LocalCheck(there, deleted=True)
    _drop_what_is_gone(local, services, known)


def _with_theirs(here: NodeService, there: NodeService) -> NodeService:
    """The agent's service with what the catalog's says better: overridden tags, and the servers' own addresses."""
    changed: dict[str, Any] = {}
    if here.enable_tag_override and (here.tags or ()) != (there.tags or ()):
        changed["tags"] = there.tags
    theirs = {
        name: one
        for name, one in (there.tagged_addresses or {}).items()
        if name.startswith(SERVERS_ADDRESSES) and (here.tagged_addresses or {}).get(name) != one
    }
    if theirs:
        changed["tagged_addresses"] = {**(here.tagged_addresses or {}), **theirs}
    return msgspec.structs.replace(here, **changed) if changed else here


def _drop_what_is_gone(local: LocalState, services: Mapping[str, object], checks: Mapping[str, object]) -> None:
    for id in [id for id, one in local.services.items() if one.deleted and id not in services]:
        del local.services[id]
    for id in [id for id, gone in local.checks.items() if gone.deleted and id not in checks]:
        del local.checks[id]


class Repair(NamedTuple):
    """
    One thing to ask, and what to note once it was done.

    @ivar done: told that the catalog has it, and what time it is.
    """

    method: str
    request: RegisterRequest | DeregisterRequest
    token: str
    done: Callable[[float], None]


def repairs(local: LocalState, node: RegisterRequest) -> Iterator[list[Repair]]:
    """
    What must be asked so that the catalog has what C{local} has: in batches, of which each may be asked at once when
    the one before is done. They are made as they are taken: what one brings along needs no other.

    @param node: the node's own part of every registration.
    """
    # A service goes before its checks, and the first of all brings the node along.
    for stage in (_service_repairs(local, node), _check_repairs(local, node)):
        size = REPAIRS_AT_ONCE if local.node_in_sync else 1
        while batch := list(islice(stage, size)):
            yield batch
            size = REPAIRS_AT_ONCE
    if not local.node_in_sync:
        yield [_put(local, node, None, [], "")]


def _service_repairs(local: LocalState, node: RegisterRequest) -> Iterator[Repair]:
    for id, entry in list(local.services.items()):
        if entry.deleted:
            yield _remove_service(local, node, id, entry)
        elif not entry.in_sync and local.services.get(id) is entry:
            yield _put_service(local, node, entry)


def _check_repairs(local: LocalState, node: RegisterRequest) -> Iterator[Repair]:
    for id, check in list(local.checks.items()):
        if check.deleted and local.checks.get(id) is check:
            yield _remove_check(local, node, id, check)
        elif not check.in_sync and local.checks.get(id) is check:
            yield _put(local, node, None, [check], check.token)


def _put_service(local: LocalState, node: RegisterRequest, entry: LocalService) -> Repair:
    id = entry.service.id
    checks = [
        one
        for one in local.checks.values()
        if one.check.service_id == id and not one.deleted and not one.in_sync and one.token == entry.token
    ]
    return _put(local, node, entry, checks, entry.token)


def _put(
    local: LocalState, node: RegisterRequest, entry: LocalService | None, checks: list[LocalCheck], token: str
) -> Repair:
    service = None if entry is None else entry.service
    sent = [one.untold or one.check for one in checks]
    for one in checks:
        one.untold = None

    def done(now: float) -> None:
        local.node_in_sync = True
        if entry is not None and entry.service is service:
            entry.in_sync = True
        for one, check in zip(checks, sent, strict=True):
            local.check_told(one, check, now)

    request = msgspec.structs.replace(
        node, service=service, checks=tuple(sent) or None, skip_node_update=local.node_in_sync
    )
    return Repair("Catalog.Register", request, token, done)


def _remove_service(local: LocalState, node: RegisterRequest, id: str, entry: LocalService) -> Repair:
    def done(now: float) -> None:
        if local.services.get(id) is entry:
            del local.services[id]
        # The catalog lets a service's checks go with it.
        for check_id in [it for it, one in local.checks.items() if one.deleted and one.check.service_id == id]:
            del local.checks[check_id]

    request = DeregisterRequest(datacenter=node.datacenter, node=node.node, service_id=id)
    return Repair("Catalog.Deregister", request, entry.token, done)


def _remove_check(local: LocalState, node: RegisterRequest, id: str, entry: LocalCheck) -> Repair:
    def done(now: float) -> None:
        if local.checks.get(id) is entry:
            del local.checks[id]

    request = DeregisterRequest(datacenter=node.datacenter, node=node.node, check_id=id)
    return Repair("Catalog.Deregister", request, entry.token, done)


def said(told: RegisterRequest | DeregisterRequest) -> str:
    """For the log: what the catalog has been told."""
    if isinstance(told, DeregisterRequest):
        what, id = ("service", told.service_id) if told.service_id else ("check", told.check_id)
        return f"Deregistered {what}: {what}={id}"
    if told.service is not None:
        return f"Synced service: service={told.service.id}"
    checks = ([told.check] if told.check is not None else []) + list(told.checks or ())
    if checks:
        return f"Synced check: check={', '.join(check.check_id for check in checks)}"
    return "Synced node info"


def _same_node(node: RegisterRequest, there: Node) -> bool:
    return (
        node.id == there.id
        and node.address == there.address
        and (node.tagged_addresses or {}) == (there.tagged_addresses or {})
        and (node.node_meta or {}) == (there.meta or {})
    )


def awaits_address(service: NodeService) -> bool:
    """Whether the servers are to give a service a virtual address, which its agent has not heard of."""
    in_mesh = service.kind == "connect-proxy" or service.connect.native
    return in_mesh and not any(name.startswith(SERVERS_ADDRESSES) for name in service.tagged_addresses or ())


# ---- the service ----


class AntiEntropy(Service):
    """
    Keeps the catalog true to what an agent runs.

    @param node: the node's own part of every registration: name, id, addresses, metadata.
    @param nodes: how many nodes the cluster has.
    """

    name = "anti-entropy"
    _log = Logger("txconsul.agent")

    def __init__(
        self,
        local: LocalState,
        door: ICaller,
        node: RegisterRequest,
        clock: IReactorTime,
        rng: Random,
        nodes: Callable[[], int],
    ) -> None:
        self._local = local
        self._door = door
        self._node = node
        self._clock = clock
        self._rng = rng
        self._nodes = nodes
        self._under_way: Deferred[None] | None = None
        self._settling: list[Deferred[None]] = []
        self._call: IDelayedCall | None = None
        self._whole_at = 0.0
        self._changed = False
        self._failures = 0
        self._unreachable = False
        self._addresses_due = False
        self._local.tell(at_once=True)
        self._stop_watching: Callable[[], None] | None = None

    def startService(self) -> None:
        """Compare everything, and go on from there."""
        super().startService()
        self._stop_watching = self._local.watch(EVERYTHING, self._on_change)
        self._whole_at = self._clock.seconds()
        self._arm()

    def change_node(self, node: RegisterRequest) -> None:
        """The node's own part of registrations is another one from now on."""
        self._node = node
        self._local.node_in_sync = False
        self._on_change()

    def leader_changed(self) -> None:
        """There is a new leader, who may lack what this agent runs: compare everything soon, but not all at once."""
        self._whole_at = min(self._whole_at, self._clock.seconds() + LEADER_SECONDS * self._rng.random())
        self._arm()

    def stopService(self) -> Deferred[None] | None:
        """Compare nothing any more."""
        super().stopService()
        self._local.tell(at_once=False)
        if self._stop_watching is not None:
            self._stop_watching()
        if self._call is not None and self._call.active():
            self._call.cancel()
        if self._under_way is not None:
            self._under_way.cancel()
        return None

    def settled(self) -> Deferred[None] | None:
        """
        When the catalog has what it is being told just now: a Deferred, or None where it is told nothing. It fires
        after L{SETTLE_SECONDS} in any case, so that nobody waits for servers that cannot be reached.
        """
        if self._under_way is None or self._unreachable:
            return None
        waiting: Deferred[None] = Deferred()
        self._settling.append(waiting)
        return waiting.addTimeout(SETTLE_SECONDS, self._clock, lambda *_: None)

    def _on_change(self) -> None:
        if not self._changed:
            self._changed = True
            self._arm()

    def _arm(self) -> None:
        """See to it that the next thing to do is done in time."""
        if not self.running or self._under_way is not None:
            return
        now = self._clock.seconds()
        due = self._whole_at
        if self._unreachable:
            pass  # the whole comparison, which comes next, sees every change
        elif self._changed:
            due = now
        else:
            output_due = self._local.next_deadline()
            due = due if output_due is None else min(due, output_due)
        if self._call is not None and self._call.active():
            self._call.cancel()
        self._call = self._clock.callLater(max(due - now, 0.0), self._wake)

    def _wake(self) -> None:
        self._call = None
        now = self._clock.seconds()
        self._changed = False
        self._local.wake(now)
        whole = now >= self._whole_at
        self._under_way = under_way = Deferred.fromCoroutine(self._sync(whole))
        under_way.addCallbacks(self._synced, self._failed, callbackArgs=(whole,))
        under_way.addCallback(self._next)

    def _next(self, _: object) -> None:
        self._under_way = None
        waiting, self._settling = self._settling, []
        for one in waiting:
            if not one.called:
                one.callback(None)
        self._arm()

    def _synced(self, _: object, whole: bool) -> None:
        self._failures = 0
        self._unreachable = False
        self._local.tell(at_once=True)
        if whole:
            interval = INTERVAL_SECONDS * scale(self._nodes())
            self._whole_at = self._clock.seconds() + interval * (1 + self._rng.random())
        if self._addresses_due:
            self._addresses_due = False
            self._whole_at = min(self._whole_at, self._clock.seconds() + ADDRESSES_SECONDS)

    def _failed(self, reason: Failure) -> None:
        if reason.check(CancelledError) and not self.running:
            return
        wait = min(RETRY_SECONDS_MIN * 2**self._failures, RETRY_SECONDS_MAX) * (1 + self._rng.random())
        self._failures = min(self._failures + 1, DOUBLINGS_MAX)
        self._unreachable = not reason.check(RequestRefused)
        self._local.tell(at_once=not self._unreachable)
        self._whole_at = self._clock.seconds() + wait
        self._log.warn(
            "The catalog could not be told what this agent runs, again in {wait:.1f} s: {error}",
            wait=wait,
            error=reason.getErrorMessage(),
        )

    async def _sync(self, whole: bool) -> None:
        if whole:
            await self._compare()
        refused: RequestRefused | None = None
        node = self._node
        for batch in repairs(self._local, node):
            # Asked at once, they are written with one sync of the disk.
            asked = DeferredList([self._ask(*one[:3]) for one in batch], consumeErrors=True)
            failed: Failure | None = None
            for repair, (succeeded, answer) in zip(batch, await asked, strict=True):
                if succeeded:
                    self._done(repair)
                elif isinstance(answer.value, RequestRefused):
                    refused = answer.value  # it must not keep the others from being told
                else:
                    failed = answer
            if failed is not None:
                failed.raiseException()
        if node is not self._node:  # it changed meanwhile, and what was told is old
            self._local.node_in_sync = False
        if refused is not None:
            raise refused

    def _done(self, repair: Repair) -> None:
        repair.done(self._clock.seconds())
        told = repair.request
        self._log.info("{told}", told=said(told))
        if isinstance(told, RegisterRequest) and told.service is not None and awaits_address(told.service):
            self._addresses_due = True

    async def _compare(self) -> None:
        request = NodeSpecificRequest(datacenter=self._node.datacenter, node=self._node.node)
        found = (await self._ask("Catalog.NodeServices", request)).value
        checks = (await self._ask("Health.NodeChecks", request)).value
        services = {} if found is None else found[1]
        self._local.node_in_sync = found is not None and _same_node(self._node, found[0])
        compare(self._local, services, checks)

    def _ask(self, method: str, request: Any, token: str = "") -> Deferred[Any]:
        return maybeDeferred(self._door.call, method, request, Context(token=token, source="anti-entropy"))
