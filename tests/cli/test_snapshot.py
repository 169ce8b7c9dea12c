"""The snapshot commands."""

from __future__ import annotations

import contextlib
import gzip
import hashlib
import io
import json
import os
import tarfile
from pathlib import Path

import msgpack
from hypothesis import given, settings
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from tests.cli.invoking import FakeAgent, answer, invoke
from tests.vectors import load
from txconsul.cli.snapshot_survey import Group, KeyGroups, survey
from txconsul.codec.gomsgpack import BadMessage, pack
from txconsul.records.command import Command

META = {
    "Version": 1,
    "ID": "2-9-1700000000000",
    "Index": 9,
    "Term": 2,
    "Peers": None,
    "Configuration": {"Servers": [{"Suffrage": 0, "ID": "b", "Address": "127.0.0.1:8300"}]},
    "ConfigurationIndex": 1,
}


def record(command: int, value: object) -> bytes:
    """One record of a state file."""
    return bytes([command]) + pack(value)


def key(name: str, size: int = 0) -> bytes:
    """A key's record."""
    return record(Command.KVS, {"Key": name, "Value": b"x" * size})


HEADER = pack({"LastIndex": 9})
STATE = HEADER + key("app/one/a") + key("app/one/b") + key("app/two") + key("solo", 2000) + record(16, {"Key": "kvs"})


def archive(state: bytes = STATE, **meta: object) -> bytes:
    """A snapshot file."""
    described = json.dumps({**META, "Size": len(state), **meta}).encode() + b"\n"
    members = {"meta.json": described, "state.bin": state}
    sums = "".join(f"{hashlib.sha256(data).hexdigest()}  {name}\n" for name, data in members.items())
    members["SHA256SUMS"] = sums.encode()
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w") as tar:
        for name, data in members.items():
            info = tarfile.TarInfo(name)
            info.size = len(data)
            info.mode = 0o600
            tar.addfile(info, io.BytesIO(data))
    return gzip.compress(out.getvalue())


class SurveyTests(SynchronousTestCase):
    """L{survey}."""

    def test_types(self) -> None:
        """Records are counted by type; their bytes sum up to the file's, header included."""
        found = survey(io.BytesIO(STATE).read, None)
        self.assertEqual({name: group.count for name, group in found.types.items()}, {"KVS": 4, "Index": 1})
        self.assertEqual((found.size, found.keys), (len(STATE), {}))
        self.assertEqual(sum(group.size for group in found.types.values()), len(STATE))

    def test_keys(self) -> None:
        """Keys are grouped by their first parts; shorter keys are groups of their own."""
        found = survey(io.BytesIO(STATE).read, KeyGroups(2))
        self.assertEqual(
            {name: group.count for name, group in found.keys.items()}, {"app/one": 2, "app/two": 1, "solo": 1}
        )
        found = survey(io.BytesIO(STATE).read, KeyGroups(1, b"app/"))
        self.assertEqual(found.keys, {"app": Group("app", found.keys_size, 3)})

    def test_unknownType(self) -> None:
        """A type that nobody knows is counted under its number."""
        self.assertEqual(list(survey(io.BytesIO(HEADER + record(99, 1)).read, None).types), ["Unknown(99)"])

    def test_cutShort(self) -> None:
        """A file that ends within a record is refused; at its end it is whole."""
        whole = HEADER + key("a")
        for length in range(len(whole)):
            if length == len(HEADER):
                continue
            self.assertRaises(BadMessage, survey, io.BytesIO(whole[:length]).read, None)
        self.assertEqual(survey(io.BytesIO(HEADER).read, None).types, {})

    @settings(max_examples=200)
    @given(st.binary(max_size=60))
    def test_anyBytes(self, data: bytes) -> None:
        """Any bytes are surveyed or refused."""
        for start in (b"", HEADER):
            with contextlib.suppress(BadMessage):
                survey(io.BytesIO(start + data).read, KeyGroups())

    @settings(max_examples=50)
    @given(st.dictionaries(st.binary(max_size=4) | st.integers(), st.integers() | st.binary(max_size=9), max_size=3))
    def test_anyKey(self, value: dict[object, object]) -> None:
        """A record of a key that is not shaped like one is only counted."""
        packed = msgpack.packb(
            {
                k: v if not isinstance(v, int) else v % 2**63
                for k, v in value.items()
                if k != b"Key" and not isinstance(k, int)
            }
        )
        found = survey(io.BytesIO(HEADER + b"\x02" + packed).read, KeyGroups())
        self.assertEqual((found.types["KVS"].count, found.keys), (1, {}))


class FileTestCase(SynchronousTestCase):
    """A test with a snapshot file."""

    def file(self, data: bytes, name: str = "some.snap") -> str:
        """The name of a new file in a new folder."""
        folder = Path(self.mktemp())
        folder.mkdir()
        (folder / name).write_bytes(data)
        return str(folder / name)


class InspectTests(FileTestCase):
    """txconsul snapshot inspect."""

    def test_pretty(self) -> None:
        """The moment, then types from the largest to the smallest, as Consul's documentation shows it."""
        outcome = invoke("snapshot", "inspect", self.file(archive()))
        self.assertEqual((outcome.status, outcome.err), (0, ""))
        index = len(record(16, {"Key": "kvs"}))
        self.assertEqual(
            outcome.out.decode().splitlines(),
            [
                " ID           2-9-1700000000000",
                f" Size         {len(STATE)}",
                " Index        9",
                " Term         2",
                " Version      1",
                "",
                " Type       Count      Size",
                " ----       ----       ----",
                " KVS        4          2KB",
                f" Index      1          {index}B",
                " ----       ----       ----",
                " Total                 2.1KB",
            ],
        )

    def test_keyDetails(self) -> None:
        """-kvdetails adds a table of keys."""
        lines = invoke("snapshot", "inspect", "-kvdetails", self.file(archive())).out.decode().splitlines()
        self.assertEqual(lines[13], " Key Name      Count      Size")
        self.assertEqual(
            [line.split()[:2] for line in lines[15:18]], [["solo", "1"], ["app/one", "2"], ["app/two", "1"]]
        )
        some = invoke("snapshot", "inspect", "-kvdetails", "-kvfilter=app/t", "-kvdepth", "1", self.file(archive()))
        self.assertEqual([line.split()[0] for line in some.out.decode().splitlines()[15:]], ["app", "----", "Total"])

    def test_json(self) -> None:
        """-format=json shows the same as JSON; without -kvdetails there are no keys."""
        found = json.loads(invoke("snapshot", "inspect", "-format=json", self.file(archive())).out)
        self.assertEqual(
            found["Meta"], {"ID": "2-9-1700000000000", "Size": len(STATE), "Index": 9, "Term": 2, "Version": 1}
        )
        self.assertEqual((found["StatsKV"], found["TotalSizeKV"], found["TotalSize"]), (None, 0, len(STATE)))
        self.assertEqual(list(found["Stats"][0]), ["Name", "Sum", "Count"])

    def test_stateFile(self) -> None:
        """A server's own state.bin is read together with the meta.json beside it."""
        name = self.file(STATE, "state.bin")
        self.assertIn(
            "Error reading meta.json from internal snapshot dir: open ", invoke("snapshot", "inspect", name).err
        )
        beside = Path(name).with_name("meta.json")
        beside.write_text("{")
        self.assertIn("Error parsing meta.json from internal snapshot dir: ", invoke("snapshot", "inspect", name).err)
        beside.write_text(json.dumps({**META, "Size": len(STATE)}))
        self.assertIn(b" Index        9\n", invoke("snapshot", "inspect", name).out)

    def test_errors(self) -> None:
        """Wrong arguments, absent files, and files that are no snapshots."""
        good, bad = self.file(archive()), self.file(b"this is no snapshot")
        for words, text in (
            ([], "Missing FILE argument\n"),
            (["a", "b"], "Too many arguments (expected 1, got 2)\n"),
            (["absent.snap"], "Error opening snapshot file: open absent.snap: no such file or directory\n"),
            ([bad], "Error reading snapshot: failed to decompress snapshot: gzip: invalid header\n"),
            (["-format=xml", good], "Error outputting enhanced snapshot data: Unknown format: xml\n"),
            (["-kvdepth=-1", good], "-kvdepth must not be negative\n"),
        ):
            outcome = invoke("snapshot", "inspect", *words)
            self.assertEqual((outcome.status, outcome.out, outcome.err), (1, b"", text))

    def test_flagErrorIsRepeated(self) -> None:
        """A flag's error stands before the list of flags and behind it, as in Consul."""
        lines = invoke("snapshot", "inspect", "-x").err.splitlines()
        self.assertEqual((lines[0], lines[-1]), ("flag provided but not defined: -x",) * 2)

    def test_badState(self) -> None:
        """A whole archive of a broken state file is refused."""
        outcome = invoke("snapshot", "inspect", self.file(archive(STATE[:-3])))
        self.assertEqual(outcome.status, 1)
        self.assertTrue(
            outcome.err.startswith("Error extracting snapshot data: failed to decode msg type Index"), outcome.err
        )

    def test_archiveOfConsul(self) -> None:
        """An archive that a Consul server made is read, and its records sum up to its size."""
        vector = load("snapshot_archive")[0]
        meta = vector["decoded"]["meta.json"]
        outcome = invoke("snapshot", "inspect", "-format=json", self.file(bytes.fromhex(vector["hex"])))
        found = json.loads(outcome.out)
        self.assertEqual(found["Meta"], {name: meta[name] for name in ("ID", "Size", "Index", "Term", "Version")})
        self.assertEqual(found["TotalSize"], meta["Size"])
        self.assertFalse([one for one in found["Stats"] if one["Name"].startswith("Unknown")])


class SaveTests(FileTestCase):
    """txconsul snapshot save."""

    def agent(self, data: bytes, target: str = "/v1/snapshot") -> FakeAgent:
        """An agent that gives this snapshot."""
        return FakeAgent(
            {
                f"GET {target}": answer(data, X_Consul_Index="17"),
                "GET /v1/operator/autopilot/health": answer(
                    '{"Servers": [{"Leader": false, "Version": "1.0"}, {"Leader": true, "Version": "1.21.4"}]}', 429
                ),
                "GET /v1/agent/self": answer(
                    '{"Config": {"Datacenter": "dc1", "NodeName": "n1"}, "Stats": {"consul": {"leader": "true"}}}'
                ),
            }
        )

    def folder(self) -> Path:
        """A new folder."""
        found = Path(self.mktemp())
        found.mkdir()
        return found

    def test_saves(self) -> None:
        """The file holds what the agent gave, for its owner only, and nothing else is left."""
        name = self.folder() / "a.snap"
        outcome = invoke("snapshot", "save", str(name), agent=self.agent(archive()))
        self.assertEqual(
            (outcome.status, outcome.out, outcome.err), (0, b"Saved and verified snapshot to index 17\n", "")
        )
        self.assertEqual((name.read_bytes(), name.stat().st_mode & 0o777), (archive(), 0o600))
        self.assertEqual(os.listdir(name.parent), ["a.snap"])

    def test_stale(self) -> None:
        """-stale and -datacenter go along."""
        name = self.folder() / "a.snap"
        agent = self.agent(archive(), "/v1/snapshot?dc=dc2&stale=")
        self.assertEqual(invoke("snapshot", "save", "-stale", "-datacenter=dc2", str(name), agent=agent).status, 0)

    def test_verifies(self) -> None:
        """What is no whole snapshot does not get the name, nor replaces a good one."""
        name = self.folder() / "a.snap"
        name.write_bytes(b"good")
        for data in (b"", b"no snapshot", archive()[:-20], archive()[:200]):
            outcome = invoke("snapshot", "save", str(name), agent=self.agent(data))
            self.assertEqual(outcome.status, 1)
            self.assertTrue(outcome.err.startswith("Error verifying snapshot file: "), outcome.err)
            self.assertEqual((name.read_bytes(), os.listdir(name.parent)), (b"good", ["a.snap"]))

    def test_names(self) -> None:
        """-append-filename puts words before the extension, in an order of its own."""
        folder = self.folder()
        for words, made in (
            ("version,dc,node", "a-1.21.4-dc1-n1.snap"),
            ("dc,version", "a-1.21.4-dc1.snap"),
            ("status", "a-leader.snap"),
            ("other", "a.snap"),
        ):
            agent = self.agent(archive())
            outcome = invoke("snapshot", "save", f"-append-filename={words}", str(folder / "a.snap"), agent=agent)
            self.assertEqual((outcome.status, os.listdir(folder)), (0, [made]))
            os.remove(folder / made)

    def test_errors(self) -> None:
        """Wrong arguments, an agent that refuses, a folder that does not exist."""
        name = str(self.folder() / "a.snap")
        self.assertEqual(invoke("snapshot", "save").err, "Missing FILE argument\n")
        self.assertEqual(invoke("snapshot", "save", "a", "b").err, "Too many arguments (expected 1, got 2)\n")
        agent = FakeAgent({"GET /v1/snapshot": answer("Permission denied", 403)})
        self.assertEqual(
            invoke("snapshot", "save", name, agent=agent).err,
            "Error saving snapshot: Unexpected response code: 403 (Permission denied)\n",
        )
        outcome = invoke("snapshot", "save", "no/such/a.snap", agent=self.agent(archive()))
        self.assertEqual(
            (outcome.status, outcome.err),
            (
                1,
                "Error writing unverified snapshot file: open no/such/a.snap.unverified: no such file or directory\n",
            ),
        )


class RestoreTests(FileTestCase):
    """txconsul snapshot restore."""

    def test_restores(self) -> None:
        """The file is sent as it is, with its length."""
        agent = FakeAgent({"PUT /v1/snapshot": answer()})
        outcome = invoke("snapshot", "restore", self.file(b"\x00" * 300_000), agent=agent)
        self.assertEqual((outcome.status, outcome.out, outcome.err), (0, b"Restored snapshot\n", ""))
        self.assertEqual(agent.requests[0].headers["Content-Length"], "300000")
        self.assertEqual(agent.bodies, [b"\x00" * 300_000])

    def test_errors(self) -> None:
        """Wrong arguments, absent files, an agent that refuses."""
        agent = FakeAgent({"PUT /v1/snapshot": answer("failed to decompress snapshot: gzip: invalid header", 500)})
        for words, text in (
            ([], "Missing FILE argument\n"),
            (["a", "b"], "Too many arguments (expected 1, got 2)\n"),
            (["absent.snap"], "Error opening snapshot file: open absent.snap: no such file or directory\n"),
            (
                [self.file(b"x")],
                "Error restoring snapshot: Unexpected response code: 500 "
                "(failed to decompress snapshot: gzip: invalid header)\n",
            ),
        ):
            outcome = invoke("snapshot", "restore", *words, agent=agent)
            self.assertEqual((outcome.status, outcome.out, outcome.err), (1, b"", text))
