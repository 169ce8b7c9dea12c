"""
What was registered with an agent, kept in its data directory as JSON, one file each, as Consul keeps it.

A file that cannot be read is told of and left alone: losing one registration must not lose the others.

Source: the layout of Consul's data directory (C{services}, C{checks}, C{checks/state}).
"""

from __future__ import annotations

import hashlib
import os
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, TypeVar

from twisted.logger import Logger

from txconsul.codec import json
from txconsul.errors import TxconsulError
from txconsul.records.base import Record
from txconsul.records.health import HealthCheck
from txconsul.records.service import CheckType, NodeService

__all__ = ["CheckState", "DefinitionFiles", "NotKept", "PersistedCheck", "PersistedService"]

R = TypeVar("R", bound=Record)


class NotKept(TxconsulError):
    """A registration could not be written to the data directory."""


class PersistedService(Record, frozen=True):
    """A service that was registered over the API; C{locally_registered_as_sidecar} is not in the service's JSON."""

    token: str = ""
    service: NodeService = NodeService()
    source: str = "remote"
    locally_registered_as_sidecar: bool = False


class PersistedCheck(Record, frozen=True):
    """A check that was registered over the API; C{chk_type} is what it does, None for a maintenance check."""

    check: HealthCheck = HealthCheck()
    chk_type: CheckType | None = None
    token: str = ""
    source: str = "remote"


class CheckState(Record, frozen=True):
    """
    What a TTL check was told last.

    @ivar expires: when that is worth nothing any more, in Unix seconds.
    """

    check_id: str = ""
    output: str = ""
    status: str = ""
    expires: int = 0


class DefinitionFiles:
    """
    @param directory: the data directory; None to keep nothing.
    """

    _log = Logger("txconsul.agent")

    def __init__(self, directory: str | None) -> None:
        self._root = None if directory is None else Path(directory)

    def keep_service(self, kept: PersistedService) -> None:
        """@raise TxconsulError: it could not be written."""
        self._write("services", kept.service.id, kept)

    def keep_check(self, kept: PersistedCheck) -> None:
        """@raise TxconsulError: it could not be written."""
        self._write("checks", kept.check.check_id, kept)

    def keep_state(self, kept: CheckState) -> None:
        """@raise TxconsulError: it could not be written."""
        self._write("checks/state", kept.check_id, kept)

    def forget_service(self, id: str) -> None:
        """Delete the file, if there is one."""
        self._delete("services", id)

    def forget_check(self, id: str) -> None:
        """Delete the check's file and its state, if there are any."""
        self._delete("checks", id)
        self._delete("checks/state", id)

    def services(self) -> list[PersistedService]:
        """All that were kept."""
        return [*self._read_all("services", PersistedService)]

    def checks(self) -> list[PersistedCheck]:
        """All that were kept."""
        return [*self._read_all("checks", PersistedCheck)]

    def state(self, id: str) -> CheckState | None:
        """What a TTL check was told last."""
        if self._root is None:
            return None
        return self._read(self._path("checks/state", id), CheckState)

    # ---- files ----

    def _path(self, kind: str, id: str) -> Path:
        assert self._root is not None
        return self._root / kind / hashlib.sha256(id.encode("utf-8", "surrogateescape")).hexdigest()

    def _write(self, kind: str, id: str, record: Record) -> None:
        if self._root is None:
            return
        path = self._path(kind, id)
        temporary = path.with_name(f"{path.name}.tmp")
        try:
            path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
            descriptor = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, 0o600)
            with os.fdopen(descriptor, "wb") as file:
                file.write(json.encode(record))
            temporary.replace(path)
        except OSError as error:
            raise NotKept(f"failed persisting {id!r}: {error.strerror or error}") from error

    def _delete(self, kind: str, id: str) -> None:
        if self._root is not None:
            self._try(lambda: self._path(kind, id).unlink(missing_ok=True))

    def _try(self, action: Callable[[], Any]) -> None:
        try:
            action()
        except OSError as error:
            self._log.error("A registration's file could not be deleted: {error}", error=error)

    def _read_all(self, kind: str, record: type[R]) -> Iterator[R]:
        if self._root is None:
            return
        directory = self._root / kind
        for path in sorted(directory.iterdir()) if directory.is_dir() else ():
            if path.suffix == ".tmp" or not path.is_file():
                continue
            found = self._read(path, record)
            if found is not None:
                yield found

    def _read(self, path: Path, record: type[R]) -> R | None:
        try:
            return json.decode(record, path.read_bytes())
        except FileNotFoundError:
            return None
        except (OSError, json.BadJSON, TypeError) as error:
            self._log.error("The registration in {path} cannot be read: {error}", path=str(path), error=error)
            return None
