"""
py-consul, the PyPI client, against a real agent: its KV, session, transaction, status, catalog and snapshot calls.
"""

from __future__ import annotations

import base64
from typing import Any

from tests.clients.python_client import ClientTestCase, InThread, consul


class KVTests(ClientTestCase):
    """C{client.kv}"""

    def test_putGetDelete(self) -> None:
        """Values go in and come out; a deleted key is gone."""
        kv, key = self.client.kv, self.key("a")
        self.assertEqual(kv.get(key)[1], None)
        self.assertIs(kv.put(key, "text"), True)
        index, entry = kv.get(key)
        self.assertEqual(entry["Value"], b"text")
        self.assertEqual(entry["Key"], key)
        self.assertEqual((entry["Flags"], entry["LockIndex"]), (0, 0))
        self.assertEqual(int(index), entry["ModifyIndex"])
        self.assertIs(kv.delete(key), True)
        self.assertIsNone(kv.get(key)[1])

    def test_values(self) -> None:
        """Empty, missing and binary values, and keys beyond ASCII."""
        kv = self.client.kv
        for name, value, found in (
            ("none", None, None),
            ("empty", "", None),
            ("binary", bytes(range(256)), bytes(range(256))),
            ("large", b"x" * (512 * 1024), b"x" * (512 * 1024)),
            ("schlüssel ☃", "ä".encode(), "ä".encode()),
            ("with spaces & ? % #", "x", b"x"),
        ):
            self.assertIs(kv.put(self.key(name), value), True)
            entry = kv.get(self.key(name))[1]
            self.assertIn(entry["Value"], (found, b"" if found is None else found), name)
            self.assertEqual(entry["Key"], self.key(name))

    def test_tooLarge(self) -> None:
        """A value over the limit is refused with the client's own exception."""
        with self.assertRaises(consul.exceptions.ClientError) as caught:
            self.client.kv.put(self.key("large"), b"x" * (512 * 1024 + 1))
        self.assertIn("413", str(caught.exception))

    def test_flags(self) -> None:
        """Flags are kept, all 64 bits of them."""
        for flags in (0, 1, 2**64 - 1):
            self.assertIs(self.client.kv.put(self.key("a"), "x", flags=flags), True)
            self.assertEqual(self.client.kv.get(self.key("a"))[1]["Flags"], flags)

    def test_checkAndSet(self) -> None:
        """C{cas} writes only over the version that was read; 0 only where there is none."""
        kv, key = self.client.kv, self.key("a")
        self.assertIs(kv.put(key, "1", cas=0), True)
        self.assertIs(kv.put(key, "2", cas=0), False)
        first = kv.get(key)[1]["ModifyIndex"]
        self.assertIs(kv.put(key, "3", cas=first), True)
        self.assertIs(kv.put(key, "4", cas=first), False)
        self.assertEqual(kv.get(key)[1]["Value"], b"3")
        self.assertIs(kv.delete(key, cas=first), False)
        self.assertIs(kv.delete(key, cas=kv.get(key)[1]["ModifyIndex"]), True)
        self.assertIsNone(kv.get(key)[1])

    def test_trees(self) -> None:
        """Keys below a prefix, in order: entries, names, names up to a separator; and all deleted together."""
        kv = self.client.kv
        for name in ("b/2", "b/1", "a", "c/d/e"):
            kv.put(self.key(name), name)
        _, entries = kv.get(self.key(""), recurse=True)
        self.assertEqual([one["Value"] for one in entries], [b"a", b"b/1", b"b/2", b"c/d/e"])
        _, names = kv.get(self.key(""), keys=True)
        self.assertEqual(names, [self.key(name) for name in ("a", "b/1", "b/2", "c/d/e")])
        _, names = kv.get(self.key(""), keys=True, separator="/")
        self.assertEqual(names, [self.key(name) for name in ("a", "b/", "c/")])
        self.assertIsNone(kv.get(self.key("none/"), recurse=True)[1])
        self.assertIs(kv.delete(self.key("b/"), recurse=True), True)
        _, names = kv.get(self.key(""), keys=True)
        self.assertEqual(names, [self.key("a"), self.key("c/d/e")])

    def test_consistency(self) -> None:
        """All three modes find what was written."""
        self.client.kv.put(self.key("a"), "x")
        for mode in ("default", "consistent", "stale"):
            self.assertEqual(self.client.kv.get(self.key("a"), consistency=mode)[1]["Value"], b"x")
            self.assertEqual(self.connect(consistency=mode).kv.get(self.key("a"))[1]["Value"], b"x")

    def test_datacenters(self) -> None:
        """One's own datacenter may be named; another cannot be reached."""
        self.assertIs(self.client.kv.put(self.key("a"), "x", dc="dc1"), True)
        self.assertEqual(self.client.kv.get(self.key("a"), dc="dc1")[1]["Value"], b"x")
        with self.assertRaises(consul.ConsulException) as caught:
            self.client.kv.get(self.key("a"), dc="elsewhere")
        self.assertIn("No path to datacenter", str(caught.exception))

    def test_blocking(self) -> None:
        """A read with an index returns when the key is written, and not for other keys."""
        kv, key = self.client.kv, self.key("a")
        kv.put(key, "1")
        index, _ = kv.get(key)
        call = InThread(lambda: kv.get(key, index=index, wait="60s"))
        self.other.kv.put(self.key("other"), "x")
        self.other.kv.put(key, "2")
        later, entry = call.answer()
        self.assertEqual(entry["Value"], b"2")
        self.assertGreater(int(later), int(index))

    def test_blockingOnNothing(self) -> None:
        """A read of a key that does not exist returns when it is created; one of a tree when it is deleted from."""
        index, _ = self.client.kv.get(self.key("a"))
        call = InThread(lambda: self.client.kv.get(self.key("a"), index=index, wait="60s"))
        self.other.kv.put(self.key("a"), "new")
        index, entry = call.answer()
        self.assertEqual(entry["Value"], b"new")
        call = InThread(lambda: self.client.kv.get(self.key(""), index=index, wait="60s", recurse=True))
        self.other.kv.delete(self.key("a"))
        self.assertIsNone(call.answer()[1])

    def test_waitPasses(self) -> None:
        """A read that waits in vain returns what is there, with the same index."""
        self.client.kv.put(self.key("a"), "1")
        index, _ = self.client.kv.get(self.key("a"))
        again, entry = self.client.kv.get(self.key("a"), index=index, wait="50ms")
        self.assertEqual((again, entry["Value"]), (index, b"1"))


class SessionTests(ClientTestCase):
    """C{client.session}, and the locks that sessions hold."""

    def test_life(self) -> None:
        """A session is created, shown in all three ways, and destroyed."""
        session = self.client.session
        id = session.create(name="deploy")
        _, info = session.info(id)
        self.assertEqual((info["Name"], info["Node"], info["Behavior"], info["TTL"]), ("deploy", "one", "release", ""))
        self.assertEqual(info["LockDelay"], 15_000_000_000)
        self.assertEqual(info["NodeChecks"], ["serfHealth"])
        self.assertIn(id, [one["ID"] for one in session.list()[1]])
        self.assertIn(id, [one["ID"] for one in session.node("one")[1]])
        self.assertEqual(session.node("none")[1], [])
        self.assertIs(session.destroy(id), True)
        self.assertIsNone(session.info(id)[1])
        self.assertIs(session.destroy(id), True)

    def test_options(self) -> None:
        """Time to live, behaviour, lock delay and checks are taken."""
        session = self.client.session
        id = session.create(ttl=10, behavior="delete", lock_delay=0, node="one", checks=["serfHealth"])
        _, info = session.info(id)
        self.assertEqual((info["TTL"], info["Behavior"], info["LockDelay"]), ("10s", "delete", 0))
        renewed = session.renew(id)
        self.assertEqual((renewed["ID"], renewed["TTL"]), (id, "10s"))
        session.destroy(id)
        with self.assertRaises(consul.NotFound):
            session.renew(id)

    def test_refused(self) -> None:
        """Unknown nodes and checks are refused with Consul's words."""
        with self.assertRaises(consul.ConsulException) as caught:
            self.client.session.create(node="nobody")
        self.assertIn("Missing node registration", str(caught.exception))
        with self.assertRaises(consul.ConsulException) as caught:
            self.client.session.create(checks=["no such check"])
        self.assertIn("no such check", str(caught.exception))

    def test_locks(self) -> None:
        """One session at a time holds a lock; it may write again, release, and another takes it."""
        kv, key = self.client.kv, self.key("lock")
        first, second = (self.client.session.create(lock_delay=0) for _ in range(2))
        self.assertIs(kv.put(key, "1", acquire=first), True)
        self.assertIs(kv.put(key, "2", acquire=second), False)
        self.assertIs(kv.put(key, "3", acquire=first), True)
        entry = kv.get(key)[1]
        self.assertEqual((entry["Session"], entry["LockIndex"], entry["Value"]), (first, 1, b"3"))
        self.assertIs(kv.put(key, "4", release=second), False)
        self.assertIs(kv.put(key, "5", release=first), True)
        self.assertNotIn("Session", kv.get(key)[1])
        self.assertIs(kv.put(key, "6", acquire=second), True)
        self.assertEqual(kv.get(key)[1]["LockIndex"], 2)

    def test_behaviours(self) -> None:
        """The end of a session releases its locks, or deletes its keys."""
        for behavior, name in (("release", "kept"), ("delete", "gone")):
            id = self.client.session.create(behavior=behavior, lock_delay=0)
            self.client.kv.put(self.key(name), "x", acquire=id)
            self.client.session.destroy(id)
        self.assertNotIn("Session", self.client.kv.get(self.key("kept"))[1])
        self.assertIsNone(self.client.kv.get(self.key("gone"))[1])

    def test_lockDelay(self) -> None:
        """After its holder was lost, a lock cannot be taken for a while; without a delay it can."""
        for delay, taken in ((15, False), (0, True)):
            key = self.key(f"lock{delay}")
            first = self.client.session.create(lock_delay=delay)
            self.assertIs(self.client.kv.put(key, "1", acquire=first), True)
            self.client.session.destroy(first)
            self.assertIs(self.client.kv.put(key, "2", acquire=self.client.session.create()), taken)

    def test_blocking(self) -> None:
        """Reads of sessions wait for changes as those of keys do."""
        session = self.client.session
        id = session.create()
        index, _ = session.info(id)
        calls = [
            InThread(lambda: session.info(id, index=index, wait="60s")),
            InThread(lambda: self.client.session.list(index=index, wait="60s")),
            InThread(lambda: self.client.session.node("one", index=index, wait="60s")),
        ]
        self.other.session.destroy(id)
        self.assertIsNone(calls[0].answer()[1])
        for call in calls[1:]:
            later, sessions = call.answer()
            self.assertGreater(int(later), int(index))
            self.assertNotIn(id, [one["ID"] for one in sessions])

    def test_consistency(self) -> None:
        """All three modes."""
        id = self.client.session.create()
        for mode in ("default", "consistent", "stale"):
            self.assertEqual(self.client.session.info(id, consistency=mode)[1]["ID"], id)


class TxnTests(ClientTestCase):
    """C{client.txn}"""

    def operation(self, verb: str, name: str, value: str | None = None, **more: Any) -> dict[str, Any]:
        """One operation on a key."""
        it: dict[str, Any] = {"Verb": verb, "Key": self.key(name), **more}
        if value is not None:
            it["Value"] = base64.b64encode(value.encode()).decode()
        return {"KV": it}

    def test_together(self) -> None:
        """All operations happen, and are seen together."""
        done = self.client.txn.put(
            [
                self.operation("set", "a", "1"),
                self.operation("set", "b", "2", Flags=7),
                self.operation("get", "a"),
                self.operation("get-tree", ""),
                self.operation("delete", "a"),
                self.operation("check-not-exists", "a"),
            ]
        )
        self.assertIsNone(done["Errors"])
        rows = [result["KV"] for result in done["Results"]]
        self.assertEqual([row["Key"] for row in rows], [self.key(name) for name in ("a", "b", "a", "a", "b")])
        self.assertEqual(base64.b64decode(rows[2]["Value"]), b"1")
        self.assertIsNone(self.client.kv.get(self.key("a"))[1])
        self.assertEqual(self.client.kv.get(self.key("b"))[1]["Flags"], 7)

    def test_orNotAtAll(self) -> None:
        """If one is impossible, none happens; py-consul raises, with the reasons."""
        self.client.kv.put(self.key("a"), "old")
        with self.assertRaises(consul.exceptions.ClientError) as caught:
            self.client.txn.put([self.operation("set", "a", "new"), self.operation("get", "none")])
        self.assertIn("409", str(caught.exception))
        self.assertIn("doesn't exist", str(caught.exception))
        self.assertEqual(self.client.kv.get(self.key("a"))[1]["Value"], b"old")

    def test_locksAndVersions(self) -> None:
        """Check-and-set, locks and checks of them, in transactions."""
        id = self.client.session.create(lock_delay=0)
        self.client.txn.put([self.operation("lock", "a", "mine", Session=id), self.operation("cas", "b", "1", Index=0)])
        index = self.client.kv.get(self.key("b"))[1]["ModifyIndex"]
        done = self.client.txn.put(
            [
                self.operation("check-session", "a", Session=id),
                self.operation("check-index", "b", Index=index),
                self.operation("cas", "b", "2", Index=index),
                self.operation("unlock", "a", "free", Session=id),
                self.operation("delete-tree", "b"),
            ]
        )
        self.assertIsNone(done["Errors"])
        self.assertEqual(self.client.kv.get(self.key("a"))[1]["Value"], b"free")
        with self.assertRaises(consul.exceptions.ClientError):
            self.client.txn.put([self.operation("delete-cas", "a", Index=1)])

    def test_readOnly(self) -> None:
        """A transaction that only reads."""
        self.client.kv.put(self.key("a"), "x")
        self.assertEqual(len(self.client.txn.put([self.operation("get", "a")])["Results"]), 1)


class ServerTests(ClientTestCase):
    """C{client.status}, C{agent}, C{catalog}, C{health}, C{operator} and C{snapshot}, as far as they go now."""

    def test_status(self) -> None:
        """A lone server leads itself."""
        leader = self.client.status.leader()
        self.assertRegex(leader, r"127\.[0-9.]+:8300")
        self.assertEqual(self.client.status.peers(), [leader])

    def test_self(self) -> None:
        """What the agent tells of itself and of its members."""
        config = self.client.agent.self()["Config"]
        self.assertEqual((config["Datacenter"], config["NodeName"], config["Server"]), ("dc1", "one", True))
        self.assertEqual([member["Name"] for member in self.client.agent.members()], ["one"])

    def test_catalog(self) -> None:
        """Nodes, services and checks are registered, listed and deregistered."""
        catalog, name = self.client.catalog, self.prefix
        self.assertEqual(catalog.datacenters(), ["dc1"])
        registered = catalog.register(
            name,
            "10.0.0.1",
            service={"Service": "web", "ID": "web1", "Tags": ["v1"], "Port": 80},
            check={"CheckID": "alive", "Name": "Alive", "Status": "passing"},
        )
        self.assertIs(registered, True)
        nodes = {node["Node"]: node["Address"] for node in catalog.nodes()[1]}
        self.assertEqual(nodes[name], "10.0.0.1")
        self.assertTrue(nodes["one"].startswith("127."))
        self.assertEqual(catalog.services()[1]["web"], ["v1"])
        self.assertEqual(catalog.services()[1]["consul"], [])
        checks = {check["CheckID"]: check["Status"] for check in self.client.health.node(name)[1]}
        self.assertEqual(checks, {"alive": "passing"})
        self.assertEqual(self.client.health.node("one")[1][0]["CheckID"], "serfHealth")
        self.assertIs(catalog.deregister(name, check_id="alive"), True)
        self.assertEqual(self.client.health.node(name)[1], [])
        self.assertIs(catalog.deregister(name), True)
        self.assertNotIn(name, [node["Node"] for node in catalog.nodes()[1]])

    def test_sessionsOfChecks(self) -> None:
        """A session ends with the check it depends on, and its lock with it."""
        check = {"CheckID": self.prefix, "Name": "Alive", "Status": "passing"}
        where: dict[str, Any] = {"node": "one", "address": "127.0.0.1", "skip_node_update": True}
        self.client.catalog.register(**where, check=check)
        id = self.client.session.create(node="one", checks=[self.prefix], lock_delay=0)
        self.assertIs(self.client.kv.put(self.key("lock"), "x", acquire=id), True)
        index, _ = self.client.kv.get(self.key("lock"))
        call = InThread(lambda: self.client.kv.get(self.key("lock"), index=index, wait="60s"))
        self.other.catalog.register(**where, check={**check, "Status": "critical"})
        self.assertNotIn("Session", call.answer()[1])
        self.assertIsNone(self.client.session.info(id)[1])
        self.client.catalog.deregister("one", check_id=self.prefix)

    def test_raftConfiguration(self) -> None:
        """The group is this server."""
        (server,) = self.client.operator.raft_config()["Servers"]
        self.assertEqual((server["Node"], server["Leader"], server["Voter"]), ("one", True, True))

    def test_snapshot(self) -> None:
        """The state is saved, changed, and put back."""
        self.client.kv.put(self.key("a"), "before")
        archive = self.client.snapshot.save()
        self.client.kv.put(self.key("a"), "after")
        self.client.kv.put(self.key("b"), "after")
        self.assertIs(self.client.snapshot.restore(archive), True)
        self.assertEqual(self.client.kv.get(self.key("a"))[1]["Value"], b"before")
        self.assertIsNone(self.client.kv.get(self.key("b"))[1])
        with self.assertRaises(consul.ConsulException):
            self.client.snapshot.restore(archive[:-20])
        self.assertEqual(self.client.kv.get(self.key("a"))[1]["Value"], b"before")
