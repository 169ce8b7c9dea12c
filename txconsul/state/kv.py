"""
The key-value store.

Indexes: an entry's is its own; that of a prefix the highest of its entries and of the tombstones below it, or, where
there is neither, the whole store's. So the index of a prefix goes neither back nor forth when something else is
written. Writing what is there already changes nothing and wakes nobody.

Departure: one tombstone stands for a deleted tree, and counts for prefixes within the tree, too. In Consul it does not:
there their index goes back, and who waits for them is not answered. (A tombstone does not tell whether it is a tree's,
so that the deletion of one key also counts for what begins with it.)

Source: Consul's documentation of the KV store, of blocking queries and of sessions.
"""

from __future__ import annotations

from txconsul.codec.goquote import quote
from txconsul.errors import InvalidRequest
from txconsul.records.kv import DirEntry
from txconsul.state.tables import Tables

__all__ = ["KV"]

# Said here, since within the class C{list} is its method.
Entries = list[DirEntry]
Names = list[bytes]


class KV:
    """The key-value part of a store."""

    __slots__ = ("_rows", "_tables")

    def __init__(self, tables: Tables) -> None:
        self._tables = tables
        self._rows = tables.kv.rows

    # ---- reading ----

    @property
    def index(self) -> int:
        """The index of the whole key-value store; never 0."""
        return self._tables.index("kvs", "tombstones") or 1

    def get(self, key: bytes) -> tuple[int, DirEntry | None]:
        """
        One key.

        @return: C{(index, entry)}: the entry's own index, or the store's where there is none.
        """
        entry = self._rows.get(key)
        if entry is None:
            return self.index, None
        return entry.modify_index, entry

    def list(self, prefix: bytes) -> tuple[int, Entries]:
        """
        Every entry whose key begins so, in the order of their keys.

        @return: C{(index, entries)}.
        """
        rows = self._rows
        entries = [rows[key] for key in self._names(prefix)]
        if not prefix:
            return self.index, entries
        highest = self._buried(prefix)
        if entries:
            highest = max(highest, max([entry.modify_index for entry in entries]))
        return highest or self.index, entries

    def keys(self, prefix: bytes, separator: bytes = b"") -> tuple[int, Names]:
        """
        The keys that begin so, in their order, each cut after the first C{separator} behind the prefix.

        @return: C{(index, keys)}; the index is that of L{list}.
        """
        rows = self._rows
        names = self._names(prefix)
        if not prefix:
            index = self.index
        else:
            highest = self._buried(prefix)
            if names:
                highest = max(highest, max([rows[key].modify_index for key in names]))
            index = highest or self.index
        if not separator:
            return index, names
        cut: dict[bytes, None] = {}
        length = len(separator)
        for name in names:
            at = name.find(separator, len(prefix))
            cut[name if at < 0 else name[: at + length]] = None
        return index, [*cut]

    def held_by(self, session_id: str) -> Names:
        """The keys whose lock a session holds, in their order."""
        return self._tables.kv_by_session.keys(session_id.lower())

    def _names(self, prefix: bytes) -> Names:
        ordered = self._tables.kv.ordered
        assert ordered is not None
        return ordered.with_prefix(prefix)

    def _buried(self, prefix: bytes) -> int:
        """
        The highest index of a tombstone below a prefix, or of one that may stand for a tree around it; 0 where there
        is none.
        """
        stones = self._tables.tombstones
        rows = stones.rows
        if not rows or stones.ordered is None:
            return 0
        below = [rows[key] for key in stones.ordered.with_prefix(prefix)]
        around = [rows.get(prefix[:length], 0) for length in range(1, len(prefix))]
        return max(*below, *around, 0, 0)

    # ---- writing ----

    def set(self, index: int, entry: DirEntry, *, update_session: bool = False) -> DirEntry:
        """
        Write an entry: its flags, its value, its lock index and, if told so, its session.

        @return: the entry as it now stands; with its old index where nothing changed.
        """
        key = entry.key
        existing = self._rows.get(key)
        if existing is None:
            created = index
            session = entry.session if update_session else ""
        else:
            created = existing.create_index
            session = entry.session if update_session else existing.session
            if (
                (existing.value or b"") == (entry.value or b"")
                and existing.flags == entry.flags
                and existing.session == session
                and existing.lock_index == entry.lock_index
            ):
                return existing
        entry = DirEntry(
            create_index=created,
            flags=entry.flags,
            key=key,
            lock_index=entry.lock_index,
            modify_index=index,
            session=session,
            value=entry.value,
        )
        tables = self._tables
        tables.kv.put(key, entry)
        tables.indexes.put("kvs", index)
        return entry

    def cas(self, index: int, entry: DirEntry) -> DirEntry | None:
        """
        Write an entry if C{entry.modify_index} is that of the existing one, or 0 and there is none.

        @return: the entry as it now stands, or None where the comparison failed.
        """
        existing = self._rows.get(entry.key)
        if entry.modify_index != (0 if existing is None else existing.modify_index) or (
            existing is not None and entry.modify_index == 0
        ):
            return None
        return self.set(index, entry)

    def lock(self, index: int, entry: DirEntry) -> DirEntry | None:
        """
        Write an entry and acquire its lock for C{entry.session}.

        @return: the entry as it now stands, or None where another session holds the lock.
        @raise InvalidRequest: no session is named, or it does not exist.
        """
        holder = entry.session
        if not holder:
            raise InvalidRequest("missing session")
        if holder.lower() not in self._tables.sessions.rows:
            raise InvalidRequest(f"invalid session {quote(holder)}")
        existing = self._rows.get(entry.key)
        if existing is None:
            acquired = 1
        elif existing.session == holder:
            acquired = existing.lock_index
        elif existing.session:
            return None
        else:
            acquired = existing.lock_index + 1
        return self.set(index, _with_lock(entry, acquired, holder), update_session=True)

    def unlock(self, index: int, entry: DirEntry) -> DirEntry | None:
        """
        Write an entry and release its lock.

        @return: the entry as it now stands, or None where C{entry.session} does not hold the lock.
        @raise InvalidRequest: no session is named.
        """
        if not entry.session:
            raise InvalidRequest("missing session")
        existing = self._rows.get(entry.key)
        if existing is None or existing.session != entry.session:
            return None
        return self.set(index, _with_lock(entry, existing.lock_index, ""), update_session=True)

    def release(self, index: int, key: bytes) -> None:
        """Clear the lock of an existing key, whoever holds it."""
        existing = self._rows[key]
        self.set(index, _with_lock(existing, existing.lock_index, ""), update_session=True)

    def delete(self, index: int, key: bytes) -> None:
        """Delete one key, if it exists; a tombstone keeps the index of its prefixes."""
        if key in self._rows:
            tables = self._tables
            tables.tombstones.put(key, index)
            tables.indexes.put("tombstones", index)
            tables.kv.remove(key)
            tables.indexes.put("kvs", index)

    def delete_cas(self, index: int, compared: int, key: bytes) -> bool:
        """
        Delete one key if its index is C{compared}.

        @return: whether the key is gone now: also where there was none.
        """
        existing = self._rows.get(key)
        if existing is None:
            return True
        if existing.modify_index != compared:
            return False
        self.delete(index, key)
        return True

    def delete_tree(self, index: int, prefix: bytes) -> None:
        """Delete every key that begins so; one tombstone, of the prefix, stands for them all."""
        names = self._names(prefix)
        if not names:
            return
        tables = self._tables
        for name in names:
            tables.kv.remove(name)
        if prefix:  # without a prefix everything is asked by the store's own index
            tables.tombstones.put(prefix, index)
            tables.indexes.put("tombstones", index)
        tables.indexes.put("kvs", index)

    def reap(self, up_to: int) -> None:
        """Forget the tombstones whose index is at most C{up_to}."""
        stones = self._tables.tombstones
        for key in [key for key, index in stones.rows.items() if index <= up_to]:
            stones.remove(key)


def _with_lock(entry: DirEntry, lock_index: int, session: str) -> DirEntry:
    return DirEntry(
        create_index=entry.create_index,
        flags=entry.flags,
        key=entry.key,
        lock_index=lock_index,
        modify_index=entry.modify_index,
        session=session,
        value=entry.value,
    )
