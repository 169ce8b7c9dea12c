"""
Health checks as the catalog keeps them.

Source: Consul's documentation of checks; the wire documents' HealthCheck and HealthCheckDefinition.
"""

from __future__ import annotations

from typing import Annotated

import msgspec

from txconsul.records.base import DURATION_INPUT, DURATION_TEXT, OMIT_JSON, UINT, Duration, Record, Uint

__all__ = [
    "ANY",
    "CRITICAL",
    "MAINTENANCE",
    "PASSING",
    "SERF_HEALTH",
    "WARNING",
    "CheckResult",
    "HealthCheck",
    "HealthCheckDefinition",
]

#: What a check may say, in falling order of content.
PASSING = "passing"
WARNING = "warning"
CRITICAL = "critical"
#: Shown for a node or service under maintenance; no check has it.
MAINTENANCE = "maintenance"
#: In a query: whatever the check says.
ANY = "any"

#: The check that says whether gossip thinks a node alive.
SERF_HEALTH = "serfHealth"


class CheckResult(Record, frozen=True):
    """
    What a check found: one of the statuses above, and words for people.

    @ivar certain: it counts at once, however many results of its kind are waited for.
    """

    status: str = ""
    output: str = ""
    certain: bool = False


class HealthCheckDefinition(Record, frozen=True):
    """What a check does, as far as it was told; durations in ns."""

    alias_node: Annotated[str, OMIT_JSON] = ""
    alias_service: Annotated[str, OMIT_JSON] = ""
    body: Annotated[str, OMIT_JSON] = ""
    deregister_critical_service_after: Annotated[Duration, OMIT_JSON, DURATION_TEXT] = 0
    disable_redirects: Annotated[bool, OMIT_JSON] = False
    docker_container_id: Annotated[str, OMIT_JSON] = ""
    grpc: Annotated[str, OMIT_JSON] = ""
    grpc_use_tls: Annotated[bool, OMIT_JSON] = False
    h2_ping: Annotated[str, OMIT_JSON] = msgspec.field(name="H2PING", default="")
    h2_ping_use_tls: Annotated[bool, OMIT_JSON] = False
    http: Annotated[str, OMIT_JSON] = ""
    header: Annotated[dict[str, tuple[str, ...] | None] | None, OMIT_JSON] = None
    interval: Annotated[Duration, OMIT_JSON, DURATION_TEXT] = 0
    method: Annotated[str, OMIT_JSON] = ""
    os_service: Annotated[str, OMIT_JSON] = ""
    output_max_size: Annotated[int, OMIT_JSON, UINT] = 0
    script_args: Annotated[tuple[str, ...] | None, OMIT_JSON] = None
    session_name: Annotated[str, OMIT_JSON] = ""
    shell: Annotated[str, OMIT_JSON] = ""
    tcp: Annotated[str, OMIT_JSON] = ""
    tcp_use_tls: Annotated[bool, OMIT_JSON] = False
    tls_server_name: Annotated[str, OMIT_JSON] = ""
    tls_skip_verify: Annotated[bool, OMIT_JSON] = False
    ttl: Annotated[Duration, OMIT_JSON, DURATION_INPUT] = 0
    timeout: Annotated[Duration, OMIT_JSON, DURATION_TEXT] = 0
    udp: Annotated[str, OMIT_JSON] = ""


class HealthCheck(Record, frozen=True):
    """
    What a check of a node, or of a service on it, says.

    @ivar check_id: unique on its node.
    @ivar service_id: the service it belongs to; empty for a check of the node.
    @ivar type: C{http}, C{ttl}, C{session}, ...
    @ivar interval: a Go duration, from the definition; C{timeout} likewise.
    """

    check_id: str = ""
    create_index: Uint = 0
    definition: HealthCheckDefinition = HealthCheckDefinition()
    exposed_port: int = 0
    interval: str = ""
    modify_index: Uint = 0
    name: str = ""
    node: str = ""
    notes: str = ""
    output: str = ""
    peer_name: Annotated[str, OMIT_JSON] = ""
    service_id: str = ""
    service_name: str = ""
    service_tags: tuple[str, ...] | None = None
    status: str = ""
    timeout: str = ""
    type: str = ""
