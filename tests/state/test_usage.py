"""Instances are counted as they come, change and go."""

from __future__ import annotations

from random import Random

from twisted.trial.unittest import SynchronousTestCase

from txconsul.records.service import NodeService, ServiceConnect
from txconsul.state.tables import Tables
from txconsul.state.usage import BILLABLE, MESH

KINDS = ("", "", "connect-proxy", "mesh-gateway", "api-gateway")


class UsageTests(SynchronousTestCase):
    """The counts are those that one finds by walking through."""

    def test_sameAsAfresh(self) -> None:
        """After any changes, undone ones too."""
        rng, tables = Random(5), Tables()
        for _ in range(500):
            mark = len(tables.journal)
            key = (f"n{rng.randrange(3)}", f"s{rng.randrange(4)}")
            if rng.random() < 0.3:
                if key in tables.services.rows:
                    tables.services.remove(key)
            else:
                service = NodeService(
                    id=key[1],
                    service=rng.choice(("web", "consul")),
                    kind=rng.choice(KINDS),
                    connect=ServiceConnect(native=rng.random() < 0.3),
                )
                tables.services.put(key, service)
            if rng.random() < 0.2:
                tables.rollback(mark, 0)
            rows = tables.services.rows.values()
            afresh = {kind: sum(one.kind == kind for one in rows) for kind in MESH}
            afresh["connect-native"] = sum(one.connect.native for one in rows)
            afresh[BILLABLE] = sum(not one.kind and one.service != "consul" for one in rows)
            self.assertEqual({kind: tables.usage.counts[kind] for kind in afresh}, afresh)
