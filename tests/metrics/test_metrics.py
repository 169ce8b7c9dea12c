"""Instruments, their intervals, and what is told of them."""

from __future__ import annotations

import math
from typing import Any

from hypothesis import given
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase
from zope.interface.verify import verifyObject

from txconsul.interfaces import IMetricSink
from txconsul.metrics.instruments import LABELS_MAX, OTHER, RECENT, Identity, RecentSample, Sample
from txconsul.metrics.metrics import RESTING_INTERVALS_MIN, Gauge, Metrics
from txconsul.metrics.prefixes import PrefixRules


class SampleTests(SynchronousTestCase):
    """What measures."""

    @given(st.lists(st.floats(-1e6, 1e6), min_size=1, max_size=200))
    def test_aggregates(self, values: list[float]) -> None:
        """Count, sum, extremes, mean and standard deviation are those of the values, however they come."""
        sample = Sample(Identity("a"))
        for value in values:
            sample.add(value)
        found = sample.aggregate()
        assert found is not None
        mean = math.fsum(values) / len(values)
        self.assertEqual((found.count, found.least, found.most), (len(values), min(values), max(values)))
        self.assertLessEqual(abs(found.mean - mean), 1e-6 + abs(mean) * 1e-6)
        if len(values) > 1:
            variance = math.fsum((value - mean) ** 2 for value in values) / (len(values) - 1)
            self.assertLessEqual(abs(found.deviation - math.sqrt(variance)), 1.0)

    def test_quantiles(self) -> None:
        """Shares of the newest values are below them; of the older ones nothing is known any more."""
        sample = RecentSample(Identity("a"))
        self.assertTrue(all(math.isnan(one) for one in sample.quantiles()))
        sample.add(7.0)
        self.assertEqual(sample.quantiles(), (7.0, 7.0, 7.0))
        for value in range(1000, 1000 + RECENT):
            sample.add(float(value))
        self.assertEqual(sample.quantiles(), (1063.0, 1115.0, 1126.0))

    def test_restingDistribution(self) -> None:
        """What rested for an interval has no distribution, but still its sum."""
        sample = RecentSample(Identity("a"))
        sample.add(7.0)
        sample.fold()
        self.assertEqual(sample.quantiles()[0], 7.0)
        sample.fold()
        self.assertTrue(math.isnan(sample.quantiles()[0]))
        self.assertEqual((sample.total, sample.total_sum), (1, 7.0))


class IntervalTests(SynchronousTestCase):
    """Ten seconds at a time."""

    def rows(self, document: dict[str, Any], part: str) -> list[tuple[str, float]]:
        """Names and counts or values of one part."""
        return [(one["Name"], one.get("Count", one.get("Value"))) for one in document[part]]

    def test_sink(self) -> None:
        """It is what others of its kind would have to be."""
        verifyObject(IMetricSink, Metrics())

    def test_shape(self) -> None:
        """A document has Consul's shape."""
        metrics = Metrics(began=1500000000.0)
        metrics.counter("raft.apply").add()
        metrics.gauges(lambda: [Gauge("session_ttl.active", 3)])
        sample = metrics.sample("api.http", method="GET", path="v1_kv_")
        sample.add(1.0)
        sample.add(3.0)
        self.assertEqual(
            metrics.document(),
            {
                "Timestamp": "2017-07-14 02:40:00 +0000 UTC",
                "Gauges": [{"Name": "consul.session_ttl.active", "Value": 3, "Labels": {}}],
                "Points": [],
                "Counters": [
                    {
                        "Name": "consul.raft.apply",
                        "Count": 1,
                        "Rate": 0.1,
                        "Sum": 1,
                        "Min": 1.0,
                        "Max": 1.0,
                        "Mean": 1.0,
                        "Stddev": 0.0,
                        "Labels": {},
                    }
                ],
                "Samples": [
                    {
                        "Name": "consul.api.http",
                        "Count": 2,
                        "Rate": 0.4,
                        "Sum": 4.0,
                        "Min": 1.0,
                        "Max": 3.0,
                        "Mean": 2.0,
                        "Stddev": math.sqrt(2),
                        "Labels": {"method": "GET", "path": "v1_kv_"},
                    }
                ],
            },
        )

    def test_finished(self) -> None:
        """Once an interval is over, it is what is told, until the next one is over; what rested is not in it."""
        metrics = Metrics()
        asked = metrics.counter("asked")
        asked.add()
        self.assertEqual(self.rows(metrics.document(), "Counters"), [("consul.asked", 1)])
        metrics.roll(10.0)
        asked.add()
        asked.add()
        self.assertEqual(self.rows(metrics.document(), "Counters"), [("consul.asked", 1)])
        self.assertEqual(self.rows(metrics.roll(20.0), "Counters"), [("consul.asked", 2)])
        metrics.roll(30.0)
        self.assertEqual(metrics.document()["Timestamp"], "1970-01-01 00:00:20 +0000 UTC")
        self.assertEqual(self.rows(metrics.document(), "Counters"), [])

    def test_sameInstrument(self) -> None:
        """Who asks for the same name and labels gets the same instrument."""
        metrics = Metrics()
        self.assertIs(metrics.counter("a", b="c"), metrics.counter("a", b="c"))
        self.assertIsNot(metrics.counter("a", b="c"), metrics.counter("a", b="d"))

    def test_countedElsewhere(self) -> None:
        """Of what is counted elsewhere, an interval has the difference."""
        metrics, count = Metrics(), [5]
        metrics.counted("asked", lambda: count[0])
        self.assertEqual(self.rows(metrics.roll(10.0), "Counters"), [("consul.asked", 5)])
        self.assertEqual(self.rows(metrics.roll(20.0), "Counters"), [])
        count[0] = 7
        self.assertEqual([one.value for one in metrics.exposed()], [7])
        self.assertEqual(self.rows(metrics.roll(30.0), "Counters"), [("consul.asked", 2)])
        self.assertEqual([one.value for one in metrics.exposed()], [7])

    def test_together(self) -> None:
        """Several samples can be told of as one, in each interval and of all time."""
        metrics = Metrics()
        first, second = metrics.sample("a"), metrics.sample("b")
        metrics.together("both", [first, second])
        first.add(1.0)
        second.add(5.0)
        row = metrics.roll(10.0)["Samples"][-1]
        self.assertEqual((row["Name"], row["Count"], row["Min"], row["Max"]), ("consul.both", 2, 1.0, 5.0))
        second.add(2.0)
        (both,) = [one for one in metrics.exposed() if one.name == "consul.both"]
        self.assertEqual((both.count, both.value), (3, 8.0))

    def test_hostname(self) -> None:
        """Gauges have the host's name in theirs, unless that is not wanted."""
        metrics = Metrics(prefix="c", hostname="h1")
        metrics.gauges(lambda: [Gauge("up", 1)])
        metrics.counter("asked").add()
        document = metrics.document()
        self.assertEqual(self.rows(document, "Gauges"), [("c.h1.up", 1)])
        self.assertEqual(self.rows(document, "Counters"), [("c.asked", 1)])

    def test_rules(self) -> None:
        """The longest prefix decides, and rules may change while all is counted."""
        rules = PrefixRules(("consul.raft.apply", "consul.http.GET", "twice"), ("consul.http", "twice"), True)
        for name, told in {
            "consul.raft.apply": True,
            "consul.http.GET.v1": True,
            "consul.http.PUT": False,
            "consul.kvs": True,
            "twice": False,
            "c": True,
        }.items():
            self.assertEqual(rules(name), told, name)
        metrics = Metrics(rules=PrefixRules((), (), False))
        metrics.counter("asked").add()
        metrics.gauges(lambda: [Gauge("up", 1)])
        self.assertEqual(
            (metrics.document()["Counters"], metrics.document()["Gauges"], metrics.exposed()), ([], [], [])
        )
        metrics.rules = rules
        self.assertEqual(self.rows(metrics.document(), "Counters"), [("consul.asked", 1)])


class FamilyTests(SynchronousTestCase):
    """Labels whose values come from outside."""

    def test_bounded(self) -> None:
        """So many values are told apart; the rest counts together, so that nobody can fill the memory."""
        metrics = Metrics()
        asked = metrics.counters("asked", "service", "tag")
        for number in range(LABELS_MAX + 50):
            asked.add(f"s{number}", "")
        rows = metrics.document()["Counters"]
        self.assertEqual(len(rows), LABELS_MAX + 1)
        (rest,) = [row for row in rows if row["Labels"]["service"] == OTHER]
        self.assertEqual(rest["Count"], 50)

    def test_forgotten(self) -> None:
        """What rests for a minute gives up its place, and begins anew when it comes again."""
        metrics = Metrics()
        asked = metrics.counters("asked", "service")
        asked.add("web")
        for _ in range(RESTING_INTERVALS_MIN):
            metrics.roll(0.0)
            self.assertEqual([one.value for one in metrics.exposed()], [1])
        metrics.roll(0.0)
        self.assertEqual(metrics.exposed(), [])
        asked.add("web")
        self.assertEqual([one.value for one in metrics.exposed()], [1])

    def test_retention(self) -> None:
        """For Prometheus it is kept as long as was configured; an instrument without labels is there from the start."""
        metrics = Metrics(retention_seconds=300.0)
        metrics.counter("plain")
        metrics.sample("times", op="set").add(2.0)
        for _ in range(30):
            metrics.roll(0.0)
        self.assertEqual([one.name for one in metrics.exposed()], ["consul.plain", "consul.times"])
        for _ in range(3):
            metrics.roll(0.0)
        self.assertEqual([one.name for one in metrics.exposed()], ["consul.plain"])
