"""
Watches as processes: those of an agent's configuration over a restart and a reload, and the command over a lost agent;
and the command that shows a log.
"""

from __future__ import annotations

import json
import signal
import sys
from pathlib import Path
from typing import Any

from tests.real.process import ESTABLISHED, Process, ProcessTestCase

#: A handler that writes a line when it is done, so that it can be waited for.
HANDLER = "read line; echo TOLD $CONSUL_INDEX $line"


class AgentWatchTests(ProcessTestCase):
    """The key C{watches}."""

    def watches(self, *keys: str) -> list[dict[str, Any]]:
        """One of each key, whose handler shows the data, and appends it to a file of the key's name."""
        script = "read line; echo $line | tee -a {}"
        return [
            {"type": "key", "key": key, "args": ["/bin/sh", "-c", script.format(self.directory / key)]} for key in keys
        ]

    def test_restart(self) -> None:
        """Changes are told once each, also over a restart."""
        process = self.started(watches=self.watches("a"), log_level="debug")
        process.wait_for("output=null")
        self.put("a", b"1")
        process.wait_for("output=.*MQ==")
        self.stopped(process)
        process = self.started(watches=self.watches("a"), log_level="debug")
        self.put("a", b"2")
        process.wait_for("output=.*Mg==")
        lines = (self.directory / "a").read_text().splitlines()
        values = [json.loads(line) and json.loads(line)["Value"] for line in lines]
        self.assertEqual(values, [None, "MQ==", "Mg=="])
        self.stopped(process)

    def test_reload(self) -> None:
        """A reload takes up new watches, and leaves those that were there alone."""
        process = self.started(watches=self.watches("a"), log_level="debug")
        process.wait_for("output=null")
        self.configuration(watches=self.watches("a", "b"), log_level="debug")
        process.signal(signal.SIGHUP)
        process.wait_for("/b output=null")
        self.assertEqual((self.directory / "a").read_text(), "null\n")
        self.configuration(watches=[{"type": "key"}])
        process.signal(signal.SIGHUP)
        process.wait_for("The configuration cannot be used.*Must specify a single key to watch")
        self.put("b", b"1")
        process.wait_for("/b output=.*MQ==")
        self.stopped(process)

    def test_mistake(self) -> None:
        """A watch that cannot be keeps the agent from starting."""
        process = self.run_agent("-config-file", self.configuration(watches=[{"type": "nodes"}]))
        self.assertEqual(process.wait(), 1)
        self.assertIn("==> Must define a watch handler", process.output)


class CommandTests(ProcessTestCase):
    """C{txconsul watch}."""

    def watch(self, *words: str) -> Process:
        """The command, with the agent's address in its environment."""
        address = f"unix://{self.socket_path}"
        arguments = (sys.executable, "-m", "txconsul.cli.main", "watch", *words)
        return self.run_program(*arguments, env={"CONSUL_HTTP_ADDR": address, "SHELL": "/bin/sh"})

    def test_signals(self) -> None:
        """Each change runs the program; either signal ends the command with status 0."""
        self.started()
        for number, key in ((signal.SIGINT, "a"), (signal.SIGTERM, "b")):
            process = self.watch("-type=key", f"-key={key}", HANDLER)
            process.wait_for("TOLD [0-9]+ null")
            self.put(key, b"1")
            process.wait_for(f'TOLD [0-9]+ {{"Key":"{key}",.*"Value":"MQ=="')
            process.signal(number)
            self.assertEqual(process.wait(), 0, process.output)
            self.assertNotIn("Traceback", process.output)

    def test_signalGoesOn(self) -> None:
        """A program that runs gets the signal, too."""
        self.started()
        process = self.watch(
            "-type=nodes", "trap 'echo GOT IT; exit' TERM; echo READY; while kill -0 $PPID; do sleep 0.1; done"
        )
        process.wait_for("READY")
        process.signal(signal.SIGTERM)
        process.wait_for("GOT IT")
        self.assertEqual(process.wait(), 0)

    def test_lostAgent(self) -> None:
        """An agent that went away is found again, and what did not change meanwhile is not told again."""
        agent = self.started()
        self.put("a", b"1")
        process = self.watch("-type=key", "-key=a", HANDLER)
        process.wait_for("TOLD")
        self.stopped(agent)
        process.wait_for(r"\[ERROR\] watch: Watch errored: type=key error=.* retry=5s")
        agent = self.run_agent("-config-file", self.configuration())
        agent.wait_for(ESTABLISHED)
        self.put("a", b"2")
        process.wait_for('TOLD .*"Value":"Mg=="')
        self.assertEqual(sum("TOLD" in line for line in process.lines), 2)
        process.signal(signal.SIGTERM)
        self.assertEqual(process.wait(), 0)

    def test_cursor(self) -> None:
        """With a cursor, the next run tells only what is new."""
        self.started()
        words = ["-type=key", "-key=a", "-cursor-file=cursor"]
        first = self.watch(*words)
        self.assertEqual((first.wait(), first.output), (0, "null"))
        second = self.watch(*words)
        self.put("a", b"1")
        self.assertEqual(second.wait(), 0)
        self.assertEqual(json.loads(second.output)["Value"], "MQ==")
        self.assertTrue(Path(self.directory / "cursor").is_file())


class MonitorTests(ProcessTestCase):
    """C{txconsul monitor}."""

    def monitor(self) -> Process:
        """The command, which begins to listen some time later."""
        arguments = (sys.executable, "-m", "txconsul.cli.main", "monitor", "-log-level=debug")
        return self.run_program(*arguments, env={"CONSUL_HTTP_ADDR": f"unix://{self.socket_path}"})

    def test_signal(self) -> None:
        """What the agent logs is shown until a signal, which ends the command with status 0."""
        agent = self.started()
        process = self.monitor()
        while not process.lines:
            # each reload is logged; one of them when the monitor listens already
            agent.signal(signal.SIGHUP)
            self.ask("GET", "/v1/status/leader")
        process.wait_for("The configuration was read again")
        process.signal(signal.SIGINT)
        self.assertEqual(process.wait(), 0, process.output)

    def test_agentEnds(self) -> None:
        """The end of the agent is told, with status 1."""
        agent = self.started()
        process = self.monitor()
        while not process.lines:
            agent.signal(signal.SIGHUP)
            self.ask("GET", "/v1/status/leader")
        self.stopped(agent)
        self.assertEqual(process.wait(), 1)
        self.assertIn("Remote side ended the monitor!", process.output)
