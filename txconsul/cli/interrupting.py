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


@contextmanager
def interruptible() -> Iterator[None]:
    """
    Raise L{Interrupted} inside, wherever the program is, when the first of the signals comes. It is to be caught
    inside, too: those that follow, as an impatient user's, are ignored until the end of the block.
    """
    came = False

    def interrupt(number: int, frame: object) -> None:
        nonlocal came
        if not came:
            came = True
            raise Interrupted(number)

    before = [(number, signal.signal(number, interrupt)) for number in _SIGNALS]
    try:
        yield
    finally:
        for number, handler in before:
            signal.signal(number, handler)
