"""
Raft with a real Consul server: it follows ours, votes for ours, leads ours.

C{TXCONSUL_TEST_CONSUL} is the path of a consul 1.21 program; without it this is skipped.
"""

from __future__ import annotations

import json
import os
import shutil
import tarfile
import tempfile
import time
from collections.abc import Callable
from io import BytesIO
from pathlib import Path
from typing import Any
from unittest import SkipTest
from urllib.request import Request, urlopen

from twisted.internet import reactor
from twisted.internet.defer import Deferred, gatherResults
from twisted.internet.task import deferLater
from twisted.internet.threads import deferToThread
from twisted.trial.unittest import TestCase

from tests.real.process import DEADLINE_SECONDS, Process, environment
from tests.rpc.raft_peer import RaftPeer
from tests.rpc.raft_wires import Heard
from txconsul.codec.gomsgpack import pack, stream
from txconsul.consensus.snapshots import SnapshotPolicy
from txconsul.net.direct import DirectNetwork
from txconsul.raft.messages import (
    AppendEntries,
    AppendEntriesReply,
    PreVoteReply,
    RequestPreVote,
    RequestVote,
    TimeoutNow,
    VoteReply,
)
from txconsul.raft.timing import Timing
from txconsul.records.command import Command
from txconsul.records.kv import DirEntry, KVSRequest
from txconsul.rpc.demux import FirstByte
from txconsul.rpc.dialing import Dialer, Peer
from txconsul.rpc.raft_transport import RaftTransport
from txconsul.state.commands import encode_command
from txconsul.state.machine import StateMachine

#: A loopback address of its own, where the usual ports are free; other runs have others.
_ADDRESS = f"127.{160 + os.getpid() // 256 % 32}.{os.getpid() % 256}.1"
_ID = "aaaaaaaa-0000-0000-0000-0000000000ff"
#: Larger than what Consul's servers put into one entry.
_LARGE = bytes(range(256)) * 5000


class Ours(RaftPeer):
    """A server of ours, as fast as Consul's fastest."""

    timing = Timing.multiplied(1)
    policy = SnapshotPolicy(threshold=1000, interval=0.5, trailing=10)
    make_machine = StateMachine

    def put(self, key: bytes, value: bytes) -> Deferred[Any]:
        """Write a key."""
        request = KVSRequest(datacenter="dc1", op="set", dir_ent=DirEntry(key=key, value=value))
        return self.consensus.propose(encode_command(Command.KVS, request))

    def value(self, key: bytes) -> bytes | None:
        """What is in its state."""
        row = self.machine.store.tables.kv.rows.get(key)
        return None if row is None else row.value


def records_of(frozen: bytes) -> list[tuple[int, bytes]]:
    """The records of a snapshot, with the keys of their maps in order, for maps have none in Go."""

    def in_order(value: Any) -> Any:
        if isinstance(value, dict):
            return {key: in_order(inner) for key, inner in sorted(value.items())}
        return [in_order(inner) for inner in value] if isinstance(value, list) else value

    values = stream(BytesIO(frozen).read)
    next(values)
    return sorted((type_, pack(in_order(value))) for type_, value in zip(values, values, strict=True))


class ConsulRaftTests(TestCase):
    """A server of theirs, and two of ours."""

    timeout = 120

    def setUp(self) -> None:
        program = os.environ.get("TXCONSUL_TEST_CONSUL")
        if not program:
            raise SkipTest("TXCONSUL_TEST_CONSUL is not set")
        self.program = program
        self.patch(reactor, "seconds", time.monotonic)
        self.network = DirectNetwork(reactor)
        self.directory = Path(tempfile.mkdtemp(prefix="txc-"))
        self.addCleanup(shutil.rmtree, self.directory, ignore_errors=True)
        self.real: Any = RaftPeer(_ID, self.network)
        self.real.address = f"{_ADDRESS}:8300"

    # ---- theirs ----

    async def start_real(self, **more: Any) -> Process:
        """Start it, and wait until it answers."""
        configuration = {
            "server": True,
            "data_dir": str(self.directory / "data"),
            "bind_addr": _ADDRESS,
            "client_addr": _ADDRESS,
            "node_id": _ID,
            "node_name": "real",
            "performance": {"raft_multiplier": 1},
            "limits": {"kv_max_value_size": 1 << 22},
            "ports": {"grpc": -1, "grpc_tls": -1, "dns": -1},
            # It is to put up with servers that are in no gossip pool.
            "autopilot": {"cleanup_dead_servers": False},
            **more,
        }
        (self.directory / "agent.json").write_text(json.dumps(configuration))
        process = Process(
            [self.program, "agent", "-config-file", str(self.directory / "agent.json")],
            cwd=str(self.directory),
            env=environment(),
        )
        self.addCleanup(process.kill)
        await deferToThread(process.wait_for, "Consul agent running")
        return process

    def http(self, method: str, path: str, body: bytes | None = None) -> Deferred[bytes]:
        """Ask it over HTTP."""

        def ask() -> bytes:
            request = Request(f"http://{_ADDRESS}:8500{path}", body, method=method)
            with urlopen(request, timeout=DEADLINE_SECONDS) as answer:
                data: bytes = answer.read()
                return data

        return deferToThread(ask)

    async def put(self, key: str, value: bytes) -> None:
        """Write a key there, once it leads and has settled."""

        async def fact() -> bool:
            try:
                return await self.http("PUT", f"/v1/kv/{key}", value) == b"true"
            except OSError:
                return False

        await self.until(fact)

    async def real_has(self, key: str, value: bytes) -> None:
        """Wait until a key's value is in its state."""

        async def fact() -> bool:
            try:
                return await self.http("GET", f"/v1/kv/{key}?stale&raw") == value
            except OSError:
                return False

        await self.until(fact)

    # ---- ours ----

    async def start_ours(self, count: int = 2, *, with_real: bool = True) -> list[Ours]:
        """So many, all of one group."""
        ours = [Ours(f"bbbbbbbb-0000-0000-0000-00000000000{n}", self.network) for n in range(count)]
        for one in ours:
            await one.listen()
        for one in ours:
            self.addCleanup(one.close)
            await one.start(*ours, *([self.real] if with_real else []))
        return ours

    async def until(self, fact: Callable[[], Any]) -> None:
        """Wait until it is so."""
        begun = time.monotonic()
        while True:
            known = fact()
            if await known if hasattr(known, "__await__") else known:
                return
            self.assertLess(time.monotonic() - begun, DEADLINE_SECONDS)
            await deferLater(reactor, 0.02)  # type: ignore[arg-type]

    async def leader(self, ours: list[Ours]) -> Ours:
        """Which of ours leads, once one does."""
        await self.until(lambda: any(one.consensus.is_leader for one in ours))
        return next(one for one in ours if one.consensus.is_leader)

    # ---- the facts ----

    async def test_answers(self) -> None:
        """What a stranger is answered: an old leader its term, who wants a vote a refusal."""
        await self.start_real(bootstrap=True)
        await self.put("led", b"1")
        heard = Heard()
        transport = RaftTransport(
            "stranger",
            "127.0.0.1:1",
            dial=lambda address, protocol: Dialer(self.network).dial(Peer("", address), FirstByte.RAFT, protocol),
            clock=self.network.clock,
        )
        transport.consensus = heard
        self.addCleanup(transport.close)
        for message in (
            AppendEntries(1, "127.0.0.1:1", 0, 0, 0, (), 1),
            AppendEntries(1, "127.0.0.1:1", 5, 1, 0, (), 2),
            RequestPreVote(99, 1 << 40, 98, 3),
            RequestVote(99, "127.0.0.1:1", 1 << 40, 98, round=4),
            TimeoutNow(1),
        ):
            transport.send(_ID, self.real.address, message)
        await self.until(lambda: len(heard.messages) == 4)
        answers = {getattr(message, "round", 0): message for _, message in heard.messages}
        one, two, three, four = [answers[number] for number in (1, 2, 3, 4)]
        assert isinstance(one, AppendEntriesReply) and isinstance(two, AppendEntriesReply)
        self.assertEqual((one.success, two.success), (False, False))
        self.assertGreater(one.term, 1)
        self.assertGreater(one.last_log, 2)
        assert isinstance(three, PreVoteReply) and isinstance(four, VoteReply)
        self.assertEqual((three.granted, four.granted), (False, False))
        self.assertEqual(heard.missing, [])

    async def test_itFollowsOurs(self) -> None:
        """It gets our leader's snapshot and entries, and its word counts for a commit."""
        ours = await self.start_ours()
        leader = await self.leader(ours)
        await gatherResults([leader.put(b"k%d" % n, b"v") for n in range(1500)])
        await self.until(lambda: leader.disk.snapshots)
        process = await self.start_real(bootstrap_expect=3)
        await self.real_has("k1499", b"v")
        self.assertIn("Installed remote snapshot", process.output)
        await gatherResults([leader.put(b"k%d" % n, b"w" * 1000) for n in range(1500)])
        await self.real_has("k1499", b"w" * 1000)
        next(one for one in ours if one is not leader).stop()
        await leader.put(b"by-two", b"1")
        await self.real_has("by-two", b"1")
        for line in process.lines:
            self.assertNotRegex(line, r"\[ERROR\].*raft.*(decode|panic|unknown rpc)")

    async def test_itLeadsOurs(self) -> None:
        """It takes over when it is told to, and ours get its entries, those that are cut into pieces too."""
        ours = await self.start_ours()
        leader = await self.leader(ours)
        await self.start_real(bootstrap_expect=3)
        await leader.put(b"before", b"1")
        await self.real_has("before", b"1")
        await leader.consensus.transfer_leadership(_ID)
        await self.until(lambda: {one.consensus.leader_id for one in ours} == {_ID})
        await self.put("small", b"1")
        await self.put("large", _LARGE)
        await self.until(lambda: all(one.value(b"large") == _LARGE and one.value(b"small") == b"1" for one in ours))
        self.assertEqual({one.consensus.term for one in ours}, {leader.consensus.term})
        for path, body in (
            (
                "/v1/catalog/register",
                b'{"Node": "n", "Address": "10.0.0.9", "Service": {"Service": "web", "Port": 80}}',
            ),
            ("/v1/session/create", b'{"Node": "n", "NodeChecks": [], "LockDelay": "1s"}'),
            ("/v1/query", b'{"Name": "q", "Service": {"Service": "web"}}'),
            ("/v1/operator/autopilot/configuration", b'{"MaxTrailingLogs": 500}'),
            ("/v1/connect/ca/configuration", b'{"Provider": "consul", "Config": {"LeafCertTTL": "24h"}}'),
        ):
            await self.http("POST" if path == "/v1/query" else "PUT", path, body)
        await self.same_state(ours)

    async def same_state(self, ours: list[Ours]) -> None:
        """Wait until nothing more comes, and compare the servers' states record by record."""
        last = 0
        while last != (last := ours[0].consensus.applied_index):
            await deferLater(reactor, 2.0)  # type: ignore[arg-type]
        archive = await self.http("GET", "/v1/snapshot?stale")
        with tarfile.open(fileobj=BytesIO(archive)) as members:
            state = members.extractfile("state.bin")
            assert state is not None
            theirs = records_of(state.read())
        for one in ours:
            mine = records_of(b"".join(one.machine.freeze()))
            self.assertEqual([one for one in mine if one not in theirs], [one for one in theirs if one not in mine])
            self.assertEqual(mine, theirs)

    async def test_itIsReplaced(self) -> None:
        """When it is gone while it leads, one of ours leads; it comes back and follows."""
        ours = await self.start_ours()
        leader = await self.leader(ours)
        process = await self.start_real(bootstrap_expect=3)
        await leader.put(b"before", b"1")
        await self.real_has("before", b"1")
        await leader.consensus.transfer_leadership(_ID)
        await self.put("by-real", b"1")
        process.kill()
        leader = await self.leader(ours)
        await leader.put(b"after", b"1")
        self.assertEqual(leader.value(b"by-real"), b"1")
        await self.start_real(bootstrap_expect=3)
        await self.real_has("after", b"1")
        self.assertTrue(leader.consensus.is_leader)
