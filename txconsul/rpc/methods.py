"""
The table of RPC methods: under which name Consul asks for what the door answers, and how that is written.

A row is all that a method needs here, so that whoever adds an endpoint adds its row. What only the agent or the leader
itself asks has none: nobody else can ask it.

Source: the wire documents, RPC section 6.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from txconsul.records.autopilot import AutopilotConfig, AutopilotSetConfigRequest
from txconsul.records.bodies import ServiceDumpBody
from txconsul.records.catalog import CheckServiceNode, DeregisterRequest, Node, RegisterRequest, ServiceNode
from txconsul.records.coordinate import Coordinate, CoordinateUpdateRequest, DatacenterMap
from txconsul.records.event import EventFireRequest, EventFireResponse
from txconsul.records.health import HealthCheck
from txconsul.records.keyring import KeyringRequest, KeyringResponses
from txconsul.records.kv import DirEntry, KeyListRequest, KVSRequest
from txconsul.records.operator import (
    AutopilotHealthReply,
    RaftRemovePeerRequest,
    TransferLeaderRequest,
    TransferLeaderResponse,
)
from txconsul.records.prepared_query import (
    PreparedQuery,
    PreparedQueryExecuteRemoteRequest,
    PreparedQueryExecuteResponse,
    PreparedQueryExplainResponse,
    PreparedQueryRequest,
    PreparedQuerySpecificRequest,
)
from txconsul.records.queries import ChecksInStateRequest
from txconsul.records.session import Session, SessionRequest
from txconsul.records.status import RaftConfigurationResponse, RaftStats
from txconsul.records.txn import TxnReadRequest, TxnRequest, TxnResponse
from txconsul.records.ui import CatalogSummary
from txconsul.records.virtual_ip import AssignServiceManualVIPsResponse
from txconsul.rpc import replies, requests
from txconsul.rpc.bodies import ReplyForm, RequestForm, Whole

__all__ = ["ASKED", "METHODS", "SERVED", "Method"]


@dataclass(frozen=True, slots=True)
class Method:
    """
    One row.

    @ivar name: how the door knows it.
    @ivar wire: how Consul's servers know it; empty where that is the same.
    @ivar served: whether it is asked under that name here; otherwise another row is, and this one only asks others.
    """

    name: str
    request: RequestForm
    reply: ReplyForm
    wire: str = ""
    served: bool = True

    @property
    def wire_name(self) -> str:
        """How Consul's servers know it."""
        return self.wire or self.name


#: Every row.
METHODS = (
    Method("Catalog.Deregister", RequestForm(DeregisterRequest), replies.NOTHING),
    Method("Catalog.GatewayServices", requests.SERVICE, replies.UNREAD_SERVICES),
    Method("Catalog.ListDatacenters", requests.DATACENTERS, replies.TEXTS),
    Method("Catalog.ListNodes", requests.DATACENTER, replies.rows("Nodes", Node)),
    Method("Catalog.ListServices", requests.DATACENTER, replies.SERVICES),
    Method("Catalog.NodeServices", requests.NODE, replies.NODE_SERVICES),
    Method("Catalog.NodeServices", requests.NODE, replies.NODE_SERVICE_LIST, wire="Catalog.NodeServiceList"),
    Method("Catalog.Register", RequestForm(RegisterRequest), replies.NOTHING),
    Method("Catalog.ListServices", requests.DATACENTER, replies.SERVICE_NAMES, wire="Catalog.ServiceList"),
    Method("Catalog.ServiceNodes", requests.SERVICE, replies.rows("ServiceNodes", ServiceNode)),
    Method("Catalog.VirtualIPForService", requests.SERVICE, replies.ANSWERED_TEXT),
    Method("Coordinate.ListDatacenters", requests.NOBODY, replies.records(DatacenterMap)),
    Method("Coordinate.ListNodes", requests.DATACENTER, replies.rows("Coordinates", Coordinate, True)),
    Method("Coordinate.Node", requests.NODE, replies.rows("Coordinates", Coordinate, True)),
    Method("Coordinate.Update", RequestForm(CoordinateUpdateRequest), replies.NOTHING),
    Method("Health.ChecksInState", RequestForm(ChecksInStateRequest), replies.rows("HealthChecks", HealthCheck)),
    Method("Health.NodeChecks", requests.NODE, replies.rows("HealthChecks", HealthCheck)),
    Method("Health.ServiceChecks", requests.SERVICE, replies.rows("HealthChecks", HealthCheck)),
    Method("Health.ServiceNodes", requests.SERVICE, replies.rows("Nodes", CheckServiceNode, True)),
    Method(
        "Internal.AssignManualServiceVIPs",
        requests.MANUAL_VIPS,
        Whole(AssignServiceManualVIPsResponse),
    ),
    Method("Internal.CatalogOverview", requests.DATACENTER, Whole(CatalogSummary)),
    Method("Internal.EventFire", RequestForm(EventFireRequest), Whole(EventFireResponse)),
    Method(
        "Internal.ExportedServicesForPeer",
        requests.OF_PEER,
        replies.UNREAD_SERVICES,
    ),
    Method(
        "Internal.GatewayIntentions",
        requests.DESTINATION,
        replies.UNREAD_INTENTIONS,
    ),
    Method("Internal.GatewayServiceDump", requests.SERVICE, replies.UNREAD_DUMP),
    Method("Internal.KeyringOperation", RequestForm(KeyringRequest), Whole(KeyringResponses)),
    Method("UI.Nodes", requests.DATACENTER, replies.NODE_DUMP, wire="Internal.NodeDump"),
    Method("UI.Node", requests.NODE, replies.NODE_INFO, wire="Internal.NodeInfo"),
    Method("Internal.ServiceDump", RequestForm(ServiceDumpBody), replies.SERVICE_DUMP),
    Method("Internal.ServiceTopology", requests.SERVICE, replies.SERVICE_TOPOLOGY),
    Method("KVS.Apply", RequestForm(KVSRequest), replies.CHANGED),
    Method("KVS.Get", requests.KEY, replies.ENTRY),
    Method("KVS.List", requests.KEY, replies.rows("Entries", DirEntry)),
    Method("KVS.ListKeys", RequestForm(KeyListRequest), replies.KEYS),
    Method("Operator.AutopilotGetConfiguration", requests.DATACENTER, Whole(AutopilotConfig)),
    Method("Operator.AutopilotSetConfiguration", RequestForm(AutopilotSetConfigRequest), replies.SETTINGS_WRITTEN),
    Method("Operator.AutopilotState", requests.DATACENTER, replies.AUTOPILOT_STATE),
    Method("Operator.RaftGetConfiguration", requests.DATACENTER, Whole(RaftConfigurationResponse)),
    Method("Operator.RaftRemovePeerByAddress", RequestForm(RaftRemovePeerRequest), replies.NO_FIELDS),
    Method("Operator.RaftRemovePeerByID", RequestForm(RaftRemovePeerRequest), replies.NO_FIELDS),
    Method("Operator.ServerHealth", requests.DATACENTER, Whole(AutopilotHealthReply)),
    Method("Operator.TransferLeader", RequestForm(TransferLeaderRequest), Whole(TransferLeaderResponse)),
    Method("Operator.Usage", requests.USAGE, replies.Usage()),
    Method("PreparedQuery.Apply", RequestForm(PreparedQueryRequest), replies.TEXT),
    Method("PreparedQuery.Execute", requests.EXECUTE, Whole(PreparedQueryExecuteResponse)),
    Method(
        "PreparedQuery.ExecuteRemote",
        RequestForm(PreparedQueryExecuteRemoteRequest),
        Whole(PreparedQueryExecuteResponse),
    ),
    Method("PreparedQuery.Explain", requests.EXECUTE, Whole(PreparedQueryExplainResponse)),
    Method("PreparedQuery.Get", RequestForm(PreparedQuerySpecificRequest), replies.rows("Queries", PreparedQuery)),
    Method("PreparedQuery.List", requests.DATACENTER, replies.rows("Queries", PreparedQuery)),
    Method("Session.Apply", RequestForm(SessionRequest), replies.SESSION_WRITTEN),
    Method("Session.Get", requests.SESSION, replies.rows("Sessions", Session)),
    Method("Session.List", requests.SESSION, replies.rows("Sessions", Session)),
    Method("Session.NodeSessions", requests.NODE, replies.rows("Sessions", Session)),
    Method("Session.Renew", requests.SESSION, replies.rows("Sessions", Session)),
    Method("Status.Leader", requests.DATACENTER, replies.TEXT),
    Method("Status.Peers", requests.DATACENTER, replies.TEXTS),
    Method("Status.Ping", requests.NOBODY, replies.NOTHING),
    Method("Status.RaftStats", requests.NOBODY, Whole(RaftStats)),
    Method("Txn.Apply", RequestForm(TxnRequest), Whole(TxnResponse)),
    Method("Txn.Read", RequestForm(TxnReadRequest), replies.TxnRead()),
    # what is asked of others in their words, to be made here what the door would have made of it
    Method(
        "UI.Services",
        requests.OF_PEER,
        replies.UI_SERVICES,
        wire="Internal.ServiceDump",
        served=False,
    ),
    Method("UI.Topology", requests.SERVICE, replies.UI_TOPOLOGY, wire="Internal.ServiceTopology", served=False),
    Method(
        "Catalog.NamesOfAddresses",
        requests.DATACENTER,
        replies.NAMES_OF_ADDRESSES,
        wire="Internal.NodeDump",
        served=False,
    ),
)


def _by_wire(rows: Iterable[Method]) -> dict[str, Method]:
    return {row.wire_name: row for row in rows if row.served}


def _by_name(rows: Iterable[Method]) -> dict[str, Method]:
    """Of several rows of one name, the first is asked."""
    found: dict[str, Method] = {}
    for row in rows:
        found.setdefault(row.name, row)
    return found


#: What is served, by the name that it has on the wire.
SERVED = _by_wire(METHODS)
#: How each of the door's methods is asked of others.
ASKED = _by_name(METHODS)
