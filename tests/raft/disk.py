"""
A log store for tests of the core: a list, and a disk that can be slow or full.
"""

from __future__ import annotations

from txconsul.records.raft import Entry

__all__ = ["ListLog"]


class ListLog:
    """The parts of L{ILogStore<txconsul.interfaces.ILogStore>} that the core and these tests need."""

    def __init__(self, entries: tuple[Entry, ...] = ()) -> None:
        self.kept = list(entries)

    @property
    def first(self) -> int:
        return self.kept[0].index if self.kept else 0

    @property
    def last(self) -> int:
        return self.kept[-1].index if self.kept else 0

    def entry(self, index: int) -> Entry:
        if not self.kept or not self.first <= index <= self.last:
            raise KeyError(index)
        return self.kept[index - self.first]

    def term(self, index: int) -> int:
        return self.entry(index).term

    def entries(self, low: int, high: int, bytes_max: int) -> list[Entry]:
        self.entry(low)
        taken, size = [], 0
        for entry in self.kept[low - self.first : high - self.first]:
            size += len(entry.data or b"")
            if taken and size > bytes_max:
                break
            taken.append(entry)
        return taken

    def append(self, entries: tuple[Entry, ...]) -> None:
        for entry in entries:
            assert not self.kept or entry.index == self.last + 1, f"gap: {entry.index} after {self.last}"
            self.kept.append(entry)

    def truncate_after(self, index: int) -> list[Entry]:
        gone = [entry for entry in self.kept if entry.index > index]
        self.kept = [entry for entry in self.kept if entry.index <= index]
        return gone

    def compact(self, index: int) -> None:
        self.kept = [entry for entry in self.kept if entry.index > index]

    def reset(self) -> None:
        self.kept = []
