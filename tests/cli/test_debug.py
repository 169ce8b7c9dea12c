"""txconsul monitor and debug."""

from __future__ import annotations

import json
import os
import signal
import tarfile
from pathlib import Path
from typing import Any

from twisted.trial.unittest import SynchronousTestCase

from tests.cli.invoking import FakeAgent, Outcome, answer, invoke
from txconsul.cli import debug
from txconsul.cli.api import Answer, Request, TransportFailed
from txconsul.cli.interrupting import Interrupted

MONITOR = "GET /v1/agent/monitor?loglevel=INFO"
ENDED = b"\nRemote side ended the monitor! This usually means that the\nremote side has exited or crashed.\n"


class Pieces:
    """A body that comes piece by piece, and may break."""

    def __init__(self, *pieces: bytes | BaseException) -> None:
        self._pieces = list(pieces)

    def read1(self, size: int = -1, /) -> bytes:
        """The next one."""
        one = self._pieces.pop(0) if self._pieces else b""
        if isinstance(one, BaseException):
            raise one
        return one

    read = read1

    def close(self) -> None:
        """Nothing is open."""


class MonitorTests(SynchronousTestCase):
    """txconsul monitor."""

    def monitor(self, *pieces: bytes | BaseException) -> Outcome:
        """What is shown of a log."""
        return invoke("monitor", agent=FakeAgent({MONITOR: Answer(200, {}, Pieces(*pieces))}))

    def test_lines(self) -> None:
        """Lines are shown as they come, never in halves; that the agent ended them is told, and a failure."""
        outcome = self.monitor(b"one\ntw", b"o", b"\nthree")
        self.assertEqual((outcome.status, outcome.out, outcome.err), (1, b"one\ntwo\nthree" + b"\n" + ENDED, ""))

    def test_breaks(self) -> None:
        """A connection that breaks ends it likewise."""
        outcome = self.monitor(b"one\n", TransportFailed("unexpected EOF"))
        self.assertEqual((outcome.status, outcome.out), (1, b"one\n" + ENDED))

    def test_interrupted(self) -> None:
        """A signal ends it as a success, without a word."""
        outcome = self.monitor(b"one\n", Interrupted(signal.SIGINT))
        self.assertEqual((outcome.status, outcome.out, outcome.err), (0, b"one\n", ""))

    def test_flags(self) -> None:
        """Level and form are asked of the agent."""
        agent = FakeAgent({"GET /v1/agent/monitor?logjson=true&loglevel=debug": answer("{}\n")})
        outcome = invoke("monitor", "-log-level=debug", "-log-json", agent=agent)
        self.assertTrue(outcome.out.startswith(b"{}\n"))

    def test_refused(self) -> None:
        """What the agent refuses is told."""
        for words, target, lead in (
            ([], "?loglevel=loud", "Error starting monitor"),
            (["-log-json"], "?logjson=true&loglevel=loud", "Error starting JSON monitor"),
        ):
            agent = FakeAgent({f"GET /v1/agent/monitor{target}": answer("Unknown log level: loud", 400)})
            outcome = invoke("monitor", "-log-level=loud", *words, agent=agent)
            expected = f"{lead}: Unexpected response code: 400 (Unknown log level: loud)\n"
            self.assertEqual((outcome.status, outcome.err), (1, expected))


class DebugTests(SynchronousTestCase):
    """txconsul debug, without waiting."""

    def setUp(self) -> None:
        """An agent that answers everything, and waits that are only counted."""
        self.waits: list[float] = []
        self.patch(debug.time, "sleep", self.waits.append)
        self.output = self.mktemp()
        peers = {"Servers": [self.peer("a", True, 9), self.peer("b", False, 8), self.peer("c", False, 5)]}
        self.agent = FakeAgent(
            {
                "GET /v1/agent/self": lambda _: answer('{"Config": {"Version": "1.21.4"}}'),
                "GET /v1/agent/host": answer('{"Host": 1}'),
                "GET /v1/agent/members?wan=1": answer('[{"Name": "a"}]'),
                "GET /v1/agent/monitor?loglevel=TRACE": answer("a line\n"),
                "GET /v1/agent/metrics/stream": answer('{"Gauges": []}\n'),
                "GET /v1/operator/raft/configuration": answer(json.dumps(peers)),
            }
        )

    def peer(self, name: str, leads: bool, index: int) -> dict[str, Any]:
        """A server of the group."""
        return {"Node": name, "ID": name, "Address": "x", "Leader": leads, "Voter": True, "LastIndex": index}

    def debug(self, *words: str) -> Outcome:
        """Run the command."""
        return invoke("debug", f"-output={self.output}", *words, agent=self.agent)

    def read(self, name: str) -> str:
        """A file of the folder."""
        return Path(self.output, name).read_text()

    def test_everything(self) -> None:
        """All but Go's profiles is recorded, and left in a folder if it is not to be packed."""
        outcome = self.debug("-archive=false", "-duration=12s", "-interval=5s")
        self.assertEqual(outcome.status, 0)
        self.assertEqual(outcome.err, "[WARN] Unable to capture pprof. txconsul records no profiles of Go's runtime.\n")
        self.assertEqual(self.waits, [5, 5, 4])
        lines = outcome.out.decode().splitlines()
        self.assertEqual(lines[0], "==> Starting debugger and capturing static information...")
        self.assertIn("           Capture: 'metrics, logs, host, agent, members'", lines)
        self.assertEqual(lines[-1], f"    Saved debug archive: {self.output}")
        self.assertEqual(json.loads(self.read("host.json")), {"Host": 1})
        self.assertEqual(self.read("consul.log"), "a line\n")
        self.assertEqual(self.read("metrics.json"), '{"Gauges": []}\n')
        expected = {
            "Version": 1,
            "AgentVersion": "1.21.4",
            "Interval": "5s",
            "Duration": "14s",
            "Targets": ["metrics", "logs", "host", "agent", "members"],
        }
        self.assertEqual(json.loads(self.read("index.json")), expected)
        rows = [line.split("  ") for line in self.read("listpeers.json").splitlines()]
        self.assertEqual([row[-1].strip() for row in rows], ["Trails Leader By", "-", "1 commit", "4 commits"])

    def test_packed(self) -> None:
        """The archive holds the folder, which is gone; nothing else is left beside it."""
        outcome = self.debug("-capture=host", "-capture=cluster")
        self.assertEqual((outcome.status, outcome.err, self.waits), (0, "", []))
        with tarfile.open(f"{self.output}.tar.gz") as archive:
            names = sorted(archive.getnames())
        base = os.path.basename(self.output)
        files = ("host.json", "index.json", "listpeers.json", "members.json")
        self.assertEqual(names, [base, *(f"{base}/{name}" for name in files)])
        left = [one.name for one in Path(self.output).parent.iterdir() if one.name.startswith(base)]
        self.assertEqual(left, [f"{base}.tar.gz"])

    def test_interrupted(self) -> None:
        """A signal ends the recording, and what there is is packed."""

        def interrupt(seconds: float) -> None:
            raise Interrupted(signal.SIGINT)

        self.patch(debug.time, "sleep", interrupt)
        outcome = self.debug("-capture=logs")
        expected = "==> Error encountered during collection: stopping collection due to shutdown signal\n"
        self.assertEqual((outcome.status, outcome.err), (0, expected))
        self.assertTrue(os.path.exists(f"{self.output}.tar.gz"))

    def test_missing(self) -> None:
        """What the agent does not tell is named and left out."""
        for target in ("host", "monitor?loglevel=TRACE"):
            self.agent.answers[f"GET /v1/agent/{target}"] = answer("no", 403)
        self.agent.answers["GET /v1/operator/raft/configuration"] = answer("no", 501)
        outcome = self.debug("-capture=host", "-capture=logs", "-archive=false")
        self.assertEqual(outcome.status, 0)
        refused = "Unexpected response code: 403 (no)"
        self.assertEqual(
            outcome.err.splitlines(),
            [
                f"Static capture failed: host: {refused}",
                f"==> Error encountered during collection: {refused}",
                "Raft list peers capture failed: Failed to retrieve raft configuration: "
                "Unexpected response code: 501 (no)",
            ],
        )
        self.assertEqual(os.listdir(self.output), ["index.json"])

    def test_mistakes(self) -> None:
        """Mistakes are told before anything is recorded."""
        os.mkdir(self.output)
        for words, text in (
            (["x"], "debug: Too many arguments provided, expected 0"),
            (["-duration=1s"], "Capture validation failed: duration must be longer than 10s"),
            (["-interval=1s"], "Capture validation failed: interval must be longer than 5s"),
            (
                ["-interval=20s", "-duration=10s"],
                "Capture validation failed: duration (10s) must be longer than interval (20s)",
            ),
            (["-capture=nothing"], "Capture validation failed: target not found: nothing"),
            (["-since=1h"], "Capture validation failed: -since needs hcdiag, which txconsul does not have"),
            (["-capture=host"], f"Capture validation failed: output directory already exists: {self.output}"),
        ):
            outcome = self.debug(*words)
            self.assertEqual((outcome.status, outcome.out, outcome.err), (1, b"", f"==> {text}\n"))
        outcome = self.debug("-duration=soon")
        self.assertTrue(
            outcome.err.endswith('\n==> Error parsing flags: invalid value "soon" for flag -duration: parse error\n')
        )

    def test_noAgent(self) -> None:
        """An agent that cannot be asked, or tells no version, ends the command."""

        def refused(request: Request) -> Answer:
            raise TransportFailed("connection refused")

        self.agent.answers["GET /v1/agent/self"] = refused
        outcome = self.debug()
        expected = (
            '==> Capture validation failed: error querying target agent: Get "http://127.0.0.1:8500/v1/agent/self": '
            "connection refused. verify connectivity and agent address\n"
        )
        self.assertEqual((outcome.status, outcome.err), (1, expected))
        self.agent.answers["GET /v1/agent/self"] = answer('{"Config": {}}')
        expected = "==> Capture validation failed: agent response did not contain version key\n"
        self.assertEqual(self.debug().err, expected)
