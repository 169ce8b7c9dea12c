"""
What is installed is what is here.
"""

from __future__ import annotations

from configparser import ConfigParser
from pathlib import Path

from twisted.trial.unittest import SynchronousTestCase

ROOT = Path(__file__).resolve().parent.parent


class PackagingTests(SynchronousTestCase):
    """C{setup.cfg} beside the tree."""

    def test_everyPackageIsInstalled(self) -> None:
        """A package that is not listed is missing only once it is installed, where the source tree cannot help."""
        configuration = ConfigParser()
        configuration.read(ROOT / "setup.cfg")
        listed = set(configuration["options"]["packages"].split())
        here = {
            ".".join(path.parent.relative_to(ROOT).parts)
            for path in (ROOT / "txconsul").rglob("*.py")
            if path.is_file()
        }
        self.assertEqual(listed - {"twisted.plugins"}, here)
