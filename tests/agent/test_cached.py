"""What the configuration says of the agent's cache."""

from __future__ import annotations

import math

from tests.agent.configuring import ConfigurationTestCase
from txconsul.agent.cached import fetch_limits
from txconsul.agent.dns import dns_settings
from txconsul.caching.entry import FetchLimits

SERVER = 'server = true bootstrap = true data_dir = "d" bind_addr = "127.0.0.1"'


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
