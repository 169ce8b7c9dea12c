"""
One kept answer: what is known of it, and when its source may be asked again.

Source: Consul's page on agent caching; C{cache} in its agent configuration reference.
"""

from __future__ import annotations

import math
from random import Random
from typing import Any

from msgspec import Struct

__all__ = [
    "CONNECTED_SECONDS",
    "FAILURES_FREE",
    "KEPT_SECONDS",
    "Entry",
    "FetchLimits",
    "Found",
    "Kind",
    "Waiter",
    "Wish",
    "backoff",
]

#: Kept so long after it was last asked for, unless its kind says otherwise: an agent cut off from all servers for a
#: weekend still answers.
KEPT_SECONDS = 72 * 3600.0
#: A fetch that has waited so long is taken for one that reached its server and blocks there: yamux finds a dead
#: connection within 30 s.
CONNECTED_SECONDS = 31.0
#: Failures in a row after which the source is asked less often.
FAILURES_FREE = 3
#: The longest pause between two attempts, before chance doubles it at most.
BACKOFF_SECONDS_MAX = 60.0


class Kind(Struct, frozen=True):
    """
    How answers of one method are kept.

    @ivar name: what metrics call it.
    @ivar refreshes: it is kept current in the background, as long as somebody asks now and then; else it is fetched
        when somebody asks and it is missing or too old for him.
    @ivar blocks: the source can be asked to wait until it knows better than an index.
    @ivar by_token: what is seen depends on who asks.
    @ivar kept_seconds: how long it is kept after it was last asked for.
    """

    name: str
    refreshes: bool = True
    blocks: bool = True
    by_token: bool = True
    kept_seconds: float = KEPT_SECONDS


class Wish(Struct, frozen=True):
    """
    What somebody asks of a kept answer. Only kinds that refresh look at the index, only those that do not at ages.

    @ivar min_index: it must be newer than this.
    @ivar max_age: seconds since it was fetched, at most; None is any.
    @ivar revalidate: it must be fetched now.
    @ivar stale_if_error: seconds of age that are borne where the fetch fails; 0 is none.
    """

    min_index: int = 0
    max_age: float | None = None
    revalidate: bool = False
    stale_if_error: float = 0.0


class Found(Struct, frozen=True):
    """
    What is kept.

    @ivar hit: it was there when it was asked for.
    @ivar age: seconds; of what refreshes, since its source was lost, or 0; of the rest, since it was fetched.
    """

    index: int
    value: Any
    hit: bool
    age: float


class Waiter(Struct, eq=False):
    """
    Somebody who waits for an entry.

    @ivar asker: whatever the driver needs to answer.
    """

    entry: Entry
    wish: Wish
    asker: Any = None


class FetchLimits(Struct, frozen=True):
    """
    How often one entry's source may be asked: a bucket of C{burst} fetches that fills at C{rate} a second.
    """

    rate: float = math.inf
    burst: int = 2


class Entry:
    """
    @ivar request: what the source is asked.
    @ivar index: that of the value; 0 while there is none.
    @ivar size: about how many bytes the value takes.
    @ivar fetch: the number of the fetch under way; 0 is none.
    @ivar fetch_at: when the next fetch is due; None where none is, or one is under way.
    @ivar started_at: when the last fetch began.
    @ivar lost_at: when the background fetch began to fail.
    @ivar failures: in a row.
    @ivar watchers: who wants to know, once, that the answer is not what it was.
    """

    __slots__ = (
        "_tokens",
        "_tokens_at",
        "failures",
        "fetch",
        "fetch_at",
        "fetched_at",
        "index",
        "key",
        "kind",
        "lost_at",
        "request",
        "size",
        "started_at",
        "used_at",
        "value",
        "waiters",
        "watchers",
    )

    def __init__(self, key: Any, kind: Kind, request: Any, limits: FetchLimits, now: float) -> None:
        self.key = key
        self.kind = kind
        self.request = request
        self.index = 0
        self.value: Any = None
        self.size = 0
        self.fetch = 0
        self.fetch_at: float | None = None
        self.fetched_at = now
        self.started_at = now
        self.lost_at: float | None = None
        self.failures = 0
        self.used_at = now
        self.waiters: dict[Waiter, None] = {}
        self.watchers: dict[Any, None] = {}
        self._tokens = float(limits.burst)
        self._tokens_at = now

    def serves(self, wish: Wish, now: float) -> bool:
        """Whether the value will do."""
        if not self.index:
            return False
        kind = self.kind
        if kind.blocks and 0 < wish.min_index >= self.index:
            return False
        if kind.refreshes:
            return True
        if wish.max_age is not None and now - self.fetched_at > wish.max_age:
            return False
        return not wish.revalidate

    def age(self, now: float) -> float:
        """See L{Found}."""
        if not self.kind.refreshes:
            return now - self.fetched_at
        return 0.0 if self.lost_at is None else now - self.lost_at

    def found(self, hit: bool, now: float) -> Found:
        """The value as it is now."""
        return Found(self.index, self.value, hit, self.age(now))

    def ready_at(self, limits: FetchLimits, now: float) -> float:
        """When the limits allow a fetch."""
        self._fill(limits, now)
        return now if self._tokens >= 1.0 else now + (1.0 - self._tokens) / limits.rate

    def take_token(self, limits: FetchLimits, now: float) -> None:
        """A fetch begins."""
        self._fill(limits, now)
        self._tokens = max(self._tokens - 1.0, 0.0)

    def _fill(self, limits: FetchLimits, now: float) -> None:
        if limits.rate == math.inf:
            self._tokens = float(max(limits.burst, 1))
        else:
            self._tokens = min(self._tokens + (now - self._tokens_at) * limits.rate, float(limits.burst))
        self._tokens_at = now


def backoff(failures: int, rng: Random) -> float:
    """
    How long to leave a source alone after so many failures in a row, in seconds: the first are forgiven, then the pause
    doubles up to a minute, and chance adds up to as much again so that agents do not come back together.
    """
    if failures <= FAILURES_FREE:
        return 0.0
    pause: float = min(2.0 ** min(failures - FAILURES_FREE, 30), BACKOFF_SECONDS_MAX)
    return pause + rng.random() * pause
