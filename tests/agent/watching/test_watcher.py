"""An agent's watches, by a clock and an API that answers when it is told to."""

from __future__ import annotations

import json
from collections.abc import Awaitable
from pathlib import Path
from typing import Any

from twisted.internet.defer import Deferred
from twisted.internet.task import Clock
from twisted.trial.unittest import SynchronousTestCase

from txconsul.agent.watching.configured import ConfiguredWatch, configured_watches
from txconsul.agent.watching.cursors import Cursors
from txconsul.agent.watching.watcher import Watcher, Watchers
from txconsul.http.request import Request
from txconsul.http.response import Response
from txconsul.watches.progress import Change, Cursor

KEY = {"type": "key", "key": "a b", "token": "t", "datacenter": "dc2", "args": ["x"]}
SERVICES = {"type": "services", "args": ["x"]}


def says(body: Any, index: int = 5, status: int = 200) -> Response:
    """An answer."""
    return Response(status, b"X-Consul-Index: %d\r\n" % index, json.dumps(body).encode())


class WatchingCase(SynchronousTestCase):
    """
    @ivar asked: requests, and the Deferreds on which their answers come.
    @ivar told: changes, and the Deferreds on which handlers say how it went.
    """

    def setUp(self) -> None:
        """Nothing runs yet."""
        self.clock = Clock()
        self.asked: list[tuple[Request, Deferred[Response]]] = []
        self.told: list[tuple[Change, Deferred[bool]]] = []
        self.directory = Path(self.mktemp())
        self.directory.mkdir()
        self.begin()

    def begin(self) -> None:
        """Be an agent that has just been started."""
        self.cursors = Cursors(str(self.directory))
        self.watchers = Watchers(self.cursors, self.make)

    def make(self, watch: ConfiguredWatch) -> Watcher:
        """One watch."""
        return Watcher(watch, self.ask, self.handle, self.cursors, self.clock)  # type: ignore[arg-type]

    def ask(self, request: Request, /) -> Deferred[Response]:
        """The API."""
        self.asked.append((request, Deferred()))
        return self.asked[-1][1]

    def handle(self, change: Change) -> Awaitable[bool]:
        """The handler."""
        self.told.append((change, Deferred()))
        return self.told[-1][1]

    def watch(self, *values: dict[str, Any]) -> None:
        """Have these watches."""
        self.watchers.change(configured_watches(values))

    def targets(self) -> list[bytes]:
        """What was asked."""
        return [request.target for request, _ in self.asked]


class WatcherTests(WatchingCase):
    """L{Watcher} and L{Watchers}."""

    def test_asks(self) -> None:
        """Questions go to the agent's own API, escaped, with the watch's token and datacenter."""
        self.watch(KEY)
        self.assertEqual(self.asked, [])
        self.watchers.startService()
        request = self.asked[0][0]
        self.assertEqual((request.method, request.target), (b"GET", b"/v1/kv/a%20b?dc=dc2"))
        self.assertEqual(request.header(b"x-consul-token"), b"t")

    def test_tells(self) -> None:
        """A change is told, and the next question comes when the handler has ended."""
        self.watch(SERVICES)
        self.watchers.startService()
        self.asked[0][1].callback(says({"a": []}, 5))
        change, done = self.told[0]
        self.assertEqual((change.index, change.data, len(self.asked)), (5, {"a": []}, 1))
        done.callback(True)
        self.assertEqual(self.targets()[1:], [b"/v1/catalog/services?index=5"])
        self.asked[1][1].callback(says({"a": []}, 6))
        self.assertEqual((len(self.told), self.targets()[2:]), (1, [b"/v1/catalog/services?index=6"]))

    def test_restart(self) -> None:
        """What was told, and went well, is not told by the next run."""
        self.watch(SERVICES)
        self.watchers.startService()
        self.asked[0][1].callback(says({"a": []}, 5))
        self.told[0][1].callback(True)
        self.watchers.stopService()
        self.begin()
        self.watch(SERVICES)
        self.watchers.startService()
        self.asked[-1][1].callback(says({"a": []}, 9))
        self.assertEqual(len(self.told), 1)
        self.asked[-1][1].callback(says({"b": []}, 10))
        self.assertEqual(len(self.told), 2)

    def test_failedHandler(self) -> None:
        """What its handler failed with is told once more by the next run, but not before."""
        self.watch(SERVICES)
        self.watchers.startService()
        self.asked[0][1].callback(says({"a": []}, 5))
        self.told[0][1].callback(False)
        self.asked[1][1].callback(says({"a": []}, 6))
        self.assertEqual(len(self.told), 1)
        self.watchers.stopService()
        self.begin()
        self.watch(SERVICES)
        self.watchers.startService()
        self.asked[-1][1].callback(says({"a": []}, 9))
        self.assertEqual(len(self.told), 2)

    def test_retries(self) -> None:
        """An answer of no use is waited out, ever longer."""
        self.watch(SERVICES)
        self.watchers.startService()
        for seconds in (5, 20):
            count = len(self.asked)
            self.asked[-1][1].callback(says("No cluster leader", status=500))
            self.clock.advance(seconds - 0.1)
            self.assertEqual(len(self.asked), count)
            self.clock.advance(0.1)
            self.assertEqual(len(self.asked), count + 1)
        self.watchers.stopService()
        self.assertEqual(self.clock.getDelayedCalls(), [])

    def test_stops(self) -> None:
        """A stop breaks a question off, and also a wait."""
        self.watch(SERVICES, KEY)
        self.watchers.startService()
        self.asked[1][1].callback(says("", status=500))
        self.watchers.stopService()
        self.assertTrue(self.asked[0][1].called)
        self.assertEqual(self.clock.getDelayedCalls(), [])
        self.assertEqual(self.flushLoggedErrors(), [])

    def test_changed(self) -> None:
        """After a reload, watches that are still there go on; others end, and what they told is forgotten."""
        self.watch(SERVICES, KEY)
        self.watchers.startService()
        self.asked[0][1].callback(says({}, 5))
        self.told[0][1].callback(True)
        self.watch(KEY)
        self.assertTrue(self.asked[2][1].called)
        self.assertFalse(self.asked[1][1].called)
        self.assertEqual(len(self.asked), 3)
        self.watch(KEY, SERVICES)
        self.asked[3][1].callback(says({}, 5))
        self.assertEqual(len(self.told), 2)

    def test_broken(self) -> None:
        """A mistake of ours ends its watch and is logged; others go on."""
        self.watch(SERVICES, KEY)
        self.watchers.startService()
        self.asked[0][1].errback(ZeroDivisionError())
        self.assertEqual(len(self.flushLoggedErrors(ZeroDivisionError)), 1)
        self.asked[1][1].callback(says([], status=404))
        self.assertEqual(self.told[0][0].data, None)


class CursorsTests(WatchingCase):
    """L{Cursors}."""

    def test_damaged(self) -> None:
        """A file that cannot be read counts as none, and is told of."""
        for content in (b"", b"[]", b"{", b'{"a": 7}', b"[" * 100_000):
            (self.directory / "watches.json").write_bytes(content)
            self.assertEqual(Cursors(str(self.directory)).find("a"), Cursor())

    def test_none(self) -> None:
        """Without a data directory nothing is kept beyond the run."""
        cursors = Cursors(None)
        cursors.keep("a", Cursor("d"))
        self.assertEqual(cursors.find("a"), Cursor("d"))

    def test_unwritable(self) -> None:
        """A disk that takes nothing stops no watch."""
        cursors = Cursors(str(self.directory / "absent"))
        cursors.keep("a", Cursor("d"))
        self.assertEqual(cursors.find("a"), Cursor("d"))
