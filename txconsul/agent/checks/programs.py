"""
Programs that checks and watches run: each in a process group of its own, so that it can be ended with all that it
started.

Twisted's C{spawnProcess} cannot make a process group before the program begins, and to make it afterwards loses a race;
so the process is started by C{subprocess}, and the reactor is told of its output and of its end by their descriptors.
"""

from __future__ import annotations

import errno
import os
import signal
import subprocess
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from typing import IO, Any, Protocol

from twisted.internet.defer import Deferred
from twisted.internet.interfaces import IReadDescriptor
from twisted.internet.process import registerReapProcessHandler, unregisterReapProcessHandler
from twisted.python.failure import Failure
from zope.interface import implementer

from txconsul.agent.checks.output import Tail
from txconsul.errors import TxconsulError

__all__ = ["CannotStart", "Program", "Start", "starter"]

#: Read of a program's output at once.
READ_BYTES_MAX = 1 << 16


class CannotStart(TxconsulError):
    """There is no such program, or none that may be run; the text says which and why."""


@implementer(IReadDescriptor)
class _Exit:
    """
    Waits for a process to exit by a descriptor of it (pidfd_open(2)), which says so whether or not somebody heeds the
    signal.

    @raise OSError: the system has no such descriptors.
    """

    def __init__(self, reactor: Any, pid: int, exited: Callable[[], object]) -> None:
        self._descriptor = os.pidfd_open(pid)
        self._reactor = reactor
        self._exited = exited
        reactor.addReader(self)

    def fileno(self) -> int:
        """The descriptor's number, or -1."""
        return self._descriptor

    def logPrefix(self) -> str:
        """As the reactor wants it."""
        return "check"

    def doRead(self) -> None:
        """The process has exited."""
        self.connectionLost(None)
        self._exited()

    def connectionLost(self, reason: Failure | None) -> None:
        """Wait no more."""
        if self._descriptor >= 0:
            self._reactor.removeReader(self)
            os.close(self._descriptor)
            self._descriptor = -1


@implementer(IReadDescriptor)
class Program:
    """
    One run of a program, whose output and errors are one.

    @ivar output: the end of it.
    @ivar ended: fires with the exit code when the program has ended and its output is closed; None where a signal
        ended it.
    """

    def __init__(self, reactor: Any, process: subprocess.Popen[bytes], output: Tail) -> None:
        assert process.stdout is not None
        self.output = output
        self.ended: Deferred[int | None] = Deferred()
        self._reactor = reactor
        self._process = process
        self._out = process.stdout
        self._code: int | None = None
        self._reaped = self._by_signal = False
        os.set_blocking(self._out.fileno(), False)
        reactor.addReader(self)
        try:
            _Exit(reactor, process.pid, self.reapProcess)
        except OSError:
            self._by_signal = True
            registerReapProcessHandler(process.pid, self)

    def kill(self) -> None:
        """End it and all that it started and that stayed in its group; what they write from now on counts no more."""
        if self.ended.called:
            return  # the group's number may be another one's by now
        # All of them may have ended, or have become another user's.
        with suppress(ProcessLookupError, PermissionError):
            os.killpg(self._process.pid, signal.SIGKILL)
        if not self._out.closed:
            self.doRead()  # what was written until now counts, which is as much as a pipe holds
        self._close()

    def hold(self, held: bool) -> None:
        """Read its output no more for now, so that it waits when a pipe is full; or go on."""
        if not self._out.closed:
            (self._reactor.removeReader if held else self._reactor.addReader)(self)

    def _close(self) -> None:
        if not self._out.closed:
            self._reactor.removeReader(self)
            self._out.close()
        self._end()

    def _end(self) -> None:
        if self._reaped and self._out.closed and not self.ended.called:
            self.ended.callback(self._code)

    # ---- the reactor's ----

    def fileno(self) -> int:
        """The pipe's number, or -1."""
        return -1 if self._out.closed else self._out.fileno()

    def logPrefix(self) -> str:
        """As the reactor wants it."""
        return "check"

    def doRead(self) -> None:
        """Take what the program has written."""
        try:
            data = os.read(self._out.fileno(), READ_BYTES_MAX)
        except OSError as error:
            if error.errno in (errno.EAGAIN, errno.EINTR):
                return
            data = b""
        if data:
            self.output.add(data)
        else:
            self._close()

    def connectionLost(self, reason: Failure) -> None:
        """Nothing comes any more: all who could write have ended, or the reactor has."""
        size = -1
        while size != self.output.size and not self._out.closed:
            size = self.output.size
            self.doRead()
        self._close()

    def reapProcess(self) -> None:
        """Some process ended: this one?"""
        try:
            pid, status = os.waitpid(self._process.pid, os.WNOHANG)
        except ChildProcessError:
            pid, status = self._process.pid, 0
        if pid:
            if self._by_signal:
                unregisterReapProcessHandler(pid, self)
            self.processEnded(status)

    def processEnded(self, status: int) -> None:
        """The program has ended, with what C{wait} says."""
        self._reaped = True
        self._code = os.WEXITSTATUS(status) if os.WIFEXITED(status) else None
        self._process.returncode = os.waitstatus_to_exitcode(status)  # nobody else need wait for it
        self._end()


class Start(Protocol):
    """
    What starts programs.

    It is called with a program and its arguments, and with what keeps the output; C{stdin} is a file that it reads,
    from where that stands, or None for nothing to read; C{environment} holds variables beside those of this process;
    C{stderr} is a file for its errors, or None where they are part of the output. It raises L{CannotStart}.
    """

    def __call__(
        self,
        arguments: Sequence[str],
        output: Tail,
        /,
        *,
        stdin: IO[bytes] | None = None,
        environment: Mapping[str, str] | None = None,
        stderr: IO[bytes] | None = None,
    ) -> Program: ...


def starter(reactor: Any) -> Start:
    """
    What starts programs, with the environment and working directory of this process.

    @param reactor: an L{IReactorFDSet} that reaps processes.
    """

    def start(
        arguments: Sequence[str],
        output: Tail,
        /,
        *,
        stdin: IO[bytes] | None = None,
        environment: Mapping[str, str] | None = None,
        stderr: IO[bytes] | None = None,
    ) -> Program:
        try:
            process = subprocess.Popen(
                list(arguments),
                stdin=subprocess.DEVNULL if stdin is None else stdin,
                stdout=subprocess.PIPE,
                stderr=subprocess.STDOUT if stderr is None else stderr,
                env=None if environment is None else {**os.environ, **environment},
                process_group=0,
            )
        except FileNotFoundError as error:
            raise CannotStart(_not_found(arguments[0])) from error
        except (OSError, ValueError) as error:
            why = (error.strerror or str(error)) if isinstance(error, OSError) else str(error)
            raise CannotStart(f"fork/exec {arguments[0]}: {why.lower()}") from error
        return Program(reactor, process, output)

    return start


def _not_found(program: str) -> str:
    if "/" in program:
        return f"fork/exec {program}: no such file or directory"
    return f'exec: "{program}": executable file not found in $PATH'
