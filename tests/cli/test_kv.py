"""The kv commands: what they ask, what they say."""

from __future__ import annotations

import json
import os
from base64 import b64encode

from hypothesis import given, settings
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from tests.cli.invoking import FakeAgent, answer, invoke
from txconsul.cli.api import TransportFailed


def entry(key: str, value: bytes = b"", **more: object) -> dict[str, object]:
    """A key as the agent tells it."""
    plain: dict[str, object] = {"LockIndex": 0, "Key": key, "Flags": 0, "CreateIndex": 7, "ModifyIndex": 12}
    return {**plain, "Value": b64encode(value).decode() if value else None, **more}


def told(*entries: dict[str, object]) -> str:
    """An agent's answer."""
    return json.dumps(entries)


class GetTests(SynchronousTestCase):
    """txconsul kv get."""

    def test_value(self) -> None:
        """A value is shown as it is, with a newline; a slash before the key is dropped."""
        agent = FakeAgent({"GET /v1/kv/app/one": answer(told(entry("app/one", b"\x00\xff")))})
        outcome = invoke("kv", "get", "/app/one", agent=agent)
        self.assertEqual((outcome.status, outcome.out, outcome.err), (0, b"\x00\xff\n", ""))

    def test_base64(self) -> None:
        """-base64 shows it in base64."""
        agent = FakeAgent({"GET /v1/kv/a": answer(told(entry("a", b"hello world")))})
        self.assertEqual(invoke("kv", "get", "-base64", "a", agent=agent).out, b"aGVsbG8gd29ybGQ=\n")

    def test_detailed(self) -> None:
        """-detailed shows everything in two columns."""
        agent = FakeAgent({"GET /v1/kv/a": answer(told(entry("a", b"x\ny", Flags=42, Session="s-1", LockIndex=1)))})
        self.assertEqual(
            invoke("kv", "get", "-detailed", "a", agent=agent).out.decode().splitlines(),
            [
                "CreateIndex      7",
                "Flags            42",
                "Key              a",
                "LockIndex        1",
                "ModifyIndex      12",
                "Session          s-1",
                "Value            x",
                "y",
            ],
        )

    def test_missing(self) -> None:
        """A key that does not exist is an error."""
        agent = FakeAgent({"GET /v1/kv/none": answer(status=404)})
        outcome = invoke("kv", "get", "none", agent=agent)
        self.assertEqual((outcome.status, outcome.err), (1, "Error! No key exists at: none\n"))

    def test_recurse(self) -> None:
        """-recurse shows KEY:VALUE lines; none is no error."""
        agent = FakeAgent(
            {
                "GET /v1/kv/app/?recurse=": answer(told(entry("app/a", b"1"), entry("app/b"))),
                "GET /v1/kv/none/?recurse=": answer(status=404),
            }
        )
        self.assertEqual(invoke("kv", "get", "-recurse", "app/", agent=agent).out, b"app/a:1\napp/b:\n")
        self.assertEqual(invoke("kv", "get", "-recurse", "none/", agent=agent).status, 0)

    def test_recurseDetailed(self) -> None:
        """Detailed entries are parted by an empty line; with -keys they have no value."""
        agent = FakeAgent({"GET /v1/kv/?recurse=": answer(told(entry("a", b"1"), entry("b", b"2")))})
        shown = invoke("kv", "get", "-recurse", "-detailed", agent=agent).out.decode()
        self.assertIn("Value            1\n\nCreateIndex      7\n", shown)
        agent = FakeAgent({"GET /v1/kv/?recurse=": answer(told(entry("a", b"1"), entry("b", b"2")))})
        shown = invoke("kv", "get", "-recurse", "-keys", "-detailed", agent=agent).out.decode()
        self.assertNotIn("Value", shown)
        self.assertIn("Session          -\n\n\nCreateIndex", shown)

    def test_keys(self) -> None:
        """-keys lists names down to the separator, which may be empty or another."""
        agent = FakeAgent(
            {
                "GET /v1/kv/?keys=&separator=%2F": answer('["app/"]'),
                "GET /v1/kv/?keys=": answer('["app/a", "app/b"]'),
                "GET /v1/kv/app/?keys=&separator=o&stale=": answer("null"),
            }
        )
        self.assertEqual(invoke("kv", "get", "-keys", "", agent=agent).out, b"app/\n")
        self.assertEqual(invoke("kv", "get", "-keys", "-separator=", agent=agent).out, b"app/a\napp/b\n")
        outcome = invoke("kv", "get", "-keys", "-stale", "-separator", "o", "app/", agent=agent)
        self.assertEqual((outcome.status, outcome.out), (0, b""))

    def test_arguments(self) -> None:
        """No key, or two, are errors."""
        self.assertEqual(invoke("kv", "get").err, "Error! Missing KEY argument\n")
        self.assertEqual(invoke("kv", "get", "a", "b").err, "Too many arguments (expected 1, got 2)\n")

    def test_unreachable(self) -> None:
        """An agent that does not answer is named with the address and the cause."""
        agent = FakeAgent({"GET /v1/kv/a": TransportFailed("dial tcp 127.0.0.1:1: connect: connection refused")})
        outcome = invoke("kv", "get", "-http-addr=127.0.0.1:1", "a", agent=agent)
        self.assertEqual(outcome.status, 1)
        self.assertEqual(
            outcome.err,
            'Error querying Consul agent: Get "http://127.0.0.1:1/v1/kv/a": '
            "dial tcp 127.0.0.1:1: connect: connection refused\n",
        )

    def test_refused(self) -> None:
        """An agent's error is shown with its status."""
        agent = FakeAgent({"GET /v1/kv/a?dc=dc7": answer("No path to datacenter\n", 500)})
        outcome = invoke("kv", "get", "-datacenter=dc7", "a", agent=agent)
        self.assertEqual(
            outcome.err, "Error querying Consul agent: Unexpected response code: 500 (No path to datacenter)\n"
        )

    def test_strangeAnswers(self) -> None:
        """An answer that is no list of keys is an error, not a traceback."""
        for body in ("", "{", "7", '"x"', "[1]", "[{}]", '[{"Key": "a", "Value": 7}]', '[{"Key": "a", "Value": "é"}]'):
            agent = FakeAgent({"GET /v1/kv/a": answer(body)})
            outcome = invoke("kv", "get", "a", agent=agent)
            self.assertEqual(outcome.status, 1, body)
            self.assertTrue(outcome.err.startswith("Error querying Consul agent: "), outcome.err)

    def test_flagErrors(self) -> None:
        """An unknown flag is told with the list of flags, whose words the docs of Go's flag package give."""
        outcome = invoke("kv", "get", "-nonsense", "a")
        self.assertEqual(outcome.status, 1)
        self.assertTrue(outcome.err.startswith("flag provided but not defined: -nonsense\nUsage:\n  -base64\n    \t"))
        self.assertIn('(default "/")', outcome.err)


#: Whatever JSON can hold, with the names that an agent uses.
ANYTHING = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=True) | st.text(max_size=4),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(
            st.sampled_from(["Key", "Value", "Flags", "Session", "CreateIndex", "key", "flags", "value", "x"]),
            inner,
            max_size=4,
        )
    ),
    max_leaves=8,
)


class StrangerTests(SynchronousTestCase):
    """Answers and data of no expected shape."""

    @settings(max_examples=300, deadline=None)
    @given(
        ANYTHING | st.lists(st.fixed_dictionaries({"Key": ANYTHING, "Value": ANYTHING, "Flags": ANYTHING}), max_size=2)
    )
    def test_anyAnswer(self, value: object) -> None:
        """Whatever the agent answers, a command shows it or says what is wrong."""
        body = json.dumps(value)
        for words, target in (
            (["kv", "get", "-recurse", "-detailed"], "/v1/kv/?recurse="),
            (["kv", "get", "-keys", "-separator="], "/v1/kv/?keys="),
            (["kv", "export"], "/v1/kv/?recurse="),
            (["info"], "/v1/agent/self"),
        ):
            outcome = invoke(*words, agent=FakeAgent({f"GET {target}": answer(body)}))
            self.assertEqual(bool(outcome.status), bool(outcome.err), (body, outcome))

    @settings(max_examples=300, deadline=None)
    @given(
        ANYTHING | st.lists(st.fixed_dictionaries({"key": ANYTHING, "value": ANYTHING, "flags": ANYTHING}), max_size=2)
    )
    def test_anyImport(self, value: object) -> None:
        """Whatever an import is given, it writes keys or says what is wrong."""
        outcome = invoke("kv", "import", "-", stdin=json.dumps(value).encode())
        self.assertEqual(bool(outcome.status), bool(outcome.err), (value, outcome))


class PutTests(SynchronousTestCase):
    """txconsul kv put."""

    def put(self, *words: str, target: str = "/v1/kv/a", body: str = "true", stdin: bytes = b"") -> tuple[object, ...]:
        """Status, both outputs and the body that was sent."""
        agent = FakeAgent({f"PUT {target}": answer(body)})
        outcome = invoke("kv", "put", *words, agent=agent, stdin=stdin)
        return outcome.status, outcome.out.decode("utf-8", "replace") + outcome.err, *agent.bodies

    def test_value(self) -> None:
        """The value is sent as it is; without one it is empty."""
        self.assertEqual(self.put("a", "1"), (0, "Success! Data written to: a\n", b"1"))
        self.assertEqual(self.put("a"), (0, "Success! Data written to: a\n", b""))
        self.assertEqual(self.put("a", ""), (0, "Success! Data written to: a\n", b""))
        self.assertEqual(self.put("--", "a", "-x")[2], b"-x")

    def test_bytesThatAreNoText(self) -> None:
        """Keys and values of the shell may be any bytes."""
        raw = os.fsdecode(b"\xff\xfe")
        self.assertEqual(self.put(raw, raw, target="/v1/kv/%FF%FE")[2], b"\xff\xfe")

    def test_sources(self) -> None:
        """- is standard input, @ a file."""
        self.assertEqual(self.put("a", "-", stdin=b"two\nlines")[2], b"two\nlines")
        name = self.mktemp()
        with open(name, "wb") as file:
            file.write(b"from a file\x00")
        self.assertEqual(self.put("a", f"@{name}")[2], b"from a file\x00")
        self.assertEqual(
            self.put("a", "@absent.txt"),
            (1, "Error! Failed to read file: open absent.txt: no such file or directory\n"),
        )
        self.assertEqual(self.put("a", "@."), (1, "Error! Failed to read file: read .: is a directory\n"))

    def test_base64(self) -> None:
        """-base64 decodes; what is no base64 is refused before anything is written."""
        self.assertEqual(self.put("-base64", "a", "aGVs\nbG8=")[2], b"hello")
        self.assertEqual(
            self.put("-base64", "a", "aGVs*G8="),
            (1, "Error! Cannot base 64 decode data: illegal base64 data at input byte 4\n"),
        )

    def test_flags(self) -> None:
        """-flags goes along, up to 64 bits."""
        self.assertEqual(self.put("-flags=42", "a", "1", target="/v1/kv/a?flags=42")[0], 0)
        big = str(2**64 - 1)
        self.assertEqual(self.put(f"-flags={big}", "a", "1", target=f"/v1/kv/a?flags={big}")[0], 0)

    def test_checkAndSet(self) -> None:
        """-cas sends the index, and says why nothing was written."""
        self.assertEqual(self.put("-cas", "a", "1", target="/v1/kv/a?cas=0")[0], 0)
        self.assertEqual(
            self.put("-cas", "a", "1", target="/v1/kv/a?cas=0", body="false")[1],
            "Error! Did not write to a: CAS performed with index=0 and key already exists.\n",
        )
        self.assertEqual(
            self.put("-cas", "-modify-index=7", "a", "1", target="/v1/kv/a?cas=7", body="false\n")[:2],
            (1, "Error! Did not write to a: CAS failed\n"),
        )

    def test_locks(self) -> None:
        """-acquire and -release need a session, and say whether they had success."""
        self.assertEqual(
            self.put("-acquire", "a", "1"), (1, "Error! Missing -session (required with -acquire and -release)\n")
        )
        taken = self.put("-acquire", "-session=s", "a", "1", target="/v1/kv/a?acquire=s")
        self.assertEqual(taken[:2], (0, "Success! Lock acquired on: a\n"))
        held = self.put("-acquire", "-session=s", "a", "1", target="/v1/kv/a?acquire=s", body="false")
        self.assertEqual(held[:2], (1, "Error! Did not acquire lock\n"))
        given = self.put("-release", "-session=s", "a", "1", target="/v1/kv/a?release=s")
        self.assertEqual(given[:2], (0, "Success! Lock released on: a\n"))
        other = self.put("-release", "-session=s", "a", "1", target="/v1/kv/a?release=s", body="false")
        self.assertEqual(other[:2], (1, "Error! Did not release lock\n"))

    def test_arguments(self) -> None:
        """No key, too many arguments, a slash before the key: errors without a request."""
        self.assertEqual(self.put(), (1, "Error! Missing KEY argument\n"))
        self.assertEqual(self.put("a", "b", "c"), (1, "Error! Too many arguments (expected 1 or 2, got 3)\n"))
        self.assertEqual(
            self.put("/a", "b"), (1, "Error! Failed writing data: Invalid key. Key must not begin with a '/': /a\n")
        )

    def test_escaping(self) -> None:
        """Keys are escaped as paths, sessions as parameters."""
        self.assertEqual(self.put("a b?c#d%e/é", "1", target="/v1/kv/a%20b%3Fc%23d%25e/%C3%A9")[0], 0)
        done = self.put("-acquire", "-session=a b&c", "a", "1", target="/v1/kv/a?acquire=a+b%26c")
        self.assertEqual(done[0], 0)


class DeleteTests(SynchronousTestCase):
    """txconsul kv delete."""

    def test_deletes(self) -> None:
        """One key, a prefix, or a key that nobody has written since."""
        agent = FakeAgent(
            {
                "DELETE /v1/kv/a": answer("true"),
                "DELETE /v1/kv/a/?recurse=": answer("true"),
                "DELETE /v1/kv/a?cas=3": answer("true"),
                "DELETE /v1/kv/a?cas=4": answer("false"),
            }
        )
        self.assertEqual(invoke("kv", "delete", "a", agent=agent).out, b"Success! Deleted key: a\n")
        done = invoke("kv", "delete", "-recurse", "/a/", agent=agent)
        self.assertEqual(done.out, b"Success! Deleted keys with prefix: a/\n")
        done = invoke("kv", "delete", "-cas", "-modify-index=3", "a", agent=agent)
        self.assertEqual(done.out, b"Success! Deleted key: a\n")
        done = invoke("kv", "delete", "-cas", "-modify-index=4", "a", agent=agent)
        self.assertEqual((done.status, done.err), (1, "Error! Did not delete key a: CAS failed\n"))

    def test_combinations(self) -> None:
        """What makes no sense is refused without a request."""
        for words, text in (
            ([], "Error! Missing KEY argument\n"),
            (["a", "b"], "Too many arguments (expected 1, got 2)\n"),
            (["-cas", "a"], "Cannot delete a key that does not exist. Provide a -modify-index greater than than 0.\n"),
            (["-modify-index=3", "a"], "Cannot specify -modify-index without -cas!\n"),
            (["-cas", "-modify-index=3", "-recurse", "a"], "Cannot specify both -cas and -recurse!\n"),
        ):
            agent = FakeAgent()
            outcome = invoke("kv", "delete", *words, agent=agent)
            self.assertEqual((outcome.status, outcome.err, agent.requests), (1, text, []))


class ExportImportTests(SynchronousTestCase):
    """txconsul kv export and import."""

    def test_export(self) -> None:
        """An export is JSON indented with tabs, values in base64, as Go writes it."""
        agent = FakeAgent(
            {
                "GET /v1/kv/app/?recurse=": answer(told(entry("app/<é>", b"1"), entry("app/b", b"two words", Flags=7))),
                "GET /v1/kv/none?recurse=": answer(status=404),
            }
        )
        self.assertEqual(
            invoke("kv", "export", "app/", agent=agent).out.decode(),
            '[\n\t{\n\t\t"key": "app/\\u003cé\\u003e",\n\t\t"flags": 0,\n\t\t"value": "MQ=="\n\t},\n'
            '\t{\n\t\t"key": "app/b",\n\t\t"flags": 7,\n\t\t"value": "dHdvIHdvcmRz"\n\t}\n]\n',
        )
        self.assertEqual(invoke("kv", "export", "none", agent=agent).out, b"[]\n")
        self.assertEqual(invoke("kv", "export", "a", "b").err, "Too many arguments (expected 1, got 2)\n")

    def test_import(self) -> None:
        """Each entry is written, in order, and named."""
        agent = FakeAgent({"PUT /v1/kv/imp/x?flags=3": answer("true"), "PUT /v1/kv/imp/y": answer("true")})
        text = '[{"key": "imp/x", "flags": 3, "value": "aGVsbG8="}, {"Key": "imp/y", "value": null, "more": [1]}]'
        for words, stdin in (([text], b""), (["-"], text.encode())):
            outcome = invoke("kv", "import", *words, agent=agent, stdin=stdin)
            self.assertEqual((outcome.status, outcome.out), (0, b"Imported: imp/x\nImported: imp/y\n"))
        self.assertEqual(agent.bodies, [b"hello", b""] * 2)

    def test_exportComesBack(self) -> None:
        """Keys that are no tidy paths come back as they were."""
        names = ["a//b", "a/../b", "dir/", "é <&>", ".", "a/./c"]
        agent = FakeAgent({"GET /v1/kv/?recurse=": answer(told(*(entry(name, b"v") for name in names)))})
        exported = invoke("kv", "export", agent=agent).out

        class Everything(dict[str, object]):
            def get(self, key: str, default: object = None) -> object:
                return answer("true")

        agent = FakeAgent(Everything())  # type: ignore[arg-type]
        outcome = invoke("kv", "import", "-", agent=agent, stdin=exported)
        self.assertEqual(outcome.out.decode().splitlines(), [f"Imported: {name}" for name in names])

    def test_prefix(self) -> None:
        """-prefix and key are joined with one slash; a key that ends with one keeps it."""
        agent = FakeAgent({"PUT /v1/kv/under/x": answer("true"), "PUT /v1/kv/under/d/": answer("true")})
        for prefix in ("under", "under/"):
            text = '[{"key": "x"}, {"key": "d/"}]'
            outcome = invoke("kv", "import", f"-prefix={prefix}", text, agent=agent)
            self.assertEqual(outcome.out, b"Imported: under/x\nImported: under/d/\n")

    def test_badData(self) -> None:
        """What cannot be read is refused with the place and the reason."""
        for data, text in (
            ("@absent.json", "Error! Failed to read file: open absent.json: no such file or directory\n"),
            ("", "Error! Empty DATA argument\n"),
            (
                '[{"key": "k", "value": "***"}]',
                "Error base 64 decoding value for key k: illegal base64 data at input byte 0\n",
            ),
        ):
            self.assertEqual(invoke("kv", "import", data).err, text)
        for data in (
            "not json",
            "[" * 100_000,
            "{}",
            "[1]",
            '[{"flags": -1}]',
            '[{"flags": 1.5}]',
            '[{"flags": true}]',
            '[{"key": 1}]',
        ):
            outcome = invoke("kv", "import", data)
            self.assertEqual(outcome.status, 1)
            self.assertTrue(outcome.err.startswith("Cannot unmarshal data: "), outcome.err)
        self.assertEqual(invoke("kv", "import").err, "Error! Missing DATA argument\n")
        self.assertEqual(invoke("kv", "import", "a", "b").err, "Error! Too many arguments (expected 1, got 2)\n")

    def test_nothing(self) -> None:
        """An empty list, or null, writes nothing and is no error."""
        for data in ("[]", "null"):
            outcome = invoke("kv", "import", data)
            self.assertEqual((outcome.status, outcome.out, outcome.err), (0, b"", ""))

    def test_firstFailureEnds(self) -> None:
        """The first key that cannot be written ends the import; those before it stay."""
        agent = FakeAgent({"PUT /v1/kv/a": answer("true"), "PUT /v1/kv/b": answer("no room", 500)})
        outcome = invoke("kv", "import", '[{"key": "a"}, {"key": "b"}, {"key": "c"}]', agent=agent)
        self.assertEqual((outcome.status, outcome.out), (1, b"Imported: a\n"))
        self.assertEqual(outcome.err, "Error! Failed writing data for key b: Unexpected response code: 500 (no room)\n")
