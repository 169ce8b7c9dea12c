"""
Agent: the services and checks that the agent which is asked runs itself.

Source: Consul's documentation of the agent HTTP API, services and checks.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from typing import Any, NamedTuple, TypeVar

import msgspec
from twisted.internet.defer import Deferred
from twisted.internet.interfaces import IDelayedCall

from txconsul.codec import json
from txconsul.codec.duration import SECOND
from txconsul.endpoints.authorizing import Authorizer
from txconsul.endpoints.placing import Rule
from txconsul.endpoints.registry import server
from txconsul.endpoints.site import Local, Site
from txconsul.errors import NotFound, Unavailable
from txconsul.language.bexpr import filter_for, select_seen
from txconsul.records.agent import (
    AgentExpose,
    AgentExposePath,
    AgentProxy,
    AgentService,
    AgentUpstream,
    LocalRequest,
    MaintenanceRequest,
    RegisterCheckRequest,
    RegisterServiceRequest,
    ServiceHealth,
    UpdateCheckRequest,
)
from txconsul.records.base import Record
from txconsul.records.health import CRITICAL, MAINTENANCE, PASSING, WARNING, HealthCheck
from txconsul.records.service import ConnectProxyConfig, NodeService, ServiceConnect, Weights

__all__ = ["Verdict", "aggregated", "shown_service"]

R = TypeVar("R", bound=Record)

_KINDS_WITH_PROXY = frozenset(
    {"connect-proxy", "mesh-gateway", "terminating-gateway", "ingress-gateway", "api-gateway"}
)
_HASH_BYTES = 8
_MAINTENANCE_IDS = ("_node_maintenance", "_service_maintenance:")


def _local(site: Site) -> Local:
    if site.local is None:
        raise Unavailable("This server runs no services or checks")
    return site.local


# ---- looking ----


def shown_service(service: NodeService, datacenter: str) -> AgentService:
    """A service as its agent shows it."""
    weights = service.weights or Weights(passing=1, warning=1)
    if weights.passing <= 0:
        weights = msgspec.structs.replace(weights, passing=1)
    return AgentService(
        kind=service.kind,
        id=service.id,
        service=service.service,
        tags=service.tags or (),
        meta=service.meta or {},
        port=service.port,
        address=service.address,
        socket_path=service.socket_path,
        tagged_addresses=service.tagged_addresses or None,
        enable_tag_override=service.enable_tag_override,
        weights=weights,
        datacenter=datacenter,
        locality=service.locality,
        proxy=_shown_proxy(service.proxy) if service.kind in _KINDS_WITH_PROXY else None,
        connect=ServiceConnect(native=True) if service.connect.native else None,
    )


def _shown_proxy(proxy: ConnectProxyConfig) -> AgentProxy:
    expose = _shown(AgentExpose, proxy.expose, paths=_all_shown(AgentExposePath, proxy.expose.paths))
    return _shown(AgentProxy, proxy, upstreams=_all_shown(AgentUpstream, proxy.upstreams), expose=expose)


def _shown(kind: type[R], record: Record, **changed: Any) -> R:
    """A record as the agent shows it: its own kind of it, with the same values but for those that are given."""
    values = {name: getattr(record, name) for name in record.__struct_fields__}
    return kind(**{**values, **changed})


def _all_shown(kind: type[R], records: tuple[Record, ...] | None) -> tuple[R, ...] | None:
    return None if records is None else tuple([_shown(kind, one) for one in records])


@server("Agent.Services", LocalRequest, Rule.AGENT)
def services(site: Site, request: LocalRequest, authorizer: Authorizer) -> dict[str, AgentService]:
    """All services that the agent runs, by id."""
    found = {id: shown_service(one, site.me.datacenter) for id, one in _local(site).services().items()}
    expression = request.options.filter
    return filter_for(expression, AgentService).select_values(found) if expression else found


@server("Agent.Checks", LocalRequest, Rule.AGENT)
def checks(site: Site, request: LocalRequest, authorizer: Authorizer) -> dict[str, HealthCheck]:
    """All checks that the agent runs, by id."""
    found = _local(site).checks()
    expression = request.options.filter
    return select_seen(expression, HealthCheck, found) if expression else found


def _hashed(site: Site, id: str) -> AgentService:
    found = _local(site).services().get(id)
    if found is None:
        raise NotFound(f"unknown service ID: {id}")
    shown = shown_service(found, site.me.datacenter)
    digest = hashlib.blake2b(json.encode(shown), digest_size=_HASH_BYTES).hexdigest()
    return msgspec.structs.replace(shown, content_hash=digest)


@server("Agent.Service", LocalRequest, Rule.AGENT)
def service(site: Site, request: LocalRequest, authorizer: Authorizer) -> Any:
    """One service; with a hash, once it is no longer as the hash says, or when the time is up."""
    found = _hashed(site, request.id)
    if not request.hash or request.hash != found.content_hash or site.closing:
        return found
    wait = request.options.max_query_time / SECOND or site.default_query_time
    return _Changing(site, request, min(wait, site.max_query_time)).done


class _Changing:
    """A request that waits until a service of the agent changes."""

    def __init__(self, site: Site, request: LocalRequest, seconds: float) -> None:
        self._site = site
        self._request = request
        self.done: Deferred[AgentService] = Deferred(lambda _: self._end())
        self._stop: Callable[[], None] = _local(site).watch(request.id, self._look)
        self._timer: IDelayedCall = site.clock.callLater(seconds, self._answer)

    def _end(self) -> None:
        self._stop()
        if self._timer.active():
            self._timer.cancel()

    def _look(self) -> None:
        found = self._site.local and self._site.local.services().get(self._request.id)
        if (
            found is None
            or self._site.closing
            or _hashed(self._site, self._request.id).content_hash != self._request.hash
        ):
            self._answer()

    def _answer(self) -> None:
        self._end()
        if self.done.called:
            return
        try:
            found = _hashed(self._site, self._request.id)
        except NotFound as error:
            self.done.errback(error)
        else:
            self.done.callback(found)


class Verdict(NamedTuple):
    """
    @ivar status: the worst of all, or why there is none.
    @ivar found: whether there is such a service.
    """

    status: str
    found: bool
    health: list[ServiceHealth]


def aggregated(checks: list[HealthCheck]) -> str:
    """
    What several checks say together.

    >>> aggregated([])
    'passing'
    """
    if any(one.check_id.startswith(_MAINTENANCE_IDS) for one in checks):
        return MAINTENANCE
    statuses = {one.status for one in checks}
    return next((status for status in (CRITICAL, WARNING) if status in statuses), PASSING)


def _health(local: Local, datacenter: str, wanted: list[NodeService]) -> list[ServiceHealth]:
    all_checks = local.checks().values()
    found = []
    for one in wanted:
        own = [check for check in all_checks if check.service_id in ("", one.id)]
        own.sort(key=lambda check: check.service_id == "")
        found.append(
            ServiceHealth(aggregated_status=aggregated(own), checks=tuple(own), service=shown_service(one, datacenter))
        )
    return found


@server("Agent.ServiceHealth", LocalRequest, Rule.AGENT)
def service_health(site: Site, request: LocalRequest, authorizer: Authorizer) -> Verdict:
    """The agent's own verdict on one service, by its id."""
    local = _local(site)
    wanted = local.services().get(request.id)
    if wanted is None:
        missing = ServiceHealth(aggregated_status=CRITICAL)
        return Verdict(f"ServiceId {request.id} not found", False, [missing])
    authorizer.require_service_read(wanted.service)
    health = _health(local, site.me.datacenter, [wanted])
    return Verdict(health[0].aggregated_status, True, health)


_WORSE = {PASSING: 0, WARNING: 1}


@server("Agent.ServicesHealth", LocalRequest, Rule.AGENT)
def services_health(site: Site, request: LocalRequest, authorizer: Authorizer) -> Verdict:
    """The agent's own verdict on all services of one name; the worst of them counts."""
    authorizer.require_service_read(request.id)
    local = _local(site)
    wanted = [one for one in local.services().values() if one.service == request.id]
    health = _health(local, site.me.datacenter, wanted)
    if not health:
        return Verdict(f"ServiceName {request.id} Not Found", False, [])
    worst = max(health, key=lambda one: _WORSE.get(one.aggregated_status, len(_WORSE)))
    return Verdict(worst.aggregated_status, True, health)


# ---- changing ----

# Whoever makes two changes finds the first one in the catalog, as with Consul, where a change waits while the catalog
# is told of others.
Told = Deferred[None] | None


@server("Agent.RegisterService", RegisterServiceRequest, Rule.AGENT)
def register_service(site: Site, request: RegisterServiceRequest, authorizer: Authorizer) -> Told:
    """Run a service."""
    authorizer.require_service_write(request.definition.name)
    _local(site).register_service(request.definition, request.token, request.replace_existing_checks)
    return site.told()


@server("Agent.DeregisterService", LocalRequest, Rule.AGENT)
def deregister_service(site: Site, request: LocalRequest, authorizer: Authorizer) -> Told:
    """Run a service no more."""
    _require_service_write(site, request.id, authorizer)
    _local(site).deregister_service(request.id)
    return site.told()


@server("Agent.RegisterCheck", RegisterCheckRequest, Rule.AGENT)
def register_check(site: Site, request: RegisterCheckRequest, authorizer: Authorizer) -> Told:
    """Run a check."""
    if request.definition.service_id:
        _require_service_write(site, request.definition.service_id, authorizer)
    else:
        authorizer.require_node_write(_local(site).node)
    _local(site).register_check(request.definition, request.token)
    return site.told()


@server("Agent.DeregisterCheck", LocalRequest, Rule.AGENT)
def deregister_check(site: Site, request: LocalRequest, authorizer: Authorizer) -> Told:
    """Run a check no more."""
    _require_check_write(site, request.id, authorizer)
    _local(site).deregister_check(request.id)
    return site.told()


@server("Agent.UpdateCheck", UpdateCheckRequest, Rule.AGENT)
def update_check(site: Site, request: UpdateCheckRequest, authorizer: Authorizer) -> Told:
    """A service says how it is."""
    _require_check_write(site, request.check_id, authorizer)
    _local(site).update_check(request.check_id, request.status, request.output)
    return site.told()


@server("Agent.Maintenance", MaintenanceRequest, Rule.AGENT)
def maintenance(site: Site, request: MaintenanceRequest, authorizer: Authorizer) -> Told:
    """Take a service, or the node, out of use, or put it back."""
    local = _local(site)
    if request.service_id:
        _require_service_write(site, request.service_id, authorizer)
        local.set_service_maintenance(request.service_id, request.enable, request.reason, request.token)
    else:
        authorizer.require_node_write(local.node)
        local.set_node_maintenance(request.enable, request.reason, request.token)
    return site.told()


@server("Agent.Reload", LocalRequest, Rule.AGENT)
def reload(site: Site, request: LocalRequest, authorizer: Authorizer) -> None:
    """Read the configuration again, and take up what changed."""
    authorizer.require_agent_write()
    site.reload()


def _require_service_write(site: Site, id: str, authorizer: Authorizer) -> None:
    found = _local(site).services().get(id)
    if found is not None:
        authorizer.require_service_write(found.service)


def _require_check_write(site: Site, id: str, authorizer: Authorizer) -> None:
    found = _local(site).checks().get(id)
    if found is None:
        return
    if found.service_name:
        authorizer.require_service_write(found.service_name)
    else:
        authorizer.require_node_write(found.node)
