"""
Sequences of commands, for the model and for the real store alike.

A drawn command compares with no index, the right one or a wrong one; L{settled} puts numbers there.
"""

from __future__ import annotations

from typing import Any

from hypothesis import strategies as st

from tests.state.driving import Driven, key_op
from tests.state.model import IDS, Model
from txconsul.records.catalog import Node
from txconsul.records.command import Command
from txconsul.records.coordinate import Coordinate, CoordinateBatch, Position
from txconsul.records.health import HealthCheck
from txconsul.records.prepared_query import PreparedQuery, PreparedQueryRequest, ServiceQuery
from txconsul.records.service import ConnectProxyConfig, NodeService
from txconsul.records.txn import TxnCheckOp, TxnNodeOp, TxnOp, TxnResponse, TxnResult, TxnServiceOp

__all__ = [
    "ALL_CHECKS",
    "ALL_KEYS",
    "ALL_NAMES",
    "ALL_NODES",
    "ALL_QUERIES",
    "ALL_SESSIONS",
    "COMMANDS",
    "PREFIXES",
    "STATUSES",
    "check_row",
    "key_row",
    "node_row",
    "perform",
    "query_row",
    "service_row",
    "session_row",
    "settled",
]

ALL_NODES = ["n1", "n2", "n3"]
ALL_NAMES = ["web", "db"]
ALL_CHECKS = ["alive", "ok"]
ALL_KEYS = [b"a", b"a/b", b"a/c", b"b/\xff"]
PREFIXES = [b"", b"a", b"a/", b"b", b"c"]
ALL_SESSIONS = [f"{n}0000000-0000-4000-8000-000000000000" for n in range(2)]
ALL_QUERIES = [f"{n}0000000-0000-4000-9000-000000000000" for n in range(2)]
STATUSES = ["passing", "passing", "warning", "critical"]

#: Mostly one node, so that things meet there.
NODES = st.sampled_from(["n1", "n1", "n1", "n2", "n3"])
SESSIONS = st.sampled_from(ALL_SESSIONS)
QUERIES = st.sampled_from(ALL_QUERIES)
#: The index that a comparison is given.
NONE, RIGHT, WRONG = 0, 1, 2
COMPARED = st.sampled_from([NONE, RIGHT, RIGHT, WRONG])
ADDRESSES = st.sampled_from(["10.0.0.1", "10.0.0.2"])
SERVICE_IDS = st.sampled_from(["s", "t"])
SERVICE = st.tuples(
    SERVICE_IDS, st.sampled_from(ALL_NAMES), st.sampled_from([80, 81]), st.sampled_from(["", "", "web", "db"])
)
CHECK = st.tuples(st.sampled_from(ALL_CHECKS), st.sampled_from(STATUSES), st.sampled_from(["", "s", "t"]))
#: Often enough for locks to be held and deleted keys to leave tombstones.
WRITES = ["set", "set", "delete", "lock", "lock", "lock", "unlock", "cas", "delete-cas", "delete-tree"]
VERBS = st.sampled_from(["get", "set", "set", "cas", "cas", "delete", "delete-cas"])


def _key_operation(verbs: list[str]) -> st.SearchStrategy[Any]:
    holders = SESSIONS | SESSIONS | st.just("")
    return st.tuples(st.just("kv"), st.sampled_from(verbs), st.sampled_from(ALL_KEYS), _VALUES, holders, COMPARED)


_VALUES = st.sampled_from([b"", b"1"])
KEY_OPERATION = _key_operation(WRITES)
OPERATION = st.one_of(
    _key_operation([*WRITES, "get"]),
    st.tuples(st.just("node"), VERBS, NODES, ADDRESSES, COMPARED),
    st.tuples(st.just("service"), VERBS, NODES, SERVICE, COMPARED).map(lambda op: (*op[:3], *op[3], op[4])),
    st.tuples(st.just("check"), VERBS, NODES, CHECK, COMPARED).map(lambda op: (*op[:3], *op[3], op[4])),
)
#: A key comes and goes within one transaction.
UNDONE = st.sampled_from(ALL_KEYS).map(
    lambda key: [("kv", "set", key, b"", "", NONE), ("kv", "delete", key, b"", "", NONE)]
)
CHECKS = st.lists(CHECK, max_size=2, unique_by=lambda check: check[0]).map(tuple)
REGISTER = st.tuples(st.just("register"), NODES, ADDRESSES, SERVICE | SERVICE | st.none(), CHECKS)
DEREGISTER = st.tuples(
    st.just("deregister"), NODES, st.sampled_from(["", "s", "t"]), st.sampled_from(["", *ALL_CHECKS])
)
COMMAND = st.one_of(
    REGISTER,
    REGISTER,
    REGISTER,
    DEREGISTER,
    KEY_OPERATION,
    KEY_OPERATION,
    st.tuples(st.just("txn"), st.lists(OPERATION, max_size=4)),
    st.tuples(st.just("txn"), UNDONE),
    st.tuples(
        st.just("create"),
        SESSIONS,
        NODES,
        st.sampled_from(["release", "delete"]),
        st.sampled_from([(), ("alive",), ("alive", "ok")]),
    ),
    st.tuples(st.just("destroy"), SESSIONS),
    st.tuples(st.just("query"), QUERIES, st.sampled_from(["", "q", "r"]), st.sampled_from(["", "", *ALL_SESSIONS])),
    st.tuples(st.just("forget"), QUERIES),
    st.tuples(st.just("reap"), st.integers(0, 30)),
    st.tuples(st.just("place"), NODES, st.sampled_from([0.0, 1.0, 5.0])),
)
#: A site where something can go wrong: services on one node, another instance elsewhere, sessions that hold keys.
SITE: list[tuple[Any, ...]] = [
    ("register", "n1", "10.0.0.1", ("s", "web", 80, ""), (("alive", "passing", ""), ("ok", "passing", "s"))),
    ("register", "n1", "10.0.0.1", ("t", "db", 80, "web"), ()),
    ("register", "n2", "10.0.0.2", ("s", "web", 80, ""), ()),
    ("place", "n1", 0.0),
    ("place", "n2", 5.0),
    ("create", ALL_SESSIONS[0], "n1", "release", ("alive", "ok")),
    ("create", ALL_SESSIONS[1], "n1", "delete", ("alive",)),
    ("query", ALL_QUERIES[0], "q", ALL_SESSIONS[0]),
    ("kv", "lock", b"a", b"", ALL_SESSIONS[0], NONE),
    ("kv", "lock", b"a/b", b"", ALL_SESSIONS[1], NONE),
]
COMMANDS = st.one_of(
    st.lists(COMMAND, min_size=5, max_size=30),
    st.lists(COMMAND, min_size=1, max_size=15).map(lambda commands: [*SITE, *commands]),
    st.lists(COMMAND, min_size=1, max_size=15).map(lambda commands: [*SITE, *commands]),
)


def settled(command: tuple[Any, ...], model: Model) -> tuple[Any, ...]:
    """The command with real indexes to compare with."""
    if command[0] == "kv":
        return _with_index(command, model)
    if command[0] == "txn":
        return ("txn", [_with_index(one, model) for one in command[1]])
    return command


def _with_index(operation: tuple[Any, ...], model: Model) -> tuple[Any, ...]:
    kind, _, *names, which = operation
    row: list[Any] | None
    if kind == "kv":
        row = model.keys.get(names[0])
    elif kind == "node":
        row = model.nodes.get(names[0])
    else:
        row = (model.services if kind == "service" else model.checks).get((names[0], names[1]))
    present = row[-1] if row else 0
    return (*operation[:-1], {NONE: 0, RIGHT: present, WRONG: present + 1}[which])


# ---- the real store ----


def perform(it: Driven, command: tuple[Any, ...]) -> Any:
    """The command that the model was given, to the real store; the result in the model's words."""
    result = _perform(it, *command)
    if isinstance(result, TxnResponse):
        if result.errors:
            return ("refused", [error.op_index for error in result.errors])
        return [_shown(one) for one in result.results or ()]
    return "refused" if isinstance(result, Exception) else result


def _perform(it: Driven, kind: str, *arguments: Any) -> Any:
    if kind == "kv":
        op, key, value, holder, compared = arguments
        return it.kv(op, key, value, session=holder, modify_index=compared)
    if kind == "txn":
        return it.txn(*[_operation(*operation) for operation in arguments[0]])
    if kind == "register":
        node, address, service, checks = arguments
        return it.register(
            node,
            id=IDS.get(node, ""),
            address=address,
            service=None if service is None else _service(*service),
            checks=tuple([_check(node, *check) for check in checks]),
        )
    if kind == "deregister":
        node, service_id, check_id = arguments
        return it.deregister(node, service_id=service_id, check_id=check_id)
    if kind == "create":
        id, node, behavior, checks = arguments
        return it.session(id, node=node, behavior=behavior, node_checks=checks)
    if kind == "place":
        node, where = arguments
        position = Position(height=1e-5, vec=(where, *[0.0] * 7))
        return it.coordinates(CoordinateBatch(updates=(Coordinate(node=node, coord=position),)))
    if kind == "query":
        id, name, session = arguments
        query = PreparedQuery(id=id, name=name, session=session, service=ServiceQuery(service="web"))
        return it.apply(Command.PREPARED_QUERY, PreparedQueryRequest(op="create", query=query))
    if kind == "forget":
        query = PreparedQuery(id=arguments[0])
        return it.apply(Command.PREPARED_QUERY, PreparedQueryRequest(op="delete", query=query))
    return it.destroy(arguments[0]) if kind == "destroy" else it.reap(arguments[0])


def _operation(kind: str, verb: str, name: Any, *rest: Any) -> TxnOp:
    *values, compared = rest
    if kind == "kv":
        return key_op(verb, name, values[0], session=values[1], modify_index=compared)
    if kind == "node":
        node = Node(node=name, id=IDS.get(name, ""), address=values[0], modify_index=compared)
        return TxnOp(node=TxnNodeOp(verb=verb, node=node))
    if kind == "service":
        return TxnOp(service=TxnServiceOp(verb=verb, node=name, service=_service(*values, modify_index=compared)))
    return TxnOp(check=TxnCheckOp(verb=verb, check=_check(name, *values, modify_index=compared)))


def _service(id: str, name: str, port: int, proxied: str, modify_index: int = 0) -> NodeService:
    return NodeService(
        id=id,
        service=name,
        port=port,
        kind="connect-proxy" if proxied else "",
        proxy=ConnectProxyConfig(destination_service_name=proxied),
        modify_index=modify_index,
    )


def _check(node: str, id: str, status: str, service_id: str, modify_index: int = 0) -> HealthCheck:
    return HealthCheck(node=node, check_id=id, status=status, service_id=service_id, modify_index=modify_index)


# ---- its rows in the model's words ----


def node_row(one: Any) -> tuple[Any, ...]:
    return (one.node, one.address, one.create_index, one.modify_index)


def service_row(node: str, one: Any) -> tuple[Any, ...]:
    proxied = one.proxy.destination_service_name
    return (node, one.id, one.service, one.port, proxied, one.create_index, one.modify_index)


def check_row(one: Any) -> tuple[Any, ...]:
    return (
        *(one.node, one.check_id, one.status, one.service_id, one.service_name),
        *(one.create_index, one.modify_index),
    )


def query_row(one: Any) -> tuple[Any, ...]:
    return (one.id, one.name, one.session, one.create_index, one.modify_index)


def session_row(one: Any) -> tuple[Any, ...]:
    return (one.id, one.node, one.behavior, one.node_checks or (), one.create_index)


def key_row(one: Any) -> tuple[Any, ...]:
    return (
        *(one.key, one.value or b"", one.flags, one.session, one.lock_index),
        *(one.create_index, one.modify_index),
    )


def _shown(result: TxnResult) -> tuple[Any, ...]:
    if result.kv is not None:
        return key_row(result.kv)
    if result.node is not None:
        return node_row(result.node)
    if result.check is not None:
        return check_row(result.check)
    service = result.service
    assert service is not None
    return service_row("", service)[1:]
