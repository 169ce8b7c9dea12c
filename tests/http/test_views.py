"""Many who wait for the same are given one rendering."""

from __future__ import annotations

import gzip
import json
from typing import Any

from twisted.internet.defer import Deferred
from twisted.trial.unittest import SynchronousTestCase

from tests.http.test_api import Asking
from txconsul.http import routes_catalog
from txconsul.http.answers import PACKED_KEPT
from txconsul.http.response import Response

WATCHERS = 1000


class ViewsTests(SynchronousTestCase):
    """Waiting for the health of a service."""

    def setUp(self) -> None:
        self.asking = Asking()
        self.shown = 0
        show = routes_catalog._show_health

        def count(instances: Any) -> Any:
            self.shown += 1
            return show(instances)

        self.patch(routes_catalog, "_show_health", count)
        self.register("n1")

    def register(self, node: str, service: str = "web") -> None:
        """Register an instance with much to tell."""
        body = {
            "Node": node,
            "Address": "10.0.0.1",
            "Service": {"Service": service, "Meta": {f"key{n}": "value" * 10 for n in range(40)}},
        }
        self.assertEqual(self.asking.ask("PUT", "/v1/catalog/register", json.dumps(body).encode()).status, 200)

    def index(self) -> int:
        """The index of the service."""
        answer = self.asking.ask("GET", "/v1/health/service/web")
        return int(answer.head.partition(b"X-Consul-Index: ")[2].partition(b"\r\n")[0])

    def answers(self, waiting: list[Any]) -> list[Response]:
        """What all have been given."""
        return [self.successResultOf(one) if isinstance(one, Deferred) else one for one in waiting]

    def test_oneRendering(self) -> None:
        """Unrelated writes wake nobody; a change is rendered once, and compressed once, for all who waited."""
        index = self.index()
        self.shown = 0
        target = f"/v1/health/service/web?index={index}&wait=10m"
        waiting = [self.asking.raw("GET", f"{target}&n={n % 7}", accept_encoding="gzip") for n in range(WATCHERS)]
        self.register("n2", "db")
        self.asking.ask("PUT", "/v1/kv/a", b"x")
        for one in waiting:
            self.assertNoResult(one)
        self.register("n2")
        answers = self.answers(waiting)
        self.assertEqual(self.shown, 1)
        self.assertEqual(len({id(answer.body) for answer in answers}), 1)
        body = answers[0].body
        assert isinstance(body, bytes)
        self.assertEqual([one["Node"]["Node"] for one in json.loads(gzip.decompress(body))], ["n1", "n2"])

    def test_waysToShow(self) -> None:
        """Pretty and plain, catalog and health are different renderings of the same moment."""
        plain, pretty = (self.asking.ask("GET", f"/v1/health/service/web{query}").body for query in ("", "?pretty"))
        assert isinstance(plain, bytes) and isinstance(pretty, bytes)
        self.assertNotEqual(plain, pretty)
        self.assertEqual(json.loads(plain), json.loads(pretty))
        self.assertIn("ServiceName", self.asking.get("/v1/catalog/service/web")[0])
        self.assertEqual(self.asking.ask("GET", "/v1/health/service/web?pretty").body, pretty)

    def test_manyCompressed(self) -> None:
        """More bodies than are kept compressed are all answered rightly."""
        for n in range(PACKED_KEPT + 2):
            self.register("n1", f"s{n}")
        for _ in range(2):
            for n in range(PACKED_KEPT + 2):
                body = self.asking.ask("GET", f"/v1/health/service/s{n}", accept_encoding="gzip").body
                assert isinstance(body, bytes)
                self.assertEqual(json.loads(gzip.decompress(body))[0]["Service"]["Service"], f"s{n}")
