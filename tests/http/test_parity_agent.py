"""What Consul answers about the agent to requests that clients seldom make."""

from __future__ import annotations

import math
from typing import Any

from twisted.internet.defer import Deferred
from twisted.trial.unittest import SynchronousTestCase

from tests.endpoints.serving import Served
from tests.http.test_api import Asking, settings
from txconsul.http import prometheus
from txconsul.http.api import API
from txconsul.http.request import Request
from txconsul.http.table import ROUTES
from txconsul.metrics.metrics import Exposed, Metrics

EXPOSED = [
    Exposed("gauge", "consul.raft.last-index", (), 5),
    Exposed("gauge", "consul.host.total", (), 1, help="All of it"),
    Exposed("counter", "consul.asked", (("method", 'a"b\\\n'),), 2),
    Exposed("summary", "consul.api.http", (("path", "v1_kv_"),), 12.5, 4, (1.0, 2.0, math.nan)),
]


class MetricsTests(SynchronousTestCase):
    """C{/v1/agent/metrics}."""

    def asking(self, **changes: Any) -> Asking:
        """An API whose agent measured something."""
        asking = Asking(**changes)
        self.patch(asking.served.site.facts, "exposed_metrics", lambda: EXPOSED)
        return asking

    def test_prometheus(self) -> None:
        """Prometheus gets its text format, whether it asks by parameter or by header."""
        asking = self.asking(prometheus=True)
        for answer in (
            asking.ask("GET", "/v1/agent/metrics?format=prometheus"),
            asking.ask("GET", "/v1/agent/metrics", accept="application/openmetrics-text; version=1.0.0"),
        ):
            self.assertIn(b"Content-Type: text/plain; version=0.0.4; charset=utf-8\r\n", answer.head)
            self.assertEqual(
                answer.body,
                b"# HELP consul_api_http consul_api_http\n# TYPE consul_api_http summary\n"
                b'consul_api_http{path="v1_kv_",quantile="0.5"} 1.0\n'
                b'consul_api_http{path="v1_kv_",quantile="0.9"} 2.0\n'
                b'consul_api_http{path="v1_kv_",quantile="0.99"} NaN\n'
                b'consul_api_http_sum{path="v1_kv_"} 12.5\nconsul_api_http_count{path="v1_kv_"} 4.0\n'
                b"# HELP consul_asked consul_asked\n# TYPE consul_asked counter\n"
                b'consul_asked{method="a\\"b\\\\\\n"} 2.0\n'
                b"# HELP consul_host_total All of it\n# TYPE consul_host_total gauge\nconsul_host_total 1.0\n"
                b"# HELP consul_raft_last_index consul_raft_last_index\n# TYPE consul_raft_last_index gauge\n"
                b"consul_raft_last_index 5.0\n",
            )

    def test_prometheusOff(self) -> None:
        """Without a retention time, a header alone says why there is nothing."""
        answer = self.asking().ask("GET", "/v1/agent/metrics?format=prometheus")
        self.assertEqual((answer.status, answer.body), (200, b""))
        self.assertIn(b"X-Consul-Reason: Prometheus is not enabled", answer.head)

    def test_otherForms(self) -> None:
        """Whatever else is asked for is answered with JSON."""
        for target in ("/v1/agent/metrics", "/v1/agent/metrics?format=yaml", "/v1/agent/metrics?format"):
            answer = self.asking(prometheus=True).ask("GET", target)
            self.assertIn(b"Content-Type: application/json\r\n", answer.head)

    def test_accepted(self) -> None:
        """Of the types that a client takes, any may be Prometheus'."""
        for accept, wanted in {
            "": False,
            "*/*": False,
            "text/plain": False,
            "text/plain;version=0.4.0": True,
            "text/plain;version=0.0.4": False,
            "text/html, Application/OpenMetrics-Text;q=0.5": True,
        }.items():
            self.assertEqual(prometheus.is_wanted("", accept), wanted, accept)


class MembersTests(SynchronousTestCase):
    """C{/v1/agent/members}."""

    def test_pools(self) -> None:
        """C{?wan} with any value asks for the other pool, without one for the agent's own."""
        asking = Asking()
        asked: list[bool] = []
        self.patch(asking.served.site.facts, "members", lambda wan: asked.append(wan))
        for target, wanted in (("", False), ("?wan", False), ("?wan=1", True), ("?wan=no&segment=_all", True)):
            self.assertEqual(asking.get("/v1/agent/members" + target), None)
            self.assertEqual(asked.pop(), wanted)

    def test_segments(self) -> None:
        """There is one segment."""
        asking = Asking()
        for query, status, words in (
            ("segment=a", 500, b"Network segments are not supported in this version of Consul"),
            ("segment=a&wan=1", 400, b"Cannot provide a segment with wan=true"),
            ("partition=a", 400, b'Invalid query parameter: "partition" - Partitions are a Consul Enterprise feature'),
        ):
            answer = asking.ask("GET", "/v1/agent/members?" + query)
            self.assertEqual((answer.status, answer.body), (status, words))
        self.assertEqual(asking.get("/v1/agent/members?segment=_all&ns=a"), [])


class MonitorTests(SynchronousTestCase):
    """C{/v1/agent/monitor}."""

    def test_asked(self) -> None:
        """Level and form are parameters; what is logged is the body, piece by piece, of no type."""
        asking = Asking()
        asked: list[Any] = []

        def follow(level: str, json: bool) -> Any:
            asked.append((level, json))
            return iter([b"a line\n"])

        self.patch(asking.served.site.facts, "follow_log", follow)
        for target, wanted in (
            ("", ("INFO", False)),
            ("?loglevel=", ("INFO", False)),
            ("?loglevel=trace&logjson", ("trace", True)),
        ):
            answer = asking.ask("GET", "/v1/agent/monitor" + target)
            self.assertEqual((asked.pop(), answer.status), (wanted, 200))
            self.assertEqual(list(answer.body), [b"a line\n"])
            self.assertNotIn(b"Content-Type", answer.head)

    def test_metrics(self) -> None:
        """C{/v1/agent/metrics/stream} is the metrics of each ten seconds, likewise, and never compressed."""
        asking = Asking()
        self.patch(asking.served.site.facts, "follow_metrics", lambda: iter([b"{}\n"]))
        answer = asking.ask("GET", "/v1/agent/metrics/stream", accept_encoding="gzip")
        self.assertEqual((answer.status, list(answer.body)), (200, [b"{}\n"]))
        self.assertNotIn(b"Content-", answer.head)
        self.assertEqual(asking.ask("PUT", "/v1/agent/metrics/stream").status, 405)


class TimesTests(SynchronousTestCase):
    """What requests take, in C{api.http}."""

    def test_measured(self) -> None:
        """Requests are told apart by method and row, whatever follows in the path, and errors are among them."""
        now = [0.0]
        metrics = Metrics()

        def seconds() -> float:
            now[0] += 0.25
            return now[0]

        served = Served()
        api = API(served.door, settings(), ROUTES, None, metrics, seconds)
        for method, target in (("GET", "/v1/kv/a"), ("GET", "/v1/kv/b?recurse"), ("BREW", "/"), ("GET", "/v1/no/such")):
            api(Request(method.encode(), target.encode(), {}, "127.0.0.1:4000"))
        rows = [(one["Labels"], one["Count"], one["Mean"]) for one in metrics.document()["Samples"]]
        self.assertEqual(
            [row for row in rows if "path" in row[0]],
            [({"method": "(other)", "path": ""}, 1, 250.0), ({"method": "GET", "path": "v1_kv_"}, 2, 250.0)],
        )

    def test_catalog(self) -> None:
        """Requests of the catalog are counted under Consul's names: all, those that succeeded, those that failed."""
        metrics = Metrics()
        served = Served()
        api = API(served.door, settings(), ROUTES, None, metrics, served.clock.seconds)
        for target in ("/v1/catalog/nodes", "/v1/catalog/nodes", "/v1/catalog/nodes?filter=Nope+==+1"):
            api(Request(b"GET", target.encode(), {}, "127.0.0.1:4000"))
        counted = {one["Name"]: one["Count"] for one in metrics.document()["Counters"]}
        self.assertEqual(counted["consul.client.api.catalog_nodes"], 3)
        self.assertEqual(counted["consul.client.api.success.catalog_nodes"], 2)
        self.assertEqual(counted["consul.client.rpc.error.catalog_nodes"], 1)
        self.assertNotIn("consul.client.api.catalog_register", counted)

    def test_waiting(self) -> None:
        """What waits is measured when it is answered, or nobody waits for it any more."""
        metrics = Metrics()
        served = Served()
        api = API(served.door, settings(), ROUTES, None, metrics, served.clock.seconds)
        for seconds in (2.0, 3.0):
            answer = api(Request(b"GET", b"/v1/kv/a?index=1&wait=9s", {}, "127.0.0.1:4000"))
            assert isinstance(answer, Deferred)
            served.clock.advance(seconds)
            if seconds == 2.0:
                answer.addErrback(lambda _: None)
                answer.cancel()
            else:
                served.door.close()
        (row,) = [one for one in metrics.document()["Samples"] if one["Name"] == "consul.api.http"]
        self.assertEqual((row["Count"], row["Min"], row["Max"]), (2, 2000.0, 3000.0))
        self.assertEqual(served.site.blocking, 0)
