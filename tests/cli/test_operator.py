"""C{txconsul operator}: what is asked, and how the answers are shown."""

from __future__ import annotations

import json
from typing import Any

from twisted.trial.unittest import SynchronousTestCase

from tests.cli.invoking import FakeAgent, Outcome, answer, invoke

CONFIG = {"CleanupDeadServers": True, "LastContactThreshold": "200ms", "MaxTrailingLogs": 250, "ModifyIndex": 7}
PATH = "/v1/operator/autopilot/configuration"


def ask(target: str, body: Any, *words: str, status: int = 200) -> tuple[Outcome, FakeAgent]:
    """Run a command against an agent that gives one answer."""
    agent = FakeAgent({target: answer(json.dumps(body), status)})
    return invoke("operator", *words, agent=agent), agent


class RaftTests(SynchronousTestCase):
    """C{operator raft}."""

    def test_listPeers(self) -> None:
        """How far each follower is behind the leader."""
        servers = [
            {"ID": id, "Node": f"n{id}", "Address": f"{id}:8300", "Voter": id != "c", "LastIndex": last}
            | {"Leader": id == "a", "ProtocolVersion": "3"}
            for id, last in (("a", 100), ("b", 99), ("c", 90))
        ]
        found, _ = ask("GET /v1/operator/raft/configuration", {"Servers": servers}, "raft", "list-peers")
        self.assertEqual(found.out.decode().splitlines(), [
            "Node  ID  Address  State     Voter  RaftProtocol  Commit Index  Trails Leader By",
            "na    a   a:8300   leader    true   3             100           -",
            "nb    b   b:8300   follower  true   3             99            1 commit",
            "nc    c   c:8300   follower  false  3             90            10 commits",
        ])  # fmt: skip

    def test_stale(self) -> None:
        """Any server may be asked."""
        target = "GET /v1/operator/raft/configuration?stale="
        self.assertEqual(ask(target, {"Servers": None}, "raft", "list-peers", "-stale")[0].status, 0)

    def test_removePeer(self) -> None:
        """By id or address, which is told."""
        found, _ = ask("DELETE /v1/operator/raft/peer?id=x", "", "raft", "remove-peer", "-id=x")
        self.assertEqual((found.status, found.out), (0, b'Removed peer with id "x"\n'))

    def test_transferLeader(self) -> None:
        """It worked, or it did not."""
        target = "POST /v1/operator/raft/transfer-leader"
        self.assertEqual(ask(target, {"Success": True}, "raft", "transfer-leader")[0].out, b"Success\n")
        found, _ = ask(target, {"Success": False}, "raft", "transfer-leader")
        self.assertEqual(found.err, "Error transfering leadership: Failed to transfer leadership\n")
        self.assertEqual(found.status, 1)


class AutopilotTests(SynchronousTestCase):
    """C{operator autopilot}."""

    def test_setConfig(self) -> None:
        """What no flag names stays as it was read, and only if nobody else has changed it since."""
        agent = FakeAgent({f"GET {PATH}": answer(json.dumps(CONFIG)), f"PUT {PATH}?cas=7": answer("true")})
        found = invoke(
            "operator", "autopilot", "set-config", "-min-quorum=3", "-cleanup-dead-servers=false", agent=agent
        )
        self.assertEqual((found.status, found.out), (0, b"Configuration updated!\n"))
        sent = json.loads(agent.bodies[-1])
        self.assertEqual(sent, {**CONFIG, "MinQuorum": 3, "CleanupDeadServers": False})

    def test_setConfigRaced(self) -> None:
        """Somebody else was faster."""
        agent = FakeAgent({f"GET {PATH}": answer(json.dumps(CONFIG)), f"PUT {PATH}?cas=7": answer("false\n")})
        found = invoke("operator", "autopilot", "set-config", "-min-quorum=3", agent=agent)
        self.assertEqual(found.status, 1)
        self.assertIn(b"please try again", found.out)

    def test_state(self) -> None:
        """Every server, with its metadata."""
        server = {"Name": "n1", "Address": "1:8300", "Healthy": True, "LastContact": "5ms", "Meta": {"rack": "r1"}}
        body = {"Healthy": False, "FailureTolerance": 0, "Leader": "a", "Voters": ["a"], "Servers": {"a": server}}
        found, _ = ask("GET /v1/operator/autopilot/state", body, "autopilot", "state")
        lines = found.out.decode().splitlines()
        self.assertEqual(lines[0], "Healthy:                      false")
        self.assertIn("      Last Contact:    5ms", lines)
        self.assertIn('         "rack": "r1"', lines)

    def test_json(self) -> None:
        """As it came, indented."""
        body = {"Healthy": True, "Servers": {}}
        found, _ = ask("GET /v1/operator/autopilot/state", body, "autopilot", "state", "-format=json")
        self.assertEqual(found.out.decode(), json.dumps(body, indent=4) + "\n")


class UsageTests(SynchronousTestCase):
    """C{operator usage instances}."""

    def test_everywhere(self) -> None:
        """Datacenters one below the other, and sums."""
        counts = {"Services": 2, "BillableServiceInstances": 3, "Nodes": 4, "ConnectServiceInstances": {"x": 1}}
        body = {"Usage": {"dc2": counts, "dc1": counts}}
        found, _ = ask("GET /v1/operator/usage?global=", body, "usage", "instances", "-all-datacenters")
        text = found.out.decode()
        self.assertIn("Billable Service Instances Total: 6\ndc1 Billable Service Instances: 3\ndc2", text)
        self.assertIn("Total           4             6\n", text)
        self.assertIn("Total           8\n", text)
        self.assertIn("Total                     2\n", text)
