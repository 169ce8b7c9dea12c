"""C{txconsul event} and C{txconsul keyring}: what they ask, and what they say."""

from __future__ import annotations

import json
from typing import Any

from twisted.trial.unittest import SynchronousTestCase

from tests.cli.invoking import FakeAgent, Outcome, answer, invoke


class EventTests(SynchronousTestCase):
    """Against an agent that fires events."""

    def fire(self, *words: str) -> tuple[Outcome, FakeAgent]:
        """Run it."""
        agent = FakeAgent(
            {
                "GET /v1/agent/self": answer('{"Config": {"NodeName": "n1"}}'),
                "PUT /v1/event/fire/deploy": answer('{"ID": "x-1"}'),
                "PUT /v1/event/fire/deploy?node=%5En&service=web&tag=v1": answer('{"ID": "x-2"}'),
                "PUT /v1/event/fire/large": answer("too much", 500),
            }
        )
        return invoke("event", *words, agent=agent), agent

    def test_payload(self) -> None:
        """The only argument is the payload, as it is; the event's ID is told."""
        found, agent = self.fire("-name=deploy", "two words")
        self.assertEqual((found.status, found.out, found.err), (0, b"Event ID: x-1\n", ""))
        self.assertEqual(agent.bodies[-1], b"two words")

    def test_filters(self) -> None:
        """Patterns are parameters."""
        found, _ = self.fire("-name=deploy", "-node=^n", "-service=web", "-tag=v1")
        self.assertEqual(found.out, b"Event ID: x-2\n")

    def test_refused(self) -> None:
        """What is wrong is told before anything is asked."""
        for words, said in (
            (
                ("-name=x", "-node=("),
                "Failed to compile node filter regexp: error parsing regexp: missing closing ): `(`",
            ),
            (("-name=x", "-service=["), "Failed to compile service filter regexp: error parsing regexp"),
            (("-name=x", "-tag=*"), "Failed to compile tag filter regexp: error parsing regexp"),
            (("-name=x", "-tag=v1"), "Cannot provide tag filter without service filter."),
            (("-name=x", "a", "b"), "Too many command line arguments.\n\nUsage: txconsul event"),
            (("payload",), "Event name must be specified\n\nUsage: txconsul event"),
        ):
            found, agent = self.fire(*words)
            self.assertEqual((found.status, found.out, agent.requests), (1, b"", []), words)
            self.assertTrue(found.err.startswith(said), found.err)

    def test_failed(self) -> None:
        """An agent that refuses is quoted."""
        found, _ = self.fire("-name=large")
        self.assertEqual(found.err, "Error firing event: Unexpected response code: 500 (too much)\n")


class KeyringTests(SynchronousTestCase):
    """Against an agent whose pools have keys."""

    POOLS: tuple[dict[str, Any], ...] = (
        {"WAN": True, "Datacenter": "dc1", "Keys": {"b": 1, "a": 2}, "PrimaryKeys": {"a": 2}, "NumNodes": 2},
        {
            "WAN": False,
            "Datacenter": "dc1",
            "Messages": {"n1": "cut"},
            "Keys": {"a": 3},
            "PrimaryKeys": None,
            "NumNodes": 3,
        },
        {"WAN": False, "Datacenter": "dc2", "Segment": "s", "Keys": {}, "NumNodes": 1},
    )

    def ask(self, *words: str) -> tuple[Outcome, FakeAgent]:
        """Run it."""
        pools = json.dumps(self.POOLS)
        agent = FakeAgent(
            {
                "GET /v1/operator/keyring": answer(pools),
                "GET /v1/operator/keyring?local-only=true&relay-factor=2": answer(pools),
                "POST /v1/operator/keyring?relay-factor=5": answer(),
                "PUT /v1/operator/keyring": answer(),
                "DELETE /v1/operator/keyring": answer("1 error occurred:\n\t* no\n\n", 500),
            }
        )
        return invoke("keyring", *words, agent=agent), agent

    def test_list(self) -> None:
        """Each pool with its keys, what members said, and how many have each key."""
        found, _ = self.ask("-list")
        self.assertEqual(
            found.out.decode(),
            "==> Gathering installed encryption keys...\n"
            "\nWAN:\n  a [2/2]\n  b [1/2]\n"
            "\ndc1 (LAN):\n  ===> n1: cut\n  a [3/3]\n"
            "\ndc2 (LAN) [s]:\n",
        )
        found, _ = self.ask("-list-primary")
        self.assertIn("\nWAN:\n  a [2/2]\n\ndc1 (LAN):\n  ===> n1: cut\n\ndc2", found.out.decode())
        found, _ = self.ask("-list", "-local-only", "-relay-factor=2")
        self.assertEqual(found.status, 0)

    def test_changes(self) -> None:
        """A key is in the body; a refusal is quoted."""
        found, agent = self.ask("-install=k", "-relay-factor=5")
        self.assertEqual((found.status, found.out), (0, b"==> Installing new gossip encryption key...\n"))
        self.assertEqual(json.loads(agent.bodies[0]), {"Key": "k"})
        found, _ = self.ask("-use=k")
        self.assertEqual((found.status, found.out), (0, b"==> Changing primary gossip encryption key...\n"))
        found, _ = self.ask("-remove=k")
        self.assertEqual(found.err, "error: Unexpected response code: 500 (1 error occurred:\n\t* no)\n")

    def test_refused(self) -> None:
        """What is wrong is told before anything is asked."""
        for words, said in (
            ((), "Usage: txconsul keyring"),
            (("-list", "-install=k"), "Only a single action is allowed\n"),
            (("-list", "-relay-factor=6"), "Error parsing relay factor: Relay factor must be in range: [0, 5]\n"),
            (("-list", "-relay-factor=-1"), "Error parsing relay factor: Relay factor must be in range: [0, 5]\n"),
            (
                ("-use=k", "-local-only"),
                "Error validating local-only: local-only can only be set for list requests\n",
            ),
        ):
            found, agent = self.ask(*words)
            self.assertEqual((found.status, found.out, agent.requests), (1, b"", []), words)
            self.assertTrue(found.err.startswith(said), found.err)
