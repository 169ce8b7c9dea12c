"""txconsul watch."""

from __future__ import annotations

import json
from pathlib import Path

from twisted.trial.unittest import SynchronousTestCase

from tests.cli.invoking import FakeAgent, answer, invoke
from txconsul.cli.api import Answer, Request, TransportFailed
from txconsul.cli.call import Failed
from txconsul.cli.children import CannotStart, ended, run_child, shell_words
from txconsul.cli.cursor_file import CursorFile
from txconsul.cli.settings import Settings
from txconsul.cli.watch import follow
from txconsul.watches.plan import parse
from txconsul.watches.progress import Change, Cursor, Progress

LEADER = {f"GET /v1/status/leader{dc}": answer('"127.0.0.1:8300"') for dc in ("", "?dc=dc2")}


class WatchTests(SynchronousTestCase):
    """The command."""

    def watch(self, *words: str, target: str, body: str, status: int = 200) -> str:
        """What is shown."""
        outcome = invoke("watch", *words, agent=FakeAgent({**LEADER, f"GET {target}": answer(body, status)}))
        self.assertEqual((outcome.status, outcome.err), (0, ""))
        return outcome.out.decode()

    def test_key(self) -> None:
        """Without a program the data is shown once, four spaces a level."""
        shown = self.watch("-type=key", "-key=a", target="/v1/kv/a", body='[{"Key": "a", "Value": null, "Flags": 3}]')
        self.assertTrue(shown.startswith('{\n    "Key": "a",\n'), shown)
        self.assertEqual(json.loads(shown)["Flags"], 3)
        self.assertEqual(self.watch("-type=key", "-key=a", target="/v1/kv/a", body="", status=404), "null\n")

    def test_flags(self) -> None:
        """Flags become parameters."""
        target = "/v1/health/service/web?dc=dc2&filter=x&passing=1&stale=&tag=a&tag=b"
        words = ["-type=service", "-service=web", "-tag=a", "-tag=b", "-passingonly=1", "-filter=x", "-stale"]
        self.assertEqual(self.watch(*words, "-datacenter=dc2", target=target, body="[]"), "[]\n")

    def test_token(self) -> None:
        """The token goes with each request."""
        asked = FakeAgent({**LEADER, "GET /v1/catalog/nodes": answer("[]")})
        invoke("watch", "-type=nodes", "-token=secret", agent=asked)
        self.assertEqual([one.headers["X-Consul-Token"] for one in asked.requests], ["secret", "secret"])

    def test_mistakes(self) -> None:
        """Mistakes end the command before it asks."""
        for words, text in (
            (["-type=key"], "Must specify a single key to watch\n"),
            (["-type=nothing"], "Unsupported watch type: nothing\n"),
            (["-type=connect_roots"], "Type connect_roots is not supported in the CLI tool\n"),
            (["-type=agent_service", "-service=a"], "Invalid parameters: [service]\n"),
            (["-type=nodes", "-http-addr=ftp://x"], "Unknown protocol scheme: ftp\n"),
            (
                ["-type=service", "-service=a", "-passingonly=maybe"],
                'Failed to parse passingonly flag: strconv.ParseBool: parsing "maybe": invalid syntax\n',
            ),
        ):
            outcome = invoke("watch", *words)
            self.assertEqual((outcome.status, outcome.out, outcome.err), (1, b"", text))

    def test_noType(self) -> None:
        """Without a type the help is shown."""
        outcome = invoke("watch")
        self.assertEqual(outcome.status, 1)
        self.assertTrue(outcome.err.startswith("Watch type must be specified\n\nUsage: txconsul watch"), outcome.err)

    def test_unreachable(self) -> None:
        """An agent that is not there at the beginning is told, and not waited for."""
        refused = FakeAgent({"GET /v1/status/leader": TransportFailed("connection refused")})
        outcome = invoke("watch", "-type=nodes", agent=refused)
        expected = 'Error querying Consul agent: Get "http://127.0.0.1:8500/v1/status/leader": connection refused\n'
        self.assertEqual((outcome.status, outcome.err), (1, expected))

    def test_programs(self) -> None:
        """A program that fails or that there is not ends the command."""
        body = {"GET /v1/catalog/nodes": answer("[]")}
        for words, text in (
            (["exit 3"], "Error executing handler: exit status 3\n"),
            (["kill -9 $$"], "Error executing handler: signal: killed\n"),
            (
                ["-shell=false", "there-is-no-such-program"],
                'Error starting handler: exec: "there-is-no-such-program": executable file not found in $PATH\n',
            ),
            (
                ["-shell=false", "/no/such/program"],
                "Error starting handler: fork/exec /no/such/program: no such file or directory\n",
            ),
        ):
            outcome = invoke("watch", "-type=nodes", *words, agent=FakeAgent({**LEADER, **body}))
            self.assertEqual((outcome.status, outcome.err), (1, text))
            body = {"GET /v1/catalog/nodes": answer("[]")}

    def test_programReads(self) -> None:
        """A program gets one line of JSON and the index, in words or through a shell."""
        name = self.mktemp()
        environment = {"PATH": "/usr/bin:/bin", "NAME": name}
        answers = {"GET /v1/catalog/services": answer('{"web": ["a b"]}', X_Consul_Index="7")}
        program = "cat > $NAME; echo $CONSUL_INDEX >> $NAME; exit 1"
        invoke("watch", "-type=services", program, agent=FakeAgent({**LEADER, **answers}), environment=environment)
        self.assertEqual(Path(name).read_text(), '{"web":["a b"]}\n7\n')

    def test_cursor(self) -> None:
        """What the file says was told is not told again."""
        name = self.mktemp()
        words = ["watch", "-type=services", f"-cursor-file={name}"]
        outcome = invoke(
            *words, agent=FakeAgent({**LEADER, "GET /v1/catalog/services": answer("{}", X_Consul_Index="7")})
        )
        self.assertEqual(outcome.out, b"{}\n")
        later = FakeAgent(
            {
                **LEADER,
                "GET /v1/catalog/services": answer("{}", X_Consul_Index="8"),
                "GET /v1/catalog/services?index=8": answer('{"web": []}', X_Consul_Index="9"),
            }
        )
        self.assertEqual(json.loads(invoke(*words, agent=later).out), {"web": []})

    def test_cursorOfFailure(self) -> None:
        """A program that failed is run again the next time."""
        name = self.mktemp()
        words = ["watch", "-type=services", f"-cursor-file={name}"]
        answers = {"GET /v1/catalog/services": answer("{}")}
        self.assertEqual(invoke(*words, "exit 1", agent=FakeAgent({**LEADER, **answers})).status, 1)
        answers = {"GET /v1/catalog/services": answer("{}")}
        self.assertEqual(invoke(*words, agent=FakeAgent({**LEADER, **answers})).out, b"{}\n")


class FollowTests(SynchronousTestCase):
    """L{follow}, with a clock that only counts."""

    def test_retries(self) -> None:
        """A lost agent is asked again, ever later, and what did not change meanwhile is not told again."""
        index7, index9 = answer("{}", X_Consul_Index="7"), answer('{"a": []}', X_Consul_Index="9")
        script: list[Answer | Exception] = [
            index7,
            TransportFailed("EOF"),
            answer("no leader", 500),
            answer("{", X_Consul_Index="7"),
            answer("{}", X_Consul_Index="7"),
            index9,
        ]
        asked: list[str] = []

        def next_one(request: Request) -> Answer:
            asked.append(request.target)
            found = script.pop(0)
            if isinstance(found, Exception):
                raise found
            return found

        everything = {f"GET /v1/catalog/services{query}": next_one for query in ("", "?index=7")}
        plan = parse({"type": "services"})
        waits: list[float] = []
        errors: list[str] = []
        told: list[Change] = []

        def tell(change: Change) -> bool:
            told.append(change)
            return len(told) < 2

        follow(
            FakeAgent({**everything}).connect(Settings()),
            plan,
            Progress(plan),
            tell,
            lambda error, seconds: errors.append(str(error)),
            waits.append,
        )
        self.assertEqual([one.data for one in told], [{}, {"a": []}])
        self.assertEqual(waits, [5, 20, 45])
        plain, waiting = "/v1/catalog/services", "/v1/catalog/services?index=7"
        self.assertEqual(asked, [plain, waiting, plain, plain, plain, waiting])
        self.assertEqual(errors[1], "Unexpected response code: 500 (no leader)")


class CursorFileTests(SynchronousTestCase):
    """L{CursorFile}."""

    def test_keeps(self) -> None:
        """What is kept is read again; nothing else is left in the folder."""
        folder = Path(self.mktemp())
        folder.mkdir()
        file = CursorFile(str(folder / "c"))
        self.assertEqual(file.load(), Cursor())
        file.keep(Cursor("d", "e"))
        self.assertEqual(file.load(), Cursor("d", "e"))
        self.assertEqual([one.name for one in folder.iterdir()], ["c"])

    def test_none(self) -> None:
        """Without a file nothing is kept."""
        CursorFile("").keep(Cursor("d"))
        self.assertEqual(CursorFile("").load(), Cursor())

    def test_foreign(self) -> None:
        """A file that holds something else is refused, and stays."""
        name = self.mktemp()
        for content in ("", "hosts: all\n", "[]", "{}"):
            Path(name).write_text(content)
            error = self.assertRaises(Failed, CursorFile(name).load)
            self.assertEqual(str(error), f"Error reading cursor file: {name} holds no cursor")
            self.assertEqual(Path(name).read_text(), content)

    def test_unwritable(self) -> None:
        """A folder that there is not is told."""
        error = self.assertRaises(Failed, CursorFile("/no/such/folder/c").keep, Cursor("d"))
        self.assertEqual(str(error), "Error writing cursor file: open /no/such/folder/c: no such file or directory")


class ChildTests(SynchronousTestCase):
    """Programs that commands run."""

    def test_shell(self) -> None:
        """The user's shell, or the system's."""
        self.assertEqual(shell_words(["a", "b c"], {}), ["/bin/sh", "-c", "a b c"])
        self.assertEqual(shell_words(["a"], {"SHELL": "/bin/bash"}), ["/bin/bash", "-c", "a"])

    def test_unread(self) -> None:
        """A program need not read what it is given."""
        self.assertEqual(run_child(["true"], {"PATH": "/usr/bin:/bin"}, b"x" * 1_000_000), 0)

    def test_nul(self) -> None:
        """A word that no program can be given is told."""
        self.assertRaises(CannotStart, run_child, ["echo", "a\0"], {}, b"")

    def test_ends(self) -> None:
        """How it ended, in Go's words."""
        self.assertEqual([ended(0), ended(3), ended(-15)], ["", "exit status 3", "signal: terminated"])
