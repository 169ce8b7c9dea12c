"""
Commands that run until a signal: an interrupt or a termination ends them as if they had come to their end.
"""

from __future__ import annotations

import signal
from collections.abc import Iterator
from contextlib import contextmanager

__all__ = ["Interrupted", "interruptible"]

_SIGNALS = (signal.SIGINT, signal.SIGTERM)


class Interrupted(KeyboardInterrupt):
    """
    A signal asked the command to end.

    @ivar number: which one.
    """

    def __init__(self, number: int) -> None:
        super().__init__()
        self.number = number


class Interruptions:
    """What becomes of signals inside L{interruptible}."""

    def __init__(self) -> None:
        self._came: int | None = None
        self._put_off = False

    def receive(self, number: int, frame: object) -> None:
        """A signal came. Those that follow the first one, as an impatient user's, are ignored."""
        if self._came is None:
            self._came = number
            if not self._put_off:
                raise Interrupted(number)

    @contextmanager
    def put_off(self) -> Iterator[None]:
        """Raise L{Interrupted} not inside, but at the end: for what must not be broken off in the middle."""
        before = self._came
        self._put_off = True
        try:
            yield
        finally:
            self._put_off = False
        if self._came is not None and before is None:
            raise Interrupted(self._came)

    def ignore(self) -> None:
        """From now on no signal matters: the command is about to end anyway."""
        self._put_off = True


@contextmanager
def interruptible() -> Iterator[Interruptions]:
    """
    Raise L{Interrupted} inside, wherever the program is, when the first of the signals comes. It is to be caught
    inside, too.
    """
    interruptions = Interruptions()
    before = [(number, signal.signal(number, interruptions.receive)) for number in _SIGNALS]
    try:
        yield interruptions
    finally:
        for number, handler in before:
            signal.signal(number, handler)
