"""txconsul join, leave and force-leave: what is asked of the agent, and what is said of its answers."""

from __future__ import annotations

from twisted.trial.unittest import SynchronousTestCase

from tests.cli.invoking import FakeAgent, answer, invoke


class JoinTests(SynchronousTestCase):
    """C{join}."""

    def test_joined(self) -> None:
        """Each address is asked for; those that were joined are counted, the failures of others told."""
        agent = FakeAgent(
            {
                "PUT /v1/agent/join/10.0.0.1:8301": answer(),
                "PUT /v1/agent/join/nowhere": answer("1 error occurred:\n\t* Failed to join\n\n", 500),
                "PUT /v1/agent/join/%5Bfd00::1%5D:8301": answer(),
            }
        )
        outcome = invoke("join", "10.0.0.1:8301", "nowhere", "[fd00::1]:8301", agent=agent)
        problem = "Unexpected response code: 500 (1 error occurred:\n\t* Failed to join)"
        self.assertEqual(
            (outcome.status, outcome.out, outcome.err),
            (
                0,
                b"Successfully joined cluster by contacting 2 nodes.\n",
                f"Error joining address 'nowhere': {problem}\n",
            ),
        )

    def test_wan(self) -> None:
        """-wan and -partition are passed on."""
        agent = FakeAgent({"PUT /v1/agent/join/h?partition=p&wan=1": answer()})
        self.assertEqual(invoke("join", "-wan", "-partition=p", "h", agent=agent).status, 0)

    def test_nobody(self) -> None:
        """If nobody could be joined the status is 1."""
        outcome = invoke("join", "h", agent=FakeAgent({"PUT /v1/agent/join/h": answer("no", 403)}))
        expected = "Error joining address 'h': Unexpected response code: 403 (no)\nFailed to join any nodes.\n"
        self.assertEqual((outcome.status, outcome.out, outcome.err), (1, b"", expected))

    def test_none(self) -> None:
        """Without an address nothing is asked, and the usage shown."""
        outcome = invoke("join")
        self.assertEqual((outcome.status, outcome.out), (1, b""))
        self.assertTrue(
            outcome.err.startswith("At least one address to join must be specified.\n\nUsage: txconsul join "), outcome
        )


class LeaveTests(SynchronousTestCase):
    """C{leave}."""

    def test_left(self) -> None:
        """It says when the agent has left."""
        outcome = invoke("leave", agent=FakeAgent({"PUT /v1/agent/leave": answer()}))
        self.assertEqual((outcome.status, outcome.out, outcome.err), (0, b"Graceful leave complete\n", ""))

    def test_errors(self) -> None:
        """What the agent refuses, and words that are no flags: then the usage goes to standard output."""
        outcome = invoke("leave", agent=FakeAgent({"PUT /v1/agent/leave": answer("no", 403)}))
        self.assertEqual((outcome.status, outcome.err), (1, "Error leaving: Unexpected response code: 403 (no)\n"))
        outcome = invoke("leave", "a", "b")
        self.assertEqual((outcome.status, outcome.err), (1, "Error found unexpected args: [a b]\n"))
        self.assertTrue(outcome.out.startswith(b"Usage: txconsul leave "))


class ForceLeaveTests(SynchronousTestCase):
    """C{force-leave}."""

    def test_done(self) -> None:
        """It is silent; flags become parameters."""
        for words, query in (((), ""), (("-prune",), "?prune=1"), (("-wan", "-prune"), "?prune=1&wan=1")):
            agent = FakeAgent({f"PUT /v1/agent/force-leave/c1{query}": answer()})
            outcome = invoke("force-leave", *words, "c1", agent=agent)
            self.assertEqual((outcome.status, outcome.out, outcome.err), (0, b"", ""))

    def test_errors(self) -> None:
        """What the agent refuses, and more or fewer names than one."""
        agent = FakeAgent({"PUT /v1/agent/force-leave/x": answer("agent: No node found with name 'x'", 500)})
        outcome = invoke("force-leave", "x", agent=agent)
        expected = "Error force leaving: Unexpected response code: 500 (agent: No node found with name 'x')\n"
        self.assertEqual((outcome.status, outcome.err), (1, expected))
        for words in ((), ("a", "b")):
            outcome = invoke("force-leave", *words)
            self.assertEqual(outcome.status, 1)
            self.assertTrue(
                outcome.err.startswith("A single node name must be specified to force leave.\n\nUsage: "), outcome
            )
