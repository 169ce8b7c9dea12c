"""
Data of a command: the argument itself, C{@FILE} or C{-} for standard input.
"""

from __future__ import annotations

import os
from typing import BinaryIO

from txconsul.cli.call import Failed
from txconsul.cli.gotext import file_error, system_error, to_bytes

__all__ = ["load_source"]


def load_source(argument: str, stdin: BinaryIO) -> bytes:
    """
    The bytes that an argument stands for.

    @raise Failed: the file or standard input cannot be read.
    """
    if argument == "-":
        try:
            return stdin.read()
        except OSError as error:
            raise Failed(f"Failed to read stdin: {system_error(error)}") from None
    if argument.startswith("@"):
        name = argument[1:]
        try:
            with open(os.fsencode(name), "rb") as file:
                return file.read()
        except (OSError, ValueError) as error:  # ValueError: a NUL in the name
            reason = file_error(error, name) if isinstance(error, OSError) else f"open {name}: invalid argument"
            raise Failed(f"Failed to read file: {reason}") from None
    return to_bytes(argument)
