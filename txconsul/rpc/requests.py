"""
Requests: what the door is asked, as it stands in a body.

Source: the wire documents, RPC section 6.
"""

from __future__ import annotations

from typing import Any

from txconsul.records.bodies import (
    EXCLUDE_CRITICAL,
    INCLUDE_ALL,
    ONLY_PASSING,
    AssignServiceManualVIPsBody,
    DatacentersBody,
    EmptyBody,
    IntentionMatchEntry,
    IntentionQueryBody,
    IntentionQueryMatch,
    ServiceDumpBody,
    ServiceSpecificBody,
    UsageBody,
)
from txconsul.records.kv import KeyRequest
from txconsul.records.operator import OperatorUsageRequest
from txconsul.records.prepared_query import PreparedQueryExecuteRequest
from txconsul.records.queries import DCSpecificRequest, NodeSpecificRequest, ServiceSpecificRequest
from txconsul.records.session import SessionSpecificRequest
from txconsul.records.virtual_ip import AssignServiceManualVIPsRequest
from txconsul.rpc.bodies import RequestForm

__all__ = [
    "DATACENTER",
    "DATACENTERS",
    "DESTINATION",
    "EXECUTE",
    "KEY",
    "MANUAL_VIPS",
    "NOBODY",
    "NODE",
    "OF_PEER",
    "SERVICE",
    "SESSION",
    "USAGE",
]


def _service_out(request: ServiceSpecificRequest) -> ServiceSpecificBody:
    wanted = ONLY_PASSING if request.must_be_passing else EXCLUDE_CRITICAL if request.exclude_critical else INCLUDE_ALL
    return ServiceSpecificBody(
        connect=request.connect,
        datacenter=request.datacenter,
        health_filter_type=wanted,
        ingress=request.ingress,
        merge_central_config=request.merge_central_config,
        node_meta_filters=request.node_meta_filters,
        peer_name=request.peer_name,
        service_address=request.service_address,
        service_kind=request.service_kind,
        service_name=request.service_name,
        service_tags=request.service_tags or None,
        source=request.source,
        tag_filter=bool(request.service_tags),
        options=request.options,
    )


def _service_in(body: Any) -> ServiceSpecificRequest:
    tags: tuple[str, ...] = ()
    if body.tag_filter:
        tags = (body.service_tag,) if body.service_tag else body.service_tags or ()
    return ServiceSpecificRequest(
        connect=body.connect,
        datacenter=body.datacenter,
        exclude_critical=body.health_filter_type == EXCLUDE_CRITICAL,
        ingress=body.ingress,
        merge_central_config=body.merge_central_config,
        must_be_passing=body.health_filter_type == ONLY_PASSING,
        node_meta_filters=body.node_meta_filters,
        peer_name=body.peer_name,
        service_address=body.service_address,
        service_kind=body.service_kind,
        service_name=body.service_name,
        service_tags=tags,
        source=body.source,
        options=body.options,
    )


def _dump_out(request: DCSpecificRequest) -> ServiceDumpBody:
    return ServiceDumpBody(
        datacenter=request.datacenter, peer_name=request.peer_name, source=request.source, options=request.options
    )


def _dump_in(body: Any) -> DCSpecificRequest:
    return DCSpecificRequest(
        datacenter=body.datacenter, peer_name=body.peer_name, source=body.source, options=body.options
    )


def _destination_out(request: ServiceSpecificRequest) -> IntentionQueryBody:
    entry = IntentionMatchEntry(name=request.service_name)
    return IntentionQueryBody(
        datacenter=request.datacenter,
        match=IntentionQueryMatch(entries=(entry,), type="destination"),
        options=request.options,
    )


def _destination_in(body: Any) -> ServiceSpecificRequest:
    entries = body.match.entries if body.match is not None else ()
    name = entries[0].name if entries else ""
    return ServiceSpecificRequest(datacenter=body.datacenter, service_name=name, options=body.options)


def _vips_out(request: AssignServiceManualVIPsRequest) -> AssignServiceManualVIPsBody:
    return AssignServiceManualVIPsBody(
        datacenter=request.datacenter,
        manual_vips=request.manual_vips,
        node_meta_filters=request.node_meta_filters,
        peer_name=request.peer_name,
        service=request.service,
    )


def _vips_in(body: Any) -> AssignServiceManualVIPsRequest:
    return AssignServiceManualVIPsRequest(
        datacenter=body.datacenter,
        manual_vips=body.manual_vips,
        node_meta_filters=body.node_meta_filters,
        peer_name=body.peer_name,
        service=body.service,
    )


def _usage_out(request: OperatorUsageRequest) -> UsageBody:
    return UsageBody(datacenter=request.datacenter, global_=request.global_, options=request.options)


def _usage_in(body: Any) -> OperatorUsageRequest:
    return OperatorUsageRequest(datacenter=body.datacenter, global_=body.global_, options=body.options)


DATACENTER = RequestForm(DCSpecificRequest)
NODE = RequestForm(NodeSpecificRequest)
SERVICE = RequestForm(ServiceSpecificBody, _service_out, _service_in)
SESSION = RequestForm(SessionSpecificRequest)
KEY = RequestForm(KeyRequest)
NOBODY = RequestForm(EmptyBody, lambda request: EmptyBody(), lambda body: DCSpecificRequest())
DATACENTERS = RequestForm(
    DatacentersBody,
    lambda request: DatacentersBody(options=request.options),
    lambda body: DCSpecificRequest(options=body.options),
)
EXECUTE = RequestForm(PreparedQueryExecuteRequest)
MANUAL_VIPS = RequestForm(AssignServiceManualVIPsBody, _vips_out, _vips_in)
#: Of what a peer sent, or was given.
OF_PEER = RequestForm(ServiceDumpBody, _dump_out, _dump_in)
#: Intentions about one service.
DESTINATION = RequestForm(IntentionQueryBody, _destination_out, _destination_in)
USAGE = RequestForm(UsageBody, _usage_out, _usage_in)
