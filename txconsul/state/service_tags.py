"""
All services with the tags of their instances, as the catalog lists them.

The list is long and asked for after each change by whoever waits for it, while a change concerns one name. So what each
name shows is kept until one of its instances changes.
"""

from __future__ import annotations

from txconsul.records.service import NodeService
from txconsul.state.table import Index

__all__ = ["ServiceTags"]

Pair = tuple[str, str]


class ServiceTags:
    """A follower of the table of services."""

    __slots__ = ("_by_name", "_changed", "_names", "_rows", "_shown", "_spellings")

    def __init__(self, rows: dict[Pair, NodeService], by_name: Index[Pair, NodeService]) -> None:
        """
        @param rows: the table's.
        @param by_name: its index by name in lower case.
        """
        self._rows = rows
        self._by_name = by_name
        self._shown: dict[str, list[str]] = {}
        #: The names in order; None where they are to be put in order.
        self._names: list[str] | None = []
        #: Name in lower case -> as its instances write it, where there are any.
        self._spellings: dict[str, list[str]] = {}
        self._changed: set[str] = set()

    def move(self, key: Pair, before: NodeService | None, after: NodeService | None) -> None:
        """A service changed."""
        if before is not None and after is not None and (before.service, before.tags) == (after.service, after.tags):
            return
        for service in (before, after):
            if service is not None:
                self._changed.add(service.service.lower())

    def all(self) -> dict[str, list[str]]:
        """C{name -> tags}, in the order of names; each tag once, in the order of the instances that have it."""
        shown = self._shown
        for name in self._changed:
            before = self._spellings.pop(name, [])
            for spelling in before:
                del shown[spelling]
            tags: dict[str, dict[str, None]] = {}
            for key in self._by_name.keys(name):
                service = self._rows[key]
                tags.setdefault(service.service, {}).update(dict.fromkeys(service.tags or ()))
            if tags:
                self._spellings[name] = list(tags)
                shown.update((spelling, list(found)) for spelling, found in tags.items())
            if before != list(tags):
                self._names = None
        self._changed.clear()
        if self._names is None:
            self._names = sorted(shown)
        return {name: shown[name] for name in self._names}
