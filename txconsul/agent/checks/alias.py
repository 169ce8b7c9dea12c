"""
The check that is what other checks are: those of another service, or of a node.

Source: Consul's documentation of alias checks.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

from twisted.internet.defer import CancelledError, Deferred, maybeDeferred
from twisted.internet.interfaces import IDelayedCall, IReactorTime
from twisted.python.failure import Failure

from txconsul.agent.local import LocalState
from txconsul.endpoints.registry import Answer
from txconsul.interfaces import ICaller
from txconsul.records.health import CRITICAL, PASSING, WARNING, CheckResult, HealthCheck
from txconsul.records.queries import NodeSpecificRequest
from txconsul.records.query import Context, QueryOptions

__all__ = ["LocalAlias", "NodeAlias", "verdict"]

#: Seconds before a query that failed is asked again.
RETRY_SECONDS = 15.0
#: Seconds for which a service may be gone before its aliases say so: one that is registered anew is no failure.
SETTLE_SECONDS = 2.0

Notify = Callable[[str, str], object]


def verdict(missing: str, checks: Iterable[HealthCheck]) -> CheckResult:
    """
    The worst of some checks, in words.

    @param missing: what to say if that whose checks they are does not exist; empty if it does.
    """
    worst = None
    any_found = False
    for check in checks:
        any_found = True
        if check.status == CRITICAL or (check.status == WARNING and (worst is None or worst.status != CRITICAL)):
            worst = check
    if missing:
        return CheckResult(status=CRITICAL, output=missing)
    if worst is not None:
        return CheckResult(status=worst.status, output=f'Aliased check "{worst.name}" failing: {worst.output}')
    return CheckResult(status=PASSING, output="All checks passing." if any_found else "No checks found.")


class LocalAlias:
    """
    An alias of a service of the same agent: it knows of each change at once.

    @param check_id: the alias's own id, which never counts.
    @param service_id: empty for the node's checks alone.
    @param notify: told C{(status, output)} at each change.
    """

    def __init__(self, local: LocalState, clock: IReactorTime, check_id: str, service_id: str, notify: Notify) -> None:
        self._local = local
        self._clock = clock
        self._missing = False
        self._call: IDelayedCall | None = None
        self._check_id = check_id
        self._ids = sorted({service_id, ""})  # a service is not better than its node
        self._service_id = service_id
        self._notify = notify
        self._stops: list[Callable[[], None]] = []
        self._looking = False

    def start(self) -> None:
        """Watch, and say how it is now."""
        self._stops = [self._local.watch(id, self._look) for id in self._ids]
        self._confirm()

    def stop(self) -> None:
        """Watch no more."""
        if self._call is not None and self._call.active():
            self._call.cancel()
        for stop in self._stops:
            stop()
        self._stops = []

    def _there(self) -> bool:
        return not self._service_id or self._local.service(self._service_id) is not None

    def _confirm(self) -> None:
        self._call = None
        self._missing = not self._there()
        self._look()

    def _look(self) -> None:
        if self._looking:
            return  # what this check says is a change, too
        self._looking = True
        try:
            checks = [one for id in self._ids for one in self._local.checks_of(id) if one.check_id != self._check_id]
            there = self._there()
            self._missing = self._missing and not there
            if not there and not self._missing and self._call is None:
                self._call = self._clock.callLater(SETTLE_SECONDS, self._confirm)
            missing = f"Service {self._service_id} could not be found on node " if self._missing else ""
            result = verdict(missing, checks)
            self._notify(result.status, result.output)
        finally:
            self._looking = False


class NodeAlias:
    """
    An alias of another node, or of a service on it, as the catalog has it: one blocking query after another.

    @param service_id: empty for the node's checks alone.
    """

    def __init__(
        self,
        door: ICaller,
        clock: IReactorTime,
        datacenter: str,
        node: str,
        service_id: str,
        token: str,
        notify: Notify,
    ) -> None:
        self._door = door
        self._clock = clock
        self._datacenter = datacenter
        self._node = node
        self._service_id = service_id
        self._context = Context(token=token, source="alias check")
        self._notify = notify
        self._running = False
        self._under_way: Deferred[Any] | None = None
        self._call: IDelayedCall | None = None

    def start(self) -> None:
        """Ask how it is now, and be told of changes."""
        self._running = True
        self._ask(0)

    def stop(self) -> None:
        """Ask no more."""
        self._running = False
        if self._call is not None and self._call.active():
            self._call.cancel()
        if self._under_way is not None:
            self._under_way.cancel()

    def _ask(self, index: int) -> None:
        self._call = None
        options = QueryOptions(min_query_index=index)
        request = NodeSpecificRequest(datacenter=self._datacenter, node=self._node, options=options)
        asked = maybeDeferred(self._door.call, "Health.NodeChecks", request, self._context)
        self._under_way = asked
        asked.addCallbacks(self._found, self._failed)

    def _found(self, answer: Answer) -> None:
        self._under_way = None
        if not self._running:
            return
        checks = [one for one in answer.value if one.service_id in ("", self._service_id)]
        # A service without checks cannot be told from none by its checks.
        result = verdict("", checks)
        self._notify(result.status, result.output)
        if self._running:
            # Not at once: an answer that came at once must not turn this into a loop.
            self._call = self._clock.callLater(0, self._ask, answer.index)

    def _failed(self, reason: Failure) -> None:
        self._under_way = None
        if not self._running:
            return
        if not reason.check(CancelledError):
            self._notify(CRITICAL, f"Failure checking node {self._node!r}: {reason.getErrorMessage()}")
        self._call = self._clock.callLater(RETRY_SECONDS, self._ask, 0)
