"""
Prometheus finds its targets by C{consul_sd_configs}. Debian 12 has one that was built without: script/prometheus builds
one with it; TXCONSUL_PROMETHEUS names it.
"""

from __future__ import annotations

import os
from typing import Any
from unittest import SkipTest

from tests.clients.discovering import DiscoveryTestCase, needs

#: Prometheus gathers what changed for five seconds before it shows it.
SECONDS = 60.0
PROGRAM = os.environ.get("TXCONSUL_PROMETHEUS", "prometheus")
_READY, _WITHOUT = "Server is ready", "consul_sd_configs not found"

CONFIGURATION = """
global: {{scrape_interval: 1h}}
scrape_configs:
  - job_name: site
    consul_sd_configs:
      - server: "{http}"
        services: [web]
        tags: [metrics]
        refresh_interval: 1s
    relabel_configs:
      - source_labels: [__meta_consul_health]
        regex: passing
        action: keep
      - source_labels: [__meta_consul_service_id]
        target_label: instance_id
      - source_labels: [__meta_consul_tags]
        target_label: tags
      - source_labels: [__meta_consul_service_metadata_version]
        target_label: version
      - source_labels: [__meta_consul_node]
        target_label: node
  - job_name: everything
    consul_sd_configs:
      - server: "{http}"
        refresh_interval: 1s
    relabel_configs:
      - source_labels: [__meta_consul_service]
        target_label: service
"""


class PrometheusTests(DiscoveryTestCase):
    """An agent, and a Prometheus that looks at it."""

    def setUp(self) -> None:
        needs(PROGRAM)
        super().setUp()
        self.register("web", "web1", 8001, Tags=["metrics", "v1"], Meta={"version": "1"})
        self.register("web", "web2", 8002, Tags=["v1"])
        self.register("web", "web3", 8003, "critical", Tags=["metrics"])
        file = self.directory / "prometheus.yml"
        file.write_text(CONFIGURATION.format(http=self.http))
        self.where = "{}:{}".format(*self.own_address())
        self.prometheus = self.run_program(
            PROGRAM,
            f"--config.file={file}",
            f"--storage.tsdb.path={self.directory / 'tsdb'}",
            f"--web.listen-address={self.where}",
        )
        if _WITHOUT in self.prometheus.wait_for(f"{_READY}|{_WITHOUT}"):
            raise SkipTest(f"{PROGRAM} was built without Consul: script/prometheus")

    def targets(self, job: str, *labels: str) -> set[tuple[str, ...]]:
        """Address and some labels of each target."""
        found = self.request("GET", f"{self.where}/api/v1/targets?state=active")["data"]["activeTargets"]
        return {
            (one["discoveredLabels"]["__address__"], *[one["labels"].get(label, "") for label in labels])
            for one in found
            if one["labels"]["job"] == job
        }

    def test_targetsFollow(self) -> None:
        """Targets have the tag and pass; they come and go with registrations and health; labels tell of them."""

        def look() -> set[tuple[str, ...]]:
            return self.targets("site", "instance_id", "tags", "version", "node")

        first = ("127.0.0.1:8001", "web1", ",metrics,v1,", "1", "one")
        self.comes(look, {first}, SECONDS)
        self.update("web1", "critical")
        self.update("web3", "passing")
        self.register("web", "web4", 8004, Tags=["metrics"])
        third = ("127.0.0.1:8003", "web3", ",metrics,", "", "one")
        self.comes(look, {third, ("127.0.0.1:8004", "web4", ",metrics,", "", "one")}, SECONDS)
        self.deregister("web4")
        self.update("web1", "passing")
        self.comes(look, {first, third}, SECONDS)
        web = {(f"127.0.0.1:800{number}", "web") for number in (1, 2, 3)}
        self.comes(lambda: self.targets("everything", "service"), web | {("127.0.0.1:8300", "consul")}, SECONDS)
        for id in ("web1", "web2", "web3"):
            self.deregister(id)
        self.comes(look, set(), SECONDS)
        self.comes(lambda: self.targets("everything", "service"), {("127.0.0.1:8300", "consul")}, SECONDS)
        for word in ("level=error", "panic"):
            self.assertNotIn(word, self.prometheus.output)


SCRAPING = """
global: {{scrape_interval: 1s}}
scrape_configs:
  - job_name: agent
    metrics_path: /v1/agent/metrics
    params: {{format: [prometheus]}}
    static_configs:
      - targets: ["{http}"]
"""


class ScrapingTests(DiscoveryTestCase):
    """A Prometheus that reads the agent's own metrics."""

    def more_configuration(self) -> dict[str, Any]:
        return {"telemetry": {"prometheus_retention_time": "1m"}}

    def test_metrics(self) -> None:
        """They are read without a complaint, and are there to be asked for."""
        needs(PROGRAM)
        file = self.directory / "prometheus.yml"
        file.write_text(SCRAPING.format(http=self.http))
        where = "{}:{}".format(*self.own_address())
        self.run_program(
            PROGRAM,
            f"--config.file={file}",
            f"--storage.tsdb.path={self.directory / 'tsdb'}",
            f"--web.listen-address={where}",
        )

        def health() -> list[tuple[str, str]]:
            found = self.request("GET", f"{where}/api/v1/targets?state=active")["data"]["activeTargets"]
            return [(one["health"], one["lastError"]) for one in found]

        def registrations() -> list[bool]:
            found = self.request("GET", f"{where}/api/v1/query?query=consul_catalog_register_count")["data"]["result"]
            return [float(one["value"][1]) > 0 for one in found]

        self.comes(health, [("up", "")], SECONDS)
        self.comes(registrations, [True], SECONDS)
