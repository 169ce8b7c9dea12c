"""
Every read and every blocking query against the model, whatever the commands.

Each question is asked after each command, and is parked all the time beside. What a parked question promises: it is
answered in the turn of the command that changed its answer (no lost wake-up), only then (nothing unrelated wakes it),
with what a fresh read gives; and an index never goes back.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from typing import Any

from hypothesis import given, settings
from twisted.internet.defer import Deferred
from twisted.trial.unittest import SynchronousTestCase

from tests.endpoints.serving import Served
from tests.state.driving import Driven
from tests.state.model import Model
from tests.state.sequences import (
    ALL_KEYS,
    ALL_NAMES,
    ALL_NODES,
    ALL_SESSIONS,
    COMMANDS,
    PREFIXES,
    STATUSES,
    check_row,
    key_row,
    node_row,
    perform,
    query_row,
    service_row,
    session_row,
    settled,
)
from txconsul.endpoints.registry import Answer
from txconsul.records.kv import KeyRequest
from txconsul.records.queries import (
    ChecksInStateRequest,
    DCSpecificRequest,
    NodeSpecificRequest,
    ServiceSpecificRequest,
)
from txconsul.records.query import QueryOptions, QuerySource
from txconsul.records.session import SessionSpecificRequest

#: By hand, ten thousand are worth their minutes after a change.
EXAMPLES = int(os.environ.get("TXCONSUL_EXAMPLES", "60"))

Question = tuple[str, Any]
Wording = tuple[str, Callable[[Any, QueryOptions], Any], Callable[[Any], Any]]


def _instance(one: Any) -> tuple[Any, ...]:
    """A row of catalog/service. It does not tell the indexes of its node."""
    return (
        (one.node, one.address),
        (
            *(one.node, one.service_id, one.service_name, one.service_port),
            *(one.service_proxy.destination_service_name, one.create_index, one.modify_index),
        ),
    )


def _health(one: Any) -> tuple[Any, ...]:
    return (node_row(one.node), service_row(one.node.node, one.service), [check_row(check) for check in one.checks])


def _node(found: Any) -> Any:
    if found is None:
        return None
    node, services = found
    return (node_row(node), [service_row(node.node, one) for one in services.values()])


def _service(name: str, options: QueryOptions, **more: Any) -> ServiceSpecificRequest:
    return ServiceSpecificRequest(datacenter="dc1", service_name=name, options=options, **more)


def _each(row: Callable[[Any], Any]) -> Callable[[Any], Any]:
    return lambda found: [row(one) for one in found]


#: The model's kind of question -> the method, its request, and its answer in the model's words.
WORDING: dict[str, Wording] = {
    "nodes": ("Catalog.ListNodes", lambda _, o: DCSpecificRequest(options=o), _each(node_row)),
    "services": ("Catalog.ListServices", lambda _, o: DCSpecificRequest(options=o), sorted),
    "node": ("Catalog.NodeServices", lambda name, o: NodeSpecificRequest(node=name, options=o), _node),
    "instances": ("Catalog.ServiceNodes", _service, _each(_instance)),
    "health": ("Health.ServiceNodes", _service, _each(_health)),
    "passing": ("Health.ServiceNodes", lambda name, o: _service(name, o, must_be_passing=True), _each(_health)),
    "proxies": ("Catalog.ServiceNodes", lambda name, o: _service(name, o, connect=True), _each(_instance)),
    "proxies_health": ("Health.ServiceNodes", lambda name, o: _service(name, o, connect=True), _each(_health)),
    "near": (
        "Health.ServiceNodes",
        lambda it, o: _service(it[0], o, source=QuerySource(datacenter="dc1", node=it[1])),
        _each(_health),
    ),
    "node_checks": ("Health.NodeChecks", lambda name, o: NodeSpecificRequest(node=name, options=o), _each(check_row)),
    "service_checks": ("Health.ServiceChecks", _service, _each(check_row)),
    "state": ("Health.ChecksInState", lambda name, o: ChecksInStateRequest(state=name, options=o), _each(check_row)),
    "places": (
        "Coordinate.ListNodes",
        lambda _, o: DCSpecificRequest(options=o),
        _each(lambda one: (one.node, one.coord.vec[0])),
    ),
    "place": (
        "Coordinate.Node",
        lambda name, o: NodeSpecificRequest(node=name, options=o),
        _each(lambda one: (one.node, one.coord.vec[0])),
    ),
    "sessions": ("Session.List", lambda _, o: SessionSpecificRequest(options=o), _each(session_row)),
    "node_sessions": (
        "Session.NodeSessions",
        lambda name, o: NodeSpecificRequest(node=name, options=o),
        _each(session_row),
    ),
    "session": ("Session.Get", lambda id, o: SessionSpecificRequest(session_id=id, options=o), _each(session_row)),
    "queries": ("PreparedQuery.List", lambda _, o: DCSpecificRequest(options=o), _each(query_row)),
    "key": ("KVS.Get", lambda key, o: KeyRequest(key=key, options=o), lambda one: one and key_row(one)),
    "keys": ("KVS.List", lambda prefix, o: KeyRequest(key=prefix, options=o), _each(key_row)),
}
#: Those which, while there is nothing, go on waiting though the index moves.
ABSENT = {"session", "key", "keys"}

QUESTIONS: list[Question] = [
    *[(kind, None) for kind in ("nodes", "services", "places", "sessions", "queries")],
    *[(kind, node) for kind in ("node", "node_checks", "node_sessions", "place") for node in ALL_NODES],
    ("node", "40e4a748"),
    *[(kind, name) for kind in ("instances", "health", "passing", "service_checks") for name in (*ALL_NAMES, "none")],
    *[(kind, name) for kind in ("proxies", "proxies_health") for name in (*ALL_NAMES, "none")],
    *[("near", ("web", node)) for node in ALL_NODES],
    *[("state", status) for status in ("any", *sorted(set(STATUSES)))],
    *[("session", id) for id in ALL_SESSIONS],
    *[("key", key) for key in (*ALL_KEYS, b"none")],
    *[("keys", prefix) for prefix in PREFIXES],
]


class Parked:
    """
    One question that always waits.

    @ivar passed: the index that must pass.
    """

    def __init__(self, compared: Compared, question: Question) -> None:
        self._compared = compared
        self.question = question
        self.passed = 0
        self.absent = False
        self.waiting: Any = None
        self.park()

    def park(self) -> None:
        """Wait for what comes after now."""
        index, answer, _ = self._compared.model.ask(*self.question)
        self.passed = index
        self.absent = self.question[0] in ABSENT and not answer
        self.waiting = self._compared.ask(self.question, min_query_index=index)

    def due(self, touched: bool) -> bool:
        """Whether it must have been answered, after a command that changed what it watches, or did not."""
        if not touched:
            return False
        index, answer, _ = self._compared.model.ask(*self.question)
        if self.question[0] in ABSENT and not answer:
            if self.absent:
                self.passed = max(self.passed, index)
            self.absent = True
        return index > self.passed


class Compared:
    """A door, the model, and every question parked."""

    def __init__(self, case: SynchronousTestCase) -> None:
        self.case = case
        self.served = Served()
        self.driven = Driven(self.served.machine)
        self.model = Model()
        self.highest: dict[Question, int] = {}
        self.parked = [Parked(self, question) for question in QUESTIONS]

    def ask(self, question: Question, **options: Any) -> Any:
        """The door's answer."""
        method, request, _ = WORDING[question[0]]
        return self.served.call(method, request(question[1], QueryOptions(**options)))

    def step(self, command: tuple[Any, ...]) -> None:
        """One command, and what must be true after it."""
        command = settled(command, self.model)
        before = {question: self.model.ask(*question)[2] for question in QUESTIONS}
        result = self.model.apply(self.driven.index + 1, command)
        self.case.assertEqual(perform(self.driven, command), result, command)
        if command[0] == "reap":
            self.highest = {}
        for parked in self.parked:
            question = parked.question
            index, _, watched = self.model.ask(*question)
            self.case.assertGreaterEqual(index, self.highest.get(question, 0), (command, question))
            self.highest[question] = index
            self.check(question, self.ask(question), command)
            self.woken(parked, watched != before[question], command)

    def woken(self, parked: Parked, touched: bool, command: tuple[Any, ...]) -> None:
        """A parked question was answered if it must be, and only then."""
        answered = type(parked.waiting) is not Deferred or parked.waiting.called
        # a transaction that undoes its own work may wake for nothing, if the index says so
        undone = command[0] == "txn" and answered and not touched
        due = parked.due(touched or undone)
        self.case.assertEqual(answered, due, (command, parked.question))
        if answered:
            self.check(parked.question, self.case.successResultOf(parked.waiting), command)
            parked.park()

    def check(self, question: Question, answer: Any, command: tuple[Any, ...]) -> None:
        """An answer is the model's."""
        assert isinstance(answer, Answer)
        index, wanted, _ = self.model.ask(*question)
        if question[0] in ("instances", "proxies"):
            wanted = [(node[:2], service) for node, service in wanted]
        found = WORDING[question[0]][2](answer.value)
        self.case.assertEqual((answer.index, found), (index, wanted), (command, question))


def hold(case: SynchronousTestCase, commands: list[tuple[Any, ...]]) -> None:
    """The door and the model agree all through a sequence."""
    compared = Compared(case)
    for command in commands:
        compared.step(command)


class ModelTests(SynchronousTestCase):
    """The door against the model."""

    def test_agreement(self) -> None:
        """Results, answers, indexes and wake-ups are the model's; a refused command or transaction changes nothing."""

        @settings(max_examples=EXAMPLES, deadline=None)
        @given(COMMANDS)
        def agree(commands: list[tuple[Any, ...]]) -> None:
            hold(self, commands)

        agree()
