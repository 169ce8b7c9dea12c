"""The gossip keys of pools, changed and listed through the door."""

from __future__ import annotations

import os
from base64 import b64encode
from pathlib import Path
from typing import Any

from twisted.internet.defer import Deferred, fail, succeed
from twisted.trial.unittest import SynchronousTestCase

from tests.endpoints.gossiping import Gossiping
from tests.endpoints.serving import Served
from txconsul.endpoints.registry import Answer
from txconsul.errors import InvalidRequest, NoPathToDatacenter, Unavailable
from txconsul.records.keyring import KeyringRequest, KeyringResponse, KeyringResponses
from txconsul.serf.keyring_file import read_keyring

OLD, NEW = bytes(range(32)), bytes(range(16))
OLD_TEXT, NEW_TEXT = b64encode(OLD).decode(), b64encode(NEW).decode()


class KeyringTests(SynchronousTestCase):
    """Some servers in two pools."""

    def ask(self, pool: Gossiping, operation: str, key: str = "", **fields: Any) -> tuple[KeyringResponse, ...]:
        """Ask the first server, and wait for as long as it may take."""
        name = next(iter(pool.members))
        asked = pool[name].call("Internal.KeyringOperation", KeyringRequest(operation=operation, key=key, **fields))
        pool.clock.advance(10)
        responses = self.successResultOf(asked).value.responses
        assert responses is not None
        return responses

    def test_rotation(self) -> None:
        """Keys change on all members of both pools, and the pools go on."""
        pool = Gossiping("abc", key=OLD, wan=True)
        for operation, key in (("install", NEW_TEXT), ("use", NEW_TEXT), ("remove", OLD_TEXT)):
            answers = self.ask(pool, operation, key)
            self.assertEqual([(one.wan, one.num_nodes, one.error) for one in answers], [(True, 3, ""), (False, 3, "")])
        wan, lan = self.ask(pool, "list")
        self.assertEqual((wan.keys, wan.primary_keys), ({NEW_TEXT: 3}, {NEW_TEXT: 3}))
        self.assertEqual((lan.wan, lan.datacenter, lan.keys, lan.messages), (False, "dc1", {NEW_TEXT: 3}, {}))
        self.assertEqual(len(self.ask(pool, "list", local_only=True)), 1)
        self.assertEqual(len(self.ask(pool, "list", forwarded=True)), 1)
        self.assertEqual([one.error for one in self.ask(pool, "list", relay_factor=2)], ["", ""])

    def test_plainPool(self) -> None:
        """Without encryption every member refuses, each in its own words."""
        pool = Gossiping("ab")
        for operation, said in (
            ("list", "Keyring is empty (encryption not enabled)"),
            ("install", "No keyring to modify (encryption not enabled)"),
            ("use", "No keyring to modify (encryption not enabled)"),
            ("remove", "No keyring to modify (encryption not enabled)"),
        ):
            (lan,) = self.ask(pool, operation, NEW_TEXT)
            self.assertEqual((lan.error, lan.messages), ("2/2 nodes reported failure", {"a": said, "b": said}))

    def test_badKeys(self) -> None:
        """What is no base64 is asked of nobody; what is no key is refused by all."""
        pool = Gossiping("ab", key=OLD)
        (lan,) = self.ask(pool, "install", "short")
        self.assertEqual((lan.error, lan.num_nodes, lan.keys), ("illegal base64 data at input byte 4", 0, {}))
        (lan,) = self.ask(pool, "install", "c2hvcnQ=")
        self.assertEqual(lan.error, "2/2 nodes reported failure")
        self.assertEqual(lan.messages, dict.fromkeys("ab", "key size must be 16, 24 or 32 bytes"))
        (lan,) = self.ask(pool, "install", b64encode(bytes(1024)).decode())
        self.assertEqual(lan.error, "query exceeds limit of 1024 bytes")
        (lan,) = self.ask(pool, "list", "not looked at")
        self.assertEqual(lan.error, "")

    def test_silentMember(self) -> None:
        """A member that does not answer is missed when the query's time is over."""
        pool = Gossiping("abc", key=OLD)
        pool.wire.cut("c", "ab")
        asked = pool["a"].call("Internal.KeyringOperation", KeyringRequest(operation="list"))
        pool.clock.advance(1)
        self.assertNoResult(asked)
        pool.clock.advance(3)
        (lan,) = self.successResultOf(asked).value.responses
        self.assertEqual((lan.error, lan.keys, lan.num_nodes), ("2/3 nodes reported success", {OLD_TEXT: 2}, 3))

    def test_files(self) -> None:
        """Who has answered has written its keys down; who cannot write says so."""
        directory = Path(self.mktemp())
        directory.mkdir()
        files = {name: str(directory / name) for name in "ab"}
        pool = Gossiping("abc", key=OLD, **{name: {"keyring_file": path} for name, path in files.items()})
        self.assertEqual([one.error for one in self.ask(pool, "install", NEW_TEXT)], [""])
        for path in files.values():
            self.assertEqual(read_keyring(Path(path).read_bytes()).keys, [OLD, NEW])
        os.mkdir(files["b"] + ".new")  # where the new file would be written
        (lan,) = self.ask(pool, "use", NEW_TEXT)
        self.assertEqual(lan.error, "1/3 nodes reported failure")
        self.assertEqual([*(lan.messages or {})], ["b"])
        self.assertIn(files["b"], (lan.messages or {})["b"])
        self.assertEqual(read_keyring(Path(files["a"]).read_bytes()).keys, [NEW, OLD])

    def test_otherDatacenters(self) -> None:
        """Their servers are asked for their own pool; one that cannot be asked is an error."""
        pool = Gossiping("a", key=OLD, wan=True)
        member = pool["a"]
        there = KeyringResponse(datacenter="dc2", keys={OLD_TEXT: 5}, num_nodes=5)
        asked: list[tuple[KeyringRequest, str]] = []

        def ask(method: str, request: KeyringRequest, context: Any) -> Deferred[Answer]:
            asked.append((request, context.token))
            if request.datacenter == "dc3":
                return fail(NoPathToDatacenter())
            return succeed(Answer(0, KeyringResponses(responses=(there,))))

        member.site.ask = ask
        member.site.other_datacenters = lambda: ["dc2"]
        answers = self.ask(pool, "list", token="secret", relay_factor=1)
        self.assertEqual(
            [(one.wan, one.datacenter) for one in answers], [(True, "dc1"), (False, "dc1"), (False, "dc2")]
        )
        ((request, token),) = asked
        self.assertEqual(
            (request.datacenter, request.forwarded, request.relay_factor, token), ("dc2", True, 1, "secret")
        )
        self.ask(pool, "list", local_only=True)
        self.assertEqual(len(asked), 1)
        member.site.other_datacenters = lambda: ["dc2", "dc3"]
        failing = member.call("Internal.KeyringOperation", KeyringRequest(operation="list"))
        pool.clock.advance(10)
        self.failureResultOf(failing, NoPathToDatacenter)

    def test_refused(self) -> None:
        """Operations that there are not, or not so, and a server without a pool."""
        served = Served()
        for error, request in (
            (InvalidRequest, KeyringRequest(operation="install", local_only=True)),
            (InvalidRequest, KeyringRequest(operation="steal")),
            (InvalidRequest, KeyringRequest(operation="list", relay_factor=256)),
            (Unavailable, KeyringRequest(operation="list")),
        ):
            self.assertRaises(error, served.call, "Internal.KeyringOperation", request)
