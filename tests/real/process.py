"""
Agents as processes of their own, for tests: each has a directory, listens on a Unix socket in it, and is always killed.

Whoever waits here waits for something to happen, with a deadline: a line of the log, the end of the process, an answer.
"""

from __future__ import annotations

import http.client
import json
import os
import re
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from twisted.trial.unittest import SynchronousTestCase

__all__ = ["DEADLINE_SECONDS", "ESTABLISHED", "Answer", "Process", "ProcessTestCase", "environment"]

#: Nothing that is waited for takes this long on a machine that is not broken, however busy.
DEADLINE_SECONDS = 30.0
#: What a server logs once it takes requests.
ESTABLISHED = "Leadership is established"
#: What a listener logs.
LISTENING = "Listening for HTTP on"

ROOT = Path(__file__).resolve().parent.parent.parent
AGENT = (sys.executable, "-m", "txconsul.cli.main", "agent")
#: Loopback addresses of our own: nobody else binds there, so that a port which was free stays free.
_LOOPBACK = iter(range(1, 1 << 16))


def environment(**more: str) -> dict[str, str]:
    """This process's environment, with the tested txconsul first on the path, and nothing that aims at an agent."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("CONSUL_", "NOTIFY_"))}
    return {**kept, "PYTHONPATH": str(ROOT), "PYTHONUNBUFFERED": "1", **more}


class Answer(NamedTuple):
    """@ivar headers: lower-case names."""

    status: int
    headers: dict[str, str]
    body: bytes

    def json(self) -> Any:
        """The body, decoded."""
        return json.loads(self.body)

    @property
    def index(self) -> int:
        """C{X-Consul-Index}."""
        return int(self.headers["x-consul-index"])


class _UnixConnection(http.client.HTTPConnection):
    def __init__(self, path: str, timeout: float) -> None:
        super().__init__("localhost", timeout=timeout)
        self._path = path

    def connect(self) -> None:
        self.sock = socket.socket(socket.AF_UNIX)
        self.sock.settimeout(self.timeout)
        self.sock.connect(self._path)


class Process:
    """
    One run of a program, with all that it writes.

    @ivar lines: what it wrote so far, standard output and error together.
    """

    def __init__(self, arguments: Sequence[str], *, cwd: str, env: Mapping[str, str], **more: Any) -> None:
        """@param more: for L{subprocess.Popen}."""
        self.lines: list[str] = []
        self._ended = False
        self._news = threading.Condition()
        self.popen = subprocess.Popen(
            arguments,
            cwd=cwd,
            env=env,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            **more,
        )
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()

    def _read(self) -> None:
        assert self.popen.stdout is not None
        for line in self.popen.stdout:
            with self._news:
                self.lines.append(line.decode("utf-8", "replace").rstrip("\n"))
                self._news.notify_all()
        with self._news:
            self._ended = True
            self._news.notify_all()

    @property
    def output(self) -> str:
        """All lines."""
        return "\n".join(self.lines)

    def wait_for(self, pattern: str, seconds: float = DEADLINE_SECONDS, times: int = 1) -> str:
        """
        The first line in which the pattern is found, or the second, and so on, if it is to be there several times.

        @raise AssertionError: it does not come, or the process ended without it.
        """
        until, seen = time.monotonic() + seconds, 0
        with self._news:
            while True:
                for line in self.lines[seen:]:
                    if re.search(pattern, line):
                        times -= 1
                        if not times:
                            return line
                seen = len(self.lines)
                left = until - time.monotonic()
                if self._ended or not self._news.wait(max(left, 0.0)):
                    raise AssertionError(f"no line {pattern!r} from the process:\n{self.output}")

    def wait(self, seconds: float = DEADLINE_SECONDS) -> int:
        """
        Its exit status, once it has ended and everything it wrote is in C{lines}.

        @raise AssertionError: it does not end.
        """
        try:
            status = self.popen.wait(seconds)
        except subprocess.TimeoutExpired:
            raise AssertionError(f"the process runs on:\n{self.output}") from None
        self._reader.join(seconds)
        return status

    def signal(self, number: int) -> None:
        """Send it a signal."""
        self.popen.send_signal(number)

    def kill(self) -> None:
        """End it at once, if it runs, and give everything free."""
        if self.popen.poll() is None:
            self.popen.kill()
        self.popen.wait(DEADLINE_SECONDS)
        self._reader.join(DEADLINE_SECONDS)
        assert self.popen.stdout is not None
        self.popen.stdout.close()

    def memory_peak(self) -> int:
        """VmHWM: the most memory that was resident, in bytes."""
        return self._memory("VmHWM")

    def memory(self) -> int:
        """VmRSS, in bytes."""
        return self._memory("VmRSS")

    def _memory(self, name: str) -> int:
        status = Path(f"/proc/{self.popen.pid}/status").read_text()
        found = re.search(rf"{name}:\s*(\d+) kB", status)
        assert found is not None
        return int(found[1]) * 1024

    def cpu_seconds(self) -> float:
        """User and system time so far."""
        fields = Path(f"/proc/{self.popen.pid}/stat").read_text().rpartition(")")[2].split()
        return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


class ProcessTestCase(SynchronousTestCase):
    """
    A test with a directory of its own for one agent's configuration, data and socket.

    @ivar directory: short enough for the path of a Unix socket.
    @ivar bind_host: the address at which this test's agent gossips.
    """

    def setUp(self) -> None:
        self.directory = Path(tempfile.mkdtemp(prefix="txc-"))
        self.addCleanup(shutil.rmtree, self.directory, ignore_errors=True)
        self.data = self.directory / "data"
        self.socket_path = str(self.directory / "http.sock")
        self.bind_host = self.own_address()[0]

    # ---- running ----

    def configuration(self, **more: Any) -> str:
        """
        Write the configuration of a lone server on a Unix socket, without DNS, which would need a port.

        @param more: keys that are added or replaced.
        @return: the file's path.
        """
        it: dict[str, Any] = {
            "server": True,
            "bootstrap_expect": 1,
            "node_name": "one",
            "data_dir": str(self.data),
            "bind_addr": self.bind_host,
            "addresses": {"http": f"unix://{self.socket_path}"},
            **more,
            "ports": {"dns": -1, **more.get("ports", {})},
        }
        path = self.directory / "agent.json"
        path.write_text(json.dumps(it))
        return str(path)

    def run_agent(self, *arguments: str, env: Mapping[str, str] = {}, **more: Any) -> Process:
        """An agent that has just been started with these arguments; it is killed when the test ends."""
        return self.run_program(*AGENT, *arguments, env=env, **more)

    def run_program(self, *arguments: str, env: Mapping[str, str] = {}, **more: Any) -> Process:
        """A program that has just been started; it is killed when the test ends."""
        process = Process(arguments, cwd=str(self.directory), env=environment(**env), **more)
        self.addCleanup(process.kill)
        return process

    def started(self, *, env: Mapping[str, str] = {}, **more: Any) -> Process:
        """An agent of L{configuration} that takes requests."""
        process = self.run_agent("-config-file", self.configuration(**more), env=env)
        places = more.get("addresses", {})
        self.wait_until_it_serves(process, listeners=len(str(places.get("http", "one")).split()))
        return process

    def wait_until_it_serves(self, process: Process, seconds: float = DEADLINE_SECONDS, listeners: int = 1) -> None:
        """Return once a server listens and leads. @param listeners: for HTTP; those of HTTPS come after."""
        process.wait_for(LISTENING, seconds, listeners)
        process.wait_for(ESTABLISHED, seconds)

    def stopped(self, process: Process) -> None:
        """Ask an agent to stop, and see it stop cleanly."""
        process.signal(signal.SIGTERM)
        self.assertEqual(process.wait(), 0, process.output)

    def own_address(self) -> tuple[str, int]:
        """
        A loopback address and port of this test's own. The address is derived from the number of this process, so that
        nobody else looks for a port there.
        """
        number = (os.getpid() * 31 + next(_LOOPBACK)) % 0xFFFF
        host = f"127.101.{number >> 8}.{1 + number % 250}"
        with socket.socket() as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            probe.bind((host, 0))
            return host, probe.getsockname()[1]

    # ---- asking ----

    def connect(self, timeout: float = DEADLINE_SECONDS) -> socket.socket:
        """A connection to the agent's Unix socket; closed when the test ends."""
        link = socket.socket(socket.AF_UNIX)
        self.addCleanup(link.close)
        link.settimeout(timeout)
        link.connect(self.socket_path)
        return link

    def ask(
        self,
        method: str,
        path: str,
        body: bytes | str | None = None,
        *,
        timeout: float = DEADLINE_SECONDS,
        headers: Mapping[str, str] = {},
    ) -> Answer:
        """One request on a connection of its own."""
        connection = _UnixConnection(self.socket_path, timeout)
        try:
            connection.request(method, path, body, dict(headers))
            response = connection.getresponse()
            names = {name.lower(): value for name, value in response.getheaders()}
            return Answer(response.status, names, response.read())
        finally:
            connection.close()

    def put(self, key: str, value: bytes | str) -> None:
        """Write a key, and see it written."""
        answer = self.ask("PUT", f"/v1/kv/{key}", value)
        self.assertEqual((answer.status, answer.body.strip()), (200, b"true"))

    def value(self, key: str) -> bytes | None:
        """A key's value."""
        answer = self.ask("GET", f"/v1/kv/{key}?raw")
        return None if answer.status == 404 else answer.body
