"""
Debian's C{serf} in one pool with ours: who is there, events and queries both ways, keys, leaving and failing.

It is skipped where C{serf} is not installed (script/debian-packages). C{TXCONSUL_TEST_MIXED_SECONDS} is how long twenty
of both are to agree; 10 if it is not set.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
from base64 import b64encode
from collections.abc import Callable
from itertools import count
from pathlib import Path
from typing import Any
from unittest import SkipTest

from twisted.internet import reactor
from twisted.internet.defer import Deferred, inlineCallbacks
from twisted.internet.task import deferLater
from twisted.internet.threads import deferToThread
from twisted.logger import LogLevel, globalLogPublisher
from twisted.trial.unittest import TestCase

from tests.real.process import DEADLINE_SECONDS, Process, environment
from txconsul.gossip import GossipPool
from txconsul.net.direct import DirectNetwork
from txconsul.serf.keyring_file import write_keyring
from txconsul.serf.messages import Status
from txconsul.serf.outputs import Asked, EventKind, MemberEvent, QueryAnswer, UserEventCame
from txconsul.serf.settings import Settings
from txconsul.serf.snapshot import Snapshot
from txconsul.swim.keyring import Keyring
from txconsul.swim.timing import LAN

OLD, NEW = bytes(range(32)), bytes(range(1, 33))
#: Each node has a loopback address of its own, where the usual ports are free; other runs have others.
_ADDRESSES = (f"127.{64 + os.getpid() // 256 % 64}.{os.getpid() % 256}.{number}" for number in count(1))

#: How long a pool of both is watched, in which nothing may happen.
_MIXED_SECONDS = float(os.environ.get("TXCONSUL_TEST_MIXED_SECONDS", "10"))
#: Of each kind in that pool.
_MIXED = 10
#: A member misses one query of a hundred at the most; five in a row would be a fault.
_TRIES = 5


class SerfTests(TestCase):
    """A pool of both."""

    def setUp(self) -> None:
        if shutil.which("serf") is None:
            raise SkipTest("serf is not installed: script/debian-packages")
        self.pools: list[GossipPool] = []
        self.logs: list[Process] = []
        self.heard: dict[str, list[Any]] = {}
        self.warned: list[str] = []
        globalLogPublisher.addObserver(self.observe)
        self.addCleanup(globalLogPublisher.removeObserver, self.observe)

    def observe(self, event: Any) -> None:
        """What ours complain of."""
        if event.get("log_level") is LogLevel.warn and str(event.get("log_namespace")).startswith("txconsul.gossip"):
            self.warned.append(str(event.get("log_format")))

    @inlineCallbacks
    def tearDown(self) -> Any:
        for pool in self.pools:
            yield pool.stopService()
        for log in self.logs:
            log.popen.kill()
            log.wait()

    @inlineCallbacks
    def peer(self, name: str, *arguments: str) -> Any:
        """A C{serf} agent. @return: its address."""
        address = next(_ADDRESSES)
        command = ["serf", "agent", f"-node={name}", f"-bind={address}:7946", f"-rpc-addr={address}:7373"]
        command += ["-profile=lan", "-log-level=debug", "-tag", "role=web", *arguments]
        log = Process(command, cwd="/", env=environment())
        self.logs.append(log)
        yield deferToThread(log.wait_for, "Serf agent starting|agent: Serf agent|Log data will now stream")
        yield self.until(lambda: self.members(address) != {})
        return address

    @inlineCallbacks
    def ours(self, name: str, join: str | None, key: bytes | None = None, **options: Any) -> Any:
        """A node of ours that joins, unless it is to find its pool by itself."""
        ring = None if key is None else Keyring([key])
        settings = Settings(timing=LAN)
        pool = GossipPool(
            DirectNetwork(reactor),
            name,
            settings=settings,
            host=next(_ADDRESSES),
            port=7946,
            tags={"role": "tx"},
            keyring=ring,
            **options,
        )
        self.pools.append(pool)
        heard = self.heard[name] = []

        def hear(event: Any) -> None:
            heard.append(event)
            if isinstance(event, Asked):
                pool.do(lambda node, now: node.answer(event.key, f"I am {name}".encode(), now))

        pool.heard = hear
        yield pool.open()
        if join is not None:
            yield pool.join(join, 7946)
        return pool

    def run_serf(self, address: str, command: str, *arguments: str) -> Deferred[str]:
        """A command of C{serf}. @return: a Deferred of what it printed."""

        def run() -> str:
            done = subprocess.run(
                ["serf", command, f"-rpc-addr={address}:7373", *arguments],
                capture_output=True,
                text=True,
                timeout=DEADLINE_SECONDS,
                check=False,
            )
            return done.stdout + done.stderr

        return deferToThread(run)

    @inlineCallbacks
    def until_said(self, wanted: str, address: str, command: str, *arguments: str) -> Any:
        """
        Run a command until it says something, and give that: queries go by packets that are told a few times only, so
        that on a busy machine one member may miss one.
        """
        said = ""
        for _ in range(_TRIES):
            said = yield self.run_serf(address, command, *arguments)
            if wanted in said:
                return said
        self.fail(said)

    def members(self, address: str) -> dict[str, str]:
        """Status by name, as a C{serf} agent has it."""
        done = subprocess.run(
            ["serf", "members", f"-rpc-addr={address}:7373", "-format=json"],
            capture_output=True,
            text=True,
            check=False,
        )
        if done.returncode:
            return {}
        return {one["name"]: one["status"] for one in json.loads(done.stdout)["members"]}

    @inlineCallbacks
    def until(self, done: Callable[[], bool]) -> Any:
        """Wait until something is so."""
        clock: Any = reactor
        end = clock.seconds() + DEADLINE_SECONDS
        while not done():
            if clock.seconds() > end:
                self.fail("it did not happen:\n" + "\n".join(log.output for log in self.logs))
            yield deferLater(clock, 0.1, lambda: None)

    def events(self, name: str) -> set[tuple[str, bytes]]:
        """The user events that a node of ours heard."""
        return {(one.name, one.payload) for one in self.heard[name] if isinstance(one, UserEventCame)}

    @inlineCallbacks
    def everything(self, key: bytes | None) -> Any:
        """All that a pool does, plain or encrypted."""
        encryption = [] if key is None else [f"-encrypt={b64encode(key).decode()}"]
        first = yield self.peer("s1", *encryption)
        one = yield self.ours("tx1", first, key)
        second = yield self.peer("s2", *encryption, f"-join={one.address[0]}:7946")
        two = yield self.ours("tx2", first, key)
        everybody = dict.fromkeys(["s1", "s2", "tx1", "tx2"], "alive")
        yield self.until(lambda: self.members(first) == self.members(second) == everybody)
        yield self.until(lambda: {m.name: m.status.name.lower() for m in two.core.members} == everybody)

        yield self.run_serf(second, "event", "-coalesce=false", "deploy", "v1")
        one.do(lambda node, now: node.event("ours", b"v2", now))
        yield self.until(lambda: self.events("tx2") == {("deploy", b"v1"), ("ours", b"v2")})
        yield deferToThread(self.logs[1].wait_for, "Received event: user-event: ours")

        said = yield self.until_said("Total Acks: 4", first, "query", "-timeout=4s", "who", "?")
        self.assertIn("Response from 'tx1': I am tx1", said)
        yield self.until_said("Successfully contacted all live nodes", second, "reachability")
        one.do(lambda node, now: node.query("back", b"", now))
        yield self.until(lambda: "tx2" in {a.sender for a in self.heard["tx1"] if isinstance(a, QueryAnswer)})

        yield self.run_serf(second, "tags", "-set", "version=2")
        one.do(lambda node, now: node.change_tags({"role": "tx", "more": "yes"}, now))
        yield self.until(lambda: "version" in two.core.members.get("s2").tags)
        yield self.until(lambda: two.core.members.get("tx1").tags.get("more") == "yes")

    @inlineCallbacks
    def test_plain(self) -> Any:
        """Members, events, queries, tags, coordinates; leaving and failing, on both sides."""
        yield self.everything(None)
        one, two = self.pools
        first, second = (log.popen.args[3].split("=")[1].split(":")[0] for log in self.logs)  # type: ignore[index]
        yield self.until(lambda: len(one.core.positions) == 4)
        rtt = ""
        while "rtt:" not in rtt:
            rtt = yield self.run_serf(first, "rtt", "s1", "tx1")
        yield two.leave()
        yield two.stopService()
        yield self.until(lambda: self.members(first).get("tx2") == "left")
        yield self.run_serf(second, "leave")
        yield self.until(lambda: one.core.members.get("s2").status is Status.LEFT)
        yield one.stopService()
        yield self.until(lambda: self.members(first).get("tx1") == "failed")
        self.no_errors()

    @inlineCallbacks
    def test_killed(self) -> Any:
        """A C{serf} that is killed has failed; forced to leave by the other side, it has left."""
        first = yield self.peer("s1")
        one = yield self.ours("tx1", first)
        yield self.ours("tx2", first)
        yield self.until(lambda: len(self.members(first)) == 3)
        self.logs[0].popen.kill()
        yield self.until(lambda: one.core.members.get("s1").status is Status.FAILED)
        one.do(lambda node, now: node.force_leave("s1", now))
        yield self.until(lambda: self.pools[1].core.members.get("s1").status is Status.LEFT)

    @inlineCallbacks
    def test_mixed(self) -> Any:
        """Ten of each agree for a while, and nobody fails; then one of each is killed, and all of both see it."""
        first = yield self.peer("s0")
        addresses = [first]
        for number in range(1, _MIXED):
            addresses.append((yield self.peer(f"s{number}", f"-join={first}:7946")))
        for number in range(_MIXED):
            yield self.ours(f"tx{number}", addresses[number])
        everybody = {f"{kind}{number}": "alive" for kind in ("s", "tx") for number in range(_MIXED)}
        clock: Any = reactor

        def agree(wanted: dict[str, str], killed: int = 0) -> bool:
            own = [{m.name: m.status.name.lower() for m in pool.core.members} for pool in self.pools[killed:]]
            return all(view == wanted for view in own) and all(
                self.members(address) == wanted for address in addresses[killed:]
            )

        yield self.until(lambda: agree(everybody))
        end = clock.seconds() + _MIXED_SECONDS
        while clock.seconds() < end:
            yield deferLater(clock, 1.0, lambda: None)
            self.assertEqual(self.members(first), everybody)
        self.assertTrue(agree(everybody))
        failed = [one for heard in self.heard.values() for one in heard if isinstance(one, MemberEvent)]
        self.assertEqual([one for one in failed if one.kind is not EventKind.JOIN], [])
        self.assertEqual([line for log in self.logs for line in log.lines if "EventMemberFailed" in line], [])

        self.logs[0].popen.kill()
        yield self.pools[0].stopService()
        yield self.until(lambda: agree({**everybody, "s0": "failed", "tx0": "failed"}, killed=1))
        self.no_errors()

    @inlineCallbacks
    def test_encrypted(self) -> Any:
        """The same with encryption, and a new key over all."""
        yield self.everything(OLD)
        first = self.logs[0].popen.args[3].split("=")[1].split(":")[0]  # type: ignore[index]
        for option, key in (("-install", NEW), ("-use", NEW), ("-remove", OLD)):
            yield self.until_said("Successfully", first, "keys", option, b64encode(key).decode())
        self.assertEqual([pool._keyring.keys for pool in self.pools if pool._keyring is not None], [[NEW], [NEW]])
        self.no_errors()

    @inlineCallbacks
    def test_keyringFiles(self) -> Any:
        """A keyring that ours wrote is read by C{serf}; new keys are in the files of both, alike to the byte."""
        theirs, own = Path(self.mktemp()).absolute(), Path(self.mktemp()).absolute()
        theirs.write_bytes(write_keyring(Keyring([OLD])))
        first = yield self.peer("s1", f"-keyring-file={theirs}")
        yield self.ours("tx1", first, OLD, keyring_file=str(own))
        for option in ("-install", "-use"):
            yield self.until_said("Successfully", first, "keys", option, b64encode(NEW).decode())
        wanted = write_keyring(Keyring([NEW, OLD]))
        yield self.until(lambda: own.read_bytes() == wanted == theirs.read_bytes())

    @inlineCallbacks
    def test_snapshots(self) -> Any:
        """A snapshot that C{serf} wrote is read by ours, and the other way round: who has it finds the pool again."""
        theirs, own = Path(self.mktemp()).absolute(), Path(self.mktemp()).absolute()
        first = yield self.peer("s1", f"-snapshot={theirs}")
        one = yield self.ours("tx1", first, snapshot=str(own))

        def is_written() -> bool:
            """It writes when something happens half a second after it wrote last."""
            one.do(lambda node, now: node.event("deploy", b"v1", now))
            return theirs.exists() and b"alive: tx1 " in (data := theirs.read_bytes()) and b"event-clock: " in data

        yield self.until(is_written)
        read, written = Snapshot(), Snapshot()
        self.assertEqual(read.replay(theirs.read_bytes().splitlines(keepends=True)), [])
        self.assertNotEqual(read.clocks[1], 0)
        yield self.until(lambda: own.exists() and b"alive: s1 " in own.read_bytes())
        yield one._snapshot._journal.flush()
        self.assertEqual(written.replay(own.read_bytes().splitlines(keepends=True)), [])
        self.assertEqual(read.members, written.members)
        told = [event.l_time for event in self.heard["tx1"] if isinstance(event, UserEventCame)]
        self.assertEqual(written.clocks[1], max(told))

        copies = []
        for file in (theirs, own):
            copies.append(Path(self.mktemp()).absolute())
            copies[-1].write_bytes(file.read_bytes())
        two = yield self.ours("tx2", None, snapshot=str(copies[0]))
        yield self.peer("s2", f"-snapshot={copies[1]}")
        self.assertNotIn("Unrecognized snapshot line", self.logs[1].output)
        everybody = dict.fromkeys(["s1", "s2", "tx1", "tx2"], "alive")
        for pool in (one, two):
            yield self.until(lambda pool=pool: {m.name: m.status.name.lower() for m in pool.core.members} == everybody)  # type: ignore[misc]
        yield deferToThread(self.logs[1].wait_for, "Re-joined to previously known node")
        yield one.leave()
        yield self.until(lambda: self.members(first).get("tx1") == "left")
        self.assertTrue(own.read_bytes().endswith(b"leave\n"))

    def no_errors(self) -> None:
        """No peer had anything to complain of in what it read."""
        bad = ("Decrypt packet failed", "not supported", "Failed to decode", "invalid checksum", "Decompress")
        for log in self.logs:
            self.assertEqual([line for line in log.lines if any(one in line for one in bad)], [])
        self.assertEqual([text for text in self.warned if "refused" in text or "damaged" in text], [])
