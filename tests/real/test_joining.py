"""Agents that join by themselves, as processes."""

from __future__ import annotations

import socket

from tests.real.process import DEADLINE_SECONDS, ESTABLISHED, ProcessTestCase


class RetryJoinTests(ProcessTestCase):
    """C{retry_join} of one server."""

    def test_exhausted(self) -> None:
        """Who joins nobody, and may not try for ever, ends with status 1 and says so."""
        process = self.run_agent(
            "-config-file",
            self.configuration(),
            *("-join", f"{self.bind_host}:1", "-retry-join", "exec=/no/such/program"),
            *("-retry-interval", "10ms", "-retry-max", "1"),
        )
        self.assertEqual(process.wait(), 1, process.output)
        refused = f"Failed to join {self.bind_host}:1: dial tcp {self.bind_host}:1: connect: connection refused"
        self.assertIn(refused, process.output)
        self.assertIn("exec=/no/such/program: Error retrieving addresses", process.output)
        self.assertIn("agent: max join LAN retry exhausted, exiting", process.output)
        self.assertNotIn("Traceback", process.output)

    def test_systemd(self) -> None:
        """Who is to join is ready when it has joined, not before: here once a program finds somebody."""
        path, addresses = str(self.directory / "notify.sock"), self.directory / "addresses"
        with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as link:
            link.bind(path)
            file = self.configuration(retry_join=[f"exec=/bin/cat {addresses}"], retry_interval="50ms")
            process = self.run_agent("-config-file", file, env={"NOTIFY_SOCKET": path})
            process.wait_for(ESTABLISHED)
            process.wait_for("cannot be joined, which is tried again in 50ms: No servers to join")
            link.setblocking(False)
            self.assertRaises(BlockingIOError, link.recv, 1000)
            link.settimeout(DEADLINE_SECONDS)
            addresses.write_text(f"{self.bind_host}\n")
            self.assertEqual(link.recv(1000), b"READY=1")
            process.wait_for("Joined the LAN by 1 agents")
            self.stopped(process)
