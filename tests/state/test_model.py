"""
The store alone against the model that anybody can check by reading; what the door makes of it is in
L{tests.endpoints.test_model}.
"""

from __future__ import annotations

import io
import os
from functools import partial
from typing import Any

from hypothesis import given, settings
from twisted.trial.unittest import SynchronousTestCase

from tests.state.driving import Driven, rows
from tests.state.model import Model
from tests.state.sequences import (
    ALL_KEYS,
    ALL_NAMES,
    ALL_NODES,
    ALL_QUERIES,
    ALL_SESSIONS,
    COMMANDS,
    PREFIXES,
    STATUSES,
    perform,
    settled,
)
from txconsul.state import watches
from txconsul.state.machine import StateMachine
from txconsul.state.prepared_queries import query_key

#: By hand, ten thousand are worth their minutes after a change.
EXAMPLES = int(os.environ.get("TXCONSUL_EXAMPLES", "100"))

#: A watch key -> the question whose answer it stands for.
WATCHED: dict[watches.Key, tuple[str, Any]] = {
    **{watches.kv_key(key): ("key", key) for key in (*ALL_KEYS, b"none")},
    **{watches.kv_prefix(prefix): ("keys", prefix) for prefix in PREFIXES},
    **{watches.session(id): ("session", id) for id in ALL_SESSIONS},
    **{watches.node_services(node): ("node", node) for node in ALL_NODES},
    **{watches.node_checks(node): ("node_checks", node) for node in ALL_NODES},
    **{watches.node_sessions(node): ("node_sessions", node) for node in ALL_NODES},
    **{watches.coordinate(node): ("place", node) for node in ALL_NODES},
    **{watches.instances(name): ("instances", name) for name in ALL_NAMES},
    **{watches.service(name): ("health", name) for name in ALL_NAMES},
    **{watches.mesh_instances(name): ("proxies", name) for name in ALL_NAMES},
    **{watches.mesh(name): ("proxies_health", name) for name in ALL_NAMES},
    **{watches.prepared_query(query_key(id)): ("query", id) for id in ALL_QUERIES},
    **{watches.service_checks(name): ("service_checks", name) for name in ALL_NAMES},
    **{watches.checks_in_state(status): ("state", status) for status in set(STATUSES)},
    watches.table("nodes"): ("nodes", None),
    watches.table("services"): ("services", None),
    watches.table("checks"): ("state", "any"),
    watches.table("sessions"): ("sessions", None),
    watches.table("coordinates"): ("places", None),
    watches.table("prepared-queries"): ("queries", None),
}


class ModelTests(SynchronousTestCase):
    """Whatever the commands, the store does what the model does."""

    def test_watchesAreExact(self) -> None:
        """A watch key is woken by the commands that change what it stands for, and by no other."""

        @settings(max_examples=EXAMPLES, deadline=None)
        @given(COMMANDS)
        def exact(commands: list[tuple[Any, ...]]) -> None:
            it, model = Driven(), Model()
            for command in commands:
                command = settled(command, model)
                woken: set[Any] = set()
                handles = [it.store.watches.wait([key], partial(woken.add, key)) for key in WATCHED]
                before = {key: model.ask(*question)[2] for key, question in WATCHED.items()}
                expected = model.apply(it.index + 1, command)
                self.assertEqual(perform(it, command), expected, command)
                due = {key for key, question in WATCHED.items() if model.ask(*question)[2] != before[key]}
                self.assertLessEqual(due, woken, command)
                if command[0] != "txn":  # which may undo its own work
                    self.assertEqual(woken, due, command)
                for handle in handles:
                    it.store.watches.cancel(handle)

        exact()

    def test_refusedChangesNothing(self) -> None:
        """What is refused, a whole transaction for one of its operations, leaves every row as it was."""

        @settings(max_examples=EXAMPLES, deadline=None)
        @given(COMMANDS)
        def unchanged(commands: list[tuple[Any, ...]]) -> None:
            it, model = Driven(), Model()
            for command in commands:
                command = settled(command, model)
                before = rows(it.store)
                result = perform(it, command)
                self.assertEqual(result, model.apply(it.index, command), command)
                if "refused" in (result, result[0] if type(result) is tuple else None):
                    self.assertEqual(rows(it.store), before, command)

        unchanged()

    def test_snapshotRoundTrip(self) -> None:
        """A snapshot restored is the state that was frozen, and its snapshot the same bytes."""

        @settings(max_examples=EXAMPLES, deadline=None)
        @given(COMMANDS)
        def same(commands: list[tuple[Any, ...]]) -> None:
            it, model = Driven(), Model()
            for command in commands:
                command = settled(command, model)
                model.apply(it.index + 1, command)
                perform(it, command)
            frozen = b"".join(it.machine.freeze())
            other = StateMachine()
            for _ in other.restore(io.BytesIO(frozen)):
                pass
            self.assertEqual(rows(other.store), rows(it.store))
            self.assertEqual(b"".join(other.freeze()), frozen)
            for prefix in PREFIXES:
                self.assertEqual(other.store.kv.list(prefix), it.store.kv.list(prefix))
            for id in ALL_SESSIONS:
                self.assertEqual(other.store.kv.held_by(id), it.store.kv.held_by(id))
                self.assertEqual(other.store.sessions.get(id), it.store.sessions.get(id))

        same()
