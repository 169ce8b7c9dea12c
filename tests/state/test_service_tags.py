"""The list of services with their tags, after any changes, is that which one makes from all instances."""

from __future__ import annotations

from random import Random

from twisted.trial.unittest import SynchronousTestCase

from txconsul.records.service import NodeService
from txconsul.state.tables import Tables


def afresh(tables: Tables) -> dict[str, list[str]]:
    """The list, made from all instances."""
    found: dict[str, dict[str, None]] = {}
    for _, service in sorted(tables.services.rows.items()):
        found.setdefault(service.service, {}).update(dict.fromkeys(service.tags or ()))
    return {name: list(tags) for name, tags in sorted(found.items())}


class ServiceTagsTests(SynchronousTestCase):
    """Instances come, change, and go."""

    def test_sameAsAfresh(self) -> None:
        """After any changes, undone ones too, and whatever the case in which names are written."""
        rng, tables = Random(3), Tables()
        for _ in range(2000):
            mark = len(tables.journal)
            for _ in range(rng.randrange(4)):
                key = (f"n{rng.randrange(4)}", f"s{rng.randrange(3)}")
                if rng.random() < 0.3:
                    if key in tables.services.rows:
                        tables.services.remove(key)
                else:
                    name = rng.choice(("web", "Web", "db", "a"))
                    tags = tuple(rng.sample("xyz", rng.randrange(4))) or None
                    port = rng.randrange(2)
                    tables.services.put(key, NodeService(id=key[1], service=name, tags=tags, port=port))
                if rng.random() < 0.5:
                    tables.service_tags.all()
            if rng.random() < 0.3:
                tables.rollback(mark, 0)
            self.assertEqual(list(tables.service_tags.all().items()), list(afresh(tables).items()))

    def test_givenAway(self) -> None:
        """What was given does not change any more."""
        tables = Tables()
        tables.services.put(("n", "s"), NodeService(id="s", service="web", tags=("a",)))
        given = tables.service_tags.all()
        tables.services.put(("n", "s"), NodeService(id="s", service="web", tags=("b",)))
        self.assertEqual(tables.service_tags.all(), {"web": ["b"]})
        self.assertEqual(given, {"web": ["a"]})
