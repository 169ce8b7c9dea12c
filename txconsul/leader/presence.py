"""
What the catalog must say of those who are, or were, in the gossip pool.

Pure: each function looks at the catalog and gives the write that makes it true, or nothing where it is.

Source: what Consul's leader registers and deregisters of its pool's members, as clients find it in the catalog.
"""

from __future__ import annotations

from ipaddress import ip_address
from typing import TYPE_CHECKING

from txconsul.agent.tags import ServerParts, build_of, server_of
from txconsul.records.catalog import DeregisterRequest, RegisterRequest
from txconsul.records.health import CRITICAL, PASSING, SERF_HEALTH, HealthCheck
from txconsul.records.service import NodeService, Weights

if TYPE_CHECKING:
    from collections.abc import Collection

    from txconsul.serf.members import Member
    from txconsul.state.store import Store

__all__ = ["alive", "failed", "forgotten", "gone", "own", "own_registration"]

#: What the check by which a node is alive is called, and what it says.
SERF_CHECK_NAME = "Serf Health Status"
ALIVE_OUTPUT = "Agent alive and reachable"
FAILED_OUTPUT = "Agent not live or unreachable"

SERVICE = "consul"
#: Versions of memberlist's protocol that a member speaks: the present one, the newest, the oldest. Consul 1.21's own.
PROTOCOLS = (2, 5, 1)


def server_service(
    *,
    port: int,
    version: str,
    grpc_port: int = 0,
    grpc_tls_port: int = 0,
    raft_version: int = 3,
    read_replica: bool = False,
    protocols: tuple[int, int, int] = PROTOCOLS,
) -> NodeService:
    """The service by which a server is found."""
    current, newest, oldest = protocols
    replica = "true" if read_replica else "false"
    meta = {
        "non_voter": replica,
        "raft_version": str(raft_version),
        "read_replica": replica,
        "serf_protocol_current": str(current),
        "serf_protocol_max": str(newest),
        "serf_protocol_min": str(oldest),
        "version": version,
    }
    for name, value in (("grpc_port", grpc_port), ("grpc_tls_port", grpc_tls_port)):
        if value > 0:
            meta[name] = str(value)
    return NodeService(
        id=SERVICE,
        service=SERVICE,
        port=port,
        weights=Weights(passing=1, warning=1),
        meta=dict(sorted(meta.items())),
    )


def _check(node: str, status: str) -> HealthCheck:
    output = ALIVE_OUTPUT if status == PASSING else FAILED_OUTPUT
    return HealthCheck(node=node, check_id=SERF_HEALTH, name=SERF_CHECK_NAME, status=status, output=output)


def own_registration(
    *,
    datacenter: str,
    node: str,
    node_id: str,
    address: str,
    port: int,
    grpc_port: int,
    version: str,
    tagged_addresses: dict[str, str],
    node_meta: dict[str, str],
    grpc_tls_port: int = 0,
) -> RegisterRequest:
    """What the catalog says of a server that is alive, in the words of its own configuration."""
    return RegisterRequest(
        datacenter=datacenter,
        node=node,
        id=node_id,
        address=address,
        tagged_addresses=tagged_addresses,
        node_meta={"consul-network-segment": "", "consul-version": version, **node_meta},
        service=server_service(port=port, version=version, grpc_port=grpc_port, grpc_tls_port=grpc_tls_port),
        check=_check(node, PASSING),
    )


def _registered(store: Store, request: RegisterRequest) -> bool:
    """Does the catalog say so already, as far as gossip can know?"""
    tables, name = store.tables, request.node.lower()
    node = tables.nodes.rows.get(name)
    check = tables.checks.rows.get((name, SERF_HEALTH.lower()))
    if node is None or node.address != request.address or check is None or request.check is None:
        return False
    if check.status != request.check.status:
        return False
    if request.service is None:
        return True
    service = tables.services.rows.get((name, SERVICE))
    return service is not None and service.meta == request.service.meta


def _service_of(member: Member, server: ServerParts) -> NodeService:
    oldest, newest, current = member.vsn[:3]
    return server_service(
        port=server.port,
        version=_version(server.build),
        grpc_port=server.grpc_port,
        grpc_tls_port=server.grpc_tls_port,
        raft_version=server.raft_version,
        read_replica=server.read_replica,
        protocols=(current, newest, oldest),
    )


def _version(build: tuple[int, int, int]) -> str:
    return ".".join(map(str, build))


def alive(store: Store, datacenter: str, member: Member) -> RegisterRequest | None:
    """
    A member is there: its node is registered with a passing check and, if it is a server, its service. What its agent
    has said of the node stays.
    """
    server = server_of(member)
    node = store.tables.nodes.rows.get(member.name.lower())
    if node is not None:
        meta, tagged = node.meta, node.tagged_addresses
    else:
        meta, tagged = {"consul-version": _version_of(member)}, None
    request = RegisterRequest(
        datacenter=datacenter,
        node=member.name,
        id=member.tags.get("id", ""),
        address=str(ip_address(member.addr)),
        tagged_addresses=tagged,
        node_meta=meta,
        service=None if server is None else _service_of(member, server),
        check=_check(member.name, PASSING),
    )
    return None if _registered(store, request) else request


def _version_of(member: Member) -> str:
    try:
        return _version(build_of(member.tags.get("build", "")))
    except ValueError:  # no agent of Consul's
        return ""


def own(store: Store, registration: RegisterRequest) -> RegisterRequest | None:
    """This server is there."""
    return None if _registered(store, registration) else registration


def failed(store: Store, datacenter: str, member: Member) -> RegisterRequest | None:
    """A member cannot be reached: its check is critical. One that the catalog does not know is not registered."""
    if member.name.lower() not in store.tables.nodes.rows:
        return None
    request = RegisterRequest(
        datacenter=datacenter,
        node=member.name,
        id=member.tags.get("id", ""),
        address=str(ip_address(member.addr)),
        skip_node_update=True,
        check=_check(member.name, CRITICAL),
    )
    return None if _registered(store, request) else request


def gone(store: Store, datacenter: str, name: str) -> DeregisterRequest | None:
    """A member left, or was forgotten: its node goes, with all that it has."""
    if name.lower() not in store.tables.nodes.rows:
        return None
    return DeregisterRequest(datacenter=datacenter, node=name)


def forgotten(store: Store, known: Collection[str]) -> list[str]:
    """
    The nodes that gossip once told of, by their check, and does not know any more.

    @param known: names of all members, in lower case.
    """
    tables = store.tables
    check_id = SERF_HEALTH.lower()
    return [
        node.node
        for name, node in tables.nodes.rows.items()
        if name not in known and (name, check_id) in tables.checks.rows
    ]
