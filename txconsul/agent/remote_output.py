"""
What a command of C{consul exec} writes, cut into pieces that are stored as they come.
"""

from __future__ import annotations

from collections.abc import Callable

from twisted.internet.defer import Deferred
from twisted.internet.interfaces import IReactorTime

from txconsul.agent.checks.output import Tail

__all__ = ["FLUSH_SECONDS", "HELD_BYTES_MAX", "PIECE_BYTES_MAX", "Pieces"]

#: Each piece is a key's value. Consul's sizes.
PIECE_BYTES_MAX = 4096
#: So long after the last output, what there is makes a piece, too.
FLUSH_SECONDS = 0.5
#: A command that writes faster than that can be stored must wait: Consul's 16 pieces.
HELD_BYTES_MAX = 16 * PIECE_BYTES_MAX


class Pieces(Tail):
    """
    @ivar hold: called with whether the command must not write on for now.
    """

    def __init__(self, clock: IReactorTime) -> None:
        super().__init__(0)
        self.hold: Callable[[bool], object] = lambda held: None
        self._clock = clock
        self._buffer = bytearray()
        self._ended = self._unwanted = self._held = False
        self._waiting: Deferred[bool] | None = None

    def add(self, data: bytes) -> None:
        """The command has written."""
        self.size += len(data)
        if self._unwanted:
            return
        self._buffer += data
        if len(self._buffer) > HELD_BYTES_MAX:
            self._change_hold(True)
        self._wake()

    def end(self, code: int | None) -> int | None:
        """The command has ended: nothing more comes. @return: the code."""
        self._ended = True
        self._wake()
        return code

    def discard(self) -> None:
        """Nobody wants it any more: the command may write what it likes."""
        self._unwanted = True
        self._waiting = None
        self._buffer.clear()
        self._change_hold(False)

    async def next(self, quiet: float) -> bytes | None:
        """
        The next piece.

        @param quiet: after so many seconds without output there is an empty piece.
        @return: None when there are no more.
        """
        while len(self._buffer) < PIECE_BYTES_MAX and not self._ended:
            if not await self._more(FLUSH_SECONDS if self._buffer else quiet):
                break
        if self._ended and not self._buffer:
            return None
        piece = bytes(self._buffer[:PIECE_BYTES_MAX])
        del self._buffer[:PIECE_BYTES_MAX]
        if len(self._buffer) <= HELD_BYTES_MAX:
            self._change_hold(False)
        return piece

    def _change_hold(self, held: bool) -> None:
        if held is not self._held:
            self._held = held
            self.hold(held)

    def _more(self, seconds: float) -> Deferred[bool]:
        """@return: a Deferred of whether something came within so many seconds."""
        waiting: Deferred[bool] = Deferred()
        self._waiting = waiting

        def over() -> None:
            self._waiting = None
            waiting.callback(False)

        timer = self._clock.callLater(seconds, over)

        def done(result: bool) -> bool:
            if timer.active():
                timer.cancel()
            return result

        return waiting.addBoth(done)

    def _wake(self) -> None:
        waiting, self._waiting = self._waiting, None
        if waiting is not None:
            waiting.callback(True)
