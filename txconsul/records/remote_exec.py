"""
Commands that agents run for whoever asks by C{consul exec}: what the event says, and what is to be done.

Both travel as JSON: the one as a user event's payload, the other as a key's value.

Source: Consul's documentation of C{consul exec}.
"""

from __future__ import annotations

from typing import Annotated

from txconsul.records.base import OMIT_JSON, Duration, Record

__all__ = ["ACK", "COMMAND_EVENT", "EXIT", "JOB", "OUTPUT", "CommandEvent", "CommandSpec"]

#: The event's name. Agents never show such events.
COMMAND_EVENT = "_rexec"
#: Below C{PREFIX/SESSION/}: what is to be done.
JOB = "job"
#: Below C{PREFIX/SESSION/NODE/}: that it is being done, pieces of output by their numbers, and the exit code.
ACK, OUTPUT, EXIT = "ack", "out", "exit"


class CommandEvent(Record, frozen=True):
    """
    Where the command stands, and everything that comes of it.

    @ivar prefix: of keys.
    @ivar session: by which all keys are held: they go when it does.
    """

    prefix: str = ""
    session: str = ""


class CommandSpec(Record, frozen=True):
    """
    What is to be done: one of a command line for a shell, a program with its arguments, and a script.

    @ivar wait: an agent without output says after so long that it is still at work.
    """

    command: Annotated[str, OMIT_JSON] = ""
    args: Annotated[tuple[str, ...] | None, OMIT_JSON] = None
    script: Annotated[bytes | None, OMIT_JSON] = None
    wait: Duration = 0
