"""The file of C{txconsul watch -cursor-file}: what was told last."""

from __future__ import annotations

import json
import os

from txconsul.cli.call import Failed
from txconsul.cli.gotext import file_error
from txconsul.watches.progress import Cursor

__all__ = ["CursorFile"]

#: No cursor comes near it.
_BYTES_MAX = 4096


class CursorFile:
    """
    @param name: of the file; empty for none.
    """

    def __init__(self, name: str) -> None:
        self._name = name

    def load(self) -> Cursor:
        """
        The cursor in the file; that of a new watch where there is no file yet.

        @raise Failed: it cannot be read, or holds something else, which is then left alone.
        """
        if not self._name:
            return Cursor()
        try:
            with open(os.fsencode(self._name), "rb") as file:
                data = file.read(_BYTES_MAX)
        except FileNotFoundError:
            return Cursor()
        except OSError as error:
            raise Failed(f"Error reading cursor file: {file_error(error, self._name)}") from None
        try:
            cursor = Cursor.read(json.loads(data))
        except (ValueError, RecursionError):
            cursor = Cursor()
        if cursor == Cursor():
            raise Failed(f"Error reading cursor file: {self._name} holds no cursor")
        return cursor

    def keep(self, cursor: Cursor) -> None:
        """
        Write it in one step: whoever looks sees the old one or the new one.

        @raise Failed: it cannot be written.
        """
        if not self._name:
            return
        beside = os.fsencode(f"{self._name}.new")
        try:
            with open(beside, "wb") as file:
                file.write(json.dumps(cursor.write()).encode() + b"\n")
                file.flush()
                os.fsync(file.fileno())
            os.replace(beside, os.fsencode(self._name))
        except OSError as error:
            raise Failed(f"Error writing cursor file: {file_error(error, self._name)}") from None
