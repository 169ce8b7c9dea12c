"""
Known mistakes, planted into store and door from outside: what the model must find. One at least for each of its claims.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from dataclasses import replace
from typing import Any
from unittest.mock import patch

from txconsul.endpoints import nearness
from txconsul.endpoints.blocking import Blocked
from txconsul.endpoints.methods import METHODS
from txconsul.endpoints.registry import Read
from txconsul.endpoints.views import Views
from txconsul.records.txn import TxnResponse
from txconsul.state import registrations, txn, watches
from txconsul.state.catalog import Catalog
from txconsul.state.coordinates import Coordinates
from txconsul.state.kv import KV
from txconsul.state.prepared_queries import PreparedQueries
from txconsul.state.registrations import Registrations
from txconsul.state.sessions import Sessions
from txconsul.state.tables import Tables

Planting = Callable[[], AbstractContextManager[object]]

#: By name: how it is planted, and what is wrong.
MISTAKES: dict[str, tuple[Planting, str]] = {}


def mistake(text: str) -> Callable[[Callable[[], Any]], Callable[[], Any]]:
    """Note a function which plants a mistake, under its own name."""

    def note(plant: Callable[[], Any]) -> Callable[[], Any]:
        MISTAKES[plant.__name__] = (plant, text)
        return plant

    return note


def declared(method: str, **changes: Any) -> Any:
    """A read declared otherwise."""
    read = METHODS[method]
    assert isinstance(read, Read)
    return patch.dict(METHODS, {method: replace(read, **changes)})


# ---- waking ----


@mistake("the health of a service is not touched by its checks: a wake-up is lost")
def deaf_to_checks() -> Any:
    touched = Tables._check_touched

    def without(self: Any, key: Any, before: Any, after: Any) -> Iterator[Any]:
        return (one for one in touched(self, key, before, after) if one[0] != "service")

    return patch.object(Tables, "_check_touched", without)


@mistake("who waits for a node by the beginning of its id is not woken")
def deaf_to_ids() -> Any:
    return declared("Catalog.NodeServices", watch=lambda request: (watches.node_services(request.node),))


@mistake("instances, without their health, are touched by checks")
def woken_by_checks() -> Any:
    return declared("Catalog.ServiceNodes", watch=lambda request: (watches.service(request.service_name),))


@mistake("the checks of a node are touched by its services")
def woken_by_services() -> Any:
    return declared("Health.NodeChecks", watch=lambda request: (watches.node(request.node),))


@mistake("checks of one status are touched by checks of others")
def woken_by_other_statuses() -> Any:
    return declared("Health.ChecksInState", watch=lambda request: (watches.table("checks"),))


@mistake("who is woken is answered, whether the index has passed or not")
def index_not_looked_at() -> Any:
    return patch.object(Blocked, "_look", Blocked._finish)


@mistake("of several who wait for the same, the first is woken")
def only_one_woken() -> Any:
    finish = watches.Watches._finish
    return patch.object(watches.Watches, "_finish", lambda self, due: finish(self, list(due)[:1]))


@mistake("who waits for a missing key is answered that it is missing still")
def absence_told_again() -> Any:
    return declared("KVS.List", absent=None)


# ---- what is kept ----


@mistake("kept answers are not dropped")
def old_views() -> Any:
    return patch.object(Views, "_drop", lambda self, question: None)


@mistake("answers sorted by distance are kept when nodes move")
def old_order() -> Any:
    return declared("Health.ServiceNodes", order=None)


@mistake("distances are kept when nodes move")
def old_distances() -> Any:
    return patch.object(Coordinates, "index", property(lambda self: 1))


@mistake("nodes without a place come first")
def unknown_first() -> Any:
    return patch.object(nearness, "inf", -1.0)


# ---- indexes ----


@mistake("of a service's last instance nothing is remembered: the index goes back")
def no_extinction() -> Any:
    raise_index = Tables.raise_index

    def without(self: Any, index: int, *names: str) -> None:
        raise_index(self, index, *[name for name in names if name != registrations.SERVICE_EXTINCTION])

    return patch.object(Tables, "raise_index", without)


@mistake("a missing service has the index of the whole catalog")
def coarse_extinction() -> Any:
    return patch.object(
        Catalog,
        "_service_index",
        lambda self, name, *otherwise: (
            self._tables.indexes.rows.get(registrations.service_index(name)) or self._index(*otherwise)
        ),
    )


@mistake("an instance that gets another name is not missed under its old one")
def renamed_unnoticed() -> Any:
    return _within(Registrations, "ensure_service", "_lost_instance")


@mistake("a check that moves to another service is not missed by the old one")
def moved_check_unnoticed() -> Any:
    return patch.object(Registrations, "_lost_check", lambda self, index, check: None)


@mistake("of the last proxy of a service nothing is remembered: the index goes back")
def no_mesh_extinction() -> Any:
    return patch.object(Registrations, "_left_mesh", lambda self, index, service: None)


@mistake("a change of a node does not change what its services show")
def node_alone() -> Any:
    return _within(Registrations, "ensure_node", "_raise_services_of")


@mistake("a deleted key leaves no tombstone: the index of its prefix goes back")
def no_tombstone() -> Any:
    def delete(self: Any, index: int, key: bytes) -> None:
        if key in self._rows:
            self._tables.kv.remove(key)
            self._tables.indexes.put("kvs", index)

    return patch.object(KV, "delete", delete)


@mistake("writing what is there already counts as a change")
def same_is_a_change() -> Any:
    return patch.object(registrations, "_same_check", lambda one, other: False)


# ---- what follows from a change ----


@mistake("a critical check ends no session")
def sessions_survive_checks() -> Any:
    return patch.object(Sessions, "of_check", lambda self, node, check_id: [])


@mistake("a session ends and holds its keys")
def locks_survive_sessions() -> Any:
    return patch.object(KV, "held_by", lambda self, id: [])


@mistake("a session ends, and its prepared queries stay")
def queries_survive_sessions() -> Any:
    return patch.object(PreparedQueries, "end_with", lambda self, index, session: None)


@mistake("a node's coordinates stay when it goes")
def places_survive_nodes() -> Any:
    def delete_node(self: Any, index: int, name: str) -> None:
        tables = self._tables
        kept = {pair: tables.coordinates.rows[pair] for pair in tables.coordinates_by_node.keys(name.lower())}
        original(self, index, name)
        for pair, row in kept.items():
            tables.coordinates.put(pair, row)

    original = Registrations.delete_node
    return patch.object(Registrations, "delete_node", delete_node)


@mistake("a service goes without its checks")
def checks_survive_services() -> Any:
    return _within(Registrations, "delete_service", "delete_check")


# ---- transactions ----


@mistake("a failed transaction keeps what went before the failure")
def no_rollback() -> Any:
    return patch.object(Tables, "rollback", lambda self, mark, delays: None)


@mistake("a transaction's comparisons always hold")
def nothing_compared() -> Any:
    return patch.object(registrations, "_comparison_holds", lambda compared, present: True)


@mistake("a transaction deletes services whatever the index")
def careless_deletion() -> Any:
    def delete(self: Any, index: int, compared: int, node: str, id: str) -> bool:
        self.delete_service(index, node, id)
        return True

    return patch.object(Registrations, "delete_service_cas", delete)


@mistake("a transaction tells the first failure only")
def one_failure_told() -> Any:
    transact = txn.transact

    def short(*arguments: Any) -> TxnResponse:
        response = transact(*arguments)
        return TxnResponse(errors=response.errors[:1]) if response.errors else response

    return patch("txconsul.state.commands.transact", short)


@contextmanager
def _within(owner: type, outer: str, inner: str) -> Iterator[None]:
    """Leave calls of a method out while another runs."""
    running: list[bool] = []
    outer_function, inner_function = getattr(owner, outer), getattr(owner, inner)

    def around(self: Any, *arguments: Any, **more: Any) -> Any:
        running.append(True)
        try:
            return outer_function(self, *arguments, **more)
        finally:
            running.pop()

    def instead(self: Any, *arguments: Any) -> Any:
        return None if running else inner_function(self, *arguments)

    with patch.object(owner, outer, around), patch.object(owner, inner, instead):
        yield
