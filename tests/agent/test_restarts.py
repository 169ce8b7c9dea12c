"""
A server that was killed has, when it runs again, the state that it had: every table, row, index and type of value.

The leader applies the records that it was asked with, a restart applies what it reads from the log, and a restart from
a snapshot reads something else again: all three must be the same to the last detail.
"""

from __future__ import annotations

import contextlib
import io
import os
from collections.abc import Mapping
from random import Random
from typing import Any

import msgspec
from twisted.internet.defer import Deferred
from twisted.trial.unittest import SynchronousTestCase

from tests.agent.test_server import OneServer
from txconsul.codec import json
from txconsul.errors import TxconsulError
from txconsul.records.archive import SnapshotRequest
from txconsul.records.autopilot import SystemMetadataRequest
from txconsul.records.base import Record
from txconsul.records.catalog import DeregisterRequest, RegisterRequest
from txconsul.records.kv import DirEntry, KVSRequest
from txconsul.records.query import Context
from txconsul.records.session import SessionRequest
from txconsul.records.txn import TxnKVOp, TxnOp, TxnRequest
from txconsul.state.store import Store
from txconsul.state.table import Index

#: How many requests a story has, and how many stories there are (more for a long run).
REQUESTS = 120
STORIES = int(os.environ.get("RESTART_STORIES", "6"))

KEYS = [b"", b"a", b"a/b", b"a/b/c", b"A", b"\xff\xfe", b"a\x00", "ä".encode()]
VALUES = [None, b"", b"x", b"\x00\xff" * 40]
#: As they come from a URL that is no UTF-8, too.
NAMES = ["n1", "N1", "n2", "ä", "\udcff"]
NUMBERS = [0, 1, -1, 2**31, 2**63 - 1]
KV_VERBS = ["set", "delete", "delete-cas", "delete-tree", "cas", "lock", "unlock", "get", "get-tree", "check-index"]
KV_VERBS += ["check-not-exists", "check-session", "get-or-empty", "set", "set", "lock"]
ANYTHING = [
    None,
    True,
    1,
    1.0,
    -0.0,
    1e300,
    2**64 - 1,
    2**64,
    -(2**63),
    "",
    "text",
    "ä",
    [],
    {},
    [1, [2, None], {"b": 1, "a": [True]}],
    {"z": {"y": {}}, "a": ""},
]


def exact(value: Any) -> Any:
    """What two values must have in common to be the same: types of numbers and containers, but not a map's order."""
    if isinstance(value, msgspec.Struct):
        return type(value).__name__, [(name, exact(getattr(value, name))) for name in value.__struct_fields__]
    if isinstance(value, Mapping):
        return type(value).__name__, sorted(((repr(key), exact(one)) for key, one in value.items()))
    if isinstance(value, list | tuple):
        return type(value).__name__, [exact(one) for one in value]
    return repr(value)


def picture(store: Store) -> dict[str, Any]:
    """Everything in a store."""
    shown: dict[str, Any] = {"kept": exact(store.tables.kept)}
    for table in store.tables.all():
        shown[table.name] = exact(table.rows)
        if table.ordered is not None:
            shown[f"{table.name} in order"] = list(table.ordered)
    for name, value in vars(store.tables).items():
        if isinstance(value, Index):
            shown[name] = {repr(key): value.keys(key) for key in value.names()}
    return shown


class Story:
    """Requests drawn by a seed."""

    def __init__(self, one: OneServer, rng: Random) -> None:
        self.one = one
        self.rng = rng
        self.sessions = [""]
        self.accepted = 0

    def ask(self) -> None:
        """Any request; most can be granted."""
        make = self.rng.choice(
            (self.kv, self.kv, self.session, self.register, self.register, self.leave, self.txn, self.fact)
        )
        method, request = make()
        with contextlib.suppress(TxconsulError):
            answer = self.one.ask(method, request)
            if isinstance(answer, Deferred):
                raise AssertionError(f"no answer to {method} {request}")
            self.accepted += 1
            if method == "Session.Apply" and isinstance(answer, str):
                self.sessions.append(answer)

    def pick(self, choices: Any) -> Any:
        """One of them."""
        return self.rng.choice(choices)

    def map(self) -> Any:
        """Text to text, in any order, or none."""
        names = self.rng.sample(["b", "a", "c", "Z"], self.rng.randrange(4))
        return self.pick([None, {name: self.pick(["", "x"]) for name in names}])

    def entry(self) -> DirEntry:
        """An entry of a key."""
        return DirEntry(
            key=self.pick(KEYS),
            value=self.pick(VALUES),
            flags=self.pick([0, 1, 2**64 - 1]),
            session=self.pick(self.sessions),
            modify_index=self.rng.randrange(60),
        )

    def kv(self) -> tuple[str, Record]:
        """Change a key."""
        verb = self.pick(["set", "set", "cas", "delete", "delete-cas", "delete-tree", "lock", "unlock"])
        return "KVS.Apply", KVSRequest(datacenter="dc1", op=verb, dir_ent=self.entry())

    def session(self) -> tuple[str, Record]:
        """Begin or end a session."""
        session = {
            "ID": self.pick(self.sessions),
            "Node": self.pick(["a", *NAMES]),
            "Name": self.pick(["", "s"]),
            "LockDelay": self.pick([0, 15_000_000_000, -1]),
            "Behavior": self.pick(["", "release", "delete"]),
            "TTL": self.pick(["", "0s", "30s"]),
            "NodeChecks": self.pick([None, [], ["c1"], ["c1", "c1"]]),
            "ServiceChecks": self.pick([None, [], [{"ID": "c2"}]]),
        }
        op = self.pick(["create", "create", "destroy"])
        if op == "create":
            session["ID"] = ""
        return "Session.Apply", json.from_json(SessionRequest, {"Datacenter": "dc1", "Op": op, "Session": session})

    def service(self) -> dict[str, Any]:
        """A service as JSON."""
        return {
            "ID": self.pick(["", "s1", "S1", "s2"]),
            "Service": self.pick(["web", "Web", "db"]),
            "Kind": self.pick(["", "", "connect-proxy", "Mesh-Gateway"]),
            "Tags": self.pick([None, [], ["b", "a"], [None]]),
            "Meta": self.map(),
            "Port": self.pick([0, 80]),
            "Weights": self.pick([None, {"Passing": 1, "Warning": 1}, {"Passing": 5}]),
            "TaggedAddresses": self.pick([None, {}, {"lan": {"Address": "1.1.1.1", "Port": 1}}, {"wan": None}]),
            "Connect": self.pick([None, {}, {"Native": True}, {"SidecarService": {"Connect": {"Native": True}}}]),
            "Proxy": {
                "DestinationServiceName": self.pick(["web", "db"]),
                "Config": self.pick([None, {}, {"b": self.pick(ANYTHING), "a": self.pick(ANYTHING)}]),
                "Upstreams": self.pick([None, [], [{"DestinationName": "x", "Config": {"k": self.pick(ANYTHING)}}]]),
                "Expose": self.pick([None, {"Paths": []}, {"Checks": True, "Paths": [{"Path": "/"}]}]),
                "EnvoyExtensions": self.pick([None, [], [{"Name": "x", "Arguments": {"k": self.pick(ANYTHING)}}]]),
            },
            "EnableTagOverride": self.pick([True, False]),
            "Locality": self.pick([None, {}, {"Region": "r"}]),
        }

    def check(self, node: str) -> dict[str, Any]:
        """A check as JSON."""
        return {
            "Node": node,
            "CheckID": self.pick(["c1", "C1", "c2"]),
            "Name": "n",
            "ServiceID": self.pick(["", "", "s1"]),
            "Status": self.pick(["passing", "critical", "warning"]),
            "Output": self.pick(["", "ä"]),
            "Definition": self.pick(
                [None, {}, {"Interval": "10s", "Timeout": 5, "Header": self.pick([None, {}, {"x": None, "a": ["b"]}])}]
            ),
        }

    def register(self) -> tuple[str, Record]:
        """Register a node, with a service, with checks, or without."""
        node = self.pick(NAMES)
        body = {
            "Datacenter": "dc1",
            "Node": node,
            "ID": self.pick(["", "", "00000000-0000-0000-0000-0000000000a1"]),
            "Address": self.pick(["1.2.3.4", "::1"]),
            "TaggedAddresses": self.map(),
            "NodeMeta": self.map(),
            "Service": self.pick([None, self.service()]),
            "Check": self.pick([None, self.check(node)]),
            "Checks": self.pick([None, [], [self.check(node), self.check(node)]]),
            "SkipNodeUpdate": self.pick([False, False, True]),
            "Locality": self.pick([None, {"Zone": "z"}]),
        }
        return "Catalog.Register", json.from_json(RegisterRequest, body)

    def leave(self) -> tuple[str, Record]:
        """Deregister something."""
        return "Catalog.Deregister", DeregisterRequest(
            datacenter="dc1",
            node=self.pick(NAMES),
            service_id=self.pick(["", "s1", "s2"]),
            check_id=self.pick(["c1", "c2", ""]) if self.rng.random() < 0.9 else "",
        )

    def txn(self) -> tuple[str, Record]:
        """Operations that belong together."""
        node = self.pick(NAMES)
        operations: list[TxnOp] = []
        for _ in range(self.rng.randrange(1, 4)):
            kind = self.rng.randrange(4)
            if kind < 2:
                operations.append(TxnOp(kv=TxnKVOp(verb=self.pick(KV_VERBS), dir_ent=self.entry())))
                continue
            verb = self.pick(["get", "set", "set", "cas", "delete", "delete-cas"])
            part = self.pick(
                [
                    {"Node": {"Verb": verb, "Node": {"Node": node, "Address": "1.1.1.1", "Meta": self.map()}}},
                    {"Service": {"Verb": verb, "Node": node, "Service": self.service()}},
                    {"Check": {"Verb": verb, "Check": self.check(node)}},
                ]
            )
            operations.append(json.from_json(TxnOp, part))
        return "Txn.Apply", TxnRequest(datacenter="dc1", ops=tuple(operations))

    def fact(self) -> tuple[str, Record]:
        """A fact of the group."""
        entry = {"Key": self.pick(["", "k", "l"]), "Value": self.pick(["", "v"])}
        body = {"Datacenter": "dc1", "Op": self.pick(["upsert", "delete"]), "Entry": self.pick([None, entry, entry])}
        return "SystemMetadata.Apply", json.from_json(SystemMetadataRequest, body)


class RestartTests(SynchronousTestCase):
    """The same state, whatever it was made from."""

    maxDiff = 4000

    def assertSame(self, seed: int, before: dict[str, Any], one: OneServer, how: str) -> None:
        """The server's state is what it was, apart from what a new leader writes at once, which is nothing new."""
        after = picture(one.server.store)
        for name, rows in before.items():
            self.assertEqual(after[name], rows, f"{name} after {how}, story {seed}")
        self.assertEqual(one.failures, [])

    def test_stories(self) -> None:
        """From the log, from a snapshot and the log behind it, and from an archive."""
        for seed in range(STORIES):
            one = OneServer()
            story = Story(one, Random(seed))
            for _ in range(REQUESTS):
                story.ask()
            self.assertGreater(story.accepted, REQUESTS // 4)
            before = picture(one.server.store)
            one.kill()
            one.start()
            self.assertSame(seed, before, one, "a restart from the log")
            one.server.consensus.snapshot()
            one.clock.advance(5)
            self.assertEqual(len(one.disk.snapshots), 1)
            one.kill()
            one.start()
            self.assertSame(seed, before, one, "a restart from a snapshot")
            for _ in range(REQUESTS // 4):
                story.ask()
            before = picture(one.server.store)
            one.kill()
            one.start()
            self.assertSame(seed, before, one, "a restart from a snapshot and a log")
            saved = b"".join(one.ask("Snapshot.Save", SnapshotRequest(datacenter="dc1")).pieces)
            for _ in range(REQUESTS // 4):
                story.ask()
            one.ask("Snapshot.Restore", SnapshotRequest(datacenter="dc1", archive=io.BytesIO(saved)))
            self.assertSame(seed, before, one, "an archive's restore")
            one.kill()
            one.start()
            self.assertSame(seed, before, one, "a restart after that")

    def test_archiveAndCrash(self) -> None:
        """Whenever a restore is interrupted, the old state or the archive's is there, and it stays; never a mixture."""
        outcomes = set()
        for steps in range(1, 40):
            for seed in (None, 1):
                one = OneServer()
                one.put(b"k", b"archived")
                archive = b"".join(one.ask("Snapshot.Save", SnapshotRequest(datacenter="dc1")).pieces)
                one.put(b"k", b"newer")
                one.put(b"other", b"newer")
                one.disk.sync_seconds = lambda: 0.001
                request = SnapshotRequest(datacenter="dc1", archive=io.BytesIO(archive))
                answered: list[Any] = []
                one.server.door.call("Snapshot.Restore", request, Context()).addBoth(answered.append)
                one.server.door.call(
                    "KVS.Apply", KVSRequest(datacenter="dc1", op="set", dir_ent=DirEntry(key=b"during")), Context()
                ).addErrback(lambda _: None)
                for _ in range(steps):
                    one.clock.step()
                one.disk.crash(None if seed is None else Random(seed))
                one.start()
                value, other = one.get(b"k"), one.get(b"other")
                self.assertIn((value, other), [(b"archived", None), (b"newer", b"newer")])
                if answered:
                    self.assertEqual(value, b"archived")
                outcomes.add((value, bool(answered)))
                one.put(b"k", b"after")
                before = picture(one.server.store)
                one.kill()
                one.start()
                self.assertSame(steps, before, one, "a restart after an interrupted restore")
        self.assertEqual(outcomes, {(b"newer", False), (b"archived", False), (b"archived", True)})
