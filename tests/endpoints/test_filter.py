"""C{?filter=} on the catalog and on health: what is left, which index it has, and what is refused."""

from __future__ import annotations

from random import Random
from typing import Any

from twisted.trial.unittest import SynchronousTestCase

from tests.endpoints.serving import Served
from tests.http.test_api import Asking
from txconsul.errors import TxconsulError
from txconsul.language.bexpr import BadExpression, TooCostly, select_seen
from txconsul.records.base import Record
from txconsul.records.catalog import RegisterRequest
from txconsul.records.health import HealthCheck
from txconsul.records.queries import (
    ChecksInStateRequest,
    DCSpecificRequest,
    NodeSpecificRequest,
    ServiceSpecificRequest,
)
from txconsul.records.query import QueryOptions
from txconsul.records.service import NodeService


def populate(served: Served) -> None:
    """Two racks with a service each of one name, one of them with another service and a failing check."""
    for number in (1, 2):
        request = RegisterRequest(
            node=f"rack{number}",
            address=f"10.0.0.{number}",
            node_meta={"zone": "north" if number == 1 else "south"},
            service=NodeService(id=f"web-{number}", service="web", port=8000 + number, tags=(f"t{number}",)),
            checks=(
                HealthCheck(check_id="up", status="passing" if number == 1 else "critical", service_id=f"web-{number}"),
                HealthCheck(check_id="disk", status="passing"),
            ),
        )
        served.call("Catalog.Register", request)
    mail = NodeService(id="mail", service="mail", port=25, tags=("in",))
    served.call("Catalog.Register", RegisterRequest(node="rack1", skip_node_update=True, service=mail))


def asked(record: type[Record], expression: str, **more: Any) -> Any:
    """A question with a filter."""
    return record(datacenter="dc1", options=QueryOptions(filter=expression), **more)


class FilterTests(SynchronousTestCase):
    """Every method that heeds a filter."""

    def setUp(self) -> None:
        self.served = Served()
        populate(self.served)

    def value(self, method: str, request: Any) -> Any:
        """The answer without its index."""
        return self.served.call(method, request).value

    def test_nodes(self) -> None:
        """Nodes by any of their fields."""
        found = self.value("Catalog.ListNodes", asked(DCSpecificRequest, "Meta.zone == south"))
        self.assertEqual([one.node for one in found], ["rack2"])

    def test_services(self) -> None:
        """Names and tags of those instances that pass, which are looked at with their nodes."""
        ask = self.value
        self.assertEqual(ask("Catalog.ListServices", asked(DCSpecificRequest, "ServicePort == 25")), {"mail": ["in"]})
        south = asked(DCSpecificRequest, "NodeMeta.zone == south")
        self.assertEqual(ask("Catalog.ListServices", south), {"web": ["t2"]})
        both = asked(DCSpecificRequest, "ServiceName == web", node_meta_filters={"zone": "north"})
        self.assertEqual(ask("Catalog.ListServices", both), {"web": ["t1"]})

    def test_ofNode(self) -> None:
        """A node's services, and its checks; the node itself is shown all the same."""
        request = asked(NodeSpecificRequest, "Port == 25", node="rack1")
        node, services = self.value("Catalog.NodeServices", request)
        self.assertEqual((node.node, list(services)), ("rack1", ["mail"]))
        nowhere = asked(NodeSpecificRequest, "Port == 25", node="nowhere")
        self.assertIsNone(self.value("Catalog.NodeServices", nowhere))
        request = asked(NodeSpecificRequest, "CheckID == disk", node="rack1")
        self.assertEqual([one.check_id for one in self.value("Health.NodeChecks", request)], ["disk"])

    def test_ofService(self) -> None:
        """A service's instances, plain and with their health, and its checks."""
        request = asked(ServiceSpecificRequest, "t1 in ServiceTags", service_name="web")
        self.assertEqual([one.service_id for one in self.value("Catalog.ServiceNodes", request)], ["web-1"])
        request = asked(ServiceSpecificRequest, "Checks.Status == critical", service_name="web")
        self.assertEqual([one.service.id for one in self.value("Health.ServiceNodes", request)], ["web-2"])
        request = asked(ServiceSpecificRequest, "Node.Node == rack2", service_name="web", must_be_passing=True)
        self.assertEqual(self.value("Health.ServiceNodes", request), [])
        request = asked(ServiceSpecificRequest, "Status != passing", service_name="web")
        self.assertEqual([one.node for one in self.value("Health.ServiceChecks", request)], ["rack2"])

    def test_ofState(self) -> None:
        """Checks of one status, or of any."""
        request = asked(ChecksInStateRequest, "CheckID == disk", state="any")
        self.assertEqual([one.node for one in self.value("Health.ChecksInState", request)], ["rack1", "rack2"])

    def test_index(self) -> None:
        """The index says which state was read, whatever is left of it."""
        for method, request in (
            ("Catalog.ListNodes", DCSpecificRequest),
            ("Catalog.ListServices", DCSpecificRequest),
        ):
            plain = self.served.call(method, asked(request, ""))
            empty = self.served.call(method, asked(request, "Node == none"))
            self.assertEqual((empty.index, len(empty.value)), (plain.index, 0))

    def test_blocking(self) -> None:
        """A query that waits is filtered when it wakes."""
        index = self.served.call("Catalog.ListNodes", asked(DCSpecificRequest, "")).index
        options = QueryOptions(filter="Node matches `[13]$`", min_query_index=index)
        waiting = self.served.call("Catalog.ListNodes", DCSpecificRequest(datacenter="dc1", options=options))
        self.assertNoResult(waiting)
        self.served.call("Catalog.Register", RegisterRequest(node="rack3", address="10.0.0.3"))
        self.assertEqual([one.node for one in self.successResultOf(waiting).value], ["rack1", "rack3"])

    def test_refused(self) -> None:
        """A filter that does not suit is refused before anything is read, also where there is nothing to filter."""
        served = Served()
        for method, request in (
            ("Catalog.ListNodes", asked(DCSpecificRequest, "Nope == 1")),
            ("Catalog.ListServices", asked(DCSpecificRequest, "Service == 1")),
            ("Catalog.NodeServices", asked(NodeSpecificRequest, "Node == 1", node="n")),
            ("Catalog.ServiceNodes", asked(ServiceSpecificRequest, "Port == 1", service_name="s")),
            ("Health.NodeChecks", asked(NodeSpecificRequest, "Definition is empty", node="n")),
            ("Health.ServiceChecks", asked(ServiceSpecificRequest, "Status ==", service_name="s")),
            ("Health.ChecksInState", asked(ChecksInStateRequest, "Status == a and", state="any")),
            ("Health.ServiceNodes", asked(ServiceSpecificRequest, "Status == a", service_name="s")),
        ):
            self.assertRaises(BadExpression, served.call, method, request)

    def test_tooCostly(self) -> None:
        """A pattern that takes too long is an error of the request's, and the next request is served."""
        noise = "".join(Random(1).choices("ab", k=9000))
        check = HealthCheck(check_id="noise", status="passing", output=noise)
        self.served.call("Catalog.Register", RegisterRequest(node="rack1", address="10.0.0.1", check=check))
        costly = asked(ChecksInStateRequest, "Output matches `[ab]*a[ab]{900}c`", state="any")
        error = self.assertRaises(TxconsulError, self.served.call, "Health.ChecksInState", costly)
        self.assertIsInstance(error, TooCostly)
        self.test_ofState()


class HTTPTests(SynchronousTestCase):
    """What a client sees."""

    def test_errors(self) -> None:
        """Status 500 and the reason; the catalog says that it has no index, health of a service says nothing."""
        asking = Asking()
        for path, meta in (("catalog/nodes", True), ("health/state/any", True), ("health/service/web", False)):
            answer = asking.ask("GET", f"/v1/{path}?filter=Nope+==+1")
            self.assertEqual(answer.status, 500)
            expected = b'Failed to create boolean expression evaluator: Selector "Nope" is not valid'
            self.assertEqual(answer.body, expected)
            self.assertEqual(b"X-Consul-Knownleader: false" in answer.head, meta)

    def test_members(self) -> None:
        """Members by their tags, numbers and names; addresses are bytes, which have no text."""
        asking = Asking()
        member = {"Name": "s1", "Addr": "127.0.0.1", "Port": 8301, "Tags": {"dc": "dc1"}, "Status": 1}
        facts = asking.served.site.facts
        self.patch(type(facts), "members", lambda _, wan: [member])
        for expression, count in (
            ("Tags.dc+==+dc1+and+Status+==+1", 1),
            ("Name+!=+s1", 0),
            ("127+in+Addr+and+Addr+is+not+empty", 1),
            ("", 1),
        ):
            answer = asking.ask("GET", f"/v1/agent/members?filter={expression}")
            self.assertEqual(answer.body.count(b'"s1"'), count, answer.body)
        answer = asking.ask("GET", '/v1/agent/members?filter=Addr+==+"127.0.0.1"')
        self.assertEqual((answer.status, b"X-Consul-Index" in answer.head), (500, False))

    def test_seen(self) -> None:
        """Where nothing was declared, what is not a field matters once there is something that should have it."""
        check = HealthCheck(check_id="c", name="beat", status="passing")
        self.assertEqual(select_seen("Nope == 1", HealthCheck, {}), {})
        self.assertEqual(select_seen("Name == beat", HealthCheck, {"c": check}), {"c": check})
        for text, checks, wanted in (
            ("Nope == 1", {"c": check}, 'Selector "Nope" is not valid'),
            ("Name", {}, "Failed to create boolean expression evaluator: 1:5 (4): no match found"),
        ):
            error = self.assertRaises(BadExpression, select_seen, text, HealthCheck, checks)
            self.assertTrue(str(error).startswith(wanted), str(error))

    def test_peers(self) -> None:
        """
        What was imported from a peer is asked for by the peer's name, where instances are listed; there is none yet. Of
        all else the name means nothing, as in Consul.
        """
        asking = Asking()
        populate(asking.served)
        for path in ("catalog/service/web", "health/service/web"):
            self.assertEqual(asking.ask("GET", f"/v1/{path}?peer=other").body, b"[]")
        for path in ("catalog/nodes", "catalog/services", "catalog/node/rack1", "health/state/any"):
            named, plain = (asking.ask("GET", f"/v1/{path}{query}").body for query in ("?peer=other", ""))
            self.assertEqual(named, plain)

    def test_backend(self) -> None:
        """Who waits for the health of a service is told that a view answers."""
        asking = Asking()
        populate(asking.served)
        plain = asking.ask("GET", "/v1/health/service/web")
        self.assertIn(b"Query-Backend: blocking-query", plain.head)
        waited = asking.ask("GET", "/v1/health/service/web?index=1&filter=Service.Port+==+8001")
        self.assertIn(b"Query-Backend: streaming", waited.head)
        self.assertIn(b'"web-1"', waited.body)
        self.assertNotIn(b'"web-2"', waited.body)
