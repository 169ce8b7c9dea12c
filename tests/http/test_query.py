"""C{/v1/query}: paths, methods, parameters, and what answers look like."""

from __future__ import annotations

import json
from typing import Any

from twisted.internet.defer import Deferred
from twisted.trial.unittest import SynchronousTestCase

from tests.agent.caching import CachedServer
from tests.http.test_api import Asking, settings
from txconsul.http.api import API
from txconsul.http.rendered import RenderedInstances
from txconsul.http.response import Response
from txconsul.http.table import ROUTES
from txconsul.records.catalog import CheckServiceNode, Node, RegisterRequest
from txconsul.records.health import HealthCheck
from txconsul.records.service import NodeService


class QueryTests(SynchronousTestCase):
    """The paths of prepared queries."""

    def setUp(self) -> None:
        self.asking = Asking()
        for number, status in ((1, "passing"), (2, "")):
            checks = (HealthCheck(check_id="up", status=status, service_id="web"),) if status else None
            service = NodeService(id="web", service="web", port=8000 + number)
            request = RegisterRequest(node=f"n{number}", address=f"10.0.0.{number}", service=service, checks=checks)
            self.asking.served.call("Catalog.Register", request)

    def create(self, **fields: Any) -> str:
        """Create a query; its id."""
        fields.setdefault("Service", {"Service": "web"})
        answer = self.asking.ask("POST", "/v1/query", json.dumps(fields).encode())
        self.assertEqual(answer.status, 200, answer.body)
        id: str = json.loads(answer.body)["ID"]  # type: ignore[arg-type]
        return id

    def refused(self, status: int, words: str, method: str, target: str, body: bytes = b"") -> bytes:
        """A request is refused; the answer's head."""
        answer = self.asking.ask(method, target, body)
        self.assertEqual((answer.status, answer.body), (status, words.encode()))
        return answer.head

    def test_lives(self) -> None:
        """Created, listed, told, changed and deleted."""
        id = self.create(Name="q", DNS={"TTL": "10s"})
        shown = self.asking.get(f"/v1/query/{id}")
        self.assertEqual(self.asking.get("/v1/query"), shown)
        self.assertEqual((shown[0]["Name"], shown[0]["DNS"], shown[0]["Service"]["Tags"]), ("q", {"TTL": "10s"}, None))
        # the id is that of the path, whatever the body says
        body = b'{"ID": "x", "Name": "other", "Service": {"Service": "web"}}'
        answer = self.asking.ask("PUT", f"/v1/query/{id}", body)
        self.assertEqual((answer.status, answer.body), (200, b""))
        self.assertEqual(self.asking.get(f"/v1/query/{id}")[0]["Name"], "other")
        self.assertEqual(self.asking.ask("DELETE", f"/v1/query/{id}").body, b"")
        head = self.refused(404, "Query not found", "GET", f"/v1/query/{id}")
        self.assertIn(b"X-Consul-Knownleader: false", head)
        self.assertEqual(self.asking.get("/v1/query"), [])

    def test_executed(self) -> None:
        """Instances in some order, with what is known of the answer in its head and in its body."""
        self.create(Name="q")
        answer = self.asking.ask("GET", "/v1/query/q/execute?stale")
        self.assertIn(b"X-Consul-Effective-Consistency: stale\r\n", answer.head)
        self.assertIn(b"X-Consul-Index: 1\r\n", answer.head)
        shown = json.loads(answer.body)  # type: ignore[arg-type]
        nodes = sorted(shown.pop("Nodes"), key=lambda one: str(one["Node"]["Node"]))
        self.assertEqual([one["Node"]["Address"] for one in nodes], ["10.0.0.1", "10.0.0.2"])
        self.assertEqual((nodes[0]["Checks"][0]["CheckID"], nodes[1]["Checks"]), ("up", None))
        self.assertIsNone(nodes[0]["Service"]["Tags"])
        expected: dict[str, Any] = {"Service": "web", "Datacenter": "dc1", "PeerName": "", "DNS": {"TTL": ""}}
        expected |= {"Failovers": 0, "Index": 1, "LastContact": 0, "KnownLeader": True, "ConsistencyLevel": "stale"}
        expected |= {"NotModified": False, "Backend": 0, "ResultsFilteredByACLs": False}
        self.assertEqual(shown, expected)
        self.assertTrue(self.asking.ask("GET", "/v1/query/q/execute?pretty").body.endswith(b"}\n"))  # type: ignore[union-attr]

    def test_nothingFound(self) -> None:
        """No instances are an empty list."""
        self.create(Name="none", Service={"Service": "nobody", "Failover": {"NearestN": 3}})
        self.assertEqual(self.asking.get("/v1/query/none/execute")["Nodes"], [])

    def test_parameters(self) -> None:
        """How many, near to what, in the mesh or not."""
        self.create(Name="q")
        self.assertEqual(len(self.asking.get("/v1/query/q/execute?limit=1")["Nodes"]), 1)
        self.assertEqual(len(self.asking.get("/v1/query/q/execute?limit=%2B1&connect=0")["Nodes"]), 1)
        self.assertEqual(self.asking.get("/v1/query/q/execute?connect=t")["Nodes"], [])
        for _ in range(5):
            near = self.asking.get("/v1/query/q/execute?near=N2")["Nodes"]
            self.assertEqual(near[0]["Node"]["Node"], "n2")
        words = 'Bad limit: strconv.Atoi: parsing "many": invalid syntax'
        for kind in ("execute", "explain"):
            head = self.refused(500, words, "GET", f"/v1/query/q/{kind}?limit=many")
            self.assertNotIn(b"X-Consul-Index", head)
        words = 'Bad limit: strconv.Atoi: parsing "9223372036854775808": value out of range'
        self.refused(500, words, "GET", "/v1/query/q/execute?limit=9223372036854775808")
        words = "Error parsing 'connect' value: strconv.ParseBool: parsing \"perhaps\": invalid syntax"
        self.refused(500, words, "GET", "/v1/query/q/execute?connect=perhaps")
        self.assertEqual(self.asking.ask("GET", "/v1/query/q/explain?connect=perhaps").status, 200)

    def test_asker(self) -> None:
        """The address of whoever asks is that of the connection, or the one that the first proxy has seen."""
        self.create(Name="q", Service={"Service": "web", "Near": "_ip"})
        for _ in range(5):
            answer = self.asking.ask("GET", "/v1/query/q/execute", x_forwarded_for="10.0.0.2, 10.0.0.1")
            self.assertEqual(json.loads(answer.body)["Nodes"][0]["Node"]["Node"], "n2")  # type: ignore[arg-type]
        self.assertEqual(self.asking.ask("GET", "/v1/query/q/execute", x_forwarded_for="nonsense").status, 200)

    def test_names(self) -> None:
        """Names may hold slashes, and may be called as the verbs are."""
        self.create(Name="a/b")
        self.create(Name="execute")
        for target in ("a/b/execute", "execute/execute", "execute"):
            self.assertEqual(len(self.asking.get(f"/v1/query/{target}")["Nodes"]), 2)
        self.assertEqual(self.asking.get("/v1/query/execute/explain")["Query"]["Name"], "execute")
        self.refused(404, "Query not found", "GET", "/v1/query/explain")

    def test_methods(self) -> None:
        """Which methods a path takes depends on its end."""
        head = self.refused(405, "method POST not allowed", "POST", "/v1/query/q")
        self.assertIn(b"Allow: GET,PUT,DELETE\r\n", head)
        for method in ("PUT", "DELETE", "POST"):
            head = self.refused(405, f"method {method} not allowed", method, "/v1/query/q/execute")
            self.assertIn(b"Allow: GET\r\n", head)
        self.refused(405, "method PUT not allowed", "PUT", "/v1/query")
        for target, allowed in (("q", b"OPTIONS,GET,PUT,DELETE"), ("q/explain", b"OPTIONS,GET")):
            answer = self.asking.ask("OPTIONS", f"/v1/query/{target}")
            self.assertEqual((answer.status, answer.body), (200, b"{}"))
            self.assertIn(b"Allow: %b\r\n" % allowed, answer.head)

    def test_bodies(self) -> None:
        """A body must be a query and nothing else; without one, nothing is changed to."""
        self.refused(400, "Request decode failed: unexpected EOF", "POST", "/v1/query", b"{")
        self.refused(400, "Request decode failed: EOF", "POST", "/v1/query")
        body = b'{"Service": {"Servers": 1}}'
        self.refused(400, 'Request decode failed: json: unknown field "Servers"', "POST", "/v1/query", body)
        self.refused(500, "Invalid prepared query: Must be bound to a session", "POST", "/v1/query", b"null")
        id = self.create(Name="q")
        self.refused(500, "Invalid prepared query: Must be bound to a session", "PUT", f"/v1/query/{id}")
        words = "failed prepared query lookup: index error: UUID must be 36 characters"
        self.refused(500, words, "GET", "/v1/query/x")


class CachedTests(SynchronousTestCase):
    """C{?cached}."""

    def setUp(self) -> None:
        self.asking = Asking()
        self.served = self.asking.served = served = CachedServer()
        self.asking.api = API(served.door, settings(), ROUTES, served.cache)
        served.register("n1")
        answer = self.asking.ask("POST", "/v1/query", b'{"Name": "q", "Service": {"Service": "web"}}')
        self.assertEqual(answer.status, 200)

    def answer(self, target: str, **headers: str) -> Response:
        """The answer, which comes in the next turn where it was not kept."""
        answer = self.asking.raw("GET", target, **headers)
        self.served.turn()
        return self.successResultOf(answer) if isinstance(answer, Deferred) else answer  # type: ignore[no-any-return]

    def run_query(self, query: str = "", **headers: str) -> tuple[bytes, int]:
        """The answer's head, and how many instances it has."""
        answer = self.answer(f"/v1/query/q/execute?cached{query}", **headers)
        return answer.head, len(json.loads(answer.body)["Nodes"])  # type: ignore[arg-type]

    def test_kept(self) -> None:
        """What was fetched is given until somebody wants it younger."""
        head, count = self.run_query()
        self.assertIn(b"X-Cache: MISS\r\n", head)
        self.served.register("n2")
        self.served.clock.advance(5)
        head, count = self.run_query(x_forwarded_for="10.0.0.7")
        self.assertIn(b"X-Cache: HIT\r\nAge: 5\r\n", head)
        self.assertEqual(count, 1)
        head, count = self.run_query(cache_control="max-age=3")
        self.assertIn(b"X-Cache: MISS\r\n", head)
        self.assertEqual(count, 2)

    def test_distinct(self) -> None:
        """What makes another answer is kept for itself."""
        for query in ("&limit=1", "&connect=true", "&near=n1"):
            self.assertIn(b"MISS", self.run_query(query)[0])
            self.assertIn(b"HIT", self.run_query(query)[0])

    def test_absent(self) -> None:
        """That there is no such query is an error like others, here."""
        answer = self.answer("/v1/query/none/execute?cached")
        self.assertEqual((answer.status, answer.body), (500, b"Query not found"))


class RenderedTests(SynchronousTestCase):
    """Instances that are kept as JSON."""

    def test_kept(self) -> None:
        """The same instance is rendered once, an equal one again; the oldest go."""
        rendered = RenderedInstances(2)
        first, second = [CheckServiceNode(node=Node(node="n"), service=NodeService()) for _ in range(2)]
        once, again = rendered([first, first])
        self.assertIs(once, again)
        (other,) = rendered([second])
        self.assertEqual(once, other)
        self.assertIsNot(once, other)
        rendered([CheckServiceNode()])
        self.assertEqual(len(rendered), 2)
