"""The metrics of an agent: their ten seconds, and who follows them."""

from __future__ import annotations

import gc
import json
from typing import Any

from twisted.internet.defer import Deferred
from twisted.internet.task import Clock

from tests.agent.configuring import ConfigurationTestCase
from txconsul.agent.gauges import runtime_gauges
from txconsul.agent.telemetry import FOLLOWERS_MAX, INTERVALS_KEPT, Telemetry, metrics_for
from txconsul.errors import Unavailable
from txconsul.metrics.metrics import Metrics


class TelemetryTests(ConfigurationTestCase):
    """C{/v1/agent/metrics} and C{stream}, below HTTP."""

    def setUp(self) -> None:
        """It is three seconds past a multiple of ten."""
        self.clock = Clock()
        self.telemetry = Telemetry(Metrics(), self.clock, lambda: 1003.0 + self.clock.seconds())
        self.telemetry.startService()
        self.addCleanup(self.telemetry.stopService)
        self.asked = self.telemetry.metrics.counter("asked")

    def take(self, follower: Any) -> list[Any]:
        """The next piece, or what came of it later."""
        found: list[Any] = []
        piece = next(follower)
        if isinstance(piece, Deferred):
            piece.addBoth(found.append)
        else:
            found.append(piece)
        return found

    def test_wallClock(self) -> None:
        """Intervals end when the clock on the wall shows a multiple of ten seconds."""
        self.asked.add()
        self.clock.advance(6.9)
        self.asked.add()
        self.assertEqual(self.telemetry.metrics.document()["Counters"][0]["Count"], 2)
        self.clock.advance(0.2)
        self.asked.add()
        self.assertEqual(self.telemetry.metrics.document()["Counters"][0]["Count"], 2)
        self.clock.advance(9.9)
        self.assertEqual(self.telemetry.metrics.document()["Counters"][0]["Count"], 1)
        self.assertEqual(self.telemetry.metrics.document()["Timestamp"], "1970-01-01 00:16:50 +0000 UTC")

    def test_early(self) -> None:
        """A call that comes a little early, by the clock on the wall, ends one interval and not two."""
        times = iter([1003.0, 1009.999, 1020.001])
        telemetry = Telemetry(Metrics(began=1000.0), self.clock, lambda: next(times))
        telemetry.startService()
        self.addCleanup(telemetry.stopService)
        rolled: list[float] = []
        self.patch(telemetry.metrics, "roll", rolled.append)
        self.clock.advance(7.0)
        self.clock.advance(10.0)
        self.assertEqual(rolled, [1010.0])
        self.clock.advance(0.01)
        self.assertEqual(rolled, [1010.0, 1020.0])

    def test_unmeasurable(self) -> None:
        """A gauge that fails costs its own interval, and no other."""

        def failing() -> Any:
            raise ZeroDivisionError

        self.telemetry.metrics.gauges(failing)
        for _ in range(2):
            self.assertRaises(ZeroDivisionError, self.clock.advance, 10.0)

    def test_following(self) -> None:
        """Each interval is told when it is over, as an indented object and a line's end."""
        follower = self.telemetry.follow()
        found = self.take(follower)
        self.assertEqual(found, [])
        self.asked.add()
        self.clock.advance(7.5)
        self.assertEqual(json.loads(found[0])["Counters"][0]["Name"], "consul.asked")
        self.assertTrue(found[0].startswith(b'{\n    "Timestamp"') and found[0].endswith(b"}\n"), found)

    def test_slowFollower(self) -> None:
        """For one who does not read, some intervals are kept, and the newest are dropped."""
        follower = self.telemetry.follow()
        for _ in range(INTERVALS_KEPT + 2):
            self.clock.advance(10.0)
        (pieces,) = self.take(follower)
        self.assertEqual(pieces.count(b'"Timestamp"'), INTERVALS_KEPT)
        self.assertEqual(follower.dropped, 2)

    def test_end(self) -> None:
        """Who follows is told of the end; those who are gone are forgotten; not too many may."""
        gone, follower = self.telemetry.follow(), self.telemetry.follow()
        gone.close()
        found = self.take(follower)
        self.telemetry.end()
        self.assertEqual(found, [b""])
        self.assertRaises(StopIteration, next, follower)
        for _ in range(FOLLOWERS_MAX):
            self.telemetry.follow()
        self.assertRaises(Unavailable, self.telemetry.follow)

    def test_collector(self) -> None:
        """The cycle collector's pauses are measured, until the service ends."""
        gc.collect()
        (row,) = [one for one in self.telemetry.metrics.document()["Samples"] if one["Name"].endswith("gc_pause_ns")]
        self.assertGreaterEqual(row["Count"], 1)
        self.telemetry.stopService()
        self.assertNotIn(self.telemetry._collects, gc.callbacks)

    def test_runtime(self) -> None:
        """What there is to tell of the process."""
        found = {one.name: one.value for one in runtime_gauges(self.telemetry)}
        self.assertGreater(found["runtime.heap_objects"], 1000)
        self.assertGreater(found["runtime.alloc_bytes"], 1 << 20)
        self.assertEqual(found["version"], 1)

    def test_settings(self) -> None:
        """Prefix, host's name and rules are configured."""
        it = self.load(
            hcl='telemetry { metrics_prefix = "c" prefix_filter = ["-c.a", "+c.a.b"] disable_hostname = true }'
        )
        metrics = metrics_for(it.telemetry, "h1", 1007.0)
        for name in ("a.a", "a.b", "b"):
            metrics.counter(name).add()
        self.assertEqual([one["Name"] for one in metrics.document()["Counters"]], ["c.a.b", "c.b"])
        self.assertEqual(metrics.document()["Timestamp"], "1970-01-01 00:16:40 +0000 UTC")
