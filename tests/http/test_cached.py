"""C{?cached} over HTTP: which paths heed it, what it does, and the headers that tell of it."""

from __future__ import annotations

import json
from typing import Any

from twisted.internet.defer import Deferred
from twisted.trial.unittest import SynchronousTestCase

from tests.agent.caching import CachedServer
from tests.http.test_api import settings
from txconsul.errors import NoLeader
from txconsul.http.api import API
from txconsul.http.parameters import ReadDefaults
from txconsul.http.request import Request
from txconsul.http.response import Response
from txconsul.http.table import ROUTES


class CachedTests(SynchronousTestCase):
    """An API whose agent keeps answers."""

    def setUp(self) -> None:
        """A service of one instance."""
        self.start()

    def start(self, **changes: Any) -> None:
        """Begin with other settings."""
        self.server = CachedServer()
        self.server.register("n1")
        self.api = API(self.server.door, settings(**changes), ROUTES, self.server.cache)

    def raw(self, target: str, **headers: str) -> Any:
        """The answer as it comes."""
        lines = {name.replace("_", "-").encode(): value.encode() for name, value in headers.items()}
        return self.api(Request(b"GET", target.encode(), lines, "127.0.0.1:4000"))

    def get(self, target: str, **headers: str) -> Response:
        """The answer, at the latest in the next turn."""
        answer = self.raw(target, **headers)
        if isinstance(answer, Deferred):
            self.server.turn()
            answer = self.successResultOf(answer)
        assert isinstance(answer, Response)
        return answer

    def said(self, response: Response) -> dict[str, str]:
        """The headers."""
        lines = response.head.decode().split("\r\n")[:-1]
        return dict(line.split(": ", 1) for line in lines)

    def heads(self, target: str, **headers: str) -> tuple[str | None, str | None]:
        """X-Cache and Age."""
        said = self.said(self.get(target, **headers))
        return said.get("X-Cache"), said.get("Age")

    def test_pathsThatHeed(self) -> None:
        """The first is a miss, the second a hit with its age; both have the same body."""
        for path in (
            "catalog/services",
            "catalog/service/web",
            "catalog/connect/web",
            "catalog/datacenters",
            "health/service/web",
            "health/connect/web",
            "health/ingress/web",
        ):
            first, second = self.get(f"/v1/{path}?cached"), self.get(f"/v1/{path}?cached")
            self.assertEqual(self.said(first).get("X-Cache"), "MISS", path)
            self.assertNotIn("Age", self.said(first))
            self.assertEqual((self.said(second).get("X-Cache"), self.said(second).get("Age")), ("HIT", "0"), path)
            self.assertEqual(first.body, second.body)
            self.assertEqual(first.body, self.get(f"/v1/{path}").body)
            self.assertEqual(self.heads(f"/v1/{path}"), (None, None))

    def test_pathsThatDoNot(self) -> None:
        """Others ignore it, even those whose method is kept for DNS."""
        for path in ("catalog/nodes", "catalog/node/n1", "health/node/n1", "health/checks/web", "kv/a", "session/list"):
            self.assertEqual(self.heads(f"/v1/{path}?cached"), (None, None), path)

    def test_datacenters(self) -> None:
        """They are the same whatever else is asked, and kept once."""
        first = self.get("/v1/catalog/datacenters?cached")
        self.assertEqual((first.status, first.body), (200, b'["dc1"]'))
        self.assertNotIn("X-Consul-Index", self.said(first))
        self.assertEqual(self.heads("/v1/catalog/datacenters?cached&dc=other&index=x&wait=y&filter=z")[0], "HIT")

    def test_switchedOff(self) -> None:
        """C{http_config.use_cache = false}: nobody heeds it, and it contradicts nothing."""
        self.start(read_defaults=ReadDefaults(use_cache=False))
        self.assertEqual(self.heads("/v1/catalog/services?cached&consistent"), (None, None))

    def test_backend(self) -> None:
        """Health comes from a view that is kept, and says so, unless that is switched off or has another order."""
        backend = "X-Consul-Query-Backend"
        self.assertEqual(self.said(self.get("/v1/health/service/web?cached"))[backend], "streaming")
        self.assertEqual(self.said(self.get("/v1/health/service/web"))[backend], "blocking-query")
        self.assertEqual(self.said(self.get("/v1/health/service/web?cached&near=n1"))[backend], "blocking-query")
        self.assertEqual(self.said(self.get("/v1/health/ingress/web?cached"))[backend], "blocking-query")
        self.assertEqual(self.said(self.get("/v1/catalog/service/web?cached"))[backend], "blocking-query")
        self.start(read_defaults=ReadDefaults(streaming=False))
        self.assertEqual(self.said(self.get("/v1/health/service/web?cached"))[backend], "blocking-query")

    def test_consistency(self) -> None:
        """The consistency told is the asked one, whatever the fetch was."""
        told = "X-Consul-Effective-Consistency"
        self.assertEqual(self.said(self.get("/v1/catalog/services?cached"))[told], "leader")
        self.assertEqual(self.said(self.get("/v1/catalog/services?cached&stale"))[told], "stale")
        self.assertEqual(self.get("/v1/catalog/services?cached&consistent").status, 400)

    def test_blocking(self) -> None:
        """Who waits is answered with a miss, and shares bytes with the others who do."""
        index = self.said(self.get("/v1/health/service/web?cached"))["X-Consul-Index"]
        waiting = [self.raw(f"/v1/health/service/web?cached&index={index}") for _ in range(3)]
        self.server.turn()
        self.server.register("n2")
        answers = [self.successResultOf(one) for one in waiting]
        self.assertEqual([self.said(one)["X-Cache"] for one in answers], ["MISS"] * 3)
        self.assertEqual(len(json.loads(answers[0].body)), 2)
        self.assertIs(answers[0].body, answers[2].body)
        self.assertIsNot(self.get("/v1/health/service/web?cached&pretty").body, answers[0].body)

    def test_control(self) -> None:
        """An age that is too high fetches again; malformed ones are refused, and no index is told."""
        self.get("/v1/catalog/datacenters?cached")
        self.server.clock.advance(65)
        self.assertEqual(self.heads("/v1/catalog/datacenters?cached"), ("HIT", "65"))
        self.assertEqual(self.heads("/v1/catalog/datacenters?cached", cache_control="max-age=70"), ("HIT", "65"))
        self.assertEqual(self.heads("/v1/catalog/datacenters?cached", cache_control="max-age=30"), ("MISS", None))
        self.assertEqual(self.heads("/v1/catalog/datacenters?cached", cache_control="must-revalidate")[0], "MISS")
        self.assertEqual(self.heads("/v1/catalog/datacenters?cached", cache_control="max-age=0")[0], "MISS")
        refused = self.get("/v1/catalog/services?cached", cache_control="max-age=long")
        self.assertEqual((refused.status, refused.body), (400, b"Invalid Cache-Control header."))
        self.assertNotIn("X-Consul-Index", self.said(refused))

    def test_withoutServers(self) -> None:
        """The old answer where it is borne, or was kept current before; else the error."""
        self.get("/v1/catalog/datacenters?cached")
        self.get("/v1/catalog/services?cached")
        self.server.turn()
        self.server.counting.error = NoLeader()
        self.server.clock.advance(65)
        strict = self.get("/v1/catalog/datacenters?cached", cache_control="max-age=30")
        self.assertEqual((strict.status, strict.body), (500, b"No cluster leader"))
        control = "max-age=30, stale-if-error=3600"
        self.assertEqual(self.heads("/v1/catalog/datacenters?cached", cache_control=control), ("HIT", "65"))
        self.server.register("n2", "db")
        self.server.turn()
        self.server.clock.advance(30)
        self.assertIn(self.heads("/v1/catalog/services?cached"), (("HIT", "30"), ("HIT", "0")))
