"""
What the stores ask of the operating system, in one place, so that tests can let any of it fail.

Durability is asked for by name: the contents of a file by L{Files.sync_data} or L{Files.sync}, its name by
L{Files.sync_directory}.
"""

from __future__ import annotations

import errno
import os
from typing import BinaryIO

from txconsul.errors import DiskFailed, DiskFull

__all__ = ["Files", "disk_error", "write_all"]

#: No room: on the device, in the user's quota, under the process's file size limit, or among its open files.
_NO_ROOM = frozenset({errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EMFILE, errno.ENFILE})
#: The file system cannot preallocate; its files grow as they are written.
_NO_PREALLOCATION = frozenset({errno.EOPNOTSUPP, errno.ENOSYS, errno.EINVAL})


class Files:
    """The operating system's files. All methods may raise L{OSError}."""

    def open(self, path: str, flags: int) -> int:
        """A descriptor; a new file can be read by its owner only."""
        return os.open(path, flags | os.O_CLOEXEC, 0o600)

    def close(self, descriptor: int) -> None:
        """Give a descriptor back."""
        os.close(descriptor)

    def size(self, descriptor: int) -> int:
        """Bytes in the file."""
        return os.fstat(descriptor).st_size

    def read(self, descriptor: int, count: int, offset: int) -> bytes:
        """Up to C{count} bytes."""
        return os.pread(descriptor, count, offset)

    def write(self, descriptor: int, data: bytes | memoryview, offset: int) -> int:
        """@return: how many bytes were written, which may be fewer."""
        return os.pwrite(descriptor, data, offset)

    def allocate(self, descriptor: int, count: int) -> None:
        """Reserve room for the first C{count} bytes, which read as zeros, where the file system can."""
        try:
            os.posix_fallocate(descriptor, 0, count)
        except OSError as error:
            if error.errno not in _NO_PREALLOCATION:
                raise

    def sync_data(self, descriptor: int) -> None:
        """Make the contents durable, and of the rest only what is needed to read them."""
        os.fdatasync(descriptor)

    def sync(self, descriptor: int) -> None:
        """Make the contents and everything about the file durable, but not its name."""
        os.fsync(descriptor)

    def sync_directory(self, path: str) -> None:
        """Make the names in a directory durable."""
        descriptor = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)

    def rename(self, old: str, new: str) -> None:
        """Give another name, in one step."""
        os.rename(old, new)

    def unlink(self, path: str) -> None:
        """Delete a file."""
        os.unlink(path)

    def make_directory(self, path: str) -> None:
        """A new directory for its owner only."""
        os.mkdir(path, 0o700)

    def remove_directory(self, path: str) -> None:
        """Delete an empty directory."""
        os.rmdir(path)

    def list(self, path: str) -> list[str]:
        """The names in a directory, sorted."""
        return sorted(os.listdir(path))

    def is_directory(self, path: str) -> bool:
        """Whether there is a directory."""
        return os.path.isdir(path)

    def reader(self, path: str) -> BinaryIO:
        """A file to read from its beginning."""
        return open(path, "rb")


def write_all(files: Files, descriptor: int, data: bytes, offset: int) -> None:
    """All of C{data}, however few bytes each write takes. @raise OSError: as the write."""
    written = files.write(descriptor, data, offset)
    while written < len(data):
        more = files.write(descriptor, memoryview(data)[written:], offset + written)
        if more <= 0:
            raise OSError(errno.EIO, "a write that takes nothing")
        written += more


def disk_error(error: OSError, path: str) -> DiskFull | DiskFailed:
    """What a failed write means: no room, or a disk that cannot be trusted."""
    if error.errno in _NO_ROOM:
        return DiskFull(f"{DiskFull.text} ({path}: {error.strerror})")
    return DiskFailed(f"{DiskFailed.text}: {path}: {error.strerror or error}")
