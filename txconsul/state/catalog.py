"""
Reading the catalog: what is registered, in the order of names, each answer with its index.

Source: Consul's documentation of the catalog and health HTTP APIs and of blocking queries.
"""

from __future__ import annotations

import re
from collections.abc import Iterable

from txconsul.records.catalog import CheckServiceNode, Node, ServiceNode
from txconsul.records.health import ANY, HealthCheck
from txconsul.records.service import NodeService, Weights
from txconsul.state.registrations import (
    MESH_EXTINCTION,
    NODE_EXTINCTION,
    SERVICE_EXTINCTION,
    mesh_index,
    node_index,
    service_index,
)
from txconsul.state.tables import PEER, Pair, Tables

__all__ = ["Catalog"]

#: A node may be named by the first characters of its id, from two on.
_ID_CHARACTERS_MIN = 2
_ID_CHARACTERS_MAX = 36
_ID_DASHES_MAX = 4
_WHOLE_BYTES = re.compile(r"([0-9a-f]{2})+")


class Catalog:
    """The part of a store that reads the catalog. Indexes are never 0."""

    def __init__(self, tables: Tables) -> None:
        self._tables = tables

    def everything_index(self) -> int:
        """The index of an answer about all that there is."""
        return self._index("checks", "services", "nodes")

    # ---- nodes ----

    def nodes_index(self) -> int:
        """The index of an answer about all nodes."""
        return self._index("nodes")

    def nodes(self) -> tuple[int, list[Node]]:
        """@return: C{(index, nodes)}: all."""
        rows = self._tables.nodes.rows
        return self.nodes_index(), [rows[key] for key in sorted(rows)]

    def node(self, name: str) -> tuple[int, Node | None]:
        """@return: C{(index, node)}."""
        return self._index("nodes"), self._tables.nodes.rows.get(name.lower())

    def node_by_id(self, id: str) -> Node | None:
        """The node with this id."""
        tables = self._tables
        keys = tables.nodes_by_id.keys(id.lower())
        return tables.nodes.rows[keys[0]] if keys else None

    def node_with_address(self, address: str) -> str:
        """The name of the node with this address, of several the first; empty where there is none."""
        tables = self._tables
        keys = tables.nodes_by_address.keys(address)
        return tables.nodes.rows[keys[0]].node if keys else ""

    def node_services(self, name_or_id: str) -> tuple[int, tuple[Node, dict[str, NodeService]] | None]:
        """
        A node and what runs on it.

        @param name_or_id: a name, or the first characters of an id that no other node's id begins with.
        @return: C{(index, (node, services by id))}, or C{(index, None)} where there is no such node.
        """
        tables = self._tables
        node = tables.nodes.rows.get(name_or_id.lower())
        if node is None:
            if len(name_or_id) < _ID_CHARACTERS_MIN:
                return 1, None
            digits = _digits_of_id(name_or_id)
            nodes = tables.nodes.rows.values() if digits else ()
            named = [node for node in nodes if node.id.lower().replace("-", "").startswith(digits)]
            if len(named) != 1:
                return (1 if named else tables.index(NODE_EXTINCTION) or 1), None
            node = named[0]
        keys = tables.services_by_node.keys(node.node.lower())
        services = [tables.services.rows[key] for key in keys]
        return tables.index(node_index(node.node)) or 1, (node, {service.id: service for service in services})

    # ---- services ----

    def services_index(self) -> int:
        """The index of an answer about all services."""
        return self._index("services")

    def services(self) -> tuple[int, dict[str, list[str]]]:
        """@return: C{(index, {name: tags})}: all services with every tag of their instances."""
        return self.services_index(), self._tables.service_tags.all()

    def service(self, node: str, id: str) -> NodeService | None:
        """One service of a node."""
        return self._tables.services.rows.get((node.lower(), id.lower()))

    def instances_index(self, name: str) -> int:
        """The index of an answer about the instances of a service."""
        return self._service_index(name, "services", "nodes")

    def service_nodes(self, name: str, tags: Iterable[str] | None = None) -> tuple[int, list[ServiceNode]]:
        """
        The instances of a service, each with its node.

        @param tags: an instance must have them all, whatever their case.
        @return: C{(index, instances)}, in the order of their nodes' names.
        """
        tables = self._tables
        keys = tables.services_by_name.keys(name.lower())
        rows = tables.services.rows
        return self.instances_index(name), [self._with_node(key, rows[key]) for key in _tagged(keys, tables, tags)]

    def with_address(self, address: str) -> list[ServiceNode]:
        """The instances that have an address, as it is written, among their own."""
        return [
            self._with_node(key, one)
            for key, one in sorted(self._tables.services.rows.items())
            if one.address == address or any(it.address == address for it in (one.tagged_addresses or {}).values())
        ]

    def health_index(self, name: str) -> int:
        """The index of an answer about the instances of a service with their checks."""
        return self._service_index(name, "checks", "services", "nodes")

    def check_service_nodes(self, name: str, tags: Iterable[str] | None = None) -> tuple[int, list[CheckServiceNode]]:
        """
        The instances of a service, each with its node and the checks of both.

        @param tags: an instance must have them all, whatever their case.
        @return: C{(index, instances)}, in the order of their nodes' names.
        """
        tables = self._tables
        keys = tables.services_by_name.keys(name.lower())
        return self.health_index(name), [self.instance(key) for key in _tagged(keys, tables, tags)]

    def instance(self, key: Pair) -> CheckServiceNode:
        """One instance, which is there, with its node and the checks of both."""
        tables = self._tables
        return CheckServiceNode(
            node=tables.nodes.rows[key[0]],
            service=tables.services.rows[key],
            checks=(*self._checks_of((key[0], "")), *self._checks_of(key)),
        )

    # ---- the mesh ----

    def mesh_index(self, name: str) -> int:
        """The index of an answer about what makes a service reachable in the mesh."""
        tables = self._tables
        indexes = tables.indexes.rows
        keys = tables.services_by_mesh_name.keys(name.lower())
        if not keys:
            return indexes.get(MESH_EXTINCTION, 1)
        own = indexes.get(mesh_index(name))
        if own is not None:
            return own
        # of a snapshot by Consul, nothing was changed since
        services = tables.services.rows
        return tables.index(*[service_index(services[key].service) for key in keys]) or 1

    def mesh_nodes(self, name: str) -> tuple[int, list[ServiceNode]]:
        """
        What makes a service reachable in the mesh: its proxies, and its own instances that speak the mesh's protocol.

        @return: C{(index, instances)}, each with its node.
        """
        tables = self._tables
        keys = tables.services_by_mesh_name.keys(name.lower())
        return self.mesh_index(name), [self._with_node(key, tables.services.rows[key]) for key in keys]

    def mesh_instances(self, name: str) -> tuple[int, list[CheckServiceNode]]:
        """L{mesh_nodes} with the checks of each."""
        keys = self._tables.services_by_mesh_name.keys(name.lower())
        return self.mesh_index(name), [self.instance(key) for key in keys]

    # ---- checks ----

    def check(self, node: str, check_id: str) -> HealthCheck | None:
        """One check of a node."""
        return self._tables.checks.rows.get((node.lower(), check_id.lower()))

    def node_checks(self, node: str) -> tuple[int, list[HealthCheck]]:
        """@return: C{(index, checks)}: those of a node and of its services."""
        tables = self._tables
        keys = tables.checks_by_node.keys(node.lower())
        return self._index("checks"), [tables.checks.rows[key] for key in keys]

    def service_checks(self, name: str) -> tuple[int, list[HealthCheck]]:
        """@return: C{(index, checks)}: those of a service's instances, not of their nodes."""
        tables = self._tables
        keys = tables.checks_by_service.keys(name.lower())
        return self._index("checks"), [tables.checks.rows[key] for key in keys]

    def checks_in_state(self, status: str) -> tuple[int, list[HealthCheck]]:
        """@return: C{(index, checks)}: those that say C{status}; all for C{any}."""
        tables = self._tables
        keys = sorted(tables.checks.rows) if status == ANY else tables.checks_by_status.keys(status.lower())
        return self._index("checks"), [tables.checks.rows[key] for key in keys]

    # ---- within ----

    def _index(self, *names: str) -> int:
        return self._tables.index(*[PEER + name for name in names]) or 1

    def _service_index(self, name: str, *otherwise: str) -> int:
        """
        An existing service has an index of its own. One that is not there has that of the last service that went, so
        that whoever waits for it sleeps while others change.
        """
        rows = self._tables.indexes.rows
        if SERVICE_EXTINCTION in rows and name.lower() not in self._tables.services_by_name:
            return rows[SERVICE_EXTINCTION]
        return rows.get(service_index(name)) or self._index(*otherwise)

    def _checks_of(self, instance: Pair) -> list[HealthCheck]:
        tables = self._tables
        return [tables.checks.rows[key] for key in tables.checks_by_instance.keys(instance)]

    def _with_node(self, key: Pair, service: NodeService) -> ServiceNode:
        node = self._tables.nodes.rows[key[0]]
        return ServiceNode(
            id=node.id,
            node=node.node,
            address=node.address,
            datacenter=node.datacenter,
            tagged_addresses=node.tagged_addresses,
            node_meta=node.meta,
            service_kind=service.kind,
            service_id=service.id,
            service_name=service.service,
            service_tags=service.tags,
            service_address=service.address,
            service_tagged_addresses=service.tagged_addresses,
            service_weights=service.weights or Weights(),
            service_meta=service.meta,
            service_port=service.port,
            service_socket_path=service.socket_path,
            service_enable_tag_override=service.enable_tag_override,
            service_proxy=service.proxy,
            service_connect=service.connect,
            service_locality=service.locality,
            peer_name=service.peer_name,
            create_index=service.create_index,
            modify_index=service.modify_index,
        )


def _tagged(keys: list[Pair], tables: Tables, tags: Iterable[str] | None) -> list[Pair]:
    wanted = {tag.lower() for tag in tags or ()}
    if not wanted:
        return keys
    rows = tables.services.rows
    return [key for key in keys if wanted <= {tag.lower() for tag in rows[key].tags or ()}]


def _digits_of_id(text: str) -> str:
    """
    The hexadecimal digits that an id begins with, or an empty string if the text is no such beginning. Dashes may be
    anywhere; a last character that does not make a pair, dashes counted, is left out; then digits must be whole bytes.
    """
    even = text[: len(text) // 2 * 2]
    if len(even) > _ID_CHARACTERS_MAX or even.count("-") > _ID_DASHES_MAX:
        return ""
    digits = even.replace("-", "").lower()
    return digits if _WHOLE_BYTES.fullmatch(digits) else ""
