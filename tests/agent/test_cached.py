"""What the configuration says of the agent's cache, and what metrics tell of it."""

from __future__ import annotations

import math

from twisted.trial.unittest import SynchronousTestCase

from tests.agent.caching import CachedServer
from tests.agent.configuring import ConfigurationTestCase
from txconsul.agent.cached import CACHED, fetch_limits, measure
from txconsul.agent.dns import dns_settings
from txconsul.caching.entry import FetchLimits
from txconsul.metrics.metrics import Metrics
from txconsul.metrics.names import help_of
from txconsul.records.queries import ServiceSpecificRequest

SERVER = 'server = true bootstrap = true data_dir = "d" bind_addr = "127.0.0.1"'


class MetricTests(SynchronousTestCase):
    """What is told of the cache."""

    def test_told(self) -> None:
        """Hits, misses and fetches by kind, fetches of all, and how many answers are kept."""
        server, metrics = CachedServer(), Metrics()
        measure(server.cache, metrics)
        server.register("n1")
        web = ServiceSpecificRequest(datacenter="dc1", service_name="web")
        server.ask("Health.ServiceNodes", web)
        server.turn()
        server.ask("Health.ServiceNodes", web)
        refused = server.ask("Health.ServiceNodes", web, filter="no ==")
        server.turn()
        self.failureResultOf(refused)
        document = metrics.document()
        told = {(one["Name"], *one["Labels"].values()): one["Count"] for one in document["Counters"]}
        self.assertEqual(
            told,
            {
                ("consul.cache.health-services.hit",): 1,
                ("consul.cache.health-services.miss_new",): 2,
                ("consul.cache.health-services.fetch_success",): 1,
                ("consul.cache.health-services.fetch_error",): 1,
                ("consul.cache.fetch_success", "false"): 1,
                ("consul.cache.fetch_error", "true"): 1,
            },
        )
        self.assertEqual(
            [(one["Name"], one["Value"]) for one in document["Gauges"]], [("consul.cache.entries_count", 1)]
        )

    def test_described(self) -> None:
        """Every kind is in the table of metrics."""
        for kind in CACHED.values():
            self.assertIsNotNone(help_of(f"cache.{kind.name}.hit"), kind.name)


class SettingsTests(ConfigurationTestCase):
    """Keys to settings."""

    def test_limits(self) -> None:
        """Without limit, and two at once, unless something else is said; a negative rate is no limit."""
        self.assertEqual(fetch_limits(self.load(hcl=SERVER)), FetchLimits(math.inf, 2))
        said = self.load(hcl=SERVER + " cache { entry_fetch_rate = 0.5 entry_fetch_max_burst = 7 }")
        self.assertEqual(fetch_limits(said), FetchLimits(0.5, 7))
        said = self.load(hcl=SERVER + " cache { entry_fetch_rate = -1 }")
        self.assertEqual(fetch_limits(said), FetchLimits(math.inf, 2))

    def test_dns(self) -> None:
        """DNS does not use it, unless it is told to."""
        settings = dns_settings(self.load(hcl=SERVER))
        self.assertEqual((settings.use_cache, settings.cache_max_age), (False, 0.0))
        said = self.load(hcl=SERVER + ' dns_config { use_cache = true cache_max_age = "2s" }')
        settings = dns_settings(said)
        self.assertEqual((settings.use_cache, settings.cache_max_age), (True, 2.0))
