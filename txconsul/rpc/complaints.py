"""
What is wrong with others, said once in a while: nobody who misbehaves may fill our log.
"""

from __future__ import annotations

from typing import Any

from twisted.internet.interfaces import IReactorTime
from twisted.logger import Logger

__all__ = ["INTERVAL", "SUBJECTS_MAX", "Complaints"]

#: Seconds between two complaints of the same kind about the same one.
INTERVAL = 60.0
#: Different complaints remembered. Beyond that nothing is said until the oldest are forgotten: the log is bounded.
SUBJECTS_MAX = 1024

_log = Logger()


class Complaints:
    """Warnings in the log, each subject once in L{INTERVAL} seconds."""

    def __init__(self, clock: IReactorTime) -> None:
        self._clock = clock
        self._said: dict[object, float] = {}

    def say(self, subject: object, text: str, **values: Any) -> bool:
        """
        Warn.

        @param subject: what makes two complaints the same.
        @return: whether it was said.
        """
        now = self._clock.seconds()
        said = self._said
        while said:
            oldest = next(iter(said))
            if said[oldest] + INTERVAL > now:
                break
            del said[oldest]
        if subject in said or len(said) >= SUBJECTS_MAX:
            return False
        said[subject] = now
        _log.warn(text, **values)
        return True
