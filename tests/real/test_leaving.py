"""Agents that join, and that leave, as processes."""

from __future__ import annotations

import signal

from tests.real.process import ProcessTestCase


class LeavingTests(ProcessTestCase):
    """One server that is told to go."""

    def test_overHTTP(self) -> None:
        """Asked over HTTP, it leaves, answers, and ends with status 0; it does not look for its pool afterwards."""
        process = self.started(performance={"leave_drain_time": "0s"})
        answer = self.ask("PUT", "/v1/agent/leave")
        self.assertEqual((answer.status, answer.body), (200, b""))
        self.assertEqual(process.wait(), 0, process.output)
        self.assertIn("Leaving the LAN gossip pool", process.output)
        self.assertNotIn("Traceback", process.output)
        self.assertIn("leave", (self.data / "serf" / "local.snapshot").read_text().splitlines())
        self.stopped(self.started())

    def test_atSignals(self) -> None:
        """Where that is configured, it leaves at a signal; a second one stops it at once."""
        for number in (signal.SIGINT, signal.SIGTERM):
            process = self.started(
                leave_on_terminate=True, skip_leave_on_interrupt=False, performance={"leave_drain_time": "10m"}
            )
            process.signal(number)
            process.wait_for("for requests to end")
            process.signal(number)
            self.assertEqual(process.wait(), 0, process.output)
            self.assertNotIn("Traceback", process.output)

    def test_gossipAddressInUse(self) -> None:
        """A gossip port that somebody else has ends the start with status 1, and is named."""
        self.started()
        self.data = self.directory / "other"
        process = self.run_agent("-config-file", self.configuration())
        self.assertEqual(process.wait(), 1, process.output)
        self.assertIn(f"Failed to start the LAN gossip pool at {self.bind_host}:8301", process.output)
        self.assertNotIn("Traceback", process.output)

    def test_asked(self) -> None:
        """What the pools know is told, and what they refuse is explained."""
        self.started()
        (member,) = self.ask("GET", "/v1/agent/members").json()
        self.assertEqual((member["Name"], member["Port"], member["Status"]), ("one", 8301, 1))
        own = self.ask("GET", "/v1/agent/self").json()
        self.assertEqual(own["Member"], member)
        self.assertEqual(own["Stats"]["serf_lan"]["members"], "1")
        self.assertEqual(set(own["Stats"]), {"agent", "build", "consul", "raft", "runtime", "serf_lan", "serf_wan"})
        (found,) = self.ask("GET", "/v1/coordinate/datacenters").json()
        self.assertEqual([one["Node"] for one in found["Coordinates"]], ["one"])
        for path, status, words in (
            (f"join/{self.bind_host}", 200, ""),
            (f"join/{self.bind_host}?wan=1", 200, ""),
            (f"join/{self.bind_host}:1", 500, "connection refused"),
            ("force-leave/one", 200, ""),
            ("force-leave/two", 500, "agent: No node found with name 'two'"),
        ):
            answer = self.ask("PUT", f"/v1/agent/{path}")
            self.assertEqual(answer.status, status, answer.body)
            self.assertIn(words, answer.body.decode())
