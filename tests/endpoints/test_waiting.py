"""
What every read that can wait promises, whatever it is about: an answer that changes has a newer index, and who waited
for it is given it in the turn of the change.
"""

from __future__ import annotations

import os
from typing import Any

from hypothesis import given, settings
from twisted.internet.defer import Deferred
from twisted.trial.unittest import SynchronousTestCase

from tests.endpoints.serving import Served
from tests.state.driving import Driven, key_op
from tests.state.model import IDS, Model
from tests.state.sequences import ALL_KEYS, ALL_NAMES, ALL_NODES, ALL_QUERIES, ALL_SESSIONS, COMMANDS, perform, settled
from txconsul.endpoints.authorizing import ALLOW_ALL
from txconsul.endpoints.methods import METHODS
from txconsul.endpoints.registry import Read
from txconsul.errors import TxconsulError
from txconsul.records.base import Record
from txconsul.records.bodies import ServiceDumpBody
from txconsul.records.kv import KeyListRequest, KeyRequest
from txconsul.records.operator import OperatorUsageRequest
from txconsul.records.prepared_query import PreparedQuerySpecificRequest
from txconsul.records.queries import (
    ChecksInStateRequest,
    DCSpecificRequest,
    NodeSpecificRequest,
    ServiceSpecificRequest,
)
from txconsul.records.query import QueryOptions
from txconsul.records.session import SessionSpecificRequest
from txconsul.records.txn import TxnReadRequest
from txconsul.state.listings import Row

EXAMPLES = int(os.environ.get("TXCONSUL_EXAMPLES", "40"))

#: What each class of request is asked with. A read with another class needs a line here.
REQUESTS: dict[type[Record], list[Any]] = {
    DCSpecificRequest: [DCSpecificRequest(peer_name="")],
    NodeSpecificRequest: [NodeSpecificRequest(node=name) for name in (*ALL_NODES, IDS["n3"][:8])],
    ServiceSpecificRequest: [
        ServiceSpecificRequest(datacenter="dc1", service_name=name, **more)
        for name in ALL_NAMES
        for more in ({}, {"connect": True}, {"must_be_passing": True}, {"merge_central_config": True})
    ],
    ChecksInStateRequest: [ChecksInStateRequest(state=state) for state in ("any", "passing", "critical")],
    KeyRequest: [KeyRequest(key=key) for key in (b"a", b"a/", b"b")],
    ServiceDumpBody: [ServiceDumpBody(), ServiceDumpBody(service_kind="connect-proxy", use_service_kind=True)],
    OperatorUsageRequest: [OperatorUsageRequest()],
    KeyListRequest: [KeyListRequest(prefix=prefix) for prefix in (b"", b"a/")],
    PreparedQuerySpecificRequest: [PreparedQuerySpecificRequest(query_id=id) for id in ALL_QUERIES],
    SessionSpecificRequest: [SessionSpecificRequest(session_id=id) for id in ALL_SESSIONS],
    TxnReadRequest: [TxnReadRequest(ops=tuple(key_op("get", key) for key in ALL_KEYS))],
}

#: Reads that do not wait at all: a transaction of reads is answered at once.
AT_ONCE = {"Txn.Read"}


def plain(value: Any) -> Any:
    """An answer that can be compared."""
    if isinstance(value, Row):
        return value.record
    return [plain(one) for one in value] if isinstance(value, list | tuple) else value


class Waiting:
    """One question that always waits, without a model: what a fresh read gives is the truth."""

    def __init__(self, served: Served, read: Read, request: Any) -> None:
        self._served = served
        self._read = read
        self.request = request
        self.index, self.value = self.fresh()
        self.waiting: Any = None
        self.park()

    def fresh(self) -> tuple[int, Any]:
        """What a read gives now; an error counts as an answer that is never newer."""
        try:
            index, value = self._read.function(self._served.store, self.request, ALLOW_ALL)
        except TxconsulError as error:
            return 0, str(error)
        return index, plain(value)

    def park(self) -> None:
        """Wait for what comes after now."""
        self.index, self.value = self.fresh()
        self.waiting = None
        if self.index:
            options = QueryOptions(min_query_index=self.index)
            self.waiting = self._served.call(self._read.name, _with(self.request, options))

    def after(self, case: SynchronousTestCase, command: Any) -> None:
        """What must be true after a command."""
        what = (command, self._read.name, self.request)
        index, value = self.fresh()
        if value != self.value and index and self.index:
            case.assertGreater(index, self.index, what)
        if self.waiting is None:
            self.park()
            return
        answered = type(self.waiting) is not Deferred or self.waiting.called
        if value != self.value:
            case.assertTrue(answered, what)
        if answered:
            if index:
                answer = case.successResultOf(self.waiting)
                case.assertEqual((answer.index, plain(answer.value)), (index, value), what)
                case.assertGreater(index, self.index, what)
            else:
                case.failureResultOf(self.waiting)
            self.park()


def _with(request: Any, options: QueryOptions) -> Any:
    values = {name: getattr(request, name) for name in request.__struct_fields__}
    return type(request)(**{**values, "options": options})


class WaitingTests(SynchronousTestCase):
    """Every read of the table."""

    def test_noWakeUpIsLost(self) -> None:
        """Whatever the commands, who waits is answered when the answer changed, with a newer index."""
        reads = [one for one in METHODS.values() if isinstance(one, Read) and one.name not in AT_ONCE]

        @settings(max_examples=EXAMPLES, deadline=None)
        @given(COMMANDS)
        def answered(commands: list[tuple[Any, ...]]) -> None:
            served, model = Served(), Model()
            driven = Driven(served.machine)
            driven.switch_virtual_ips_on()
            waiting = [Waiting(served, read, request) for read in reads for request in REQUESTS[read.request]]
            for command in commands:
                command = settled(command, model)
                model.apply(driven.index + 1, command)
                perform(driven, command)
                for one in waiting:
                    one.after(self, command)

        answered()
