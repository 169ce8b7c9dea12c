"""HTTP checks by a proxy: which, and how."""

from __future__ import annotations

from typing import Any
from urllib.parse import urlsplit

from hypothesis import given
from hypothesis import strategies as st
from twisted.internet.protocol import Factory, Protocol
from twisted.trial.unittest import SynchronousTestCase

from tests.agent.checks.peers import PeerCase, secure
from tests.agent.checks.test_dialing import Page
from txconsul.agent.checks.http import HTTPCheck
from txconsul.agent.checks.proxying import proxy_for
from txconsul.net.tls_client import ANONYMOUS
from txconsul.records.health import CRITICAL, PASSING, CheckResult


class ChoiceTests(SynchronousTestCase):
    """What the environment says."""

    def chosen(self, url: str, **environment: str) -> str:
        """The proxy's address; empty for none."""
        found = proxy_for(urlsplit(url), environment)
        return "" if found is None else found.netloc

    def test_schemes(self) -> None:
        """Each scheme has its own, in large letters or, after those, in small ones; C{http://} may be left out."""
        both = {"HTTP_PROXY": "http://p:1", "http_proxy": "other:1", "https_proxy": "q:2"}
        self.assertEqual(self.chosen("http://web/", **both), "p:1")
        self.assertEqual(self.chosen("https://web/", **both), "q:2")
        self.assertEqual(self.chosen("http://web/"), "")
        for unusable in ("socks5://p:1", "https://p:1", "http://"):
            self.assertRaises(ValueError, self.chosen, "http://web/", HTTP_PROXY=unusable)
        self.assertRaises(ValueError, self.chosen, "http://web/", HTTP_PROXY="p:1", REQUEST_METHOD="GET")

    def test_thisHost(self) -> None:
        """This host is never reached by a proxy."""
        for host in ("localhost", "127.0.0.1", "127.9.9.9", "[::1]", "localhost:8500"):
            self.assertEqual(self.chosen(f"http://{host}/", HTTP_PROXY="p:1"), "", host)

    def test_exceptions(self) -> None:
        """Names with all below them, names below only, addresses, networks, ports, and everything."""
        for host, exceptions, excepted in (
            ("a.example", "example", True),
            ("example", "example", True),
            ("example", ".example", False),
            ("a.example", ".example", True),
            ("a.example", "*.example", True),
            ("notexample", "example", False),
            ("a.example:81", "example:80", False),
            ("a.example", "example:80", True),
            ("10.1.2.3", "10.0.0.0/8", True),
            ("11.1.2.3", "10.0.0.0/8", False),
            ("10.1.2.3", "10.1.2.3", True),
            ("10.1.2.3", "10.1.2.3:81", False),
            ("[fd00::1]", "fd00::/8", True),
            ("b.test", "a.test, B.TEST", True),
            ("any", "*", True),
            ("any", " , x:y:z, 1/2/3", False),
        ):
            found = self.chosen(f"http://{host}/", HTTP_PROXY="p:1", NO_PROXY=exceptions)
            self.assertEqual(found, "" if excepted else "p:1", (host, exceptions))

    @given(st.text(max_size=30), st.text(max_size=30))
    def test_anyText(self, proxy: str, exceptions: str) -> None:
        """Whatever the environment says, there is a proxy, or none, or a ValueError."""
        environment = {"HTTP_PROXY": proxy, "NO_PROXY": exceptions}
        try:
            proxy_for(urlsplit("http://web.example:80/"), environment)
        except ValueError as error:
            self.assertTrue(str(error))


class Proxy(Protocol):
    """
    A proxy that takes every question to one place.

    @ivar asked: the first lines and headers of what it was asked.
    """

    asked: list[list[str]] = []
    port = 0
    network: Any = None
    refuses = False
    to: Any = None

    def dataReceived(self, data: bytes) -> None:
        assert self.transport is not None
        if self.to is not None:
            self.to.transport.write(data)
            return
        self.asked.append(data.decode().split("\r\n"))
        if self.refuses:
            self.transport.write(b"HTTP/1.1 407 Proxy Authentication Required\r\nContent-Length: 0\r\n\r\n")
        elif data.startswith(b"CONNECT"):
            factory: Any = Factory.forProtocol(Back)
            factory.noisy = False
            factory.front = self
            self.network.connect(f"tcp:127.0.0.1:{self.port}", factory)
        else:
            self.transport.write(b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nproxy")


class Back(Protocol):
    """The other end of a tunnel."""

    factory: Any

    def connectionMade(self) -> None:
        front = self.factory.front
        front.to = self
        front.transport.write(b"HTTP/1.1 200 Connection established\r\n\r\n")

    def dataReceived(self, data: bytes) -> None:
        self.factory.front.transport.write(data)


class ProxyTests(PeerCase):
    """A proxy that really is there."""

    async def ask(self, url: str, environment: dict[str, str], used: Any = None) -> CheckResult:
        """One look."""
        check = HTTPCheck(self.network, url, secure=used, environment=environment)
        result: CheckResult = await check.run()
        check.stop()
        await self.settled()
        return result

    async def proxy(self, target: str) -> str:
        """A proxy before a target; its address."""
        self.patch(Proxy, "asked", [])
        self.patch(Proxy, "network", self.network)
        self.patch(Proxy, "port", int(target.rpartition(":")[2] or 0))
        return await self.listen(Factory.forProtocol(Proxy))

    async def test_plain(self) -> None:
        """A page is asked of the proxy by its whole address, and with the proxy's password."""
        address = await self.proxy("")
        result = await self.ask("http://web.example/p?q", {"HTTP_PROXY": f"http://me:se%40cret@{address}"})
        self.assertEqual(result.output, "HTTP GET http://web.example/p?q: 200 OK Output: proxy")
        self.assertEqual(Proxy.asked[0][:2], ["GET http://web.example/p?q HTTP/1.1", "Host: web.example"])
        self.assertIn("Proxy-Authorization: Basic bWU6c2VAY3JldA==", Proxy.asked[0])

    async def test_tls(self) -> None:
        """A page with TLS is reached through the proxy; the certificate must be the page's."""
        address = await self.proxy(await self.listen(Factory.forProtocol(Page), tls=True))
        environment = {"HTTPS_PROXY": f"http://me:it@{address}"}
        result = await self.ask("https://web.example/", environment, secure())
        self.assertEqual((result.status, result.output[-6:]), (PASSING, "nobody"))
        heard = ["CONNECT web.example:443 HTTP/1.1", "Host: web.example:443", "Proxy-Authorization: Basic bWU6aXQ="]
        self.assertEqual(Proxy.asked, [[*heard, "", ""]])
        result = await self.ask("https://web.example/", environment, secure(ANONYMOUS))
        self.assertIn("certificate signed by unknown authority", result.output)
        self.forget_tls_errors()

    async def test_refused(self) -> None:
        """A proxy that refuses is told, and so is one that cannot be used."""
        address = await self.proxy("")
        self.patch(Proxy, "refuses", True)
        result = await self.ask("https://web.example/", {"HTTPS_PROXY": address})
        text = 'Get "https://web.example/": Proxy Authentication Required'
        self.assertEqual(result, CheckResult(status=CRITICAL, output=text))
        result = await self.ask("http://web.example/", {"HTTP_PROXY": "socks5://p:1"})
        self.assertIn("only http proxies are used for checks", result.output)
