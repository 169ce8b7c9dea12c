"""
What a core knows of its log: bounds, terms, and the tail that is not durable yet.

The entries themselves are in a log store, which the core only reads. What it wishes to be appended it keeps here until
the driver says that it is durable; so a read never depends on how far the driver has come.

Rule: an index above C{durable} is looked up here, any other in the store. After L{RaftLog.truncate} or
L{RaftLog.reset} the store may hold entries that no longer count; they lie above C{durable} or below C{floor} and are
never asked for.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

from txconsul.errors import Corrupt
from txconsul.records.raft import Entry

__all__ = ["LogReader", "RaftLog"]


class LogReader(Protocol):
    """The read half of L{ILogStore<txconsul.interfaces.ILogStore>}."""

    @property
    def first(self) -> int: ...

    @property
    def last(self) -> int: ...

    def entries(self, low: int, high: int, bytes_max: int) -> Sequence[Entry]: ...

    def term(self, index: int) -> int: ...


class RaftLog:
    """
    One server's log as its core sees it.

    @ivar last: index of the newest entry; C{last_term} is its term. 0 in an empty log.
    @ivar durable: the newest index that would survive a crash.
    @ivar commit: the newest index known to be committed, and durable here. Only
        L{RaftCore<txconsul.raft.core.RaftCore>} raises it.
    @ivar base: a snapshot stands in for the entries up to this index, whose term is C{base_term}; some of them may
        still be kept.
    @ivar floor: nothing below this index is known, whatever the store holds.
    """

    def __init__(self, store: LogReader, *, snapshot_index: int, snapshot_term: int) -> None:
        """@raise Corrupt: entries are missing between the snapshot and the log."""
        self._store = store
        self._tail: list[Entry] = []
        self._wished: list[Entry] = []
        self.base = self.commit = snapshot_index
        self.base_term = snapshot_term
        self.floor = 0
        self.last = self.durable = store.last
        self.last_term = store.term(store.last) if store.last else 0
        if not store.last:
            self.last = self.durable = snapshot_index
            self.last_term = snapshot_term
        elif store.first > snapshot_index + 1:
            raise Corrupt(f"the log begins at {store.first}, but there is no snapshot up to there ({snapshot_index})")

    def continues_snapshot(self) -> bool:
        """Whether the log agrees with the snapshot, as it does not when a crash came before L{reset} was durable."""
        store = self._store
        if not store.last or store.first == self.base + 1:
            return True
        return store.first <= self.base <= store.last and store.term(self.base) == self.base_term

    # ---- reading ----

    def term(self, index: int) -> int:
        """
        The term of one entry; 0 for index 0, the place before the first.

        @raise KeyError: the entry is not kept any more, or not there yet.
        """
        if index > self.durable:
            if index > self.last:
                raise KeyError(index)
            return self._tail[index - self.durable - 1].term
        if index == 0:
            return 0
        if index < self.floor:
            raise KeyError(index)
        if index == self.base:
            return self.base_term
        return self._store.term(index)

    def agrees(self, index: int, term: int) -> bool:
        """
        Whether this log holds, or once held, the entry C{index} with this term. What a snapshot stands in for was
        committed, and so it agrees with every leader's log (Raft 5.4.3).
        """
        if index < self.base:
            return True
        if index > self.last:
            return False
        return self.term(index) == term

    def entries(self, low: int, count: int, bytes_max: int) -> tuple[Entry, ...]:
        """
        Up to C{count} entries from C{low} on: the first in any case, more while their data fits into C{bytes_max}.

        @raise KeyError: C{low} is not kept any more.
        """
        high = min(low + count, self.last + 1)
        if low >= high:
            return ()
        if low <= self.durable:
            if low <= self.floor:
                raise KeyError(low)
            return tuple(self._store.entries(low, min(high, self.durable + 1), bytes_max))
        start = low - self.durable - 1
        taken = self._tail[start : start + high - low]
        room = bytes_max
        for position, entry in enumerate(taken):
            room -= len(entry.data or b"")
            if room < 0 and position:
                return tuple(taken[:position])
        return tuple(taken)

    # ---- growing ----

    def append(self, entry: Entry) -> None:
        """Take the entry after the newest; it waits for L{take_wished}."""
        self._tail.append(entry)
        self._wished.append(entry)
        self.last = entry.index
        self.last_term = entry.term

    def take_wished(self) -> tuple[Entry, ...]:
        """What was appended since the last call: to be made durable."""
        wished = tuple(self._wished)
        self._wished.clear()
        return wished

    def persisted(self, index: int, term: int) -> bool:
        """
        Everything up to this entry is durable.

        @return: False if that was known, or if it is news of an entry that has since given way to another: a sync
            that began before a conflict was cut.
        """
        if not self.durable < index <= self.last or self._tail[index - self.durable - 1].term != term:
            return False
        del self._tail[: index - self.durable]
        self.durable = index
        return True

    # ---- shrinking ----

    def truncate(self, after: int) -> None:
        """Forget every entry after this index."""
        if after >= self.last:
            return
        self.last_term = self.term(after)
        del self._tail[max(0, after - self.durable) :]
        self._wished = [entry for entry in self._wished if entry.index <= after]
        self.durable = min(self.durable, after)
        self.last = after

    def compacted(self, index: int, term: int) -> None:
        """A snapshot stands in for everything up to this entry, and its entries may go."""
        if index > self.base:
            self.base = index
            self.base_term = term

    def reset(self, index: int, term: int) -> None:
        """Forget everything: a snapshot up to this index stands in for it, and the next entry follows that."""
        self._tail.clear()
        self._wished.clear()
        self.base = self.floor = self.last = self.durable = index
        self.base_term = self.last_term = term
