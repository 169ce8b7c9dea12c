"""What Consul answers to headers that clients seldom send."""

from __future__ import annotations

from twisted.trial.unittest import SynchronousTestCase

from tests.http.test_api import Asking
from txconsul.errors import BadRequest
from txconsul.http.parameters import cache_control


class CacheControlTests(SynchronousTestCase):
    """Cache-Control where nothing is kept."""

    def test_malformed(self) -> None:
        """Paths that take the options of reads refuse a malformed header, even those that write."""
        asking = Asking()
        for method, target, body in (
            ("GET", "/v1/kv/a", b""),
            ("GET", "/v1/kv/?keys", b""),
            ("PUT", "/v1/kv/a", b"x"),
            ("DELETE", "/v1/kv/a", b""),
            ("PUT", "/v1/session/renew/x", b""),
            ("GET", "/v1/session/list", b""),
            ("PUT", "/v1/txn", b'[{"KV": {"Verb": "get", "Key": "a"}}]'),
            ("GET", "/v1/status/leader", b""),
        ):
            answer = asking.ask(method, target, body, cache_control="max-age=x")
            self.assertEqual((answer.status, answer.body), (400, b"Invalid Cache-Control header."), target)
        self.assertEqual(asking.ask("GET", "/v1/kv/a").status, 404)

    def test_ignored(self) -> None:
        """Other paths do not look at it."""
        asking = Asking()
        for method, target, body in (
            ("GET", "/v1/agent/self", b""),
            ("GET", "/v1/agent/members", b""),
            ("PUT", "/v1/session/destroy/x", b""),
            ("PUT", "/v1/txn", b'[{"KV": {"Verb": "set", "Key": "a"}}]'),
        ):
            self.assertEqual(asking.ask(method, target, body, cache_control="max-age=x").status, 200, target)

    def test_ages(self) -> None:
        """An age is a decimal number of at most 64 bits, without anything around it."""
        for age, wanted in {"5": 5, "+5": 5, "-1": -1, "007": 7}.items():
            self.assertEqual(cache_control(f"max-age={age}")["max_age"], wanted * 10**9, age)
        self.assertEqual(cache_control("max-age=9223372036854775807")["max_age"], 2**63 - 1)
        for age in ("", " 5", "1_0", "5s", "0x5", "9223372036854775808", "9" * 5000, "\u0665"):
            self.assertRaises(BadRequest, cache_control, f"stale-if-error={age}")
