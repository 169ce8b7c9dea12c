"""
The data directory: who may use it, what format it has, and where things are in it.

  - C{lock}: held while a process uses the directory; it names the process.
  - C{format}: a number. A program reads its own and older ones, and refuses newer ones by name.
  - C{node-id}: the node's UUID, as Consul keeps it.
  - C{serf/}: what gossip pools remember: members, and keys.
  - C{raft/}: the segments of the log; C{raft/vote}: term and vote; C{raft/snapshots/}: snapshots.
"""

from __future__ import annotations

import fcntl
import os
import re
from contextlib import suppress
from pathlib import Path

from txconsul.errors import Corrupt, DiskFailed, TxconsulError
from txconsul.storage.files import disk_error

__all__ = ["FORMAT", "DataDirectory", "DirectoryRefused", "load_node_id", "store_node_id"]

#: The layout above. It rises when a program that knows only the old layout would misread a directory.
FORMAT = 1
#: What a format file, a lock or a node id may hold at the most.
_TEXT_BYTES_MAX = 4096
_UUID = re.compile(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}")
#: What Consul itself keeps in C{raft/}.
_CONSULS = ("raft.db", "wal", "peers.json")


class DirectoryRefused(TxconsulError):
    """The data directory cannot be used; the text says which, why, and what helps."""

    text = "the data directory cannot be used"


class DataDirectory:
    """
    One data directory, locked from L{open} to L{close}.

    @ivar path: the directory.
    """

    def __init__(self, path: str | Path) -> None:
        """Nothing is touched before L{open}."""
        self.path = Path(path).absolute()
        self._lock: int | None = None

    @property
    def raft(self) -> Path:
        """Where the log's segments are."""
        return self.path / "raft"

    @property
    def vote(self) -> Path:
        """The file of term and vote."""
        return self.raft / "vote"

    @property
    def snapshots(self) -> Path:
        """Where the snapshots are."""
        return self.raft / "snapshots"

    @property
    def serf(self) -> Path:
        """Where the gossip pools' files are."""
        return self.path / "serf"

    @property
    def node_id(self) -> Path:
        """The file of the node's UUID."""
        return self.path / "node-id"

    def open(self) -> None:
        """
        Make the directory if there is none, lock it, check its format, and make what is missing in it.

        @raise DirectoryRefused: it is in use, belongs to a newer program or to Consul, or cannot be written.
        @raise Corrupt: its format file is damaged.
        """
        try:
            fresh = self._make()
            self._take_lock()
        except OSError as error:
            raise DirectoryRefused(_unusable(self.path, error)) from None
        try:
            self._check_format(fresh)
            for part in (self.raft, self.snapshots, self.serf):
                part.mkdir(mode=0o700, exist_ok=True)
                if not os.access(part, os.R_OK | os.W_OK | os.X_OK):
                    raise DirectoryRefused(_unusable(part, PermissionError(0, "Permission denied")))
            _sync_directory(self.raft)
            _sync_directory(self.path)
        except OSError as error:
            self.close()
            raise DirectoryRefused(_unusable(self.path, error)) from None
        except BaseException:
            self.close()
            raise

    def close(self) -> None:
        """Unlock it. Of no effect if it is not locked."""
        if self._lock is not None:
            os.close(self._lock)
            self._lock = None

    def _make(self) -> bool:
        """@return: whether there was nothing in it."""
        self.path.mkdir(mode=0o700, parents=True, exist_ok=True)
        mode = self.path.stat().st_mode & 0o777
        if mode & 0o077:
            with suppress(PermissionError):  # another's directory that we may write: its owner decides
                self.path.chmod(0o700)
        return not any(self.path.iterdir())

    def _take_lock(self) -> None:
        path = self.path / "lock"
        descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            holder = os.pread(descriptor, _TEXT_BYTES_MAX, 0).decode("ascii", "replace").strip()
            os.close(descriptor)
            by = f" (process {holder})" if holder.isdigit() else ""
            raise DirectoryRefused(f"data directory {self.path}: another txconsul uses it{by}") from None
        except BaseException:
            os.close(descriptor)
            raise
        os.ftruncate(descriptor, 0)
        os.pwrite(descriptor, f"{os.getpid()}\n".encode(), 0)
        self._lock = descriptor

    def _check_format(self, fresh: bool) -> None:
        path = self.path / "format"
        text = _read(path)
        if text is None:
            for name in _CONSULS:
                if not fresh and (self.raft / name).exists():
                    raise DirectoryRefused(
                        f"data directory {self.path}: raft/{name} is Consul's own; take a snapshot of that server "
                        "and restore it here, with another data directory"
                    )
            _replace(path, f"{FORMAT}\n")
            return
        if not text.strip().isascii() or not text.strip().isdigit() or int(text) < 1:
            raise Corrupt(f"{path}: not a format number: {text[:20]!r}")
        if int(text) > FORMAT:
            raise DirectoryRefused(
                f"data directory {self.path} has format {int(text)}, written by a newer txconsul; "
                f"this one reads formats up to {FORMAT}"
            )


def load_node_id(path: Path) -> str | None:
    """
    The node's UUID, in lower case; None if none was stored.

    @raise Corrupt: the file holds something else.
    @raise DiskFailed: the file cannot be read.
    """
    try:
        text = _read(path)
    except OSError as error:
        raise DiskFailed(f"{DiskFailed.text}: {path}: {error.strerror}") from None
    if text is None:
        return None
    node_id = text.strip().lower()
    if _UUID.fullmatch(node_id) is None:
        raise Corrupt(f"{path}: not a node id (a UUID): {text[:50]!r}")
    return node_id


def store_node_id(path: Path, node_id: str) -> None:
    """
    Make the node's UUID durable.

    @raise ValueError: it is no UUID in lower case.
    @raise DiskFull: there is no room.
    @raise DiskFailed: the file cannot be written.
    """
    if _UUID.fullmatch(node_id) is None:
        raise ValueError(f"not a node id (a UUID): {node_id!r}")
    try:
        _replace(path, node_id)
    except OSError as error:
        raise disk_error(error, str(path)) from None


def _read(path: Path) -> str | None:
    try:
        with path.open("rb") as file:
            return file.read(_TEXT_BYTES_MAX).decode("utf-8", "replace")
    except FileNotFoundError:
        return None


def _replace(path: Path, text: str) -> None:
    """Write a small file so that a crash leaves the old one or the new one."""
    new = path.with_name(path.name + ".new")
    descriptor = os.open(new, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, 0o600)
    try:
        os.write(descriptor, text.encode())
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
    new.replace(path)
    _sync_directory(path.parent)


def _sync_directory(path: Path) -> None:
    descriptor = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _unusable(path: Path, error: OSError) -> str:
    return f"data directory {path}: {error.strerror or error}; the user that runs txconsul must own it"
