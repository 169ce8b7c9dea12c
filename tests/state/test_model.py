"""
The whole store against a model that anybody can check by reading: results, contents, indexes and watches.
"""

from __future__ import annotations

import io
import os
from functools import partial
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from tests.state.driving import Driven, key_op, rows
from tests.state.model import Model
from txconsul.records.txn import TxnResponse
from txconsul.state.machine import StateMachine
from txconsul.state.watches import kv_key, kv_prefix, session

#: By hand, ten thousand are worth their minutes after a change.
EXAMPLES = int(os.environ.get("TXCONSUL_EXAMPLES", "150"))

KEYS = st.sampled_from([b"a", b"a/b", b"a/c", b"b/\xff"])
VALUES = st.sampled_from([b"", b"1"])
SESSIONS = st.sampled_from([f"{n}0000000-0000-4000-8000-000000000000" for n in range(2)])
#: Often enough for locks to be held and deleted keys to leave tombstones.
WRITES = ["set", "set", "delete", "lock", "lock", "lock", "unlock", "cas", "delete-cas", "delete-tree"]
#: The index that a comparison is given.
NONE, RIGHT, WRONG = 0, 1, 2
OPERATION = st.tuples(
    st.sampled_from(WRITES),
    KEYS,
    VALUES,
    SESSIONS | SESSIONS | st.just(""),
    st.sampled_from([NONE, RIGHT, RIGHT, WRONG]),
)
KV_COMMAND = OPERATION.map(lambda operation: ("kv", *operation))
COMMANDS = st.lists(
    st.one_of(
        KV_COMMAND,
        KV_COMMAND,
        KV_COMMAND,
        KV_COMMAND,
        st.tuples(st.just("txn"), st.lists(OPERATION, max_size=4)),
        st.tuples(st.just("create"), SESSIONS, st.sampled_from(["release", "delete"]), st.booleans()),
        st.tuples(st.just("destroy"), SESSIONS),
        st.tuples(st.just("reap"), st.integers(0, 30)),
        st.tuples(st.sampled_from(["fail", "recover", "recover"])),
    ),
    min_size=10,
    max_size=40,
)
PREFIXES = [b"", b"a", b"a/", b"a/b", b"b", b"b/", b"c"]
ALL_KEYS = [b"a", b"a/", b"a/b", b"a/c", b"b/\xff", b"none"]
ALL_SESSIONS = [f"{n}0000000-0000-4000-8000-000000000000" for n in range(2)]


def settled(command: tuple[Any, ...], model: Model) -> tuple[Any, ...]:
    """The command with real indexes to compare with."""

    def with_index(operation: tuple[Any, ...]) -> tuple[Any, ...]:
        *rest, which = operation
        row = model.keys.get(operation[1])
        present = row[5] if row else 0
        return (*rest, {NONE: 0, RIGHT: present, WRONG: present + 1}[which])

    if command[0] == "kv":
        return ("kv", *with_index(command[1:]))
    return ("txn", [with_index(one) for one in command[1]]) if command[0] == "txn" else command


def perform(it: Driven, command: tuple[Any, ...]) -> Any:
    """The command that the model was given, to the real store; the result in the model's words."""
    kind, *arguments = command
    if kind == "kv":
        op, key, value, holder, compared = arguments
        result = it.kv(op, key, value, session=holder, modify_index=compared)
    elif kind == "txn":
        ops = [key_op(op, key, value, session=who, modify_index=at) for op, key, value, who, at in arguments[0]]
        result = it.txn(*ops)
        if isinstance(result, TxnResponse):
            result = "refused" if result.errors else "done"
    elif kind == "create":
        id, behavior, checked = arguments
        result = it.session(id, behavior=behavior, node_checks=("alive",) if checked else None)
    elif kind == "destroy":
        result = it.destroy(arguments[0])
    elif kind == "reap":
        result = it.reap(arguments[0])
    else:
        result = it.check("n1", "alive", "critical" if kind == "fail" else "passing")
    return "refused" if isinstance(result, Exception) else result


class ModelTests(SynchronousTestCase):
    """Whatever the commands, the store does what the model does."""

    def test_agreement(self) -> None:
        """Results, entries, lists, indexes and sessions agree after every command, and indexes never go back."""

        @settings(max_examples=EXAMPLES, deadline=None)
        @given(COMMANDS)
        def agree(commands: list[tuple[Any, ...]]) -> None:
            it, model, failing = self.begin()
            highest = dict.fromkeys(PREFIXES, 0)
            for command in commands:
                command = settled(command, model)
                failing = command[0] == "fail" or (failing and command[0] != "recover")
                expected = self.model_result(model, it, command, failing)
                self.assertEqual(perform(it, command), expected, command)
                self.compare(it, model)
                if command[0] == "reap":
                    highest = dict.fromkeys(PREFIXES, 0)
                for prefix in PREFIXES:
                    index = it.store.kv.list(prefix)[0]
                    self.assertGreaterEqual(index, highest[prefix])
                    highest[prefix] = index

        agree()

    def test_watchesAreExact(self) -> None:
        """Who waits for a key, a prefix or a session is woken by the commands that change it, and by no other."""

        @settings(max_examples=EXAMPLES, deadline=None)
        @given(COMMANDS)
        def exact(commands: list[tuple[Any, ...]]) -> None:
            it, model, failing = self.begin()
            for command in commands:
                command = settled(command, model)
                woken: set[Any] = set()
                waits = [kv_key(key) for key in ALL_KEYS] + [kv_prefix(prefix) for prefix in PREFIXES]
                waits += [session(id) for id in ALL_SESSIONS]
                handles = [it.store.watches.wait([wait], partial(woken.add, wait)) for wait in waits]
                before, held = dict(model.keys), dict(model.sessions)
                failing = command[0] == "fail" or (failing and command[0] != "recover")
                self.model_result(model, it, command, failing)
                perform(it, command)
                changed = {key for key in {*before, *model.keys} if before.get(key) != model.keys.get(key)}
                ended = {id for id in {*held, *model.sessions} if held.get(id) != model.sessions.get(id)}
                due = {kv_key(key) for key in changed} | {session(id) for id in ended}
                due |= {kv_prefix(prefix) for prefix in PREFIXES if any(key.startswith(prefix) for key in changed)}
                self.assertLessEqual(due, woken, command)
                # a session that is created again, and a transaction that undoes its own work, may wake for nothing
                if command[0] not in ("create", "txn"):
                    self.assertEqual(woken, due, command)
                for handle in handles:
                    it.store.watches.cancel(handle)

        exact()

    def test_snapshotRoundTrip(self) -> None:
        """A snapshot restored is the state that was frozen, and its snapshot the same bytes."""

        @settings(max_examples=EXAMPLES, deadline=None)
        @given(COMMANDS)
        def same(commands: list[tuple[Any, ...]]) -> None:
            it, model, _ = self.begin()
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

    def begin(self) -> tuple[Driven, Model, bool]:
        it = Driven()
        it.register("n1")
        it.check("n1", "alive")
        model = Model()
        for id in ALL_SESSIONS:
            perform(it, command := ("create", id, "release", True))
            model.apply(it.index, command)
        return it, model, False

    def model_result(self, model: Model, it: Driven, command: tuple[Any, ...], failing: bool) -> Any:
        if command[0] == "create" and command[3] and failing:
            return "refused"  # a critical check
        return model.apply(it.index + 1, command)

    def compare(self, it: Driven, model: Model) -> None:
        kv = it.store.kv

        def shown(entry: Any) -> Any:
            if entry is None:
                return None
            return (
                entry.value or b"",
                entry.flags,
                entry.session,
                entry.lock_index,
                entry.create_index,
                entry.modify_index,
            )

        for key in ALL_KEYS:
            index, entry = kv.get(key)
            self.assertEqual((index, shown(entry)), model.get(key))
        for prefix in PREFIXES:
            index, entries = kv.list(prefix)
            self.assertEqual((index, {entry.key: shown(entry) for entry in entries}), model.list(prefix))
            self.assertEqual(kv.keys(prefix), (index, [entry.key for entry in entries]))
        self.assertEqual({one.id for one in it.store.sessions.list()[1]}, set(model.sessions))
        self.assertEqual(it.store.sessions.index, model.session_index or 1)
