"""
Consul's agents and ours in one datacenter.

C{TXCONSUL_TEST_CONSUL} is the path of a consul 1.21 program; without it this is skipped.
"""

from __future__ import annotations

import http.client
import json
import os
import subprocess
from itertools import count
from random import Random
from typing import Any
from unittest import SkipTest

from twisted.internet import reactor
from twisted.internet.defer import Deferred
from twisted.internet.task import deferLater
from twisted.trial.unittest import TestCase

from tests.real.process import DEADLINE_SECONDS, ESTABLISHED, ProcessTestCase, environment
from txconsul.agent.tags import ServerParts, server_of
from txconsul.endpoints.methods import METHODS as ENDPOINTS
from txconsul.endpoints.placing import Place
from txconsul.endpoints.registry import Read
from txconsul.errors import InvalidRequest, NoLeader, NotFound, PermissionDenied, Unreachable
from txconsul.net.direct import DirectNetwork
from txconsul.records.catalog import RegisterRequest
from txconsul.records.coordinate import CoordinateUpdateRequest
from txconsul.records.keyring import KeyringRequest
from txconsul.records.kv import DirEntry, KeyRequest, KVSRequest
from txconsul.records.prepared_query import PreparedQuery, PreparedQueryRequest
from txconsul.records.queries import DCSpecificRequest, NodeSpecificRequest, ServiceSpecificRequest
from txconsul.records.query import Context
from txconsul.records.service import NodeService
from txconsul.rpc.dialing import Dialer, Peer
from txconsul.rpc.forwarding import Forwarder
from txconsul.rpc.methods import ASKED
from txconsul.rpc.pool import ConnectionPool
from txconsul.rpc.router import Router
from txconsul.serf.coordinate import ORIGIN
from txconsul.serf.members import Member
from txconsul.serf.messages import Status

#: Loopback addresses of their own, where the usual ports are free; other runs have others.
_ADDRESSES = (f"127.{160 + os.getpid() // 256 % 32}.{os.getpid() % 256}.{number}" for number in count(1))
_ANYBODY = Context()
#: Methods that theirs has by gRPC only.
_OURS = frozenset({"Operator.TransferLeader"})
#: Methods that refuse a request which says nothing.
_NEED_MORE = {
    "Catalog.Deregister",
    "Catalog.Register",
    "Internal.ExportedServicesForPeer",
    "KVS.Apply",
    "KVS.Get",
    "Operator.RaftRemovePeerByAddress",
    "Operator.RaftRemovePeerByID",
    "PreparedQuery.Apply",
    "PreparedQuery.Execute",
    "PreparedQuery.Explain",
    "PreparedQuery.Get",
    "Session.Apply",
}


def consul() -> str:
    """The program. @raise SkipTest: there is none."""
    program = os.environ.get("TXCONSUL_TEST_CONSUL")
    if not program:
        raise SkipTest("TXCONSUL_TEST_CONSUL is not set")
    return program


class ClientAgentTests(ProcessTestCase):
    """A client agent of Consul's, whose only server is ours."""

    def setUp(self) -> None:
        """Start both, and wait until the client's node is in the catalog."""
        program = consul()
        super().setUp()
        ours = self.run_agent("-config-file", self.configuration(node_name="ours"))
        ours.wait_for(ESTABLISHED)
        self.address = next(_ADDRESSES)
        path = self.directory / "client.json"
        keys = {
            "node_name": "theirs",
            "bind_addr": self.address,
            "client_addr": self.address,
            "data_dir": str(self.directory / "theirs"),
            "retry_join": [self.bind_host],
            "retry_interval": "1s",
            "use_streaming_backend": False,  # that would ask for gRPC, which we do not serve
            "ports": {"dns": -1, "grpc": -1, "grpc_tls": -1},
        }
        path.write_text(json.dumps(keys))
        self.theirs = self.run_program(program, "agent", "-config-file", str(path))
        self.theirs.wait_for("Synced node info")

    def asked(self, method: str, path: str, body: Any = None) -> Any:
        """What the client agent answers; its status must be 200."""
        connection = http.client.HTTPConnection(self.address, 8500, timeout=DEADLINE_SECONDS)
        self.addCleanup(connection.close)
        connection.request(method, f"/v1/{path}", body if isinstance(body, bytes | None) else json.dumps(body))
        answer = connection.getresponse()
        data = answer.read()
        self.assertEqual(answer.status, 200, (path, data))
        return json.loads(data) if data.strip() else None

    def test_everything(self) -> None:
        """Its users find all that we have, and change it."""
        asked = self.asked
        self.assertTrue(asked("PUT", "kv/a", b"1"))
        self.assertEqual(asked("GET", "kv/a")[0]["Value"], "MQ==")
        self.assertEqual(asked("GET", "kv/?keys"), ["a"])
        self.assertFalse(asked("PUT", "kv/a?cas=1", b"2"))
        self.assertTrue(asked("DELETE", "kv/a"))

        asked(
            "PUT", "agent/service/register", {"Name": "web", "Port": 80, "Check": {"TTL": "60s", "Status": "passing"}}
        )
        self.theirs.wait_for("Synced service")
        nodes = [one["Node"] for one in asked("GET", "catalog/nodes")]
        self.assertEqual(sorted(nodes), ["ours", "theirs"])
        self.assertEqual(asked("GET", "catalog/services"), {"consul": [], "web": []})
        self.assertEqual(asked("GET", "catalog/service/web")[0]["Node"], "theirs")
        self.assertEqual([*asked("GET", "catalog/node/theirs")["Services"]], ["web"])
        self.assertEqual(asked("GET", "catalog/node-services/theirs")["Services"][0]["Service"], "web")
        self.assertEqual(asked("GET", "health/service/web?passing")[0]["Service"]["Port"], 80)
        self.assertEqual({one["Status"] for one in asked("GET", "health/node/theirs")}, {"passing"})
        self.assertEqual(len(asked("GET", "health/state/any")), 3)
        self.assertEqual(asked("GET", "catalog/datacenters"), ["dc1"])

        session = asked("PUT", "session/create", {"TTL": "30s"})["ID"]
        self.assertTrue(asked("PUT", f"kv/lock?acquire={session}", b"me"))
        self.assertEqual(asked("PUT", f"session/renew/{session}")[0]["ID"], session)
        self.assertEqual(asked("GET", "session/node/theirs")[0]["ID"], session)
        self.assertTrue(asked("PUT", f"session/destroy/{session}"))

        found = asked("PUT", "txn", [{"KV": {"Verb": "set", "Key": "b", "Value": "MQ=="}}])
        self.assertEqual(found["Results"][0]["KV"]["Key"], "b")
        found = asked("PUT", "txn", [{"KV": {"Verb": "get", "Key": "b"}}])
        self.assertEqual(found["Results"][0]["KV"]["Value"], "MQ==")

        query = asked("POST", "query", {"Name": "q", "Service": {"Service": "web"}})["ID"]
        self.assertEqual(asked("GET", "query/q/execute")["Nodes"][0]["Node"]["Node"], "theirs")
        self.assertEqual(asked("GET", f"query/{query}")[0]["Name"], "q")

        self.assertEqual(asked("GET", "status/leader"), f"{self.bind_host}:8300")
        self.assertEqual(asked("GET", "operator/raft/configuration")["Servers"][0]["Node"], "ours")
        self.assertEqual(asked("GET", "operator/usage")["Usage"]["dc1"]["Nodes"], 2)
        self.assertEqual(len(asked("GET", "operator/autopilot/state")["Servers"]), 1)
        names = [one["Name"] for one in asked("GET", "internal/ui/services")]
        self.assertEqual(names, ["consul", "web"])
        self.assertEqual(len(asked("GET", "internal/ui/nodes")), 2)
        self.assertEqual(asked("GET", "internal/ui/service-topology/web?kind=")["Protocol"], "tcp")
        self.assertEqual(asked("PUT", "event/fire/deploy", b"x")["Name"], "deploy")

    def test_waits(self) -> None:
        """Who waits there hears of what is written at the server."""
        self.asked("PUT", "kv/a", b"1")
        index = self.asked("GET", "kv/a")[0]["ModifyIndex"]
        connection = http.client.HTTPConnection(self.address, 8500, timeout=DEADLINE_SECONDS)
        self.addCleanup(connection.close)
        connection.request("GET", f"/v1/kv/a?index={index}&wait=60s")
        self.put("a", "2")
        self.assertEqual(json.loads(connection.getresponse().read())[0]["Value"], "Mg==")


class ServerTests(TestCase):
    """A server of Consul's, asked as our agents ask."""

    timeout = 120

    def setUp(self) -> Deferred[None]:
        """Start it, and wait until it leads."""
        program = consul()
        address = next(_ADDRESSES)
        process = subprocess.Popen(
            [program, "agent", "-dev", "-node", "theirs", "-bind", address, "-client", address],
            env=environment(),
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        self.addCleanup(process.wait)
        self.addCleanup(process.kill)
        pool = ConnectionPool(reactor, Dialer(DirectNetwork(reactor)))  # type: ignore[arg-type]
        self.addCleanup(pool.stop)
        router = Router("dc1", Random(1))
        tags = {"role": "consul", "dc": "dc1", "port": "8300", "vsn": "2", "id": "x", "build": "1.21.4:"}
        octets = bytes(map(int, address.split(".")))
        server = server_of(Member("theirs", octets, 8301, tags, Status.ALIVE, bytes(6)))
        assert server is not None
        router.lan_changed(server, True, 0.0)

        def peer_of(server: ServerParts) -> Peer:
            return Peer(server.short_name, server.address, server.datacenter)

        self.forwarder = Forwarder(pool, router, peer_of, leader_address=lambda: server.address)
        return Deferred.fromCoroutine(self._leads())

    def ask(self, method: str, request: Any) -> Deferred[Any]:
        """Ask as a client agent does."""
        return self.forwarder.send(Place.SERVER, method, request, _ANYBODY)

    async def _leads(self) -> None:
        begun: float = reactor.seconds()  # type: ignore[attr-defined]
        while True:
            try:
                if (await self.ask("Catalog.ListNodes", DCSpecificRequest(datacenter="dc1"))).value:
                    return
            except (Unreachable, NoLeader):
                if reactor.seconds() - begun > DEADLINE_SECONDS:  # type: ignore[attr-defined]
                    raise
            await deferLater(reactor, 0.1)  # type: ignore[arg-type]

    def register(self) -> Deferred[None]:
        """A node with a service."""
        service = NodeService(id="web1", service="web", port=80, address="10.9.9.9", tags=("a",))
        request = RegisterRequest(datacenter="dc1", node="n", address="10.0.0.1", service=service)
        return self.ask("Catalog.Register", request)

    async def test_everyMethod(self) -> None:
        """Whatever our agents may ask is understood there, and its answer here."""
        service = NodeService(id="web1", service="web", port=80, address="10.9.9.9")
        await self.ask(
            "Catalog.Register", RegisterRequest(datacenter="dc1", node="n", address="10.0.0.1", service=service)
        )
        examples: dict[type[Any], Any] = {
            NodeSpecificRequest: NodeSpecificRequest(datacenter="dc1", node="n"),
            ServiceSpecificRequest: ServiceSpecificRequest(datacenter="dc1", service_name="web"),
            # without these, their server dies of what it takes for granted
            CoordinateUpdateRequest: CoordinateUpdateRequest(datacenter="dc1", node="n", coord=ORIGIN),
            PreparedQueryRequest: PreparedQueryRequest(datacenter="dc1", op="create", query=PreparedQuery()),
            KeyringRequest: KeyringRequest(datacenter="dc1", operation="list"),
        }
        refused = set()
        for name, row in ASKED.items():
            if name in _OURS:
                continue
            endpoint = ENDPOINTS[name]
            request = examples.get(endpoint.request)
            if request is None:
                fields = {"datacenter": "dc1"} if hasattr(endpoint.request, "datacenter") else {}
                request = endpoint.request(**fields)
            try:
                answer = await self.ask(name, request)
            except (InvalidRequest, NotFound, PermissionDenied) as error:
                self.assertNotIn("rpc: can't find", str(error), (name, row.wire_name))
                refused.add(name)
                continue
            if isinstance(endpoint, Read):
                self.assertGreater(answer.index, 0, name)
        self.assertEqual(refused - _NEED_MORE, set())

    async def test_values(self) -> None:
        """What is written there in our words is read in our words."""
        entry = DirEntry(key=b"a", value=b"1", flags=7)
        self.assertIsNone(await self.ask("KVS.Apply", KVSRequest(datacenter="dc1", op="set", dir_ent=entry)))
        answer = await self.ask("KVS.Get", KeyRequest(datacenter="dc1", key=b"a"))
        self.assertEqual((answer.value.value, answer.value.flags, answer.known_leader), (b"1", 7, True))
        service = NodeService(id="web1", service="web", port=80, address="10.9.9.9", tags=("a",))
        await self.ask(
            "Catalog.Register", RegisterRequest(datacenter="dc1", node="n", address="10.0.0.1", service=service)
        )
        web = ServiceSpecificRequest(datacenter="dc1", service_name="web", service_tags=("a",))
        (found,) = (await self.ask("Health.ServiceNodes", web)).value
        self.assertEqual((found.node.node, found.service.port), ("n", 80))
        everything = DCSpecificRequest(datacenter="dc1")
        self.assertIn("web", (await self.ask("Catalog.ListServices", everything)).value)
        rows = (await self.ask("UI.Services", everything)).value
        self.assertEqual([row.record.name for row in rows], ["consul", "web"])
        names = (await self.ask("Catalog.NamesOfAddresses", everything)).value
        self.assertEqual((names[0]["10.0.0.1"], names[1]["10.9.9.9"]), ("n", "web"))
        node, services = (await self.ask("Catalog.NodeServices", NodeSpecificRequest(datacenter="dc1", node="n"))).value
        self.assertEqual((node.node, [*services]), ("n", ["web1"]))
