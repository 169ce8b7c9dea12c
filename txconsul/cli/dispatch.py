"""
From the words of a command line to the command, by the rules that users of Consul's know.

Help is asked for by C{-h}, C{-help} or C{--help} anywhere before C{--}. Words that are no flags name the command; the
longest name in the table counts, what follows are its arguments. Exit status 127 says that there is no such command,
1 that a group was called without one of its subcommands.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from importlib import import_module
from typing import BinaryIO

from txconsul.cli.call import Connect, Run, write_line
from txconsul.cli.commands import COMMANDS, SHOW_HELP, Command
from txconsul.cli.gotext import to_bytes
from txconsul.cli.usage import command_help, program_help

__all__ = ["UNKNOWN_COMMAND", "dispatch"]

#: The exit status where no command is named, or an unknown one; shells use the same.
UNKNOWN_COMMAND = 127

_HELP = ("-h", "-help", "--help")
_VERSION = ("-v", "-version", "--version")

Table = Mapping[tuple[str, ...], Command]


def dispatch(
    words: Sequence[str],
    environment: Mapping[str, str],
    stdin: BinaryIO,
    stdout: BinaryIO,
    stderr: BinaryIO,
    connect: Connect,
    table: Table = COMMANDS,
) -> int:
    """
    Run what the words say.

    @param words: without the program's name.
    @return: the exit status.
    """
    end = words.index("--") if "--" in words else len(words)
    at = next((place for place in range(end) if words[place] and words[place][0] != "-"), end)
    before = words[:at]
    if any(word in _VERSION for word in before):
        return _function(table[("version",)])([], environment, stdin, stdout, stderr, connect)
    wants_help = any(word in _HELP for word in words[:end])
    name = _longest(words[at:end], table)
    if name is None:
        listed = [(key[0], row.synopsis) for key, row in table.items() if len(key) == 1]
        nothing = wants_help and at == end
        (stdout if nothing else stderr).write(to_bytes(program_help(listed)))
        return 0 if nothing else UNKNOWN_COMMAND
    if wants_help:
        stdout.write(_help(name, table))
        return 0
    if before:
        write_line(stderr, "Flags of a command belong behind its name: txconsul <command> [options] [args]\n")
        stderr.write(_help(name, table))
        return 1
    arguments = list(words[at + len(name) :])
    status = _function(table[name])(arguments, environment, stdin, stdout, stderr, connect)
    if status == SHOW_HELP:
        stderr.write(_help(name, table))
        return 1
    return status


def _longest(words: Sequence[str], table: Table) -> tuple[str, ...] | None:
    """The longest name that the words begin with. A word with a space in it is an argument, never a name."""
    named: list[str] = []
    for word in words:
        if not word or word[0] == "-" or " " in word:
            break
        named.append(word)
    for length in range(len(named), 0, -1):
        if tuple(named[:length]) in table:
            return tuple(named[:length])
    return None


def _function(row: Command) -> Run:
    module, _, function = row.target.partition(":")
    found: Run = getattr(import_module(module), function)
    return found


def _help(name: tuple[str, ...], table: Table) -> bytes:
    module = import_module(table[name].target.partition(":")[0])
    below = [
        (key[-1], row.synopsis) for key, row in table.items() if len(key) == len(name) + 1 and key[: len(name)] == name
    ]
    return to_bytes(command_help(module.HELP, getattr(module, "FLAGS", ()), below))
