"""What Consul answers about autopilot's settings."""

from __future__ import annotations

import json
from typing import Any

from twisted.trial.unittest import SynchronousTestCase

from tests.http.test_api import Asking
from txconsul.leader.autopilot_settings import AutopilotSettings
from txconsul.records.autopilot import DEFAULT_AUTOPILOT, AutopilotConfig

PATH = "/v1/operator/autopilot/configuration"


class AutopilotTests(SynchronousTestCase):
    """C{/v1/operator/autopilot/configuration}."""

    def setUp(self) -> None:
        """A group that has a leader."""
        self.asking = Asking()
        self.begin(DEFAULT_AUTOPILOT)

    def begin(self, config: AutopilotConfig) -> None:
        """Somebody leads now, who was configured so."""
        served = self.asking.served
        AutopilotSettings(served.store, served.door, "dc1", config).startService()

    def put(self, body: Any, query: str = "") -> tuple[int, bytes]:
        """Status and text of a change."""
        answer = self.asking.ask("PUT", PATH + query, body if isinstance(body, bytes) else json.dumps(body).encode())
        assert isinstance(answer.body, bytes)
        return answer.status, answer.body

    def test_beginning(self) -> None:
        """A group begins with its first leader's settings; a later leader changes nothing."""
        shown = self.asking.get(PATH)
        self.assertEqual((shown["LastContactThreshold"], shown["ServerStabilizationTime"]), ("200ms", "10s"))
        self.begin(AutopilotConfig())
        self.assertEqual(self.asking.get(PATH), shown)

    def test_noSettings(self) -> None:
        """Before the first leader wrote them, there is nothing to show."""
        self.assertEqual(Asking().ask("GET", PATH).status, 500)

    def test_change(self) -> None:
        """What is not given is the default, and what was created stays created."""
        before = self.asking.get(PATH)
        self.assertEqual(self.put({"MinQuorum": 3, "LastContactThreshold": "1m", "CreateIndex": 9}), (200, b"true"))
        after = self.asking.get(PATH)
        self.assertEqual((after["MinQuorum"], after["LastContactThreshold"]), (3, "1m0s"))
        self.assertEqual((after["CleanupDeadServers"], after["CreateIndex"]), (True, before["CreateIndex"]))
        self.assertGreater(after["ModifyIndex"], before["ModifyIndex"])

    def test_checkAndSet(self) -> None:
        """A change may ask that the settings be those which the asker has seen."""
        index = self.asking.get(PATH)["ModifyIndex"]
        self.assertEqual(self.put({}, f"?cas={index + 1}"), (200, b"false"))
        self.assertEqual(self.put({}, f"?cas={index}"), (200, b"true"))
        self.assertEqual(self.put({}, "?cas=x")[0], 400)

    def test_malformed(self) -> None:
        """What cannot be understood is refused, with the reason."""
        for body, word in (
            (b"", b"EOF"),
            (b"{", b"unexpected EOF"),
            ({"Colour": 1}, b'unknown field "Colour"'),
            ({"MaxTrailingLogs": -1}, b"MaxTrailingLogs"),
            ({"LastContactThreshold": "soon"}, b"invalid duration"),
        ):
            status, text = self.put(body)
            self.assertEqual(status, 400)
            self.assertTrue(text.startswith(b"Error parsing autopilot config: ") and word in text, text)
