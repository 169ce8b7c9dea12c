"""
A small text file that is kept beside something that must not wait for it, nor stop with it: lines are appended soon
after they are given, or the whole is replaced in one step. Gossip keeps its snapshot and its keyring so.

What cannot be written is told of and tried again, the whole file then, as nobody knows what a failed write has left.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from contextlib import suppress
from typing import Any

from twisted.internet.defer import Deferred, inlineCallbacks, succeed
from twisted.internet.interfaces import IDelayedCall, IReactorTime
from twisted.logger import Logger
from twisted.python.failure import Failure

from txconsul.errors import DiskFailed, DiskFull
from txconsul.storage.files import Files, disk_error, write_all
from txconsul.storage.worker import Worker

__all__ = ["FLUSH_SECONDS", "RETRY_SECONDS", "Journal", "replace_file"]

#: Lines wait so long for others: Serf's time. A crash loses no more than these.
FLUSH_SECONDS = 0.5
#: After a failure it is tried again so much later: Serf's time. A disk does not get room by being asked often.
RETRY_SECONDS = 30.0

_log = Logger()


def replace_file(files: Files, path: str, data: bytes) -> None:
    """
    Write a file anew, durably and in one step: whoever reads it finds the old or the new one. Its owner alone can.

    @raise OSError: the old file is as it was, or all of the new one is there.
    """
    new = path + ".new"
    with suppress(FileNotFoundError):  # it may have been made by others, for others to read
        files.unlink(new)
    descriptor = files.open(new, os.O_WRONLY | os.O_CREAT | os.O_EXCL)
    try:
        write_all(files, descriptor, data, 0)
        files.sync(descriptor)
    finally:
        files.close(descriptor)
    files.rename(new, path)
    files.sync_directory(os.path.dirname(path) or ".")


class Journal:
    """
    One file. Its directory must exist; the file appears with the first write.
    """

    def __init__(
        self,
        path: str,
        clock: IReactorTime,
        worker: Worker,
        whole: Callable[[], bytes],
        *,
        files: Files | None = None,
    ) -> None:
        """
        @param worker: does what blocks, one thing after the other.
        @param whole: all that the file is to hold, including what was appended already.
        """
        self.path = path
        self._clock = clock
        self._worker = worker
        self._whole = whole
        self._files = files or Files()
        self._pending: list[bytes] = []
        self._anew = False
        self._writing = False
        self._closed = False
        self._call: IDelayedCall | None = None
        self._waiting: list[Deferred[str]] = []
        # Touched by the worker only: the file as it is open, and where the next lines go.
        self._descriptor: int | None = None
        self._size = 0

    def read(self, line_bytes_max: int) -> Deferred[list[bytes] | None]:
        """
        What the file holds. To be called before anything is appended.

        @param line_bytes_max: longer lines come in pieces of so many bytes.
        @return: a Deferred of its lines, with their newlines; of None if there is no file. It fails with
            L{DiskFailed} or L{DiskFull} if the file cannot be read.
        """
        return self._worker.run(self._read, line_bytes_max)

    def append(self, lines: bytes) -> None:
        """Have lines written soon."""
        if lines and not self._closed:
            if not self._anew:  # else they are in the whole
                self._pending.append(lines)
            self._write_in(FLUSH_SECONDS)

    def replace(self) -> Deferred[str]:
        """Have the file written anew, now. @return: as L{flush}."""
        if self._closed:
            return succeed(f"{self.path} is not written any more")
        self._anew = True
        return self.flush()

    def flush(self) -> Deferred[str]:
        """
        Write now what there is to be written.

        @return: a Deferred firing when that is durable, with an empty text, or has failed, with the reason.
        """
        done: Deferred[str] = Deferred()
        self._waiting.append(done)
        if not self._writing:
            self._write()
        return done

    @inlineCallbacks
    def close(self) -> Any:
        """Write what there is, and nothing more. @return: a Deferred firing when that is done, or has failed."""
        if self._closed:
            return
        self._closed = True
        yield self.flush()
        if self._call is not None:
            self._call.cancel()
            self._call = None
        yield self._worker.run(self._release)

    # ---- when ----

    def _write_in(self, seconds: float) -> None:
        if self._call is None and not self._writing:
            self._call = self._clock.callLater(seconds, self._due)

    def _due(self) -> None:
        self._call = None
        self._write()

    def _write(self) -> None:
        """Begin to write."""
        if self._call is not None:
            self._call.cancel()
            self._call = None
        waiting, self._waiting = self._waiting, []
        pending, self._pending = b"".join(self._pending), []
        if self._anew:
            self._anew = False
            work = self._worker.run(self._replace, self._whole())
        elif pending:
            work = self._worker.run(self._append, pending)
        else:
            for done in waiting:
                done.callback("")
            return
        self._writing = True
        work.addCallbacks(lambda _: "", self._fail).addCallback(self._written, waiting)

    def _fail(self, failure: Failure) -> str:
        failure.trap(DiskFull, DiskFailed)
        self._anew = True
        _log.error(
            "{path} is not written, to be tried again in {seconds:g} s: {error}",
            path=self.path,
            seconds=RETRY_SECONDS,
            error=failure.value,
        )
        return str(failure.value)

    def _written(self, problem: str, waiting: list[Deferred[str]]) -> None:
        self._writing = False
        if problem:
            waiting, self._waiting = waiting + self._waiting, []
        if problem and not self._closed:
            self._write_in(RETRY_SECONDS)
        elif self._waiting:
            self._write()
        elif self._pending:
            self._write_in(FLUSH_SECONDS)
        for done in waiting:
            done.callback(problem)

    # ---- what blocks ----

    def _read(self, line_bytes_max: int) -> list[bytes] | None:
        lines = []
        try:
            with self._files.reader(self.path) as reader:
                while line := reader.readline(line_bytes_max):
                    lines.append(line)
        except FileNotFoundError:
            return None
        except OSError as error:
            raise disk_error(error, self.path) from None
        return lines

    def _append(self, data: bytes) -> None:
        files = self._files
        try:
            if self._descriptor is None:
                self._descriptor = files.open(self.path, os.O_WRONLY | os.O_CREAT)
                self._size = files.size(self._descriptor)
            write_all(files, self._descriptor, data, self._size)
            files.sync_data(self._descriptor)
        except OSError as error:
            raise disk_error(error, self.path) from None
        self._size += len(data)

    def _replace(self, data: bytes) -> None:
        try:
            replace_file(self._files, self.path, data)
        except OSError as error:
            raise disk_error(error, self.path) from None
        finally:
            self._release()

    def _release(self) -> None:
        if self._descriptor is not None:
            self._files.close(self._descriptor)
            self._descriptor = None
