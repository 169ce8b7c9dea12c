"""What Consul answers about sessions to requests that clients seldom make."""

from __future__ import annotations

import json
from typing import Any

from twisted.trial.unittest import SynchronousTestCase

from tests.http.test_api import Asking


class LockDelayTests(SynchronousTestCase):
    """The many ways to give a lock delay."""

    def setUp(self) -> None:
        """The agent's own node, with the check that its sessions hang on."""
        self.asking = registered()

    def delay(self, given: Any) -> int:
        """The lock delay of a session that was made with this one, in ns."""
        made = self.asking.ask("PUT", "/v1/session/create", json.dumps({"LockDelay": given}).encode())
        self.assertEqual(made.status, 200, given)
        (shown,) = self.asking.get(f"/v1/session/info/{json.loads(made.body)['ID']}")  # type: ignore[arg-type]
        delay: int = shown["LockDelay"]
        return delay

    def test_small(self) -> None:
        """Whatever is below a microsecond counts as seconds, numbers and durations alike."""
        for given, wanted in {
            "500ns": 500_000_000_000,
            "1us": 1000,
            999: 999_000_000_000,
            1000: 1000,
            1.5: 1_000_000_000,
            0: 0,
            "0s": 0,
            -1: -1_000_000_000,
            "-5s": -5_000_000_000_000_000_000,
        }.items():
            self.assertEqual(self.delay(given), wanted, given)

    def test_large(self) -> None:
        """What does not fit into 64 bits is cut to them."""
        for given in (1e300, -1e300, 2**63):
            self.assertEqual(self.delay(given), 0, given)
        self.assertEqual(self.delay("-10s"), 8_446_744_073_709_551_616)

    def test_otherTypes(self) -> None:
        """What is neither text nor number is no delay, and null leaves the default."""
        others: tuple[Any, ...] = (True, [1], {})
        for given in others:
            self.assertEqual(self.delay(given), 0, given)
        self.assertEqual(self.delay(None), 15_000_000_000)

    def test_nonsense(self) -> None:
        """A text that is no duration is refused."""
        for text, wanted in {"": "invalid duration", "5": "missing unit in", "5d": 'unknown unit "d" in'}.items():
            answer = self.asking.ask("PUT", "/v1/session/create", json.dumps({"LockDelay": text}).encode())
            self.assertEqual(answer.status, 400)
            self.assertIn(wanted.encode(), answer.body)  # type: ignore[arg-type]


def registered() -> Asking:
    """An API whose own node is registered, with its health."""
    asking = Asking()
    body = {"Node": "a", "Address": "10.0.0.1", "Check": {"CheckID": "serfHealth", "Status": "passing"}}
    asking.ask("PUT", "/v1/catalog/register", json.dumps(body).encode())
    return asking
