"""
Requests as Consul's RPC has them, where they are not what the door is asked.

Source: the wire documents' DatacentersRequest, ServiceSpecificRequest, ServiceDumpRequest, IntentionQueryRequest and
AssignServiceManualVIPsRequest.
"""

from __future__ import annotations

import msgspec

from txconsul.records.base import Record
from txconsul.records.query import DEFAULT, NOWHERE, QueryOptions, QuerySource

__all__ = [
    "EXCLUDE_CRITICAL",
    "INCLUDE_ALL",
    "ONLY_PASSING",
    "AssignServiceManualVIPsBody",
    "DatacentersBody",
    "EmptyBody",
    "IntentionMatchEntry",
    "IntentionQueryBody",
    "IntentionQueryMatch",
    "ServiceDumpBody",
    "ServiceSpecificBody",
    "UsageBody",
]

#: Values of C{health_filter_type}.
INCLUDE_ALL, EXCLUDE_CRITICAL, ONLY_PASSING = range(3)


class EmptyBody(Record, frozen=True):
    """Nothing is said."""


class DatacentersBody(Record, frozen=True):
    """Ask for the names of all datacenters."""

    options: QueryOptions = DEFAULT


class ServiceSpecificBody(Record, frozen=True):
    """
    Ask about one service.

    @ivar service_address: instances with this address, instead of those of one name.
    @ivar service_tag: in the words of Consul before 1.3, the only tag.
    @ivar tag_filter: whether the tags matter.
    @ivar sameness_group: of the Enterprise edition.
    """

    connect: bool = False
    datacenter: str = ""
    health_filter_type: int = 0
    ingress: bool = False
    merge_central_config: bool = False
    node_meta_filters: dict[str, str] | None = None
    peer_name: str = ""
    sameness_group: str = ""
    service_address: str = ""
    service_kind: str = ""
    service_name: str = ""
    service_tag: str = ""
    service_tags: tuple[str, ...] | None = None
    source: QuerySource = NOWHERE
    tag_filter: bool = False
    options: QueryOptions = DEFAULT


class ServiceDumpBody(Record, frozen=True):
    """
    Ask for the instances of all services, or of those that a peer is given.

    @ivar use_service_kind: only instances of C{service_kind}.
    @ivar nodes_only: neither gateways nor what peers sent.
    """

    datacenter: str = ""
    nodes_only: bool = False
    peer_name: str = ""
    service_kind: str = ""
    source: QuerySource = NOWHERE
    use_service_kind: bool = False
    options: QueryOptions = DEFAULT


class IntentionMatchEntry(Record, frozen=True):
    """A service by its name."""

    name: str = ""
    namespace: str = ""
    partition: str = ""


class IntentionQueryMatch(Record, frozen=True):
    """
    Intentions about some services.

    @ivar type: C{source} or C{destination}: as what the services are looked for.
    """

    entries: tuple[IntentionMatchEntry, ...] | None = None
    type: str = ""
    with_sameness_groups: bool = False


class IntentionQueryBody(Record, frozen=True):
    """
    Ask for intentions.

    @ivar check: whether two services may talk; C{exact}: one intention; of which nothing is read yet.
    """

    check: IntentionMatchEntry | None = None
    datacenter: str = ""
    exact: IntentionMatchEntry | None = None
    intention_id: str = ""
    match: IntentionQueryMatch | None = None
    options: QueryOptions = DEFAULT


class AssignServiceManualVIPsBody(Record, frozen=True):
    """Give a service virtual addresses of an operator's choice."""

    datacenter: str = ""
    manual_vips: tuple[str, ...] | None = msgspec.field(name="ManualVIPs", default=None)
    node_meta_filters: dict[str, str] | None = None
    peer_name: str = ""
    service: str = ""
    source: QuerySource = NOWHERE
    options: QueryOptions = DEFAULT


class UsageBody(Record, frozen=True):
    """How much is registered. @ivar global_: in all datacenters."""

    datacenter: str = ""
    global_: bool = False
    node_meta_filters: dict[str, str] | None = None
    peer_name: str = ""
    source: QuerySource = NOWHERE
    options: QueryOptions = DEFAULT
