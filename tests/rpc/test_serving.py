"""Calls from others, asked at a door."""

from __future__ import annotations

from typing import Any

from twisted.internet.defer import CancelledError, Deferred
from twisted.trial.unittest import SynchronousTestCase

from tests.endpoints.serving import Served
from txconsul.errors import (
    BadRequest,
    InvalidRequest,
    NoLeader,
    PermissionDenied,
    RetryElsewhere,
    RetryLater,
    UnknownMethod,
    UnknownService,
)
from txconsul.records.catalog import RegisterRequest
from txconsul.records.health import HealthCheck
from txconsul.records.kv import DirEntry, KeyRequest, KVSRequest
from txconsul.records.queries import DCSpecificRequest, ServiceSpecificRequest
from txconsul.records.query import QueryOptions
from txconsul.records.service import NodeService
from txconsul.rpc.methods import SERVED
from txconsul.rpc.refusals import HOP, refusal
from txconsul.rpc.serving import Serving


class Calling:
    """A server, and whoever calls it."""

    def __init__(self, is_leader: bool = True) -> None:
        self.served = Served(is_leader)
        self.serving = Serving(self.served.door)

    def call(self, method: str, request: Any, token: str = "") -> Any:
        """The value, or a Deferred of it."""
        row = SERVED[method]
        reply = self.serving.serve(method, row.request.encode(request, token))
        if isinstance(reply, Deferred):
            return reply.addCallback(row.reply.decode, request)
        return row.reply.decode(reply, request)


class ServingTests(SynchronousTestCase):
    """Calls at a leader."""

    def setUp(self) -> None:
        self.there = Calling()

    def test_keys(self) -> None:
        """A key is written and read."""
        there = self.there
        put = KVSRequest(datacenter="dc1", op="set", dir_ent=DirEntry(key=b"a", value=b"v"))
        self.assertIsNone(self.successResultOf(there.call("KVS.Apply", put)))
        answer = there.call("KVS.Get", KeyRequest(key=b"a"))
        self.assertEqual((answer.index, answer.value.value, answer.known_leader), (1, b"v", True))
        self.assertIsNone(there.call("KVS.Get", KeyRequest(key=b"b")).value)

    def test_waits(self) -> None:
        """A read that waits is answered when something comes, and can be given up."""
        there = self.there
        options = QueryOptions(min_query_index=1)
        put = KVSRequest(op="set", dir_ent=DirEntry(key=b"a"))
        there.call("KVS.Apply", put)
        waiting = there.call("KVS.Get", KeyRequest(key=b"a", options=options))
        given_up = there.call("KVS.Get", KeyRequest(key=b"a", options=options))
        self.assertNoResult(waiting)
        given_up.cancel()
        self.failureResultOf(given_up, CancelledError)
        self.assertEqual(there.served.site.blocking, 1)
        there.call("KVS.Apply", KVSRequest(op="set", dir_ent=DirEntry(key=b"a", value=b"new")))
        self.assertEqual(self.successResultOf(waiting).index, 2)

    def test_catalog(self) -> None:
        """What an agent registers is found by all the names that agents ask by."""
        there = self.there
        service = NodeService(id="web1", service="web", port=80, address="10.0.0.9", tags=("blue",))
        check = HealthCheck(check_id="c", status="critical")
        request = RegisterRequest(node="n", address="10.0.0.1", service=service, check=check)
        self.successResultOf(there.call("Catalog.Register", request))
        web = ServiceSpecificRequest(service_name="web")
        self.assertEqual(len(there.call("Health.ServiceNodes", web).value), 1)
        only = ServiceSpecificRequest(service_name="web", exclude_critical=True)
        self.assertEqual(there.call("Health.ServiceNodes", only).value, [])
        by_address = ServiceSpecificRequest(service_address="10.0.0.9")
        self.assertEqual([one.service_id for one in there.call("Catalog.ServiceNodes", by_address).value], ["web1"])
        self.assertEqual(there.call("Catalog.ListServices", DCSpecificRequest()).value, {"web": ["blue"]})
        self.assertEqual([*there.call("Catalog.ServiceList", DCSpecificRequest()).value], ["web"])
        self.assertEqual([row.record.node for row in there.call("Internal.NodeDump", DCSpecificRequest()).value], ["n"])

    def test_serversThemselves(self) -> None:
        """A server says that it is there, who leads and how far it is."""
        there = self.there
        nothing = DCSpecificRequest()
        self.assertIsNone(there.call("Status.Ping", nothing))
        self.assertEqual(there.call("Status.Leader", nothing), "127.0.0.1:8300")
        self.assertEqual(there.call("Status.Peers", nothing), ["127.0.0.1:8300"])
        stats = there.call("Status.RaftStats", nothing)
        self.assertEqual((stats.last_contact, stats.last_index, stats.last_term), ("0", 0, 2))

    def test_unknown(self) -> None:
        """Methods that are not there are refused in net/rpc's words, by which agents tell old servers."""
        error = self.assertRaises(UnknownMethod, self.there.serving.serve, "KVS.Swap", b"\x80")
        self.assertEqual(str(error), "rpc: can't find method KVS.Swap")
        error = self.assertRaises(UnknownService, self.there.serving.serve, "Moon.Rise", b"\x80")
        self.assertEqual(str(error), "rpc: can't find service Moon.Rise")

    def test_malformed(self) -> None:
        """A body that is none is refused."""
        self.assertRaises(BadRequest, self.there.serving.serve, "KVS.Get", b"\x91")
        self.assertRaises(BadRequest, self.there.serving.serve, "KVS.Get", b"\x90")

    def test_refused(self) -> None:
        """What the door refuses is refused."""
        self.assertRaises(InvalidRequest, self.there.call, "KVS.Apply", KVSRequest(op="fly"))

    def test_noLeader(self) -> None:
        """Where nobody leads, it waits, and is then told so."""
        there = Calling(is_leader=False)
        waiting = there.call("KVS.Get", KeyRequest(key=b"a"))
        there.served.clock.advance(8)
        self.assertEqual(str(self.failureResultOf(waiting, NoLeader).value), "No cluster leader")


class RefusalTests(SynchronousTestCase):
    """What errors of other servers are here."""

    def test_meanings(self) -> None:
        """An error's words say what it is, however many servers it passed; its text stays as it came."""
        for text, kind, status in (
            (
                "Permission denied: token with AccessorID 'x' lacks permission 'key:write' on \"a\"",
                PermissionDenied,
                403,
            ),
            ("ACL not found", PermissionDenied, 403),
            ("No cluster leader", NoLeader, 500),
            (RetryElsewhere.text, RetryElsewhere, 429),
            (RetryLater.text, RetryLater, 503),
            ("something new", InvalidRequest, 500),
        ):
            error = refusal(HOP + HOP + text)
            self.assertIs(type(error), kind, text)
            self.assertEqual((str(error), error.status), (HOP + HOP + text, status))
