"""
The agent as a process: signals, its supervisor, its logs, its exit statuses, and a wall clock that is set back.
"""

from __future__ import annotations

import json
import os
import re
import select
import signal
import socket
import sys
import time
from pathlib import Path
from typing import Any

from tests.real.process import DEADLINE_SECONDS, ESTABLISHED, ProcessTestCase

#: A stop may take as long as answers under way are given (5 s), and some more on a busy machine.
STOP_SECONDS = 12.0

#: An agent whose wall clock is set back an hour when a file appears, for all who ask C{time.time}.
SET_BACK = """
import os, sys, time
true_time, true_time_ns, flag = time.time, time.time_ns, sys.argv.pop(1)
time.time = lambda: true_time() - (3600 if os.path.exists(flag) else 0)
time.time_ns = lambda: true_time_ns() - (3600 * 10**9 if os.path.exists(flag) else 0)
from txconsul.cli.main import run
sys.exit(run())
"""


def get(path: str) -> bytes:
    """The bytes of a GET request."""
    return b"GET %b HTTP/1.1\r\nHost: x\r\n\r\n" % path.encode()


class DevTests(ProcessTestCase):
    """C{-dev}: a server for trying things out."""

    def test_takesWritesAndKeepsNothing(self) -> None:
        """It leads by itself, and leaves no file behind; what is asked of it is in its log."""
        file = self.directory / "dev.json"
        places = {"addresses": {"http": f"unix://{self.socket_path}"}, "ports": {"dns": -1}}
        file.write_text(json.dumps({**places, "bind_addr": self.bind_host}))
        process = self.run_agent("-dev", "-config-file", str(file))
        self.wait_until_it_serves(process)
        self.put("a", b"1")
        self.assertEqual(self.value("a"), b"1")
        self.stopped(process)
        left = {path.name for path in self.directory.iterdir()}
        self.assertLessEqual(left, {"dev.json", "data"})
        self.assertFalse(self.data.exists() and any(self.data.iterdir()))


class SignalTests(ProcessTestCase):
    """What signals do."""

    def blocked(self) -> socket.socket:
        """A connection whose blocking query waits: a request before it on the same connection was answered."""
        index = self.ask("GET", "/v1/kv/?keys").headers["x-consul-index"]
        link = self.connect()
        link.sendall(get("/v1/status/leader") + get(f"/v1/kv/awaited?index={index}&wait=5m"))
        self.assertTrue(link.recv(1 << 16).startswith(b"HTTP/1.1 200 "))
        return link

    def test_stopsOnSIGTERMAndSIGINT(self) -> None:
        """Either ends the agent with status 0 at once, and its socket is gone."""
        for number in (signal.SIGTERM, signal.SIGINT):
            process = self.started()
            self.put("a", b"1")
            process.signal(number)
            self.assertEqual(process.wait(STOP_SECONDS), 0, process.output)
            self.assertIn("Stopped", process.output)
            self.assertNotIn("Traceback", process.output)
            self.assertFalse(os.path.exists(self.socket_path))

    def test_stopsWithBlockingQueriesOpen(self) -> None:
        """Blocking queries do not keep a stopping agent: each is answered at once."""
        process = self.started()
        links = [self.blocked() for _ in range(20)]
        began = time.monotonic()
        process.signal(signal.SIGTERM)
        self.assertEqual(process.wait(STOP_SECONDS), 0, process.output)
        self.assertLess(time.monotonic() - began, 4.0)
        for link in links:
            self.assertTrue(link.recv(1 << 16).startswith(b"HTTP/1.1 404 "))
        self.assertNotIn("Traceback", process.output)

    def test_stopsWithSlowReaders(self) -> None:
        """Neither do clients that do not read their answers."""
        process = self.started()
        self.put("large", b"x" * 500_000)
        links = [self.connect() for _ in range(4)]
        for link in links:
            link.sendall(get("/v1/kv/large?raw") * 30)
            self.assertTrue(select.select([link], [], [], DEADLINE_SECONDS)[0])
        process.signal(signal.SIGTERM)
        self.assertEqual(process.wait(STOP_SECONDS), 0, process.output)
        self.assertNotIn("Traceback", process.output)

    def test_stopsWithHalfARequest(self) -> None:
        """Neither do clients in the middle of a request."""
        process = self.started()
        head, body = self.connect(), self.connect()
        head.sendall(b"GET /v1/kv/a HT")
        body.sendall(b"PUT /v1/kv/a HTTP/1.1\r\nHost: x\r\nContent-Length: 100\r\n\r\nhalf")
        self.assertEqual(self.ask("GET", "/v1/status/leader").status, 200)
        process.signal(signal.SIGTERM)
        self.assertEqual(process.wait(STOP_SECONDS), 0, process.output)

    def test_moreSignalsChangeNothing(self) -> None:
        """Signals while it stops are not taken for another wish."""
        process = self.started()
        self.blocked()
        for number in (signal.SIGTERM, signal.SIGTERM, signal.SIGINT):
            process.signal(number)
        self.assertEqual(process.wait(STOP_SECONDS), 0, process.output)
        self.assertNotIn("Traceback", process.output)

    def test_hangUp(self) -> None:
        """SIGHUP has the configuration read again, and nothing else happens."""
        process = self.started()
        process.signal(signal.SIGHUP)
        process.wait_for("The configuration was read again")
        self.put("a", b"1")
        self.stopped(process)

    def test_goneWhileWaiting(self) -> None:
        """A client that goes away while its blocking query waits is no error."""
        process = self.started()
        links = [self.blocked() for _ in range(5)]
        for link in links:
            link.close()
        self.put("awaited", b"1")
        self.stopped(process)
        self.assertNotIn("ERROR", process.output)

    def test_brokenPipe(self) -> None:
        """A client that goes away in the middle of an answer harms nobody."""
        process = self.started()
        self.put("large", b"x" * 500_000)
        for _ in range(10):
            link = self.connect()
            link.sendall(get("/v1/kv/large?raw") * 10)
            link.close()
        self.assertEqual(self.value("large"), b"x" * 500_000)
        self.stopped(process)
        self.assertNotIn("Traceback", process.output)


class SupervisorTests(ProcessTestCase):
    """What whoever started the process can rely on."""

    def test_systemd(self) -> None:
        """systemd is told when the server takes requests, and when it stops (sd_notify(3))."""
        path = str(self.directory / "notify.sock")
        with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as link:
            link.settimeout(DEADLINE_SECONDS)
            link.bind(path)
            process = self.run_agent("-config-file", self.configuration(), env={"NOTIFY_SOCKET": path})
            self.assertEqual(link.recv(1000), b"READY=1")
            self.assertIn(ESTABLISHED, process.wait_for(ESTABLISHED))
            self.stopped(process)
            self.assertEqual(link.recv(1000), b"STOPPING=1")

    def test_abstractNotifySocket(self) -> None:
        """The socket may be an abstract one."""
        name = f"txconsul-test-{os.getpid()}"
        with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as link:
            link.settimeout(DEADLINE_SECONDS)
            link.bind("\0" + name)
            self.run_agent("-config-file", self.configuration(), env={"NOTIFY_SOCKET": "@" + name})
            self.assertEqual(link.recv(1000), b"READY=1")

    def test_pidFile(self) -> None:
        """The file holds the process's number while it runs, and is gone afterwards."""
        path = self.directory / "pid"
        process = self.started(pid_file=str(path))
        self.assertEqual(int(path.read_text()), process.popen.pid)
        self.stopped(process)
        self.assertFalse(path.exists())

    def test_openFiles(self) -> None:
        """The limit of open files is raised to what is allowed."""
        import resource

        _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)

        def lower() -> None:
            resource.setrlimit(resource.RLIMIT_NOFILE, (256, hard))

        process = self.run_agent("-config-file", self.configuration(), preexec_fn=lower)
        process.wait_for(ESTABLISHED)
        limits = Path(f"/proc/{process.popen.pid}/limits").read_text()
        found = re.search(r"Max open files\s+(\d+)\s+(\d+)", limits)
        assert found is not None
        self.assertEqual(found[1], found[2])

    def test_statuses(self) -> None:
        """A configuration that cannot be used ends the start with status 1, and a message that names the key."""
        for change, words in (
            ({"ports": {"htttp": 1}}, "invalid config key ports.htttp"),
            ({"server": "yes"}, "server"),
            ({"performance": {"raft_multiplier": 20}}, "performance.raft_multiplier"),
            ({"bootstrap": True, "bootstrap_expect": 3}, "mutually exclusive"),
            ({"log_level": "loud"}, "loud"),
            ({"acl": {"enabled": True}}, "acl.enabled"),
        ):
            process = self.run_agent("-config-file", self.configuration(**change))
            self.assertEqual(process.wait(), 1, process.output)
            self.assertIn(words, process.output)
            self.assertNotIn("Traceback", process.output)
            self.assertFalse(self.data.exists(), change)

    def test_unknownFlag(self) -> None:
        """So does an unknown flag."""
        process = self.run_agent("-no-such-flag")
        self.assertEqual(process.wait(), 1)
        self.assertIn("no-such-flag", process.output)

    def test_missingFile(self) -> None:
        """So does a file that is not there."""
        process = self.run_agent("-config-file", str(self.directory / "absent.hcl"))
        self.assertEqual(process.wait(), 1)
        self.assertIn("absent.hcl", process.output)
        self.assertNotIn("Traceback", process.output)

    def test_addressInUse(self) -> None:
        """An address that somebody else listens on ends the start with status 1, and is named."""
        with socket.socket() as other:
            other.bind(("127.0.0.1", 0))
            other.listen()
            port = other.getsockname()[1]
            process = self.run_agent(
                "-config-file", self.configuration(addresses={"http": "127.0.0.1"}, ports={"http": port})
            )
            self.assertEqual(process.wait(), 1, process.output)
            self.assertIn(str(port), process.output)
            self.assertNotIn("Traceback", process.output)

    def test_socketWithoutDirectory(self) -> None:
        """So does a Unix socket that cannot be made."""
        path = str(self.directory / "absent" / "http.sock")
        process = self.run_agent("-config-file", self.configuration(addresses={"http": f"unix://{path}"}))
        self.assertEqual(process.wait(), 1, process.output)
        self.assertIn(path, process.output)
        self.assertNotIn("Traceback", process.output)

    def test_socketOfAKilledAgent(self) -> None:
        """A Unix socket that a killed agent left behind is replaced, with the mode that was asked for."""
        self.started().kill()
        self.assertTrue(os.path.exists(self.socket_path))
        self.started(unix_sockets={"mode": "600"})
        self.assertEqual(os.stat(self.socket_path).st_mode & 0o777, 0o600)


class LogTests(ProcessTestCase):
    """What is written to standard output and to files."""

    def test_text(self) -> None:
        """Lines have time, level and part, in Consul's form."""
        process = self.started()
        self.stopped(process)
        form = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z \[(DEBUG|INFO|WARN|ERROR)\] {1,2}[a-z.]+: .")
        for line in process.lines:
            self.assertRegex(line, form)

    def test_json(self) -> None:
        """Each line is one JSON object with hclog's names."""
        process = self.started(log_json=True)
        self.stopped(process)
        events = [json.loads(line) for line in process.lines]
        for event in events:
            self.assertEqual(set(event), {"@level", "@message", "@module", "@timestamp"})
        self.assertIn("agent", {event["@module"] for event in events})

    def test_levels(self) -> None:
        """Nothing below the level is written; names in any case are taken."""
        for level, seen in (("WARN", {"WARN"}), ("err", set()), ("debug", {"INFO", "WARN"})):
            path = self.directory / f"notify.{level}"
            with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as link:
                link.settimeout(DEADLINE_SECONDS)
                link.bind(str(path))
                process = self.run_agent(
                    "-config-file", self.configuration(log_level=level), env={"NOTIFY_SOCKET": str(path)}
                )
                self.assertEqual(link.recv(100), b"READY=1")
            self.stopped(process)
            levels = {found[1] for line in process.lines if (found := re.search(r"\[([A-Z]+)\]", line))}
            self.assertEqual(levels - {"DEBUG"}, seen, process.output)

    def test_file(self) -> None:
        """A log file has the same lines as standard output."""
        path = self.directory / "agent.log"
        process = self.started(log_file=str(path))
        self.stopped(process)
        self.assertEqual(path.read_text().splitlines(), process.lines)


class ClockTests(ProcessTestCase):
    """Time is monotonic: what waits comes in time although the wall clock is set back an hour."""

    def setUp(self) -> None:
        """An agent whose wall clock can be set back."""
        super().setUp()
        self.flag = self.directory / "set-back"
        script = self.directory / "run.py"
        script.write_text(SET_BACK)
        configuration = self.configuration(session_ttl_min="1s")
        self.process = self.run_program(
            sys.executable, str(script), str(self.flag), "agent", "-config-file", configuration
        )
        self.wait_until_it_serves(self.process)

    def date(self) -> str:
        """What hour the agent says it is."""
        return self.ask("GET", "/v1/status/leader").headers["date"]

    def test_blockingQueries(self) -> None:
        """A blocking query that began before the step ends after its wait, and so does one that begins after it."""
        index = self.ask("GET", "/v1/kv/?keys").headers["x-consul-index"]
        query = get(f"/v1/kv/awaited?index={index}&wait=1s")
        before, after = self.connect(), self.connect()
        began = time.monotonic()
        before.sendall(query)
        self.flag.touch()
        after.sendall(query)
        for link in (before, after):
            self.assertTrue(link.recv(1 << 16).startswith(b"HTTP/1.1 404 "))
        self.assertLess(time.monotonic() - began, 10.0)
        self.assertGreater(time.monotonic() - began, 0.9)

    def test_theWallClockIsSetBack(self) -> None:
        """The step is real: dates that the agent shows fall by an hour."""
        from email.utils import parsedate_to_datetime

        before = parsedate_to_datetime(self.date())
        self.flag.touch()
        # The date is made once a second; a blocking query of two waits until it is made anew.
        index = self.ask("GET", "/v1/kv/?keys").headers["x-consul-index"]
        self.ask("GET", f"/v1/kv/awaited?index={index}&wait=2s")
        self.assertGreater((before - parsedate_to_datetime(self.date())).total_seconds(), 3000)
        self.put("a", b"1")

    def test_sessions(self) -> None:
        """A session's time to live passes all the same, and its lock is released."""
        created = self.ask("PUT", "/v1/session/create", json.dumps({"TTL": "1s", "LockDelay": "0s"}))
        session = created.json()["ID"]
        self.assertEqual(self.ask("PUT", f"/v1/kv/lock?acquire={session}", b"x").body.strip(), b"true")
        self.flag.touch()
        index, until = 1, time.monotonic() + DEADLINE_SECONDS
        rows: list[dict[str, Any]] = []
        while time.monotonic() < until:
            answer = self.ask("GET", f"/v1/kv/lock?index={index}&wait=5s")
            rows, index = answer.json(), answer.index
            if "Session" not in rows[0]:
                break
        self.assertNotIn("Session", rows[0])
        self.assertEqual(self.ask("GET", f"/v1/session/info/{session}").json(), [])
