"""
The state machine that the replicated log is applied to: one L{Store} behind L{IStateMachine}.
"""

from __future__ import annotations

from typing import Any

from zope.interface import implementer

from txconsul.interfaces import IStateMachine
from txconsul.records.command import IGNORABLE
from txconsul.state.commands import apply, decode_command
from txconsul.state.store import Store

__all__ = ["StateMachine"]


@implementer(IStateMachine)
class StateMachine:
    """
    @ivar store: the state; the same object for the life of the machine.
    """

    def __init__(self, store: Store | None = None) -> None:
        self.store = Store() if store is None else store

    def apply(self, index: int, data: bytes, record: Any) -> object:
        """
        Take one committed command.

        @param data: type byte and body.
        @param record: the decoded body, where the caller has it.
        @return: the command's result; an exception instance is a refusal.
        @raise UnknownCommand: the type is not known and not marked as ignorable.
        """
        if record is not None:
            return apply(self.store, index, data[0] & ~IGNORABLE, record)
        type_, record = decode_command(data)
        return None if record is None else apply(self.store, index, type_, record)

    def applied(self, index: int) -> None:
        """A batch ends: wake the waiters."""
        self.store.applied()
