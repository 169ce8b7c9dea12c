"""
Starting with a large state: C{benchmarks/startup.py} measures a million keys, this test a tenth.
"""

from __future__ import annotations

import re
import sys
from pathlib import Path

from benchmarks.startup import build, start
from tests.real.process import ROOT, ProcessTestCase

#: A million keys may take ten seconds.
KEYS = 100_000
SECONDS_MAX = 3.0


class StartupTests(ProcessTestCase):
    """A server with a snapshot and a log behind it."""

    def test_fromSnapshot(self) -> None:
        """It leads soon, says what it restores, and has every key, those of the log as well."""
        build(self.data, KEYS, log=500)
        taken, _, lines = start(Path(self.data), ROOT)
        output = "\n".join(lines)
        self.assertLess(taken, SECONDS_MAX, output)
        self.assertRegex(output, r"restoring snapshot \S+, \d+ bytes")
        self.assertRegex(output, r"restored snapshot \S+ in \d+\.\d s")
        process = self.started()
        keys = self.ask("GET", "/v1/kv/?keys").json()
        self.assertEqual(len(keys), KEYS + 500)
        self.assertEqual(keys, sorted(keys))
        self.assertEqual(self.value("service/01/instance/0000065"), b"value 65")
        self.assertEqual(self.value("late/499"), b"x")
        self.stopped(process)

    def test_progress(self) -> None:
        """A restore that takes longer says how far it is, every second."""
        build(self.data, KEYS)
        script = self.directory / "slow.py"
        # The clock runs a hundred times as fast.
        script.write_text(
            "import sys, time\n"
            "true, start = time.monotonic, time.monotonic()\n"
            "time.monotonic = lambda: start + 100 * (true() - start)\n"
            "from txconsul.cli.main import run\n"
            "sys.exit(run())\n"
        )
        process = self.run_program(sys.executable, str(script), "agent", "-config-file", self.configuration())
        process.wait_for("restored snapshot")
        shares = [int(found) for found in re.findall(r"restoring snapshot \S+: (\d+) % after", process.output)]
        self.assertGreater(len(shares), 3, process.output)
        self.assertEqual(shares, sorted(shares))
