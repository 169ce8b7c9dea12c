"""
The state as one would write it on a sheet of paper: plain dicts, whole copies, no indexes, no journal.

It knows keys, tombstones, sessions of one node with one check, and KV transactions; it is slow and obvious, and what
the real store is compared with.
"""

from __future__ import annotations

from copy import deepcopy
from typing import Any

__all__ = ["Model"]


class Refused(Exception):
    """The command, or the operation of a transaction, failed."""


class Model:
    """
    @ivar keys: key -> (value, flags, session, lock index, create index, modify index).
    @ivar sessions: id -> behaviour; those that depend on the check are in C{checked}.
    """

    def __init__(self) -> None:
        self.keys: dict[bytes, list[Any]] = {}
        self.tombs: dict[bytes, int] = {}
        self.sessions: dict[str, str] = {}
        self.checked: set[str] = set()
        self.kv_index = self.tomb_index = self.session_index = 0

    # ---- what can be asked ----

    def get(self, key: bytes) -> tuple[int, Any]:
        row = self.keys.get(key)
        return (self.whole(), None) if row is None else (row[5], tuple(row))

    def list(self, prefix: bytes) -> tuple[int, Any]:
        found = {key: tuple(row) for key, row in sorted(self.keys.items()) if key.startswith(prefix)}
        indexes = [row[5] for row in found.values()]
        indexes += [index for key, index in self.tombs.items() if key.startswith(prefix)]
        return (max(indexes) if prefix and indexes else self.whole()), found

    def whole(self) -> int:
        return max(self.kv_index, self.tomb_index) or 1

    # ---- what can be done ----

    def apply(self, index: int, command: tuple[Any, ...]) -> Any:
        before = deepcopy(self.__dict__)
        try:
            return getattr(self, "do_" + command[0])(index, *command[1:])
        except Refused:
            self.__dict__.update(before)
            return "refused"

    def do_kv(self, index: int, op: str, key: bytes, value: bytes, session: str, compared: int) -> Any:
        row = self.keys.get(key)
        if op == "set":
            return self.write(index, key, value, None, 0)
        if op == "cas":
            right = row is None if compared == 0 else row is not None and row[5] == compared
            if right:
                self.write(index, key, value, None, 0)
            return right
        if op == "delete":
            return self.bury(index, key)
        if op == "delete-cas":
            if row is not None and row[5] != compared:
                return False
            self.bury(index, key)
            return True
        if op == "delete-tree":
            doomed = [name for name in self.keys if name.startswith(key)]
            for name in doomed:
                del self.keys[name]
            if doomed:
                self.kv_index = index
                if key:
                    self.tombs[key] = self.tomb_index = index
            return None
        if not session or (op == "lock" and session not in self.sessions):
            raise Refused
        if op == "lock":
            if row is not None and row[2] not in ("", session):
                return False
            held = row is not None and row[2] == session
            self.write(index, key, value, session, (row[3] if row else 0) + (0 if held else 1))
            return True
        if row is None or row[2] != session:
            return False
        self.write(index, key, value, "", row[3])
        return True

    def write(self, index: int, key: bytes, value: bytes, session: str | None, lock_index: int) -> None:
        row = self.keys.get(key)
        holder = session if session is not None else row[2] if row else ""
        if row is not None and row[:4] == [value, 0, holder, lock_index]:
            return
        self.keys[key] = [value, 0, holder, lock_index, row[4] if row else index, index]
        self.kv_index = index

    def bury(self, index: int, key: bytes) -> None:
        if key in self.keys:
            del self.keys[key]
            self.tombs[key] = self.kv_index = self.tomb_index = index

    def do_txn(self, index: int, operations: list[tuple[Any, ...]]) -> Any:
        failed = False
        for operation in operations:
            try:
                failed |= self.do_kv(index, *operation) is False
            except Refused:
                failed = True
        if failed:
            raise Refused
        return "done"

    def do_reap(self, index: int, up_to: int) -> None:
        self.tombs = {key: at for key, at in self.tombs.items() if at > up_to}

    def do_create(self, index: int, id: str, behavior: str, checked: bool) -> str:
        self.sessions[id] = behavior
        self.session_index = index
        (self.checked.add if checked else self.checked.discard)(id)
        return id

    def do_destroy(self, index: int, id: str) -> None:
        if id not in self.sessions:
            return
        behavior = self.sessions.pop(id)
        self.checked.discard(id)
        self.session_index = index
        for key, row in sorted(self.keys.items()):
            if row[2] == id and behavior == "delete":
                self.bury(index, key)
            elif row[2] == id:
                self.write(index, key, row[0], "", row[3])

    def do_fail(self, index: int) -> None:
        for id in sorted(self.checked):
            self.do_destroy(index, id)

    def do_recover(self, index: int) -> None:
        """Nothing of what the model knows changes."""
