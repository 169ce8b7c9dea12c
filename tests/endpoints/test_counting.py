"""What the door counts and measures."""

from __future__ import annotations

from typing import Any

from twisted.trial.unittest import SynchronousTestCase

from tests.endpoints.serving import Served
from txconsul.metrics.names import METRICS
from txconsul.records.catalog import RegisterRequest
from txconsul.records.kv import DirEntry, KeyRequest, KVSRequest
from txconsul.records.queries import DCSpecificRequest, ServiceSpecificRequest
from txconsul.records.query import QueryOptions
from txconsul.records.service import NodeService
from txconsul.records.session import SessionSpecificRequest


class DoorTests(SynchronousTestCase):
    """Instruments of one door."""

    def setUp(self) -> None:
        """A door in front of a service."""
        self.served = Served()
        web = NodeService(id="web", service="web", tags=("a",))
        self.served.call("Catalog.Register", RegisterRequest(node="n", address="127.0.0.1", service=web))

    def told(self, part: str) -> dict[str, Any]:
        """Rows by name and labels."""
        rows = self.served.site.metrics.document()[part]
        return {" ".join([row["Name"].removeprefix("consul."), *row["Labels"].values()]): row for row in rows}

    def test_services(self) -> None:
        """Queries are counted by service, by tags, and where nothing was found."""
        for name, tags, connect in (("web", (), False), ("web", ("a",), False), ("web", (), True), ("db", (), False)):
            for kind in ("Catalog", "Health"):
                asked = ServiceSpecificRequest(service_name=name, service_tags=tags, connect=connect)
                self.served.call(f"{kind}.ServiceNodes", asked)
        counters = {name: row["Count"] for name, row in self.told("Counters").items()}
        for kind in ("catalog", "health"):
            self.assertEqual(counters[f"{kind}.service.query web"], 2)
            self.assertEqual(counters[f"{kind}.service.query-tags web a"], 1)
            self.assertEqual(counters[f"{kind}.service.not-found db"], 1)
            self.assertEqual(counters[f"{kind}.connect.query web"], 1)
            self.assertEqual(counters[f"{kind}.connect.not-found web"], 1)
            self.assertNotIn(f"{kind}.service.not-found web", counters)
        self.assertEqual((counters["rpc.query"], counters["client.rpc"]), (8, 9))

    def test_writes(self) -> None:
        """Writes are timed until they are committed."""
        self.served.call("KVS.Apply", KVSRequest(op="set", dir_ent=DirEntry(key=b"a", value=b"b")))
        samples = self.told("Samples")
        self.assertEqual((samples["catalog.register"]["Count"], samples["kvs.apply"]["Count"]), (1, 1))

    def test_otherMethods(self) -> None:
        """Some methods that write nothing are timed, too; those that are not are asked all the same."""
        self.served.call("Session.Renew", SessionSpecificRequest(session="00000000-0000-0000-0000-0000000000ff"))
        self.served.call("Status.Peers", DCSpecificRequest())
        samples = self.told("Samples")
        self.assertEqual(samples["session.renew"]["Count"], 1)

    def test_blocking(self) -> None:
        """Reads that wait are known by number, however their waiting ends."""
        site = self.served.site
        request = KeyRequest(key=b"a", options=QueryOptions(min_query_index=99, max_query_time=10**9))
        first, *_ = [self.served.call("KVS.Get", request) for _ in range(3)]
        self.assertEqual(site.blocking, 3)
        first.addErrback(lambda _: None)
        first.cancel()
        self.assertEqual(site.blocking, 2)
        self.served.clock.advance(2.0)
        self.assertEqual(site.blocking, 0)

    def test_described(self) -> None:
        """Everything that the door makes is in the table of metrics."""
        self.test_services()
        self.test_writes()
        for part in ("Counters", "Samples"):
            for row in self.served.site.metrics.document()[part]:
                self.assertIn(row["Name"].removeprefix("consul."), METRICS)
