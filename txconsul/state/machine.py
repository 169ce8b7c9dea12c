"""
The state machine that the replicated log is applied to: one L{Store} behind L{IStateMachine}.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, BinaryIO

from zope.interface import implementer

from txconsul.errors import InvalidRequest
from txconsul.interfaces import IStateMachine
from txconsul.records.command import IGNORABLE
from txconsul.state.chunks import is_checkpoint
from txconsul.state.commands import apply, decode_command
from txconsul.state.restoring import load
from txconsul.state.snapshot import freeze
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
            return self.carry_out(index, data[0] & ~IGNORABLE, record)
        type_, record = decode_command(data)
        return None if record is None else self.carry_out(index, type_, record)

    def apply_piece(self, index: int, term: int, data: bytes, extensions: bytes) -> object:
        """
        Take an entry that is a piece of a command; the last one makes it happen.

        @return: the command's result; None while it is not whole, or an L{InvalidRequest} instance for no piece at all.
        @raise UnknownCommand: as L{apply}.
        """
        if is_checkpoint(data, extensions):
            return None
        try:
            whole = self.store.tables.chunks.add(term, data, extensions)
        except InvalidRequest as refusal:
            return refusal
        return None if whole is None else self.apply(index, whole, None)

    def carry_out(self, index: int, type_: int, record: Any) -> object:
        """One command, of a type that is known, decoded."""
        return apply(self.store, index, type_, record)

    def applied(self, index: int) -> None:
        """A batch ends: wake the waiters."""
        self.store.applied()

    def freeze(self) -> Iterator[bytes]:
        """
        A consistent picture of now.

        @return: the pieces of Consul's snapshot stream, made as they are asked for.
        """
        return freeze(self.store)

    def restore(self, stream: BinaryIO) -> Iterator[float]:
        """
        Replace the state by that of a snapshot.

        @return: steps that yield the share done, from 0.0 to 1.0. The last one swaps the new state in and wakes every
            waiter; until then the old state stands.
        @raise Corrupt: (from a step) the stream is damaged; the old state stands.
        """
        fresh = Store()
        yield from load(fresh, stream)
        self.store.adopt(fresh)
        yield 1.0
