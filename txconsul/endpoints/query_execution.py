"""
PreparedQuery: running queries, and telling what one would look for.

A query is looked for here first; where that finds nothing, in the other places that it names, one after the other. What
is found is shuffled, so that its load spreads, or sorted by distance.

Source: Consul's documentation of the prepared query HTTP API; the wire documents' PreparedQuery methods.
"""

from __future__ import annotations

from typing import Any, cast

from msgspec.structs import replace
from twisted.internet.defer import Deferred
from twisted.logger import Logger

from txconsul.endpoints.authorizing import Authorizer
from txconsul.endpoints.nearness import instance_node, nearest
from txconsul.endpoints.placing import Rule
from txconsul.endpoints.prepared_query import QueryNotFound
from txconsul.endpoints.registry import METHODS, Answer, Read, server
from txconsul.endpoints.site import Site
from txconsul.errors import TxconsulError
from txconsul.records.catalog import CheckServiceNode
from txconsul.records.prepared_query import (
    PreparedQuery,
    PreparedQueryExecuteRemoteRequest,
    PreparedQueryExecuteRequest,
    PreparedQueryExecuteResponse,
    PreparedQueryExplainResponse,
    QueryFailoverTarget,
    ServiceQuery,
)
from txconsul.records.queries import ServiceSpecificRequest
from txconsul.records.query import NOWHERE, Context, QuerySource
from txconsul.state.watches import Key, mesh, table
from txconsul.state.watches import service as service_watch

__all__ = ["AGENT", "IP", "failover_targets"]

#: Instead of a node's name: that of the agent that was asked, and of the node with the asker's address.
AGENT, IP = "_agent", "_ip"
#: The node from which distances are measured comes first, if it is among so many at the front already.
_FRONT = 10

_log = Logger("txconsul.prepared_query")

Instances = list[CheckServiceNode]

#: While nobody was asked: nothing is known, not even of a leader.
_UNASKED = Answer(0, PreparedQueryExecuteResponse(), 0.0, False)


@server("PreparedQuery.Explain", PreparedQueryExecuteRequest, Rule.READ)
def explain(site: Site, request: PreparedQueryExecuteRequest, authorizer: Authorizer) -> Answer:
    """A L{PreparedQueryExplainResponse}: the query that an id or a name means, with its template filled in."""
    return site.answer(1, PreparedQueryExplainResponse(query=_resolve(site, request)))


@server("PreparedQuery.Execute", PreparedQueryExecuteRequest, Rule.READ, lambda site, request: _watched(site, request))
def execute(site: Site, request: PreparedQueryExecuteRequest, authorizer: Authorizer) -> Answer | Deferred[Answer]:
    """A L{PreparedQueryExecuteResponse}: what the query that an id or a name means finds."""
    query = _resolve(site, request)
    answer = _UNASKED
    if not query.service.failover.skip_local_datacenter:
        answer = _execute_here(site, request, query, authorizer)
        if answer.value.nodes:
            return answer
    targets = failover_targets(query.service, site.other_datacenters(), site.me.datacenter)
    if not targets:
        return answer
    return Deferred.fromCoroutine(_execute_elsewhere(site, request, query, authorizer, targets, answer))


@server("PreparedQuery.ExecuteRemote", PreparedQueryExecuteRemoteRequest, Rule.READ)
def execute_remote(site: Site, request: PreparedQueryExecuteRemoteRequest, authorizer: Authorizer) -> Answer:
    """What a query of another datacenter finds here. Nowhere else is asked, and distances do not matter."""
    found = _find(site, request.query, request.connect, authorizer)
    return _answer(site, request.query, _drawn(site, found, request.limit))


def _watched(site: Site, request: PreparedQueryExecuteRequest) -> tuple[Key, ...] | None:
    """What touches what a query finds here; None where that also depends on who asks."""
    queries = table("prepared-queries")
    query = site.store.prepared_queries.resolve(request.query_id_or_name, request.agent.segment)
    if query is None:
        return (queries,)
    service = query.service
    near = request.source.node or service.near
    if near == IP:
        return None
    instances = mesh if service.connect or request.connect else service_watch
    keys = (queries, instances(service.service))
    return (*keys, table("coordinates")) if near else keys


def _resolve(site: Site, request: PreparedQueryExecuteRequest) -> PreparedQuery:
    query = site.store.prepared_queries.resolve(request.query_id_or_name, request.agent.segment)
    if query is None:
        raise QueryNotFound()
    return query


def _answer(site: Site, query: PreparedQuery, found: Instances) -> Answer:
    peer = query.service.peer
    response = PreparedQueryExecuteResponse(
        service=query.service.service,
        nodes=tuple(found),
        dns=query.dns,
        datacenter="" if peer else site.me.datacenter,
        peer_name=peer,
    )
    return site.answer(1, response)


# ---- here ----


def _execute_here(
    site: Site, request: PreparedQueryExecuteRequest, query: PreparedQuery, authorizer: Authorizer
) -> Answer:
    found = _find(site, query, request.connect, authorizer)
    near = request.source.node or query.service.near
    source = _source(site, request, near) if near else NOWHERE
    if not source.node:
        return _answer(site, query, _drawn(site, found, request.limit))
    site.rng.shuffle(found)
    found = _nearest_first(site, source, found, is_local=not query.service.peer)
    return _answer(site, query, found[: request.limit] if request.limit > 0 else found)


def _drawn(site: Site, found: Instances, limit: int) -> Instances:
    """As many as are wanted, in some order; without a limit, all."""
    if 0 < limit < len(found):
        return site.rng.sample(found, limit)
    site.rng.shuffle(found)
    return found


def _find(site: Site, query: PreparedQuery, connect: bool, authorizer: Authorizer) -> Instances:
    """A list, of the caller's own, of what a query finds."""
    service = query.service
    if query.token:
        authorizer = site.authorizer(query.token)
    request = ServiceSpecificRequest(
        datacenter=site.me.datacenter,
        service_name=service.service,
        peer_name=service.peer,
        connect=service.connect or connect,
    )
    _, found, _ = site.views.read(cast(Read, METHODS["Health.ServiceNodes"]), request, authorizer)
    return site.selections.select(service, found)


# ---- distance ----


def _source(site: Site, request: PreparedQueryExecuteRequest, node: str) -> QuerySource:
    """From where distances are measured; without a node where that is not known."""
    source, agent = request.source, request.agent
    if node == AGENT:
        node = agent.node
    elif node == IP:
        if not source.ip:
            _log.warn("a prepared query is to be sorted by the asker's address, which is not known")
        node = site.store.catalog.node_with_address(source.ip) if source.ip else ""
    return replace(source, datacenter=source.datacenter or agent.datacenter, node=node)


def _nearest_first(site: Site, source: QuerySource, found: Instances, is_local: bool) -> Instances:
    found = nearest(site.store, source, site.me.datacenter, found, instance_node)
    if is_local and source.datacenter == site.me.datacenter:
        name = source.node.lower()
        for place, one in enumerate(found[:_FRONT]):
            if one.node is not None and one.node.node.lower() == name:
                found[0], found[place] = found[place], found[0]
                break
    return found


# ---- elsewhere ----


def failover_targets(service: ServiceQuery, others: list[str], here: str) -> list[QueryFailoverTarget]:
    """
    The places to be asked, in their order: the nearest datacenters, then what the query names.

    @param others: all other datacenters, the nearest first. Those that are not among them are not asked.
    @param here: this datacenter, which may be named where it is not asked first.
    """
    failover = service.failover
    nearest = others[: max(failover.nearest_n, 0)]
    targets = [QueryFailoverTarget(datacenter=name) for name in nearest]
    named = [QueryFailoverTarget(datacenter=name) for name in failover.datacenters or ()] or failover.targets or ()
    known = {*others, here} if failover.skip_local_datacenter else {*others}
    for target in named:
        if target.datacenter:
            if target.datacenter not in known:
                _log.debug("the datacenter {name} is not known", name=target.datacenter)
                continue
            if target.datacenter not in nearest:
                targets.append(target)
                continue
        if target.peer:
            targets.append(target)
    return targets


async def _execute_elsewhere(
    site: Site,
    request: PreparedQueryExecuteRequest,
    query: PreparedQuery,
    authorizer: Authorizer,
    targets: list[QueryFailoverTarget],
    answer: Answer,
) -> Answer:
    """What the first place that has something gives; C{answer} is what is known so far."""
    failovers = 0
    for target in targets:
        failovers += 1
        there = replace(query, service=replace(query.service, peer=target.peer))
        datacenter = site.me.datacenter if target.peer else target.datacenter
        try:
            if query.service.failover.skip_local_datacenter and datacenter == site.me.datacenter:
                answer = _execute_here(site, request, there, authorizer)
            else:
                answer = await _ask(site, request, there, datacenter)
        except TxconsulError as error:
            _log.warn(
                "asking for {service} in {datacenter} failed: {error}",
                service=query.service.service,
                datacenter=datacenter,
                error=error,
            )
        if answer.value.nodes:
            break
    return replace(answer, value=replace(answer.value, failovers=failovers))


async def _ask(site: Site, request: PreparedQueryExecuteRequest, query: PreparedQuery, datacenter: str) -> Answer:
    """The limit goes along, so that not more is sent than is wanted."""
    remote = PreparedQueryExecuteRemoteRequest(
        datacenter=datacenter, query=query, limit=request.limit, connect=request.connect, options=request.options
    )
    answer: Any = site.ask("PreparedQuery.ExecuteRemote", remote, Context(token=query.token, source="prepared query"))
    if isinstance(answer, Deferred):
        answer = await answer
    assert isinstance(answer, Answer)
    return answer
