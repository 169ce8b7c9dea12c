"""
What C{-h} shows: a command's own text, its flags wrapped at 72 columns, its subcommands.
"""

from __future__ import annotations

from collections.abc import Iterable

from txconsul.language.goflags import Flag, unquoted

__all__ = ["command_help", "program_help"]

_COLUMNS = 72
_INDENT = 5

Row = tuple[str, str]


def program_help(rows: Iterable[Row]) -> str:
    """
    The list of commands.

    @param rows: names and synopses.
    """
    lines = ["Usage: txconsul [--version] [--help] <command> [<args>]", "", "Available commands are:"]
    return "\n".join([*lines, *_aligned(rows), "", ""])


def command_help(text: str, flags: Iterable[Flag], subcommands: Iterable[Row]) -> str:
    """One command's help, ending in a newline."""
    parts = [text.strip()]
    flags = sorted((flag for flag in flags if not flag.hidden), key=lambda flag: flag.name)
    if flags:
        from txconsul.cli.settings import CLIENT_FLAGS, SERVER_FLAGS

        shared = {flag.name for flag in CLIENT_FLAGS + SERVER_FLAGS}
        sections = (
            ("HTTP API Options", [flag for flag in flags if flag.name in shared]),
            ("Command Options", [flag for flag in flags if flag.name not in shared]),
        )
        for title, some in sections:
            if some:
                parts += [title, *(_flag(flag) for flag in some)]
    rows = list(subcommands)
    if rows:
        parts.append("\n".join(["Subcommands:", *_aligned(rows)]))
    return "\n\n".join(parts) + "\n"


def _aligned(rows: Iterable[Row]) -> list[str]:
    rows = sorted(rows)
    width = max((len(name) for name, _ in rows), default=0)
    return [f"    {name.ljust(width)}    {synopsis}" for name, synopsis in rows]


def _flag(flag: Flag) -> str:
    word, usage = unquoted(flag)
    head = f"  -{flag.name}" + (f"=<{word}>" if word else "")
    return "\n".join([head, *(" " * _INDENT + line for line in _wrapped(usage))])


def _wrapped(text: str) -> list[str]:
    """Lines of whole words, as long as fits."""
    lines = [""]
    for word in text.split():
        if lines[-1] and len(lines[-1]) + 1 + len(word) > _COLUMNS - _INDENT:
            lines.append("")
        lines[-1] += f" {word}" if lines[-1] else word
    return lines
