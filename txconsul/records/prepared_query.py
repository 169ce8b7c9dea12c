"""
Prepared queries: what they look for, how they are stored, asked to run, and answered.

Source: Consul's documentation of the prepared query HTTP API; the wire documents' PreparedQuery and its requests.
"""

from __future__ import annotations

import msgspec

from txconsul.records.base import Duration, Record, Uint
from txconsul.records.catalog import CheckServiceNode
from txconsul.records.query import DEFAULT, NOWHERE, QueryOptions, QuerySource

__all__ = [
    "NAME_PREFIX_MATCH",
    "PreparedQuery",
    "PreparedQueryExecuteRemoteRequest",
    "PreparedQueryExecuteRequest",
    "PreparedQueryExecuteResponse",
    "PreparedQueryExplainResponse",
    "PreparedQueryRequest",
    "PreparedQuerySpecificRequest",
    "QueryDNSOptions",
    "QueryFailoverOptions",
    "QueryFailoverTarget",
    "QueryTemplateOptions",
    "ServiceQuery",
]

#: The one kind of template: it answers for every name that begins with its own.
NAME_PREFIX_MATCH = "name_prefix_match"


class QueryFailoverTarget(Record, frozen=True):
    """Where to look when there is nothing here: a datacenter, or a cluster peer."""

    datacenter: str = ""
    peer: str = ""


class QueryFailoverOptions(Record, frozen=True):
    """
    Where to look when there is nothing here.

    @ivar nearest_n: first in so many other datacenters, the nearest first.
    @ivar datacenters: then in these.
    @ivar skip_local_datacenter: do not look here at all, unless a target says so.
    @ivar targets: instead of both.
    """

    datacenters: tuple[str, ...] | None = None
    nearest_n: int = 0
    skip_local_datacenter: bool = False
    targets: tuple[QueryFailoverTarget, ...] | None = None


class QueryDNSOptions(Record, frozen=True):
    """@ivar ttl: how long DNS answers may be kept, as a Go duration; empty is what the agent says of the service."""

    ttl: str = ""


class ServiceQuery(Record, frozen=True):
    """
    Which instances of a service are wanted.

    @ivar connect: those that can be reached in the mesh.
    @ivar ignore_check_ids: checks that do not matter.
    @ivar include_all: whatever the checks say; C{only_passing}: only where all pass. Otherwise none may be critical.
    @ivar near: sorted by the distance to this node; C{_agent} is that of the agent that is asked, C{_ip} the one with
        the address of whoever asks.
    @ivar node_meta: all of these must be in the node's metadata, and C{service_meta} in the instance's.
    @ivar peer: the cluster peer that the service was imported from.
    @ivar sameness_group: of the Enterprise edition.
    @ivar tags: all of these, but none of those that begin with an exclamation mark.
    """

    connect: bool = False
    failover: QueryFailoverOptions = QueryFailoverOptions()
    ignore_check_ids: tuple[str, ...] | None = None
    include_all: bool = False
    near: str = ""
    node_meta: dict[str, str] | None = None
    only_passing: bool = False
    peer: str = ""
    sameness_group: str = ""
    service: str = ""
    service_meta: dict[str, str] | None = None
    tags: tuple[str, ...] | None = None


class QueryTemplateOptions(Record, frozen=True):
    """
    How a query answers for many names.

    @ivar regexp: what the whole name is matched against, for C{${match(N)}}.
    @ivar remove_empty_tags: leave out tags that came out empty.
    @ivar type: empty for a query that is no template.
    """

    regexp: str = ""
    remove_empty_tags: bool = False
    type: str = ""


class PreparedQuery(Record, frozen=True):
    """
    One query.

    @ivar id: a UUID, given by the leader.
    @ivar name: by which it can be asked, too; of a template, how such names begin.
    @ivar session: the query ends with it; empty for none.
    @ivar token: what the query may see when it runs; empty is what its asker may see.
    """

    create_index: Uint = 0
    dns: QueryDNSOptions = QueryDNSOptions()
    id: str = ""
    modify_index: Uint = 0
    name: str = ""
    service: ServiceQuery = ServiceQuery()
    session: str = ""
    template: QueryTemplateOptions = QueryTemplateOptions()
    token: str = ""


class PreparedQueryRequest(Record, frozen=True):
    """
    Write a query.

    @ivar op: C{create}, C{update} or C{delete}.
    """

    datacenter: str = ""
    op: str = ""
    query: PreparedQuery | None = None
    token: str = ""


class PreparedQuerySpecificRequest(Record, frozen=True):
    """Ask for one query by its id."""

    datacenter: str = ""
    query_id: str = ""
    options: QueryOptions = DEFAULT


class PreparedQueryExecuteRequest(Record, frozen=True):
    """
    Run a query, or ask what it would look for.

    @ivar agent: the agent that was asked.
    @ivar connect: as if the query said so.
    @ivar limit: how many instances are wanted; 0 is all.
    @ivar source: from where to measure, if the asker says so.
    """

    agent: QuerySource = NOWHERE
    connect: bool = False
    datacenter: str = ""
    limit: int = 0
    query_id_or_name: str = ""
    source: QuerySource = NOWHERE
    options: QueryOptions = DEFAULT


class PreparedQueryExecuteRemoteRequest(Record, frozen=True):
    """Run a query of another datacenter, which is told whole."""

    connect: bool = False
    datacenter: str = ""
    limit: int = 0
    query: PreparedQuery = PreparedQuery()
    options: QueryOptions = DEFAULT


class PreparedQueryExecuteResponse(Record, frozen=True):
    """
    What a query found, with what is known of the answer (as in L{txconsul.records.query.QueryMeta}).

    @ivar datacenter: where it was found.
    @ivar failovers: how many other places were asked.
    @ivar peer_name: the peer from which it came.
    """

    backend: int = 0
    consistency_level: str = ""
    dns: QueryDNSOptions = QueryDNSOptions()
    datacenter: str = ""
    failovers: int = 0
    index: Uint = 0
    known_leader: bool = False
    last_contact: Duration = 0
    nodes: tuple[CheckServiceNode, ...] | None = None
    not_modified: bool = False
    peer_name: str = ""
    results_filtered_by_acls: bool = msgspec.field(name="ResultsFilteredByACLs", default=False)
    service: str = ""


class PreparedQueryExplainResponse(Record, frozen=True):
    """The query that a name leads to, filled in, with what is known of the answer."""

    backend: int = 0
    consistency_level: str = ""
    index: Uint = 0
    known_leader: bool = False
    last_contact: Duration = 0
    not_modified: bool = False
    query: PreparedQuery = PreparedQuery()
    results_filtered_by_acls: bool = msgspec.field(name="ResultsFilteredByACLs", default=False)
