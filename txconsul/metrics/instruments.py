"""
What counts and measures: instruments that are asked for once and then cost a few additions.

Each holds what came since its interval began, and for those who add up themselves, what came since it was made.

Source: go-metrics' aggregates as C{/v1/agent/metrics} shows them; Prometheus' summaries.
"""

from __future__ import annotations

import math
from array import array
from collections.abc import Callable, Sequence
from typing import NamedTuple

import msgspec

__all__ = [
    "LABELS_MAX",
    "OTHER",
    "QUANTILES",
    "RECENT",
    "Aggregate",
    "Counted",
    "Counter",
    "CounterFamily",
    "Identity",
    "Labels",
    "RecentSample",
    "Sample",
    "Together",
]

Labels = tuple[tuple[str, str], ...]

#: Label values of one family that are told apart. Names of services come from whoever asks: the rest counts together.
LABELS_MAX = 1000
#: The label of that rest.
OTHER = "(other)"
#: What Prometheus is told of a distribution, as by Consul.
QUANTILES = (0.5, 0.9, 0.99)
#: Values of which quantiles are told: the newest. A hundred and twenty-eight give the last percent one of its own.
RECENT = 128


class Identity(NamedTuple):
    """
    Which instrument it is.

    @ivar name: behind the prefix, such as C{raft.apply}.
    """

    name: str
    labels: Labels = ()


class Aggregate(msgspec.Struct, frozen=True):
    """What an instrument took in one interval."""

    count: int
    sum: float
    least: float
    most: float
    mean: float
    deviation: float


class Counter:
    """
    Counts events.

    @ivar count: of this interval.
    @ivar total: of all intervals before.
    """

    __slots__ = ("count", "identity", "total")

    def __init__(self, identity: Identity) -> None:
        self.identity = identity
        self.count = 0
        self.total = 0

    def add(self) -> None:
        """One more."""
        self.count += 1

    def fold(self) -> None:
        """The interval is over."""
        self.total += self.count
        self.count = 0

    def aggregate(self) -> Aggregate | None:
        """What this interval had so far; None where that is nothing."""
        count = self.count
        return Aggregate(count, count, 1.0, 1.0, 1.0, 0.0) if count else None


class Counted(Counter):
    """A counter of what is counted already elsewhere."""

    __slots__ = ("_read",)

    def __init__(self, identity: Identity, read: Callable[[], int]) -> None:
        """@param read: how many there were since the process began."""
        super().__init__(identity)
        self._read = read

    def aggregate(self) -> Aggregate | None:
        """See L{Counter.aggregate}."""
        self.count = self._read() - self.total
        return super().aggregate()

    def fold(self) -> None:
        """See L{Counter.fold}."""
        self.count = 0
        self.total = self._read()


class Sample:
    """
    Measures something that has a size, durations in milliseconds most of all.

    @ivar count: of this interval; likewise C{sum}, C{least}, C{most}.
    @ivar total: of all intervals before; likewise C{total_sum}.
    """

    __slots__ = ("count", "identity", "least", "most", "squares", "sum", "total", "total_sum")

    def __init__(self, identity: Identity) -> None:
        self.identity = identity
        self.total = 0
        self.total_sum = 0.0
        self._begin()

    def _begin(self) -> None:
        self.count = 0
        self.sum = self.squares = 0.0
        self.least, self.most = math.inf, -math.inf

    def add(self, value: float) -> None:
        """One more, of this size."""
        self.count += 1
        self.sum += value
        self.squares += value * value
        if value < self.least:
            self.least = value
        if value > self.most:
            self.most = value

    def fold(self) -> None:
        """The interval is over."""
        self.total += self.count
        self.total_sum += self.sum
        self._begin()

    def aggregate(self) -> Aggregate | None:
        """What this interval had so far; None where that is nothing."""
        count, total = self.count, self.sum
        if not count:
            return None
        deviation = 0.0
        if count > 1:
            deviation = math.sqrt(max(0.0, (count * self.squares - total * total) / (count * (count - 1))))
        return Aggregate(count, total, self.least, self.most, total / count, deviation)

    def quantiles(self) -> tuple[float, ...]:
        """Sizes below which the shares in L{QUANTILES} are; not a number where nothing is known."""
        return (math.nan,) * len(QUANTILES)


class RecentSample(Sample):
    """Remembers its newest values as well, so that it can tell of their distribution."""

    __slots__ = ("_at", "_recent")

    def __init__(self, identity: Identity) -> None:
        super().__init__(identity)
        self._at = 0
        self._recent = array("d", bytes(8 * RECENT))

    def add(self, value: float) -> None:
        """See L{Sample.add}, which is said again here: a call would take as long as all the rest."""
        self.count += 1
        self.sum += value
        self.squares += value * value
        if value < self.least:
            self.least = value
        if value > self.most:
            self.most = value
        at = self._at
        self._recent[at % RECENT] = value
        self._at = at + 1

    def fold(self) -> None:
        """See L{Sample.fold}. What rested for a whole interval has no distribution any more."""
        if not self.count:
            self._at = 0
        super().fold()

    def quantiles(self) -> tuple[float, ...]:
        """See L{Sample.quantiles}."""
        values = sorted(self._recent[: min(self._at, RECENT)])
        if not values:
            return super().quantiles()
        return tuple([values[max(0, math.ceil(share * len(values)) - 1)] for share in QUANTILES])


class Together(Sample):
    """What several samples measured, as if it were one."""

    __slots__ = ("_parts",)

    def __init__(self, identity: Identity, parts: Sequence[Sample]) -> None:
        super().__init__(identity)
        self._parts = tuple(parts)

    def aggregate(self) -> Aggregate | None:
        """See L{Sample.aggregate}."""
        parts = self._parts
        self.count = sum([one.count for one in parts])
        self.sum = sum([one.sum for one in parts])
        self.squares = sum([one.squares for one in parts])
        self.least, self.most = min([one.least for one in parts]), max([one.most for one in parts])
        return super().aggregate()

    def quantiles(self) -> tuple[float, ...]:
        """See L{Sample.quantiles}: of the part that measured most."""
        return max(self._parts, key=lambda one: one.total + one.count).quantiles()


class CounterFamily:
    """Counters that differ in labels whose values are not known beforehand."""

    __slots__ = ("_make", "_members", "_names", "name")

    def __init__(self, name: str, names: tuple[str, ...], make: Callable[[Identity], Counter]) -> None:
        self.name = name
        self._names = names
        self._make = make
        self._members: dict[tuple[str, ...], Counter] = {}

    def add(self, *values: str) -> None:
        """One more, with these values of its labels."""
        member = self._members.get(values)
        if member is None:
            member = self._member(values)
        member.count += 1

    def _member(self, values: tuple[str, ...]) -> Counter:
        if len(self._members) >= LABELS_MAX:
            values = (OTHER,) * len(values)
        member = self._members.get(values)
        if member is None:
            member = self._members[values] = self._make(
                Identity(self.name, tuple(zip(self._names, values, strict=True)))
            )
        return member

    def forget(self, member: Counter) -> None:
        """It rests for long: its place is wanted for others."""
        self._members.pop(tuple(value for _, value in member.identity.labels), None)
