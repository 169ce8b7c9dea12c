"""The metrics of a process, as monitoring reads them."""

from __future__ import annotations

from prometheus_client.parser import text_string_to_metric_families

from tests.real.process import ProcessTestCase


class MetricsTests(ProcessTestCase):
    """C{/v1/agent/metrics}."""

    def test_described(self) -> None:
        """Prometheus' own reader understands all of it, and every metric is described in words."""
        process = self.started(telemetry={"prometheus_retention_time": "60s", "enable_host_metrics": True})
        self.put("a", "1")
        for path in ("/v1/health/service/consul", "/v1/catalog/service/no", "/v1/health/service/consul?cached"):
            self.assertEqual(self.ask("GET", path).status, 200)
        text = self.ask("GET", "/v1/agent/metrics?format=prometheus").body.decode()
        families = {family.name: family for family in text_string_to_metric_families(text)}
        for name, family in families.items():
            self.assertFalse(family.documentation.startswith("consul"), f"{name} is not in the table of metrics")
            self.assertNotEqual(family.type, "unknown", name)
        samples = {sample.name: sample.value for sample in families["consul_kvs_apply"].samples}
        self.assertEqual(samples["consul_kvs_apply_count"], 1.0)
        self.assertEqual(families["consul_raft_apply"].type, "counter")
        self.assertGreater(families["consul_health_service_query"].samples[0].value, 0)
        (leads,) = [family for name, family in families.items() if name.endswith("server_isLeader")]
        self.assertEqual(leads.samples[0].value, 1.0)
        self.stopped(process)
