"""
The state as one would write it on a sheet of paper: plain dicts, whole copies, no journal, no views, no watches.

It knows nodes, services and their proxies, checks, sessions, keys and their tombstones, prepared queries, coordinates,
and transactions; it is slow and obvious, and what the real store, and the door before it, are compared with. Names are
in lower case throughout.

A question is C{(kind, argument)}; L{Model.ask} gives its index, its answer, and what it watches: a parked question is
answered when a command changes what it watches and the index has passed.
"""

from __future__ import annotations

from collections.abc import Iterable
from copy import deepcopy
from typing import Any

__all__ = ["IDS", "Model", "Refused"]

#: Nodes that have an id: always the same one.
IDS = {"n3": "40e4a748-2192-161a-0510-9bf59fe950b5"}

#: Nodes that are asked for by their names.
ALL_NAMED = ("n1", "n2", "n3")

Pair = tuple[str, str]


class Refused(Exception):
    """The command, or the operation of a transaction, failed."""


class Model:
    """
    @ivar keys: key -> [value, flags, session, lock index, create index, modify index].
    @ivar tombs: deleted key or tree -> index.
    @ivar nodes: name -> [address, create index, modify index].
    @ivar services: (node, id) -> [name, port, what it is the proxy of, create index, modify index].
    @ivar checks: (node, id) -> [status, service id, service name, create index, modify index].
    @ivar sessions: id -> (node, behaviour, checks, create index).
    @ivar queries: id -> [name, session, create index, modify index].
    @ivar places: node -> (where, index).
    @ivar at: index of the last change of a table, of one service or of one node.
    """

    def __init__(self) -> None:
        self.keys: dict[bytes, list[Any]] = {}
        self.tombs: dict[bytes, int] = {}
        self.nodes: dict[str, list[Any]] = {}
        self.services: dict[Pair, list[Any]] = {}
        self.checks: dict[Pair, list[Any]] = {}
        self.sessions: dict[str, tuple[str, str, tuple[str, ...], int]] = {}
        self.queries: dict[str, list[Any]] = {}
        self.places: dict[str, tuple[float, int]] = {}
        self.at: dict[Any, int] = {}

    def apply(self, index: int, command: tuple[Any, ...]) -> Any:
        """Carry a command out at an index, or leave everything as it is. @return: the result, or C{"refused"}."""
        before = deepcopy(self.__dict__)
        try:
            return getattr(self, "do_" + command[0].replace("-", "_"))(index, *command[1:])
        except Refused as refused:
            self.__dict__.update(before)
            return "refused" if not refused.args else ("refused", *refused.args)

    # ---- what can be asked ----

    def ask(self, kind: str, name: Any = None) -> tuple[int, Any, Any]:
        """@return: C{(index, answer, what is watched)}."""
        return getattr(self, "ask_" + kind)(name)  # type: ignore[no-any-return]

    def index(self, *names: Any) -> int:
        return max(self.at.get(name, 0) for name in names) or 1

    def rows(self, table: dict[Any, Any]) -> list[tuple[Any, ...]]:
        return [(*(key if type(key) is tuple else (key,)), *row) for key, row in sorted(table.items())]

    def ask_nodes(self, _: None) -> tuple[int, Any, Any]:
        return self.index("nodes"), (rows := self.rows(self.nodes)), rows

    def ask_services(self, _: None) -> tuple[int, Any, Any]:
        names = sorted({row[0] for row in self.services.values()})
        return self.index("services"), names, self.rows(self.services)

    def ask_node(self, name: str) -> tuple[int, Any, Any]:
        node = self.named(name)
        if node is None:  # by an id's beginning, whoever comes or goes may be meant
            return self.index("node gone"), None, None if name in ALL_NAMED else self.rows(self.nodes)
        found = ((node, *self.nodes[node]), [row for row in self.rows(self.services) if row[0] == node])
        return self.index(("node", node)), found, found

    def named(self, name: str) -> str | None:
        return next((node for node in self.nodes if name == node or name == IDS.get(node, "")[:8]), None)

    def ask_node_checks(self, node: str) -> tuple[int, Any, Any]:
        found = [row for row in self.rows(self.checks) if row[0] == node]
        return self.index("checks"), found, found

    def ask_service_checks(self, name: str) -> tuple[int, Any, Any]:
        found = [row for row in self.rows(self.checks) if row[4] == name]
        return self.index("checks"), found, found

    def ask_state(self, status: str) -> tuple[int, Any, Any]:
        found = [row for row in self.rows(self.checks) if status in ("any", row[2])]
        return self.index("checks"), found, found

    def ask_instances(self, name: str) -> tuple[int, Any, Any]:
        found = self.with_nodes(row for row in self.rows(self.services) if row[2] == name)
        return self.service_index(name, "services", "nodes"), found, found

    def ask_health(self, name: str) -> tuple[int, Any, Any]:
        found = self.with_checks(self.ask_instances(name)[1])
        return self.service_index(name, "checks", "services", "nodes"), found, found

    def ask_proxies(self, name: str) -> tuple[int, Any, Any]:
        found = self.with_nodes(row for row in self.rows(self.services) if row[4] == name)
        return self.index(("mesh", name) if found else "mesh gone"), found, found

    def ask_proxies_health(self, name: str) -> tuple[int, Any, Any]:
        index, found, _ = self.ask_proxies(name)
        return index, (rows := self.with_checks(found)), rows

    def with_nodes(self, rows: Iterable[tuple[Any, ...]]) -> list[Any]:
        return [((row[0], *self.nodes[row[0]]), row) for row in rows]

    def with_checks(self, rows: list[Any]) -> list[Any]:
        """Each instance with the checks of its node, and then with its own."""
        checks = sorted(self.rows(self.checks), key=lambda check: check[3] != "")
        return [
            (node, row, [one for one in checks if one[0] == row[0] and one[3] in ("", row[1])]) for node, row in rows
        ]

    def ask_passing(self, name: str) -> tuple[int, Any, Any]:
        index, found, watched = self.ask_health(name)
        return index, [row for row in found if all(check[2] == "passing" for check in row[2])], watched

    def ask_near(self, question: Pair) -> tuple[int, Any, Any]:
        name, source = question
        index, found, watched = self.ask_health(name)
        if source in self.places:
            here = self.places[source][0]
            found = sorted(
                found, key=lambda row: abs(self.places[row[0][0]][0] - here) if row[0][0] in self.places else 1e9
            )
        return index, found, watched

    def service_index(self, name: str, *otherwise: str) -> int:
        if not any(row[0] == name for row in self.services.values()) and "service gone" in self.at:
            return self.at["service gone"]
        return self.at.get(("service", name)) or self.index(*otherwise)

    def ask_places(self, _: None) -> tuple[int, Any, Any]:
        found = sorted((node, place[0]) for node, place in self.places.items())
        return self.index("places"), found, self.rows(self.places)

    def ask_place(self, node: str) -> tuple[int, Any, Any]:
        found = self.places.get(node)
        return self.index("places"), [] if found is None else [(node, found[0])], found

    def ask_sessions(self, _: None) -> tuple[int, Any, Any]:
        return self.index("sessions"), (rows := self.rows(self.sessions)), rows

    def ask_node_sessions(self, node: str) -> tuple[int, Any, Any]:
        found = [row for row in self.rows(self.sessions) if row[1] == node]
        return self.index("sessions"), found, found

    def ask_session(self, id: str) -> tuple[int, Any, Any]:
        found = [row for row in self.rows(self.sessions) if row[0] == id]
        return self.index("sessions"), found, found

    def ask_queries(self, _: None) -> tuple[int, Any, Any]:
        return self.index("queries"), (rows := self.rows(self.queries)), rows

    def ask_query(self, id: str) -> tuple[int, Any, Any]:
        found = self.queries.get(id)
        return self.index("queries"), found, None if found is None else tuple(found)

    def ask_key(self, key: bytes) -> tuple[int, Any, Any]:
        row = self.keys.get(key)
        found = None if row is None else (key, *row)
        return self.index("kvs", "tombs") if row is None else row[5], found, found

    def ask_keys(self, prefix: bytes) -> tuple[int, Any, Any]:
        found = [row for row in self.rows(self.keys) if row[0].startswith(prefix)]
        buried = [at for key, at in self.tombs.items() if key.startswith(prefix) or prefix.startswith(key)]
        indexes = [row[6] for row in found] + buried
        return max(indexes) if prefix and indexes else self.index("kvs", "tombs"), found, found

    # ---- keys ----

    def do_kv(self, index: int, op: str, key: bytes, value: bytes, session: str, compared: int) -> Any:
        row = self.keys.get(key)
        if op == "set":
            return self.write(index, key, value, None, 0)
        if op == "cas":
            right = row is None if compared == 0 else row is not None and row[5] == compared
            if right:
                self.write(index, key, value, None, 0)
            return right
        if op == "delete":
            return self.bury(index, key)
        if op == "delete-cas":
            if row is not None and row[5] != compared:
                return False
            self.bury(index, key)
            return True
        if op == "delete-tree":
            doomed = [name for name in self.keys if name.startswith(key)]
            for name in doomed:
                del self.keys[name]
            if doomed:
                self.at["kvs"] = index
                if key:
                    self.tombs[key] = self.at["tombs"] = index
            return None
        if not session or (op == "lock" and session not in self.sessions):
            raise Refused
        if op == "lock":
            if row is not None and row[2] not in ("", session):
                return False
            held = row is not None and row[2] == session
            self.write(index, key, value, session, (row[3] if row else 0) + (0 if held else 1))
            return True
        if row is None or row[2] != session:
            return False
        self.write(index, key, value, "", row[3])
        return True

    def write(self, index: int, key: bytes, value: bytes, session: str | None, lock_index: int) -> None:
        row = self.keys.get(key)
        holder = session if session is not None else row[2] if row else ""
        if row is not None and row[:4] == [value, 0, holder, lock_index]:
            return
        self.keys[key] = [value, 0, holder, lock_index, row[4] if row else index, index]
        self.at["kvs"] = index

    def bury(self, index: int, key: bytes) -> None:
        if key in self.keys:
            del self.keys[key]
            self.tombs[key] = self.at["kvs"] = self.at["tombs"] = index

    def do_reap(self, index: int, up_to: int) -> None:
        self.tombs = {key: at for key, at in self.tombs.items() if at > up_to}

    # ---- sessions and coordinates ----

    def do_create(self, index: int, id: str, node: str, behavior: str, checks: tuple[str, ...]) -> str:
        if node not in self.nodes or any(self.checks.get((node, one), ["critical"])[0] == "critical" for one in checks):
            raise Refused
        self.sessions[id] = (node, behavior, checks, index)
        self.at["sessions"] = index
        return id

    def do_destroy(self, index: int, id: str) -> None:
        if id not in self.sessions:
            return
        behavior = self.sessions.pop(id)[1]
        self.at["sessions"] = index
        for key, row in sorted(self.keys.items()):
            if row[2] == id and behavior == "delete":
                self.bury(index, key)
            elif row[2] == id:
                self.write(index, key, row[0], "", row[3])

        for query in [one for one, row in self.queries.items() if row[1] == id]:
            self.do_forget(index, query)

    def end_sessions(self, index: int, node: str, check: str | None = None) -> None:
        for id, session in sorted(self.sessions.items()):
            if session[0] == node and (check is None or check in session[2]):
                self.do_destroy(index, id)

    def do_query(self, index: int, id: str, name: str, session: str) -> None:
        if any(row[0] == name != "" for one, row in self.queries.items() if one != id):
            raise Refused
        if session and session not in self.sessions:
            raise Refused
        row = self.queries.get(id)
        self.queries[id] = [name, session, row[2] if row else index, index]
        self.at["queries"] = index

    def do_forget(self, index: int, id: str) -> None:
        if self.queries.pop(id, None):
            self.at["queries"] = index

    def do_place(self, index: int, node: str, where: float) -> None:
        if node in self.nodes:
            self.places[node] = (where, index)
            self.at["places"] = index

    # ---- the catalog ----

    def touch(self, index: int, *names: Any) -> None:
        self.at.update(dict.fromkeys(names, index))

    def touch_services_of(self, index: int, node: str) -> None:
        for key, row in self.services.items():
            if key[0] == node:
                self.touch_instance(index, row)

    def touch_instance(self, index: int, row: list[Any]) -> None:
        """The answers that show an instance."""
        self.touch(index, ("service", row[0]), *([("mesh", row[2])] if row[2] else []))

    def do_register(self, index: int, node: str, address: str, service: Any, checks: Any) -> None:
        self.put_node(index, node, address)
        if service is not None:
            self.put_service(index, node, *service)
        for check in checks:
            self.put_check(index, node, *check)

    def put_node(self, index: int, node: str, address: str) -> None:
        row = self.nodes.get(node)
        if row is not None and row[0] == address:
            return
        self.nodes[node] = [address, row[1] if row else index, index]
        self.touch(index, "nodes", ("node", node))
        self.touch_services_of(index, node)

    def put_service(self, index: int, node: str, id: str, name: str, port: int, proxied: str) -> None:
        if node not in self.nodes:
            raise Refused
        row = self.services.get((node, id))
        if row is not None and row[:3] == [name, port, proxied]:
            return
        self.services[node, id] = [name, port, proxied, row[3] if row else index, index]
        self.touch(index, "services", "nodes", ("node", node))
        self.touch_instance(index, self.services[node, id])
        if row is not None and row[0] != name:
            self.lost_instance(index, row[0])
        if row is not None:
            self.lost_proxy(index, row[2])

    def lost_instance(self, index: int, name: str) -> None:
        if any(row[0] == name for row in self.services.values()):
            self.touch(index, ("service", name))
        else:
            self.at.pop(("service", name), None)
            self.touch(index, "service gone")

    def lost_proxy(self, index: int, name: str) -> None:
        if any(row[2] == name for row in self.services.values()):
            self.touch(index, *([("mesh", name)] if name else []))
        elif name:
            self.at.pop(("mesh", name), None)
            self.touch(index, "mesh gone")

    def put_check(self, index: int, node: str, id: str, status: str, service_id: str) -> None:
        if node not in self.nodes or (service_id and (node, service_id) not in self.services):
            raise Refused
        name = self.services[node, service_id][0] if service_id else ""
        row = self.checks.get((node, id))
        changed = row is None or row[:3] != [status, service_id, name]
        if row is not None and row[1] != service_id:
            self.touch_shown(index, node, row[1])
        if changed:
            self.touch_shown(index, node, service_id)
        if status == "critical":
            self.end_sessions(index, node, id)
        if changed:
            self.checks[node, id] = [status, service_id, name, row[3] if row else index, index]
            self.touch(index, "checks")

    def touch_shown(self, index: int, node: str, service_id: str) -> None:
        """The services that show a check of a node, or of one of its services."""
        if service_id:
            self.touch_instance(index, self.services[node, service_id])
        else:
            self.touch_services_of(index, node)

    def do_deregister(self, index: int, node: str, service_id: str, check_id: str) -> None:
        if service_id:
            self.drop_service(index, node, service_id)
        elif check_id:
            self.drop_check(index, node, check_id)
        else:
            self.drop_node(index, node)

    def drop_check(self, index: int, node: str, id: str) -> None:
        row = self.checks.get((node, id))
        if row is None:
            return
        self.touch(index, *([("service", row[2])] if row[1] else ["services"]), "checks")
        self.touch_shown(index, node, row[1])
        del self.checks[node, id]
        self.end_sessions(index, node, id)

    def drop_service(self, index: int, node: str, id: str) -> None:
        row = self.services.get((node, id))
        if row is None:
            return
        for key in [key for key, check in self.checks.items() if key[0] == node and check[1] == id]:
            self.drop_check(index, *key)
        del self.services[node, id]
        self.touch(index, "checks", "services", "nodes", ("node", node))
        self.lost_instance(index, row[0])
        self.lost_proxy(index, row[2])

    def drop_node(self, index: int, node: str) -> None:
        if node not in self.nodes:
            return
        for key in [key for key in self.services if key[0] == node]:
            self.drop_service(index, *key)
        for key in [key for key in self.checks if key[0] == node]:
            self.drop_check(index, *key)
        if self.places.pop(node, None):
            self.touch(index, "places")
        del self.nodes[node], self.at["node", node]
        self.touch(index, "nodes", "node gone")
        self.end_sessions(index, node)

    # ---- transactions ----

    def do_txn(self, index: int, operations: list[tuple[Any, ...]]) -> Any:
        """@return: what each operation shows, one list after the other."""
        results: list[Any] = []
        failed = []
        for place, (kind, *arguments) in enumerate(operations):
            try:
                results += getattr(self, "txn_" + kind)(index, *arguments)
            except Refused:
                failed.append(place)
        if failed:
            raise Refused(failed)
        return results

    def txn_kv(self, index: int, op: str, key: bytes, *arguments: Any) -> list[Any]:
        if op == "get":
            return [self.shown(self.keys, (key,))]
        if self.do_kv(index, op, key, *arguments) is False:
            raise Refused
        return [(key, b"", *self.keys[key][1:])] if not op.startswith("delete") else []

    def txn_node(self, index: int, verb: str, node: str, address: str, compared: int) -> list[Any]:
        row = self.nodes.get(node)
        self.compare(verb, compared, row)
        if verb.startswith("delete"):
            self.drop_node(index, node)
            return []
        if verb != "get":
            self.put_node(index, node, address)
        return [self.shown(self.nodes, (node,))]

    def txn_service(self, index: int, verb: str, node: str, id: str, *rest: Any) -> list[Any]:
        *fields, compared = rest
        self.compare(verb, compared, self.services.get((node, id)))
        if verb.startswith("delete"):
            self.drop_service(index, node, id)
            return []
        if verb != "get":
            self.put_service(index, node, id, *fields)
        return [self.shown(self.services, (node, id))[1:]]

    def txn_check(self, index: int, verb: str, node: str, id: str, *rest: Any) -> list[Any]:
        *fields, compared = rest
        self.compare(verb, compared, self.checks.get((node, id)))
        if verb.startswith("delete"):
            self.drop_check(index, node, id)
            return []
        if verb != "get":
            try:
                self.put_check(index, node, id, *fields)
            except Refused:
                if verb != "cas":
                    raise
                # no failure of a comparison that held: what is there, if anything, is shown
                return [(node, id, *self.checks[node, id])] if (node, id) in self.checks else []
        return [self.shown(self.checks, (node, id))]

    def compare(self, verb: str, compared: int, row: list[Any] | None) -> None:
        if verb == "cas" and compared != (row[-1] if row else 0):
            raise Refused
        if verb == "delete-cas" and (row is None or compared != row[-1]):
            raise Refused

    def shown(self, table: dict[Any, Any], key: tuple[Any, ...]) -> tuple[Any, ...]:
        row = table.get(key if len(key) > 1 else key[0])
        if row is None:
            raise Refused
        return (*key, *row)
