"""
Our agent in the pools of a real Consul's agents, seen and changed by both command lines.

C{TXCONSUL_TEST_CONSUL} is the path of a consul 1.21 program; without it this is skipped.
"""

from __future__ import annotations

import os
import subprocess
import sys
import time
from unittest import SkipTest

from tests.real.process import DEADLINE_SECONDS, Process, ProcessTestCase, environment

OURS = (sys.executable, "-m", "txconsul.cli.main")


class MembershipTests(ProcessTestCase):
    """A server of theirs in dc1, one of ours in dc2, and there a client of theirs."""

    def setUp(self) -> None:
        """Start the servers; ours joins theirs."""
        super().setUp()
        self.consul = os.environ.get("TXCONSUL_TEST_CONSUL", "")
        if not self.consul:
            raise SkipTest("TXCONSUL_TEST_CONSUL is not set")
        self.places = {name: self.own_address()[0] for name in ("theirs", "client")}
        self.theirs("theirs", "-server", "-bootstrap-expect=1").wait_for("agent: Synced node info")
        self.agent = self.started(
            datacenter="dc2",
            retry_join_wan=[self.places["theirs"]],
            performance={"leave_drain_time": "0s"},
        )
        self.agent.wait_for("Joined the WAN by 1 agents")

    def theirs(self, name: str, *flags: str) -> Process:
        """A real agent, just started."""
        host, directory = self.places[name], self.directory / name
        return self.run_program(
            *(self.consul, "agent", f"-node={name}", f"-bind={host}", f"-client={host}", f"-data-dir={directory}"),
            *flags,
        )

    def run_cli(self, program: tuple[str, ...], name: str, *words: str) -> tuple[int, str]:
        """Exit status and output of a command for an agent: ours, or one of theirs by its name."""
        address = f"unix://{self.socket_path}" if name == "ours" else f"{self.places[name]}:8500"
        env = environment(CONSUL_HTTP_ADDR=address)
        done = subprocess.run(
            [*program, *words], env=env, cwd=self.directory, capture_output=True, timeout=DEADLINE_SECONDS, check=False
        )
        return done.returncode, (done.stdout + done.stderr).decode()

    def both(self, name: str, *words: str) -> str:
        """What both command lines say alike, successfully."""
        status, output = self.run_cli(OURS, name, *words)
        self.assertEqual((status, output), self.run_cli((self.consul,), name, *words))
        self.assertEqual(status, 0, output)
        return output

    def until(self, name: str, word: str, *words: str) -> None:
        """Ask for members until a word is in the answer: each takes a moment of its own."""
        end = time.monotonic() + DEADLINE_SECONDS
        while word not in (output := self.run_cli(OURS, name, "members", *words)[1]):
            self.assertLess(time.monotonic(), end, output)

    def test_seen(self) -> None:
        """All agents are told of alike, whoever is asked, and by whichever program."""
        client = self.theirs("client", "-datacenter=dc2", f"-retry-join={self.bind_host}")
        client.wait_for("Join cluster completed")
        self.until("ours", "client")
        for words in (("members",), ("members", "-detailed"), ("members", "-status=^alive$")):
            self.assertEqual(self.both("ours", *words), self.both("client", *words))
        self.until("theirs", "one.dc2", "-wan")
        for words in (("members", "-wan"), ("members", "-wan", "-detailed")):
            self.assertEqual(self.both("ours", *words), self.both("theirs", *words))
        self.both("ours", "join", self.places["client"])
        self.both("client", "join", self.bind_host)
        self.both("ours", "join", "-wan", self.places["theirs"])
        self.both("theirs", "join", "-wan", self.bind_host)
        # A client leaves, is seen to have left, and is forgotten.
        self.assertEqual(self.run_cli(OURS, "client", "leave"), (0, "Graceful leave complete\n"))
        self.until("ours", "client", "-status=left")
        self.both("ours", "force-leave", "client")
        self.assertEqual(self.run_cli(OURS, "ours", "force-leave", "-prune", "client"), (0, ""))
        self.assertNotIn("client", self.both("ours", "members"))

    def test_left(self) -> None:
        """Ours leaves when their command line says so, which theirs sees."""
        self.until("theirs", "one.dc2", "-wan", "-status=alive")
        self.assertEqual(self.run_cli((self.consul,), "ours", "leave"), (0, "Graceful leave complete\n"))
        self.assertEqual(self.agent.wait(), 0, self.agent.output)
        self.until("theirs", "one.dc2", "-wan", "-status=left")
        self.assertNotIn("Traceback", self.agent.output)
