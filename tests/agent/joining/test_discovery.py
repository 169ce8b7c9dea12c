"""Addresses that programs print and plugins know; the plugin is the very example of docs/extending.md."""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import Any

from twisted.internet import reactor
from twisted.internet.defer import Deferred
from twisted.internet.protocol import Factory, Protocol
from twisted.internet.task import Clock
from twisted.trial.unittest import SynchronousTestCase, TestCase
from zope.interface.verify import verifyObject

import twisted.plugins
from tests.agent.checks.peers import PeerCase
from tests.agent.local_agent import NoNetwork, NoPrograms
from txconsul.agent.checks.programs import starter
from txconsul.agent.joining import discovery
from txconsul.agent.joining.discovery import CannotDiscover, Discovery, displayed, is_discovered
from txconsul.agent.joining.providers import installed, names
from txconsul.interfaces import IAddressProvider

DOCUMENT = Path(__file__).resolve().parents[3] / "docs" / "extending.md"


def install(test: Any) -> None:
    """Put the plugin of the document where Twisted looks for plugins, until the test ends."""
    section = DOCUMENT.read_text().partition("## Where other agents are")[2].partition("\n## ")[0]
    directory = os.path.abspath(test.mktemp())
    os.makedirs(directory)
    with open(os.path.join(directory, "inventory_provider.py"), "w") as file:
        file.write(section.partition("```python\n")[2].partition("```")[0])
    test.patch(twisted.plugins, "__path__", [*twisted.plugins.__path__, directory])
    test.addCleanup(sys.modules.pop, "twisted.plugins.inventory_provider", None)


class Page(Protocol):
    """Serves addresses to who asks for a role."""

    def dataReceived(self, data: bytes) -> None:
        """A request."""
        assert self.transport is not None
        found = data.startswith(b"GET /hosts?role=consul ")
        self.transport.write(b"HTTP/1.0 200 OK\r\n\r\n10.0.0.1\n10.0.0.2:7\n" if found else b"HTTP/1.0 404 No\r\n\r\n")
        self.transport.loseConnection()


class ExampleTests(PeerCase):
    """The example does what it says."""

    async def test_asks(self) -> None:
        """The addresses of a page; none of one that is not there."""
        install(self)
        verifyObject(IAddressProvider, installed("inventory"))
        self.assertIn("inventory", names())
        host, _, port = (await self.listen(Factory.forProtocol(Page))).partition(":")
        find = Discovery(self.network, starter(reactor)).find
        entry = f"provider=inventory endpoint=tcp:{host}:{port} path="
        self.assertEqual(await find(entry + '"/hosts?role=consul"'), ["10.0.0.1", "10.0.0.2:7"])
        self.assertEqual(await find(entry + "/nothing"), [])
        await self.settled()


class ProviderTests(SynchronousTestCase):
    """Providers that cannot help."""

    def setUp(self) -> None:
        """The example, on a network without anybody."""
        install(self)
        self.clock = Clock()
        self.discovery = Discovery(NoNetwork(self.clock), NoPrograms().start)  # type: ignore[arg-type]

    def why(self, text: str) -> str:
        """Why there are no addresses."""
        return self.failureResultOf(self.discovery.find(text), CannotDiscover).getErrorMessage()

    def test_refused(self) -> None:
        """What cannot be read, or names no provider that is there; and what a provider raises or fails with."""
        for text, why in (
            ("provider=", "discover: provider: missing value"),
            ("my_provider=x", "discover: no provider"),
            ("provider=aws region=x", "discover: unknown provider aws"),
            ("provider=inventory", "discover-inventory: endpoint is missing"),
        ):
            self.assertEqual(self.why(text), why)
        self.assertIn("refused", self.why("provider=inventory endpoint=tcp:h:1"))

    def test_silent(self) -> None:
        """A provider that does not answer is given up after a minute."""
        asked: list[Deferred[Any]] = []
        self.patch(installed("inventory"), "addresses", lambda *_: asked.append(Deferred()) or asked[-1])
        found = self.discovery.find("provider=inventory")
        self.clock.advance(59.9)
        self.assertNoResult(found)
        self.clock.advance(0.2)
        failure = self.failureResultOf(found, CannotDiscover)
        self.assertEqual(failure.getErrorMessage(), "discover-inventory: no answer in 60 s")


class ProgramTests(TestCase):
    """Programs of this machine."""

    timeout = 30

    def setUp(self) -> None:
        """What runs them."""
        network: Any = NoNetwork(reactor)
        self.discovery = Discovery(network, starter(reactor))

    def script(self, *lines: str) -> str:
        """An entry that runs a shell script."""
        path = os.path.abspath(self.mktemp())
        with open(path, "w") as file:
            file.write("\n".join(lines))
        return f"exec=/bin/sh {path}"

    async def why(self, text: str) -> str:
        """Why there are no addresses."""
        try:
            found = await self.discovery.find(text)
        except CannotDiscover as error:
            return str(error)
        raise AssertionError(f"found {found}")

    async def test_addresses(self) -> None:
        """What it prints, with whatever space between, in quotes or not, with ports or zones or without."""
        entry = self.script(
            "echo 10.0.0.1 '\"10.0.0.2\"'", "echo fd00::1", "echo '[fd00::2]:7\tfe80::1%eth0' 10.0.0.3:7"
        )
        found = await self.discovery.find(entry + " ignored")
        self.assertEqual(found, ["10.0.0.1", "10.0.0.2", "fd00::1", "[fd00::2]:7", "fe80::1%eth0", "10.0.0.3:7"])

    async def test_failures(self) -> None:
        """A status other than 0, errors though the status is 0, nothing printed, and what is no address."""
        for lines, why in (
            (["echo no >&2", "echo 10.0.0.1", "exit 3"], "executable failed with exit code 3: no"),
            (["echo warning >&2", "echo 10.0.0.1"], "on running the executable. Details: warning"),
            (["echo"], "The executable printed none"),
            (["echo 10.0.0.1 db1"], "executable returned invalid IP address: db1"),
            (["echo '\"'"], "executable returned invalid IP address: "),
            (["kill -9 $$"], "executable was ended by a signal: "),
        ):
            self.assertIn(why, await self.why(self.script(*lines)))
        self.assertIn("no such file or directory", await self.why("exec=/no/such/program"))
        self.assertEqual(await self.why("exec= "), "exec= names no program")

    async def test_tooMuch(self) -> None:
        """A program that prints without measure is not believed."""
        self.patch(discovery, "OUTPUT_BYTES_MAX", 20)
        self.assertEqual(
            await self.why(self.script("echo 10.0.0.1 10.0.0.2 10.0.0.3")), "executable printed more than 20 bytes"
        )


class HangingTests(SynchronousTestCase):
    """Programs that do not end."""

    def setUp(self) -> None:
        """A machine on which nothing ends by itself."""
        self.clock, self.programs = Clock(), NoPrograms()
        self.discovery = Discovery(NoNetwork(self.clock), self.programs.start)  # type: ignore[arg-type]

    def test_late(self) -> None:
        """One that takes longer than a minute is killed."""
        found = self.discovery.find("exec=hosts now")
        self.clock.advance(60.0)
        failure = self.failureResultOf(found, CannotDiscover)
        self.assertEqual(failure.getErrorMessage(), "executable took longer than 60 s")
        self.assertTrue(self.programs.started[0].killed)
        self.assertEqual(self.programs.started[0].arguments, ["hosts", "now"])

    def test_brokenOff(self) -> None:
        """Who does not wait for it ends it; nothing is left."""
        found = self.discovery.find("exec=hosts")
        found.cancel()
        self.failureResultOf(found)
        self.assertTrue(self.programs.started[0].killed)
        self.assertEqual(self.clock.getDelayedCalls(), [])


class DisplayTests(SynchronousTestCase):
    """Entries in logs."""

    def test_secrets(self) -> None:
        """Secrets are not shown, whatever they look like; addresses are."""
        for text, shown in (
            ("10.0.0.1", "10.0.0.1"),
            ("exec=discover -q addrs provider=x secret=y", "exec=discover -q addrs provider=x secret=hidden"),
            ('provider=x password="a b" region=r', "provider=x password=hidden region=r"),
            ('provider=x password="a b', "provider=..."),
        ):
            self.assertEqual(displayed(text), shown)

    def test_kinds(self) -> None:
        """What must be found out, and what is an address or a name."""
        for text in ("exec=x", "provider=x", "tag=y provider=x"):
            self.assertTrue(is_discovered(text))
        for text in ("10.0.0.1", "provider.example.com", "my-exec"):
            self.assertFalse(is_discovered(text))
