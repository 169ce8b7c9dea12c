"""
A client agent of a real Consul in the pool of a server of ours, and a server of theirs in another datacenter: events,
keys and commands go through both.

C{TXCONSUL_TEST_CONSUL} is the path of a consul 1.21 program; without it this is skipped.
"""

from __future__ import annotations

import http.client
import json
import os
import sys
import threading
import time
from typing import Any
from unittest import SkipTest

from tests.real.process import DEADLINE_SECONDS, Answer, ProcessTestCase

OLD, NEW = "wH1Bn9hlJ0emgWB1JttVRA==", "pUqJrVyVRj5jsiYEkM/tFQYfWyJIv4s3XkvDwy7Cu5s="


class BesideConsul(ProcessTestCase):
    """A server of ours, and an agent of theirs."""

    #: What their agent is.
    theirs: dict[str, Any] = {}

    def setUp(self) -> None:
        """Start both, and wait until theirs answers."""
        program = os.environ.get("TXCONSUL_TEST_CONSUL")
        if not program:
            raise SkipTest("TXCONSUL_TEST_CONSUL is not set")
        super().setUp()
        self.started(node_name="ours", encrypt=OLD, disable_remote_exec=False, ports={"grpc": -1})
        self.their_host = self.own_address()[0]
        theirs = {
            "node_name": "theirs",
            "bind_addr": self.their_host,
            "client_addr": self.their_host,
            "data_dir": str(self.directory / "theirs"),
            "encrypt": OLD,
            "ports": {"dns": -1, "grpc": -1, "grpc_tls": -1},
            "disable_remote_exec": False,
            **self.theirs,
            "retry_join_wan" if self.theirs.get("server") else "retry_join": [self.bind_host],
        }
        path = self.directory / "theirs.json"
        path.write_text(json.dumps(theirs))
        self.run_program(program, "agent", "-config-file", str(path))
        self.until(lambda: self.ask_them("GET", "/v1/kv/none").status == 404)

    def ask_them(self, method: str, path: str, body: bytes | str | None = None) -> Answer:
        """One request to their agent; status 0 while it does not listen."""
        connection = http.client.HTTPConnection(self.their_host, 8500, timeout=DEADLINE_SECONDS)
        try:
            connection.request(method, path, body)
            response = connection.getresponse()
            return Answer(response.status, {}, response.read())
        except OSError:
            return Answer(0, {}, b"")
        finally:
            connection.close()

    def until(self, done: Any) -> None:
        """Ask again and again until something is so."""
        end, pause = time.monotonic() + DEADLINE_SECONDS, threading.Event()
        while not done():
            self.assertLess(time.monotonic(), end, "it did not happen")
            pause.wait(0.05)


class ConsulClientTests(BesideConsul):
    """A client agent of theirs, which joins our server."""

    theirs = {"use_streaming_backend": False}  # which needs gRPC

    def test_events(self) -> None:
        """What is fired at either is held by both, under the same ID; filters count at both."""
        for name, ask in (("a", self.ask), ("b", self.ask_them)):
            fired = ask("PUT", f"/v1/event/fire/{name}", name * 300).json()
            ask("PUT", f"/v1/event/fire/only-{name}?node=%5Ethei", b"")
            for listing in (self.ask, self.ask_them):
                self.until(lambda listing=listing, name=name: listing("GET", f"/v1/event/list?name={name}").json())
                (held,) = listing("GET", f"/v1/event/list?name={name}").json()
                self.assertEqual((held["ID"], held["Payload"]), (fired["ID"], fired["Payload"]))
            self.until(lambda name=name: self.ask_them("GET", f"/v1/event/list?name=only-{name}").json())
            self.assertEqual(self.ask("GET", f"/v1/event/list?name=only-{name}").json(), [])

    def test_keys(self) -> None:
        """A key is installed, used, and the old one removed, on both, whoever is asked; both write it down."""
        for ask, method, key in (
            (self.ask_them, "POST", NEW),
            (self.ask, "PUT", NEW),
            (self.ask_them, "DELETE", OLD),
        ):
            answer = ask(method, "/v1/operator/keyring", json.dumps({"Key": key}))
            self.assertEqual((answer.status, answer.body), (200, b""))
        for ask in (self.ask, self.ask_them):
            wan, lan = ask("GET", "/v1/operator/keyring").json()
            self.assertEqual((wan["Keys"], wan["PrimaryKeys"]), ({NEW: 1}, {NEW: 1}))
            self.assertEqual((lan["Keys"], lan["PrimaryKeys"], lan["NumNodes"]), ({NEW: 2}, {NEW: 2}, 2))
        for path in (self.data, self.directory / "theirs"):
            self.assertEqual(json.loads((path / "serf" / "local.keyring").read_text()), [NEW])
        self.assertEqual(self.ask_them("DELETE", "/v1/operator/keyring", json.dumps({"Key": NEW})).status, 500)

    def test_commands(self) -> None:
        """Either's exec runs a command on both."""
        program = os.environ["TXCONSUL_TEST_CONSUL"]
        ours = (sys.executable, "-m", "txconsul.cli.main")
        for words, address in (((program,), f"unix://{self.socket_path}"), (ours, f"http://{self.their_host}:8500")):
            found = self.run_program(*words, "exec", f"-http-addr={address}", "echo hello; exit 4")
            self.assertEqual(found.wait(), 2, found.output)
            for name in ("ours", "theirs"):
                self.assertIn(f"    {name}: hello", found.lines)
                self.assertIn(f"==> {name}: finished with exit code 4", found.lines)
            self.assertEqual(found.lines[-1], "2 / 2 node(s) completed / acknowledged")
        self.assertEqual(self.ask("GET", "/v1/kv/_rexec?keys").status, 404)


class ConsulServerTests(BesideConsul):
    """A server of theirs in a datacenter of its own, which joins our server."""

    theirs = {"server": True, "bootstrap": True, "datacenter": "dc2", "primary_datacenter": "dc1"}

    def setUp(self) -> None:
        """Wait until both know of each other."""
        super().setUp()
        for ask in (self.ask, self.ask_them):
            self.until(lambda ask=ask: sorted(ask("GET", "/v1/catalog/datacenters").json()) == ["dc1", "dc2"])

    def test_events(self) -> None:
        """What is fired for the other datacenter is held there, and only there."""
        for name, ask, other, there in (("a", self.ask, self.ask_them, "dc2"), ("b", self.ask_them, self.ask, "dc1")):
            fired = ask("PUT", f"/v1/event/fire/{name}?dc={there}", name).json()
            self.until(lambda other=other, name=name: other("GET", f"/v1/event/list?name={name}").json())
            self.assertEqual(other("GET", f"/v1/event/list?name={name}").json()[0]["ID"], fired["ID"])
            self.assertEqual(ask("GET", f"/v1/event/list?name={name}").json(), [])

    def test_keys(self) -> None:
        """Whoever is asked, keys change in the pool of all datacenters and in that of each."""
        for ask, method, key in (
            (self.ask_them, "POST", NEW),
            (self.ask, "PUT", NEW),
            (self.ask_them, "DELETE", OLD),
        ):
            answer = ask(method, "/v1/operator/keyring", json.dumps({"Key": key}))
            self.assertEqual((answer.status, answer.body), (200, b""))
        for ask, own, other in ((self.ask, "dc1", "dc2"), (self.ask_them, "dc2", "dc1")):
            pools = ask("GET", "/v1/operator/keyring").json()
            self.assertEqual(
                [(one["WAN"], one["Datacenter"], one["Keys"]) for one in pools],
                [(True, own, {NEW: 2}), (False, own, {NEW: 1}), (False, other, {NEW: 1})],
            )

    def test_commands(self) -> None:
        """A command is run in the other datacenter, held by a session of a server there."""
        words = (sys.executable, "-m", "txconsul.cli.main", "exec", f"-http-addr=unix://{self.socket_path}")
        found = self.run_program(*words, "-datacenter=dc2", "echo hello")
        self.assertEqual(found.wait(), 0, found.output)
        self.assertEqual(
            found.lines,
            [
                "    theirs: hello",
                "    theirs:",
                "==> theirs: finished with exit code 0",
                "1 / 1 node(s) completed / acknowledged",
            ],
        )
