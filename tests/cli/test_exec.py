"""C{txconsul exec}: what it asks for, and how it shows what comes."""

from __future__ import annotations

import json
from base64 import b64encode
from typing import Any
from urllib.parse import parse_qs, urlsplit

from twisted.trial.unittest import SynchronousTestCase

from tests.cli.invoking import Outcome, invoke
from txconsul.cli.api import Answer, Client, Request
from txconsul.cli.settings import Settings

DIRECTORY = "_rexec/s-1/"


class ExecAgent:
    """
    An agent whose pool runs commands: what they write is given beforehand, in steps.

    @ivar steps: the keys that appear between two questions.
    """

    def __init__(self, *steps: dict[str, bytes]) -> None:
        self.steps = [*steps]
        self.keys: dict[str, bytes] = {}
        self.asked: list[tuple[str, str]] = []
        self.bodies: dict[str, Any] = {}
        self.acquired = True
        self.servers: list[Any] = [{"Node": {"Node": "far"}}]

    def connect(self, settings: Settings) -> Client:
        """See C{FakeAgent}."""
        return Client(settings, self._exchange)

    def _exchange(self, request: Request) -> Answer:
        from tests.cli.invoking import answer

        url = urlsplit(request.target)
        path, query = url.path.removeprefix("/v1"), parse_qs(url.query, keep_blank_values=True)
        body = request.body or b""
        self.asked.append((request.method, path))
        assert isinstance(body, bytes)
        self.bodies[path] = (query, body)
        if path.startswith("/kv/"):
            return self._kv(request.method, path.removeprefix("/kv/"), query)
        said: Any = {
            "/agent/self": {"Config": {"NodeName": "n1", "Datacenter": "dc1"}},
            "/session/create": {"ID": "s-1"},
            "/event/fire/_rexec": {"ID": "e-1"},
            "/health/service/consul": self.servers,
        }.get(path, True)
        return answer(json.dumps(said))

    def _kv(self, method: str, key: str, query: dict[str, list[str]]) -> Answer:
        from tests.cli.invoking import answer

        if method != "GET":
            return answer("true" if self.acquired else "false")
        if "keys" in query:
            if self.steps:
                self.keys |= {DIRECTORY + name: value for name, value in self.steps.pop(0).items()}
            return answer(json.dumps(sorted(self.keys)), X_Consul_Index="7")
        return answer(json.dumps([{"Key": key, "Value": b64encode(self.keys[key]).decode()}]))


def run(agent: ExecAgent, *words: str, stdin: bytes = b"") -> Outcome:
    """Run it; it does not wait for long."""
    return invoke("exec", "-wait=30ms", "-wait-repl=0s", *words, agent=agent, stdin=stdin)  # type: ignore[arg-type]


class ExecTests(SynchronousTestCase):
    """Against an agent whose pool runs commands."""

    def test_shown(self) -> None:
        """Output with the node's name before each line; how each ended; how many did."""
        agent = ExecAgent(
            {"job": b"{}", "n1/ack": b""},
            {"n1/out/00000": b"a\nb\n", "n2/ack": b""},
            {"n1/out/00001": b"", "n1/exit": b"0", "n2/exit": b"3"},
        )
        found = run(agent, "echo", "hi")
        self.assertEqual(
            (found.status, found.out.decode(), found.err),
            (
                2,
                "    n1: a\n    n1: b\n    n1:\n==> n1: finished with exit code 0\n==> n2: finished with exit code 3\n"
                "2 / 2 node(s) completed / acknowledged\n",
                "",
            ),
        )
        self.assertEqual(json.loads(agent.bodies["/kv/_rexec/s-1/job"][1]), {"Command": "echo hi", "Wait": 30_000_000})
        self.assertEqual(json.loads(agent.bodies["/event/fire/_rexec"][1]), {"Prefix": "_rexec", "Session": "s-1"})
        self.assertEqual(agent.asked[-2:], [("PUT", "/session/destroy/s-1"), ("DELETE", "/kv/_rexec/s-1")])

    def test_verbose(self) -> None:
        """More is told where it is wanted; an agent that does not come to an end is a bad end."""
        found = run(ExecAgent({"n1/ack": b"", "n1/out/00000": b""}), "-verbose", "-node=n", "sleep 9")
        self.assertEqual(found.status, 2)
        self.assertEqual(
            found.out.decode().splitlines()[:-1],
            [
                "Created remote execution session: s-1",
                "Uploaded remote execution spec",
                "Fired remote execution event: e-1",
                "==> n1: acknowledged",
                "==> n1: heartbeat received",
                "0 / 1 node(s) completed / acknowledged",
            ],
        )

    def test_kinds(self) -> None:
        """Without a shell the arguments stay apart; a script comes from standard input."""
        agent = ExecAgent()
        self.assertEqual(run(agent, "-shell=false", "-prefix=p", "echo", "a b").status, 0)
        self.assertEqual(json.loads(agent.bodies["/kv/p/s-1/job"][1])["Args"], ["echo", "a b"])
        run(agent, "-", stdin=b"#!/bin/sh\n")
        self.assertEqual(json.loads(agent.bodies["/kv/_rexec/s-1/job"][1])["Script"], "IyEvYmluL3NoCg==")

    def test_oddKeys(self) -> None:
        """What is none of an agent's is told and passed over."""
        found = run(ExecAgent({"n1/other": b"", "n1/exit": b"x", "ack": b""}), "echo")
        self.assertEqual(found.out, b"0 / 0 node(s) completed / acknowledged\n")
        self.assertEqual(
            sorted(found.err.splitlines()),
            ["Failed to parse exit code 'x'", "Unknown key 'ack', ignoring.", "Unknown key 'n1/other', ignoring."],
        )

    def test_elsewhere(self) -> None:
        """In another datacenter the session hangs on one of its servers."""
        agent = ExecAgent()
        self.assertEqual(run(agent, "-datacenter=dc2", "echo").status, 0)
        wanted = json.loads(agent.bodies["/session/create"][1])
        self.assertEqual((wanted["Node"], wanted["Name"]), ("far", "Remote Exec via n1@dc1"))
        agent.servers = []
        found = run(agent, "-datacenter=dc2", "echo")
        self.assertEqual(found.err, "Failed to create session: Failed to find Consul server in remote datacenter\n")

    def test_refused(self) -> None:
        """What is wrong is told, and nothing is left behind."""
        for words, said in (
            ((), "Must specify a command to execute\n\nUsage: txconsul exec"),
            (("-",), "Must specify a command to execute\n\nUsage: txconsul exec"),
            (("-shell=false", "-"), "Cannot configure -shell=false when reading from stdin\n"),
            (("-node=(", "x"), "Failed to compile node filter regexp: error parsing regexp"),
            (("-tag=x", "x"), "Cannot provide tag filter without service filter.\n"),
        ):
            agent = ExecAgent()
            found = run(agent, *words)
            self.assertEqual((found.status, found.out, agent.asked), (1, b"", []), words)
            self.assertTrue(found.err.startswith(said), found.err)
        agent = ExecAgent()
        agent.acquired = False
        found = run(agent, "echo")
        self.assertEqual(found.err, "Failed to create job file: failed to acquire key _rexec/s-1/job\n")
        self.assertIn(("PUT", "/session/destroy/s-1"), agent.asked)
