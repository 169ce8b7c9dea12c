"""
What operators ask about a group of servers, and what they are told.

Source: the wire documents' Operator methods; Consul's documentation of the operator HTTP API.
"""

from __future__ import annotations

from txconsul.records.base import Duration, DurationText, Record, Time, Uint
from txconsul.records.query import QueryOptions
from txconsul.records.raft import NO_TIME

__all__ = [
    "AutopilotHealthReply",
    "AutopilotServer",
    "AutopilotServerHealth",
    "AutopilotState",
    "OperatorHealthReply",
    "OperatorServerHealth",
    "OperatorUsageRequest",
    "RaftRemovePeerRequest",
    "ServiceUsage",
    "TransferLeaderRequest",
    "TransferLeaderResponse",
]


class RaftRemovePeerRequest(Record, frozen=True):
    """Take a server out of the group. @ivar address: or C{id}, as the method says."""

    address: str = ""
    datacenter: str = ""
    id: str = ""
    token: str = ""


class TransferLeaderRequest(Record, frozen=True):
    """Have another server lead. @ivar id: who; empty for whoever is up to date."""

    datacenter: str = ""
    id: str = ""
    token: str = ""


class TransferLeaderResponse(Record, frozen=True):
    """@ivar success: it is asked to; an error says that it is not."""

    success: bool = False


class OperatorUsageRequest(Record, frozen=True):
    """How much is registered. @ivar global_: in all datacenters."""

    datacenter: str = ""
    global_: bool = False
    options: QueryOptions = QueryOptions()


class ServiceUsage(Record, frozen=True):
    """
    What is registered in one datacenter.

    @ivar billable_service_instances: those that are neither Consul's own nor proxies or gateways.
    @ivar connect_service_instances: by what they are to the mesh.
    """

    services: int = 0
    service_instances: int = 0
    connect_service_instances: dict[str, int] | None = None
    billable_service_instances: int = 0
    nodes: int = 0


class AutopilotServerHealth(Record, frozen=True):
    """
    One server, between servers.

    @ivar serf_status: Serf's number; 0 where it knows none.
    """

    address: str = ""
    healthy: bool = False
    id: str = ""
    last_contact: Duration = 0
    last_index: Uint = 0
    last_term: Uint = 0
    leader: bool = False
    name: str = ""
    serf_status: int = 0
    stable_since: Time = NO_TIME
    version: str = ""
    voter: bool = False


class AutopilotHealthReply(Record, frozen=True):
    """The group's health, between servers."""

    failure_tolerance: int = 0
    healthy: bool = False
    servers: tuple[AutopilotServerHealth, ...] | None = None


class OperatorServerHealth(Record, frozen=True):
    """One server, as the HTTP API shows it. @ivar serf_status: Serf's word."""

    id: str = ""
    name: str = ""
    address: str = ""
    serf_status: str = ""
    version: str = ""
    leader: bool = False
    last_contact: DurationText = 0
    last_term: Uint = 0
    last_index: Uint = 0
    healthy: bool = False
    voter: bool = False
    stable_since: Time = NO_TIME


class OperatorHealthReply(Record, frozen=True):
    """The group's health, as the HTTP API shows it."""

    healthy: bool = False
    failure_tolerance: int = 0
    servers: tuple[OperatorServerHealth, ...] | None = None


class AutopilotServer(Record, frozen=True):
    """
    One server of L{AutopilotState}.

    @ivar node_status: what gossip says: C{alive}, C{failed}, C{left} or C{unknown}.
    @ivar status: what it is to the group: C{leader}, C{voter}, C{non-voter} or C{staging}.
    @ivar node_type: what it is to become; always C{voter}.
    """

    id: str = ""
    name: str = ""
    address: str = ""
    node_status: str = ""
    version: str = ""
    last_contact: DurationText = 0
    last_term: Uint = 0
    last_index: Uint = 0
    healthy: bool = False
    stable_since: Time = NO_TIME
    read_replica: bool = False
    status: str = ""
    meta: dict[str, str] | None = None
    node_type: str = "voter"


class AutopilotState(Record, frozen=True):
    """The whole state of autopilot. @ivar servers: by id."""

    healthy: bool = False
    failure_tolerance: int = 0
    optimistic_failure_tolerance: int = 0
    servers: dict[str, AutopilotServer] = {}
    leader: str = ""
    voters: tuple[str, ...] = ()
