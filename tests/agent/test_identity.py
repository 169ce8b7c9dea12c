"""What an agent says of itself, and what it keeps to itself."""

from __future__ import annotations

import json
from typing import Any

from tests.agent.configuring import ConfigurationTestCase
from txconsul.agent import identity
from txconsul.agent.configuration.model import Configuration
from txconsul.agent.debug_config import debug_config, without_secrets


class IdentityTests(ConfigurationTestCase):
    """C{/v1/agent/self}."""

    def test_proxyPorts(self) -> None:
        """Proxies are told the encrypted port, where there is one, and neither where there is none."""
        for ports, wanted in (
            ({"grpc": 8502, "grpc_tls": -1}, 8502),
            ({"grpc": 8502, "grpc_tls": 8503}, 8503),
            ({"grpc": -1, "grpc_tls": -1}, None),
        ):
            it = self.configuration({"ports": ports})
            shown = identity.xds(it)
            self.assertEqual(None if shown is None else shown["Port"], wanted)

    def test_secrets(self) -> None:
        """No secret of the configuration is shown, however deep it lies."""
        secret = "pUqJrVyVRj5jsiYEkMtFQYfWyJIv4s3XkvDwy7Cu5s0="
        it = self.configuration(
            {
                "encrypt": secret,
                "retry_join": [f"provider=aws region=x secret_access_key={secret}"],
                "services": [{"name": "a", "token": secret, "check": {"ttl": "9s", "token": secret}}],
                "acl": {"tokens": {"default": secret, "initial_management": secret}},
                "connect": {"ca_config": {"private_key": secret}},
            }
        )
        shown = debug_config(it, "an-id")
        self.assertNotIn(secret, json.dumps(shown))
        self.assertEqual(shown["RetryJoinLAN"], ["provider=aws region=x secret_access_key=hidden"])
        self.assertEqual((shown["EncryptKey"], shown["NodeID"]), ("hidden", "an-id"))

    def test_settings(self) -> None:
        """Settings have Consul's names, durations and addresses its form, and flags that sound secret are shown."""
        shown = debug_config(self.configuration({"dns_config": {"node_ttl": "90s", "service_ttl": {"*": "5s"}}}), "")
        self.assertEqual((shown["DNSNodeTTL"], shown["DNSServiceTTL"]), ("1m30s", {"*": "5s"}))
        self.assertEqual(shown["HTTPAddrs"], ["tcp://127.0.0.1:8500"])
        self.assertEqual(shown["DNSAddrs"], ["tcp://127.0.0.1:8600", "udp://127.0.0.1:8600"])
        self.assertIs(shown["ACLTokenReplication"], False)
        self.assertEqual(shown["ACLResolverSettings"]["ACLTokenTTL"], "30s")
        self.assertEqual(list(shown), sorted(shown))

    def test_hidden(self) -> None:
        """Only texts are hidden: a number says nothing that is worth hiding."""
        self.assertEqual(
            without_secrets({"Tokens": 5, "ApiKey": "x", "Token": [{"a": "b"}, "c"]}),
            {"Tokens": 5, "ApiKey": "hidden", "Token": [{"a": "b"}, "hidden"]},
        )

    def configuration(self, values: dict[str, Any]) -> Configuration:
        """An agent's, in development mode."""
        return self.load("-dev", f"-config-file={self.write('a.json', json.dumps(values))}")
