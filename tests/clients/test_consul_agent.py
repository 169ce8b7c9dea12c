"""
A real Consul client agent in a datacenter of ours.

C{TXCONSUL_TEST_CONSUL} is the path of a consul 1.21 program; without it this is skipped. Streaming is switched off in
its configuration, since it goes by gRPC.
"""

from __future__ import annotations

import http.client
import json
import os
import select
import time
from collections.abc import Callable
from threading import Thread
from typing import Any
from unittest import SkipTest

from tests.real.process import DEADLINE_SECONDS, Answer, ProcessTestCase

PORT = 8500
ASK_AGAIN_SECONDS = 0.05


class AgentTests(ProcessTestCase):
    """One server of ours, one client agent of theirs."""

    def setUp(self) -> None:
        """Start both, and wait until the agent has registered itself."""
        super().setUp()
        program = os.environ.get("TXCONSUL_TEST_CONSUL")
        if not program:
            raise SkipTest("TXCONSUL_TEST_CONSUL is not set")
        self.server = self.started()
        self.their_host = self.own_address()[0]
        theirs = {
            "server": False,
            "node_name": "theirs",
            "data_dir": str(self.directory / "theirs"),
            "bind_addr": self.their_host,
            "client_addr": self.their_host,
            "retry_join": [self.bind_host],
            "retry_interval": "1s",
            "use_streaming_backend": False,
            "disable_update_check": True,
            "ports": {"dns": -1},
            "services": [{"name": "web", "port": 80, "check": {"ttl": "1h", "status": "passing"}}],
        }
        path = self.directory / "theirs.json"
        path.write_text(json.dumps(theirs))
        self.agent = self.run_program(program, "agent", "-config-file", str(path))
        self.until(lambda: self.get("/v1/catalog/service/web").json(), "web")

    def until(self, check: Callable[[], Any], what: str) -> Any:
        """Ask again and again until there is something."""
        end = time.monotonic() + DEADLINE_SECONDS
        while True:
            try:
                found = check()
            except (OSError, ValueError, http.client.HTTPException):
                found = None
            if found:
                return found
            if time.monotonic() > end:
                self.fail(f"no {what}\n{self.agent.output}\n{self.server.output}")
            select.select([], [], [], ASK_AGAIN_SECONDS)

    def get(self, path: str, method: str = "GET", body: bytes | None = None) -> Answer:
        """Ask their agent."""
        connection = http.client.HTTPConnection(self.their_host, PORT, timeout=DEADLINE_SECONDS)
        try:
            connection.request(method, path, body)
            response = connection.getresponse()
            names = {name.lower(): value for name, value in response.getheaders()}
            return Answer(response.status, names, response.read())
        finally:
            connection.close()

    def test_anAgentAmongOurs(self) -> None:
        """It is registered, its services are found, and it reads and writes what we have."""
        self.assertEqual({one["Node"] for one in self.ask("GET", "/v1/catalog/nodes").json()}, {"one", "theirs"})
        (web,) = self.until(lambda: self.ask("GET", "/v1/health/service/web?passing").json(), "healthy web")
        self.assertEqual({check["CheckID"] for check in web["Checks"]}, {"serfHealth", "service:web"})

        value = bytes(range(256)) * 1600
        self.assertEqual(self.get("/v1/kv/a", "PUT", value).body.strip(), b"true")
        self.assertEqual(self.value("a"), value)
        self.put("b", "ours")
        self.assertEqual(self.get("/v1/kv/b?raw").body, b"ours")
        self.assertEqual(self.get("/v1/kv/none").status, 404)
        self.assertIn(b"No path to datacenter", self.get("/v1/kv/b?dc=nowhere").body)

        index = self.get("/v1/kv/b").index
        woken: list[Answer] = []
        waiting = Thread(target=lambda: woken.append(self.get(f"/v1/kv/b?raw&index={index}&wait=30s")))
        waiting.start()
        self.put("b", "anew")
        waiting.join(DEADLINE_SECONDS)
        self.assertEqual(woken[0].body, b"anew")

        archive = self.get("/v1/snapshot").body
        self.put("b", "later")
        self.assertEqual(self.get("/v1/snapshot", "PUT", archive).status, 200)
        self.assertEqual(self.value("b"), b"anew")

    def test_serverThatComesBack(self) -> None:
        """When the server was killed and is there again, the agent goes on."""
        self.put("kept", "1")
        self.server.kill()
        self.assertEqual(self.get("/v1/kv/kept").status, 500)
        self.server = self.started()
        self.until(lambda: self.get("/v1/kv/kept?raw").body == b"1", "answer")
