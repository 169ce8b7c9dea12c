"""
What an agent is told to run, and what it tells of it.

Source: Consul's documentation of the agent HTTP API, its service and its check definitions.
"""

from __future__ import annotations

from typing import Annotated

from txconsul.records.base import HIDE_JSON, OMIT_JSON, Record
from txconsul.records.health import HealthCheck
from txconsul.records.query import DEFAULT, QueryOptions
from txconsul.records.service import (
    CheckType,
    ConnectProxyConfig,
    ExposeConfig,
    ExposePath,
    Locality,
    ServiceAddress,
    ServiceConnect,
    ServiceDefinition,
    Upstream,
    Weights,
)

__all__ = [
    "AgentExpose",
    "AgentExposePath",
    "AgentProxy",
    "AgentService",
    "AgentUpstream",
    "CheckDefinition",
    "CheckUpdate",
    "LocalRequest",
    "MaintenanceRequest",
    "RegisterCheckRequest",
    "RegisterServiceRequest",
    "ServiceHealth",
    "UpdateCheckRequest",
]


class CheckDefinition(CheckType, frozen=True):
    """
    A check that is registered by itself, not with its service.

    @ivar id: as the check will be called; its name where it is empty.
    @ivar service_id: the service to which it belongs; empty for a check of the node.
    """

    check_id: Annotated[str, HIDE_JSON] = ""
    id: str = ""
    service_id: str = ""
    token: str = ""


class CheckUpdate(Record, frozen=True):
    """What a service says of itself in the body of C{check/update}."""

    status: str = ""
    output: str = ""


class AgentUpstream(Upstream, frozen=True):
    """A service that a proxy reaches, as its own agent shows it."""

    datacenter: Annotated[str, OMIT_JSON] = ""


class AgentExposePath(ExposePath, frozen=True):
    """A path that a proxy lets through, as its own agent shows it."""

    parsed_from_check: bool = False


class AgentExpose(ExposeConfig, frozen=True):
    """The paths that a proxy lets through, as its own agent shows them."""

    paths: Annotated[tuple[AgentExposePath, ...] | None, OMIT_JSON] = None


class AgentProxy(ConnectProxyConfig, frozen=True):
    """The proxy part of a registration, as its own agent shows it."""

    expose: AgentExpose = AgentExpose()
    mode: Annotated[str, OMIT_JSON] = ""
    upstreams: Annotated[tuple[AgentUpstream, ...] | None, OMIT_JSON] = None


class AgentService(Record, frozen=True):
    """
    A service as its own agent shows it.

    @ivar content_hash: changes whenever anything else does; left out of lists.
    """

    address: str = ""
    connect: Annotated[ServiceConnect | None, OMIT_JSON] = None
    content_hash: Annotated[str, OMIT_JSON] = ""
    datacenter: Annotated[str, OMIT_JSON] = ""
    enable_tag_override: bool = False
    id: str = ""
    kind: Annotated[str, OMIT_JSON] = ""
    locality: Annotated[Locality | None, OMIT_JSON] = None
    meta: dict[str, str] | None = None
    peer_name: Annotated[str, OMIT_JSON] = ""
    port: int = 0
    proxy: Annotated[AgentProxy | None, OMIT_JSON] = None
    service: str = ""
    socket_path: Annotated[str, OMIT_JSON] = ""
    tagged_addresses: Annotated[dict[str, ServiceAddress] | None, OMIT_JSON] = None
    tags: tuple[str, ...] | None = None
    weights: Weights = Weights()


class ServiceHealth(Record, frozen=True):
    """
    An agent's own verdict on one of its services.

    @ivar checks: those of the service and of the node; None where there is no such service.
    """

    aggregated_status: str = ""
    checks: tuple[HealthCheck, ...] | None = None
    service: AgentService | None = None


class RegisterServiceRequest(Record, frozen=True):
    """Run a service; C{replace_existing_checks} forgets those of its checks that the definition does not name."""

    datacenter: str = ""
    definition: ServiceDefinition = ServiceDefinition()
    replace_existing_checks: bool = False
    token: str = ""


class RegisterCheckRequest(Record, frozen=True):
    """Run a check."""

    datacenter: str = ""
    definition: CheckDefinition = CheckDefinition()
    token: str = ""


class UpdateCheckRequest(Record, frozen=True):
    """Say of a TTL check how it is."""

    datacenter: str = ""
    check_id: str = ""
    status: str = ""
    output: str = ""


class MaintenanceRequest(Record, frozen=True):
    """Take a service, or with an empty id the whole node, out of use, or put it back."""

    datacenter: str = ""
    service_id: str = ""
    enable: bool = False
    reason: str = ""
    token: str = ""


class LocalRequest(Record, frozen=True):
    """
    Ask for something that the agent runs.

    @ivar id: of a service or a check, or a service's name.
    @ivar hash: wait until the content's hash is another.
    """

    datacenter: str = ""
    id: str = ""
    hash: str = ""
    options: QueryOptions = DEFAULT
