"""Kinds of checks that are plugins: the very example of docs/extending.md."""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import Any

from twisted.internet.protocol import Factory, Protocol
from twisted.plugin import getPlugins
from twisted.trial.unittest import SynchronousTestCase
from zope.interface.verify import verifyObject

import twisted.plugins
from tests.agent.checks.peers import PeerCase
from tests.agent.local_agent import LocalAgent
from txconsul.agent.checks.dialing import CheckTLS
from txconsul.agent.checks.kinds import NotRun, Surroundings, make
from txconsul.agent.checks.plugins import installed
from txconsul.agent.running_checks import Limits
from txconsul.errors import BadRequest, InvalidRequest
from txconsul.interfaces import ICheck, ICheckKind
from txconsul.records.agent import CheckDefinition
from txconsul.records.health import CRITICAL, PASSING, CheckResult
from txconsul.records.service import CheckType

SECOND = 1_000_000_000
DOCUMENT = Path(__file__).resolve().parents[3] / "docs" / "extending.md"


def example() -> str:
    """The plugin in the document."""
    section = DOCUMENT.read_text().partition("## A kind of check")[2].partition("\n## ")[0]
    return section.partition("```python\n")[2].partition("```")[0]


def install(test: Any) -> None:
    """Put the plugin of the document where Twisted looks for plugins, until the test ends."""
    directory = os.path.abspath(test.mktemp())
    os.makedirs(directory)
    with open(os.path.join(directory, "redis_check.py"), "w") as file:
        file.write(example())
    test.patch(twisted.plugins, "__path__", [*twisted.plugins.__path__, directory])
    test.addCleanup(sys.modules.pop, "twisted.plugins.redis_check", None)


class Redis(Protocol):
    """Answers a ping; or, if told so, refuses."""

    answer = b"+PONG\r\n"

    def dataReceived(self, data: bytes) -> None:
        assert self.transport is not None
        self.transport.write(self.answer if data == b"PING\r\n" else b"-ERR what\r\n")


class ExampleTests(PeerCase):
    """The example does what it says."""

    async def look(self, endpoint: str) -> CheckResult:
        """One look."""
        definition = CheckType(plugin="redis", plugin_options={"endpoint": endpoint}, interval=SECOND)
        surroundings = Surroundings(self.network, CheckTLS(), None, {})  # type: ignore[arg-type]
        check = make(definition, surroundings, 64)
        verifyObject(ICheck, check)
        result: CheckResult = await check.run()
        await self.settled()
        return result

    async def test_runs(self) -> None:
        """A pong is passing, all else critical; nobody there is a failure, which is critical, too."""
        install(self)
        verifyObject(ICheckKind, installed("redis"))
        host, _, port = (await self.listen(Factory.forProtocol(Redis))).partition(":")
        endpoint = f"tcp:{host}:{port}"
        self.assertEqual(await self.look(endpoint), CheckResult(status=PASSING, output="+PONG"))
        self.patch(Redis, "answer", b"-NOAUTH Authentication required.\r\n")
        result = await self.look(endpoint)
        self.assertEqual(result, CheckResult(status=CRITICAL, output="-NOAUTH Authentication required."))


class RegistrationTests(SynchronousTestCase):
    """How an agent takes such checks."""

    def setUp(self) -> None:
        """An agent."""
        install(self)
        self.agent = LocalAgent()
        self.addCleanup(self.agent.running.stop_all)

    def register(self, **more: Any) -> None:
        """Register a check of the example's kind."""
        definition = CheckDefinition(**{"name": "sessions", "plugin": "redis", "interval": SECOND, **more})
        self.agent.registrations.register_check(definition, "")

    def test_runs(self) -> None:
        """It is run as any other, and its type is the plugin's name."""
        self.register(plugin_options={"endpoint": "tcp:h:1"})
        check = self.agent.registrations.checks()["sessions"]
        self.assertEqual((check.type, check.status), ("redis", CRITICAL))
        self.agent.clock.advance(1)
        self.assertEqual(self.agent.network.dialled, ["tcp:h:1"])
        self.assertIn("refused", self.agent.registrations.checks()["sessions"].output)

    def test_output(self) -> None:
        """As much of an output is kept as of any other's."""
        self.register(plugin_options={"endpoint": "tcp:h:1"}, output_max_size=10)
        self.agent.clock.advance(1)
        output = self.agent.registrations.checks()["sessions"].output
        self.assertTrue(output.startswith("Connection ... (captured 10 of "), output)

    def test_refused(self) -> None:
        """A kind that is not installed, options that are not its, and no interval."""
        error = self.assertRaises(BadRequest, self.register, plugin_options={})
        self.assertEqual(str(error), "Invalid check: redis: endpoint is missing")
        error = self.assertRaises(NotRun, self.register, plugin="memcached")
        self.assertEqual(str(error), "no plugin for checks of the kind 'memcached' is installed")
        self.assertRaises(BadRequest, self.register, interval=0)
        self.assertEqual(self.agent.registrations.checks(), {})

    def test_runsPrograms(self) -> None:
        """A kind that can run programs is refused wherever scripts are."""
        kind = next(one for one in getPlugins(ICheckKind) if one.name == "redis")
        self.patch(kind, "runs_programs", True)
        options = {"endpoint": "tcp:h:1"}
        self.assertRaises(InvalidRequest, self.register, plugin_options=options)
        self.agent = LocalAgent(limits=Limits(scripts_remote=True))
        self.addCleanup(self.agent.running.stop_all)
        self.register(plugin_options=options)
