"""What the documentation says of each metric."""

from __future__ import annotations

from pathlib import Path

from twisted.trial.unittest import SynchronousTestCase

from txconsul.metrics.names import METRICS, help_of, table

DOCUMENT = Path(__file__).resolve().parents[2] / "docs" / "metrics.md"


class NameTests(SynchronousTestCase):
    """The table of all metrics."""

    def test_documented(self) -> None:
        """The document ends with the table as it is now."""
        if not DOCUMENT.is_file():
            self.skipTest("the documents are not here")
        self.assertTrue(DOCUMENT.read_text(encoding="utf-8").endswith(table()), "print it anew: see the document")

    def test_kinds(self) -> None:
        """There are three kinds, and every metric tells something."""
        for name, it in METRICS.items():
            self.assertIn(it.kind, ("counter", "gauge", "sample"), name)
            self.assertTrue(it.help, name)

    def test_several(self) -> None:
        """One row may stand for several names."""
        self.assertEqual(help_of("client.api.success.catalog_nodes"), help_of("client.api.success.x"))
        self.assertIsNotNone(help_of("cache.health-services.hit"))
        self.assertEqual(help_of("version"), "1")
        self.assertIsNone(help_of("no.such"))
