"""
Replies: what the door answers, method by method, as it stands in a body.

Source: the wire documents, RPC section 6.
"""

from __future__ import annotations

from typing import Any

from msgspec.structs import replace

from txconsul.codec.gomsgpack import BadMessage, from_wire, to_wire
from txconsul.endpoints.registry import Answer
from txconsul.endpoints.reverse import names_by_address
from txconsul.endpoints.ui import node_rows, service_rows, topologies
from txconsul.records.catalog import CheckServiceNode, Node
from txconsul.records.kv import DirEntry
from txconsul.records.operator import AutopilotServer, AutopilotState, ServiceUsage
from txconsul.records.service import NodeService
from txconsul.records.txn import TxnReadResponse, TxnResponse
from txconsul.records.ui import NodeInfo, ServiceNeighbours
from txconsul.records.virtual_ip import ServiceName
from txconsul.rpc.bodies import Indexed, Nothing, Plain, Whole, rows_of

__all__ = [
    "ANSWERED_TEXT",
    "AUTOPILOT_STATE",
    "CHANGED",
    "ENTRY",
    "KEYS",
    "NAMES_OF_ADDRESSES",
    "NODE_DUMP",
    "NODE_INFO",
    "NODE_SERVICES",
    "NODE_SERVICE_LIST",
    "NOTHING",
    "NO_FIELDS",
    "SERVICES",
    "SERVICE_DUMP",
    "SERVICE_NAMES",
    "SERVICE_TOPOLOGY",
    "SESSION_WRITTEN",
    "SETTINGS_WRITTEN",
    "TEXT",
    "TEXTS",
    "UI_SERVICES",
    "UI_TOPOLOGY",
    "UNREAD_DUMP",
    "UNREAD_INTENTIONS",
    "UNREAD_SERVICES",
    "TxnRead",
    "Usage",
    "records",
    "rows",
]

# ---- plain values ----


def _text(value: Any) -> str:
    """@raise BadMessage: it is no text."""
    if type(value) is not bytes:
        raise BadMessage(f"expected a string, found {type(value).__name__}")
    return value.decode("utf-8", "surrogateescape")


def _list(value: Any) -> list[Any]:
    """@raise BadMessage: it is no list, and not nil."""
    if value is not None and type(value) is not list:
        raise BadMessage(f"expected a list, found {type(value).__name__}")
    return value or []


def _map(value: Any) -> dict[bytes, Any]:
    """@raise BadMessage: it is no map, and not nil."""
    if value is not None and type(value) is not dict:
        raise BadMessage(f"expected a map, found {type(value).__name__}")
    return value or {}


def _texts(value: Any) -> list[str]:
    return [_text(one) for one in _list(value)]


def _as_it_is(value: Any, request: Any = None) -> Any:
    return value


def records(record: type[Any]) -> Plain:
    outward, inward = rows_of(record)
    return Plain(lambda value, request: outward(value), lambda value, request: inward(value))


NOTHING = Nothing()
#: The same where the HTTP API shows it.
NO_FIELDS = Nothing({})
TEXT = Plain(_as_it_is, lambda value, request: _text(value))
TEXTS = Plain(_as_it_is, lambda value, request: _texts(value))
ANSWERED_TEXT = Plain(_as_it_is, lambda value, request: _text(value), answers=True)

#: Changes of keys whose outcome is told. Of the others, false is said although they were carried out.
_CONDITIONAL = frozenset({"cas", "delete-cas", "lock", "unlock"})
CHANGED = Plain(
    lambda value, request: value is True and request.op in _CONDITIONAL,
    lambda value, request: value is True if request.op in _CONDITIONAL else None,
)
#: Settings that are written whatever they were: likewise.
SETTINGS_WRITTEN = Plain(
    lambda value, request: request.cas and value is True, lambda value, request: value is True or not request.cas
)
#: The id is told of a session that was made.
SESSION_WRITTEN = Plain(
    lambda value, request: value if request.op == "create" else "",
    lambda value, request: _text(value) if request.op == "create" else request.session.id,
)


# ---- values and what is known of them ----


def rows(field: str, record: type[Any], none_is_nil: bool = False, **beside: Any) -> Indexed:
    return Indexed(field, *rows_of(record, none_is_nil), beside)


_write_entry, _read_entries = rows_of(DirEntry)


def _one_entry(value: Any) -> DirEntry | None:
    found = _read_entries(value)
    return found[0] if found else None


ENTRY = Indexed("Entries", lambda entry: None if entry is None else _write_entry((entry,)), _one_entry)
KEYS = Indexed("Keys", _as_it_is, _list)
SERVICES = Indexed(
    "Services",
    _as_it_is,
    lambda value: {_text(name): _texts(tags) for name, tags in _map(value).items()},
)

_write_node, _read_node = to_wire(Node), from_wire(Node)
_write_service, _read_service = to_wire(NodeService), from_wire(NodeService)


def _node_out(value: Any) -> Any:
    if value is None:
        return None
    node, services = value
    return {
        "Node": _write_node(node),
        "Services": {id: _write_service(one) for id, one in sorted(services.items())},
    }


def _node_in(value: Any) -> tuple[Node, dict[str, NodeService]] | None:
    node = _map(value).get(b"Node")
    if node is None:
        return None
    return _read_node(node), {_text(id): _read_service(one) for id, one in _map(value.get(b"Services")).items()}


NODE_SERVICES = Indexed("NodeServices", _node_out, _node_in)


def _node_list_out(value: Any) -> Any:
    node, services = (None, {}) if value is None else value
    return {
        "Node": None if node is None else _write_node(node),
        "Services": None if node is None else [_write_service(one) for one in services.values()],
    }


def _node_list_in(value: Any) -> tuple[Node, dict[str, NodeService]] | None:
    node = _map(value).get(b"Node")
    if node is None:
        return None
    services = [_read_service(one) for one in _list(value.get(b"Services"))]
    return _read_node(node), {one.id: one for one in services}


NODE_SERVICE_LIST = Indexed("NodeServices", _node_list_out, _node_list_in)

_write_names = to_wire(ServiceName)
SERVICE_NAMES = Indexed(
    "Services",
    lambda services: [_write_names(ServiceName(name=name)) for name in sorted(services)],
    lambda value: {_text(_map(one).get(b"Name")): [] for one in _list(value)},
)

_write_info, _read_infos = to_wire(NodeInfo), rows_of(NodeInfo)[1]


def _info_in(value: Any) -> NodeInfo | None:
    found: list[NodeInfo] = _read_infos(value)
    return found[0] if found else None


NODE_DUMP = Indexed(
    "Dump",
    lambda rows: [_write_info(row.record) for row in rows if row.record is not None],
    lambda value: node_rows(_read_infos(value)),
    {"ImportedDump": None},
)
NODE_INFO = Indexed(
    "Dump", lambda info: None if info is None else [_write_info(info)], _info_in, {"ImportedDump": None}
)


def _addresses_in(value: Any) -> tuple[dict[str, str], dict[str, str]]:
    """Names of nodes and of services by their addresses, out of all nodes with all that is on them."""
    infos: list[NodeInfo] = _read_infos(value)
    return names_by_address(
        ((one.address, one.node) for one in infos),
        ((service.address, service.service) for one in infos for service in one.services or ()),
    )


NAMES_OF_ADDRESSES = Indexed("Dump", list, _addresses_in)

_write_instances, _read_instances = rows_of(CheckServiceNode)
_BESIDE_NODES = {"Gateways": None, "ImportedNodes": None}
SERVICE_DUMP = Indexed("Nodes", _write_instances, _read_instances, _BESIDE_NODES)
UI_SERVICES = Indexed("Nodes", list, lambda value: service_rows(_read_instances(value)), _BESIDE_NODES)

_write_neighbours, _read_neighbours = to_wire(ServiceNeighbours), from_wire(ServiceNeighbours)
_BESIDE_TOPOLOGY = {"FilteredByACLs": False}


def _neighbours_in(value: Any) -> ServiceNeighbours:
    return ServiceNeighbours() if value is None else _read_neighbours(value)


SERVICE_TOPOLOGY = Indexed("ServiceTopology", _write_neighbours, _neighbours_in, _BESIDE_TOPOLOGY)
UI_TOPOLOGY = Indexed("ServiceTopology", list, lambda value: topologies(_neighbours_in(value)), _BESIDE_TOPOLOGY)

# Of these there are none before configuration entries come, and nothing is read of what others have.
UNREAD_SERVICES = Indexed("Services", list, _list)
UNREAD_DUMP = Indexed("Dump", lambda found: found or None, _list)
UNREAD_INTENTIONS = Indexed("Intentions", list, _list, {"DataOrigin": ""})


def _server_out(one: AutopilotServer) -> dict[str, Any]:
    return {
        "Health": {"Healthy": one.healthy, "StableSince": one.stable_since},
        "Server": {
            "Address": one.address,
            "Ext": None,
            "ID": one.id,
            "IsLeader": one.status == "leader",
            "Meta": one.meta,
            "Name": one.name,
            "NodeStatus": one.node_status,
            "NodeType": one.node_type,
            "RaftVersion": 3,
            "Version": one.version,
        },
        "State": one.status,
        "Stats": {"LastContact": one.last_contact, "LastIndex": one.last_index, "LastTerm": one.last_term},
    }


_read_server = from_wire(AutopilotServer)


def _server_in(value: Any) -> AutopilotServer:
    """A server whose facts stand in several maps."""
    fields = _map(value)
    parts = {**_map(fields.get(b"Health")), **_map(fields.get(b"Stats")), **_map(fields.get(b"Server"))}
    server: AutopilotServer = _read_server({**parts, b"Status": fields.get(b"State")})
    return server


def _autopilot_out(state: AutopilotState, request: Any) -> dict[str, Any]:
    return {
        "Ext": None,
        "FailureTolerance": state.failure_tolerance,
        "Healthy": state.healthy,
        "Leader": state.leader,
        "Servers": {id: _server_out(one) for id, one in state.servers.items()},
        "Voters": state.voters,
    }


_read_autopilot = from_wire(AutopilotState)


def _autopilot_in(value: Any, request: Any) -> AutopilotState:
    fields = _map(value)
    state: AutopilotState = _read_autopilot({**fields, b"Servers": None})
    servers = {_text(id): _server_in(one) for id, one in _map(fields.get(b"Servers")).items()}
    # Enterprise's servers alone know of more than that
    return replace(state, servers=servers, optimistic_failure_tolerance=state.failure_tolerance)


AUTOPILOT_STATE = Plain(_autopilot_out, _autopilot_in)


class Usage:
    """How much is registered, by datacenter: here always one."""

    _read = staticmethod(from_wire(ServiceUsage))

    def __init__(self) -> None:
        self._indexed = Indexed(
            "Usage",
            lambda value: {value[0]: to_wire(ServiceUsage)(value[1])},
            lambda value: [self._read(one) for one in _map(value).values()] or [ServiceUsage()],
        )

    def encode(self, answer: Answer, request: Any) -> bytes:
        """The datacenter is that which was asked."""
        return self._indexed.encode(replace(answer, value=(request.datacenter, answer.value)), request)

    def decode(self, body: bytes, request: Any) -> Answer:
        """What is registered in the first datacenter."""
        answer = self._indexed.decode(body, request)
        return replace(answer, value=answer.value[0])


class TxnRead:
    """Transactions that read: what they found, whether they were carried out, and what is known of that."""

    _whole = Whole(TxnReadResponse)

    def encode(self, answer: Any, request: Any) -> bytes:
        """Of operations that could not be taken, nothing is known."""
        response, carried_out = answer.value
        value = TxnReadResponse(errors=response.errors, results=response.results)
        return self._whole.encode(replace(answer, value=value) if carried_out else value, request)

    def decode(self, body: bytes, request: Any) -> Any:
        """An answer always has an index, unless nothing was read."""
        answer = self._whole.decode(body, request)
        response = TxnResponse(errors=answer.value.errors, results=answer.value.results)
        return replace(answer, index=answer.index or 1, value=(response, answer.index > 0))
