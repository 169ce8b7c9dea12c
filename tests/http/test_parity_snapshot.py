"""What Consul answers about snapshots to requests that clients seldom make."""

from __future__ import annotations

from typing import Any

from twisted.trial.unittest import SynchronousTestCase

from tests.http.test_api import Asking


class RestoreTests(SynchronousTestCase):
    """C{PUT /v1/snapshot}."""

    def test_stale(self) -> None:
        """A restore cannot be stale, and the archive is not even looked at."""
        asking = Asking()
        touched: list[Any] = []

        class Desk:
            """Restores everything."""

            restore = staticmethod(touched.append)

        asking.served.site.snapshots = Desk()  # type: ignore[assignment]
        answer = asking.ask("PUT", "/v1/snapshot?stale", b"x")
        self.assertEqual((answer.status, answer.body), (500, b"stale not allowed for restore"))
        self.assertEqual(touched, [])
        self.assertEqual(asking.ask("PUT", "/v1/snapshot", b"x").status, 200)
        self.assertEqual(len(touched), 1)
