"""The pools of several agents, over real sockets on loopback addresses of their own."""

from __future__ import annotations

import json
import os
import signal
from base64 import b64encode
from collections.abc import Callable
from itertools import count
from random import Random
from typing import Any

from twisted.internet import reactor
from twisted.internet.defer import Deferred, fail, inlineCallbacks
from twisted.internet.task import Clock, deferLater
from twisted.trial.unittest import TestCase

import txconsul.agent.pools
from tests.agent.configuring import surroundings
from txconsul.agent.configuration import agent_flags, load
from txconsul.agent.joining.resolving import CannotJoin
from txconsul.agent.leaving import Leaving
from txconsul.agent.members import member_of, members_of
from txconsul.agent.pool_metrics import QUEUE_SECONDS, PoolMetrics
from txconsul.agent.pools import PoolClosed, Pools
from txconsul.errors import InvalidRequest
from txconsul.gossip import GossipPool, JoinFailed
from txconsul.metrics.metrics import Metrics
from txconsul.net.direct import DirectNetwork
from txconsul.records.coordinate import Coordinate
from txconsul.serf.coordinate import ORIGIN
from txconsul.serf.keyring_file import read_keyring
from txconsul.serf.messages import Status
from txconsul.serf.outputs import EventKind, MemberEvent, UserEventCame

DEADLINE = 30.0
#: Each agent has a loopback address of its own, where the usual ports are free; other runs have others.
_ADDRESSES = (f"127.{128 + os.getpid() // 256 % 64}.{os.getpid() % 256}.{number}" for number in count(1))
KEY, OTHER_KEY = (b64encode(bytes([number]) * 32).decode() for number in (1, 2))
QUICK = {"gossip_interval": "20ms", "probe_interval": "200ms", "probe_timeout": "100ms", "suspicion_mult": 2}


class PoolsTestCase(TestCase):
    """Opens pools, and closes them in the end."""

    def setUp(self) -> None:
        self.patch(txconsul.agent.pools, "LEAVE_PROPAGATE_SECONDS", 0.05)
        self.random = Random(1)
        self.all: list[Pools] = []
        self.failures: list[Any] = []
        self.joined: list[str] = []
        self.ids = count(1)

    @inlineCallbacks
    def tearDown(self) -> Any:
        for pools in self.all:
            yield pools.stopService()

    def make(self, name: str, directory: str = "", **values: Any) -> Pools:
        """The pools of a server with this configuration, not yet open."""
        values = {"server": True, "bind_addr": next(_ADDRESSES), "gossip_lan": QUICK, "gossip_wan": QUICK, **values}
        path = self.mktemp()
        with open(path + ".json", "w", encoding="utf-8") as file:
            json.dump({"node_name": name, "data_dir": directory or self.mktemp(), **values}, file)
        configuration = load(agent_flags([f"-config-file={path}.json"]), surroundings=surroundings())
        pools = Pools(
            configuration,
            f"11111111-2222-3333-4444-{next(self.ids):012d}",
            DirectNetwork(reactor),
            failed=self.failures.append,
            random=self.random,
            directory=directory,
            joined=lambda: self.joined.append(name),
        )
        self.all.append(pools)
        return pools

    @inlineCallbacks
    def open(self, name: str, directory: str = "", **values: Any) -> Any:
        """Open pools. @return: a Deferred of them."""
        pools = self.make(name, directory, **values)
        pools.startService()
        yield pools.when_open()
        return pools

    @inlineCallbacks
    def until(self, done: Callable[[], bool]) -> Any:
        """Wait until something is so."""
        clock: Any = reactor
        end = clock.seconds() + DEADLINE
        while not done():
            if clock.seconds() > end:
                self.fail("it did not happen")
            yield deferLater(clock, 0.01, lambda: None)

    def directory(self) -> str:
        """A new one."""
        path = self.mktemp()
        os.makedirs(path)
        return path


def known(pool: GossipPool | None) -> dict[str, Status]:
    """Everybody, by name."""
    assert pool is not None
    return {one.name: one.status for one in pool.core.members}


class PoolsTests(PoolsTestCase):
    """The pools of agents."""

    @inlineCallbacks
    def test_federation(self) -> Any:
        """Servers that join over the LAN are in one WAN pool by that; a client is in the LAN's alone."""
        one = yield self.open("one")
        two = yield self.open("two")
        three = yield self.open("three", server=False)
        self.assertIsNone(three.wan)
        for pools in (two, three):
            yield pools.lan.join(*one.lan.address)
        alive = Status.ALIVE
        for pools in self.all:
            yield self.until(lambda pools=pools: known(pools.lan) == {"one": alive, "two": alive, "three": alive})  # type: ignore[misc]
        for pools in (one, two):
            yield self.until(lambda pools=pools: known(pools.wan) == {"one.dc1": alive, "two.dc1": alive})  # type: ignore[misc]
        self.assertEqual([one["Name"] for one in members_of(three.lan)], ["one", "three", "two"])
        self.assertEqual(member_of(three.lan)["Tags"]["role"], "node")

    @inlineCallbacks
    def test_datacenters(self) -> Any:
        """Servers of two datacenters are in one WAN pool, and are not let into each other's LAN pool."""
        one = yield self.open("one")
        two = yield self.open("two", datacenter="dc2")
        error = yield self.assertFailure(two.lan.join(*one.lan.address), JoinFailed)
        self.assertIn("Member 'one' part of wrong datacenter 'dc1'", str(error))
        yield two.wan.join(*one.wan.address)
        names = {"one.dc1": Status.ALIVE, "two.dc2": Status.ALIVE}
        for pools in (one, two):
            yield self.until(lambda pools=pools: known(pools.wan) == names)  # type: ignore[misc]
        self.assertEqual([known(one.lan), known(two.lan)], [{"one": Status.ALIVE}, {"two": Status.ALIVE}])

    @inlineCallbacks
    def test_listeners(self) -> Any:
        """Each listener hears of each pool; one that fails does not keep the others from it."""
        one = yield self.open("one", ports={"serf_wan": -1})
        two = yield self.open("two", ports={"serf_wan": -1})
        self.assertIsNone(one.wan)
        heard: list[Any] = []

        def fail(pool: GossipPool, event: Any) -> None:
            raise ValueError("a listener fails")

        one.listen(fail)
        one.listen(lambda pool, event: heard.append((pool, event)))
        yield two.lan.join(*one.lan.address)
        two.lan.do(lambda node, now: node.event("deploy", b"1", now))
        yield self.until(lambda: any(isinstance(event, UserEventCame) for _, event in heard))
        self.assertIn(
            (one.lan, EventKind.JOIN, "two"),
            [(pool, event.kind, event.member.name) for pool, event in heard if isinstance(event, MemberEvent)],
        )
        self.assertEqual(len(self.flushLoggedErrors(ValueError)), len(heard))

    @inlineCallbacks
    def test_cannotListen(self) -> Any:
        """A pool whose port somebody has is told as a failure that names it."""
        one = yield self.open("one")
        host, port = one.wan.address
        late = self.make("two", serf_wan=host)
        late.startService()
        yield self.until(lambda: bool(self.failures))
        error = self.failures.pop().value
        self.assertIsInstance(error, PoolClosed)
        self.assertIn(f"Failed to start the WAN gossip pool at {host}:{port}", str(error))

    @inlineCallbacks
    def test_stoppedAtOnce(self) -> Any:
        """Pools that are stopped while they open listen to nothing afterwards."""
        pools = self.make("one")
        pools.startService()
        yield pools.stopService()
        again = self.make("two", bind_addr=pools.lan.address[0]) if pools.lan.node else None
        if again is not None:
            again.startService()
            yield again.when_open()
        self.assertEqual(self.failures, [])

    @inlineCallbacks
    def test_networks(self) -> Any:
        """Whoever is outside the allowed networks is no member."""
        one = yield self.open("one", serf_lan_allowed_cidrs=["10.0.0.0/8"])
        two = yield self.open("two")
        yield two.lan.join(*one.lan.address)
        self.assertEqual(known(one.lan), {"one": Status.ALIVE})

    @inlineCallbacks
    def test_rejoins(self) -> Any:
        """An agent that comes back finds its pools by the files that it left."""
        one = yield self.open("one")
        directory = self.directory()
        two = yield self.open("two", directory)
        yield two.lan.join(*one.lan.address)
        yield self.until(lambda: len(known(two.wan)) == len(known(two.lan)) == 2)
        host, _ = two.lan.address
        yield two.stopService()
        self.assertEqual(sorted(os.listdir(directory)), ["local.snapshot", "remote.snapshot"])
        self.ids = count(2)
        two = yield self.open("two", directory, bind_addr=host)
        yield self.until(lambda: len(known(two.wan)) == len(known(two.lan)) == 2)


class JoiningTests(PoolsTestCase):
    """What an operator asks of pools."""

    @inlineCallbacks
    def test_join(self) -> Any:
        """Somebody is joined at the pool's own port, unless another is named; who is not there is named."""
        one = yield self.open("one")
        two = yield self.open("two", datacenter="dc2")
        host = one.lan.address[0]
        error = yield self.assertFailure(two.join([host]), CannotJoin)
        self.assertEqual(
            str(error),
            f"1 error occurred:\n\t* Failed to join {host}:8301: Member 'one' part of wrong datacenter 'dc1'\n\n",
        )
        count = yield two.join([host, f"{host}:1", f"{host}:8302"], wan=True)
        self.assertEqual(self.joined, [])  # which is told of the datacenter's only
        yield two.join([two.lan.address[0]])
        self.assertEqual(self.joined, [two.lan.name])
        self.assertEqual(count, 2)
        yield self.until(lambda: len(known(one.wan)) == len(known(two.wan)) == 2)
        error = yield self.assertFailure(two.join([f"{host}:1"], wan=True), CannotJoin)
        self.assertIn(f"Failed to join {host}:1: dial tcp {host}:1: connect: connection refused", str(error))

    @inlineCallbacks
    def test_noWAN(self) -> Any:
        """An agent that is in no WAN pool says so."""
        for values, why in (
            ({"server": False}, "Must be a server to join WAN cluster"),
            ({"ports": {"serf_wan": -1}}, "WAN Federation is disabled"),
        ):
            pools = yield self.open("one", **values)
            error = yield self.assertFailure(pools.join(["127.0.0.1"], wan=True), InvalidRequest)
            self.assertEqual(str(error), why)
            self.assertEqual(pools.places(), [])
            self.assertEqual(list(pools.stats()), ["serf_lan"])

    @inlineCallbacks
    def test_forceLeave(self) -> Any:
        """A failed server is gone from both pools, or from that of all datacenters alone; pruned, it is forgotten."""
        one = yield self.open("one")
        two = yield self.open("two")
        yield two.join([one.lan.address[0]])
        yield self.until(lambda: len(known(one.wan)) == len(known(one.lan)) == 2)
        yield two.stopService()
        failed = Status.FAILED
        yield self.until(lambda: known(one.wan).get("two.dc1") is known(one.lan).get("two") is failed)
        self.assertEqual(one.stats()["serf_lan"]["failed"], "1")
        one.force_leave("two.dc1", wan=True)
        self.assertEqual((known(one.wan)["two.dc1"], known(one.lan)["two"]), (Status.LEFT, failed))
        one.force_leave("two", prune=True)
        self.assertEqual((known(one.wan), known(one.lan)), ({"one.dc1": Status.ALIVE}, {"one": Status.ALIVE}))
        for name, wan, shown in (("two", False, "two"), ("TWO", False, "TWO"), ("two.dc1", True, ""), ("", False, "")):
            error = self.assertRaises(InvalidRequest, one.force_leave, name, wan=wan)
            self.assertEqual(str(error), f"agent: No node found with name '{shown}'")
        one.force_leave("ONE")  # known in another case: an intent that is about nobody

    @inlineCallbacks
    def test_clientForceLeaves(self) -> Any:
        """A client has no say over the WAN."""
        pools = yield self.open("one", server=False)
        error = self.assertRaises(InvalidRequest, pools.force_leave, "two", wan=True)
        self.assertEqual(str(error), "Must be a server to force-leave a node from the WAN cluster")
        pools.force_leave("one")

    @inlineCallbacks
    def test_places(self) -> Any:
        """Servers of all datacenters are placed, under their own names, unless they have left."""
        one = yield self.open("one")
        two = yield self.open("two", datacenter="dc2")
        self.assertEqual(one.places()[0].coordinates, (Coordinate(coord=ORIGIN, node="one"),))
        yield two.join([one.lan.address[0]], wan=True)
        yield self.until(lambda: len(one.places()) == 2)
        found = one.places()
        self.assertEqual(
            [(it.area_id, it.datacenter, len(it.coordinates or ())) for it in found],
            [("wan", "dc1", 1), ("wan", "dc2", 1)],
        )
        self.assertEqual(one.position, one.lan.core.vivaldi.position)
        yield Deferred.fromCoroutine(two.leave())
        yield self.until(lambda: len(one.places()) == 1)


class MetricsTests(PoolsTestCase):
    """What goes on in pools, measured."""

    @inlineCallbacks
    def test_measured(self) -> Any:
        """Members, events and packets are counted in each pool, and queues looked at."""
        clock = Clock()
        one, two = self.make("one"), self.make("two", server=False)
        metrics = Metrics()
        measuring = PoolMetrics(one, metrics, "dc1", clock)
        measuring.startService()
        self.assertEqual([gauge.value for gauge in measuring.gauges()], [0, 0])
        for pools in (one, two):
            pools.startService()
            yield pools.when_open()
        yield two.join([one.lan.address[0]])
        two.lan.do(lambda node, now: node.event("deploy", b"", now))
        counted: dict[str, float] = {}
        yield self.until(lambda: counted.update(self.counted(metrics)) or counted.get("serf.events lan") == 1)  # type: ignore[func-returns-value]
        self.assertEqual((counted["serf.member.join lan"], counted["serf.member.join wan"]), (2, 1))
        self.assertGreater(counted["memberlist.udp.sent lan"], 0)
        gauges = {(it.name, dict(it.labels).get("node_state")): it.value for it in measuring.gauges()}
        self.assertEqual((gauges["members.servers", None], gauges["members.clients", None]), (1, 1))
        self.assertEqual(gauges["memberlist.node.instances", "dead"], 0)
        clock.advance(QUEUE_SECONDS)
        self.assertIn("serf.queue.Intent lan", self.counted(metrics))
        yield measuring.stopService()
        self.assertEqual(clock.getDelayedCalls(), [])

    def counted(self, metrics: Metrics) -> dict[str, float]:
        """How much of each thing was counted, by name and network."""
        found = {}
        for one in metrics.exposed():
            network = dict(one.labels).get("network", "")
            found[f"{one.name.removeprefix('consul.')} {network}"] = one.value if one.kind == "counter" else one.count
        return found


class LeavingTests(PoolsTestCase):
    """An agent that leaves."""

    def leaving(self, pools: Pools, clock: Clock, first: Any = None) -> tuple[Leaving, list[str]]:
        """
        How these leave, and what is done by it.

        @param first: what is waited for first, if anything.
        """
        done: list[str] = []

        class Group:
            """Notes what a server does for its group."""

            async def hand_over(self) -> None:
                """Noted."""
                if first is not None:
                    await first
                done.append("handed over")

            async def be_removed(self) -> None:
                """Noted."""
                done.append("removed")

        group: Any = Group() if pools._configuration.server else None
        return Leaving(pools._configuration, pools, clock, lambda: done.append("ended"), group), done

    @inlineCallbacks
    def test_server(self) -> Any:
        """A server hands over, leaves its pools, lets requests end, is removed; and asked twice, does it once."""
        one = yield self.open("one")
        two = yield self.open("two")
        yield two.join([one.lan.address[0]])
        yield self.until(lambda: len(known(two.wan)) == 2)
        clock = Clock()
        leaving, done = self.leaving(two, clock)
        first, second = leaving.leave(), leaving.leave()
        yield self.until(lambda: bool(clock.getDelayedCalls()))
        yield self.until(lambda: known(one.wan)["two.dc1"] is known(one.lan)["two"] is Status.LEFT)
        clock.advance(4.9)
        self.assertEqual(done, ["handed over"])
        clock.advance(0.1)
        self.successResultOf(first)
        self.successResultOf(second)
        clock.advance(0)
        self.assertEqual(done, ["handed over", "removed", "ended"])

    @inlineCallbacks
    def test_client(self) -> Any:
        """A client only says goodbye."""
        pools = yield self.open("one", server=False)
        leaving, done = self.leaving(pools, Clock())
        yield leaving.leave()
        self.assertEqual(done, [])

    def test_signals(self) -> None:
        """Servers leave at a signal where that is asked for, clients unless it is not; in limited time."""
        both, none = (True, True), (False, False)
        for values, wanted in (
            ({}, none),
            ({"server": False}, both),
            ({"leave_on_terminate": True, "skip_leave_on_interrupt": False}, both),
            ({"server": False, "skip_leave_on_interrupt": True, "leave_on_terminate": False}, none),
            ({"leave_on_terminate": True}, (False, True)),
        ):
            pools = self.make("one", **values)
            found = []
            for number in (signal.SIGINT, signal.SIGTERM):
                clock = Clock()
                leaving, _ = self.leaving(pools, clock, Deferred())
                left = leaving.leave_at(number)
                found.append(left is not None)
                if left is not None and pools._configuration.server:
                    clock.advance(14.9)
                    self.assertNoResult(left)
                    clock.advance(0.1)
                    self.successResultOf(left)
            self.assertEqual(tuple(found), wanted)

    @inlineCallbacks
    def test_fails(self) -> Any:
        """Who cannot leave as it should stops all the same."""
        pools = yield self.open("one")
        clock = Clock()
        leaving, done = self.leaving(pools, clock, fail(ValueError("no")))
        self.successResultOf(leaving.leave())
        clock.advance(0)
        self.assertEqual(done, ["ended"])
        self.assertEqual(len(self.flushLoggedErrors(ValueError)), 1)


class EncryptionTests(PoolsTestCase):
    """C{encrypt}, and the files of keys."""

    @inlineCallbacks
    def test_keys(self) -> Any:
        """Pools with one key find each other; with another one, or none, they do not."""
        one = yield self.open("one", encrypt=KEY, disable_keyring_file=True)
        two = yield self.open("two", encrypt=KEY)
        yield two.lan.join(*one.lan.address)
        yield self.until(lambda: len(known(one.wan)) == len(known(one.lan)) == 2)
        for name, key in (("three", OTHER_KEY), ("four", "")):
            other = yield self.open(name, encrypt=key)
            yield self.assertFailure(other.lan.join(*one.lan.address), JoinFailed)

    @inlineCallbacks
    def test_files(self) -> Any:
        """The first start writes the key down; then what is written counts, whatever is configured."""
        directory = self.directory()
        pools = yield self.open("one", directory, encrypt=KEY)
        yield pools.stopService()
        for name in ("local", "remote"):
            with open(os.path.join(directory, f"{name}.keyring"), "rb") as file:
                self.assertEqual(read_keyring(file.read()).keys, [bytes([1]) * 32])
        for encrypt in (OTHER_KEY, ""):
            pools = yield self.open("one", directory, encrypt=encrypt)
            self.assertEqual(pools.lan.keyring.keys, [bytes([1]) * 32])
            yield pools.stopService()

    @inlineCallbacks
    def test_noFiles(self) -> Any:
        """With C{disable_keyring_file} what is configured counts, and nothing is written."""
        directory = self.directory()
        pools = yield self.open("one", directory, encrypt=OTHER_KEY, disable_keyring_file=True)
        yield pools.stopService()
        self.assertNotIn("local.keyring", os.listdir(directory))

    @inlineCallbacks
    def test_damagedFile(self) -> Any:
        """A file that holds no keys ends the start, and is named."""
        directory = self.directory()
        with open(os.path.join(directory, "local.keyring"), "w", encoding="utf-8") as file:
            file.write("[]")
        self.make("one", directory).startService()
        yield self.until(lambda: bool(self.failures))
        error = str(self.failures.pop().value)
        self.assertIn("local.keyring", error)
        self.assertIn("it holds no keys", error)
