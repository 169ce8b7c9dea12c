"""
What this agent runs: its services and checks, and what of that the catalog may not know yet.

Pure: it is told the time, and holds its wishes (a later sync, a waiter to wake) until somebody asks. The difference
with the catalog is L{txconsul.agent.antientropy}'s.

Source: Consul's documentation of anti-entropy and of checks.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from random import Random

import msgspec

from txconsul.records.health import CRITICAL, HealthCheck
from txconsul.records.service import NodeService

__all__ = ["EVERYTHING", "LocalCheck", "LocalService", "LocalState"]

#: Who watches everything watches this; C{""} is the node and its own checks.
EVERYTHING = "*\0"


class LocalService:
    """
    A service of this agent.

    @ivar configured: it comes from a file, not from the API.
    @ivar in_sync: as far as is known, the catalog has it like this.
    @ivar deleted: it is gone here, and the catalog must be told.
    """

    __slots__ = ("configured", "deleted", "in_sync", "service", "token")

    def __init__(self, service: NodeService, token: str = "", configured: bool = False, deleted: bool = False) -> None:
        self.service = service
        self.token = token
        self.configured = configured
        self.in_sync = False
        self.deleted = deleted


class LocalCheck:
    """
    A check of this agent; C{configured}, C{in_sync} and C{deleted} as a service's.

    @ivar critical_since: when it turned critical; None while it is not.
    @ivar deferred_until: when a new output, which alone does not hurry, is to be told to the catalog; None where the
        catalog has it.
    @ivar untold: the check as it was registered, while the catalog is to be told that first.
    """

    __slots__ = ("check", "configured", "critical_since", "deferred_until", "deleted", "in_sync", "token", "untold")

    def __init__(self, check: HealthCheck, token: str = "", configured: bool = False, deleted: bool = False) -> None:
        self.check = check
        self.token = token
        self.configured = configured
        self.in_sync = False
        self.deleted = deleted
        self.critical_since: float | None = None
        self.deferred_until: float | None = None
        self.untold: HealthCheck | None = None


class LocalState:
    """
    @param output_interval: seconds for which a check's new output may wait (Consul's C{check_update_interval}); with 0
        it is told at once.
    @ivar discard_output: keep no output of checks at all.
    @ivar services: by id, those included that are deleted but not yet from the catalog; likewise C{checks}.
    @ivar node_in_sync: the catalog has the node's own addresses and metadata.
    """

    def __init__(self, output_interval: float, discard_output: bool, rng: Random) -> None:
        self._output_interval = output_interval
        self.discard_output = discard_output
        self._rng = rng
        self._watchers: dict[str, set[Callable[[], object]]] = {}
        self._held: dict[str, None] | None = None
        self.services: dict[str, LocalService] = {}
        self.checks: dict[str, LocalCheck] = {}
        self.node_in_sync = False
        self._telling = False

    # ---- looking ----

    def service(self, id: str) -> NodeService | None:
        """A service that this agent runs."""
        found = self.services.get(id)
        return None if found is None or found.deleted else found.service

    def check(self, id: str) -> HealthCheck | None:
        """A check that this agent runs."""
        found = self.checks.get(id)
        return None if found is None or found.deleted else found.check

    def living_services(self) -> dict[str, NodeService]:
        """All services that this agent runs, by id."""
        return {id: one.service for id, one in self.services.items() if not one.deleted}

    def living_checks(self) -> dict[str, HealthCheck]:
        """All checks that this agent runs, by id."""
        return {id: one.check for id, one in self.checks.items() if not one.deleted}

    def checks_of(self, service_id: str) -> Iterator[HealthCheck]:
        """The checks of one service; of the node where the id is empty."""
        return (one.check for one in self.checks.values() if not one.deleted and one.check.service_id == service_id)

    # ---- changing ----

    def add_service(self, service: NodeService, token: str = "", configured: bool = False) -> None:
        """Run a service, in the place of one with the same id. One that is just the same needs no telling."""
        before = self.services.get(service.id)
        entry = self.services[service.id] = LocalService(service, token, configured)
        if before is not None and not before.deleted and before.token == token and before.service == service:
            entry.in_sync = before.in_sync
        self._woken(service.id)

    def remove_service(self, id: str) -> bool:
        """Run a service no more; whether it was run. Its checks are not touched."""
        found = self.services.get(id)
        if found is None or found.deleted:
            return False
        found.deleted, found.in_sync = True, False
        self._woken(id)
        return True

    def add_check(self, check: HealthCheck, now: float, token: str = "", configured: bool = False) -> None:
        """Run a check, in the place of one with the same id. One that is just the same needs no telling."""
        if self.discard_output and check.output:
            check = msgspec.structs.replace(check, output="")
        before = self.checks.get(check.check_id)
        entry = self.checks[check.check_id] = LocalCheck(check, token, configured)
        if before is not None and not before.deleted and before.token == token and before.check == check:
            entry.in_sync, entry.deferred_until = before.in_sync, before.deferred_until
        if self._telling and not entry.in_sync:
            entry.untold = check
        if check.status == CRITICAL:
            since = None if before is None or before.deleted else before.critical_since
            entry.critical_since = now if since is None else since
        self._woken(check.service_id)

    def remove_check(self, id: str) -> bool:
        """Run a check no more; whether it was run."""
        found = self.checks.get(id)
        if found is None or found.deleted:
            return False
        found.deleted, found.in_sync, found.deferred_until = True, False, None
        self._woken(found.check.service_id)
        return True

    def update_check(self, id: str, status: str, output: str, now: float) -> None:
        """What a check says now. A new output alone is told to the catalog later, so that writes stay rare."""
        found = self.checks.get(id)
        if found is None or found.deleted:
            return
        if self.discard_output:
            output = ""
        if status != CRITICAL:
            found.critical_since = None
        elif found.critical_since is None:
            found.critical_since = now
        if found.in_sync:
            found.untold = None
        self._say(found, status, output, now)

    def _say(self, found: LocalCheck, status: str, output: str, now: float) -> None:
        check = found.check
        if check.status == status and check.output == output:
            return
        found.check = msgspec.structs.replace(check, status=status, output=output)
        if check.status == status and self._output_interval > 0:
            if found.deferred_until is None and found.in_sync:
                interval = self._output_interval
                found.deferred_until = now + interval / 2 + self._rng.random() * interval
            self._woken(check.service_id)
            return
        found.in_sync, found.deferred_until = False, None
        self._woken(check.service_id)

    # ---- telling ----

    def tell(self, at_once: bool) -> None:
        """
        Whether the catalog is told at once of what is new. Then it is told of a check as it was registered, even if a
        first result comes before that: as in Consul, where results wait while the catalog is told.
        """
        self._telling = at_once
        if not at_once:
            for one in self.checks.values():
                one.untold = None

    def check_told(self, entry: LocalCheck, told: HealthCheck, now: float) -> None:
        """The catalog has a check as it was when it was told of it; what came meanwhile is news to it."""
        if entry.deleted:
            return
        latest, entry.check = entry.check, told
        entry.in_sync, entry.deferred_until = True, None
        self._say(entry, latest.status, latest.output, now)

    # ---- time ----

    def next_deadline(self) -> float | None:
        """When an output that was held back is due; None where there is none."""
        return min((one.deferred_until for one in self.checks.values() if one.deferred_until is not None), default=None)

    def wake(self, now: float) -> bool:
        """Outputs that are due must be told; whether there are any."""
        due = [one for one in self.checks.values() if one.deferred_until is not None and one.deferred_until <= now]
        for one in due:
            one.deferred_until, one.in_sync = None, False
        return bool(due)

    # ---- watching ----

    def watch(self, service_id: str, woken: Callable[[], object]) -> Callable[[], None]:
        """
        Be told of every change of a service and its checks; of the node's checks with C{""}, of all with L{EVERYTHING}.

        @return: ends the watch.
        """
        self._watchers.setdefault(service_id, set()).add(woken)

        def stop() -> None:
            watching = self._watchers.get(service_id)
            if watching is not None:
                watching.discard(woken)
                if not watching:
                    del self._watchers[service_id]

        return stop

    def wake_watchers(self) -> None:
        """Let all who watch look again, as when the agent stops."""
        for watching in list(self._watchers.values()):
            for one in list(watching):
                one()

    @contextmanager
    def at_once(self) -> Iterator[None]:
        """Many changes that are one to who watches: a reload, in whose midst nobody is to look."""
        self._held = {}
        try:
            yield
        finally:
            held, self._held = self._held, None
            for service_id in held:
                self._woken(service_id)

    def _woken(self, service_id: str) -> None:
        if self._held is not None:
            self._held[service_id] = None
            return
        for one in (*self._watchers.get(service_id, ()), *self._watchers.get(EVERYTHING, ())):
            one()
