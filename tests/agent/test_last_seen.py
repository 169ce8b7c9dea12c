"""A server that was away for long."""

from __future__ import annotations

import json
import os
from pathlib import Path

from twisted.internet.task import Clock

from tests.agent.configuring import ConfigurationTestCase
from txconsul.agent.configuration.model import Configuration
from txconsul.agent.last_seen import NOTE_SECONDS, AwayTooLong, LastSeen, check_last_seen, last_seen_file
from txconsul.errors import Corrupt, DiskFailed
from txconsul.storage.worker import Inline

WEEK = 7 * 24 * 3600.0


class LastSeenTests(ConfigurationTestCase):
    """What is noted in the data directory."""

    def setUp(self) -> None:
        self.data = self.directory()

    def configuration(self, *flags: str, hcl: str = "") -> Configuration:
        """A server's."""
        return self.load("-server", f"-data-dir={self.data}", *flags, hcl=hcl)

    def test_noted(self) -> None:
        """A server notes that it runs, at once and every hour, and no more when it is stopped."""
        clock = Clock()
        path = last_seen_file(self.configuration())
        assert path is not None
        service = LastSeen(path, lambda: 1000.5 + clock.seconds(), clock, Inline())
        service.startService()
        self.assertEqual(json.loads(path.read_bytes()), {"last_seen_unix": 1000})
        self.assertEqual(path.stat().st_mode & 0o777, 0o600)
        clock.advance(NOTE_SECONDS)
        self.assertEqual(json.loads(path.read_bytes()), {"last_seen_unix": 4600})
        service.stopService()
        self.assertEqual((clock.getDelayedCalls(), os.listdir(self.data)), ([], ["server_metadata.json"]))

    def test_checked(self) -> None:
        """Who was away for a week, or as long as is configured, does not start; the first start is none such."""
        check_last_seen(self.configuration(), WEEK)
        path = Path(self.data, "server_metadata.json")
        path.write_text('{"last_seen_unix": 1000}')
        check_last_seen(self.configuration(), 1000 + WEEK)
        error = self.assertRaises(AwayTooLong, check_last_seen, self.configuration(), 1001 + WEEK)
        self.assertIn("server_rejoin_age_max (168h0m0s) - consider wiping your data dir", str(error))
        configured = self.configuration(hcl='server_rejoin_age_max = "6h"')
        self.assertRaises(AwayTooLong, check_last_seen, configured, 1001 + 6 * 3600)
        check_last_seen(self.configuration(hcl='server_rejoin_age_max = "200h"'), 1001 + WEEK)

    def test_unreadable(self) -> None:
        """A note that is none, or cannot be read, is told of."""
        path = Path(self.data, "server_metadata.json")
        path.write_text("{")
        self.assertRaises(Corrupt, check_last_seen, self.configuration(), 0.0)
        path.unlink()
        path.mkdir()
        self.assertRaises(DiskFailed, check_last_seen, self.configuration(), 0.0)

    def test_nowhere(self) -> None:
        """Clients, and servers for development, note nothing."""
        self.assertIsNone(last_seen_file(self.load(f"-data-dir={self.data}")))
        self.assertIsNone(last_seen_file(self.load("-dev")))
        check_last_seen(self.load("-dev"), 0.0)

    def test_diskFails(self) -> None:
        """What cannot be written is logged, and tried again."""
        clock = Clock()
        path = Path(self.data, "absent", "server_metadata.json")
        service = LastSeen(path, clock.seconds, clock, Inline())
        service.startService()
        path.parent.mkdir()
        clock.advance(NOTE_SECONDS)
        self.assertTrue(path.exists())
        service.stopService()
