"""
The leader keeps the catalog true to who is there.

Until gossip tells of others, that is the leader's own node: its addresses, its C{consul} service and a passing
C{serfHealth} check.

Source: what Consul's leader registers of a server that is alive, as clients find it in the catalog.
"""

from __future__ import annotations

from twisted.application.service import Service
from twisted.internet.defer import maybeDeferred
from twisted.internet.interfaces import IReactorTime
from twisted.logger import Logger
from twisted.python.failure import Failure

from txconsul.interfaces import ICaller
from txconsul.records.catalog import RegisterRequest
from txconsul.records.health import PASSING, SERF_HEALTH, HealthCheck
from txconsul.records.query import Context
from txconsul.records.service import NodeService, Weights

__all__ = ["Reconcile", "own_registration"]

#: What the check by which a node is alive is called, and what it says.
SERF_CHECK_NAME = "Serf Health Status"
ALIVE_OUTPUT = "Agent alive and reachable"

SERVICE = "consul"
#: Seconds before a registration that failed is tried again.
RETRY_SECONDS = 5.0

#: What servers say of the protocols they speak: Consul 1.21's own.
_PROTOCOLS = {
    "non_voter": "false",
    "raft_version": "3",
    "read_replica": "false",
    "serf_protocol_current": "2",
    "serf_protocol_max": "5",
    "serf_protocol_min": "1",
}


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
) -> RegisterRequest:
    """What the catalog says of a server that is alive."""
    meta = dict(_PROTOCOLS, version=version)
    if grpc_port > 0:
        meta["grpc_port"] = str(grpc_port)
    return RegisterRequest(
        datacenter=datacenter,
        node=node,
        id=node_id,
        address=address,
        tagged_addresses=tagged_addresses,
        node_meta={"consul-network-segment": "", "consul-version": version, **node_meta},
        service=NodeService(
            id=SERVICE,
            service=SERVICE,
            port=port,
            weights=Weights(passing=1, warning=1),
            meta=dict(sorted(meta.items())),
        ),
        check=HealthCheck(node=node, check_id=SERF_HEALTH, name=SERF_CHECK_NAME, status=PASSING, output=ALIVE_OUTPUT),
    )


class Reconcile(Service):
    """While leading: have the own node in the catalog."""

    name = "reconcile"
    _log = Logger("txconsul.leader")

    def __init__(self, door: ICaller, registration: RegisterRequest, clock: IReactorTime) -> None:
        self._door = door
        self._registration = registration
        self._clock = clock

    def change(self, registration: RegisterRequest) -> None:
        """Register this from now on."""
        self._registration = registration

    def startService(self) -> None:
        """Leadership was gained."""
        super().startService()
        self._register()

    def _register(self) -> None:
        if not self.running:
            return
        done = maybeDeferred(self._door.call, "Catalog.Register", self._registration, Context())
        done.addErrback(self._again)

    def _again(self, reason: Failure) -> None:
        if self.running:
            self._log.warn("Could not register the own node: {error}", error=reason.value)
            self._clock.callLater(RETRY_SECONDS, self._register)
