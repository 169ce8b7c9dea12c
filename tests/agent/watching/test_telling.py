"""What is done with a change."""

from __future__ import annotations

from typing import Any

from twisted.internet import reactor
from twisted.internet.defer import Deferred
from twisted.trial.unittest import TestCase
from twisted.web.resource import Resource
from twisted.web.server import Site

from tests.agent.checks.peers import PeerCase
from txconsul.agent.checks.programs import starter
from txconsul.agent.watching.configured import configured_watches
from txconsul.agent.watching.telling import handler_of
from txconsul.watches.progress import Change, Cursor

CHANGE = Change(7, {"a": ["<"]}, Cursor("d"))


class Received(Resource):
    """Keeps what it is asked."""

    isLeaf = True

    def __init__(self, status: int) -> None:
        super().__init__()
        self.status = status
        self.requests: list[Any] = []

    def render(self, request: Any) -> bytes:
        """Any method."""
        self.requests.append((request.method, request.requestHeaders, request.content.read()))
        request.setResponseCode(self.status)
        return b"said"


class ProgramTests(TestCase):
    """Programs, which really run."""

    timeout = 30

    def run_handler(self, **values: Any) -> Deferred[bool]:
        """Tell the handler of this configuration."""
        watch = configured_watches([{"type": "nodes", **values}])[0]
        return Deferred.fromCoroutine(handler_of(watch, starter(reactor), None)(CHANGE))  # type: ignore[arg-type]

    async def test_words(self) -> None:
        """A program reads one line of JSON, and knows the index."""
        name = self.mktemp()
        self.assertTrue(await self.run_handler(args=["/bin/sh", "-c", f"cat > {name}; echo $CONSUL_INDEX >> {name}"]))
        with open(name) as file:
            self.assertEqual(file.read(), '{"a":["\\u003c"]}\n7\n')

    async def test_shell(self) -> None:
        """A text is for a shell."""
        self.assertTrue(await self.run_handler(handler="cat | grep -q u003c"))

    async def test_fails(self) -> None:
        """A program that fails, or that there is not, did not go well."""
        self.assertFalse(await self.run_handler(args=["/bin/sh", "-c", "exit 3"]))
        self.assertFalse(await self.run_handler(args=["/bin/sh", "-c", "kill -9 $$"]))
        self.assertFalse(await self.run_handler(args=["there-is-no-such-program"]))


class RequestTests(PeerCase):
    """HTTP handlers."""

    async def told(self, status: int = 200, *, tls: bool = False, **config: Any) -> tuple[bool, Received]:
        """How it went, and what came."""
        received = Received(status)
        address = await self.listen(Site(received), tls=tls)
        scheme = "https" if tls else "http"
        values = {"handler_type": "http", "http_handler_config": {"path": f"{scheme}://{address}/x", **config}}
        watch = configured_watches([{"type": "nodes", **values}])[0]
        well = await handler_of(watch, starter(reactor), self.network)(CHANGE)
        await self.settled()
        return well, received

    async def test_request(self) -> None:
        """The data is posted as JSON with its index, and with what headers are configured."""
        well, received = await self.told(header={"x-foo": ["a", "b"], "content-type": ["text/x"]})
        self.assertTrue(well)
        method, headers, body = received.requests[0]
        self.assertEqual((method, body), (b"POST", b'{"a":["\\u003c"]}\n'))
        self.assertEqual(headers.getRawHeaders("X-Consul-Index"), ["7"])
        self.assertEqual(headers.getRawHeaders("X-Foo"), ["a", "b"])
        self.assertEqual(headers.getRawHeaders("Content-Type"), ["application/json", "text/x"])

    async def test_method(self) -> None:
        """Any method."""
        _, received = await self.told(method="PUT")
        self.assertEqual(received.requests[0][0], b"PUT")

    async def test_refused(self) -> None:
        """Another answer than success did not go well."""
        for status in (302, 404, 429, 500):
            self.assertFalse((await self.told(status))[0])

    async def test_certificate(self) -> None:
        """A certificate must be good, unless the configuration says otherwise."""
        self.assertFalse((await self.told(tls=True))[0])
        self.assertTrue((await self.told(tls=True, tls_skip_verify=True))[0])
        self.forget_tls_errors()
