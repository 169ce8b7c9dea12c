"""
C{txconsul lock} as a process: who holds the lock, how long, and what becomes of the program.
"""

from __future__ import annotations

import signal
import sys

from tests.real.process import Process, ProcessTestCase

#: Loops of programs that do not outlive the command which runs them, whatever becomes of that.
UNTIL_GO = "until [ -e go ]; do sleep 0.05; kill -0 $PPID || exit 9; done"
FOR_EVER = "while kill -0 $PPID; do sleep 0.05; done"


class LockTests(ProcessTestCase):
    """Against one agent."""

    def setUp(self) -> None:
        """The agent runs."""
        super().setUp()
        self.agent = self.started()

    def lock(self, *words: str) -> Process:
        """The command, with the prefix C{jobs}."""
        arguments = (sys.executable, "-m", "txconsul.cli.main", "lock", "-verbose", *words)
        address = f"unix://{self.socket_path}"
        return self.run_program(*arguments, env={"CONSUL_HTTP_ADDR": address, "SHELL": "/bin/sh"})

    def gone(self) -> None:
        """Nothing is left in the store, and no session."""
        self.assertEqual(self.ask("GET", "/v1/kv/jobs?keys").status, 404)
        self.assertEqual(self.ask("GET", "/v1/session/list").json(), [])

    def test_one(self) -> None:
        """A second one waits until the first one is done."""
        first = self.lock("jobs", f"echo BEGIN $CONSUL_LOCK_HELD; {UNTIL_GO}; echo END")
        first.wait_for("BEGIN true")
        impatient = self.lock("-timeout=100ms", "jobs", "echo NEVER")
        self.assertEqual(impatient.wait(), 1)
        self.assertIn("Shutdown triggered or timeout during lock acquisition", impatient.output)
        second = self.lock("jobs", "cat seen")
        (self.directory / "seen").write_text("SEEN\n")
        (self.directory / "go").touch()
        self.assertEqual((first.wait(), second.wait()), (0, 0))
        self.assertIn("END", first.lines)
        self.assertIn("SEEN", second.lines)
        self.gone()

    def test_several(self) -> None:
        """With a limit of two, a third one waits."""
        script = f"echo BEGIN; {UNTIL_GO}"
        for _ in range(2):
            self.lock("-n=2", "jobs", script).wait_for("BEGIN")
        third = self.lock("-n=2", "-timeout=100ms", "jobs", "echo NEVER")
        self.assertEqual(third.wait(), 1)
        (self.directory / "go").touch()
        last = self.lock("-n=2", "jobs", "true")
        self.assertEqual(last.wait(), 0, last.output)

    def test_programs(self) -> None:
        """How the program ended is told, and counts if that is asked for."""
        for words, status, text in (
            (("jobs", "exit 3"), 0, "Error running handler: exit status 3"),
            (("-child-exit-code", "jobs", "exit 3"), 2, "Error running handler: exit status 3"),
            (("-child-exit-code", "jobs", "true"), 0, "Child terminated, releasing lock"),
            (
                ("-child-exit-code", "-shell=false", "jobs", "there-is-no-such-program"),
                2,
                'Error starting handler: exec: "there-is-no-such-program": executable file not found in $PATH',
            ),
        ):
            process = self.lock(*words)
            self.assertEqual(process.wait(), status, process.output)
            self.assertIn(text, process.lines)
            self.gone()

    def test_lost(self) -> None:
        """Who takes the lock away ends the program."""
        process = self.lock("jobs", f"trap 'echo TOLD; exit' TERM; echo BEGIN; {FOR_EVER}")
        process.wait_for("BEGIN")
        session = self.ask("GET", "/v1/kv/jobs/.lock").json()[0]["Session"]
        self.ask("PUT", f"/v1/session/destroy/{session}")
        self.assertEqual(process.wait(), 0, process.output)
        self.assertIn("Lock lost, killing child", process.lines)
        self.assertIn("TOLD", process.lines)
        self.gone()

    def test_signals(self) -> None:
        """A signal ends the program, and the lock is given back."""
        process = self.lock("jobs", f"trap 'echo TOLD; exit' TERM; echo BEGIN; {FOR_EVER}")
        process.wait_for("BEGIN")
        process.signal(signal.SIGTERM)
        self.assertEqual(process.wait(), 0, process.output)
        self.assertIn("TOLD", process.lines)
        self.gone()
        holder = self.lock("jobs", f"echo BEGIN; {UNTIL_GO}")
        holder.wait_for("BEGIN")
        waiting = self.lock("jobs", "true")
        waiting.wait_for("Attempting lock acquisition")
        waiting.signal(signal.SIGTERM)
        self.assertEqual(waiting.wait(), 1, waiting.output)
        (self.directory / "go").touch()
        self.assertEqual(holder.wait(), 0)
        self.gone()
