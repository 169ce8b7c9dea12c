"""Requests and replies of RPC: the recorded ones, and those of every method."""

from __future__ import annotations

import contextlib
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from tests.vectors import data, load
from txconsul.codec.gomsgpack import BadMessage, pack, unpack, unpack_first
from txconsul.endpoints.methods import METHODS as ENDPOINTS
from txconsul.endpoints.placing import Rule
from txconsul.endpoints.registry import Answer
from txconsul.endpoints.views import View
from txconsul.records.autopilot import AutopilotSetConfigRequest
from txconsul.records.catalog import Node
from txconsul.records.kv import DirEntry, KeyRequest, KVSRequest
from txconsul.records.operator import OperatorUsageRequest, ServiceUsage
from txconsul.records.queries import DCSpecificRequest, ServiceSpecificRequest
from txconsul.records.query import QueryOptions
from txconsul.records.service import NodeService
from txconsul.records.session import Session, SessionRequest
from txconsul.records.txn import TxnReadRequest, TxnResponse
from txconsul.rpc.bodies import RequestForm
from txconsul.rpc.methods import ASKED, METHODS, SERVED

#: Methods that only the agent or the leader asks of itself, or that are no calls.
_OWN = {"SystemMetadata.Apply", "Tombstone.Reap", "Snapshot.Save", "Snapshot.Restore"}


def _captured() -> list[tuple[str, str, bytes, Any]]:
    """C{(name, method, body, request)} of what was recorded of our methods, without errors."""
    asked: dict[str, Any] = {}
    found = []
    for vector in load("rpc_captured"):
        header, body = unpack_first(data(vector))
        method = header[b"ServiceMethod"].decode()
        if method not in SERVED or header.get(b"Error"):
            continue
        name, _, kind = vector["name"].rpartition("-")
        if kind == "request":
            asked[name] = SERVED[method].request.decode(body)[0]
        found.append((vector["name"], method, body, asked.get(name, _ANYTHING.get(method))))
    return found


#: What replies answered whose requests were not recorded.
_ANYTHING = {
    "KVS.Apply": KVSRequest(op="set"),
    "Operator.AutopilotSetConfiguration": AutopilotSetConfigRequest(),
}


class VectorTests(SynchronousTestCase):
    """What Consul's agents and servers said."""

    def test_requests(self) -> None:
        """Recorded requests are read, and written as they were."""
        seen = 0
        for name, method, body, _ in _captured():
            if name.endswith("request"):
                form = SERVED[method].request
                written = form.encode(*form.decode(body))
                self.assertEqual(unpack(written), unpack(body), name)
                self.assertEqual(len(written), len(body), name)  # Go does not sort every map
                seen += 1
        self.assertGreater(seen, 30)

    def test_replies(self) -> None:
        """Recorded replies are read, and written as they were."""
        seen = 0
        for name, method, body, request in _captured():
            if name.endswith("response"):
                reply = SERVED[method].reply
                written = reply.encode(reply.decode(body, request), request)
                self.assertEqual(unpack(written), unpack(body), name)
                self.assertEqual(len(written), len(body), name)
                seen += 1
        self.assertGreater(seen, 40)

    def test_everyField(self) -> None:
        """Requests with every field set, and with none, are read whole: nothing of them is lost."""
        forms = {row.request.record.__name__: RequestForm(row.request.record) for row in METHODS}
        names = {
            "DatacentersBody": "DatacentersRequest",
            "ServiceSpecificBody": "ServiceSpecificRequest",
            "ServiceDumpBody": "ServiceDumpRequest",
            "AssignServiceManualVIPsBody": "AssignServiceManualVIPsRequest",
            "UsageBody": "OperatorUsageRequest",
        }
        known = {names.get(name, name): form for name, form in forms.items()}
        seen = 0
        for vector in load("rpc_bodies"):
            form = known.get(str(vector["decoded"].get("type")).removeprefix("structs."))
            if form is not None and "-request-" in vector["name"]:
                self.assertEqual(form.encode(*form.decode(data(vector))), data(vector), vector["name"])
                seen += 1
        self.assertGreater(seen, 30)

    def test_fullReplies(self) -> None:
        """Replies with every field set are read, and all that a server of ours says is written as it was."""
        method = {
            "structs.IndexedNodes": "Catalog.ListNodes",
            "structs.IndexedServices": "Catalog.ListServices",
            "structs.IndexedNodeServiceList": "Catalog.NodeServiceList",
            "structs.IndexedServiceNodes": "Catalog.ServiceNodes",
            "structs.IndexedCheckServiceNodes": "Health.ServiceNodes",
            "structs.IndexedDirEntries": "KVS.Get",
            "structs.IndexedPreparedQueries": "PreparedQuery.Get",
            "structs.IndexedSessions": "Session.Get",
            "structs.TxnReadResponse": "Txn.Read",
            "structs.TxnResponse": "Txn.Apply",
            "structs.RaftStats": "Status.RaftStats",
            "structs.RaftConfigurationResponse": "Operator.RaftGetConfiguration",
            "structs.AutopilotConfig": "Operator.AutopilotGetConfiguration",
            "structs.CatalogSummary": "Internal.CatalogOverview",
            "structs.IndexedServiceTopology": "Internal.ServiceTopology",
            "structs.KeyringResponses": "Internal.KeyringOperation",
        }
        unsaid = {b"FilteredByACLs", b"Backend", b"ConsistencyLevel", b"NotModified", b"ResultsFilteredByACLs"}
        seen = set()
        for vector in load("rpc_bodies"):
            name = method.get(vector["decoded"].get("type"))
            if name is None or "-reply-" not in vector["name"]:
                continue
            reply = SERVED[name].reply
            was = unpack(data(vector))
            now = unpack(reply.encode(reply.decode(data(vector), None), None))
            for key in was:
                if key not in unsaid:
                    self.assertEqual(now[key], was[key], (vector["name"], key))
            self.assertEqual(now.keys(), was.keys())
            seen.add(name)
        self.assertEqual(seen, set(method.values()))


class TableTests(SynchronousTestCase):
    """The table of methods."""

    def test_everyMethodCanBeAsked(self) -> None:
        """Whatever may have to be asked of another server has a row."""
        distant = {name for name, one in ENDPOINTS.items() if one.rule is not Rule.AGENT}
        self.assertEqual(distant - set(ASKED) - _OWN, set())

    def test_everyRowIsServed(self) -> None:
        """Every row leads to an endpoint, and takes the request which that declares."""
        for row in METHODS:
            endpoint = ENDPOINTS[row.name]
            request = endpoint.request()
            found, token = row.request.decode(row.request.encode(request, "secret"))
            self.assertIs(type(found), endpoint.request, row.name)
            self.assertEqual(found, request if not hasattr(found, "token") else _with_token(request), row.name)
            self.assertIn(token, ("secret", ""), row.name)

    def test_namesAreOnce(self) -> None:
        """No two rows serve one name."""
        served = [row.wire_name for row in METHODS if row.served]
        self.assertEqual(len(served), len(set(served)))

    def test_nobodyAsksTheLeadersOwn(self) -> None:
        """What the leader writes for itself is not served to others."""
        self.assertEqual({name for name in SERVED if name.startswith(("Tombstone.", "SystemMetadata."))}, set())


def _with_token(request: Any) -> Any:
    from msgspec.structs import replace

    return replace(request, token="secret")


class FormTests(SynchronousTestCase):
    """How single forms read and write."""

    def test_options(self) -> None:
        """Options and the token stand among a request's fields."""
        form = SERVED["KVS.Get"].request
        request = KeyRequest(datacenter="dc1", key=b"a", options=QueryOptions(allow_stale=True, min_query_index=7))
        fields = unpack(form.encode(request, "secret"))
        self.assertEqual(fields[b"Token"], b"secret")
        self.assertEqual((fields[b"AllowStale"], fields[b"MinQueryIndex"]), (True, 7))
        self.assertEqual([*fields], sorted(fields))
        self.assertEqual(form.decode(pack({k.decode(): v for k, v in fields.items()})), (request, "secret"))

    def test_unknownAndMissing(self) -> None:
        """Unknown keys are ignored, and missing ones are zero."""
        form = SERVED["KVS.Get"].request
        self.assertEqual(form.decode(pack({"Later": [1], "Key": b"a"})), (KeyRequest(key=b"a"), ""))
        self.assertEqual(form.decode(b"\x80"), (KeyRequest(), ""))

    def test_tags(self) -> None:
        """Tags matter where the filter says so; servers before 1.3 knew one."""
        form = SERVED["Health.ServiceNodes"].request
        read = lambda **fields: form.decode(pack(dict(sorted(fields.items()))))[0].service_tags  # noqa: E731
        self.assertEqual(read(ServiceTags=["a"]), ())
        self.assertEqual(read(ServiceTags=["a", "b"], TagFilter=True), ("a", "b"))
        self.assertEqual(read(ServiceTag="old", TagFilter=True), ("old",))

    def test_healthFilter(self) -> None:
        """Three ways to choose instances by their checks have three numbers."""
        form = SERVED["Health.ServiceNodes"].request
        for number, flags in ((0, {}), (1, {"exclude_critical": True}), (2, {"must_be_passing": True})):
            request = ServiceSpecificRequest(service_name="web", **flags)
            body = form.encode(request, "")
            self.assertEqual(unpack(body)[b"HealthFilterType"], number)
            self.assertEqual(form.decode(body)[0], request)

    def test_changes(self) -> None:
        """Of a change without a condition, false is said although it was carried out; it is read as done."""
        reply = SERVED["KVS.Apply"].reply
        for op, value, said, read in (
            ("set", None, b"\xc2", None),
            ("delete-tree", None, b"\xc2", None),
            ("cas", True, b"\xc3", True),
            ("cas", False, b"\xc2", False),
            ("lock", True, b"\xc3", True),
            ("unlock", False, b"\xc2", False),
        ):
            request = KVSRequest(op=op, dir_ent=DirEntry(key=b"a"))
            self.assertEqual(reply.encode(value, request), said, op)
            self.assertIs(reply.decode(said, request), read, op)

    def test_settings(self) -> None:
        """Settings that are written whatever they were are written, whatever is said."""
        reply = SERVED["Operator.AutopilotSetConfiguration"].reply
        plain, compared = AutopilotSetConfigRequest(), AutopilotSetConfigRequest(cas=True)
        self.assertEqual(reply.encode(True, plain), b"\xc2")
        self.assertIs(reply.decode(b"\xc2", plain), True)
        self.assertIs(reply.decode(b"\xc2", compared), False)
        self.assertIs(reply.decode(reply.encode(True, compared), compared), True)

    def test_sessions(self) -> None:
        """The id is told of a session that was made; of one that was ended, nothing."""
        reply = SERVED["Session.Apply"].reply
        made, ended = SessionRequest(op="create"), SessionRequest(op="destroy", session=Session(id="s"))
        self.assertEqual(reply.decode(reply.encode("s", made), made), "s")
        self.assertEqual(reply.encode("s", ended), b"\xa0")
        self.assertEqual(reply.decode(b"\xa0", ended), "s")

    def test_meta(self) -> None:
        """What is known of an answer goes with it, to the nanosecond."""
        reply = SERVED["KVS.Get"].reply
        for answer in (Answer(7, DirEntry(key=b"a", value=b"v")), Answer(1 << 40, None, 0.25, False)):
            self.assertEqual(reply.decode(reply.encode(answer, None), None), answer)

    def test_keptBytes(self) -> None:
        """The bytes of a value that is kept are made once, whatever is known of the answer."""
        grown: list[int] = []
        view = View([Node(node="a")], lambda view, more: grown.append(more))
        reply = SERVED["Catalog.ListNodes"].reply
        first = reply.encode(Answer(1, view.value, 0.0, True, view), None)
        second = reply.encode(Answer(2, view.value, 0.0, True, view), None)
        self.assertEqual(len(grown), 1)
        self.assertEqual(reply.decode(first, None), Answer(1, [Node(node="a")]))
        self.assertEqual(reply.decode(second, None).index, 2)

    def test_nodes(self) -> None:
        """A node with its services is told as a map or as a list, and neither where there is no such node."""
        value = (Node(node="a"), {"web1": NodeService(id="web1", service="web")})
        for name in ("Catalog.NodeServices", "Catalog.NodeServiceList"):
            reply = SERVED[name].reply
            self.assertEqual(reply.decode(reply.encode(Answer(3, value), None), None), Answer(3, value))
            self.assertEqual(reply.decode(reply.encode(Answer(3, None), None), None), Answer(3, None))

    def test_names(self) -> None:
        """Names of services alone are told in their order."""
        reply = SERVED["Catalog.ServiceList"].reply
        body = reply.encode(Answer(3, {"web": ["a"], "db": []}), None)
        self.assertEqual(unpack(body)[b"Services"], [{b"Name": b"db"}, {b"Name": b"web"}])

    def test_transactions(self) -> None:
        """Operations that could not be taken are told of without an index."""
        reply = SERVED["Txn.Read"].reply
        request = TxnReadRequest()
        for carried_out in (True, False):
            answer = Answer(1, (TxnResponse(), carried_out), 0.0, carried_out)
            self.assertEqual(reply.decode(reply.encode(answer, request), request), answer)

    def test_usage(self) -> None:
        """How much is registered is told by datacenter."""
        reply = SERVED["Operator.Usage"].reply
        request = OperatorUsageRequest(datacenter="dc1")
        answer = Answer(9, ServiceUsage(services=1, connect_service_instances={"a": 1}))
        body = reply.encode(answer, request)
        self.assertEqual([*unpack(body)[b"Usage"]], [b"dc1"])
        self.assertEqual(reply.decode(body, request), answer)

    def test_notOurs(self) -> None:
        """A reply of another form is refused, not believed."""
        for row in METHODS:
            for body in (pack(7), pack([{"a": 1}, 3]), b""):
                try:
                    row.reply.decode(body, DCSpecificRequest())
                except (BadMessage, AttributeError):
                    continue  # AttributeError: this is no request of the method

    @settings(max_examples=200, deadline=None)
    @given(st.binary(max_size=60), st.sampled_from(sorted(SERVED)))
    def test_fuzzedRequests(self, body: bytes, method: str) -> None:
        """Whatever bytes come, a request is read or refused."""
        with contextlib.suppress(BadMessage):
            SERVED[method].request.decode(body)

    _values = st.recursive(
        st.none() | st.booleans() | st.integers(-(2**63), 2**64 - 1) | st.binary(max_size=5) | st.floats(),
        lambda inner: (
            st.lists(inner, max_size=3)
            | st.dictionaries(st.sampled_from(["Nodes", "Services", "NodeServices", "Node", "Index", "Dump"]), inner)
        ),
        max_leaves=10,
    )

    @settings(max_examples=300, deadline=None)
    @given(_values, st.sampled_from(sorted(SERVED)))
    def test_fuzzedReplies(self, value: Any, method: str) -> None:
        """Whatever value comes, a reply is read or refused."""
        row = SERVED[method]
        request = ENDPOINTS[row.name].request()
        with contextlib.suppress(BadMessage):
            row.reply.decode(pack(value), request)
