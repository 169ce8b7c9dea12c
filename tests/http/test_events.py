"""C{/v1/event/} and C{/v1/operator/keyring}: what the edge adds."""

from __future__ import annotations

import json
from types import SimpleNamespace
from typing import Any

from twisted.internet.defer import Deferred, succeed
from twisted.trial.unittest import SynchronousTestCase

from tests.http.test_api import Asking
from txconsul.agent.user_events import UserEvents
from txconsul.http.response import Response
from txconsul.serf.keyquery import KeyResults
from txconsul.serf.settings import TooLarge

ID = "00000000-0000-0003-0000-000000000005"


class FakePool:
    """
    Hears itself, and does with keys what is told.

    @ivar asked: operations on keys.
    """

    def __init__(self) -> None:
        self.asked: list[tuple[str, bytes, int]] = []
        self.results = KeyResults(1)
        self.results.responses = 1
        self.heard: Any = None

    def fire(self, name: str, payload: bytes, coalesce: bool) -> None:
        """Tell it at once."""
        if len(payload) > 400:
            raise TooLarge("it is too long")
        self.heard(name, payload, 7)

    def change_keys(self, operation: str, key: bytes, relay_factor: int) -> Deferred[KeyResults]:
        """What was told to be answered."""
        self.asked.append((operation, key, relay_factor))
        return succeed(self.results)


class EventTests(SynchronousTestCase):
    """The API over a door whose pool hears itself."""

    def setUp(self) -> None:
        self.asking = Asking()
        site = self.asking.served.site
        self.pool = FakePool()
        site.pools = SimpleNamespace(lan=self.pool, wan=None)
        self.events = site.events = UserEvents("a", dict, lambda: ID)
        self.pool.heard = self.events.hear

    def test_fireAndList(self) -> None:
        """The event as it was made; in the list it has its time. Of the list, only the index is told."""
        fired = self.asking.ask("PUT", "/v1/event/fire/a/b?node=a&tag=&ns=x", b"\0\xff")
        shown = {
            "ID": ID,
            "Name": "a/b",
            "Payload": "AP8=",
            "NodeFilter": "a",
            "ServiceFilter": "",
            "TagFilter": "",
            "Version": 1,
            "LTime": 0,
        }
        self.assertEqual((fired.status, [*json.loads(fired.body).items()]), (200, [*shown.items()]))
        found = self.asking.ask("GET", "/v1/event/list?stale")
        self.assertEqual(json.loads(found.body), [{**shown, "LTime": 7}])
        self.assertIn(b"X-Consul-Index: 6\r\n", found.head)
        self.assertNotIn(b"Knownleader", found.head)

    def test_refused(self) -> None:
        """In Consul's words and with its statuses."""
        for method, target, body, status, text in (
            ("PUT", "/v1/event/fire/", b"", 400, b"Missing name"),
            ("PUT", "/v1/event/fire/x?tag=a", b"", 500, b"Cannot provide tag filter without service filter"),
            ("PUT", "/v1/event/fire/x?dc=mars", b"", 500, b"No path to datacenter"),
            ("PUT", "/v1/event/fire/x", b"x" * 500, 500, b"error broadcasting event: it is too long"),
            ("POST", "/v1/event/fire/x", b"", 405, b"method POST not allowed"),
            ("GET", "/v1/event/list?wait=bad", b"", 400, b"Invalid wait time"),
            ("GET", "/v1/event/list?index=bad", b"", 400, b"Invalid index"),
        ):
            answer = self.asking.ask(method, target, body)
            self.assertEqual((answer.status, answer.body), (status, text), target)

    def test_waiting(self) -> None:
        """A list is waited for behind its index."""
        waiting = self.asking.raw("GET", "/v1/event/list?index=1&wait=10s")
        self.assertIsInstance(waiting, Deferred)
        self.asking.ask("PUT", "/v1/event/fire/x")
        response = self.successResultOf(waiting)
        self.assertEqual([one["Name"] for one in json.loads(response.body)], ["x"])


class KeyringTests(SynchronousTestCase):
    """The API over a door whose pool answers what it is told."""

    def setUp(self) -> None:
        self.asking = Asking()
        self.pool = FakePool()
        self.asking.served.site.pools = SimpleNamespace(lan=self.pool, wan=self.pool)

    def ask(self, method: str, query: str = "", body: bytes = b"") -> Response:
        """The answer."""
        return self.asking.ask(method, "/v1/operator/keyring" + query, body)

    def test_operations(self) -> None:
        """Each method is an operation on both pools; only a list has an answer."""
        for method, operation in (("POST", "install"), ("PUT", "use"), ("DELETE", "remove")):
            answer = self.ask(method, "?relay-factor=3", b'{"Key": "AAEC", "Token": "x", "LocalOnly": true}')
            self.assertEqual((answer.status, answer.body), (200, b""))
            self.assertEqual(self.pool.asked[-2:], [(operation, b"\0\1\2", 3)] * 2)
        self.assertEqual(self.ask("PUT", "", b'{"Key": "AAEC", "RelayFactor": 9}').status, 200)
        self.assertEqual(self.pool.asked[-1], ("use", b"\0\1\2", 9))
        self.pool.results.keys = {"k": 1}
        shown = {"WAN": False, "Datacenter": "dc1", "Segment": "", "Keys": {"k": 1}, "PrimaryKeys": {}, "NumNodes": 1}
        self.assertEqual(json.loads(self.ask("GET").body), [{**shown, "WAN": True}, shown])
        self.assertEqual(json.loads(self.ask("GET", "?local-only=1").body), [shown])

    def test_problems(self) -> None:
        """Each pool with what its members said."""
        self.pool.results.errors = 1
        self.pool.results.messages = {"b": "no", "a": "never"}
        answer = self.ask("GET")
        self.assertEqual(answer.status, 500)
        self.assertEqual(
            answer.body.decode(),
            "6 errors occurred:\n\t* WAN error: 1/1 nodes reported failure\n\t* a: never\n\t* b: no\n"
            "\t* dc1 (LAN) error: 1/1 nodes reported failure\n\t* a: never\n\t* b: no\n\n",
        )

    def test_refused(self) -> None:
        """What cannot be meant is asked of no pool."""
        for method, query, body, text in (
            ("POST", "", b"", "Request decode failed: EOF"),
            ("POST", "", b"{", "Request decode failed: unexpected EOF"),
            ("PUT", "", b'{"Colour": 1}', 'Request decode failed: json: unknown field "Colour"'),
            ("PUT", "", b'{"RelayFactor": 256}', "Request decode failed: json: cannot unmarshal number 256"),
            ("GET", "?relay-factor=x", b"", 'Error parsing relay factor: strconv.Atoi: parsing "x": invalid syntax'),
            ("GET", "?relay-factor=-1", b"", "Invalid relay-factor: Relay factor must be in range: [0, 5]"),
            ("GET", "?local-only=x", b"", 'Error parsing local-only: strconv.ParseBool: parsing "x": invalid syntax'),
            ("POST", "?local-only=true", b"{}", "Invalid use of local-only: local-only can only be set for list"),
        ):
            answer = self.ask(method, query, body)
            self.assertEqual(answer.status, 400, query)
            self.assertTrue(answer.body.decode().startswith(text), answer.body)
        self.assertEqual(self.pool.asked, [])
