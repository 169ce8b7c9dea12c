"""
What endpoints need of the user events that the agent holds.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Protocol

from txconsul.records.event import UserEvent

__all__ = ["HeldEvents"]


class HeldEvents(Protocol):
    """The last events that were meant for the agent; L{txconsul.agent.user_events.UserEvents} holds them."""

    def new_id(self) -> str:
        """A random UUID's text."""

    def recent(self, name: str = "") -> list[UserEvent]:
        """The events, the oldest first; of one name, if one is given."""

    def watch(self, woken: Callable[[], object]) -> Callable[[], None]:
        """Be told of every event that comes to be held. @return: ends that."""
