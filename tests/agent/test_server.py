"""A whole server in one deterministic test: memory for a disk, a clock that is told the time, a seed for chance."""

from __future__ import annotations

import io
from random import Random
from typing import Any

from twisted.internet.defer import Deferred
from twisted.python.failure import Failure
from twisted.trial.unittest import SynchronousTestCase

from tests.endpoints.serving import NoFacts
from txconsul.agent.server import Server, ServerSettings
from txconsul.codec.gotime import pack_time
from txconsul.errors import DiskFull, InvalidRequest
from txconsul.leader.presence import own_registration
from txconsul.records.archive import SnapshotRequest
from txconsul.records.kv import DirEntry, KeyRequest, KVSRequest
from txconsul.records.query import Context, QueryOptions
from txconsul.records.session import Session, SessionRequest
from txconsul.simulation.clock import SimulatedClock
from txconsul.simulation.network import Network, Transport
from txconsul.storage.memory import MemoryDisk, MemoryLogStore, MemorySnapshotStore, MemoryStableStore

ID = "00000000-0000-0000-0000-00000000000a"


class OneServer:
    """A server that can be killed and started again on its disk."""

    def __init__(self) -> None:
        self.clock = SimulatedClock()
        self.disk = MemoryDisk(self.clock)
        self.failures: list[Failure] = []
        self.start()

    def start(self) -> None:
        """Run on what the disk has."""
        ids = (f"10000000-0000-0000-0000-{number:012d}" for number in range(1, 1_000_000))
        self.server = Server(
            ServerSettings(
                id=ID,
                name="a",
                datacenter="dc1",
                address="127.0.0.1:8300",
                bootstrap=True,
                registration=own_registration(
                    datacenter="dc1",
                    node="a",
                    node_id=ID,
                    address="127.0.0.1",
                    port=8300,
                    grpc_port=-1,
                    version="1.21.4",
                    tagged_addresses={},
                    node_meta={},
                ),
            ),
            log_store=MemoryLogStore(self.disk),
            stable_store=MemoryStableStore(self.disk),
            snapshot_store=MemorySnapshotStore(self.disk),
            transport=Transport(Network(self.clock, Random(1), lambda line: None), ID),
            clock=self.clock,
            rng=Random(1),
            wall=lambda: pack_time(0),
            new_id=lambda: next(ids),
            facts=NoFacts(),
            failed=self.failures.append,
        )
        self.server.startService()
        self.clock.advance(20)

    def kill(self) -> None:
        """What was not synced is lost."""
        self.disk.crash()

    def ask(self, method: str, request: Any) -> Any:
        """The answer, after a little while."""
        answer = self.server.door.call(method, request, Context())
        if not isinstance(answer, Deferred):
            return answer
        found: list[Any] = []
        answer.addBoth(lambda result: found.append(result) or result)
        self.clock.advance(1)
        if not found:
            return answer
        if isinstance(found[0], Failure):
            answer.addErrback(lambda reason: None)
            found[0].raiseException()
        return found[0]

    def put(self, key: bytes, value: bytes, op: str = "set", session: str = "") -> Any:
        """Change a key."""
        entry = DirEntry(key=key, value=value, session=session)
        return self.ask("KVS.Apply", KVSRequest(datacenter="dc1", op=op, dir_ent=entry))

    def get(self, key: bytes, **options: Any) -> Any:
        """A key's value."""
        request = KeyRequest(datacenter="dc1", key=key, options=QueryOptions(**options))
        answer = self.ask("KVS.Get", request)
        return answer if isinstance(answer, Deferred) else answer.value and answer.value.value


class ServerTests(SynchronousTestCase):
    """One server, from its first start on."""

    def setUp(self) -> None:
        """A server that leads."""
        self.one = OneServer()

    def test_leads(self) -> None:
        """It elects itself, and its node is in the catalog."""
        self.successResultOf(self.one.server.ready)
        self.assertTrue(self.one.server.site.me.is_leader)
        self.assertEqual([node.node for node in self.one.server.store.catalog.nodes()[1]], ["a"])

    def test_everyMode(self) -> None:
        """A write is seen by reads of every consistency."""
        self.one.put(b"k", b"v")
        self.assertEqual(self.one.get(b"k"), b"v")
        self.assertEqual(self.one.get(b"k", require_consistent=True), b"v")
        self.assertEqual(self.one.get(b"k", allow_stale=True), b"v")

    def test_plugIsPulled(self) -> None:
        """What was acknowledged is there after a crash, in the same order of indexes."""
        for number in range(10):
            self.one.put(b"k", b"%d" % number)
        index = self.one.server.store.kv.get(b"k")[0]
        self.one.kill()
        self.one.start()
        self.assertEqual(self.one.get(b"k"), b"9")
        self.assertEqual(self.one.server.store.kv.get(b"k")[0], index)

    def test_diskIsFull(self) -> None:
        """A full disk refuses writes and nothing else, and is forgotten when there is room."""
        self.one.put(b"k", b"1")
        self.one.disk.full = True
        self.assertRaises(DiskFull, self.one.put, b"k", b"2")
        self.assertEqual(self.one.get(b"k"), b"1")
        self.one.disk.full = False
        self.one.clock.advance(30)
        self.one.put(b"k", b"3")
        self.assertEqual(self.one.get(b"k"), b"3")

    def test_diskIsFullAtTheStart(self) -> None:
        """A server that starts on a full disk leads as soon as there is room."""
        self.one.put(b"k", b"1")
        self.one.kill()
        self.one.disk.full = True
        self.one.start()
        self.assertFalse(self.one.server.site.me.is_leader)
        self.one.disk.full = False
        self.one.clock.advance(20)
        self.assertTrue(self.one.server.site.me.is_leader)
        self.assertEqual(self.one.get(b"k"), b"1")

    def test_diskFails(self) -> None:
        """A disk that fails ends the server, once."""
        self.one.disk.failing = True
        self.one.server.door.call(
            "KVS.Apply", KVSRequest(datacenter="dc1", op="set", dir_ent=DirEntry(key=b"k")), Context()
        ).addErrback(lambda reason: None)
        self.one.clock.advance(1)
        self.assertEqual(len(self.one.failures), 1)
        self.flushLoggedErrors()

    def test_lockDelay(self) -> None:
        """Whoever lost a lock by force leaves it delayed, by this leader's clock."""
        create = SessionRequest(
            datacenter="dc1", op="create", session=Session(node="a", lock_delay=15_000_000_000, behavior="release")
        )
        first, second = self.one.ask("Session.Apply", create), self.one.ask("Session.Apply", create)
        self.assertIs(self.one.put(b"lock", b"1", "lock", first), True)
        self.one.ask("Session.Apply", SessionRequest(datacenter="dc1", op="destroy", session=Session(id=first)))
        self.assertIs(self.one.put(b"lock", b"2", "lock", second), False)
        self.one.clock.advance(15)
        self.assertIs(self.one.put(b"lock", b"2", "lock", second), True)

    def test_archive(self) -> None:
        """A state that was saved is restored, and queries that waited are answered."""
        self.one.put(b"k", b"old")
        saved = self.one.ask("Snapshot.Save", SnapshotRequest(datacenter="dc1"))
        archive = b"".join(saved.pieces)
        self.one.put(b"k", b"new")
        index = self.one.server.store.kv.get(b"k")[0]
        waiting = self.one.get(b"k", min_query_index=index)
        self.one.ask("Snapshot.Restore", SnapshotRequest(datacenter="dc1", archive=io.BytesIO(archive)))
        self.assertEqual(self.successResultOf(waiting).value.value, b"old")
        self.assertEqual(self.one.get(b"k"), b"old")
        self.one.put(b"k", b"after")
        self.assertGreater(self.one.server.store.kv.get(b"k")[0], index)

    def test_noArchive(self) -> None:
        """What is no archive changes nothing."""
        self.one.put(b"k", b"v")
        for data in (b"", b"no archive", b"\x1f\x8b" + bytes(100)):
            request = SnapshotRequest(datacenter="dc1", archive=io.BytesIO(data))
            self.assertRaises(InvalidRequest, self.one.ask, "Snapshot.Restore", request)
        self.assertEqual(self.one.get(b"k"), b"v")

    def test_stops(self) -> None:
        """Stopping fails what waits and leaves no delayed call of its own behind."""
        self.one.put(b"k", b"v")
        stopped = self.one.server.stopService()
        self.one.clock.advance(1)
        self.successResultOf(stopped)
        self.assertFalse(self.one.server.site.me.is_leader)
        self.assertEqual(self.one.failures, [])
