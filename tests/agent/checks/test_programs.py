"""Script checks: what they say, by a clock; and the programs themselves, which really run."""

from __future__ import annotations

import errno
import os
import tempfile
from typing import Any

from twisted.internet import reactor
from twisted.internet.defer import Deferred
from twisted.internet.error import ConnectionDone
from twisted.internet.task import Clock, deferLater
from twisted.python.failure import Failure
from twisted.trial.unittest import SynchronousTestCase, TestCase

from tests.agent.local_agent import NoPrograms
from txconsul.agent.checks.output import Tail
from txconsul.agent.checks.programs import CannotStart, Program, starter
from txconsul.agent.checks.script import ScriptCheck
from txconsul.records.health import CRITICAL, PASSING, WARNING, CheckResult


class ScriptTests(SynchronousTestCase):
    """What becomes of a program's end."""

    def setUp(self) -> None:
        """A program that does what it is told."""
        self.clock, self.programs = Clock(), NoPrograms()
        self.check = self.make("prog", "-x")

    def make(self, *arguments: str) -> ScriptCheck:
        """A check."""
        return ScriptCheck(self.programs.start, self.clock, arguments, 5.0, 8)

    def test_codes(self) -> None:
        """0 is passing, 1 is warning; any other, and the end by a signal, critical."""
        for code, expected in ((0, PASSING), (1, WARNING), (2, CRITICAL), (255, CRITICAL), (None, CRITICAL)):
            found = self.check.run()
            program = self.programs.started[-1]
            program.output.add(b"said\n")
            program.ended.callback(code)
            self.assertEqual(self.successResultOf(found), CheckResult(status=expected, output="said\n"))
        self.assertEqual(self.programs.started[0].arguments, ("prog", "-x"))
        self.assertEqual(self.clock.getDelayedCalls(), [])

    def test_longOutput(self) -> None:
        """The end of a long output is kept, with a remark."""
        found = self.check.run()
        program = self.programs.started[-1]
        for piece in (b"0123", b"456789", b"abc"):
            program.output.add(piece)
        program.ended.callback(0)
        self.assertEqual(self.successResultOf(found).output, "Captured 8 of 13 bytes\n...\n56789abc")

    def test_timeout(self) -> None:
        """A program that takes too long is killed; that it did is certain, and what it had said is told."""
        found = self.check.run()
        self.programs.started[-1].output.add(b"begun")
        self.clock.advance(4.9)
        self.assertNoResult(found)
        self.clock.advance(0.1)
        self.assertTrue(self.programs.started[-1].killed)
        output = "Timed out (5s) running check\n\nbegun"
        self.assertEqual(self.successResultOf(found), CheckResult(status=CRITICAL, output=output, certain=True))

    def test_cannotStart(self) -> None:
        """A program that is not there is critical, and certainly so."""
        result = self.successResultOf(self.make("no-such").run())
        self.assertEqual(result, CheckResult(status=CRITICAL, output="no no-such", certain=True))

    def test_stop(self) -> None:
        """A check that is stopped, or broken off, kills its program."""
        self.check.run()
        self.check.stop()
        self.assertTrue(self.programs.started[-1].killed)
        self.check.stop()
        found = self.check.run()
        program = self.programs.started[-1]
        self.patch(program, "kill", lambda: None)
        found.addErrback(lambda _: None)
        found.cancel()
        program.ended.callback(None)
        self.assertEqual(self.clock.getDelayedCalls(), [])


class TailTests(SynchronousTestCase):
    """The end of what comes in pieces."""

    def test_anyPieces(self) -> None:
        """It is the same in whatever pieces it comes."""
        data = bytes(range(200))
        for size in (1, 7, 200, 300):
            for step in (1, 3, 50, 200):
                tail = Tail(size)
                for at in range(0, len(data), step):
                    tail.add(data[at : at + step])
                self.assertEqual((tail.data, tail.size), (data[-size:], 200))


class ProgramTests(TestCase):
    """Programs of this machine."""

    timeout = 30

    def start(self, *arguments: str, size: int = 4096, **more: Any) -> Program:
        """Begin to run one; it does not outlive the test."""
        program = starter(reactor)(arguments, Tail(size), **more)
        self.addCleanup(program.kill)
        return program

    async def test_ends(self) -> None:
        """Exit codes, and output and errors as one; there is nothing to read."""
        program = self.start("/bin/sh", "-c", "cat; echo out; echo err >&2; exit 3")
        self.assertEqual(await program.ended, 3)
        self.assertEqual(program.output.data, b"out\nerr\n")

    async def test_noDescriptors(self) -> None:
        """Where the system has no descriptors of processes, their end is heard of by the signal."""

        def absent(pid: int) -> int:
            raise OSError(errno.ENOSYS, "Function not implemented")

        self.patch(os, "pidfd_open", absent)
        program = self.start("/bin/sh", "-c", "read line", stdin=self.pipe())
        _reactor().callLater(0, os.close, self.writer)  # when the reactor heeds signals
        self.assertEqual(await program.ended, 1)

    def pipe(self) -> Any:
        """Something to read from, until the test closes C{writer}."""
        reader, self.writer = os.pipe()
        file = os.fdopen(reader, "rb")
        self.addCleanup(file.close)
        return file

    async def test_reactorEnds(self) -> None:
        """When the reactor ends, what was written is taken, and nothing more is waited for."""
        program = self.start("/bin/sh", "-c", f"echo begun; echo ready >{self.fifo()}; sleep 600")
        with open(self.path) as ready:
            ready.read()
        program.connectionLost(Failure(ConnectionDone()))
        self.assertEqual((program.output.text(), program.fileno()), ("begun\n", -1))
        program.kill()
        await program.ended

    async def test_signal(self) -> None:
        """The end by a signal has no code."""
        self.assertIsNone(await self.start("/bin/sh", "-c", "kill -TERM $$").ended)

    async def test_muchOutput(self) -> None:
        """Of much output the end is kept, and all of it is taken."""
        program = self.start("/bin/sh", "-c", "head -c 1000000 /dev/zero; echo; echo end", size=4)
        self.assertEqual(await program.ended, 0)
        self.assertEqual((program.output.data, program.output.size), (b"end\n", 1000005))

    async def test_environment(self) -> None:
        """It has the environment of the agent."""
        self.patch(os, "environ", os.environ.copy())
        program = self.start("/bin/sh", "-c", 'echo "$HOME" "$PATH"')
        await program.ended
        shown = f"{os.environ.get('HOME', '')} {os.environ.get('PATH', '')}\n"
        self.assertEqual(program.output.text(), shown)

    async def test_given(self) -> None:
        """It reads a file from where that stands, and has variables beside the agent's."""
        with tempfile.TemporaryFile() as file:
            file.write(b"not this: " + b"x" * 100_000)
            file.seek(10)
            program = starter(reactor)(
                ("/bin/sh", "-c", 'wc -c; echo "$INDEX" "$HOME"'), Tail(4096), stdin=file, environment={"INDEX": "7"}
            )
            self.addCleanup(program.kill)
        self.assertEqual(await program.ended, 0)
        self.assertEqual(program.output.text().split(), ["100000", "7", os.environ.get("HOME", "")])

    async def test_group(self) -> None:
        """A program is killed with what it started; one that holds the output open holds nothing up."""
        program = self.start("/bin/sh", "-c", "sleep 600 & echo $!; wait")
        written = Deferred[None]()
        taken = program.output.add

        def add(data: bytes) -> None:
            taken(data)
            if not written.called:
                written.callback(None)

        program.output.add = add  # type: ignore[method-assign]
        await written
        child = int(program.output.data)
        program.kill()
        self.assertIsNone(await program.ended)
        program.kill()  # which does nothing any more
        while _state(child) not in ("", "Z"):  # the test's own timeout says if it lives on
            await deferLater(_reactor(), 0.01)

    async def test_killedWhileItSays(self) -> None:
        """What a program had written when it was killed is there."""
        program = self.start("/bin/sh", "-c", f"echo begun; echo ready >{self.fifo()}; sleep 600")
        with open(self.path) as ready:  # opens when the program writes, which is after what it said
            ready.read()
        program.kill()
        await program.ended
        self.assertEqual(program.output.text(), "begun\n")

    def fifo(self) -> str:
        """A new one; its path."""
        self.path = os.path.abspath(self.mktemp())
        os.mkfifo(self.path)
        return self.path

    async def test_cannotStart(self) -> None:
        """What cannot be run is told in words."""
        for arguments, text in (
            (("/no/such/program",), "fork/exec /no/such/program: no such file or directory"),
            (("no-such-program",), 'exec: "no-such-program": executable file not found in $PATH'),
            ((os.path.abspath(os.curdir),), f"fork/exec {os.path.abspath(os.curdir)}: permission denied"),
            (("true", "a\0b"), "fork/exec true: embedded null byte"),
        ):
            error = self.assertRaises(CannotStart, self.start, *arguments)
            self.assertEqual(str(error), text)

    async def test_check(self) -> None:
        """The whole of it."""
        check = ScriptCheck(starter(reactor), _reactor(), ("/bin/sh", "-c", "echo careful; exit 1"), 10.0, 4096)
        self.assertEqual(await check.run(), CheckResult(status=WARNING, output="careful\n"))


def _reactor() -> Any:
    return reactor


def _state(pid: int) -> str:
    """A process's state letter; empty if there is none."""
    try:
        with open(f"/proc/{pid}/stat") as file:
            return file.read().rpartition(")")[2].split()[0]
    except (FileNotFoundError, ProcessLookupError):
        return ""
