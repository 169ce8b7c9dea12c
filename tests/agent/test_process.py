"""Logs, facts, and what an agent does to its process."""

from __future__ import annotations

import gc
import io
import json
import os
import signal
import socket
import time
from pathlib import Path
from types import SimpleNamespace
from typing import Any

from twisted.internet.defer import Deferred
from twisted.internet.task import Clock
from twisted.logger import Logger, LogLevel
from twisted.python.failure import Failure
from twisted.trial.unittest import SynchronousTestCase, TestCase

from txconsul.agent.facts import AgentFacts, Portrait
from txconsul.agent.logs import LEVELS, observer, open_file
from txconsul.agent.process import COLLECTOR_THRESHOLD, PidFile, calm_collector, heed_signals, monotonic, notify
from txconsul.agent.telemetry import Telemetry
from txconsul.errors import DiskFull
from txconsul.metrics.metrics import Metrics
from txconsul.serf.coordinate import ORIGIN


def written(level: str, as_json: bool) -> str:
    """What the log says of a few events."""
    out = io.StringIO()
    sink = observer(out, level=level, json=as_json)
    log = Logger("txconsul.http.api.API", observer=sink)
    log.debug("finely {x}", x=1)
    log.info("said {x}", x=2)
    log.warn("caf\udcff")
    log.failure("failed", Failure(DiskFull()))
    return out.getvalue()


class LogTests(SynchronousTestCase):
    """Lines as Consul writes them."""

    def test_text(self) -> None:
        """Time, level, module and message, a line each."""
        lines = written("info", False).splitlines()
        self.assertRegex(lines[0], r"^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z \[INFO\]  agent\.http: said 2$")
        self.assertIn("[WARN]  agent.http: caf\\udcff", lines[1])
        self.assertIn("[ERROR] agent.http: failed: no space left on device", lines[2])
        self.assertEqual(len(lines), 3)

    def test_json(self) -> None:
        """One object a line, with hclog's names."""
        first, *_ = [json.loads(line) for line in written("debug", True).splitlines()]
        self.assertEqual((first["@level"], first["@message"], first["@module"]), ("debug", "finely 1", "agent.http"))

    def test_levels(self) -> None:
        """A level shows itself and what is graver; every name of Consul's is known."""
        self.assertEqual(len(written("debug", False).splitlines()), 4)
        self.assertEqual(len(written("ERR", False).splitlines()), 1)
        self.assertEqual(set(LEVELS), {"trace", "debug", "info", "warn", "err", "error"})
        self.assertIs(LEVELS["warn"], LogLevel.warn)

    def test_traceback(self) -> None:
        """What nobody foresaw is shown with its traceback."""
        out = io.StringIO()
        Logger("txconsul.x", observer=observer(out, level="info", json=False)).failure("no", Failure(KeyError("k")))
        self.assertIn("Traceback", out.getvalue())


class RotationTests(SynchronousTestCase):
    """Log files that begin anew."""

    def lines(self, **rotation: float) -> list[str]:
        """The files after three lines, half a minute after each other."""
        directory = Path(self.mktemp())
        directory.mkdir(parents=True)
        given: dict[str, Any] = {"rotate_bytes": 0, "rotate_files": 0, "rotate_seconds": 0.0, **rotation}
        file: Any = open_file(str(directory / "log"), **given)
        now = [0.0]
        file.clock = lambda: now[0]
        file._since = 0.0
        for number in range(3):
            file.write(f"{number}\n")
            now[0] += 30
        file.close()
        return sorted(one.read_text() for one in directory.iterdir())

    def test_never(self) -> None:
        """Without limits there is one file."""
        self.assertEqual(self.lines(), ["0\n1\n2\n"])

    def test_bySize(self) -> None:
        """By its size, and not more files than wanted."""
        self.assertEqual(self.lines(rotate_bytes=2), ["0\n", "1\n", "2\n"])
        self.assertEqual(self.lines(rotate_bytes=2, rotate_files=1), ["1\n", "2\n"])

    def test_byAge(self) -> None:
        """By its age."""
        self.assertEqual(self.lines(rotate_seconds=60), ["0\n1\n", "2\n"])


class NotifyTests(SynchronousTestCase):
    """Telling systemd."""

    def test_nobodyAsked(self) -> None:
        """Without a socket nobody is told."""
        self.assertFalse(notify("READY=1", {}))
        self.assertFalse(notify("READY=1", {"NOTIFY_SOCKET": "/nowhere/at/all"}))

    def test_told(self) -> None:
        """A path, and a name in the abstract namespace."""
        path = self.mktemp()
        for address, name in ((path, path), (f"@txconsul-{os.getpid()}", f"\0txconsul-{os.getpid()}")):
            with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as listener:
                listener.bind(name)
                listener.settimeout(5)
                self.assertTrue(notify("READY=1", {"NOTIFY_SOCKET": address}))
                self.assertEqual(listener.recv(100), b"READY=1")


class PidFileTests(SynchronousTestCase):
    """The file with the process's number."""

    def test_writtenAndRemoved(self) -> None:
        """It is there while the agent runs."""
        path = Path(self.mktemp())
        file = PidFile(str(path))
        file.write()
        self.assertEqual(path.read_text(), f"{os.getpid()}\n")
        file.remove()
        self.assertFalse(path.exists())
        file.remove()

    def test_none(self) -> None:
        """Without a path there is no file."""
        PidFile("").write()
        PidFile("").remove()


class MonotonicTests(TestCase):
    """A wall clock that is set back delays nothing."""

    def test_wallClockIsSetBack(self) -> None:
        """With the monotonic clock a call comes in its time, though the wall clock lost an hour meanwhile."""
        from twisted.internet.selectreactor import SelectReactor

        class Stepped(SelectReactor):
            """A reactor of its own, whose wall clock is set back an hour when it was asked a few times."""

            asked = 0

            def seconds(self) -> float:
                """The wall clock."""
                Stepped.asked += 1
                return time.time() - (3600 if Stepped.asked > 3 else 0)

        reactor = Stepped()
        self.addCleanup(reactor.disconnectAll)
        monotonic(reactor)
        rung: list[float] = []
        reactor.callLater(0.01, rung.append, 1.0)
        deadline = time.monotonic() + 5
        while not rung and time.monotonic() < deadline:
            reactor.runUntilCurrent()
        self.assertEqual(rung, [1.0])
        self.assertEqual(Stepped.asked, 0)


class CollectorTests(SynchronousTestCase):
    """The cycle collector, which must not walk every waiting request."""

    def test_calmed(self) -> None:
        """It looks rarely, and not at what was there before."""
        self.addCleanup(gc.set_threshold, *gc.get_threshold())
        self.addCleanup(gc.unfreeze)
        calm_collector()
        self.assertEqual(gc.get_threshold()[0], COLLECTOR_THRESHOLD)
        self.assertGreater(gc.get_freeze_count(), 0)


class ClosedPools:
    """Pools of which none is open yet."""

    lan = SimpleNamespace(node=None)
    wan = None


class FactsTests(SynchronousTestCase):
    """What an agent tells of itself."""

    def setUp(self) -> None:
        """An agent that was asked one thing."""
        portrait = Portrait(outline={"NodeName": "a"}, node_meta={"rack": "1"})
        self.telemetry = Telemetry(Metrics(), Clock(), lambda: 5.0)
        self.facts = AgentFacts(portrait, lambda: {"a": 1}, lambda: ORIGIN, dict, self.telemetry, ClosedPools())

    def test_document(self) -> None:
        """Configuration, member and metadata."""
        document = self.facts.document()
        self.assertEqual((document["Config"]["NodeName"], document["Meta"]), ("a", {"rack": "1"}))
        self.assertEqual(document["DebugConfig"], {"a": 1})
        self.assertEqual(document["Coord"], ORIGIN)
        self.assertNotIn("xDS", document)
        self.assertEqual(self.facts.members(), [])

    def test_host(self) -> None:
        """The machine, without errors on this one."""
        host = self.facts.host()
        self.assertIsNone(host["Errors"])
        self.assertGreater(host["Memory"]["total"], 0)
        self.assertGreater(host["Disk"]["total"], 0)

    def test_metrics(self) -> None:
        """In both forms, and as they come, until the agent stops."""
        self.telemetry.metrics.counter("asked").add()
        self.assertEqual([one["Name"] for one in self.facts.metrics()["Counters"]], ["consul.asked"])
        self.assertIn("consul.asked", [one.name for one in self.facts.exposed_metrics()])
        follower, watcher = self.facts.follow_metrics(), self.facts.follow_log("err", False)
        self.facts.end()
        for stream in (follower, watcher):
            self.assertRaises(StopIteration, next, stream)


class Reactor:
    """
    Does at once what it is called for.

    @ivar stops: how often it was stopped.
    """

    running = True
    _stopped = False
    stops = 0

    def callFromThread(self, function: Any, *arguments: Any) -> None:
        """Now."""
        function(*arguments)

    def stop(self) -> None:
        """Count."""
        self.stops += 1
        self._stopped = True


class SignalTests(SynchronousTestCase):
    """Signals that must not end the process."""

    def setUp(self) -> None:
        for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
            self.addCleanup(signal.signal, number, signal.getsignal(number))
        self.reactor = Reactor()

    def test_heeded(self) -> None:
        """An interrupt stops the reactor, once; a hang-up does not."""
        heed_signals(self.reactor, lambda: None)
        os.kill(os.getpid(), signal.SIGHUP)
        self.assertEqual(self.reactor.stops, 0)
        os.kill(os.getpid(), signal.SIGTERM)
        os.kill(os.getpid(), signal.SIGINT)
        self.assertEqual(self.reactor.stops, 1)

    def test_leaves(self) -> None:
        """Where the agent is to leave, the reactor is stopped when it has, whether it could or not."""
        lefts: list[Deferred[None]] = []

        def leave(number: int) -> Deferred[None]:
            self.assertEqual(number, signal.SIGINT)
            lefts.append(Deferred())
            return lefts[-1]

        for result in (None, Failure(ValueError("no"))):
            self.reactor = Reactor()
            heed_signals(self.reactor, lambda: None, leave)
            os.kill(os.getpid(), signal.SIGINT)
            self.assertEqual(self.reactor.stops, 0)
            lefts.pop().callback(result)  # type: ignore[arg-type]
            self.assertEqual(self.reactor.stops, 1)

    def test_impatience(self) -> None:
        """A second signal does not wait for that."""
        heed_signals(self.reactor, lambda: None, lambda number: Deferred())
        os.kill(os.getpid(), signal.SIGTERM)
        self.assertEqual(self.reactor.stops, 0)
        os.kill(os.getpid(), signal.SIGTERM)
        self.assertEqual(self.reactor.stops, 1)
