"""The agent's own services and checks over HTTP: spellings, strictness, answers."""

from __future__ import annotations

import json
from typing import Any

from hypothesis import given
from hypothesis import strategies as st
from twisted.internet.defer import Deferred
from twisted.trial.unittest import SynchronousTestCase

from tests.agent.local_agent import LocalAgent
from tests.http.test_api import Asking, settings
from txconsul.http.api import API
from txconsul.http.response import Response
from txconsul.http.table import ROUTES


class AgentTestCase(SynchronousTestCase):
    """A test case with an API around an agent."""

    def setUp(self) -> None:
        """Nothing is registered yet."""
        self.agent = LocalAgent()
        self.addCleanup(self.agent.running.stop_all)
        self.asking = Asking()
        self.asking.served = self.agent.served
        self.asking.api = API(self.agent.served.door, settings(), ROUTES)

    def put(self, path: str, body: Any = None, status: int = 200) -> str:
        """Tell the agent something. @return: its answer."""
        data = b"" if body is None else body if isinstance(body, bytes) else json.dumps(body).encode()
        answer = self.asking.ask("PUT", f"/v1/agent/{path}", data)
        assert isinstance(answer.body, bytes)
        self.assertEqual(answer.status, status, answer.body)
        return answer.body.decode()

    def get(self, path: str, status: int = 200) -> Response:
        """Ask the agent something."""
        answer = self.asking.ask("GET", f"/v1/agent/{path}")
        self.assertEqual(answer.status, status, answer.body)
        return answer


class DefinitionTests(AgentTestCase):
    """Bodies."""

    def test_spellings(self) -> None:
        """Names match whatever their case, and where Consul takes them, in snake case."""
        service = {
            "name": "web",
            "enable_tag_override": True,
            "tagged_addresses": {"lan": {"address": "h", "port": 1}},
            "check": {"ttl": "10s", "deregister_critical_service_after": "1m", "service_id": "unheeded"},
        }
        self.assertEqual(self.put("service/register", service), "")
        found = self.asking.get("/v1/agent/services")["web"]
        self.assertTrue(found["EnableTagOverride"])
        self.assertEqual(found["TaggedAddresses"], {"lan": {"Address": "h", "Port": 1}})
        self.put("check/register", {"id": "c", "name": "n", "service_id": "web", "ttl": 600000000000})
        self.put("check/register", {"Name": "d", "Tcp": "h:1", "interval": "10h", "tls_skip_verify": True})
        checks = self.asking.get("/v1/agent/checks")
        self.assertEqual(
            {id: one["Type"] for id, one in checks.items()}, {"service:web": "ttl", "c": "ttl", "d": "tcp"}
        )
        self.assertEqual(checks["d"]["Interval"], "10h0m0s")

    def test_spellingsOfTheMesh(self) -> None:
        """So do those of proxies, with agent and catalog; what else stands beside a sidecar is passed over."""
        proxy = {
            "destination_service_name": "web",
            "mesh_gateway": {"mode": "local"},
            "upstreams": [{"destination_name": "db", "local_bind_port": 9}],
            "expose": {"paths": [{"path": "/", "listener_port": 7, "local_path_port": 8}]},
        }
        service = {"name": "side", "kind": "connect-proxy", "port": 1, "proxy": proxy}
        self.put("service/register", service)
        beside = {"name": "web", "port": 80, "connect": {"sidecar_service": {"port": 3}, "colour": "red"}}
        self.put("service/register", beside)
        found = self.asking.get("/v1/agent/services")
        self.assertEqual({*found}, {"side", "web", "web-sidecar-proxy"})
        body = {"Node": "n", "Address": "h", "Service": {"Service": "side", "Kind": "connect-proxy", "Port": 1}}
        body["Service"]["proxy"] = proxy  # type: ignore[index]
        answer = self.asking.ask("PUT", "/v1/catalog/register", json.dumps(body).encode())
        self.assertEqual(answer.status, 200, answer.body)
        (registered,) = self.asking.get("/v1/catalog/service/side")
        for shown in (found["side"]["Proxy"], registered["ServiceProxy"]):
            self.assertEqual(shown["DestinationServiceName"], "web")
            self.assertEqual(shown["MeshGateway"], {"Mode": "local"})
            self.assertEqual(
                (shown["Upstreams"][0]["DestinationName"], shown["Upstreams"][0]["LocalBindPort"]), ("db", 9)
            )
            path = shown["Expose"]["Paths"][0]
            self.assertEqual((path["ListenerPort"], path["LocalPathPort"]), (7, 8))

    def test_strict(self) -> None:
        """Unknown names at any depth, and values of other types, are refused."""
        for body in (
            b"",
            b"{",
            b"[]",
            {"Name": "a", "Shade": 1},
            {"Name": "a", "Port": "80"},
            {"Name": "a", "Check": {"TTL": "ten"}},
            {"Name": "a", "Checks": [{"TTL": "1s", "Frequency": 1}]},
            {"Name": "a", "Connect": {"SidecarService": {"Colour": 1}}},
        ):
            self.assertTrue(self.put("service/register", body, 400).startswith("Request decode failed: "))
        for body in ({"Name": "a", "CheckID": "b", "TTL": "1s"}, {"Name": "a", "TTL": "soon"}):
            self.assertTrue(self.put("check/register", body, 400).startswith("Request decode failed: "))
        self.assertEqual(self.asking.get("/v1/agent/services"), {})

    @given(
        st.recursive(
            st.none() | st.booleans() | st.integers() | st.text(max_size=5),
            lambda inner: (
                st.lists(inner, max_size=3)
                | st.dictionaries(
                    st.sampled_from(
                        [
                            "Name",
                            "Check",
                            "checks",
                            "TTL",
                            "Connect",
                            "sidecar_service",
                            "Proxy",
                            "upstreams",
                            "expose",
                            "paths",
                            "x",
                        ]
                    ),
                    inner,
                    max_size=4,
                )
            ),
            max_leaves=12,
        )
    )
    def test_anything(self, body: Any) -> None:
        """Whatever JSON comes, it is taken or refused, and never breaks the agent."""
        agent = LocalAgent()
        api = API(agent.served.door, settings(), ROUTES)
        self.asking.api = api
        for path in ("service/register", "check/register", "check/update/none"):
            answer = self.asking.ask("PUT", f"/v1/agent/{path}", json.dumps(body).encode())
            self.assertIn(answer.status, (200, 400, 404), answer.body)
        agent.running.stop_all()


class AnswerTests(AgentTestCase):
    """What is shown."""

    def test_health(self) -> None:
        """200, 429 and 503 by what the checks say, as JSON or one word; 404 for what is not there."""
        self.put("service/register", {"Name": "web", "Check": {"CheckID": "c", "TTL": "1m", "Status": "passing"}})
        for verb, status, word in (("pass", 200, b"passing"), ("warn", 429, b"warning"), ("fail", 503, b"critical")):
            self.put(f"check/{verb}/c")
            for path in ("id/web", "name/web"):
                self.assertEqual(self.get(f"health/service/{path}?format=text", status).body, word)
                self.assertIn(b"X-Consul-Reason: " + word, self.get(f"health/service/{path}", status).head)
        self.put("maintenance?enable=true")
        self.assertEqual(self.get("health/service/id/web?format=text", 503).body, b"maintenance")
        for path, empty in (("id", {"AggregatedStatus": "critical", "Service": None, "Checks": None}), ("name", [])):
            answer = self.get(f"health/service/{path}/none", 404)
            self.assertEqual(json.loads(answer.body), empty)  # type: ignore[arg-type]
        self.asking.api = API(self.agent.served.door, settings(keep_unprintable=True), ROUTES)
        head = self.get("health/service/id/a%0d%0aX-B:1?format=text", 404).head
        self.assertNotIn(b"\r\nX-B", head)

    def test_filters(self) -> None:
        """Services and checks by a filter over their fields."""
        for name in ("web", "db"):
            self.put("service/register", {"Name": name, "Tags": [name], "Check": {"TTL": "1m"}})
        self.assertEqual([*self.asking.get('/v1/agent/services?filter="db"+in+Tags')], ["db"])
        self.assertEqual([*self.asking.get("/v1/agent/checks?filter=ServiceName==web")], ["service:web"])
        self.get("services?filter=Datacenter==dc1", 500)

    def test_lists(self) -> None:
        """Lists heed their filter alone, one service how long it waits, too; how consistent, neither."""
        self.put("service/register", {"Name": "web"})
        for path in ("services", "checks"):
            self.get(f"{path}?stale&consistent&wait=x&index=x&max_stale=x")
        self.get("service/web?stale&consistent&max_stale=x")
        self.get("service/web?wait=x", 400)
        self.get("service/web?index=x", 400)

    def test_maintenanceParameters(self) -> None:
        """Whether to enable must be said, in a way that can be understood."""
        self.put("service/register", {"Name": "web"})
        for path, text in (
            ("maintenance", "Missing value for enable"),
            ("maintenance?enable=sure", 'Invalid value for enable: "sure"'),
            ("maintenance?enable=", 'Invalid value for enable: ""'),
            ("service/maintenance/web", "Missing value for enable"),
            ("service/maintenance/?enable=true", "Missing service ID"),
        ):
            self.assertEqual(self.put(path, status=400), text)
        self.put("service/maintenance/none?enable=true", status=404)


class BlockingTests(AgentTestCase):
    """Waiting for a service to change, by the hash of its content."""

    def setUp(self) -> None:
        """One service and its hash."""
        super().setUp()
        self.put("service/register", {"Name": "web", "Port": 1})
        self.hash = self.asking.get("/v1/agent/service/web")["ContentHash"]

    def wait(self, query: str = "") -> tuple[Deferred[Response], list[Any]]:
        """Ask with the hash; the answer, and where it will be."""
        answer = self.asking.raw("GET", f"/v1/agent/service/web?hash={self.hash}{query}")
        found: list[Any] = []
        answer.addBoth(found.append)
        return answer, found

    def test_changed(self) -> None:
        """The answer comes with the change, not with one that changes nothing, nor with another service's."""
        _, found = self.wait()
        self.put("service/register", {"Name": "other", "Port": 1})
        self.put("service/register", {"Name": "web", "Port": 1})
        self.assertEqual(found, [])
        self.put("service/register", {"Name": "web", "Port": 2})
        self.assertEqual(json.loads(found[0].body)["Port"], 2)
        self.assertNotEqual(json.loads(found[0].body)["ContentHash"], self.hash)

    def test_reloaded(self) -> None:
        """Who waits sees what a reload left, and nothing of its midst, when the service was away."""
        self.agent.registrations.reload([{"name": "conf", "port": 1}], [])
        self.hash = self.asking.get("/v1/agent/service/conf")["ContentHash"]
        answer = self.asking.raw("GET", f"/v1/agent/service/conf?hash={self.hash}")
        self.agent.registrations.reload([{"name": "conf", "port": 1}], [])
        self.assertNoResult(answer)
        self.agent.registrations.reload([{"name": "conf", "port": 2}], [])
        found = self.successResultOf(answer)
        self.assertEqual((found.status, json.loads(found.body)["Port"]), (200, 2))

    def test_gone(self) -> None:
        """A service that is deregistered is 404 to who waits."""
        _, found = self.wait()
        self.put("service/deregister/web")
        self.assertEqual((found[0].status, found[0].body), (404, b"unknown service ID: web"))

    def test_timeUp(self) -> None:
        """After the time that was asked for, the answer is as it was."""
        _, found = self.wait("&wait=5s")
        self.agent.clock.advance(4.9)
        self.assertEqual(found, [])
        self.agent.clock.advance(0.1)
        self.assertEqual(json.loads(found[0].body)["ContentHash"], self.hash)

    def test_nothingStays(self) -> None:
        """Who goes away leaves nothing behind; who waits while the agent stops is answered."""
        answer, _ = self.wait()
        answer.cancel()
        self.assertEqual(self.agent.clock.getDelayedCalls(), [])
        _, found = self.wait()
        self.agent.served.door.close()
        self.agent.local.wake_watchers()
        self.assertEqual(found[0].status, 200)
        self.assertEqual(self.agent.clock.getDelayedCalls(), [])
