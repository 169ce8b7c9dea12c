"""
Where blocking disk work is done: a thread of its own, or, in tests and tools, on the spot.
"""

from __future__ import annotations

from collections.abc import Callable
from queue import SimpleQueue
from threading import Thread
from typing import Any, Protocol, TypeVar

from twisted.internet.defer import Deferred, maybeDeferred, succeed
from twisted.internet.interfaces import IReactorFromThreads

__all__ = ["DiskThread", "Inline", "Worker"]

T = TypeVar("T")


class Worker(Protocol):
    """Does one piece of work after the other."""

    def run(self, work: Callable[..., T], *arguments: Any) -> Deferred[T]:
        """
        Do C{work(*arguments)} after all that was given before.

        @return: a Deferred firing, in the reactor's thread, with its result or its exception.
        """

    def close(self) -> Deferred[None]:
        """@return: a Deferred firing when all work is done; none may be given afterwards."""


class DiskThread:
    """
    One thread for one store, begun with the first work, so that a commit never waits behind somebody else's in a pool.

    The thread is a daemon: a process that is told to die does not wait for a disk that hangs.
    """

    def __init__(self, reactor: IReactorFromThreads, name: str) -> None:
        """@param name: shown by debuggers."""
        self._reactor = reactor
        self._name = name
        self._queue: SimpleQueue[tuple[Callable[..., Any], tuple[Any, ...], Deferred[Any]] | None] = SimpleQueue()
        self._thread: Thread | None = None
        self._closed = False

    def run(self, work: Callable[..., T], *arguments: Any) -> Deferred[T]:
        """See L{Worker.run}."""
        if self._closed:
            raise RuntimeError("the thread was closed")
        done: Deferred[T] = Deferred()
        if self._thread is None:
            self._thread = Thread(target=self._serve, name=self._name, daemon=True)
            self._thread.start()
        self._queue.put((work, arguments, done))
        return done

    def close(self) -> Deferred[None]:
        """See L{Worker.close}."""
        if self._closed or self._thread is None:
            self._closed = True
            return succeed(None)
        ended = self.run(lambda: None)
        self._closed = True
        self._queue.put(None)
        thread = self._thread

        def join(_: None) -> None:
            thread.join()

        return ended.addCallback(join)

    def _serve(self) -> None:
        take, tell = self._queue.get, self._reactor.callFromThread
        while (task := take()) is not None:
            work, arguments, done = task
            try:
                result = work(*arguments)
            except BaseException as error:
                tell(done.errback, error)
            else:
                tell(done.callback, result)
            task = work = arguments = done = result = None  # type: ignore[assignment]


class Inline:
    """Does work at once, in the caller's thread."""

    def run(self, work: Callable[..., T], *arguments: Any) -> Deferred[T]:
        """See L{Worker.run}."""
        return maybeDeferred(work, *arguments)

    def close(self) -> Deferred[None]:
        """See L{Worker.close}."""
        return succeed(None)
