"""The npm client C{consul}, run by node; script/npm-packages installs it."""

from __future__ import annotations

import subprocess
from pathlib import Path
from unittest import SkipTest

from tests.clients.discovering import DiscoveryTestCase, needs
from tests.real.process import DEADLINE_SECONDS, ROOT, environment

SCRIPT = Path(__file__).with_name("npm_consul.mjs")
#: Where script/npm-packages puts it.
MODULES = ROOT / ".ci" / "npm" / "node_modules"


class NpmTests(DiscoveryTestCase):
    """An agent, and node."""

    def setUp(self) -> None:
        needs("node")
        environ = environment()
        self.environ = {"NODE_PATH": ":".join(filter(None, (environ.get("NODE_PATH"), str(MODULES))))}
        found = subprocess.run(
            ["node", "-e", 'require("consul")'],
            env=environment(**self.environ),
            capture_output=True,
            timeout=DEADLINE_SECONDS,
        )
        if found.returncode:
            raise SkipTest("the npm package consul is not installed: script/npm-packages")
        super().setUp()

    def test_calls(self) -> None:
        """Its calls are answered as it expects."""
        node = self.run_program("node", str(SCRIPT), *self.http.split(":"), env=self.environ)
        self.assertEqual(node.wait(), 0, node.output)
        self.assertEqual(node.lines[-1], "status: ok")
