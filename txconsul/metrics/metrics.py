"""
All instruments of an agent, and what is told of them.

Rule 1: an instrument is asked for once, where something is put together; what is done with it in a hot path is one
addition. Names, labels, rules and forms matter only when somebody looks.
Rule 2: it grows with what there is to count, and not with who asks: see L{LABELS_MAX<instruments.LABELS_MAX>}.

Pure: time is an argument. Instruments take what comes in an interval; C{roll} ends one.

Source: Consul's documentation of C{/v1/agent/metrics} and of C{telemetry}; go-metrics, whose forms these are.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from datetime import UTC, datetime
from typing import Any, NamedTuple, TypeVar

import msgspec
from zope.interface import implementer

from txconsul.interfaces import IMetricSink
from txconsul.metrics.instruments import (
    Aggregate,
    Counted,
    Counter,
    CounterFamily,
    Identity,
    Labels,
    RecentSample,
    Sample,
    Together,
)
from txconsul.metrics.names import help_of
from txconsul.metrics.prefixes import ALL, PrefixRules

__all__ = ["INTERVAL_SECONDS", "Exposed", "Gauge", "Metrics"]

#: What an interval takes; the rates that are told count on it.
INTERVAL_SECONDS = 10
#: Intervals after which a counter of a family that rests is forgotten, where Prometheus does not want it longer.
RESTING_INTERVALS_MIN = 6

I = TypeVar("I", Counter, Sample)  # noqa: E741


class Gauge(NamedTuple):
    """A value as it is now; C{name} as in L{Identity}."""

    name: str
    value: float
    labels: Labels = ()


class Exposed(msgspec.Struct, frozen=True):
    """
    An instrument for those who add up themselves: counts are of all time.

    @ivar kind: C{gauge}, C{counter} or C{summary}.
    @ivar name: with its prefix.
    @ivar value: of a gauge or counter; of a summary, the sum.
    @ivar help: what it tells; empty where that is nowhere said.
    @ivar count: of a summary.
    @ivar quantiles: likewise, see L{QUANTILES<instruments.QUANTILES>}.
    """

    kind: str
    name: str
    labels: Labels
    value: float
    count: int = 0
    quantiles: tuple[float, ...] = ()
    help: str = ""


class _Kept(NamedTuple):
    """
    An instrument, and whether it is forgotten when it rests.

    @ivar forget: called then; None for one that somebody holds.
    """

    instrument: Counter | Sample
    forget: Callable[[Any], None] | None


@implementer(IMetricSink)
class Metrics:
    """
    The instruments.

    @ivar rules: which metrics are told; may be replaced at any time.
    """

    def __init__(
        self,
        *,
        prefix: str = "consul",
        hostname: str = "",
        rules: PrefixRules = ALL,
        retention_seconds: float = 0.0,
        began: float = 0.0,
    ) -> None:
        """
        @param prefix: before every name.
        @param hostname: between prefix and name of gauges; empty for nothing.
        @param retention_seconds: how long Prometheus is told of what rests; 0 where nobody asks in its form.
        @param began: of the first interval, in seconds since 1970.
        """
        self._prefix = f"{prefix}." if prefix else ""
        self._gauge_prefix = f"{self._prefix}{hostname}." if hostname else self._prefix
        self.rules = rules
        self._distributions = retention_seconds > 0
        self._resting_max = max(RESTING_INTERVALS_MIN, int(retention_seconds // INTERVAL_SECONDS) + 1)
        self._instruments: dict[Identity, _Kept] = {}
        self._rested: dict[Identity, int] = {}
        self._gauges: list[Callable[[], Iterable[Gauge]]] = []
        self._began = began
        self._finished: dict[str, Any] | None = None

    # ---- IMetricSink ----

    def counter(self, name: str, **labels: str) -> Counter:
        """See L{IMetricSink}."""
        return self._found(Identity(name, tuple(labels.items())), Counter)

    def sample(self, name: str, **labels: str) -> Sample:
        """See L{IMetricSink}."""
        return self._found(Identity(name, tuple(labels.items())), RecentSample if self._distributions else Sample)

    def counters(self, name: str, *labels: str) -> CounterFamily:
        """See L{IMetricSink}."""

        def make(identity: Identity) -> Counter:
            made = Counter(identity)
            self._instruments[identity] = _Kept(made, family.forget)
            return made

        family = CounterFamily(name, labels, make)
        return family

    def counted(self, name: str, read: Callable[[], int], **labels: str) -> None:
        """See L{IMetricSink}."""
        identity = Identity(name, tuple(labels.items()))
        self._instruments[identity] = _Kept(Counted(identity, read), None)

    def together(self, name: str, parts: Sequence[Sample], **labels: str) -> None:
        """See L{IMetricSink}."""
        identity = Identity(name, tuple(labels.items()))
        self._instruments[identity] = _Kept(Together(identity, parts), None)

    def gauges(self, read: Callable[[], Iterable[Gauge]]) -> None:
        """See L{IMetricSink}."""
        self._gauges.append(read)

    def _found(self, identity: Identity, make: Callable[[Identity], I]) -> I:
        kept = self._instruments.get(identity)
        if kept is None:
            kept = self._instruments[identity] = _Kept(make(identity), None)
        return kept.instrument  # type: ignore[return-value]  # one identity is always of one kind

    # ---- intervals ----

    def roll(self, now: float) -> dict[str, Any]:
        """
        An interval is over, and another begins.

        @param now: in seconds since 1970.
        @return: what it had, as L{document} tells it.
        """
        self._finished = finished = self._summary()
        self._began = now
        rested = self._rested
        resting: dict[Identity, int] = {}
        for identity, (instrument, forget) in list(self._instruments.items()):
            if instrument.count:
                instrument.fold()
                continue
            instrument.fold()
            resting[identity] = rested.get(identity, 0) + 1
            if forget is not None and resting[identity] >= self._resting_max:
                del self._instruments[identity], resting[identity]
                forget(instrument)
        self._rested = resting
        return finished

    def document(self) -> dict[str, Any]:
        """What the last finished interval had, in the shape of C{/v1/agent/metrics}; before that, the current one."""
        return self._finished or self._summary()

    def _summary(self) -> dict[str, Any]:
        counters: list[dict[str, Any]] = []
        samples: list[dict[str, Any]] = []
        for identity, (instrument, _) in self._instruments.items():
            aggregate = instrument.aggregate()
            if aggregate is not None and self.rules(self._prefix + identity.name):
                rows = counters if isinstance(instrument, Counter) else samples
                rows.append(_row(self._prefix + identity.name, identity.labels, aggregate))
        gauges = [
            {"Name": name, "Value": value, "Labels": dict(labels)} for name, labels, value, _ in self._measured_gauges()
        ]
        for rows in (counters, samples, gauges):
            rows.sort(key=_order)
        return {
            "Timestamp": datetime.fromtimestamp(round(self._began), UTC).strftime("%Y-%m-%d %H:%M:%S +0000 UTC"),
            "Gauges": gauges,
            "Points": [],
            "Counters": counters,
            "Samples": samples,
        }

    def _measured_gauges(self) -> Iterator[tuple[str, Labels, float, str]]:
        for read in self._gauges:
            for name, value, labels in read():
                full = self._gauge_prefix + name
                if self.rules(full):
                    yield full, labels, value, help_of(name) or ""

    # ---- of all time ----

    def exposed(self) -> list[Exposed]:
        """What there is to tell to those who add up themselves; labelled instruments that rest are left out."""
        found = []
        for name, labels, value, help in self._measured_gauges():
            found.append(Exposed("gauge", name, labels, value, help=help))
        for identity, (instrument, _) in self._instruments.items():
            instrument.aggregate()  # one whose source is elsewhere looks there now
            name = self._prefix + identity.name
            if not self.rules(name) or (identity.labels and self._rests(identity, instrument)):
                continue
            help, labels, count = help_of(identity.name) or "", identity.labels, instrument.total + instrument.count
            if isinstance(instrument, Sample):
                total = instrument.total_sum + instrument.sum
                found.append(Exposed("summary", name, labels, total, count, instrument.quantiles(), help))
            else:
                found.append(Exposed("counter", name, labels, count, help=help))
        return found

    def _rests(self, identity: Identity, instrument: Counter | Sample) -> bool:
        return not instrument.count and self._rested.get(identity, 0) >= self._resting_max


def _row(name: str, labels: Labels, it: Aggregate) -> dict[str, Any]:
    return {
        "Name": name,
        "Count": it.count,
        "Rate": it.sum / INTERVAL_SECONDS,
        "Sum": it.sum,
        "Min": it.least,
        "Max": it.most,
        "Mean": it.mean,
        "Stddev": it.deviation,
        "Labels": dict(labels),
    }


def _order(row: dict[str, Any]) -> tuple[str, str]:
    return row["Name"], ";".join(f"{name}={value}" for name, value in row["Labels"].items())
