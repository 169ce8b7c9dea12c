"""
Pieces on their way out, as fast as the connection takes them; and pieces on their way in, as fast as they are wanted.

Pieces are an iterator of C{bytes}. Where nothing is there yet it gives a Deferred of the next piece instead, and is
asked again when that has fired. C{close}, if it has that, ends it early.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterator
from typing import Any

from twisted.internet.defer import Deferred
from twisted.internet.interfaces import IDelayedCall, IPushProducer, IReactorTime
from twisted.python.failure import Failure
from zope.interface import implementer

__all__ = ["INCOMING_BYTES_MAX", "TURN_BYTES_MAX", "Incoming", "Piece", "Pump"]

#: Given to a connection in one turn of the reactor.
TURN_BYTES_MAX = 1 << 19
#: A piece counts as so many bytes at least: little may have been made of much, by compression.
PIECE_BYTES_MIN = 1 << 15
#: Received and not yet taken, beyond which nothing more is read from the connection.
INCOMING_BYTES_MAX = 1 << 18

Piece = bytes | Deferred[bytes]


@implementer(IPushProducer)
class Pump:
    """Writes pieces to a connection."""

    def __init__(
        self, clock: IReactorTime, transport: Any, pieces: Iterator[Any], ended: Callable[[Failure | None], object]
    ) -> None:
        """@param ended: called when all is written, or with what an iterator or its Deferred failed with."""
        self._clock = clock
        self._transport = transport
        self._pieces = pieces
        self._ended = ended
        self._awaited: Deferred[bytes] | None = None
        self._paused = False
        self._over = False
        self._soon: IDelayedCall | None = None
        self._pumping = False

    def start(self) -> None:
        """Begin."""
        self._transport.registerProducer(self, True)
        self._pump()

    def stop(self) -> None:
        """Write nothing more; nobody is told."""
        if self._over:
            return
        self._over = True
        if self._soon is not None:
            self._soon.cancel()
            self._soon = None
        awaited, self._awaited = self._awaited, None
        if awaited is not None:
            awaited.cancel()
        close = getattr(self._pieces, "close", None)
        if close is not None:
            close()

    def pauseProducing(self) -> None:
        """See L{IPushProducer}."""
        self._paused = True

    def resumeProducing(self) -> None:
        """See L{IPushProducer}."""
        self._paused = False
        self._pump()

    def stopProducing(self) -> None:
        """See L{IPushProducer}."""
        self.stop()

    def _pump(self) -> None:
        if self._pumping or self._awaited is not None or self._over or self._soon is not None:
            return
        self._pumping = True
        given = 0
        try:
            while not (self._paused or self._over or self._awaited is not None):
                if given >= TURN_BYTES_MAX:
                    self._soon = self._clock.callLater(0, self._go_on)
                    return
                try:
                    piece = next(self._pieces)
                except StopIteration:
                    self._end(None)
                    return
                except Exception:
                    self._end(Failure())
                    return
                if isinstance(piece, Deferred):
                    self._awaited = piece
                    piece.addCallbacks(self._came, self._failed)
                else:
                    given += max(len(piece), PIECE_BYTES_MIN)
                    self._transport.write(piece)
        finally:
            self._pumping = False

    def _go_on(self) -> None:
        self._soon = None
        self._pump()

    def _came(self, piece: bytes) -> None:
        self._awaited = None
        if not self._over:
            self._transport.write(piece)
            self._pump()

    def _failed(self, failure: Failure) -> None:
        self._awaited = None
        if not self._over:
            self._end(failure)

    def _end(self, failure: Failure | None) -> None:
        self._transport.unregisterProducer()
        self.stop()
        self._ended(failure)


class Incoming:
    """Pieces that a connection brings."""

    def __init__(self, transport: Any) -> None:
        self._transport = transport
        self._held: deque[bytes] = deque()
        self._held_bytes = 0
        self._reading = True
        self._waiting: Deferred[bytes] | None = None
        self._over = False
        self._failure: Failure | None = None

    # ---- the connection's side ----

    def received(self, data: bytes) -> None:
        """The next bytes."""
        if self._over or not data:
            return
        waiting, self._waiting = self._waiting, None
        if waiting is not None:
            waiting.callback(data)
            return
        self._held.append(data)
        self._held_bytes += len(data)
        if self._held_bytes > INCOMING_BYTES_MAX and self._reading:
            self._reading = False
            self._transport.pauseProducing()

    def ended(self, failure: Failure | None = None) -> None:
        """Nothing more comes. @param failure: if that is too early."""
        if self._over:
            return
        self._over = True
        self._failure = failure
        waiting, self._waiting = self._waiting, None
        if waiting is None:
            return
        if failure is None:
            waiting.callback(b"")
        else:
            waiting.errback(failure)

    # ---- the taker's side ----

    def __iter__(self) -> Iterator[Piece]:
        return self

    def __next__(self) -> Piece:
        if self._held:
            data = self._held.popleft()
            self._held_bytes -= len(data)
            if not self._reading and not self._over and self._held_bytes <= INCOMING_BYTES_MAX // 2:
                self._reading = True
                self._transport.resumeProducing()
            return data
        if self._over:
            if self._failure is not None:
                self._failure.raiseException()
            raise StopIteration
        self._waiting = Deferred(self._unwanted)
        return self._waiting

    def close(self) -> None:
        """The rest is not wanted."""
        if not self._over:
            self._over = True
            self._transport.abortConnection()
        self._held.clear()

    def _unwanted(self, _: Deferred[bytes]) -> None:
        self._waiting = None
