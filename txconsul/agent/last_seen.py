"""
When a server last ran, so that one that was away for long does not come back into its group by mistake.

What such a server knows has been forgotten by the others: deleted nodes and services, tombstones, keys of gossip. Its
operator decides whether its data may go.

Source: Consul's documentation of C{server_rejoin_age_max}; the file has Consul's name and form.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

import msgspec
from twisted.application.service import Service
from twisted.internet.defer import Deferred
from twisted.internet.interfaces import IReactorTime
from twisted.internet.task import LoopingCall
from twisted.logger import Logger

from txconsul.agent.configuration.model import Configuration
from txconsul.codec.duration import SECOND, format_duration
from txconsul.errors import Corrupt, DiskFailed, TxconsulError
from txconsul.storage.worker import Worker

__all__ = ["AwayTooLong", "LastSeen", "check_last_seen", "last_seen_file"]

#: Seconds between two notes.
NOTE_SECONDS = 3600.0


class AwayTooLong(TxconsulError):
    """The server was away for longer than it may; the text says what helps."""


class _Note(msgspec.Struct):
    """@ivar last_seen_unix: in seconds since 1970."""

    last_seen_unix: int = 0


def last_seen_file(configuration: Configuration) -> Path | None:
    """Where it is noted; nowhere for who is no server, or keeps nothing."""
    it = configuration
    if not it.server or it.dev_mode or not it.data_dir:
        return None
    return Path(it.data_dir, "server_metadata.json")


def check_last_seen(configuration: Configuration, now: float) -> None:
    """
    May this server come back?

    @param now: seconds since 1970.
    @raise AwayTooLong: no.
    @raise Corrupt: the note cannot be understood.
    @raise DiskFailed: or read.
    """
    path = last_seen_file(configuration)
    if path is None:
        return
    try:
        note = msgspec.json.decode(path.read_bytes(), type=_Note)
    except FileNotFoundError:  # the first start
        return
    except OSError as error:
        raise DiskFailed(f"{DiskFailed.text}: {path}: {error.strerror}") from None
    except msgspec.MsgspecError as error:
        raise Corrupt(f"error reading server metadata: {path}: {error}") from None
    age_max = configuration.server_rejoin_age_max
    if note.last_seen_unix < now - age_max:
        raise AwayTooLong(
            "refusing to rejoin cluster because server has been offline for more than the configured "
            f"server_rejoin_age_max ({format_duration(int(age_max * SECOND))}) - consider wiping your data dir"
        )


class LastSeen(Service):
    """Notes that the server runs, at once and again and again."""

    name = "last-seen"
    _log = Logger("txconsul.agent")

    def __init__(self, path: Path, now_utc: Callable[[], float], clock: IReactorTime, worker: Worker) -> None:
        """@param worker: does what blocks. It is not closed."""
        self._path = path
        self._now_utc = now_utc
        self._worker = worker
        self._noting = LoopingCall(self._note)
        self._noting.clock = clock

    def startService(self) -> None:
        """See L{Service}."""
        super().startService()
        self._noting.start(NOTE_SECONDS)

    def stopService(self) -> None:
        """See L{Service}."""
        super().stopService()
        if self._noting.running:
            self._noting.stop()

    def _note(self) -> Deferred[None]:
        data = msgspec.json.encode(_Note(int(self._now_utc())))
        return self._worker.run(_replace, self._path, data).addErrback(
            lambda reason: self._log.error(
                "It could not be noted that this server runs: {error}", error=reason.getErrorMessage()
            )
        )


def _replace(path: Path, data: bytes) -> None:
    """Write a small file in one step; a crash leaves the old one or the new one."""
    new = path.with_name(path.name + ".new")
    descriptor = os.open(new, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, 0o600)
    with open(descriptor, "wb") as file:
        file.write(data)
        file.flush()
        os.fsync(file.fileno())
    new.replace(path)
