"""
The checks that run: what a check's definition says becomes what does it.
"""

from __future__ import annotations

from collections.abc import Callable
from random import Random
from typing import Any, NamedTuple, Protocol

from twisted.internet.interfaces import IReactorTime
from twisted.logger import Logger

from txconsul.agent.checks.alias import LocalAlias, NodeAlias
from txconsul.agent.checks.kinds import Surroundings, make, runs_as, runs_programs, vet
from txconsul.agent.checks.output import captured
from txconsul.agent.checks.repeated import RepeatedCheck, Thresholds
from txconsul.agent.checks.ttl import TTLCheck
from txconsul.agent.local import LocalState
from txconsul.codec.duration import SECOND
from txconsul.errors import InvalidRequest
from txconsul.interfaces import ICaller
from txconsul.records.health import PASSING, HealthCheck
from txconsul.records.service import CheckType

__all__ = ["Limits", "RunningChecks"]


class _Running(Protocol):
    def start(self) -> None: ...

    def stop(self) -> None: ...


class Limits(NamedTuple):
    """
    @ivar output_size_max: bytes of output that are kept (Consul's C{check_output_max_size}).
    @ivar scripts_remote: whether checks that came over the API may run programs; C{scripts_local}, those of files.
    """

    output_size_max: int = 4096
    scripts_remote: bool = False
    scripts_local: bool = False


class RunningChecks:
    """
    @param changed: told C{(check_id, status, output)} of each result that counts.
    """

    _log = Logger("txconsul.agent")

    def __init__(
        self,
        local: LocalState,
        door: ICaller,
        surroundings: Surroundings,
        datacenter: str,
        rng: Random,
        limits: Limits,
        changed: Callable[[str, str, str], object],
    ) -> None:
        self._local = local
        self._door = door
        self._surroundings = surroundings
        self._clock: IReactorTime = surroundings.network.clock
        self._datacenter = datacenter
        self._rng = rng
        self._limits = limits
        self._changed = changed
        self._running: dict[str, _Running] = {}
        self._sizes: dict[str, int] = {}

    def vet(self, definition: CheckType, configured: bool) -> None:
        """
        @raise TxconsulError: a check of this kind may not, or cannot, be run here.
        """
        if runs_programs(definition, self._surroundings):
            if configured and not self._limits.scripts_local:
                raise InvalidRequest(
                    "Scripts are disabled on this agent; to enable, configure 'enable_script_checks' or"
                    " 'enable_local_script_checks' to true"
                )
            if not configured and not self._limits.scripts_remote:
                raise InvalidRequest(
                    "Scripts are disabled on this agent from remote calls; to enable, configure"
                    " 'enable_script_checks' to true"
                )
        vet(definition, self._surroundings)

    def start(self, check: HealthCheck, definition: CheckType, token: str, left: float | None = None) -> None:
        """
        Run a check, in the place of one with the same id.

        @param left: seconds that are left to a TTL check which was counted before.
        """
        id = check.check_id
        self.stop(id)
        limit = self._limits.output_size_max
        self._sizes[id] = min(limit, definition.output_max_size) if definition.output_max_size > 0 else limit

        kind = runs_as(definition)

        def notify(status: str, output: str) -> None:
            if kind == "plugin":
                output = captured(output, self._sizes[id])
            self._log_change(id, status)
            self._changed(id, status, output)

        if kind == "ttl":
            ttl = TTLCheck(definition.ttl / SECOND, self._clock, notify)
            self._running[id] = ttl
            ttl.start(left)
            return
        running = (
            self._alias(check, definition, token, notify) if kind == "alias" else self._repeated(definition, notify, id)
        )
        self._running[id] = running
        running.start()

    def _log_change(self, id: str, status: str) -> None:
        before = self._local.check(id)
        if before is None or before.status == status:
            return
        if status == PASSING:
            self._log.info("Check is now {status}: check={id}", status=status, id=id)
        else:
            self._log.warn("Check is now {status}: check={id}", status=status, id=id)

    def _alias(self, check: HealthCheck, definition: CheckType, token: str, notify: Any) -> _Running:
        service = definition.alias_service
        if definition.alias_node:
            node = definition.alias_node
            return NodeAlias(self._door, self._clock, self._datacenter, node, service, token, notify)
        return LocalAlias(self._local, self._clock, check.check_id, service, notify)

    def _repeated(self, definition: CheckType, notify: Any, id: str) -> _Running:
        critical = definition.failures_before_critical
        thresholds = Thresholds(
            definition.success_before_passing, definition.failures_before_warning or critical, critical
        )
        check = make(definition, self._surroundings, self._sizes[id])
        return RepeatedCheck(check, definition.interval / SECOND, thresholds, self._clock, self._rng, notify)

    def say(self, id: str, status: str, output: str) -> float | None:
        """
        A service says of its TTL check how it is.

        @return: for how many seconds that holds; None if there is no such TTL check.
        """
        check = self._running.get(id)
        if not isinstance(check, TTLCheck):
            return None
        check.say(status, captured(output, self._sizes[id]))
        return check.ttl

    def stop(self, id: str) -> None:
        """Run a check no more."""
        running = self._running.pop(id, None)
        if running is not None:
            running.stop()
            del self._sizes[id]

    def stop_all(self) -> None:
        """Run none any more."""
        for id in list(self._running):
            self.stop(id)

    def count(self, ttl: bool) -> int:
        """How many run: those that count time, or the others."""
        return sum(isinstance(one, TTLCheck) is ttl for one in self._running.values())
