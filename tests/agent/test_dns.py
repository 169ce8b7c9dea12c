"""The DNS edge of an agent, as it is configured."""

from __future__ import annotations

from tests.agent.configuring import ConfigurationTestCase
from txconsul.agent.dns import dns_settings, recursor_address
from txconsul.dns.message import make_name


class SettingsTests(ConfigurationTestCase):
    """Keys to settings."""

    def test_defaults(self) -> None:
        """Nothing said: Consul's defaults."""
        settings = dns_settings(self.load(hcl='server = true bootstrap = true data_dir = "d" bind_addr = "127.0.0.1"'))
        self.assertEqual(settings.zone().domain, make_name("consul"))
        self.assertEqual((settings.udp_answer_limit, settings.node_meta_txt, settings.allow_stale), (3, True, True))
        self.assertEqual((settings.recursors, settings.recursor_timeout), ((), 2.0))

    def test_said(self) -> None:
        """What is said is taken."""
        settings = dns_settings(
            self.load(
                hcl="""
                server = true bootstrap = true data_dir = "d" bind_addr = "127.0.0.1"
                domain = "Corp" alt_domain = "x.y" recursors = ["192.0.2.1", "192.0.2.2:5353"]
                dns_config {
                  node_ttl = "90s" only_passing = true recursor_strategy = "random" recursor_timeout = "5s"
                  service_ttl { web = "1m" "*" = "2s" }
                  soa { min_ttl = 7 }
                }
                """
            )
        )
        self.assertEqual(settings.zone(), (make_name("corp"), make_name("x.y")))
        self.assertEqual(settings.recursors, (("192.0.2.1", 53), ("192.0.2.2", 5353)))
        self.assertEqual((settings.recursor_random, settings.recursor_timeout), (True, 5.0))
        self.assertEqual((settings.node_ttl, settings.service_ttl, settings.soa_minimum), (90, {"web": 60, "*": 2}, 7))
        self.assertTrue(settings.only_passing)

    def test_recursors(self) -> None:
        """Addresses with and without a port, of both families; host names are looked up."""
        for text, found in (
            ("192.0.2.1", ("192.0.2.1", 53)),
            ("192.0.2.1:54", ("192.0.2.1", 54)),
            ("2001:db8::1", ("2001:db8::1", 53)),
            ("[2001:db8::1]", ("2001:db8::1", 53)),
            ("[2001:db8::1]:54", ("2001:db8::1", 54)),
        ):
            self.assertEqual(recursor_address(text), found)
        self.assertIn(recursor_address("localhost:53")[0], ("127.0.0.1", "::1"))
        for text in ("192.0.2.1:x", "192.0.2.1:70000", "192.0.2.1:0"):
            with self.assertRaises(ValueError):
                recursor_address(text)
