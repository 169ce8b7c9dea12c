"""
What happened in a simulation: a hash of all of it, and the last lines in words.

The same seed gives the same hash; a failure is shown with the lines that led to it.
"""

from __future__ import annotations

from collections import deque
from zlib import crc32

__all__ = ["Transcript"]

#: Lines kept for a report.
_KEPT = 400


class Transcript:
    """
    @ivar lines: the last few hundred, each with its time.
    @ivar count: of all lines.
    """

    def __init__(self) -> None:
        self.lines: deque[tuple[float, str]] = deque(maxlen=_KEPT)
        self.count = 0
        self._hash = 0

    def add(self, now: float, line: str) -> None:
        """This happened."""
        self.lines.append((now, line))
        self.count += 1
        self._hash = crc32(f"{now:.6f} {line}\n".encode(), self._hash)

    @property
    def hash(self) -> str:
        """Of all lines, in eight hexadecimal digits."""
        return f"{self._hash:08x}"

    def last(self, count: int, about: tuple[str, ...] = ()) -> list[str]:
        """The last lines as text, those only that begin with one of C{about}, if given."""
        chosen = [(now, line) for now, line in self.lines if not about or line.startswith(about)]
        return [f"{now:.3f} {line}" for now, line in chosen[-count:]]
