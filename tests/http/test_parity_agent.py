"""What Consul answers about the agent to requests that clients seldom make."""

from __future__ import annotations

from typing import Any

from twisted.trial.unittest import SynchronousTestCase

from tests.http.test_api import Asking
from txconsul.http import prometheus

METRICS = {
    "Gauges": [{"Name": "consul.raft.last-index", "Value": 5, "Labels": {}}],
    "Counters": [{"Name": "consul.asked", "Count": 2, "Labels": {"method": 'a"b\\\n'}}],
}


class MetricsTests(SynchronousTestCase):
    """C{/v1/agent/metrics}."""

    def asking(self, **changes: Any) -> Asking:
        """An API whose agent measured something."""
        asking = Asking(**changes)
        self.patch(asking.served.site.facts, "metrics", lambda: METRICS)
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
                b"# HELP consul_raft_last_index consul_raft_last_index\n# TYPE consul_raft_last_index gauge\n"
                b"consul_raft_last_index 5\n# HELP consul_asked consul_asked\n# TYPE consul_asked counter\n"
                b'consul_asked{method="a\\"b\\\\\\n"} 2\n',
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
