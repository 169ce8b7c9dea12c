"""Requests that are answered elsewhere."""

from __future__ import annotations

from typing import Any

from twisted.internet.defer import CancelledError
from twisted.trial.unittest import SynchronousTestCase

from tests.rpc.linked import Agent, Known, datacenter
from txconsul.codec.gomsgpack import pack
from txconsul.endpoints.registry import Answer
from txconsul.errors import (
    BadRequest,
    CallLost,
    DatacenterUnreachable,
    InvalidRequest,
    LeaderNotTracked,
    NoKnownServers,
    NoLeader,
    NoPathToDatacenter,
    PeerMisbehaved,
    Unreachable,
)
from txconsul.records.catalog import RegisterRequest
from txconsul.records.kv import DirEntry, KeyRequest, KVSRequest
from txconsul.records.queries import DCSpecificRequest
from txconsul.records.query import Context, QueryOptions, Relayed
from txconsul.records.service import NodeService
from txconsul.rpc.methods import SERVED


def put(key: bytes = b"a", value: bytes = b"v", **more: Any) -> KVSRequest:
    """A change of a key."""
    return KVSRequest(op="set", dir_ent=DirEntry(key=key, value=value), **more)


def get(key: bytes = b"a", datacenter: str = "", **options: Any) -> KeyRequest:
    """A question for a key."""
    return KeyRequest(key=key, datacenter=datacenter, options=QueryOptions(**options))


class LeaderTests(SynchronousTestCase):
    """A follower asks the leader."""

    def setUp(self) -> None:
        self.agents: dict[str, Agent] = {}
        self.leader, self.follower, self.third = datacenter(3, self.agents)

    def advance(self, seconds: float) -> None:
        """Time passes for everybody."""
        for one in self.agents.values():
            one.clock.advance(seconds)

    def test_putAndGet(self) -> None:
        """A follower answers as the leader does."""
        self.assertIsNone(self.successResultOf(self.follower.call("KVS.Apply", put())))
        answer = self.successResultOf(self.follower.call("KVS.Get", get()))
        self.assertEqual(answer, self.leader.call("KVS.Get", get()))
        self.assertEqual([method for _, method, _, _ in self.follower.calls.made], ["KVS.Apply", "KVS.Get"])

    def test_lists(self) -> None:
        """What our own methods sum up is asked in Consul's words, and summed up here."""
        service = NodeService(id="web1", service="web", address="10.9.9.9")
        request = RegisterRequest(node="n", address="10.9.9.8", service=service)
        self.successResultOf(self.follower.call("Catalog.Register", request))
        for method, asked in (("UI.Nodes", "Internal.NodeDump"), ("UI.Services", "Internal.ServiceDump")):
            here = self.successResultOf(self.follower.call(method, DCSpecificRequest()))
            there = self.leader.call(method, DCSpecificRequest())
            self.assertEqual([row.record for row in here.value], [row.record for row in there.value], method)
            self.assertEqual(self.follower.calls.made[-1][1], asked)
        here = self.successResultOf(self.follower.call("Catalog.NamesOfAddresses", DCSpecificRequest()))
        self.assertEqual(here.value, ({"10.9.9.8": "n"}, {"10.9.9.9": "web"}))

    def test_staleIsAnsweredHere(self) -> None:
        """A read that may be stale asks nobody, and says how old it may be."""
        self.follower.consensus.contact = 0.25
        self.assertEqual(self.follower.call("KVS.Get", get(allow_stale=True)), Answer(1, None, 0.25, True))
        self.assertEqual(self.follower.calls.made, [])

    def test_maxStale(self) -> None:
        """One that is older than its asker bears is read again at the leader; a key is not, as Consul has it."""
        self.follower.consensus.contact = 0.25
        second = 1_000_000_000

        def bears(age: int) -> DCSpecificRequest:
            return DCSpecificRequest(options=QueryOptions(allow_stale=True, max_stale_duration=age))

        self.assertEqual(self.follower.call("Catalog.ListNodes", bears(second)).last_contact, 0.25)
        key = get(allow_stale=True, max_stale_duration=second // 5)
        self.assertEqual(self.follower.call("KVS.Get", key).last_contact, 0.25)
        asked = self.follower.call("Catalog.ListNodes", bears(second // 5))
        self.assertEqual(self.successResultOf(asked).last_contact, 0.0)
        _, _, body, _ = self.follower.calls.made[0]
        request, _ = SERVED["Catalog.ListNodes"].request.decode(body)
        self.assertEqual(request.options, QueryOptions())

    def test_waits(self) -> None:
        """A read that waits, waits at the leader, as long as it may; giving it up gives it up there."""
        self.leader.call("KVS.Apply", put())
        waiting = self.follower.call("KVS.Get", get(min_query_index=1, max_query_time=32_000_000_000))
        self.assertNoResult(waiting)
        self.assertEqual(self.follower.calls.made[-1][3], 34.0 + 7.0)
        given_up = self.follower.call("KVS.Get", get(min_query_index=1))
        self.assertEqual(self.leader.site.blocking, 2)
        given_up.cancel()
        self.failureResultOf(given_up, CancelledError)
        self.assertEqual(self.leader.site.blocking, 1)
        self.leader.call("KVS.Apply", put(value=b"new"))
        self.assertEqual(self.successResultOf(waiting).value.value, b"new")

    def test_token(self) -> None:
        """The asker's token goes along."""
        self.follower.door.call("KVS.Get", get(), Context(token="secret"))
        _, _, body, timeout = self.follower.calls.made[0]
        self.assertEqual(SERVED["KVS.Get"].request.decode(body)[1], "secret")
        self.assertEqual(timeout, 60.0)

    def test_refused(self) -> None:
        """What the leader refuses is refused here, with a word of who said it."""
        asked = self.follower.call("KVS.Apply", KVSRequest(op="fly", dir_ent=DirEntry(key=b"a")))
        error = self.failureResultOf(asked, InvalidRequest).value
        self.assertEqual((str(error), error.status), ("rpc error making call: unknown KV operation: fly", 500))
        error = self.failureResultOf(self.follower.call("KVS.Apply", put(b"a/../b")), BadRequest).value
        self.assertEqual(error.status, 400)

    def test_relayed(self) -> None:
        """What came as a call goes on as it came, unread fields included, and so does its reply."""
        body = pack({"Key": b"a", "Later": 1})
        reply = self.successResultOf(self.follower.serving.serve("KVS.Get", body))
        self.assertEqual(self.follower.calls.made[0][:3], (self.leader.address, "KVS.Get", body))
        self.assertEqual(reply, self.leader.serving.serve("KVS.Get", body))

    def test_leaderLeads(self) -> None:
        """The leader asks nobody."""
        self.leader.call("KVS.Apply", put())
        self.assertEqual(self.leader.calls.made, [])

    def test_leaderDies(self) -> None:
        """A read whose answer was lost is asked again of the next leader, as soon as there is one."""
        waiting = self.follower.call("KVS.Get", get(min_query_index=5))
        self.leader.gone(self.agents)
        self.assertNoResult(waiting)
        self.third.call("KVS.Apply", put())
        self.third.lead()
        for number in range(5):
            self.third.call("KVS.Apply", put(value=b"%d" % number))
        self.follower.follow(self.third)
        answer = self.successResultOf(waiting)
        self.assertEqual((answer.index, answer.value.value), (6, b"4"))

    def test_writeLost(self) -> None:
        """A write whose answer was lost is not asked again: nobody knows whether it was carried out."""
        self.follower.calls.lost = True
        asked = self.follower.call("KVS.Apply", put())
        self.assertEqual(str(self.failureResultOf(asked, CallLost).value), "rpc error making call: EOF")
        self.assertEqual(len(self.follower.calls.made), 1)

    def test_writeNotSent(self) -> None:
        """A write that could not even be sent is sent to the next leader."""
        self.leader.gone(self.agents)
        asked = self.follower.call("KVS.Apply", put())
        self.assertNoResult(asked)
        self.third.lead()
        self.follower.follow(self.third)
        self.assertIsNone(self.successResultOf(asked))
        self.assertIsNotNone(self.third.call("KVS.Get", get()).value)

    def test_pauses(self) -> None:
        """Without word of another leader it is tried again after pauses that grow, and given up after the hold time."""
        self.leader.gone(self.agents)
        asked = self.follower.call("KVS.Apply", put())
        tries = []
        for _ in range(75):
            self.advance(0.1)
            tries.append(len(self.follower.calls.made))
        error = self.failureResultOf(asked, Unreachable).value
        self.assertEqual(str(error), "rpc error getting client: failed to get conn")
        self.assertTrue(4 <= tries[-1] <= 40, tries)
        self.assertGreater(tries[9], 1)

    def test_notLeaderThere(self) -> None:
        """A server that leads no more says so after a while; that is waited for, and then told."""
        self.leader.follow(None)
        asked = self.follower.call("KVS.Apply", put())
        self.advance(6.9)
        self.assertNoResult(asked)
        self.advance(0.2)
        self.advance(7.0)
        self.assertIn("No cluster leader", str(self.failureResultOf(asked, NoLeader).value))

    def test_notProposedThere(self) -> None:
        """A write that was not proposed is sent again to whoever leads then."""
        self.leader.consensus.refused = NoLeader()
        asked = self.follower.call("KVS.Apply", put())
        self.assertNoResult(asked)
        self.third.lead()
        self.leader.follow(self.third)  # where it waited, and goes on from
        self.assertIsNone(self.successResultOf(asked))
        self.assertIsNotNone(self.third.call("KVS.Get", get()).value)

    def test_unknownLeader(self) -> None:
        """A leader that gossip does not know cannot be asked."""
        self.follower.router.lan_changed(self.leader.known, False, 0.0)
        asked = self.follower.call("KVS.Apply", put())
        self.advance(7.1)
        self.advance(0.1)
        error = self.failureResultOf(asked, LeaderNotTracked).value
        self.assertEqual(str(error), "Raft leader not found in server lookup mapping")

    def test_leadsNowItself(self) -> None:
        """Who waits at a server that becomes the leader is answered there."""
        self.leader.gone(self.agents)
        asked = self.follower.call("KVS.Apply", put())
        self.follower.lead()
        self.assertIsNone(self.successResultOf(asked))

    def test_notBackAgain(self) -> None:
        """A call is not sent back to the server that it came from: it waits for word of a leader."""
        context = Relayed(method="KVS.Apply", source="10.0.0.1:53112", body=pack({"Op": "set"}))
        asked = self.follower.door.call("KVS.Apply", put(), context)
        self.assertNoResult(asked)
        self.assertEqual(self.follower.calls.made, [])
        self.follower.follow(self.third)
        self.assertEqual(self.follower.calls.made[0][0], self.third.address)
        self.failureResultOf(asked, InvalidRequest)

    def test_stopping(self) -> None:
        """A server that stops keeps nobody waiting."""
        self.leader.gone(self.agents)
        asked = self.follower.call("KVS.Apply", put())
        self.follower.door.close()
        self.failureResultOf(asked, NoLeader)
        later = self.follower.call("KVS.Apply", put())
        self.failureResultOf(later, Unreachable, NoLeader)

    def test_nonsense(self) -> None:
        """A reply that is none is the other side's fault."""
        self.leader.serving.serve = lambda method, body, source="": pack([1])  # type: ignore[method-assign]
        self.failureResultOf(self.follower.call("KVS.Get", get()), PeerMisbehaved)


class ClientTests(SynchronousTestCase):
    """A client agent asks any server."""

    def setUp(self) -> None:
        self.agents: dict[str, Agent] = {}
        self.servers = datacenter(3, self.agents)
        self.client = Agent(self.agents, "10.0.0.99:0", server=False)

    def know(self) -> None:
        """Gossip tells of the servers."""
        for one in self.servers:
            self.client.router.lan_changed(one.known, True, 0.0)

    def test_nobody(self) -> None:
        """Without servers that is said at once."""
        error = self.assertRaises(NoKnownServers, self.client.call, "KVS.Get", get())
        self.assertEqual(str(error), "No known Consul servers")

    def test_asks(self) -> None:
        """It answers as the servers do, whichever is asked."""
        self.know()
        self.assertIsNone(self.successResultOf(self.client.call("KVS.Apply", put())))
        answer = self.successResultOf(self.client.call("KVS.Get", get()))
        self.assertEqual(answer.value.value, b"v")
        self.assertIn("dc1", self.successResultOf(self.client.call("Catalog.ListDatacenters", DCSpecificRequest())))

    def test_movesOn(self) -> None:
        """A server that is not there is asked no more, and the request goes to another one."""
        self.know()
        self.servers[0].call("KVS.Apply", put())
        dead = self.client.router.local()
        self.agents[dead.address].gone(self.agents)
        for one in self.agents.values():
            one.lead()  # whichever is asked answers itself
        asked = self.client.call("KVS.Get", get())
        self.client.clock.advance(1.0)
        self.assertIsInstance(self.successResultOf(asked), Answer)
        self.assertNotEqual(self.client.router.local(), dead)

    def test_twoHops(self) -> None:
        """Every server that asked another one says so before the error's words."""
        self.know()
        while self.client.router.local() == self.servers[0].known:
            self.client.router.failed(self.client.router.local())
        asked = self.client.call("KVS.Apply", KVSRequest(op="fly", dir_ent=DirEntry(key=b"a")))
        error = self.failureResultOf(asked, InvalidRequest).value
        self.assertEqual(str(error), "rpc error making call: rpc error making call: unknown KV operation: fly")


class DatacenterTests(SynchronousTestCase):
    """Another datacenter is asked."""

    def setUp(self) -> None:
        self.agents: dict[str, Agent] = {}
        self.here = datacenter(2, self.agents)
        self.there = datacenter(2, self.agents, "dc2", 2)
        for one in self.here:
            for other in self.there:
                wide = Known(f"{other.known.name}.dc2", other.address, "dc2")
                one.router.wan_changed(wide, True, 0.0)

    def test_asks(self) -> None:
        """Any server asks one of the other datacenter, which knows who leads there."""
        self.successResultOf(self.here[1].call("KVS.Apply", put(datacenter="dc2")))
        self.assertIsNone(self.here[0].call("KVS.Get", get()).value)
        answer = self.successResultOf(self.here[0].call("KVS.Get", get(datacenter="dc2")))
        self.assertEqual(answer.value.value, b"v")

    def test_unknown(self) -> None:
        """There is no path to a datacenter that nobody knows."""
        error = self.assertRaises(NoPathToDatacenter, self.here[0].call, "KVS.Get", get(datacenter="dc9"))
        self.assertEqual(str(error), "No path to datacenter")

    def test_unreachable(self) -> None:
        """One whose servers are all gone is known, but not there."""
        router = self.here[0].router
        router.wake(1000.0)
        while pings := router.take_output():
            for ping in pings:
                router.pinged(ping.number, ping.server.datacenter == "dc1", 1000.0)
        self.assertRaises(DatacenterUnreachable, self.here[0].call, "KVS.Get", get(datacenter="dc2"))

    def test_gone(self) -> None:
        """Where nobody answers, that is told at once, and the next one is asked the next time."""
        first = self.here[0].router.distant("dc2")
        self.agents[first.address].gone(self.agents)
        self.failureResultOf(self.here[0].call("KVS.Get", get(datacenter="dc2")), Unreachable)
        self.assertNotEqual(self.here[0].router.distant("dc2"), first)
        self.assertEqual(len(self.here[0].calls.made), 1)

    def test_fromClient(self) -> None:
        """A client agent has a server of its own datacenter ask."""
        client = Agent(self.agents, "10.0.0.99:0", server=False)
        client.router.lan_changed(self.here[1].known, True, 0.0)
        self.successResultOf(client.call("KVS.Apply", put(datacenter="dc2")))
        self.assertEqual(client.calls.made[0][0], self.here[1].address)
        self.assertIsNotNone(self.there[0].call("KVS.Get", get()).value)
