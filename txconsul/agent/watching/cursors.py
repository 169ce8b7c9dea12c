"""
What the agent's watches told last, kept in its data directory, so that a restart does not tell it again.
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterable
from pathlib import Path

from twisted.logger import Logger

from txconsul.watches.progress import Cursor

__all__ = ["Cursors"]

_NAME = "watches.json"


class Cursors:
    """
    One JSON file: a watch's key to its cursor. One that is lost costs one call of each handler, so that it is written
    in one step but not waited for until it is on the disk.

    @param directory: the data directory; None to keep nothing beyond this run.
    """

    _log = Logger("txconsul.agent.watch")

    def __init__(self, directory: str | None) -> None:
        self._path = None if directory is None else Path(directory, _NAME)
        self._cursors = self._read()

    def find(self, key: str) -> Cursor:
        """A watch's cursor; that of a new watch where there is none."""
        return self._cursors.get(key, Cursor())

    def keep(self, key: str, cursor: Cursor) -> None:
        """A watch has told something."""
        self._cursors[key] = cursor
        self._write()

    def forget_others(self, keys: Iterable[str]) -> None:
        """Of watches that are no more nothing need be kept."""
        wanted = set(keys)
        others = [key for key in self._cursors if key not in wanted]
        for key in others:
            del self._cursors[key]
        if others:
            self._write()

    def _read(self) -> dict[str, Cursor]:
        if self._path is None:
            return {}
        try:
            found = json.loads(self._path.read_bytes())
            return {key: Cursor.read(one) for key, one in found.items()}
        except FileNotFoundError:
            return {}
        except (OSError, ValueError, AttributeError, RecursionError) as error:
            self._log.error(
                "What watches told last cannot be read, so that they tell it again: {path}: {error}",
                path=str(self._path),
                error=error,
            )
            return {}

    def _write(self) -> None:
        if self._path is None:
            return
        data = json.dumps({key: cursor.write() for key, cursor in self._cursors.items()}).encode()
        beside = self._path.with_name(f"{_NAME}.tmp")
        try:
            descriptor = os.open(beside, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, 0o600)
            with os.fdopen(descriptor, "wb") as file:
                file.write(data)
            beside.replace(self._path)
        except OSError as error:
            self._log.error(
                "What watches told last cannot be kept, and will be told again after a restart: {error}", error=error
            )
