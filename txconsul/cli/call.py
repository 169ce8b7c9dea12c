"""
One run of a command: its flags as parsed, its streams, and the agent when it is wanted.

Every command is a function C{run(arguments, environment, stdin, stdout, stderr, connect) -> exit status}, so that a
test needs neither a process nor a socket. L{command} makes such a function of one that takes a L{Call}. The streams are
binary, since keys and values need not be text.
"""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Mapping
from functools import wraps
from io import BytesIO
from typing import TYPE_CHECKING, BinaryIO, Protocol

from txconsul.cli.gotext import to_bytes
from txconsul.errors import TxconsulError
from txconsul.language.goflags import Flag, FlagError, HelpWanted, Parsed, defaults_text, parse

if TYPE_CHECKING:
    from txconsul.cli.api import Client
    from txconsul.cli.settings import Settings

__all__ = ["Call", "Connect", "Failed", "Run", "command", "standard_streams", "write_line"]

Connect = Callable[["Settings"], "Client"]


class Run(Protocol):
    """What the table of commands leads to."""

    def __call__(
        self,
        arguments: list[str],
        environment: Mapping[str, str],
        stdin: BinaryIO,
        stdout: BinaryIO,
        stderr: BinaryIO,
        connect: Connect,
    ) -> int: ...


class Failed(TxconsulError):
    """The command ends here with exit status 1; the message is for the user."""


class Call:
    """
    What a command has to work with.

    @ivar flags: by name; see L{Parsed}.
    @ivar rest: the arguments behind the flags.
    """

    def __init__(
        self,
        flags: Parsed,
        environment: Mapping[str, str],
        stdin: BinaryIO,
        stdout: BinaryIO,
        stderr: BinaryIO,
        connect: Connect,
    ) -> None:
        self.flags = flags
        self.rest = flags.rest
        self.environment = environment
        self.stdin = stdin
        self._stdout = stdout
        self._stderr = stderr
        self._connect = connect
        self._settings: Settings | None = None

    def say(self, text: str | bytes) -> None:
        """One line, or what holds several, for standard output."""
        write_line(self._stdout, text)

    def complain(self, text: str) -> None:
        """One line for standard error."""
        write_line(self._stderr, text)

    def client(self, lead: str = "Error connecting to Consul agent: ") -> Client:
        """
        The agent that flags and environment name; each time with connections of its own.

        @param lead: how the message begins if there is something wrong with them.
        @raise Failed: they cannot be used.
        """
        from txconsul.cli.settings import BadSettings, read_settings

        try:
            if self._settings is None:
                self._settings = read_settings(self.flags, self.environment, self._warn)
            return self._connect(self._settings)
        except BadSettings as error:
            raise Failed(f"{lead}{error}") from None

    def log(self, level: str, name: str, text: str) -> None:
        """A line for standard error like those of an agent's log."""
        now = time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime())
        self.complain(f"{now}.000Z {f'[{level}]':<7} {name}: {text}")

    def _warn(self, text: str) -> None:
        self.log("WARN", "consul-api", text)


def write_line(stream: BinaryIO, text: str | bytes) -> None:
    """A text and a newline, at once, so that lines of several programs do not mix."""
    data = to_bytes(text) if isinstance(text, str) else text
    stream.write(data + b"\n")
    stream.flush()


def command(
    flags: tuple[Flag, ...], *, repeats_errors: bool = False, lead: str = ""
) -> Callable[[Callable[[Call], int | None]], Run]:
    """
    Make a command of a function that takes a L{Call} and returns an exit status, or None for 0.

    @param flags: those that the command takes. One that it does not take ends it with status 1 and the list of them.
    @param repeats_errors: the flags' error is told once more behind that list, as a few of Consul's commands do.
    @param lead: what that begins with.
    """

    def decorate(function: Callable[[Call], int | None]) -> Run:
        @wraps(function)
        def run(
            arguments: list[str],
            environment: Mapping[str, str],
            stdin: BinaryIO,
            stdout: BinaryIO,
            stderr: BinaryIO,
            connect: Connect,
        ) -> int:
            try:
                parsed = parse(flags, arguments)
            except (FlagError, HelpWanted) as error:
                if isinstance(error, FlagError):
                    write_line(stderr, str(error))
                stderr.write(to_bytes(defaults_text(flags)))
                if repeats_errors:
                    write_line(stderr, f"{lead}{error}")
                return 1
            call = Call(parsed, environment, stdin, stdout, stderr, connect)
            try:
                return function(call) or 0
            except Failed as error:
                call.complain(str(error))
                return 1

        return run

    return decorate


def standard_streams() -> tuple[BinaryIO, BinaryIO, BinaryIO]:
    """The process's own; one that the process was started without is as good as an empty one."""
    stdin = sys.stdin.buffer if sys.stdin else BytesIO()
    stdout = sys.stdout.buffer if sys.stdout else BytesIO()
    stderr = sys.stderr.buffer if sys.stderr else BytesIO()
    return stdin, stdout, stderr
