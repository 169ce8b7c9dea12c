"""
C{twist txconsul}, as the README's first command runs it.
"""

from __future__ import annotations

import json
import os
import shutil
import signal
import sys
from pathlib import Path

from tests.real.process import ROOT, Process, ProcessTestCase

TWIST = (sys.executable, "-c", "import sys; from twisted.application.twist._twist import Twist; Twist.main()")


class TwistTests(ProcessTestCase):
    """The agent under Twisted's own runner."""

    def twist(self, *arguments: str) -> Process:
        """The plugin with these arguments, in a directory of its own."""
        return self.run_program(*TWIST, "--log-format=text", "txconsul", *arguments)

    def listening(self) -> str:
        """The flag that lets it listen on the test's Unix socket, and on no port."""
        places = f'bind_addr = "{self.bind_host}" addresses {{ http = "unix://{self.socket_path}" }}'
        return f"-hcl={places} ports {{ dns = -1 }}"

    def test_firstCommand(self) -> None:
        """A server elects itself, keeps its data in ./txconsul-data, and has it after a SIGKILL."""
        for stop in (signal.SIGKILL, signal.SIGTERM, signal.SIGINT):
            process = self.twist("--server", "--dc", "dc1", self.listening())
            self.wait_until_it_serves(process)
            self.put(f"key/{stop}", "kept")
            self.assertEqual(self.ask("GET", "/v1/agent/self").json()["Config"]["Datacenter"], "dc1")
            process.signal(stop)
            process.wait()
            self.assertNotIn("Traceback", process.output)
        self.assertTrue((self.directory / "txconsul-data" / "raft" / "vote").is_file())
        process = self.twist("--server", self.listening())
        self.wait_until_it_serves(process)
        self.assertEqual(len(self.ask("GET", "/v1/kv/?keys").json()), 3)

    def test_cleanStop(self) -> None:
        """A termination signal or an interrupt stops it with status 0, a hang-up does not stop it."""
        for stop in (signal.SIGTERM, signal.SIGINT):
            process = self.twist("--server", self.listening())
            self.wait_until_it_serves(process)
            process.signal(signal.SIGHUP)
            process.wait_for("The configuration was read again")
            process.signal(stop)
            self.assertEqual(process.wait(), 0, process.output)
            self.assertIn("Stopped", process.output)
            self.assertFalse(os.path.exists(self.socket_path))

    def test_badConfiguration(self) -> None:
        """A configuration that cannot be used ends it with status 64, and a message."""
        path = self.directory / "bad.json"
        path.write_text(json.dumps({"server": True, "ports": {"htttp": 1}}))
        for arguments, words in (
            (["--server", "--no-such-flag"], "no-such-flag"),
            (["--server", "-config-file", str(path)], "invalid config key ports.htttp"),
            (["--server", "-config-file", str(self.directory / "absent.json")], "absent.json"),
            (["--server", "-bind", "not an address"], "bind_addr"),
        ):
            process = self.twist(*arguments)
            self.assertEqual(process.wait(), 64, process.output)
            self.assertIn(words, process.output)
            self.assertLess(len(process.lines), 10, "the message scrolls away")

    def test_help(self) -> None:
        """C{--help} lists the flags."""
        process = self.twist("--help")
        self.assertEqual(process.wait(), 0)
        self.assertIn("-bootstrap-expect", process.output)

    def test_inMemory(self) -> None:
        """C{--dev} keeps nothing on disk."""
        process = self.twist("--dev", self.listening())
        self.wait_until_it_serves(process)
        self.put("a", "1")
        self.stopped(process)
        self.assertFalse((self.directory / "txconsul-data").exists())

    def test_damagedData(self) -> None:
        """Damaged data ends it with status 1, and names the file."""
        process = self.twist("--server", self.listening())
        self.wait_until_it_serves(process)
        process.kill()
        vote = self.directory / "txconsul-data" / "raft" / "vote"
        vote.write_bytes(vote.read_bytes()[:100])
        process = self.twist("--server", self.listening())
        self.assertEqual(process.wait(), 1, process.output)
        self.assertIn("txconsul-data/raft/vote", process.output)
        self.assertNotIn("Traceback", process.output)

    def test_otherReactors(self) -> None:
        """Which reactor runs is the user's choice."""
        for reactor in ("epoll", "poll", "select", "asyncio"):
            process = self.run_program(
                *TWIST, "--log-format=text", f"--reactor={reactor}", "txconsul", "--server", self.listening()
            )
            self.wait_until_it_serves(process)
            self.put(f"by/{reactor}", "1")
            self.assertEqual(self.value(f"by/{reactor}"), b"1")
            self.stopped(process)


class PluginTests(ProcessTestCase):
    """What C{twist} reads of us at every run."""

    def test_importsNothingOfOurs(self) -> None:
        """The plugin file imports nothing of txconsul, so that other users of twist do not pay for us."""
        code = (
            "import sys, runpy; runpy.run_path(sys.argv[1]); "
            "print([name for name in sys.modules if name.startswith('txconsul')])"
        )
        path = ROOT / "twisted" / "plugins" / "txconsul_plugin.py"
        process = self.run_program(sys.executable, "-c", code, str(path))
        self.assertEqual(process.wait(), 0, process.output)
        self.assertEqual(process.lines, ["[]"])

    def test_isListed(self) -> None:
        """The installed C{twist} knows the plugin."""
        twist = shutil.which("twist", path=str(Path(sys.executable).parent))
        arguments = (twist, "--help") if twist else (*TWIST, "--help")
        process = self.run_program(*arguments)
        self.assertEqual(process.wait(), 0, process.output)
        self.assertRegex(process.output, r"txconsul +Run a txconsul agent")
