"""The HTTP API over a real door: routing, checks that every path shares, answers and errors."""

from __future__ import annotations

import gzip
import json
from ipaddress import ip_network
from typing import Any

from twisted.internet.defer import Deferred
from twisted.trial.unittest import SynchronousTestCase

from tests.endpoints.serving import Served
from txconsul.http.answers import accepts_gzip
from txconsul.http.api import API
from txconsul.http.bodies import Bodies, Spool
from txconsul.http.parameters import ReadDefaults
from txconsul.http.request import BodyTooLarge, Request
from txconsul.http.response import Response
from txconsul.http.settings import HTTPSettings
from txconsul.http.table import ROUTES


def settings(**changes: Any) -> HTTPSettings:
    """The settings of an agent that was told nothing."""
    given: dict[str, Any] = {
        "node_name": "a",
        "datacenter": "dc1",
        "response_headers": {},
        "blocked": (),
        "write_networks": (),
        "default_policy": "allow",
        "translate_wan_addrs": False,
        "read_defaults": ReadDefaults(),
        "kv_max_value_size": 1000,
        "txn_max_req_len": 2000,
        "always_pretty": False,
        "keep_unprintable": False,
    }
    return HTTPSettings(**{**given, **changes})


class Asking:
    """An API and the door behind it."""

    def __init__(self, **changes: Any) -> None:
        self.served = Served()
        self.api = API(self.served.door, settings(**changes), ROUTES)

    def raw(self, method: str, target: str, body: bytes = b"", **headers: str) -> Any:
        """The answer as it comes: a response or a Deferred."""
        lines = {name.replace("_", "-").encode(): value.encode() for name, value in headers.items()}
        return self.api(Request(method.encode(), target.encode(), lines, "127.0.0.1:4000", body=body))

    def ask(self, method: str, target: str, body: bytes = b"", **headers: str) -> Response:
        """The answer, which must be there by now."""
        answer = self.raw(method, target, body, **headers)
        if isinstance(answer, Deferred):
            found: list[Any] = []
            answer.addBoth(found.append)
            answer = found[0]
        assert isinstance(answer, Response), answer
        return answer

    def get(self, target: str) -> Any:
        """A body, parsed."""
        return json.loads(self.ask("GET", target).body)  # type: ignore[arg-type]


class RoutingTests(SynchronousTestCase):
    """Which row serves a path."""

    def test_unknownPath(self) -> None:
        """Paths that no row has; whether they look like the API's decides the words."""
        asking = Asking()
        for target, word in {"/v1/nothing": b"not a recognized", "/nothing": b"ensure the path starts"}.items():
            answer = asking.ask("GET", target)
            self.assertEqual(answer.status, 404)
            self.assertIn(word, answer.body)

    def test_methods(self) -> None:
        """A method that a path does not know is refused with those that it knows; OPTIONS asks for them."""
        asking = Asking()
        answer = asking.ask("POST", "/v1/kv/a")
        self.assertEqual((answer.status, answer.body), (405, b"method POST not allowed"))
        self.assertIn(b"Allow: OPTIONS,GET,PUT,DELETE\r\n", answer.head)
        self.assertEqual(asking.ask("OPTIONS", "/v1/kv/a").status, 200)

    def test_redirects(self) -> None:
        """Unclean paths, and a prefix without its slash, are redirected with their query."""
        asking = Asking()
        for target, location in {"/v1/kv/a//b?raw": b"/v1/kv/a/b?raw", "/v1/kv?keys": b"/v1/kv/?keys"}.items():
            answer = asking.ask("GET", target)
            self.assertEqual(answer.status, 301)
            self.assertIn(b"Location: " + location + b"\r\n", answer.head)

    def test_notServed(self) -> None:
        """Consul's paths that this release does not serve say so; those of ACLs say that ACLs are off."""
        asking = Asking()
        self.assertEqual(asking.ask("POST", "/v1/agent/connect/authorize").status, 501)
        self.assertEqual(asking.ask("GET", "/v1/agent/service/register").status, 405)
        answer = asking.ask("GET", "/v1/acl/tokens")
        self.assertEqual((answer.status, answer.body), (401, b"ACL support disabled"))

    def test_everyRowAnswers(self) -> None:
        """Every method of every row answers something, with a status that HTTP knows."""
        asking = Asking()
        for route in ROUTES:
            for method in route.methods:
                for rest in ("", "x", "%ff"):
                    if route.path == b"/v1/snapshot":
                        continue  # its desk is another test's
                    verb = "GET" if method == "*" else method
                    answer = asking.raw(verb, route.path.decode() + (rest if route.path.endswith(b"/") else ""))
                    if isinstance(answer, Response):
                        self.assertIn(answer.status // 100, (2, 3, 4, 5), (route, method))

    def test_targetsAreKept(self) -> None:
        """A target that was seen is not taken apart again, and long ones are not kept."""
        asking = Asking()
        for _ in range(3):
            asking.ask("GET", "/v1/kv/a")
            asking.ask("GET", "/v1/kv/" + "a" * 1000)
        info = asking.api._kept.cache_info()
        self.assertEqual((info.misses, info.hits), (1, 2))


class SharedCheckTests(SynchronousTestCase):
    """What holds for every path."""

    def test_blocked(self) -> None:
        """Blocked prefixes are refused, whatever the method."""
        asking = Asking(blocked=["/v1/agent/self", "/v1/catalog/n"])
        for method, target in (("GET", "/v1/agent/self"), ("OPTIONS", "/v1/agent/self"), ("GET", "/v1/catalog/nodes")):
            answer = asking.ask(method, target)
            self.assertEqual((answer.status, answer.body), (403, b"Endpoint is blocked by agent configuration"))
        self.assertEqual(asking.ask("GET", "/v1/catalog/services").status, 200)

    def test_writers(self) -> None:
        """Only the configured networks may write; everybody may read."""
        asking = Asking(write_networks=[ip_network("10.0.0.0/8")])
        answer = asking.ask("PUT", "/v1/kv/a", b"1")
        self.assertEqual((answer.status, answer.body), (403, b"Access is restricted"))
        self.assertEqual(asking.ask("GET", "/v1/kv/a").status, 404)
        self.assertEqual(Asking(write_networks=[ip_network("127.0.0.0/8")]).ask("PUT", "/v1/kv/a", b"1").status, 200)

    def test_headers(self) -> None:
        """Configured headers are in every answer, spelled as Go spells them."""
        asking = Asking(response_headers={"x-custom": "1"}, translate_wan_addrs=True)
        for target in ("/v1/kv/a", "/v1/nothing", "/"):
            self.assertIn(b"X-Custom: 1\r\n", asking.ask("GET", target).head)
        self.assertIn(b"X-Consul-Translate-Addresses: true\r\n", asking.ask("GET", "/v1/kv/a").head)

    def test_enterprise(self) -> None:
        """Namespaces and partitions are refused, in the query and in headers."""
        asking = Asking()
        for answer in (
            asking.ask("GET", "/v1/kv/a?ns=x"),
            asking.ask("GET", "/v1/kv/a?partition=x"),
            asking.ask("GET", "/v1/kv/a", x_consul_namespace="x"),
            asking.ask("GET", "/v1/kv/a", x_consul_partition="x"),
        ):
            self.assertEqual(answer.status, 400)
            self.assertIn(b"Consul Enterprise feature", answer.body)

    def test_broken(self) -> None:
        """What nobody foresaw is logged, and answered with 500."""
        asking = Asking()
        asking.served.store.kv = None  # type: ignore[assignment]
        self.assertEqual(asking.ask("GET", "/v1/kv/a").status, 500)
        self.assertEqual(len(self.flushLoggedErrors(AttributeError)), 1)

    def test_gzip(self) -> None:
        """Long bodies are compressed for clients that want it, short ones are not."""
        asking = Asking(kv_max_value_size=10_000)
        asking.ask("PUT", "/v1/kv/long", b"x" * 5000)
        asking.ask("PUT", "/v1/kv/short", b"x")
        answer = asking.ask("GET", "/v1/kv/long?raw", accept_encoding="deflate, gzip;q=0.5")
        self.assertIn(b"Content-Encoding: gzip\r\n", answer.head)
        self.assertEqual(gzip.decompress(answer.body), b"x" * 5000)  # type: ignore[arg-type]
        self.assertNotIn(b"Content-Encoding", asking.ask("GET", "/v1/kv/short?raw", accept_encoding="gzip").head)
        self.assertNotIn(b"Content-Encoding", asking.ask("GET", "/v1/kv/long?raw").head)

    def test_acceptEncoding(self) -> None:
        """What an Accept-Encoding header says of gzip."""
        for header in (b"gzip", b"GZIP", b"deflate, gzip", b"gzip;q=0.1", b"*", b"br,gzip , x"):
            self.assertTrue(accepts_gzip(header), header)
        for header in (b"", b"deflate", b"gzip;q=0", b"xgzip", b"gzip;q=."):
            self.assertFalse(accepts_gzip(header), header)

    def test_pretty(self) -> None:
        """Indented JSON on demand, and always where the configuration says so."""
        self.assertEqual(Asking().ask("GET", "/v1/kv/?keys&pretty").body, b"[]\n")
        asking = Asking(always_pretty=True)
        asking.ask("PUT", "/v1/kv/a", b"1")
        self.assertEqual(asking.ask("GET", "/v1/kv/?keys").body, b'[\n    "a"\n]')


class KVTests(SynchronousTestCase):
    """Keys over HTTP."""

    def test_putGetDelete(self) -> None:
        """A key's life, and what is told of it."""
        asking = Asking()
        self.assertEqual(asking.ask("PUT", "/v1/kv/a?flags=7", b"hello").body, b"true")
        answer = asking.ask("GET", "/v1/kv/a")
        self.assertIn(b"X-Consul-Index: 1\r\n", answer.head)
        (entry,) = json.loads(answer.body)  # type: ignore[arg-type]
        self.assertEqual((entry["Key"], entry["Value"], entry["Flags"]), ("a", "aGVsbG8=", 7))
        self.assertNotIn("Session", entry)
        raw = asking.ask("GET", "/v1/kv/a?raw")
        self.assertEqual(raw.body, b"hello")
        self.assertIn(b"X-Content-Type-Options: nosniff\r\n", raw.head)
        self.assertEqual(asking.ask("DELETE", "/v1/kv/a").body, b"true")
        self.assertEqual(asking.ask("GET", "/v1/kv/a").status, 404)

    def test_emptyValue(self) -> None:
        """An empty value is null."""
        asking = Asking()
        asking.ask("PUT", "/v1/kv/a", b"")
        self.assertIsNone(asking.get("/v1/kv/a")[0]["Value"])

    def test_notUTF8(self) -> None:
        """A key that is no UTF-8 is kept as it is, and shown as far as it can be."""
        asking = Asking()
        asking.ask("PUT", "/v1/kv/a%ff", b"1")
        self.assertEqual(asking.ask("GET", "/v1/kv/a%ff?raw").body, b"1")
        self.assertEqual(asking.get("/v1/kv/?keys"), ["a\ufffd"])

    def test_conflicts(self) -> None:
        """Parameters that exclude each other, and numbers that are none."""
        asking = Asking()
        answer = asking.ask("PUT", "/v1/kv/a?acquire=b&release=a")
        self.assertEqual((answer.status, answer.body), (400, b"Conflicting flags: acquire=b&release=a\n"))
        self.assertEqual(asking.ask("PUT", "/v1/kv/a?cas=x").status, 500)
        self.assertEqual(asking.ask("DELETE", "/v1/kv/a?recurse&cas=1").status, 400)

    def test_blocking(self) -> None:
        """A read that waits is answered by the write."""
        asking = Asking()
        asking.ask("PUT", "/v1/kv/a", b"1")
        waiting = asking.raw("GET", "/v1/kv/a?index=1&wait=10s&raw")
        self.assertNoResult(waiting)
        asking.ask("PUT", "/v1/kv/a", b"2")
        self.assertEqual(self.successResultOf(waiting).body, b"2")


class SessionAndTxnTests(SynchronousTestCase):
    """Sessions and transactions over HTTP."""

    def setUp(self) -> None:
        """The agent's own node, with the check that its sessions hang on."""
        self.asking = Asking()
        body = {"Node": "a", "Address": "10.0.0.1", "Check": {"CheckID": "serfHealth", "Status": "passing"}}
        self.assertEqual(self.asking.ask("PUT", "/v1/catalog/register", json.dumps(body).encode()).body, b"true")

    def create(self, **session: Any) -> Any:
        """A session's id, or the refusal."""
        answer = self.asking.ask("PUT", "/v1/session/create", json.dumps(session).encode())
        return json.loads(answer.body)["ID"] if answer.status == 200 else answer  # type: ignore[arg-type]

    def test_defaults(self) -> None:
        """A session without a word is the agent's node's, hangs on its health, and delays locks by 15 seconds."""
        made = self.create()
        (shown,) = self.asking.get(f"/v1/session/info/{made}")
        self.assertEqual(
            (shown["Node"], shown["NodeChecks"], shown["LockDelay"]), ("a", ["serfHealth"], 15_000_000_000)
        )

    def test_lockDelay(self) -> None:
        """A lock delay is a duration, seconds, or nanoseconds."""
        for given, wanted in (("20s", 20), (20, 20), (5_000_000_000, 5), (None, 15), ("0s", 0)):
            (shown,) = self.asking.get(f"/v1/session/info/{self.create(LockDelay=given)}")
            self.assertEqual(shown["LockDelay"], wanted * 1_000_000_000, given)
        self.assertEqual(self.create(LockDelay="20").status, 400)

    def test_badBodies(self) -> None:
        """What is no session is refused."""
        for body in (b"{", b"[]", b'{"Name": 5}', b'{"TTL": 15}'):
            self.assertEqual(self.asking.ask("PUT", "/v1/session/create", body).status, 400, body)

    def test_txn(self) -> None:
        """All or nothing: results with 200, errors with 409."""
        body = b'[{"KV": {"Verb": "set", "Key": "a", "Value": "MQ=="}}, {"KV": {"Verb": "get", "Key": "a"}}]'
        answer = self.asking.ask("PUT", "/v1/txn", body)
        self.assertEqual(answer.status, 200)
        results = json.loads(answer.body)["Results"]  # type: ignore[arg-type]
        self.assertEqual([one["KV"]["Value"] for one in results], [None, "MQ=="])
        body = b'[{"KV": {"Verb": "set", "Key": "b", "Value": "MQ=="}}, {"KV": {"Verb": "get", "Key": "none"}}]'
        answer = self.asking.ask("PUT", "/v1/txn", body)
        self.assertEqual(answer.status, 409)
        self.assertEqual(self.asking.get("/v1/kv/?keys"), ["a"])

    def test_txnLimits(self) -> None:
        """Too many operations, and values that are too long."""
        many = json.dumps([{"KV": {"Verb": "get", "Key": "a"}}] * 129).encode()
        self.assertEqual(self.asking.ask("PUT", "/v1/txn", many).status, 413)
        long = json.dumps([{"KV": {"Verb": "set", "Key": "a", "Value": "eHh4" * 400}}]).encode()
        answer = self.asking.ask("PUT", "/v1/txn", long)
        self.assertEqual((answer.status, answer.body), (413, b'Value for key "a" is too large (1200 > 1000 bytes)'))


class BodyTests(SynchronousTestCase):
    """How much of a body is taken, and where it goes."""

    def request(self, method: str, target: str, length: str | None = None) -> Request:
        """A request whose body has not come."""
        headers = {} if length is None else {b"content-length": length.encode()}
        return Request(method.encode(), target.encode(), headers, "127.0.0.1:1")

    def test_limits(self) -> None:
        """Values and transactions have limits of their own; whatever else has the default."""
        bodies = Bodies(settings())
        self.assertEqual(bodies.limit(self.request("PUT", "/v1/kv/a?x")), 1000)
        self.assertEqual(bodies.limit(self.request("PUT", "/v1/txn")), 2000)
        self.assertEqual(bodies.limit(self.request("PUT", "/v1/session/create")), 512 * 1024)

    def test_refused(self) -> None:
        """A refusal tells the length, the limit and where the limit is documented."""
        answer = Bodies(settings()).refused(self.request("PUT", "/v1/kv/a"), BodyTooLarge(1001, 1000))
        self.assertEqual(answer.status, 413)
        self.assertIn(b"Request body(1001 bytes) too large, max size: 1000 bytes. See https://", answer.body)

    def test_sink(self) -> None:
        """An archive goes to a file."""
        bodies = Bodies(settings())
        self.assertIsNone(bodies.sink(self.request("PUT", "/v1/kv/a")))
        sink = bodies.sink(self.request("PUT", "/v1/snapshot?dc=dc1"))
        assert isinstance(sink, Spool)
        sink.write(b"ab")
        sink.write(b"c")
        with sink.file() as file:
            self.assertEqual(file.read(), b"abc")
