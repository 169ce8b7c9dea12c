"""
Leaving a pool so that the others know it for that, and not for a failure.

First the intent is told, then SWIM says that this node is gone, then it stays up a little to be heard. Source: the wire
documents, GOSSIP section 5 (graceful leave).
"""

from __future__ import annotations

from collections.abc import Callable

from txconsul.serf.settings import Settings

__all__ = ["Leaving"]


class Leaving:
    """
    The steps of a node that leaves. Each goes on when it was told often enough, or has had its time.

    @ivar intent: token of the broadcast that says that the node means to leave.
    @ivar word: token of the one that says that it is gone.
    """

    def __init__(
        self,
        settings: Settings,
        *,
        later: Callable[[float, Callable[[float], object]], None],
        say: Callable[[float, object], None],
        done: Callable[[], None],
    ) -> None:
        """
        @param later: has a function called at a time.
        @param say: has SWIM say that the node is gone, with a token.
        @param done: called in the end, once.
        """
        self.intent = object()
        self.word = object()
        self._settings = settings
        self._later = later
        self._say = say
        self._done = done
        self._step = 0

    def begin(self, now: float, *, alone: bool) -> None:
        """The intent is being told. @param alone: there is nobody to hear it."""
        self._later(now if alone else now + self._settings.broadcast_timeout, self._intent_told)
        self._alone = alone

    def told(self, token: object, now: float) -> None:
        """A broadcast was told often enough."""
        if token is self.intent:
            self._later(now, self._intent_told)
        elif token is self.word:
            self._later(now + self._settings.leave_propagate_delay, self._end)

    def _intent_told(self, now: float) -> None:
        if self._step == 0:
            self._step = 1
            self._say(now, self.word)
            wait = self._settings.broadcast_timeout + self._settings.leave_propagate_delay
            self._later(now if self._alone else now + wait, self._end)

    def _end(self, now: float) -> None:
        if self._step == 1:
            self._step = 2
            self._done()
