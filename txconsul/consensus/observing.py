"""
Who wants to know what becomes of a Raft server.
"""

from __future__ import annotations

from collections.abc import Callable

from twisted.logger import Logger
from twisted.python.failure import Failure

from txconsul.raft.messages import Role

__all__ = ["Observer", "Observers"]


class Observer:
    """Override what is of interest."""

    def role_changed(self, role: Role, term: int) -> None:
        """This server leads now, or does not any more."""

    def leader_changed(self, leader: str, address: str) -> None:
        """Another leader is known; both are empty if there is none."""

    def consensus_failed(self, reason: Failure) -> None:
        """The server has stopped for good and said why in the log; the process should end. Said once."""


class Observers:
    """Tells them all."""

    log = Logger()

    def __init__(self) -> None:
        self._observers: list[Observer] = []

    def add(self, observer: Observer) -> None:
        """Tell C{observer} from now on."""
        self._observers.append(observer)

    def tell(self, what: Callable[[Observer], object]) -> None:
        """Call C{what} with each observer."""
        for observer in list(self._observers):
            try:
                what(observer)
            except Exception:  # whatever an observer does wrong, the group can rely on this server
                self.log.failure("{observer} failed to take note", observer=observer)
