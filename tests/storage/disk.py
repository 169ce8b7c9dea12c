"""
A disk in memory that fails on demand, and loses on a crash what was not synced; and a worker that works when told.
"""

from __future__ import annotations

import errno
import os
from collections.abc import Callable
from io import BytesIO
from random import Random
from typing import Any, BinaryIO

from twisted.internet.defer import Deferred, fail, succeed

from txconsul.storage.files import Files


class Crashed(BaseException):
    """The machine stopped; nothing of the program runs on."""


class Content:
    """What is in a file: as the kernel shows it, as the disk has it, and the writes between the two."""

    def __init__(self, durable: bytes = b"") -> None:
        self.durable = bytearray(durable)
        self.shown = bytearray(durable)
        self.writes: list[tuple[int, bytes]] = []

    def put(self, data: bytes, offset: int) -> None:
        _put(self.shown, data, offset)
        self.writes.append((offset, bytes(data)))

    def sync(self) -> None:
        self.durable = bytearray(self.shown)
        self.writes.clear()

    def after_crash(self, rng: Random, sector: int) -> bytes:
        """Of each unsynced write any sectors may have been done."""
        data = bytearray(self.durable)
        for offset, written in self.writes:
            fate = rng.randrange(4)
            for at in range(0, len(written), sector):
                if fate == 0 or (fate >= 2 and rng.random() < 0.5):
                    _put(data, written[at : at + sector], offset + at)
        return bytes(data)


def _put(data: bytearray, new: bytes, offset: int) -> None:
    if len(data) < offset:
        data.extend(bytes(offset - len(data)))
    data[offset : offset + len(new)] = new


class FakeDisk(Files):
    """
    @ivar names: path to content, as the kernel shows it.
    @ivar hook: called before each operation with its name and path; it may raise OSError or L{Crashed}.
    @ivar room: bytes that writes may still take; None: without end.
    """

    def __init__(self, *directories: str) -> None:
        self.directories = set(directories)
        self.durable_directories = set(directories)
        self.names: dict[str, Content] = {}
        self.durable_names: dict[str, Content] = {}
        self.descriptors: dict[int, tuple[str, Content]] = {}
        self.hook: Callable[[str, str], None] = lambda operation, path: None
        self.room: int | None = None
        self.operations: list[tuple[str, str]] = []
        self._next = 3

    def crash_at(self, number: int) -> None:
        """Stop before operation C{number}, counted from here, and at every one after it."""
        begin = len(self.operations)

        def hook(operation: str, path: str) -> None:
            if len(self.operations) - begin > number:
                raise Crashed()

        self.hook = hook

    def fail(self, operation: str, number: int, *, path: str = "") -> None:
        """Let operations of one kind (on paths that end so) fail with an errno from now on."""

        def hook(done: str, where: str) -> None:
            if done == operation and where.endswith(path):
                raise OSError(number, os.strerror(number), where)

        self.hook = hook

    def heal(self) -> None:
        """No more failures."""
        self.hook = lambda operation, path: None
        self.room = None

    def after_crash(self, rng: Random, sector: int = 64) -> FakeDisk:
        """What the next start finds: the names of a directory are of one moment between its last sync and now."""
        disk = FakeDisk()
        disk.directories = set(self.directories if rng.random() < 0.5 else self.durable_directories)
        names = self.names if rng.random() < 0.5 else self.durable_names
        for path, content in names.items():
            if os.path.dirname(path) in disk.directories:
                disk.names[path] = Content(content.after_crash(rng, sector))
        disk.settle()
        return disk

    def settle(self) -> None:
        """All that is shown is durable."""
        self.durable_directories = set(self.directories)
        self.durable_names = dict(self.names)
        for content in self.names.values():
            content.sync()

    def _do(self, operation: str, path: str) -> None:
        self.operations.append((operation, path))
        self.hook(operation, path)

    def open(self, path: str, flags: int) -> int:
        self._do("open", path)
        if path in self.names and flags & os.O_EXCL:
            raise FileExistsError(errno.EEXIST, "File exists", path)
        if path not in self.names:
            if not flags & os.O_CREAT:
                raise FileNotFoundError(errno.ENOENT, "No such file", path)
            if os.path.dirname(path) not in self.directories:
                raise FileNotFoundError(errno.ENOENT, "No such directory", path)
            self.names[path] = Content()
        if flags & os.O_TRUNC:
            self.names[path] = Content()
        self._next += 1
        self.descriptors[self._next] = path, self.names[path]
        return self._next

    def close(self, descriptor: int) -> None:
        del self.descriptors[descriptor]

    def size(self, descriptor: int) -> int:
        return len(self.descriptors[descriptor][1].shown)

    def read(self, descriptor: int, count: int, offset: int) -> bytes:
        path, content = self.descriptors[descriptor]
        self._do("read", path)
        return bytes(content.shown[offset : offset + count])

    def write(self, descriptor: int, data: bytes | memoryview, offset: int) -> int:
        path, content = self.descriptors[descriptor]
        self._do("write", path)
        count = len(data)
        if self.room is not None:
            count = min(count, self.room)
            if not count and len(data):
                raise OSError(errno.ENOSPC, "No space left on device", path)
            self.room -= count
        content.put(bytes(data[:count]), offset)
        return count

    def allocate(self, descriptor: int, count: int) -> None:
        path, content = self.descriptors[descriptor]
        self._do("allocate", path)
        if self.room is not None and self.room < count - len(content.shown):
            raise OSError(errno.ENOSPC, "No space left on device", path)
        if len(content.shown) < count:
            content.put(bytes(count - len(content.shown)), len(content.shown))

    def sync_data(self, descriptor: int) -> None:
        path, content = self.descriptors[descriptor]
        self._do("sync", path)
        content.sync()

    sync = sync_data

    def sync_directory(self, path: str) -> None:
        self._do("sync_directory", path)
        for table, durable in ((self.names, self.durable_names),):
            for name in [name for name in durable if os.path.dirname(name) == path and name not in table]:
                del durable[name]
            durable.update({name: content for name, content in table.items() if os.path.dirname(name) == path})
        for name in [d for d in self.durable_directories if os.path.dirname(d) == path and d not in self.directories]:
            self.durable_directories.discard(name)
        self.durable_directories |= {d for d in self.directories if os.path.dirname(d) == path}

    def rename(self, old: str, new: str) -> None:
        self._do("rename", new)
        if old in self.directories:
            self.directories.remove(old)
            self.directories.add(new)
            for table in (self.names, self.durable_names):
                for name in [name for name in table if os.path.dirname(name) == old]:
                    table[os.path.join(new, os.path.basename(name))] = (
                        table.pop(name) if table is self.names else table[name]
                    )
        else:
            self.names[new] = self.names.pop(old)
        for descriptor, (path, content) in self.descriptors.items():
            if path == old:
                self.descriptors[descriptor] = new, content

    def unlink(self, path: str) -> None:
        self._do("unlink", path)
        if path not in self.names:
            raise FileNotFoundError(errno.ENOENT, "No such file", path)
        del self.names[path]

    def make_directory(self, path: str) -> None:
        self._do("make_directory", path)
        if path in self.directories:
            raise FileExistsError(errno.EEXIST, "File exists", path)
        self.directories.add(path)

    def remove_directory(self, path: str) -> None:
        self._do("remove_directory", path)
        self.directories.remove(path)

    def list(self, path: str) -> list[str]:
        if path not in self.directories:
            raise FileNotFoundError(errno.ENOENT, "No such directory", path)
        found = [*self.names, *self.directories]
        return sorted(os.path.basename(name) for name in found if os.path.dirname(name) == path and name != path)

    def is_directory(self, path: str) -> bool:
        return path in self.directories

    def reader(self, path: str) -> BinaryIO:
        if path not in self.names:
            raise FileNotFoundError(errno.ENOENT, "No such file", path)
        return BytesIO(bytes(self.names[path].shown))


class Stepped:
    """A worker that does one piece of work at each L{step}."""

    def __init__(self) -> None:
        self.waiting: list[tuple[Callable[..., Any], tuple[Any, ...], Deferred[Any]]] = []
        self._closing: Deferred[None] | None = None

    def run(self, work: Callable[..., Any], *arguments: Any) -> Deferred[Any]:
        done: Deferred[Any] = Deferred()
        self.waiting.append((work, arguments, done))
        return done

    def close(self) -> Deferred[None]:
        if not self.waiting:
            return succeed(None)
        self._closing = Deferred()
        return self._closing

    def step(self) -> None:
        work, arguments, done = self.waiting.pop(0)
        try:
            result = work(*arguments)
        except Exception as error:
            done.errback(error)
        else:
            done.callback(result)
        if self._closing is not None and not self.waiting:
            closing, self._closing = self._closing, None
            closing.callback(None)

    def settle(self) -> None:
        while self.waiting:
            self.step()


class Direct:
    """Does work at once, and lets L{Crashed} through."""

    def run(self, work: Callable[..., Any], *arguments: Any) -> Deferred[Any]:
        try:
            return succeed(work(*arguments))
        except Exception as error:
            return fail(error)

    def close(self) -> Deferred[None]:
        return succeed(None)
