"""
What is registered with an agent: taken, run, kept in its data directory, and brought back after a restart.

Source: Consul's documentation of the agent's services and checks.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import Any, NamedTuple

import msgspec
from twisted.application.service import Service
from twisted.internet.interfaces import IReactorTime
from twisted.internet.task import LoopingCall
from twisted.logger import Logger

from txconsul.agent.checks.kinds import kind_of
from txconsul.agent.configuration.definitions import check_problem
from txconsul.agent.configured import Configured, configured
from txconsul.agent.definitions import as_configured
from txconsul.agent.exposing import Exposure
from txconsul.agent.local import LocalState
from txconsul.agent.persistence import CheckState, DefinitionFiles, PersistedCheck, PersistedService
from txconsul.agent.registration_rules import STATUSES, tagged_addresses, vet_runnable, vet_service
from txconsul.agent.running_checks import RunningChecks
from txconsul.agent.sidecar import SUFFIX, as_service, checks_of, free_port, listening_checks, sidecar_of
from txconsul.codec.duration import SECOND, format_duration
from txconsul.codec.goquote import quote
from txconsul.endpoints.central_config import merged_service
from txconsul.errors import BadRequest, InvalidRequest, NotFound, TxconsulError
from txconsul.records.agent import CheckDefinition
from txconsul.records.health import CRITICAL, HealthCheck
from txconsul.records.service import CheckType, NodeService, ServiceDefinition, Weights

__all__ = ["NODE_MAINTENANCE", "SERVICE_MAINTENANCE", "Registrations"]

#: The checks by which a node, and a service, is out of use.
NODE_MAINTENANCE = "_node_maintenance"
SERVICE_MAINTENANCE = "_service_maintenance:"
_NO_REASON = "Maintenance mode is enabled for this {}, but no reason was provided. This is a default message."
#: Seconds between two looks for services that have been critical for too long (Consul's C{check_reap_interval}).
REAP_SECONDS = 30.0
#: Nobody is deregistered sooner than this, whatever the definition says (C{check_deregister_interval_min}), in seconds.
REAP_AFTER_SECONDS_MIN = 60.0


class _Definition(NamedTuple):
    """What a check does, for its whole life."""

    what: CheckType
    token: str


class Registrations(Service):
    """
    @ivar node: the node's name.
    @param sidecar_ports: from which sidecars without a port get one: lowest and highest.
    @param exposed_ports: from which checks that go through a proxy get one; the second is the first not given.
    @param wall: the time of day in Unix seconds, for what must outlive the process.
    """

    name = "registrations"
    _log = Logger("txconsul.agent")

    def __init__(
        self,
        node: str,
        local: LocalState,
        running: RunningChecks,
        files: DefinitionFiles,
        clock: IReactorTime,
        wall: Callable[[], float],
        sidecar_ports: tuple[int, int] = (-1, -1),
        exposed_ports: tuple[int, int] = (0, 0),
    ) -> None:
        self.node = node
        self._local = local
        self._running = running
        self._files = files
        self._clock = clock
        self._wall = wall
        self._sidecar_ports = sidecar_ports
        self._exposure = Exposure(*exposed_ports)
        self._definitions: dict[str, _Definition] = {}
        self._before: dict[str, HealthCheck] = {}
        self._reaping = LoopingCall(self._reap)
        self._reaping.clock = clock

    # ---- coming and going ----

    def startService(self) -> None:
        """Look from time to time for services that have been critical for too long."""
        super().startService()
        self._reaping.start(REAP_SECONDS, now=False).addErrback(
            lambda reason: self._log.failure("Deregistering critical services", failure=reason)
        )

    def stopService(self) -> None:
        """Run no checks any more."""
        super().stopService()
        if self._reaping.running:
            self._reaping.stop()
        self._running.stop_all()

    def load(self, services: Iterable[Mapping[str, Any]], checks: Iterable[Mapping[str, Any]]) -> None:
        """
        Take what the configuration files define, which was checked when they were read, and what was registered before.
        What a file defines goes before what was registered under the same id.

        @raise TxconsulError: a definition cannot be run.
        """
        read = self._read(services, checks)
        self._load_services(read)
        for kept in self._files.services():
            self._restore_service(kept)
        self._load_checks(read)
        for kept_check in self._files.checks():
            self._restore_check(kept_check)

    def reload(self, services: Iterable[Mapping[str, Any]], checks: Iterable[Mapping[str, Any]]) -> None:
        """
        Take what the configuration files define now in the place of what they defined before. What checks said last
        stays, and so does what was registered over the API.

        @raise TxconsulError: a definition cannot be run, and everything stays as it was.
        """
        read = self._read(services, checks)
        self._before = self._local.living_checks()
        try:
            with self._local.at_once():
                self._replace(read)
        finally:
            self._before = {}

    def _replace(self, read: Configured) -> None:
        for id in [id for id, one in self._local.checks.items() if one.configured and not one.deleted]:
            self._remove_check(id)
        gone = [id for id, one in self._local.services.items() if one.configured and not one.deleted]
        for id in gone:
            self._exposure.drop(self._local.services[id].service)
            self._local.remove_service(id)
        self._load_services(read)
        self._load_checks(read)
        for id in gone:
            self._follow(id)

    def _follow(self, service_id: str) -> None:
        """Let the checks of a service that was registered over the API go with it, or say of it what is true now."""
        owner = self._local.service(service_id)
        for check in list(self._local.checks_of(service_id)):
            entry = self._local.checks[check.check_id]
            if owner is None:
                self._remove_check(check.check_id)
            elif (check.service_name, check.service_tags) != (owner.service, owner.tags):
                now = msgspec.structs.replace(check, service_name=owner.service, service_tags=owner.tags)
                self._local.add_check(now, self._clock.seconds(), entry.token, entry.configured)

    def _read(self, services: Iterable[Mapping[str, Any]], checks: Iterable[Mapping[str, Any]]) -> Configured:
        by_api = {id for id, one in self._local.services.items() if not (one.configured or one.deleted)}
        by_api.update(kept.service.id for kept in self._files.services())
        return configured(services, checks, by_api, lambda check: self._running.vet(check, configured=True))

    def _load_services(self, read: Configured) -> None:
        for definition in read.services:
            self._register(definition, definition.token, replace_checks=False, configured=True)

    def _load_checks(self, read: Configured) -> None:
        for definition in read.checks:
            # Its type is not told: Consul's is not, of checks from files that belong to no service's definition.
            self._register_check(definition, definition.token, configured=True, type="")

    def _known(self, id: str) -> HealthCheck | None:
        """A check as it is, or was before a reload."""
        return self._local.check(id) or self._before.get(id)

    def _restore_service(self, kept: PersistedService) -> None:
        service = kept.service
        if not service.id or self._local.service(service.id) is not None:
            self._files.forget_service(service.id)
            return
        service = msgspec.structs.replace(
            service, locally_registered_as_sidecar=kept.locally_registered_as_sidecar, create_index=0, modify_index=0
        )
        self._local.add_service(service, kept.token)
        self._exposure.put(service)

    def _restore_check(self, kept: PersistedCheck) -> None:
        check = kept.check
        owner = self._local.service(check.service_id) if check.service_id else None
        if not check.check_id or self._local.check(check.check_id) is not None or (check.service_id and owner is None):
            self._files.forget_check(check.check_id)
            return
        try:
            check = msgspec.structs.replace(check, status=CRITICAL, create_index=0, modify_index=0)
            self._add_check(check, kept.chk_type, kept.token, configured=False)
        except TxconsulError as error:
            self._log.warn("Check {id} cannot be run any more: {error}", id=check.check_id, error=error)
            self._files.forget_check(check.check_id)

    # ---- services ----

    def services(self) -> dict[str, NodeService]:
        """All services, by id."""
        return self._local.living_services()

    def watch(self, service_id: str, woken: Callable[[], object]) -> Callable[[], None]:
        """Be told of every change of a service. @return: ends that."""
        return self._local.watch(service_id, woken)

    def register_service(self, definition: ServiceDefinition, token: str, replace_checks: bool) -> None:
        """
        Run a service, its checks, and its sidecar.

        @raise TxconsulError: the definition is wrong, or cannot be run, or not be kept.
        """
        vet_service(definition)
        self._register(definition, token, replace_checks, configured=False)

    def _register(self, definition: ServiceDefinition, token: str, replace_checks: bool, configured: bool) -> None:
        vet_runnable(definition)
        service = as_service(definition)
        checks = checks_of(definition)
        for check in checks:
            self._running.vet(check, configured)
        nested = None if definition.connect is None else definition.connect.sidecar_service
        if nested is not None:
            sidecar = sidecar_of(service, nested)
            if not sidecar.port:
                sidecar = msgspec.structs.replace(sidecar, port=self._sidecar_port(sidecar.id))
            beside = listening_checks(sidecar, checks_of(nested))
            for check in beside:
                self._running.vet(check, configured)
            self._add_service(sidecar, beside, nested.token or token, replace_checks, configured)
            proxy = msgspec.structs.replace(
                service.proxy,
                local_service_port=sidecar.port,
                local_service_address=sidecar.address,
                destination_service_id=sidecar.id,
                destination_service_name=sidecar.service,
            )
            service = msgspec.structs.replace(service, proxy=proxy)
        self._add_service(service, checks, token, replace_checks, configured)

    def _sidecar_port(self, id: str) -> int:
        low, high = self._sidecar_ports
        before = self._local.service(id)
        if before is not None and low <= before.port <= high:
            return before.port
        return free_port(low, high, {one.port for one in self._local.living_services().values()})

    def _add_service(
        self, service: NodeService, checks: tuple[CheckType, ...], token: str, replace_checks: bool, configured: bool
    ) -> None:
        addresses = tagged_addresses(service)
        weights = service.weights or Weights(passing=1, warning=1)
        service = msgspec.structs.replace(service, tagged_addresses=addresses, weights=weights)
        if not configured:
            kept = PersistedService(
                token=token,
                service=service,
                locally_registered_as_sidecar=service.locally_registered_as_sidecar,
            )
            self._files.keep_service(kept)
        else:
            self._files.forget_service(service.id)
        old = {one.check_id for one in self._local.checks_of(service.id)}
        merged = merged_service(service)
        self._local.add_service(merged, token, configured)
        several = len(checks) > 1
        ids = [
            what.check_id or f"service:{service.id}" + (f":{number}" if several else "")
            for number, what in enumerate(checks, 1)
        ]
        known = {id: self._known(id) for id in ids}  # before: two of one id have nothing of each other
        for id, what in zip(ids, checks, strict=True):
            before = known[id]
            check = HealthCheck(
                node=self.node,
                check_id=id,
                name=what.name or f"Service '{service.service}' check",
                interval=format_duration(what.interval) if what.interval else "",
                timeout=format_duration(what.timeout) if what.timeout else "",
                status=before.status if before is not None else what.status or CRITICAL,
                output=before.output if before is not None else "",
                notes=what.notes,
                service_id=service.id,
                type=kind_of(what),
            )
            self._add_check(check, what, token, configured)
        if replace_checks:
            for id in old.difference(ids):
                self._remove_check(id)
        if self._exposure.put(merged):
            self._reroute(merged.proxy.destination_service_id)

    def _reroute(self, service_id: str) -> None:
        """Let a service's checks go where they should now: through its proxy, or directly."""
        for check in list(self._local.checks_of(service_id)):
            known = self._definitions.get(check.check_id)
            if known is None:
                continue
            what, port = self._exposure.routed(service_id, check.check_id, known.what)
            if port != check.exposed_port or port:
                check = msgspec.structs.replace(check, exposed_port=port)
                configured = self._local.checks[check.check_id].configured
                self._local.add_check(check, self._clock.seconds(), known.token, configured)
                self._running.start(check, what, known.token)

    def deregister_service(self, id: str) -> None:
        """
        Run a service, its checks and its sidecar no more.

        @raise NotFound: there is none.
        """
        if self._local.service(id) is None:
            raise NotFound(
                f"Unknown service ID {quote(id)}. Ensure that the service ID is passed, not the service name."
            )
        self._remove_service(id)

    def _remove_service(self, id: str) -> None:
        for check in list(self._local.checks_of(id)):
            self._remove_check(check.check_id)
        removed = self._local.service(id)
        self._local.remove_service(id)
        self._files.forget_service(id)
        if removed is not None and self._exposure.drop(removed):
            self._reroute(removed.proxy.destination_service_id)
        sidecar = self._local.service(f"{id}{SUFFIX}")
        if sidecar is not None and sidecar.locally_registered_as_sidecar:
            self._remove_service(sidecar.id)

    # ---- checks ----

    def checks(self) -> dict[str, HealthCheck]:
        """All checks, by id."""
        return self._local.living_checks()

    def register_check(self, definition: CheckDefinition, token: str) -> None:
        """
        Run a check.

        @raise TxconsulError: the definition is wrong, or cannot be run, or not be kept.
        """
        if not definition.name:
            raise BadRequest("Missing check name")
        if definition.status and definition.status not in STATUSES:
            raise BadRequest("Bad check status")
        problem = check_problem(as_configured(definition))
        if problem:
            raise BadRequest(f"Invalid check: {problem}")
        if definition.service_id and self._local.service(definition.service_id) is None:
            raise NotFound(f"ServiceID {quote(definition.service_id)} does not exist")
        self._register_check(definition, token, configured=False, type=kind_of(definition))

    def _register_check(self, definition: CheckDefinition, token: str, configured: bool, type: str) -> None:
        if definition.service_id and self._local.service(definition.service_id) is None:
            raise NotFound(f"ServiceID {quote(definition.service_id)} does not exist")
        values = {name: getattr(definition, name) for name in CheckType.__struct_fields__}
        what = CheckType(**values)
        self._running.vet(what, configured)
        id = definition.id or definition.name
        before = self._known(id)
        check = HealthCheck(
            node=self.node,
            check_id=id,
            name=definition.name,
            interval=format_duration(definition.interval),
            timeout=format_duration(definition.timeout),
            status=before.status if before is not None else definition.status or CRITICAL,
            output=before.output if before is not None else "",
            notes=definition.notes,
            service_id=definition.service_id,
            type=type,
        )
        self._add_check(check, what, token, configured)

    def _add_check(self, check: HealthCheck, what: CheckType | None, token: str, configured: bool) -> None:
        """Run a check; one without a definition only stands there."""
        id = check.check_id
        if check.service_id:
            owner = self._local.service(check.service_id)
            if owner is not None:
                check = msgspec.structs.replace(check, service_name=owner.service, service_tags=owner.tags)
        if what is not None:
            self._running.vet(what, configured)
        routed, port = (None, 0) if what is None else self._exposure.routed(check.service_id, id, what)
        check = msgspec.structs.replace(check, exposed_port=port)
        if not configured:
            self._files.keep_check(PersistedCheck(check=check, chk_type=what, token=token))
        left = None
        if what is not None and what.ttl > 0:
            check, left = self._told_before(check, what.ttl / SECOND)
        self._running.stop(id)
        self._definitions.pop(id, None)
        self._local.add_check(check, self._clock.seconds(), token, configured)
        if what is not None and routed is not None:
            self._definitions[id] = _Definition(what, token)
            self._running.start(check, routed, token, left)

    def _told_before(self, check: HealthCheck, ttl: float) -> tuple[HealthCheck, float | None]:
        """A TTL check as it was before the restart, if that still holds, and the seconds for which it does."""
        if self._known(check.check_id) is not None:
            return check, None
        state = self._files.state(check.check_id)
        if state is None or state.check_id != check.check_id:
            return check, None
        left = state.expires - self._wall()
        if left <= 0 or state.status not in STATUSES:
            return check, None
        return msgspec.structs.replace(check, status=state.status, output=state.output), min(left, ttl)

    def deregister_check(self, id: str) -> None:
        """
        Run a check no more.

        @raise NotFound: there is none.
        """
        self._require_check(id)
        self._remove_check(id)

    def _remove_check(self, id: str) -> None:
        check = self._local.check(id)
        if check is not None:
            self._exposure.forget(check.service_id, id)
        self._running.stop(id)
        self._definitions.pop(id, None)
        self._local.remove_check(id)
        self._files.forget_check(id)

    def update_check(self, id: str, status: str, output: str) -> None:
        """
        A service says how it is.

        @raise TxconsulError: there is no such check, or none that is told.
        """
        if status not in STATUSES:
            raise BadRequest(f"Invalid check status: '{status}'")
        self._require_check(id)
        ttl = self._running.say(id, status, output)
        if ttl is None:
            raise InvalidRequest(f"CheckID {quote(id)} does not have associated TTL")
        told = self._local.check(id)
        if told is not None:
            expires = int(self._wall() + ttl)
            self._files.keep_state(CheckState(check_id=id, output=told.output, status=told.status, expires=expires))

    def _require_check(self, id: str) -> None:
        if self._local.check(id) is None:
            raise NotFound(f"Unknown check ID {quote(id)}. Ensure that the check ID is passed, not the check name.")

    # ---- maintenance ----

    def set_service_maintenance(self, service_id: str, enable: bool, reason: str, token: str) -> None:
        """
        Take a service out of use, or put it back.

        @raise NotFound: there is none.
        """
        service = self._local.service(service_id)
        if service is None:
            raise NotFound(
                f"Unknown service ID {quote(service_id)}. Ensure that the service ID is passed, not the service name."
            )
        id = f"{SERVICE_MAINTENANCE}{service_id}"
        self._set_maintenance(id, "service", enable, reason, token, service_id)

    def set_node_maintenance(self, enable: bool, reason: str, token: str) -> None:
        """Take the node out of use, or put it back."""
        self._set_maintenance(NODE_MAINTENANCE, "node", enable, reason, token, "")

    def _set_maintenance(self, id: str, what: str, enable: bool, reason: str, token: str, service_id: str) -> None:
        already = self._local.check(id) is not None
        if enable is already:
            return
        if not enable:
            self._remove_check(id)
            return
        check = HealthCheck(
            node=self.node,
            check_id=id,
            name=f"{what.title()} Maintenance Mode",
            notes=reason or _NO_REASON.format(what),
            service_id=service_id,
            status=CRITICAL,
            type="maintenance",
        )
        self._add_check(check, None, token, configured=False)

    # ---- reaping ----

    def _reap(self) -> None:
        """Deregister services that have been critical for longer than one of their checks allows."""
        now = self._clock.seconds()
        doomed = set()
        for id, entry in self._local.checks.items():
            what = self._definitions.get(id)
            if entry.deleted or what is None or entry.critical_since is None or not entry.check.service_id:
                continue
            after = what.what.deregister_critical_service_after / SECOND
            if after > 0 and now - entry.critical_since > max(after, REAP_AFTER_SECONDS_MIN):
                doomed.add(entry.check.service_id)
        for service_id in doomed:
            if self._local.service(service_id) is not None:
                self._log.info("Check of service {id} was critical for too long: deregistering it", id=service_id)
                self._remove_service(service_id)
