"""What a gossip pool keeps on disk, and what it tells together."""

from __future__ import annotations

import os
import stat
from pathlib import Path
from typing import Any

from twisted.internet import reactor
from twisted.internet.defer import inlineCallbacks
from twisted.internet.task import deferLater

from tests.test_gossip import KEY, QUICK, PoolCase
from txconsul.errors import DiskFailed
from txconsul.gossip import GossipPool
from txconsul.net.direct import DirectNetwork
from txconsul.serf.keyring_file import read_keyring, write_keyring
from txconsul.serf.messages import Status
from txconsul.serf.outputs import EventKind, MembersChanged, RingChanged, UserEventCame
from txconsul.serf.settings import Settings
from txconsul.storage.worker import DiskThread
from txconsul.swim.keyring import BadKey, Keyring

NEW = bytes(range(1, 33))


class SnapshotTests(PoolCase):
    """Nodes that find their pool again."""

    @inlineCallbacks
    def pair(self, **options: Any) -> Any:
        """Two nodes, the second of which keeps a snapshot. @return: a Deferred of both."""
        one = yield self.open("a")
        two = yield self.open("b", snapshot=self.path, **options)
        yield two.join(*one.address)
        yield self.until(lambda: self.alive(two) == {"a", "b"})
        return one, two

    def setUp(self) -> None:
        super().setUp()
        self.path = self.mktemp()

    @inlineCallbacks
    def test_rejoins(self) -> Any:
        """A node that was stopped joins whom it remembers, past one who is gone, and hears no old event again."""
        gone = yield self.open("gone")
        one, two = yield self.pair()
        yield gone.join(*one.address)
        yield self.until(lambda: len(self.alive(two)) == 3)
        told: list[Any] = []
        two.heard = told.append
        for number in range(3):
            one.do(lambda node, now, number=number: node.event("old", b"%d" % number, now))
        yield self.until(lambda: sum(isinstance(event, UserEventCame) for event in told) == 3)
        yield two.stopService()
        times = two.core.l_times()
        yield gone.stopService()
        again = yield self.open("b", snapshot=self.path)
        heard: list[Any] = []
        again.heard = heard.append
        self.assertGreaterEqual(again.core.l_times(), times)
        yield self.until(lambda: self.alive(one) >= {"a", "b"} and self.alive(again) >= {"a", "b"})
        one.do(lambda node, now: node.event("new", b"", now))
        yield self.until(lambda: any(isinstance(event, UserEventCame) for event in heard))
        self.assertEqual({event.name for event in heard if isinstance(event, UserEventCame)}, {"new"})

    @inlineCallbacks
    def test_left(self) -> Any:
        """A node that left stays alone when it comes again, unless it rejoins after leaving."""
        one, two = yield self.pair()
        yield two.leave()
        self.assertTrue(Path(self.path).read_bytes().endswith(b"leave\n"))
        yield two.stopService()
        yield self.until(lambda: one.core.members.get("b").status is Status.LEFT)
        again = yield self.open("b", snapshot=self.path)
        self.assertEqual((again._joins, self.alive(again)), ({}, {"b"}))
        yield again.stopService()
        self.path = self.mktemp()
        one, two = yield self.pair(rejoin_after_leave=True)
        yield two.leave()
        yield two.stopService()
        again = yield self.open("b", snapshot=self.path, rejoin_after_leave=True)
        yield self.until(lambda: self.alive(one) == {"a", "b"} == self.alive(again))

    @inlineCallbacks
    def test_thread(self) -> Any:
        """The disk may have a thread of its own."""
        thread = DiskThread(DirectNetwork(reactor).clock, "gossip")
        _, two = yield self.pair(worker=thread)
        yield two.stopService()
        again = yield self.open("b", snapshot=self.path, worker=thread)
        yield self.until(lambda: self.alive(again) == {"a", "b"})
        yield again.stopService()
        yield thread.close()

    @inlineCallbacks
    def test_damaged(self) -> Any:
        """A damaged file is read as far as it goes, and written anew; one that cannot be read is an error."""
        Path(self.path).write_bytes(b"\0\0\0\nalive: x 127.0.0.1:1\nalive: y 12")
        pool = yield self.open("b", snapshot=self.path)
        self.assertEqual(
            Path(self.path).read_bytes(), b"alive: x 127.0.0.1:1\nclock: 0\nevent-clock: 0\nquery-clock: 0\n"
        )
        yield self.until(lambda: not pool._joins)
        os.mkdir(directory := self.mktemp())
        yield self.assertFailure(self.open("c", snapshot=directory), DiskFailed)

    @inlineCallbacks
    def test_unwritable(self) -> Any:
        """Gossip goes on where the file cannot be written."""
        self.path = str(Path(self.mktemp()) / "missing")
        one, two = yield self.pair()
        one.do(lambda node, now: node.event("old", b"", now))
        yield self.until(lambda: two.core.l_times()[1] == 2)
        yield two.leave()
        yield self.until(lambda: one.core.members.get("b").status is Status.LEFT)


class KeyringTests(PoolCase):
    """Keys that are kept."""

    @inlineCallbacks
    def test_kept(self) -> Any:
        """Keys that the pool changes are written before that is told, for the owner only, and count after a restart."""
        path = self.mktemp()
        one = yield self.open("a", keyring=Keyring([KEY]), keyring_file=path)
        self.assertEqual(read_keyring(Path(path).read_bytes()).keys, [KEY])
        self.assertEqual(stat.S_IMODE(os.stat(path).st_mode), 0o600)
        heard: list[Any] = []
        one.heard = heard.append
        two = yield self.open("b", keyring=Keyring([KEY]))
        yield two.join(*one.address)
        for operation in ("install", "use"):
            results = yield two.change_keys(operation, NEW)
            self.assertEqual((results.responses, results.problem), (2, ""))
            wanted = [KEY, NEW] if operation == "install" else [NEW, KEY]
            self.assertEqual(read_keyring(Path(path).read_bytes()).keys, wanted)
        yield one.stopService()
        again = yield self.open("a", keyring=Keyring([KEY]), keyring_file=path)
        self.assertEqual(again._keyring.keys, [NEW, KEY])
        yield again.join(*two.address)
        self.assertEqual([type(event) for event in heard if isinstance(event, RingChanged)], [RingChanged] * 2)

    @inlineCallbacks
    def test_refused(self) -> Any:
        """A bad file, and none without keys, are errors that name it; nobody is let in without encryption instead."""
        for content in (None, b"", b"[]", b'["AAAA"]', b"\xff"):
            path, given = self.mktemp(), None
            if content is not None:
                Path(path).write_bytes(content)
                given = Keyring([KEY])
            pool = GossipPool(
                DirectNetwork(reactor), "a", settings=Settings(timing=QUICK), keyring=given, keyring_file=path
            )
            error = yield self.assertFailure(pool.open(), BadKey)
            self.assertIn(path, str(error))
        Path(path).write_bytes(write_keyring(Keyring([KEY])))
        pool = GossipPool(DirectNetwork(reactor), "a", settings=Settings(timing=QUICK), keyring_file=path)
        self.pools.append(pool)
        yield pool.open()
        self.assertEqual(pool._keyring and pool._keyring.keys, [KEY])


class CoalescingTests(PoolCase):
    """Events that are told together."""

    @inlineCallbacks
    def test_coalesces(self) -> Any:
        """A pool that is asked to tells of several members at once, and of user events the last; also when it stops."""
        clock: Any = reactor
        times = {"coalesce_period": 0.4, "quiescent_period": 0.3}
        settings = Settings(timing=QUICK, **times, user_coalesce_period=60.0, user_quiescent_period=60.0)
        pool = GossipPool(DirectNetwork(reactor), "a", settings=settings)
        self.pools.append(pool)
        heard: list[Any] = []
        pool.heard = heard.append
        yield pool.open()
        for name in "bcd":
            other = yield self.open(name)
            yield other.join(*pool.address)
        yield self.until(lambda: len(self.alive(pool)) == 4)
        yield self.until(lambda: sum(len(one.members) for one in heard) == 4)
        self.assertEqual({(type(one), one.kind) for one in heard}, {(MembersChanged, EventKind.JOIN)})
        for payload in (b"1", b"2"):
            pool.do(lambda node, now, payload=payload: node.event("deploy", payload, now))
        pool.do(lambda node, now: node.event("other", b"", now, coalesce=False))
        yield deferLater(clock, 0, lambda: None)
        yield self.until(lambda: len(heard) > 1 and heard[-1].name == "other")
        yield pool.stopService()
        self.assertEqual([(one.name, one.payload) for one in heard[-2:]], [("other", b""), ("deploy", b"2")])
