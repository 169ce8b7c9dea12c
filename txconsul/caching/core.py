"""
What is kept, who waits for it, and what is to be fetched.

Rule 1: one fetch at a time for an entry, however many ask.
Rule 2: nothing here does I/O. Questions, answers and the time come in as arguments; wishes wait in order until
L{Cache.take_output} collects them.
Rule 3: a source that cannot be reached takes nothing away; a source that refuses does. Who may not see an answer any
more does not see it from here.

Source: Consul's page on agent caching (its two kinds, and what C{Age} means).
Departures: C{stale-if-error} does what that page says (Consul 1.21 gives the error); a refusal ends an entry (Consul
keeps its value); an index that went back, after a restore, answers all who wait.
"""

from __future__ import annotations

from collections import Counter, OrderedDict
from heapq import heappop, heappush
from random import Random
from typing import Any

from msgspec import Struct

from txconsul.caching.entry import CONNECTED_SECONDS, Entry, FetchLimits, Found, Kind, Waiter, Wish, backoff

__all__ = ["ENTRIES_MAX", "Cache", "Changed", "Fetch", "Forget", "Give", "Refuse"]

#: Entries kept; of more, the one that was asked for longest ago goes. Each may hold a long poll open at a server.
ENTRIES_MAX = 16384
#: Bytes of all values, about; of more, the same goes.
BYTES_MAX = 64 << 20
#: How many entries that somebody waits for or watches are passed over in search of one that may go.
PASSED_OVER_MAX = 16

#: An answer that comes sooner, without news, was not waited for.
QUICK_SECONDS = 1.0

_FETCH, _CONNECTED = 0, 1
_Due = tuple[float, int, int, Entry, int]


class Fetch(Struct, frozen=True):
    """
    Ask an entry's source, and tell L{Cache.fetched} or L{Cache.failed}.

    @ivar number: to be told with the answer.
    @ivar min_index: wait there until it knows better than this; 0 is at once.
    """

    entry: Entry
    number: int
    min_index: int


class Give(Struct, frozen=True):
    """These have waited for this."""

    waiters: tuple[Waiter, ...]
    found: Found


class Refuse(Struct, frozen=True):
    """These have waited in vain."""

    waiters: tuple[Waiter, ...]
    error: Exception


class Changed(Struct, frozen=True):
    """Tell these, once, that an answer is not what it was."""

    watchers: tuple[Any, ...]


class Forget(Struct, frozen=True):
    """The answer to this fetch is of no use any more."""

    number: int


class Cache:
    """
    All kept answers of an agent.

    @ivar limits: may be replaced at any time.
    @ivar size: about how many bytes all values take.
    @ivar counts: how often what happened: C{("hit", kind)}, C{("miss_new", kind)}, C{("miss_block", kind)},
        C{("fetch_success", kind)}, C{("fetch_error", kind)}, of those C{("fetch_refused", kind)}, and
        C{("evict_expired", "")}.
    """

    def __init__(
        self, limits: FetchLimits, rng: Random, entries_max: int = ENTRIES_MAX, bytes_max: int = BYTES_MAX
    ) -> None:
        self.limits = limits
        self.size = 0
        self.counts: Counter[tuple[str, str]] = Counter()
        self._rng = rng
        self._entries_max = entries_max
        self._bytes_max = bytes_max
        self._entries: dict[Any, Entry] = {}
        #: By how long they are kept: entries in the order in which they were last asked for, which is that of their
        #: ends.
        self._ends: dict[float, OrderedDict[Entry, None]] = {}
        #: A heap of what is due before that: when, a number that tells equal times apart, what, of which entry, and of
        #: which of its fetches. What does not stand any more stays until its time.
        self._soon: list[_Due] = []
        self._numbers = 0
        self._output: list[Any] = []

    def __len__(self) -> int:
        return len(self._entries)

    # ---- questions ----

    def ask(self, key: Any, kind: Kind, request: Any, wish: Wish, now: float) -> Found | Waiter:
        """
        What is kept under a key, if it will do; else a waiter, who is named in a L{Give} or L{Refuse} later.

        @param request: what the source is asked if there is no such entry yet.
        """
        entry = self._entry(key, kind, request, now)
        if entry.serves(wish, now):
            self.counts["hit", kind.name] += 1
            return entry.found(True, now)
        self.counts["miss_block" if kind.blocks and wish.min_index else "miss_new", kind.name] += 1
        waiter = Waiter(entry, wish)
        entry.waiters[waiter] = None
        self._want(entry, now, now)
        return waiter

    def time_up(self, waiter: Waiter, now: float) -> Found | None:
        """He waits no longer: what is there now, which may be nothing."""
        waiter.entry.waiters.pop(waiter, None)
        return waiter.entry.found(False, now) if waiter.entry.index else None

    def gone(self, waiter: Waiter) -> None:
        """He is not interested any more."""
        waiter.entry.waiters.pop(waiter, None)

    def waiting(self) -> list[Waiter]:
        """All who wait."""
        return [waiter for entry in self._entries.values() for waiter in entry.waiters]

    def watch(self, key: Any, watcher: Any) -> bool:
        """
        Name C{watcher} in a L{Changed} as soon as the entry's answer is another, or was not asked for so long that it
        is to be asked for again.

        @return: whether there is an entry with a value, which its source keeps current.
        """
        entry = self._entries.get(key)
        if entry is None or not entry.index or not entry.kind.refreshes:
            return False
        entry.watchers[watcher] = None
        return True

    def unwatch(self, key: Any, watcher: Any) -> None:
        """He does not want to know any more."""
        entry = self._entries.get(key)
        if entry is not None:
            entry.watchers.pop(watcher, None)

    def clear(self, error: Exception, now: float) -> None:
        """Forget all. Who waits gets what there is, or else the error."""
        for entry in list(self._entries.values()):
            if entry.index:
                self._give(entry, list(entry.waiters), now)
            self._drop(entry, error)

    # ---- answers ----

    def fetched(self, entry: Entry, number: int, index: int, value: Any, size: int, now: float) -> None:
        """
        The source answered.

        @param index: that of the value; 0 where the source knows of none. Such a source, and one that did not wait
            though it was asked to, is tried again like one that failed, so that nobody is asked in a circle.
        @param size: about how many bytes the value takes.
        """
        if entry.fetch != number:
            return
        entry.fetch = 0
        kind = entry.kind
        self.counts["fetch_success", kind.name] += 1
        before, entry.index = entry.index, index or 1
        waited = entry.index != before or now - entry.started_at >= QUICK_SECONDS
        entry.failures = 0 if index and waited else entry.failures + 1
        entry.value = value
        self._sized(entry, size)
        entry.fetched_at = now
        entry.lost_at = None
        if entry.index != before:
            self._changed(entry)
        if kind.blocks and entry.index >= before:
            served = [one for one in entry.waiters if one.wish.min_index < entry.index]
        else:
            served = list(entry.waiters)
        self._give(entry, served, now)
        if kind.refreshes or entry.waiters:
            self._want(entry, now + backoff(entry.failures, self._rng), now)
        self._fit(now)

    def grown(self, entry: Entry, value: Any, more: int, now: float) -> None:
        """The value takes so many more bytes, by what was made of it."""
        if entry.value is value and self._entries.get(entry.key) is entry:
            self._sized(entry, entry.size + more)
            self._fit(now)

    def failed(self, entry: Entry, number: int, error: Exception, refused: bool, now: float) -> None:
        """
        The source did not answer.

        @param refused: it did, and will not give the answer to who asks.
        """
        if entry.fetch != number:
            return
        entry.fetch = 0
        kind = entry.kind
        self.counts["fetch_error", kind.name] += 1
        if refused:
            self.counts["fetch_refused", kind.name] += 1
            self._drop(entry, error)
            return
        entry.failures += 1
        if kind.refreshes:
            entry.lost_at = now if entry.lost_at is None else entry.lost_at
        else:
            age = entry.age(now)
            patient = [one for one in entry.waiters if entry.index and one.wish.stale_if_error > age]
            self._give(entry, patient, now, hit=True)
        self._refuse(entry, error)
        if kind.refreshes:
            self._want(entry, now + backoff(entry.failures, self._rng), now)

    # ---- time ----

    def wake(self, now: float) -> None:
        """Do what is due at C{now}: fetch again, believe in a connection, end what nobody asked for."""
        while self._soon and self._soon[0][0] <= now:
            alive = self._stands(self._soon[0])
            _, _, what, entry, _ = heappop(self._soon)
            if alive and what == _FETCH:
                self._start(entry, now)
            elif alive:
                entry.lost_at = None
        for kept_seconds, queue in self._ends.items():
            while queue:
                entry = next(iter(queue))
                if entry.used_at + kept_seconds > now:
                    break
                if not self._wanted(entry, now):
                    self.counts["evict_expired", ""] += 1
                    self._drop(entry, None)

    def next_deadline(self) -> float | None:
        """When L{wake} has work next."""
        found = [next(iter(queue)).used_at + seconds for seconds, queue in self._ends.items() if queue]
        while self._soon and not self._stands(self._soon[0]):
            heappop(self._soon)
        if self._soon:
            found.append(self._soon[0][0])
        return min(found, default=None)

    def take_output(self) -> list[Any]:
        """Everything wished since the last call, in the order in which it must be carried out."""
        output, self._output = self._output, []
        return output

    # ---- entries ----

    def _entry(self, key: Any, kind: Kind, request: Any, now: float) -> Entry:
        entry = self._entries.get(key)
        if entry is not None:
            self._use(entry, now)
            return entry
        if len(self._entries) >= self._entries_max:
            self._make_room(now)
        entry = self._entries[key] = Entry(key, kind, request, self.limits, now)
        self._ends.setdefault(kind.kept_seconds, OrderedDict())[entry] = None
        return entry

    def _use(self, entry: Entry, now: float) -> None:
        entry.used_at = now
        self._ends[entry.kind.kept_seconds].move_to_end(entry)

    def _wanted(self, entry: Entry, now: float) -> bool:
        """
        Whether an entry that was not asked for stays. Those who watch it may tell others of it without asking: they are
        told to ask again, and it stays once more for their answer.
        """
        if not (entry.waiters or entry.watchers):
            return False
        self._changed(entry)
        self._use(entry, now)
        return True

    def _sized(self, entry: Entry, size: int) -> None:
        self.size += size - entry.size
        entry.size = size

    def _fit(self, now: float) -> None:
        while self.size > self._bytes_max and self._make_room(now):
            pass

    def _make_room(self, now: float) -> bool:
        """
        Drop one entry that nobody waits for, if one is soon found. Those who wait are bounded by who can connect.

        @return: whether one was.
        """
        for _ in range(min(PASSED_OVER_MAX, len(self._entries))):
            oldest = min((next(iter(queue)) for queue in self._ends.values() if queue), key=lambda one: one.used_at)
            if not self._wanted(oldest, now):
                self._drop(oldest, None)
                return True
        return False

    def _drop(self, entry: Entry, error: Exception | None) -> None:
        del self._entries[entry.key]
        del self._ends[entry.kind.kept_seconds][entry]
        self._sized(entry, 0)
        if entry.fetch:
            self._output.append(Forget(entry.fetch))
            entry.fetch = 0
        entry.fetch_at = None
        self._changed(entry)
        if error is not None:
            self._refuse(entry, error)

    # ---- wishes ----

    def _want(self, entry: Entry, when: float, now: float) -> None:
        """Fetch at C{when}, or as soon after as the limits allow."""
        if entry.fetch:
            return
        when = max(when, entry.ready_at(self.limits, now))
        if when <= now:
            self._start(entry, now)
        elif entry.fetch_at is None or when < entry.fetch_at:
            entry.fetch_at = when
            self._later(when, _FETCH, entry, 0)

    def _start(self, entry: Entry, now: float) -> None:
        entry.take_token(self.limits, now)
        entry.started_at = now
        entry.fetch_at = None
        self._numbers += 1
        entry.fetch = self._numbers
        if entry.lost_at is not None and entry.index and entry.kind.blocks:
            self._later(now + CONNECTED_SECONDS, _CONNECTED, entry, entry.fetch)
        self._output.append(Fetch(entry, entry.fetch, entry.index if entry.kind.blocks else 0))

    def _later(self, when: float, what: int, entry: Entry, number: int) -> None:
        self._numbers += 1
        heappush(self._soon, (when, self._numbers, what, entry, number))

    def _stands(self, due: _Due) -> bool:
        when, _, what, entry, number = due
        return entry.fetch_at == when if what == _FETCH else entry.fetch == number

    def _give(self, entry: Entry, waiters: list[Waiter], now: float, hit: bool = False) -> None:
        if waiters:
            for one in waiters:
                del entry.waiters[one]
            self._output.append(Give(tuple(waiters), entry.found(hit, now)))

    def _refuse(self, entry: Entry, error: Exception) -> None:
        if entry.waiters:
            self._output.append(Refuse(tuple(entry.waiters), error))
            entry.waiters.clear()

    def _changed(self, entry: Entry) -> None:
        if entry.watchers:
            self._output.append(Changed(tuple(entry.watchers)))
            entry.watchers.clear()
