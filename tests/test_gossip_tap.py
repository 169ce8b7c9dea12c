"""C{twist txconsul-gossip}: its options, and the service that they make, on a network in memory."""

from __future__ import annotations

from base64 import b64encode
from collections.abc import Iterator
from contextlib import contextmanager
from random import Random
from typing import Any

from twisted.application.service import IServiceMaker
from twisted.logger import eventAsText, globalLogPublisher
from twisted.plugin import getPlugins
from twisted.python.usage import UsageError
from twisted.trial.unittest import SynchronousTestCase

from txconsul.gossip_tap import DEFAULT_PORT, RETRY_SECONDS, Options, PoolService
from txconsul.net.memory import Wire
from txconsul.serf.messages import Status
from txconsul.simulation.clock import SimulatedClock
from txconsul.storage.worker import Inline
from txconsul.swim.timing import WAN

KEY = bytes(range(32))


def options(*arguments: str) -> Options:
    """The options of a command line."""
    parsed = Options()
    parsed.parseOptions(arguments)
    return parsed


class OptionsTests(SynchronousTestCase):
    """What flags ask for."""

    def test_found(self) -> None:
        """There is one plugin of this name, and it makes these options."""
        (plugin,) = [one for one in getPlugins(IServiceMaker) if one.tapname == "txconsul-gossip"]
        self.assertIsInstance(plugin.options(), Options)

    def test_all(self) -> None:
        """Everything that can be said arrives where it belongs."""
        said = options(
            *("--name", "one", "--bind", "0.0.0.0:1", "--advertise", "[fd00::1]:2", "--timing", "wan"),
            *("--tag", "role=db", "--tag", "empty=", "--join", "10.0.0.1", "--join", "10.0.0.2:3"),
            *("--encrypt", b64encode(KEY).decode(), "--keyring", "keys", "--snapshot", "seen"),
        )
        self.assertEqual(said.joins, [("10.0.0.1", DEFAULT_PORT), ("10.0.0.2", 3)])
        pool = said.pool
        self.assertEqual((pool["name"], pool["host"], pool["port"]), ("one", "0.0.0.0", 1))
        self.assertEqual((pool["advertise"], pool["tags"]), (("fd00::1", 2), {"role": "db", "empty": ""}))
        self.assertEqual((pool["settings"].timing, pool["keyring"].keys), (WAN, [KEY]))
        self.assertEqual((pool["keyring_file"], pool["snapshot"]), ("keys", "seen"))

    def test_mistakes(self) -> None:
        """What cannot be is refused, with a word on why."""
        for why, arguments in {
            "--advertise": ("--bind", "0.0.0.0"),
            "is no IP address": ("--join", "example.com"),
            "out of range": ("--bind", "127.0.0.1:65536"),
            "key=value": ("--tag", "role"),
            "there is no timing": ("--timing", "slow"),
            "base64": ("--encrypt", "?"),
            "key": ("--encrypt", "AAAA"),
            "512": ("--tag", "a=" + "b" * 600),
        }.items():
            error = self.assertRaises(UsageError, options, *arguments)
            self.assertIn(why, str(error))


class PoolServiceTests(SynchronousTestCase):
    """Nodes that come, join, and go."""

    def setUp(self) -> None:
        self.clock = SimulatedClock()
        self.wire = Wire(self.clock, Random(1))
        self.wire.host("one", "10.0.0.1")
        self.failures = 0
        self.lines: list[str] = []

    @contextmanager
    def logged(self) -> Iterator[None]:
        """Keep what is logged meanwhile."""

        def observe(event: Any) -> None:
            if event.get("log_namespace") == "txconsul.gossip_tap":
                self.lines.append(eventAsText(event, includeTimestamp=False, includeSystem=False))

        globalLogPublisher.addObserver(observe)
        try:
            yield
        finally:
            globalLogPublisher.removeObserver(observe)

    def failed(self) -> None:
        """A service could not begin."""
        self.failures += 1

    def service(self, name: str, host: str, *more: str) -> PoolService:
        """A node of this name that has begun."""
        said = options("--name", name, "--bind", host, *more)
        network = self.wire.hosts.get(name) or self.wire.host(name, host)
        said.pool |= {"random": Random(name), "entropy": Random(name).randbytes}
        service = PoolService(network, said.joins, Inline(), self.failed, **said.pool)
        service.startService()
        return service

    def test_pool(self) -> None:
        """Who joins before anybody is there joins later; events are logged; who is stopped has left."""
        with self.logged():
            two = self.service("two", "10.0.0.2", "--join", "10.0.0.1", "--tag", "role=db")
            self.clock.advance(RETRY_SECONDS / 2)
            self.assertIn("10.0.0.1:7946 cannot be joined", self.lines[-1])
            one = self.service("one", "10.0.0.1")
            self.clock.advance(2 * RETRY_SECONDS)
            self.assertIn("joined by 10.0.0.1:7946", self.lines)
            self.assertIn("member-join: two 10.0.0.2:7946 role=db", self.lines)
            two.pool.do(lambda node, now: node.event("deploy", b"v1\n", now))
            two.pool.do(lambda node, now: node.query("who", b"?", now))
            self.clock.advance(5)
            self.assertEqual(self.lines.count("event: deploy b'v1\\n'"), 2)
            self.assertEqual(self.lines.count("query: who b'?' from two"), 2)
            stopping = two.stopService()
            self.clock.advance(10)
            self.successResultOf(stopping)
        self.assertEqual(one.pool.core.members.get("two").status, Status.LEFT)
        self.assertIn("member-leave: two 10.0.0.2:7946 role=db", self.lines)
        self.assertEqual(self.failures, 0)

    def test_cannotBegin(self) -> None:
        """Whose port is taken says so, and that it has failed; it can be stopped."""
        self.service("one", "10.0.0.1")
        with self.logged():
            second = self.service("one", "10.0.0.1")
        self.assertEqual(self.failures, 1)
        self.assertIn("gossip cannot begin", self.lines[-1])
        self.successResultOf(second.stopService())

    def test_stopsTrying(self) -> None:
        """Who found nobody to join does not go on looking once it is stopped."""
        two = self.service("two", "10.0.0.2", "--join", "10.0.0.1")
        self.clock.advance(1)
        stopping = two.stopService()
        self.clock.advance(10)
        self.successResultOf(stopping)
        self.assertEqual([call for call in self.clock.getDelayedCalls() if call.active()], [])
