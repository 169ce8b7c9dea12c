"""
What a log of segments knows in memory: where each durable entry lies, the terms, and the newest entries themselves.
"""

from __future__ import annotations

from array import array
from bisect import bisect_right
from collections.abc import Sequence

from txconsul.records.raft import Entry
from txconsul.storage.frames import BATCHES_FROM, Cut, frame_bytes

__all__ = ["ENTRY_OVERHEAD_BYTES", "LogIndex", "Segment", "Tail", "TermRuns"]

#: What an entry costs in memory besides its data: the record (80), its ints (64), the header of its data (33), its
#: time (48), a place in a list (8), and what the allocator rounds up.
ENTRY_OVERHEAD_BYTES = 256


class Segment:
    """
    One file.

    @ivar first: index of the first entry in it that still counts; 0 if there is none.
    @ivar offsets: where the frames of the entries from C{first} on begin: 4 bytes an entry.
    @ivar end: where the next batch goes.
    @ivar capacity: bytes reserved for the file.
    """

    __slots__ = ("capacity", "end", "first", "offsets", "path", "salt", "sequence")

    def __init__(self, path: str, sequence: int, salt: bytes, capacity: int) -> None:
        self.path = path
        self.sequence = sequence
        self.salt = salt
        self.capacity = capacity
        self.end = BATCHES_FROM
        self.first = 0
        self.offsets = array("I")

    @property
    def last(self) -> int:
        """Index of the last entry that counts; 0 if there is none."""
        return self.first + len(self.offsets) - 1 if self.offsets else 0


class LogIndex:
    """The entries that are durable, by segment, the oldest first. The last segment takes the next batch."""

    def __init__(self) -> None:
        self.segments: list[Segment] = []

    @property
    def last(self) -> int:
        """Index of the newest durable entry; 0 if there is none."""
        for segment in reversed(self.segments):
            if segment.offsets:
                return segment.last
        return 0

    def cut(self, cut: Cut) -> None:
        """Forget the entries that a cut takes away."""
        for segment in reversed(self.segments):
            if not segment.offsets:
                continue
            keep = 0 if cut.reset else max(0, cut.after - segment.first + 1)
            if keep >= len(segment.offsets):
                return
            del segment.offsets[keep:]
            if not keep:
                segment.first = 0

    def add(self, first: int, offsets: Sequence[int], end: int) -> None:
        """A batch was written to the last segment."""
        segment = self.segments[-1]
        if offsets:
            if not segment.offsets:
                segment.first = first
            segment.offsets.extend(offsets)
        segment.end = end

    def find(self, index: int) -> Segment:
        """The segment that holds an entry. @raise KeyError: none does."""
        for segment in reversed(self.segments):
            if segment.first and segment.first <= index <= segment.last:
                return segment
        raise KeyError(index)

    def take_old(self, index: int) -> list[Segment]:
        """Remove the oldest segments, as far as they hold nothing after C{index}; the last one stays."""
        count = 0
        while count < len(self.segments) - 1 and self.segments[count].last <= index:
            count += 1
        old = self.segments[:count]
        del self.segments[:count]
        return old


class TermRuns:
    """
    The term of every entry, as runs of entries with the same one: elections are rare, so this stays a few numbers long.
    """

    def __init__(self) -> None:
        self._firsts: list[int] = []
        self._terms: list[int] = []

    def add(self, index: int, term: int) -> None:
        """An entry was appended."""
        if not self._terms or self._terms[-1] != term:
            self._firsts.append(index)
            self._terms.append(term)

    def term(self, index: int) -> int:
        """The term of an entry, which must be within the log."""
        return self._terms[bisect_right(self._firsts, index) - 1]

    def truncate(self, index: int) -> None:
        """Forget all entries after C{index}."""
        keep = bisect_right(self._firsts, index)
        del self._firsts[keep:], self._terms[keep:]

    def drop_before(self, index: int) -> None:
        """Forget what only concerns entries before C{index}."""
        gone = bisect_right(self._firsts, index) - 1
        if gone > 0:
            del self._firsts[:gone], self._terms[:gone]


class Tail:
    """
    The newest entries, consecutive. Those that are durable are dropped, the oldest first, to stay within C{bytes_max}.

    @ivar first: index of the oldest entry held, or what the next one's will be, as far as that is known.
    @ivar bytes: what they cost, by estimate.
    """

    def __init__(self, bytes_max: int) -> None:
        self._bytes_max = bytes_max
        self._entries: list[Entry] = []
        self._gone = 0  # entries at the front that are dropped, and deleted when they are many
        self.first = 1
        self.bytes = 0

    def __len__(self) -> int:
        return len(self._entries) - self._gone

    def append(self, entries: Sequence[Entry], frames: int) -> None:
        """@param frames: bytes of all their frames, which stand for their data."""
        if len(self._entries) == self._gone:
            self.first = entries[0].index
        self._entries.extend(entries)
        self.bytes += frames + ENTRY_OVERHEAD_BYTES * len(entries)

    def get(self, index: int) -> Entry:
        """An entry that is held."""
        return self._entries[index - self.first + self._gone]

    def slice(self, low: int, high: int) -> list[Entry]:
        """Entries that are held, without C{high}."""
        begin = self._gone - self.first
        return self._entries[low + begin : high + begin]

    def truncate(self, index: int) -> None:
        """Forget all entries after C{index}."""
        keep = max(index - self.first + 1, 0) + self._gone
        for entry in self._entries[keep:]:
            self.bytes -= _cost(entry)
        del self._entries[keep:]
        self._settle(index + 1)

    def trim(self, durable: int) -> None:
        """Stay within the bound; entries after C{durable} are kept in any case."""
        while self.bytes > self._bytes_max and self.first <= durable and self._gone < len(self._entries):
            self.bytes -= _cost(self._entries[self._gone])
            self._gone += 1
            self.first += 1
        if self._gone > 256 and self._gone * 2 > len(self._entries):
            del self._entries[: self._gone]
            self._gone = 0

    def _settle(self, next_index: int) -> None:
        if len(self._entries) == self._gone:
            self._entries.clear()
            self._gone = 0
            self.bytes = 0
            self.first = next_index


def _cost(entry: Entry) -> int:
    return frame_bytes(entry) + ENTRY_OVERHEAD_BYTES
