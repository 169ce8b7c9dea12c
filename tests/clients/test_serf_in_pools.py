"""
Debian's C{serf} at the pools of an agent: with Consul's tags it is let in, as with Consul; otherwise it is not.

It is skipped where C{serf} is not installed (script/debian-packages).
"""

from __future__ import annotations

import shutil
from unittest import SkipTest

from tests.real.process import Process, ProcessTestCase, environment

CLIENT = {
    "role": "node",
    "dc": "dc1",
    "id": "99999999-2222-3333-4444-555555555555",
    "segment": "",
    "vsn": "2",
    "vsn_min": "2",
    "vsn_max": "3",
    "build": "1.21.4:",
}
SERVER = {**CLIENT, "role": "consul", "port": "8300", "raft_vsn": "3"}


class SerfInPoolsTests(ProcessTestCase):
    """One agent, and a Serf member that wants to be in one of its pools."""

    def setUp(self) -> None:
        super().setUp()
        if shutil.which("serf") is None:
            raise SkipTest("serf is not installed: script/debian-packages")
        self.agent = self.started(log_level="debug")

    def serf(self, name: str, port: int, tags: dict[str, str]) -> tuple[Process, str]:
        """A member that joins at a port of the agent's. @return: it, and its address."""
        address, _ = self.own_address()
        command = ["serf", "agent", f"-node={name}", f"-bind={address}:7946", f"-rpc-addr={address}:7373"]
        for tag in tags.items():
            command += ["-tag", "=".join(tag)]
        command += ["-profile=lan", "-log-level=debug", f"-join={self.bind_host}:{port}"]
        process = Process(command, cwd="/", env=environment())
        self.addCleanup(process.kill)
        return process, address

    def members(self, query: str = "") -> dict[str, int]:
        """Status by name, as the agent has it."""
        return {one["Name"]: one["Status"] for one in self.ask("GET", f"/v1/agent/members{query}").json()}

    def test_client(self) -> None:
        """A member with a client's tags is in the LAN pool, and when it leaves it has left."""
        serf, address = self.serf("two", 8301, CLIENT)
        serf.wait_for("EventMemberJoin: one ")
        (found,) = self.ask("GET", "/v1/agent/members?filter=Name==two").json()
        self.assertEqual((found["Status"], found["Addr"], found["Tags"]), (1, address, CLIENT))
        serf.signal(2)
        serf.wait()
        self.assertEqual(self.members(), {"one": 1, "two": 3})

    def test_server(self) -> None:
        """One with a server's tags is in the WAN pool, where one without is not."""
        serf, _ = self.serf("two.dc2", 8302, {**SERVER, "dc": "dc2"})
        serf.wait_for("EventMemberJoin: one.dc1 ")
        self.assertEqual(self.members("?wan=1"), {"one.dc1": 1, "two.dc2": 1})
        self.serf("three.dc2", 8302, {**CLIENT, "dc": "dc2"})
        self.agent.wait_for("Member 'three.dc2' is not a server")
        self.assertEqual(self.members("?wan=1"), {"one.dc1": 1, "two.dc2": 1})

    def test_refused(self) -> None:
        """Who is of another datacenter, or has the agent's own id, is not let in."""
        own = self.ask("GET", "/v1/agent/self").json()["Config"]["NodeID"]
        for name, tags, why in (
            ("two", {**CLIENT, "dc": "dc2"}, "Member 'two' part of wrong datacenter 'dc2'"),
            ("three", {**CLIENT, "id": own}, f"Member 'three' has conflicting node ID '{own}' with this agent's ID"),
        ):
            self.serf(name, 8301, tags)
            self.agent.wait_for(why)
            self.assertEqual(self.members(), {"one": 1})
