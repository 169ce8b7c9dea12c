"""
Trouble that begins and ends: what simulations of different worlds have in common.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from random import Random
from typing import Any, Protocol

__all__ = ["Trouble"]


class _World(Protocol):
    """What trouble needs of a world."""

    clock: Any

    def tell(self, line: str) -> None:
        """Into the transcript."""


class Trouble:
    """
    Makes trouble until told to stop.

    @ivar active: what goes on now, in words, by number.
    """

    def __init__(self, world: _World, rng: Random) -> None:
        self.active: dict[int, str] = {}
        self._rng = rng
        self._clock = world.clock
        self._tell = world.tell
        self._count = 0
        self._ends: dict[int, Callable[[], None]] = {}
        self._stopped = False
        self._kinds: Sequence[Callable[[], None]] = ()
        self._pause = 1.0

    def begin(self, kinds: Sequence[Callable[[], None]], pause: float) -> None:
        """@param pause: seconds between two faults, on average."""
        self._kinds = kinds
        self._pause = pause
        self._again()

    def stop(self) -> None:
        """All faults end, and no new ones begin."""
        self._stopped = True
        for end in list(self._ends.values()):
            end()
        self._ends.clear()
        self.active.clear()

    def __str__(self) -> str:
        return ", ".join(self.active.values())

    def _again(self) -> None:
        self._clock.callLater(self._rng.expovariate(1 / self._pause), self._go)

    def _go(self) -> None:
        if not self._stopped:
            self._rng.choice(self._kinds)()
            self._again()

    def _for(self, seconds: float, text: str, end: Callable[[], None]) -> None:
        """C{text} goes on for so long, more or less, and then C{end}s."""
        self._count += 1
        number = self._count
        self.active[number] = f"{text} from {self._clock.now:.1f} s"
        self._tell(f"*> {text}")
        self._ends[number] = end

        def over() -> None:
            if self._ends.pop(number, None) is not None:
                del self.active[number]
                self._tell(f"*> end of {text}")
                end()

        self._clock.callLater(self._rng.expovariate(1 / seconds), over)
