"""
What is told as it happens, as the body of an answer: to clients that stay, and may be slow.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterator
from typing import Any

from twisted.internet.defer import Deferred

__all__ = ["Following"]


class Following(Iterator["bytes | Deferred[bytes]"]):
    """
    One client's pieces: bytes, or a Deferred of the next ones, until the end.

    @ivar dropped: pieces that came while C{kept_max} were waiting for the client.
    """

    def __init__(self, kept_max: int, ended: Callable[[Any], object]) -> None:
        """@param ended: told once when the client is gone, or nothing more comes."""
        self._kept_max = kept_max
        self._ended = ended
        self._pieces: deque[str] = deque()
        self._waiting: Deferred[bytes] | None = None
        self._open = True
        self.dropped = 0

    def put(self, make: Callable[[], str]) -> None:
        """Something happened; C{make} says it, where there is room for that."""
        if not self._open:
            return
        if len(self._pieces) >= self._kept_max:
            self.dropped += 1
            return
        self._pieces.append(make())
        self._wake()

    def __next__(self) -> bytes | Deferred[bytes]:
        if self._pieces:
            return self._taken()
        if not self._open:
            raise StopIteration
        self._waiting = Deferred(lambda _: self.close())
        return self._waiting

    def _taken(self) -> bytes:
        pieces, self._pieces = self._pieces, deque()
        return "".join(pieces).encode()

    def _wake(self) -> None:
        waiting, self._waiting = self._waiting, None
        if waiting is not None:
            waiting.callback(self._taken())

    def end(self) -> None:
        """Nothing more happens: what is kept can still be taken."""
        if self._open:
            self._open = False
            self._ended(self)
            self._wake()

    def close(self) -> None:
        """The client is gone."""
        self._waiting = None
        self._pieces.clear()
        self.end()
