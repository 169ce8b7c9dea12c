"""An agent's way to servers, over a network without sockets."""

from __future__ import annotations

from random import Random
from types import SimpleNamespace
from typing import Any

from twisted.internet.task import Clock
from twisted.trial.unittest import SynchronousTestCase

from tests.agent.configuring import surroundings
from tests.endpoints.serving import Served
from txconsul.agent.configuration import agent_flags, load
from txconsul.agent.routing import Routing
from txconsul.agent.tags import server_of
from txconsul.endpoints.placing import Place
from txconsul.errors import NoKnownServers, NoPathToDatacenter, Unreachable
from txconsul.net.memory import Wire
from txconsul.raft.autopilot import Stats
from txconsul.records.coordinate import Position
from txconsul.records.kv import DirEntry, KeyRequest, KVSRequest
from txconsul.records.query import Context
from txconsul.rpc.demux import ServerPort
from txconsul.rpc.dialing import Dialer
from txconsul.rpc.listener import CallServer
from txconsul.rpc.serving import Serving
from txconsul.serf.members import Member
from txconsul.serf.messages import Status
from txconsul.serf.outputs import EventKind, MemberEvent, MembersChanged, UserEventCame

AT = Context()


def member(name: str, number: int, datacenter: str = "dc1", status: Status = Status.ALIVE, **tags: str) -> Member:
    """A server, or whatever its tags say."""
    told = {"role": "consul", "dc": datacenter, "port": "8300", "vsn": "2", "id": name, "build": "1.21.4:", **tags}
    return Member(name, bytes([10, 0, 0, number]), 8301, told, status, b"\1\5\2\2\5\4")


class FakePools:
    """Pools that hear what a test says."""

    def __init__(self) -> None:
        core = SimpleNamespace(members=[1, 2, 3])
        self.lan = SimpleNamespace(core=core, node=None)
        self.wan: Any = SimpleNamespace(core=core, node=None)
        self.told: Any = None

    def listen(self, callback: Any) -> None:
        """Remember who listens."""
        self.told = callback

    def say(self, kind: EventKind, one: Member, wan: bool = False) -> None:
        """Something became of a member."""
        self.told(self.wan if wan else self.lan, MemberEvent(kind, one))


class RoutingTests(SynchronousTestCase):
    """A client agent, and two servers that serve calls."""

    def setUp(self) -> None:
        """Start all."""
        self.clock = Clock()
        self.wire = Wire(self.clock, Random(1))
        self.served = {}
        for number in (1, 2):
            served = self.served[number] = Served()
            port = ServerPort(self.clock)
            CallServer(self.clock, Serving(served.door).serve, port.complaints).register(port)
            host = self.wire.host(f"server{number}", f"10.0.0.{number}")
            self.successResultOf(host.listen("tcp:8300", port))
        here = self.wire.host("client", "10.0.0.9")
        keys = {"node_name": "client", "bind_addr": "10.0.0.9", "data_dir": "/nowhere", "datacenter": "dc1"}
        configuration = load(agent_flags([]), surroundings=surroundings(), defaults=keys)
        self.pools = FakePools()
        self.leader = ""
        pools: Any = self.pools
        self.routing = Routing(configuration, here, Dialer(here), pools, Random(1), lambda: self.leader)
        self.routing.startService()

    def pass_time(self, seconds: float = 1.0) -> None:
        """In small steps, so that packets travel."""
        for _ in range(200):
            self.clock.advance(seconds / 200)

    def result(self, deferred: Any) -> Any:
        """Let time pass until it fired."""
        self.pass_time()
        return self.successResultOf(deferred)

    def test_asks(self) -> None:
        """A request goes to a server that gossip knows, over the wire, and its answer comes back."""
        self.assertRaises(NoKnownServers, self.routing.forwarder.send, Place.SERVER, "KVS.Get", KeyRequest(), AT)
        self.pools.say(EventKind.JOIN, member("server1", 1))
        put = KVSRequest(op="set", dir_ent=DirEntry(key=b"a", value=b"v"))
        self.assertIsNone(self.result(self.routing.forwarder.send(Place.SERVER, "KVS.Apply", put, AT)))
        answer = self.result(self.routing.forwarder.send(Place.SERVER, "KVS.Get", KeyRequest(key=b"a"), AT))
        self.assertEqual(answer, self.served[1].call("KVS.Get", KeyRequest(key=b"a")))

    def test_leader(self) -> None:
        """The leader is whoever gossip knows at the address of its Raft."""
        for number in (1, 2):
            self.pools.say(EventKind.JOIN, member(f"server{number}", number))
        self.leader = "10.0.0.2:8300"
        put = KVSRequest(op="set", dir_ent=DirEntry(key=b"a", value=b"v"))
        self.result(self.routing.forwarder.send(Place.LEADER, "KVS.Apply", put, AT))
        self.assertIsNotNone(self.served[2].call("KVS.Get", KeyRequest(key=b"a")).value)
        self.assertIsNone(self.served[1].call("KVS.Get", KeyRequest(key=b"a")).value)

    def test_comeAndGo(self) -> None:
        """Servers that fail or leave are not asked, nor are others than servers, or those of other datacenters."""
        router = self.routing.router
        pools: Any = self.pools
        one, other = member("server1", 1), member("server2", 2)
        pools.told(pools.lan, MembersChanged(EventKind.JOIN, (one, other, member("n", 3, role="node"))))
        pools.say(EventKind.JOIN, member("server3", 4, "dc2"))
        pools.told(pools.lan, UserEventCame(1, "e", b"", False))
        self.assertEqual(sorted(known.name for known in router.locals()), ["server1", "server2"])
        pools.say(EventKind.FAILED, one)
        self.assertEqual([known.name for known in router.locals()], ["server2"])
        pools.say(EventKind.LEAVE, other)
        self.assertEqual(router.locals(), [])

    def test_otherDatacenters(self) -> None:
        """A server of another datacenter that failed may still be there; one that left is not."""
        router = self.routing.router
        wide = member("server1.dc2", 1, "dc2")
        self.pools.say(EventKind.JOIN, wide, wan=True)
        self.pools.say(EventKind.FAILED, wide, wan=True)
        self.assertEqual(router.distant("dc2").address, "10.0.0.1:8300")
        there = self.served[1].site
        there.me = there.me._replace(datacenter="dc2")
        request = KeyRequest(datacenter="dc2")
        self.assertIsNone(self.result(self.routing.forwarder.send(Place.DATACENTER, "KVS.Get", request, AT)).value)
        self.pools.say(EventKind.REAP, wide, wan=True)
        self.assertRaises(NoPathToDatacenter, router.distant, "dc2")

    def test_distances(self) -> None:
        """Other datacenters are told of in the order of their distance."""
        self.assertEqual(self.routing.other_datacenters(), [])
        members = [
            member("a.dc1", 1),
            member("b.dc2", 2, "dc2"),
            member("c.dc3", 3, "dc3"),
            member("d.dc4", 4, "dc4", Status.LEFT),
            member("e.dc0", 5, "dc0"),
        ]
        at = {"b.dc2": Position(vec=(0.3, 0.0)), "c.dc3": Position(vec=(0.1, 0.0))}
        vivaldi = SimpleNamespace(position=Position(vec=(0.0, 0.0)))
        self.pools.wan.node = SimpleNamespace(members=members, positions=at, vivaldi=vivaldi)
        self.assertEqual(self.routing.other_datacenters(), ["dc3", "dc2", "dc0"])

    def test_oneServer(self) -> None:
        """A certain server says how far it is, and who belongs to its group."""
        server = server_of(member("server1", 1))
        assert server is not None
        self.assertEqual(self.result(self.routing.stats(server)), Stats(0.0, 2, 0))
        self.assertEqual(self.result(self.routing.peers(server)), ["127.0.0.1:8300"])
        gone = server_of(member("server7", 7))
        assert gone is not None
        asked = self.routing.stats(gone)
        self.pass_time(40)
        self.failureResultOf(asked, Unreachable)

    def test_rebalances(self) -> None:
        """After some minutes the order is drawn anew, and a first server that is not there is passed by."""
        self.pools.say(EventKind.JOIN, member("server1", 1))
        self.pools.say(EventKind.JOIN, member("server7", 7))
        self.pass_time(200)
        self.assertEqual(self.routing.router.local().name, "server1")

    def test_stops(self) -> None:
        """Stopped, it asks nobody and waits for nothing."""
        self.pools.say(EventKind.JOIN, member("server1", 1))
        self.result(self.routing.forwarder.send(Place.SERVER, "KVS.Get", KeyRequest(), AT))
        self.result(self.routing.stopService())
        asked = self.routing.forwarder.send(Place.SERVER, "KVS.Get", KeyRequest(), AT)
        self.failureResultOf(asked, Unreachable)
