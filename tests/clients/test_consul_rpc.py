"""
The server port of a real Consul, asked by our pool.

C{TXCONSUL_TEST_CONSUL} is the path of a consul 1.21 program; without it this is skipped.
"""

from __future__ import annotations

import os
import subprocess
import tempfile
from io import BytesIO
from typing import Any
from unittest import SkipTest

from twisted.internet import reactor
from twisted.internet.defer import Deferred, gatherResults
from twisted.internet.task import deferLater
from twisted.trial.unittest import TestCase

from tests.real.process import DEADLINE_SECONDS, environment
from txconsul.codec.gomsgpack import pack, unpack
from txconsul.errors import CallTimedOut, RemoteError, Unreachable
from txconsul.net.direct import DirectNetwork
from txconsul.records.archive import SnapshotRequest
from txconsul.rpc.dialing import Dialer, Peer
from txconsul.rpc.pool import IDLE_STREAMS_MAX, ConnectionPool
from txconsul.rpc.snapshot_asking import SnapshotAsker
from txconsul.rpc.streams import INITIAL_WINDOW

#: A loopback address of its own, where the usual ports are free; other runs have others.
_ADDRESS = f"127.{192 + os.getpid() // 256 % 32}.{os.getpid() % 256}.1"
_CALLS_MAX = 600


class ConsulTests(TestCase):
    """A development server of theirs."""

    timeout = 120

    def setUp(self) -> Deferred[None]:
        """Start it, and wait until it leads."""
        program = os.environ.get("TXCONSUL_TEST_CONSUL")
        if not program:
            raise SkipTest("TXCONSUL_TEST_CONSUL is not set")
        log = tempfile.TemporaryFile()  # noqa: SIM115
        self.addCleanup(log.close)
        process = subprocess.Popen(
            [program, "agent", "-dev", "-bind", _ADDRESS, "-client", _ADDRESS],
            env=environment(),
            stdout=log,
            stderr=log,
        )
        self.addCleanup(process.wait)
        self.addCleanup(process.kill)
        network = DirectNetwork(reactor)
        self.peer = Peer("server", f"{_ADDRESS}:8300", "dc1")
        self.pool = ConnectionPool(reactor, Dialer(network))  # type: ignore[arg-type]
        self.asker = SnapshotAsker(reactor, Dialer(network))  # type: ignore[arg-type]
        self.addCleanup(lambda: self.pool.stop())
        return Deferred.fromCoroutine(self._leads())

    async def _leads(self) -> None:
        begun: float = reactor.seconds()  # type: ignore[attr-defined]
        while True:
            try:
                if await self.call("KVS.Get", Key="none"):
                    return
            except (Unreachable, RemoteError):
                if reactor.seconds() - begun > DEADLINE_SECONDS:  # type: ignore[attr-defined]
                    raise
            await deferLater(reactor, 0.1)  # type: ignore[arg-type]

    async def call(self, method: str, timeout: float = 10.0, **body: Any) -> Any:
        """Call, and read the answer."""
        asked = {"Datacenter": "dc1"} | body
        return unpack(await self.pool.call(self.peer, method, pack(dict(sorted(asked.items()))), timeout))

    def put(self, key: str, value: bytes) -> Any:
        """Write a key."""
        return self.call("KVS.Apply", DirEnt={"Key": key, "Value": value}, Op="set")

    async def get(self, key: str, timeout: float = 10.0, **body: Any) -> Any:
        """Read a key. @return: its value and the index."""
        answer = await self.call("KVS.Get", timeout, Key=key, **body)
        entries = answer[b"Entries"]
        return (entries[0][b"Value"] if entries else None), answer[b"Index"]

    async def test_calls(self) -> None:
        """Status, writes and reads, of values larger than a window's half too."""
        self.assertEqual(await self.call("Status.Ping"), {})
        self.assertEqual(await self.call("Status.Leader"), self.peer.address.encode())
        large = bytes(range(256)) * 2000
        for key, value in (("small", b"1"), ("large", large)):
            await self.put(key, value)
            self.assertEqual((await self.get(key))[0], value)

    async def test_largeAnswers(self) -> None:
        """An answer of several windows comes whole."""
        value = bytes(range(256)) * 1024
        for number in range(6):
            await self.put(f"list/{number}", value)
        answer = await self.call("KVS.List", Key="list/")
        self.assertEqual([one[b"Value"] for one in answer[b"Entries"]], [value] * 6)
        self.assertGreater(6 * len(value), 5 * INITIAL_WINDOW)

    async def test_blocking(self) -> None:
        """A read that waits is woken by a write on the same connection."""
        await self.put("wait", b"1")
        _, index = await self.get("wait")
        waiting = Deferred.fromCoroutine(self.get("wait", MinQueryIndex=index, MaxQueryTime=60 * 10**9))
        await deferLater(reactor, 0.1)  # type: ignore[arg-type]
        self.assertFalse(waiting.called)
        await self.put("wait", b"2")
        self.assertEqual((await waiting)[0], b"2")

    async def test_errors(self) -> None:
        """Errors have the texts that we also give, and streams that were closed for them harm no call."""
        for method, text in (
            ("KVS.Nope", "rpc: can't find method KVS.Nope"),
            ("Nope.Nope", "rpc: can't find service Nope.Nope"),
            ("Nope", "rpc: service/method request ill-formed: Nope"),
        ):
            error = await self.assertFailure(Deferred.fromCoroutine(self.call(method)), RemoteError)
            self.assertEqual(str(error), text)
            await self.call("Status.Ping")

    async def test_manyAtOnce(self) -> None:
        """More calls at once than may be unaccepted are all answered, on one connection."""
        await self.put("many", b"1")
        calls = [Deferred.fromCoroutine(self.get("many")) for _ in range(_CALLS_MAX)]
        answers = await gatherResults(calls)
        self.assertEqual({value for value, _ in answers}, {b"1"})
        self.assertEqual(self.pool.peers, [self.peer])
        self.assertGreater(_CALLS_MAX, IDLE_STREAMS_MAX)

    async def test_givingUp(self) -> None:
        """Calls that are cancelled or take too long leave the connection well."""
        _, index = await self.get("none")
        waiting = Deferred.fromCoroutine(self.get("none", MinQueryIndex=index + 1000))
        await deferLater(reactor, 0.05)  # type: ignore[arg-type]
        waiting.addErrback(lambda _: None)
        waiting.cancel()
        late = Deferred.fromCoroutine(self.get("none", 0.1, MinQueryIndex=index + 1000))
        await self.assertFailure(late, CallTimedOut)
        await self.call("Status.Ping")

    async def test_snapshots(self) -> None:
        """The state is saved, restored, and its errors are told."""
        await self.put("kept", b"1")
        saved = await self.asker.save(self.peer, SnapshotRequest("dc1"), "")
        archive = b""
        for piece in saved.pieces:
            archive += piece if isinstance(piece, bytes) else await piece
        await self.put("kept", b"2")
        await self.asker.restore(self.peer, SnapshotRequest("dc1", archive=BytesIO(archive)), "")
        self.assertEqual((await self.get("kept"))[0], b"1")
        broken = self.asker.restore(self.peer, SnapshotRequest("dc1", archive=BytesIO(archive[:500])), "")
        await self.assertFailure(broken, RemoteError)
