"""
Writing the catalog: nodes, services and checks, and what a change of one means for the others.

Beside each table's index Consul keeps one for each node, each service and each kind of service, so that an answer about
one service keeps its index while others change; and for what is gone, the index of the last time that any went.
Registering what is there already changes nothing.

Source: Consul's documentation of the catalog HTTP API and of blocking queries.

Departures: until there are configuration entries, gateways are not tied to services. Who talks to whom is read from
the registrations (L{txconsul.state.topology}) instead of being kept in a table of its own. What makes a service
reachable in the mesh has an index, too, and a check that becomes another instance's moves the index of the one that had
it.
"""

from __future__ import annotations

from collections.abc import Iterable

from msgspec.structs import replace

from txconsul.codec.goquote import quote
from txconsul.errors import InvalidRequest
from txconsul.records.catalog import Node, RegisterRequest
from txconsul.records.health import CRITICAL, SERF_HEALTH, HealthCheck
from txconsul.records.service import NodeService, ServiceAddress, Weights
from txconsul.state.metadata import check_service_metadata
from txconsul.state.sessions import Sessions
from txconsul.state.tables import NAMELESS_CHECK, PEER, Pair, Tables, kinds_and_names, mesh_name
from txconsul.state.virtual_ips import TAG, VirtualIPs

__all__ = [
    "MESH_EXTINCTION",
    "NODE_EXTINCTION",
    "SERVICE_EXTINCTION",
    "Registrations",
    "kind_indexes",
    "mesh_index",
    "node_index",
    "service_index",
]

_NODES = ("nodes", PEER + "nodes")
_SERVICES = ("services", PEER + "services")
_CHECKS = ("checks", PEER + "checks")
#: Index of the last time that the last instance of a service, or a node, went.
SERVICE_EXTINCTION = PEER + "service_last_extinction"
#: Of the last time that nothing made some service reachable in the mesh any more; of this program only.
MESH_EXTINCTION = PEER + "mesh_last_extinction"
NODE_EXTINCTION = PEER + "node_last_extinction"

#: The largest weight of a DNS answer: Consul's documented bound, that of 16 bits.
_WEIGHT_MAX = 65535
#: The weights of a service that has none, or impossible ones.
_EVEN = Weights(passing=1, warning=1)

_MISSING_NODE = "Missing node registration"
_MISSING_SERVICE = "Missing service registration"

#: What no comparison of registrations looks at: indexes, and what Consul's leaves out.
_UNCOMPARED_OF_NODE = {"create_index": 0, "modify_index": 0, "locality": None}
_UNCOMPARED_OF_SERVICE = {"create_index": 0, "modify_index": 0, "locality": None, "socket_path": ""}
_UNCOMPARED_OF_CHECK = {
    "create_index": 0,
    "modify_index": 0,
    "type": "",
    "interval": "",
    "timeout": "",
    "exposed_port": 0,
}


def service_index(name: str) -> str:
    """The entry of the index table that stands for one service."""
    return f"{PEER}service.{name.lower()}"


def node_index(name: str) -> str:
    """The entry of the index table that stands for one node."""
    return f"{PEER}node.{name.lower()}"


def mesh_index(name: str) -> str:
    """
    The entry of the index table that stands for what makes one service reachable in the mesh. Of this program only:
    Consul's answers take the highest index of the instances' names, which goes back when one of the names goes.
    """
    return f"{PEER}mesh.{name.lower()}"


def kind_indexes(kind: str) -> tuple[str, str]:
    """The entries of the index table that stand for the services of one kind."""
    name = "service_kind." + (kind.lower() or "typical")
    return name, PEER + name


class Registrations:
    """The part of a store that writes the catalog."""

    def __init__(self, tables: Tables, sessions: Sessions, virtual_ips: VirtualIPs) -> None:
        self._tables = tables
        self._sessions = sessions
        self._virtual_ips = virtual_ips
        sessions.registrations = self

    def register(self, index: int, request: RegisterRequest) -> None:
        """
        Register a node and, with it, a service and checks.

        @raise InvalidRequest: the node's name or id clashes with another node's, or a check is of another node or of
            a service that is not registered. Roll back: parts may have been written.
        """
        service, checks = request.service, request.checks or ()
        if request.check is not None:
            checks = (request.check, *checks)
        _one_peer(request, service, checks)
        key = request.node.lower()
        present = self._tables.nodes.rows.get(key)
        if present is None or (not request.skip_node_update and _changes(request, present)):
            node = Node(
                id=request.id,
                node=request.node,
                address=request.address,
                datacenter=request.datacenter,
                tagged_addresses=request.tagged_addresses,
                meta=request.node_meta,
                peer_name=request.peer_name,
                locality=request.locality,
            )
            try:
                self.ensure_node(index, node)
            except InvalidRequest as error:
                raise InvalidRequest(f"failed inserting node: {error}") from None
        if service is not None:
            try:
                self.ensure_service(index, request.node, service)
            except InvalidRequest as error:
                raise InvalidRequest(f"failed inserting service: {error}") from None
        for check in checks:
            if check.node.lower() != key:
                raise InvalidRequest(f"check node {quote(check.node)} does not match node {quote(request.node)}")
            try:
                self.ensure_check(index, check)
            except InvalidRequest as error:
                raise InvalidRequest(f"failed inserting check on node {quote(check.node)}: {error}") from None

    # ---- nodes ----

    def ensure_node(self, index: int, node: Node) -> None:
        """
        Insert or update a node. With an id that another name has, the node is renamed: what it had under the old name
        goes.

        @raise InvalidRequest: the name belongs to a living node with another id.
        """
        tables = self._tables
        present = None
        if node.id:
            present = self.node_by_id(node.id)
            if present is None:
                # a node without an id may be given one
                self._check_name(node, f"Error while renaming Node ID: {quote(node.id)}", nameless_may_clash=True)
            elif present.node.lower() != node.node.lower():
                renaming = f"Error while renaming Node ID: {quote(node.id)} ({node.address})"
                self._check_name(node, renaming, nameless_may_clash=False)
                self.delete_node(index, present.node)
        if present is None:
            present = tables.nodes.rows.get(node.node.lower())
        node = replace(node, partition="")
        if present is not None:
            node = replace(node, create_index=present.create_index, modify_index=present.modify_index)
            if _same_node(node, present):
                return
            node = replace(node, modify_index=index)
        else:
            node = replace(node, create_index=index, modify_index=index)
        tables.nodes.put(node.node.lower(), node)
        tables.raise_index(node.modify_index, *_NODES, node_index(node.node))
        self._raise_services_of(node.modify_index, node.node)

    def ensure_node_cas(self, index: int, node: Node) -> bool:
        """L{ensure_node}, if C{node.modify_index} is that of the present node, or 0 and there is none."""
        present = self._tables.nodes.rows.get(node.node.lower())
        if not _comparison_holds(node.modify_index, present):
            return False
        self.ensure_node(index, node)
        return True

    def node_by_id(self, id: str) -> Node | None:
        """The node with this id."""
        tables = self._tables
        keys = tables.nodes_by_id.keys(id.lower())
        return tables.nodes.rows[keys[0]] if keys else None

    def _check_name(self, node: Node, what: str, *, nameless_may_clash: bool) -> None:
        """@raise InvalidRequest: another node, which gossip does not think dead, has this name."""
        tables = self._tables
        key = node.node.lower()
        other = tables.nodes.rows.get(key)
        if other is None or other.id == node.id or (nameless_may_clash and not other.id):
            return
        health = tables.checks.rows.get((key, SERF_HEALTH.lower()))
        if health is not None and health.status != CRITICAL:
            raise InvalidRequest(
                f"{what}: Node name {node.node} is reserved by node {other.id} with name {other.node} ({other.address})"
            )

    def delete_node(self, index: int, name: str) -> None:
        """Delete a node, if it exists, with its services, checks, coordinates and sessions."""
        tables = self._tables
        key = name.lower()
        if key not in tables.nodes.rows:
            return
        for pair in tables.services_by_node.keys(key):
            self.delete_service(index, *pair)
        for pair in tables.checks_by_node.keys(key):
            self.delete_check(index, *pair)
        for pair in tables.coordinates_by_node.keys(key):
            tables.coordinates.remove(pair)
            tables.indexes.put("coordinates", index)
        tables.nodes.remove(key)
        tables.raise_index(index, *_NODES, NODE_EXTINCTION)
        if node_index(name) in tables.indexes.rows:
            tables.indexes.remove(node_index(name))
        for session in self._sessions.of_node(name)[1]:
            self._sessions.destroy(index, session.id)

    def delete_node_cas(self, index: int, compared: int, name: str) -> bool:
        """Delete a node if its index is C{compared}. @return: whether it was."""
        present = self._tables.nodes.rows.get(name.lower())
        if present is None or present.modify_index != compared:
            return False
        self.delete_node(index, name)
        return True

    # ---- services ----

    def ensure_service(self, index: int, node: str, service: NodeService) -> None:
        """
        Insert or update a service on a node.

        @raise InvalidRequest: its metadata break a rule, or there is no such node.
        """
        tables = self._tables
        key = (node.lower(), service.id.lower())
        try:
            check_service_metadata(service.kind, service.meta)
        except InvalidRequest as error:
            raise InvalidRequest(f"Invalid Service Meta for node {node} and serviceID {service.id}: {error}") from None
        service = self._in_mesh(index, service)
        if key[0] not in tables.nodes.rows:
            raise InvalidRequest(_MISSING_NODE)
        present = tables.services.rows.get(key)
        service = replace(service, weights=_usable(service.weights), locally_registered_as_sidecar=False)
        if present is not None and _same_service(service, present):
            return
        created = index if present is None else present.create_index
        service = replace(service, create_index=created, modify_index=index)
        listed = tables.services_by_kind_and_name
        new = [name for name in kinds_and_names(service) if name not in listed]
        tables.services.put(key, service)
        gone = [name for name in kinds_and_names(present) if name not in listed] if present is not None else []
        self._raise_kinds(index, new + gone)
        tables.raise_index(index, *_SERVICES, *_shown_by(service), *_NODES, node_index(node))
        if present is not None:
            if present.service.lower() != service.service.lower():
                self._lost_instance(index, present)
            self._left_mesh(index, present)

    def _raise_kinds(self, index: int, kinds: Iterable[Pair]) -> None:
        """Names that appeared in, or went from, the lists of names by kind."""
        self._tables.raise_index(index, *["kind_service_names." + kind.lower() for kind, _ in kinds])

    def _in_mesh(self, index: int, service: NodeService) -> NodeService:
        """An instance of the mesh shows the virtual address of the service that it makes reachable."""
        name = mesh_name(service)
        if not name or not self._virtual_ips.enabled:
            return service
        try:
            ip = self._virtual_ips.assign(index, name, service.peer_name)
        except InvalidRequest as error:
            raise InvalidRequest(f"failed updating virtual IP: {error}") from None
        address = ServiceAddress(address=ip, port=service.port)
        return replace(service, tagged_addresses={**(service.tagged_addresses or {}), TAG: address})

    def ensure_service_cas(self, index: int, node: str, service: NodeService) -> bool:
        """L{ensure_service}, if C{service.modify_index} is that of the present one, or 0 and there is none."""
        present = self._tables.services.rows.get((node.lower(), service.id.lower()))
        if not _comparison_holds(service.modify_index, present):
            return False
        self.ensure_service(index, node, service)
        return True

    def delete_service(self, index: int, node: str, id: str) -> None:
        """Delete a service, if it exists, with its checks."""
        tables = self._tables
        key = (node.lower(), id.lower())
        service = tables.services.rows.get(key)
        if service is None:
            return
        for pair in tables.checks_by_instance.keys(key):
            self.delete_check(index, *pair)
        tables.services.remove(key)
        tables.raise_index(index, *_CHECKS, *_SERVICES, *kind_indexes(service.kind), *_NODES, node_index(node))
        if not self._lost_instance(index, service):
            self._virtual_ips.release(index, service.service, service.peer_name)
        self._left_mesh(index, service)
        listed = tables.services_by_kind_and_name
        self._raise_kinds(index, [name for name in kinds_and_names(service) if name not in listed])

    def _lost_instance(self, index: int, service: NodeService) -> bool:
        """An instance went, or has another name now. @return: whether its service has others."""
        tables = self._tables
        own = service_index(service.service)
        if service.service.lower() in tables.services_by_name:
            tables.raise_index(index, own)
            return True
        if own in tables.indexes.rows:
            tables.indexes.remove(own)
        tables.raise_index(index, SERVICE_EXTINCTION)
        return False

    def _left_mesh(self, index: int, service: NodeService) -> None:
        """An instance went, or is not what it was: it may have been the last to make a service reachable."""
        tables = self._tables
        name = mesh_name(service)
        if not name:
            return
        if name.lower() in tables.services_by_mesh_name:
            tables.raise_index(index, mesh_index(name))
            return
        if mesh_index(name) in tables.indexes.rows:
            tables.indexes.remove(mesh_index(name))
        tables.raise_index(index, MESH_EXTINCTION)

    def delete_service_cas(self, index: int, compared: int, node: str, id: str) -> bool:
        """Delete a service if its index is C{compared}. @return: whether it was."""
        present = self._tables.services.rows.get((node.lower(), id.lower()))
        if present is None or present.modify_index != compared:
            return False
        self.delete_service(index, node, id)
        return True

    def _raise_services_of(self, index: int, node: str) -> None:
        """The answers about every service of a node change, since they show the node and its checks."""
        tables = self._tables
        for key in tables.services_by_node.keys(node.lower()):
            tables.raise_index(index, *_shown_by(tables.services.rows[key]))

    # ---- checks ----

    def ensure_check(self, index: int, check: HealthCheck, *, preserve: bool = False) -> None:
        """
        Insert or update a check. If it is critical, the sessions that depend on it end.

        @param preserve: keep the modify index that stands (a check that follows its session).
        @raise InvalidRequest: it has no id, or there is no such node, or no such service on it. Nothing was written.
        """
        tables = self._tables
        key = (check.node.lower(), check.check_id.lower())
        if not all(key):
            raise InvalidRequest(f"failed health check lookup: {NAMELESS_CHECK}")
        present = tables.checks.rows.get(key)
        changed: dict[str, object] = {}
        if present is not None:
            changed = {"create_index": present.create_index, "modify_index": present.modify_index}
        elif not preserve:
            changed = {"create_index": index}
        if not check.status:
            changed["status"] = CRITICAL
        if key[0] not in tables.nodes.rows:
            raise InvalidRequest(_MISSING_NODE)
        service = None
        if check.service_id:
            service = tables.services.rows.get((key[0], check.service_id.lower()))
            if service is None:
                raise InvalidRequest(_MISSING_SERVICE)
            changed["service_name"] = service.service
            changed["service_tags"] = service.tags
        check = replace(check, **changed)
        modified = present is None or not _same_check(check, present)
        if modified:
            if service is None:
                self._raise_services_of(index, check.node)
            else:
                tables.raise_index(index, *_shown_by(service))
            if present is not None and present.service_id.lower() != check.service_id.lower():
                self._lost_check(index, present)
        if check.status == CRITICAL:
            for session in self._sessions.of_check(*key):
                self._sessions.destroy(index, session.id)
        if not modified:
            return
        if not preserve:
            check = replace(check, modify_index=index)
        tables.checks.put(key, check)
        tables.raise_index(index, *_CHECKS)

    def _lost_check(self, index: int, check: HealthCheck) -> None:
        """A check became that of another instance: the answers that showed it here change, too. Consul's do not."""
        tables = self._tables
        if not check.service_id:
            self._raise_services_of(index, check.node)
            return
        service = tables.services.rows.get((check.node.lower(), check.service_id.lower()))
        if service is not None:
            tables.raise_index(index, *_shown_by(service))

    def ensure_check_cas(self, index: int, check: HealthCheck) -> bool:
        """L{ensure_check}, if C{check.modify_index} is that of the present one, or 0 and there is none."""
        present = self._tables.checks.rows.get((check.node.lower(), check.check_id.lower()))
        if not _comparison_holds(check.modify_index, present):
            return False
        self.ensure_check(index, check)
        return True

    def delete_check(self, index: int, node: str, check_id: str) -> None:
        """Delete a check, if it exists, and end the sessions that depend on it."""
        tables = self._tables
        key = (node.lower(), check_id.lower())
        check = tables.checks.rows.get(key)
        if check is None:
            return
        if check.service_id:
            tables.raise_index(index, service_index(check.service_name))
            service = tables.services.rows.get((key[0], check.service_id.lower()))
            if service is not None:
                tables.raise_index(index, *_shown_by(service))
        else:
            self._raise_services_of(index, check.node)
            tables.raise_index(index, *_SERVICES)
        tables.checks.remove(key)
        tables.raise_index(index, *_CHECKS)
        for session in self._sessions.of_check(*key):
            self._sessions.destroy(index, session.id)

    def delete_check_cas(self, index: int, compared: int, node: str, check_id: str) -> bool:
        """Delete a check if its index is C{compared}. @return: whether it was."""
        present = self._tables.checks.rows.get((node.lower(), check_id.lower()))
        if present is None or present.modify_index != compared:
            return False
        self.delete_check(index, node, check_id)
        return True


def _shown_by(service: NodeService) -> tuple[str, ...]:
    """The entries of the index table that stand for answers which show an instance, its node and its checks."""
    own = (service_index(service.service), *kind_indexes(service.kind))
    reachable = mesh_name(service)
    return (*own, mesh_index(reachable)) if reachable else own


# ---- what counts as the same ----


def _comparison_holds(compared: int, present: Node | NodeService | HealthCheck | None) -> bool:
    if present is None:
        return compared == 0
    return compared != 0 and compared == present.modify_index


def _changes(request: RegisterRequest, node: Node) -> bool:
    return (
        request.id != node.id
        or request.address != node.address
        or request.datacenter != node.datacenter
        or request.peer_name != node.peer_name
        or request.tagged_addresses != node.tagged_addresses
        or request.node_meta != node.meta
        or request.locality != node.locality
    )


def _same_node(one: Node, other: Node) -> bool:
    if one.node.lower() != other.node.lower():
        return False
    return replace(one, node="", **_UNCOMPARED_OF_NODE) == replace(other, node="", **_UNCOMPARED_OF_NODE)


def _same_service(one: NodeService, other: NodeService) -> bool:
    return replace(one, **_UNCOMPARED_OF_SERVICE) == replace(other, **_UNCOMPARED_OF_SERVICE)


def _same_check(one: HealthCheck, other: HealthCheck) -> bool:
    if one.node.lower() != other.node.lower():
        return False
    return replace(one, node="", **_UNCOMPARED_OF_CHECK) == replace(other, node="", **_UNCOMPARED_OF_CHECK)


def _usable(weights: Weights | None) -> Weights:
    if weights is None or not 1 <= weights.passing <= _WEIGHT_MAX or not 0 <= weights.warning <= _WEIGHT_MAX:
        return _EVEN
    return weights


def _one_peer(request: RegisterRequest, service: NodeService | None, checks: tuple[HealthCheck, ...]) -> None:
    """@raise InvalidRequest: parts of a registration come from different peers."""
    own = request.peer_name
    names = {own, *([service.peer_name or own] if service else []), *[check.peer_name or own for check in checks]}
    if len(names) > 1:
        raise InvalidRequest("Cannot register services and checks for multiple peer names in one registration request")
