"""txconsul catalog."""

from __future__ import annotations

import json
from typing import Any

from twisted.trial.unittest import SynchronousTestCase

from tests.cli.invoking import FakeAgent, answer, invoke
from txconsul.cli.columns import table

NODES: list[dict[str, Any]] = [
    {
        "Node": "n1",
        "ID": "5a1b7f5e-8c4d-4b8e-9d7f-2f6f3b1c0a01",
        "Address": "127.0.0.9",
        "Datacenter": "dc1",
        "TaggedAddresses": {"wan": "1.2.3.4", "lan": "127.0.0.9"},
        "Meta": {"rack": "r2"},
    },
    {"Node": "a longer name", "ID": "", "Address": "::1", "Datacenter": "dc1", "TaggedAddresses": None, "Meta": None},
]


class TableTests(SynchronousTestCase):
    """L{table}."""

    def test_lastCell(self) -> None:
        """A row's last cell is not filled up, even where a row has fewer of them; space around cells goes."""
        self.assertEqual(table([["a", " bb ", "c"], ["long", "x"]]), "a     bb  c\nlong  x")

    def test_nothing(self) -> None:
        """No rows are no text."""
        self.assertEqual(table([]), "")


class NodesTests(SynchronousTestCase):
    """txconsul catalog nodes."""

    def test_table(self) -> None:
        """An ID is shown up to its first dash."""
        agent = FakeAgent({"GET /v1/catalog/nodes": answer(json.dumps(NODES))})
        outcome = invoke("catalog", "nodes", agent=agent)
        expected = (
            "Node           ID        Address    DC\n"
            "n1             5a1b7f5e  127.0.0.9  dc1\n"
            "a longer name            ::1        dc1\n"
        )
        self.assertEqual((outcome.status, outcome.out.decode(), outcome.err), (0, expected, ""))

    def test_detailed(self) -> None:
        """-detailed shows whole IDs, and addresses and metadata sorted."""
        agent = FakeAgent({"GET /v1/catalog/nodes": answer(json.dumps(NODES[:1]))})
        line = invoke("catalog", "nodes", "-detailed", agent=agent).out.decode().splitlines()[1]
        self.assertTrue(line.endswith("dc1  lan=127.0.0.9, wan=1.2.3.4  rack=r2"))
        self.assertIn(str(NODES[0]["ID"]), line)

    def test_ofService(self) -> None:
        """Nodes of a service are asked of the service; metadata comes under another name."""
        target = "GET /v1/catalog/service/web?filter=Port+%3E+1&near=_agent&node-meta=rack%3Ar2&node-meta=x%3A"
        rows = [{**NODES[0], "Meta": None, "NodeMeta": {"rack": "r2"}}]
        agent = FakeAgent({target: answer(json.dumps(rows))})
        words = ["-service=web", "-near=_agent", "-node-meta=rack=r2", "-node-meta=x=", "-filter=-", "-detailed"]
        outcome = invoke("catalog", "nodes", *words, agent=agent, stdin=b"Port > 1")
        self.assertEqual(outcome.status, 0, outcome.err)
        self.assertTrue(outcome.out.endswith(b"rack=r2\n"))

    def test_none(self) -> None:
        """That there are none is told on standard error, and is no failure; null counts as none."""
        for body in ("[]", "null"):
            outcome = invoke("catalog", "nodes", agent=FakeAgent({"GET /v1/catalog/nodes": answer(body)}))
            expected = "No nodes match the given query - try expanding your search.\n"
            self.assertEqual((outcome.status, outcome.out, outcome.err), (0, b"", expected))

    def test_errors(self) -> None:
        """What is wrong with arguments, flags and answers is told."""
        self.assertEqual(invoke("catalog", "nodes", "x").err, "Too many arguments (expected 0, got 1)\n")
        self.assertIn(
            'flag -node-meta: Missing "=" value in argument: x', invoke("catalog", "nodes", "-node-meta=x").err
        )
        outcome = invoke("catalog", "nodes", "-filter=@absent")
        expected = "Could not process filter argument: Failed to read file: open absent: no such file or directory\n"
        self.assertEqual((outcome.status, outcome.err), (1, expected))
        for body in ("7", "[7]", "nonsense"):
            outcome = invoke("catalog", "nodes", agent=FakeAgent({"GET /v1/catalog/nodes": answer(body)}))
            self.assertEqual(outcome.status, 1)
            self.assertTrue(outcome.err.startswith("Error listing nodes: the agent's answer is no "), outcome.err)
        outcome = invoke(
            "catalog", "nodes", "-service=w", agent=FakeAgent({"GET /v1/catalog/service/w": answer("No path", 500)})
        )
        expected = "Error listing nodes for service: Unexpected response code: 500 (No path)\n"
        self.assertEqual((outcome.status, outcome.err), (1, expected))


class ServicesTests(SynchronousTestCase):
    """txconsul catalog services and datacenters."""

    def test_names(self) -> None:
        """Names are sorted."""
        agent = FakeAgent({"GET /v1/catalog/services": answer('{"web": ["b", "a"], "consul": []}')})
        self.assertEqual(invoke("catalog", "services", agent=agent).out, b"consul\nweb\n")

    def test_tags(self) -> None:
        """-tags shows them sorted, in a column of their own."""
        agent = FakeAgent({"GET /v1/catalog/services": answer('{"web": ["b", "a"], "consul": null}')})
        outcome = invoke("catalog", "services", "-tags", agent=agent)
        self.assertEqual(outcome.out, b"consul      \nweb         a,b\n")

    def test_ofNode(self) -> None:
        """A node's instances of one service are one line."""
        body = {"Node": {}, "Services": {"w1": {"Service": "web", "Tags": ["a"]}, "w2": {"Service": "web"}}}
        agent = FakeAgent({"GET /v1/catalog/node/n1": answer(json.dumps(body))})
        self.assertEqual(invoke("catalog", "services", "-node=n1", agent=agent).out, b"web\n")
        for nothing in ("null", '{"Services": null}'):
            agent = FakeAgent({"GET /v1/catalog/node/n1": answer(nothing)})
            outcome = invoke("catalog", "services", "-node=n1", agent=agent)
            expected = "No services match the given query - try expanding your search.\n"
            self.assertEqual((outcome.status, outcome.out, outcome.err), (0, b"", expected))

    def test_datacenters(self) -> None:
        """Datacenters come in the agent's order."""
        agent = FakeAgent({"GET /v1/catalog/datacenters": answer('["dc2", "dc1"]')})
        self.assertEqual(invoke("catalog", "datacenters", agent=agent).out, b"dc2\ndc1\n")
        agent = FakeAgent({"GET /v1/catalog/datacenters": answer("no leader", 500)})
        outcome = invoke("catalog", "datacenters", agent=agent)
        expected = "Error listing datacenters: Unexpected response code: 500 (no leader)\n"
        self.assertEqual((outcome.status, outcome.err), (1, expected))
