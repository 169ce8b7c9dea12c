"""
Programs that a command runs for its user, with the command's own output streams.
"""

from __future__ import annotations

import os
import signal
import subprocess
from collections.abc import Callable, Mapping, Sequence

from txconsul.cli.gotext import go_quoted, system_error
from txconsul.cli.interrupting import Interrupted

__all__ = ["CannotStart", "end_child", "ended", "run_child", "shell_words", "start_child"]

#: Seconds that a program which was told to end is given.
END_SECONDS = 5.0


class CannotStart(Exception):
    """The program cannot be run; the message is in Go's words."""


def shell_words(words: Sequence[str], environment: Mapping[str, str]) -> list[str]:
    """The words for a shell that runs C{words} as one line: that of the variable SHELL, or C{/bin/sh}."""
    return [environment.get("SHELL") or "/bin/sh", "-c", " ".join(words)]


def start_child(
    words: Sequence[str], environment: Mapping[str, str], stdin: int | None = None
) -> subprocess.Popen[bytes]:
    """
    Start a program.

    @param stdin: as C{subprocess} has it; None lets the program read the command's own input.
    @raise CannotStart: there is no such program, or none that may be run.
    """
    try:
        return subprocess.Popen(words, env=dict(environment), stdin=stdin)
    except OSError as error:
        raise CannotStart(_reason(words[0], error)) from None
    except ValueError:  # a NUL among the words
        raise CannotStart(f"fork/exec {words[0]}: invalid argument") from None


def run_child(words: Sequence[str], environment: Mapping[str, str], stdin: bytes) -> int:
    """
    Run a program to its end.

    @param stdin: what it reads.
    @return: its exit status, or the negative number of the signal that ended it.
    @raise CannotStart: it did not start.
    @raise Interrupted: a signal came, and was passed on to it.
    """
    child = start_child(words, environment, subprocess.PIPE)
    try:
        child.communicate(stdin)
    except Interrupted as interrupted:
        child.send_signal(interrupted.number)
        raise
    return child.returncode


def end_child(child: subprocess.Popen[bytes], wait: Callable[[float], bool]) -> None:
    """
    Have a program end: it is asked, and killed if it does not.

    @param wait: waits so many seconds at most for its end; whether it came.
    """
    child.terminate()
    if not wait(END_SECONDS):
        child.kill()


def ended(status: int) -> str:
    """
    How a program ended, as Go says it; empty for an exit status of 0.

    >>> ended(3), ended(-9)
    ('exit status 3', 'signal: killed')
    """
    if status >= 0:
        return f"exit status {status}" if status else ""
    return f"signal: {(signal.strsignal(-status) or str(-status)).lower()}"


def _reason(program: str, error: OSError) -> str:
    if os.sep not in program and isinstance(error, FileNotFoundError):
        return f"exec: {go_quoted(program)}: executable file not found in $PATH"
    return f"fork/exec {program}: {system_error(error)}"
