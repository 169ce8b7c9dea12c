"""
What cannot be had on demand, planted in a whole agent by a script that starts it: a disk that fails, a command that
cannot be applied, a process without descriptors.
"""

from __future__ import annotations

import contextlib
import resource
import socket
import sys
from pathlib import Path

from tests.real.process import Process, ProcessTestCase

#: When the file appears, the disk fails.
DISK_FAILS = """
import errno, os, sys
flag, fdatasync = sys.argv.pop(1), os.fdatasync
def failing(descriptor):
    if os.path.exists(flag):
        raise OSError(errno.EIO, os.strerror(errno.EIO))
    fdatasync(descriptor)
os.fdatasync = failing
from txconsul.cli.main import run
sys.exit(run())
"""

#: A write to one key is a command that this program cannot apply.
CANNOT_APPLY = """
import sys
from txconsul.state import machine
apply = machine.apply
def poisoned(store, index, type_, record):
    if getattr(getattr(record, "dir_ent", None), "key", b"") == b"poison":
        raise ZeroDivisionError("planted")
    return apply(store, index, type_, record)
machine.apply = poisoned
sys.argv.pop(1)
from txconsul.cli.main import run
sys.exit(run())
"""


class FailureTests(ProcessTestCase):
    """A server that cannot be trusted ends, and says why."""

    def planted(self, script: str) -> Process:
        """An agent that is started by a script, which is told a flag file's path."""
        path = self.directory / "planted.py"
        path.write_text(script)
        self.flag = self.directory / "flag"
        return self.run_program(
            sys.executable, str(path), str(self.flag), "agent", "-config-file", self.configuration()
        )

    def end_of(self, process: Process, key: str) -> None:
        """Write the last straw: there is no answer that says it was written, and the process ends as failed."""
        try:
            answer = self.ask("PUT", f"/v1/kv/{key}", "x")
            self.assertEqual(answer.status, 500)
        except OSError:
            pass  # it ended before it could answer
        except Exception as error:  # http.client's own, for a connection that ends
            self.assertIn("Remote end closed", str(error))
        self.assertEqual(process.wait(), 1, process.output)

    def test_failedSync(self) -> None:
        """
        After a sync that failed nobody knows what the disk holds: the process ends with status 1 and names the file.
        All that was acknowledged before is there after a restart.
        """
        process = self.planted(DISK_FAILS)
        self.wait_until_it_serves(process)
        self.put("before", "x")
        self.flag.touch()
        self.end_of(process, "after")
        self.assertRegex(process.output, r"ERROR.*the disk failed: .*/raft/000000000001.log: Input/output error")
        self.assertNotIn("Traceback", process.output)
        self.started()
        self.assertEqual(self.value("before"), b"x")

    def test_commandThatCannotBeApplied(self) -> None:
        """
        A committed command that cannot be applied ends the process with status 1 rather than let servers diverge, and
        does so again at the next start: it is in the log.
        """
        process = self.planted(CANNOT_APPLY)
        self.wait_until_it_serves(process)
        self.put("before", "x")
        self.end_of(process, "poison")
        self.assertIn("ZeroDivisionError: planted", process.output)
        again = self.planted(CANNOT_APPLY)
        self.assertEqual(again.wait(), 1, again.output)
        self.assertIn("ZeroDivisionError: planted", again.output)
        # a program that can apply it goes on
        self.started()
        self.assertEqual(self.value("before"), b"x")
        self.assertEqual(self.value("poison"), b"x")

    def test_fewDescriptors(self) -> None:
        """When clients take all descriptors that they may have, more are told so; those that are there are served."""
        hard = 400

        def lower() -> None:
            resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))

        process = self.run_agent("-config-file", self.configuration(), preexec_fn=lower)
        self.wait_until_it_serves(process)
        request = b"GET /v1/status/leader HTTP/1.1\r\nHost: x\r\n\r\n"
        served = refused = 0
        with contextlib.ExitStack() as links:
            first = links.enter_context(self.connect())
            for _ in range(hard):
                link = links.enter_context(self.connect())
                with contextlib.suppress(BrokenPipeError):  # it may be refused and closed already
                    link.sendall(request)
                answer = link.recv(1 << 16)
                served += answer.startswith(b"HTTP/1.1 200 ")
                refused += answer.startswith(b"HTTP/1.1 503 ")
            first.sendall(request)
            self.assertTrue(first.recv(1 << 16).startswith(b"HTTP/1.1 200 "))
        self.assertEqual(served + refused, hard)
        self.assertGreater(served, 200)
        self.assertGreater(refused, 50)
        self.put("a", "x")
        self.stopped(process)
        self.assertNotIn("Traceback", process.output)


class AddressTests(ProcessTestCase):
    """Where an agent listens."""

    def test_several(self) -> None:
        """Several addresses, IPv6 and Unix sockets among them, lead to one server."""
        host, port = self.own_address()
        hosts = [host, self.own_address()[0]]
        try:
            with socket.socket(socket.AF_INET6) as probe:
                probe.bind(("::1", port))
            hosts.append("::1")
        except OSError:
            pass  # no IPv6 here
        process = self.started(
            addresses={"http": " ".join([*hosts, f"unix://{self.socket_path}"])}, ports={"http": port}
        )
        self.put("a", "x")
        for one in hosts:
            with socket.create_connection((one, port), 10) as link:
                link.sendall(b"GET /v1/kv/a?raw HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")
                got = b""
                while piece := link.recv(1 << 16):
                    got += piece
                self.assertTrue(got.endswith(b"\r\n\r\nx"), got)
        self.assertEqual(len([line for line in process.lines if "Listening for HTTP" in line]), len(hosts) + 1)
        self.stopped(process)

    def test_flags(self) -> None:
        """Flags alone, with one dash or two, make a server."""
        host, port = self.own_address()
        data = Path(self.directory / "elsewhere")
        process = self.run_agent(
            *("-server", "--bootstrap-expect=1", "-data-dir", str(data), "--bind", host),
            *("-client", host, "-http-port", str(port), "-node", "by-flags", "-log-level=info"),
        )
        self.wait_until_it_serves(process)
        with socket.create_connection((host, port), 10) as link:
            link.sendall(b"GET /v1/agent/self HTTP/1.1\r\nHost: x\r\n\r\n")
            self.assertIn(b'"NodeName":"by-flags"', link.recv(1 << 16))
        self.assertTrue((data / "raft" / "vote").is_file())
        self.stopped(process)
