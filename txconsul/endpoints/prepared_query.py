"""
PreparedQuery: writing queries and reading them back; L{txconsul.endpoints.query_execution} runs them.

Source: Consul's documentation of the prepared query HTTP API; the wire documents' PreparedQuery methods.
"""

from __future__ import annotations

from typing import Any

from msgspec.structs import replace

from txconsul.codec.duration import BadDuration, parse_duration
from txconsul.endpoints.authorizing import Authorizer
from txconsul.endpoints.leading import Leading
from txconsul.endpoints.registry import read, write
from txconsul.errors import InvalidRequest, NotFound, TxconsulError
from txconsul.records.command import Command
from txconsul.records.prepared_query import (
    PreparedQuery,
    PreparedQueryRequest,
    PreparedQuerySpecificRequest,
    QueryDNSOptions,
    ServiceQuery,
)
from txconsul.records.queries import DCSpecificRequest
from txconsul.state.metadata import check_metadata_filter
from txconsul.state.prepared_queries import query_key
from txconsul.state.store import Store
from txconsul.state.watches import prepared_query as query_watch
from txconsul.state.watches import table

__all__ = ["REDACTED", "QueryNotFound"]

#: What is shown instead of a token to those who may not see it. It must not come back as one.
REDACTED = "<hidden>"


class QueryNotFound(NotFound):
    """No query has this id, and none answers to this name."""

    text = "Query not found"


# ---- writing ----


def _written(request: PreparedQueryRequest, result: Any, leading: Leading) -> str:
    return request.query.id if request.query is not None else ""


def _failed(error: TxconsulError) -> TxconsulError:
    """What the state refused, in the words that clients know."""
    return InvalidRequest(f"raft apply failed: {error}")


@write("PreparedQuery.Apply", PreparedQueryRequest, Command.PREPARED_QUERY, after=_written, refused=_failed)
def apply(
    store: Store, request: PreparedQueryRequest, authorizer: Authorizer, leading: Leading
) -> PreparedQueryRequest:
    """Create, change or delete a query; its id."""
    query = request.query or PreparedQuery()
    if request.op == "create":
        if query.id:
            raise InvalidRequest("ID must be empty when creating a new prepared query")
        query = replace(query, id=_fresh_id(store, leading))
    _authorize(query, authorizer)
    if request.op != "create":
        _authorize(_existing(store, query.id), authorizer)
    if request.op in ("create", "update"):
        try:
            _check(query)
        except InvalidRequest as error:
            raise InvalidRequest(f"Invalid prepared query: {error}") from None
    elif request.op != "delete":
        raise InvalidRequest(f"Unknown prepared query operation: {request.op}")
    return PreparedQueryRequest(datacenter=request.datacenter, op=request.op, query=query)


def _authorize(query: PreparedQuery, authorizer: Authorizer) -> None:
    """Rules are about names: who knows the id of a query without a name may do what he wants with it."""
    if query.name or query.template.type:
        authorizer.require_query_write(query.name)


def _fresh_id(store: Store, leading: Leading) -> str:
    while True:
        fresh = leading.new_id()
        if store.prepared_queries.get(fresh)[1] is None:
            return fresh


def _existing(store: Store, id: str) -> PreparedQuery:
    try:
        _, query = store.prepared_queries.get(id)
    except InvalidRequest as error:
        raise InvalidRequest(f"Prepared Query lookup failed: {error}") from None
    if query is None:
        raise InvalidRequest(f"Cannot modify non-existent prepared query: '{id}'")
    return query


def _check(query: PreparedQuery) -> None:
    """
    @raise InvalidRequest: the query contradicts itself. Its name, session and template are the state's to judge, its
        datacenters and token are looked at when it runs.
    """
    if not (query.name or query.template.type or query.session):
        raise InvalidRequest("Must be bound to a session")
    if query.token == REDACTED:
        raise InvalidRequest(
            f"Bad Token '{REDACTED}', it looks like a query definition with a redacted token was submitted"
        )
    _check_service(query.service)
    _check_dns(query.dns)


def _check_service(service: ServiceQuery) -> None:
    if not service.service:
        raise InvalidRequest("Must provide a Service name to query")
    failover = service.failover
    if failover.nearest_n < 0:
        raise InvalidRequest(f"Bad NearestN '{failover.nearest_n}', must be >= 0")
    if (failover.nearest_n or failover.datacenters) and failover.targets:
        raise InvalidRequest("Targets cannot be populated with NearestN or Datacenters")
    check_metadata_filter(service.node_meta)
    if service.sameness_group:
        raise InvalidRequest("sameness-groups are an enterprise-only feature")


def _check_dns(options: QueryDNSOptions) -> None:
    if not options.ttl:
        return
    try:
        ttl = parse_duration(options.ttl)
    except BadDuration as error:
        raise InvalidRequest(f"Bad DNS TTL '{options.ttl}': {error}") from None
    if ttl < 0:
        raise InvalidRequest(f"DNS TTL '{ttl}', must be >=0")


# ---- reading ----


@read("PreparedQuery.Get", PreparedQuerySpecificRequest, lambda request: (query_watch(query_key(request.query_id)),))
def get(store: Store, request: PreparedQuerySpecificRequest, authorizer: Authorizer) -> tuple[int, list[PreparedQuery]]:
    """One query, in a list."""
    index, query = store.prepared_queries.get(request.query_id)
    if query is None:
        raise QueryNotFound()
    return index, [query]


@read("PreparedQuery.List", DCSpecificRequest, lambda request: (table("prepared-queries"),))
def list_(store: Store, request: DCSpecificRequest, authorizer: Authorizer) -> tuple[int, list[PreparedQuery]]:
    """All queries."""
    return store.prepared_queries.list()
