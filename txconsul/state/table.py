"""
Tables of immutable rows, with what follows from a change: secondary indexes, order, the journal.

A table changes through L{Table.put} and L{Table.remove} only. Each appends to the journal that all tables of a
store share; from it a refused command is undone and the touched watch keys are derived.
"""

from __future__ import annotations

from collections.abc import Callable, Hashable, Iterable
from typing import Any, Generic, Protocol, TypeVar

from txconsul.state.ordered import OrderedKeys
from txconsul.state.watches import Key

__all__ = ["Change", "Follower", "Index", "Journal", "Table"]

K = TypeVar("K", bound=Hashable)
R = TypeVar("R")

#: C{(table, key, before, after)}: rows, or None where there was or is none.
Change = tuple["Table[Any, Any]", Any, Any, Any]
Journal = list[Change]

_NONE: dict[Any, None] = {}

K_contra = TypeVar("K_contra", contravariant=True)
R_contra = TypeVar("R_contra", contravariant=True)


class Follower(Protocol[K_contra, R_contra]):
    """What is told of each change of a table, as an L{Index} is."""

    def move(self, key: K_contra, before: R_contra | None, after: R_contra | None) -> None:
        """A row changed."""


class Index(Generic[K, R]):
    """
    A secondary index: which rows have a name in common.

    @param names: C{(key, row) -> names}; none for a row that the index leaves out.
    """

    __slots__ = ("_names", "_rows")

    def __init__(self, names: Callable[[K, R], tuple[Hashable, ...]]) -> None:
        self._names = names
        self._rows: dict[Hashable, dict[K, None]] = {}

    def keys(self, name: Hashable) -> list[K]:
        """The primary keys of the rows that have this name, in their order."""
        return sorted(self._rows.get(name, _NONE))

    def names(self) -> Iterable[Hashable]:
        """Every name that a row has."""
        return self._rows.keys()

    def __len__(self) -> int:
        """How many names there are."""
        return len(self._rows)

    def __contains__(self, name: Hashable) -> bool:
        return name in self._rows

    def count(self, name: Hashable) -> int:
        """How many rows have this name."""
        return len(self._rows.get(name, _NONE))

    def move(self, key: K, before: R | None, after: R | None) -> None:
        """A row changed."""
        old = () if before is None else self._names(key, before)
        new = () if after is None else self._names(key, after)
        if old == new:
            return
        rows = self._rows
        for name in old:
            if name not in new:
                held = rows[name]
                del held[key]
                if not held:
                    del rows[name]
        for name in new:
            if name not in old:
                rows.setdefault(name, {})[key] = None


class Table(Generic[K, R]):
    """
    Rows by their primary key.

    @ivar rows: read it freely; it is changed here only.
    @ivar ordered: the keys in order, where prefixes are asked of this table.
    @param touches: the watch keys that a change touches.
    """

    __slots__ = ("_indexes", "_journal", "name", "ordered", "rows", "touches")

    def __init__(
        self,
        name: str,
        journal: Journal,
        *,
        indexes: tuple[Index[K, R], ...] = (),
        ordered: bool = False,
        touches: Callable[[K, R | None, R | None], Iterable[Key]] | None = None,
    ) -> None:
        self.name = name
        self.rows: dict[K, R] = {}
        self.ordered = OrderedKeys() if ordered else None
        self.touches = touches
        self._indexes: tuple[Follower[K, R], ...] = indexes
        self._journal = journal

    def follow(self, follower: Follower[K, R]) -> None:
        """Tell this one, too, of each change, after the indexes."""
        self._indexes = (*self._indexes, follower)

    def put(self, key: K, row: R) -> None:
        """Insert a row, or replace the one of this key."""
        rows = self.rows
        before = rows.get(key)
        rows[key] = row
        if before is None and self.ordered is not None:
            self.ordered.add(key)  # type: ignore[arg-type]
        for index in self._indexes:
            index.move(key, before, row)
        self._journal.append((self, key, before, row))

    def remove(self, key: K) -> None:
        """Delete the row of this key, which must be there."""
        before = self.rows.pop(key)
        if self.ordered is not None:
            self.ordered.discard(key)  # type: ignore[arg-type]
        for index in self._indexes:
            index.move(key, before, None)
        self._journal.append((self, key, before, None))

    def undo(self, key: K, before: R | None, after: R | None) -> None:
        """Take a change back that the journal has forgotten."""
        if before is None:
            del self.rows[key]
            if self.ordered is not None:
                self.ordered.discard(key)  # type: ignore[arg-type]
        else:
            self.rows[key] = before
            if after is None and self.ordered is not None:
                self.ordered.add(key)  # type: ignore[arg-type]
        for index in self._indexes:
            index.move(key, after, before)

    def order(self) -> None:
        """C{rows} was filled directly, by a restore: build the order in one go. Indexes are the filler's matter."""
        self.ordered = OrderedKeys(sorted(self.rows))  # type: ignore[arg-type]
