"""
The README's tour, command by command, with curl, dig, HAProxy, serf, our own command line and py-consul, on a fresh
agent.

Answers are compared with what README shows, but for numbers and ids. Where README starts or kills the agent, this test
does so in its own way. A file that it shows is written, a program that it starts runs on, and what it shows after some
seconds may come sooner or later.
"""

from __future__ import annotations

import re
import select
import shlex
import shutil
import subprocess
import sys
import time
from collections.abc import Callable
from unittest import SkipTest

from tests.real.process import DEADLINE_SECONDS, ROOT, Process, ProcessTestCase, environment
from tests.real.test_twist import TWIST

README = ROOT / "README.md"
_UUID = re.compile(r"[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}")
#: An address as a name in the domain.
_ADDRESS = re.compile(r"[0-9a-f]{8}\.addr")
_INDEX = re.compile(r"ModifyIndex\W+(\d+)")
#: The agent itself, and the end of it or of another program: not for a shell.
_STARTS, _KILLS = re.compile(r"\$ twist txconsul "), re.compile(r"\$ pkill -KILL -f '(.*)'$")
#: What runs on, a file that is shown, and what takes a while.
_RUNS = re.compile(r"\$ ((?:haproxy|python -m http\.server|serf agent|twist \S+ txconsul-gossip) .*)&$")
_SHOWS = re.compile(r"\$ cat (\S+)$")
_LATER = re.compile(r"sleep \d+; ")
_OURS = (_STARTS, _KILLS, _RUNS, _SHOWS)
#: A command that may fail for a while is tried again after so many seconds.
TRY_AGAIN_SECONDS = 0.2


def blocks(text: str) -> list[list[str]]:
    """The lines of each C{console} block."""
    found = re.findall(r"^```console\n(.*?)^```", text, re.MULTILINE | re.DOTALL)
    return [block.splitlines() for block in found]


def steps(lines: list[str]) -> list[tuple[str, list[str]]]:
    """The commands of a block, each with the lines that it shows. What runs beside the next command is one with it."""
    found: list[tuple[str, list[str]]] = []
    for line in lines:
        if not line.startswith("$ "):
            found[-1][1].append(line)
        elif found and found[-1][0].endswith("&") and not _RUNS.match(found[-1][0]):
            beside = found[-1][0].removesuffix("&")
            found[-1] = (f"{beside}> beside & {line[2:]}; wait; cat beside", found[-1][1])
        else:
            found.append((line if any(one.match(line) for one in _OURS) else line[2:], []))
    return found


def pattern(line: str) -> str:
    """What a line that README shows must look like: any ids, addresses and numbers, all else as it is."""
    parts = []
    for piece in re.split(rf"({_UUID.pattern}|{_ADDRESS.pattern}|\d+)", line):
        if _UUID.fullmatch(piece):
            parts.append(f"({_UUID.pattern})")
        elif _ADDRESS.fullmatch(piece):
            parts.append(_ADDRESS.pattern)
        else:
            parts.append(r"\d+" if piece.isdigit() else re.escape(piece))
    return "".join(parts) + r"\s*"


def looks_like(shown: list[str], lines: list[str]) -> bool:
    """Are these the lines that README shows?"""
    return len(shown) == len(lines) and all(
        re.fullmatch(pattern(expected), line) for expected, line in zip(shown, lines, strict=True)
    )


class ReadmeTests(ProcessTestCase):
    """README says what happens."""

    def setUp(self) -> None:
        """An agent on an address of its own, as the README's is on localhost:8500."""
        super().setUp()
        if not README.is_file():
            raise SkipTest("there is no README.md beside these tests")
        for program in "curl", "dig":
            if shutil.which(program) is None:
                raise SkipTest(f"{program} is not installed: script/debian-packages")
        self.host, self.port = self.own_address()
        self.dns_host, self.dns_port = self.own_address()
        self.site_host, self.site_port = self.own_address()
        self.proxy_host, self.proxy_port = self.own_address()
        self.pool_host, _ = self.own_address()
        self.running: list[tuple[str, Process]] = []
        self.file = self.configuration(
            addresses={"http": self.host, "dns": self.dns_host}, ports={"http": self.port, "dns": self.dns_port}
        )
        self.process = self.run_agent_again()

    def run_agent_again(self) -> Process:
        """Start it, and wait until it serves."""
        process = self.run_agent("-config-file", self.file)
        self.wait_until_it_serves(process)
        return process

    def here(self, text: str) -> str:
        """A command or a file with the addresses of this test."""
        for theirs, ours in {
            "localhost:8500": f"{self.host}:{self.port}",
            "@127.0.0.1 -p 8600": f"@{self.dns_host} -p {self.dns_port}",
            "127.0.0.1:8600": f"{self.dns_host}:{self.dns_port}",
            "127.0.0.1:8080": f"{self.proxy_host}:{self.proxy_port}",
            "127.0.0.1:8000": f"{self.site_host}:{self.site_port}",
            "127.0.0.1:790": f"{self.pool_host}:790",
            "--bind 127.0.0.1 --directory site 8000": f"--bind {self.site_host} --directory site {self.site_port}",
            'address = "127.0.0.1"': f'address = "{self.site_host}"',
            "port    = 8000": f"port = {self.site_port}",
        }.items():
            text = text.replace(theirs, ours)
        return text

    def run_on(self, command: str) -> None:
        """Start a program that runs until the end of the test."""
        told, _, file = self.here(command).partition("> ")
        program, *arguments = shlex.split(told)
        if program not in ("python", "twist") and shutil.which(program) is None:
            raise SkipTest(f"{program} is not installed: script/debian-packages; the tour was right up to there")
        if program == "haproxy":
            arguments.insert(0, "-db")
        if program == "serf":
            arguments.append(f"-rpc-addr={self.pool_host}:7373")
        started = {"python": (sys.executable,), "twist": TWIST}.get(program, (program,))
        if file:
            started = ("sh", "-c", f'exec "$@" > {shlex.quote(file.strip())}', "sh", *started)
        self.running.append((command, self.run_program(*started, *arguments)))

    def end(self, pattern: str) -> None:
        """Kill a program that runs on; or the agent, which then comes again."""
        for command, process in self.running:
            if re.search(pattern, command):
                process.kill()
                return
        self.process.kill()
        self.process = self.run_agent_again()

    def shell(self, command: str) -> list[str]:
        """Run a README command against this agent; the lines that it writes."""
        place = f"{self.host}:{self.port}"
        python = shlex.quote(sys.executable)
        command = self.here(command)
        command = re.sub(r"(^|[;&|] )curl ", r"\1curl -sS -w '\\n' ", command)
        command = re.sub(r"(^|[;&|] )txconsul ", rf"\1{python} -m txconsul.cli.main ", command)
        command = re.sub(r"(^|[;&|] )python ", rf"\1{python} ", command)
        done = subprocess.run(
            ["sh", "-c", command],
            cwd=self.directory,
            env=environment(CONSUL_HTTP_ADDR=place, SERF_RPC_ADDR=f"{self.pool_host}:7373"),
            capture_output=True,
            text=True,
            timeout=DEADLINE_SECONDS,
        )
        return [line for line in (done.stdout + done.stderr).splitlines() if line]

    def ask_until(self, command: str, fits: Callable[[list[str]], bool]) -> list[str]:
        """Run a command that asks until its lines are right, or time is up."""
        until = time.monotonic() + DEADLINE_SECONDS
        while not fits(got := self.shell(command)) and time.monotonic() < until:
            select.select([], [], [], TRY_AGAIN_SECONDS)
        return got

    def check(self, command: str, wanted: list[str], ids: dict[str, str]) -> None:
        """Run a command, and see that it writes what README shows."""
        if later := _LATER.match(command):
            got = self.ask_until(command[later.end() :], lambda lines: looks_like(wanted, lines))
        else:
            got = self.shell(command)
        if "> beside &" in command:  # two programs write, and either may be first
            got, wanted = sorted(got), sorted(wanted)
        self.assertEqual(len(got), len(wanted), f"{command}: {got}")
        for line, expected in zip(got, wanted, strict=True):
            match = re.fullmatch(pattern(expected), line)
            self.assertIsNotNone(match, f"{command}: {line!r} instead of {expected!r}")
            assert match is not None
            ids.update(zip(_UUID.findall(expected), match.groups(), strict=True))
            # a later command may wait for a change after an index that README shows
            indexes = (f"index={found}" for found in _INDEX.findall(expected))
            ids.update(zip(indexes, (f"index={found}" for found in _INDEX.findall(line)), strict=True))

    def test_tour(self) -> None:
        """Every command of the tour answers as README shows."""
        #: What README shows -> what it is here, where later commands name it.
        ids: dict[str, str] = {}
        count = 0
        for block in blocks(README.read_text()):
            for command, shown in steps(block):
                if _STARTS.match(command):
                    continue
                if killed := _KILLS.match(command):
                    self.end(killed[1])
                    continue
                if file := _SHOWS.match(command):
                    (self.directory / file[1]).write_text(self.here("\n".join(shown)) + "\n")
                    continue
                if program := _RUNS.match(command):
                    self.run_on(program[1])
                    continue
                for theirs, ours in ids.items():
                    command = command.replace(theirs, ours)
                self.check(command, [line for line in shown if line], ids)
                count += 1
        self.assertGreater(count, 10)
        self.stopped(self.process)
