"""
The state machine with a stopwatch: how long each kind of command takes to apply.

Source: Consul's "Agent telemetry reference": C{fsm.*}.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any, BinaryIO

from txconsul.metrics.instruments import Sample
from txconsul.metrics.metrics import Metrics
from txconsul.records.command import Command
from txconsul.state.machine import StateMachine

__all__ = ["MeasuredMachine"]

#: Commands and what their time is called; those that have operations are told apart by them.
_NAMES = {
    Command.REGISTER: "fsm.register",
    Command.DEREGISTER: "fsm.deregister",
    Command.COORDINATE_BATCH_UPDATE: "fsm.coordinate.batch-update",
    Command.TXN: "fsm.txn",
    Command.AUTOPILOT: "fsm.autopilot",
}
_NAMES_WITH_OPERATIONS = {
    Command.KVS: "fsm.kvs",
    Command.SESSION: "fsm.session",
    Command.TOMBSTONE: "fsm.tombstone",
    Command.PREPARED_QUERY: "fsm.prepared-query",
    Command.SYSTEM_METADATA: "fsm.system_metadata",
}
#: Operations of one command that are told apart: a log that is read may say anything.
_OPERATIONS_MAX = 32


class MeasuredMachine(StateMachine):
    """
    @ivar restored_seconds: how long the last restore took; 0.0 before the first.
    """

    def __init__(self, metrics: Metrics, seconds: Callable[[], float]) -> None:
        """@param seconds: monotonic."""
        super().__init__()
        self._metrics = metrics
        self._seconds = seconds
        self._timers: dict[int, Sample | dict[str, Sample]] = {
            **{code: metrics.sample(name) for code, name in _NAMES.items()},
            **{code: {} for code in _NAMES_WITH_OPERATIONS},
        }
        self._other = metrics.sample("fsm.other")
        self._persist = metrics.sample("fsm.persist")
        self.restored_seconds = 0.0

    def carry_out(self, index: int, type_: int, record: Any) -> object:
        """See L{StateMachine.carry_out}."""
        seconds = self._seconds
        began = seconds()
        result = super().carry_out(index, type_, record)
        timer = self._timers.get(type_)
        if timer.__class__ is dict:
            timer = timer.get(record.op) or self._new_timer(type_, record.op, timer)
        (timer or self._other).add((seconds() - began) * 1000)  # type: ignore[union-attr]
        return result

    def _new_timer(self, code: int, operation: Any, timers: dict[str, Sample]) -> Sample:
        if len(timers) >= _OPERATIONS_MAX:
            return self._other
        name = _NAMES_WITH_OPERATIONS[Command(code)]
        timer = timers[operation] = self._metrics.sample(name, op=str(operation))
        return timer

    def freeze(self) -> Iterator[bytes]:
        """See L{StateMachine.freeze}. The time is that of the whole writing, with what else was done meanwhile."""
        return self._timed_pieces(super().freeze())

    def _timed_pieces(self, pieces: Iterator[bytes]) -> Iterator[bytes]:
        began = self._seconds()
        yield from pieces
        self._persist.add((self._seconds() - began) * 1000)

    def restore(self, stream: BinaryIO) -> Iterator[float]:
        """See L{StateMachine.restore}."""
        began = self._seconds()
        yield from super().restore(stream)
        self.restored_seconds = self._seconds() - began
