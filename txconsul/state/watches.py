"""
Who waits for what: exact watches.

A watch key is C{(kind, name)}, made by the functions here. Keys of the KV store can be waited for one by one or by
prefix: prefix waiters are kept by the prefix's length, and a write looks its own key up at each length that somebody
waits at, so that its cost depends on how many lengths there are and not on how many waiters.

A wait ends when it is woken: each callback is called at most once.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Hashable, Iterable

__all__ = [
    "Key",
    "Wait",
    "Watches",
    "check",
    "checks_in_state",
    "coordinate",
    "instances",
    "kv_key",
    "kv_prefix",
    "mesh",
    "mesh_instances",
    "node",
    "node_checks",
    "node_services",
    "node_sessions",
    "prepared_query",
    "service",
    "service_checks",
    "session",
    "table",
    "virtual_ip",
]

Key = tuple[str, Hashable]

_KV = "kv"
_PREFIX = "kv-prefix"


def kv_key(key: bytes) -> Key:
    """One key of the KV store."""
    return (_KV, key)


def kv_prefix(prefix: bytes) -> Key:
    """Every key of the KV store that begins so."""
    return (_PREFIX, prefix)


def table(name: str) -> Key:
    """Anything in a table: C{nodes}, C{services}, C{checks}, C{sessions}, C{kvs}, C{coordinates}, ..."""
    return ("table", name)


def node(name: str) -> Key:
    """A node, its services and its checks."""
    return ("node", name.lower())


def service(name: str) -> Key:
    """The instances of a service, their nodes and their checks."""
    return ("service", name.lower())


def mesh(name: str) -> Key:
    """The instances that make a service reachable in the mesh, their nodes and their checks."""
    return ("mesh", name.lower())


# Narrower: what one kind of answer shows, and no more. Their indexes are coarse, so that a look at a wrong moment
# would find that they have passed.


def instances(name: str) -> Key:
    """The instances of a service and their nodes."""
    return ("instances", name.lower())


def mesh_instances(name: str) -> Key:
    """The instances that make a service reachable in the mesh, and their nodes."""
    return ("mesh-instances", name.lower())


def node_services(name: str) -> Key:
    """A node and its services."""
    return ("node-services", name.lower())


def node_checks(name: str) -> Key:
    """The checks of a node and of its services."""
    return ("node-checks", name.lower())


def service_checks(name: str) -> Key:
    """The checks of a service's instances."""
    return ("service-checks", name.lower())


def checks_in_state(status: str) -> Key:
    """The checks of one status."""
    return ("status", status.lower())


def virtual_ip(name: str, peer: str = "") -> Key:
    """The virtual address of a service."""
    return ("virtual-ip", (peer.lower(), name.lower()))


def check(node: str, check_id: str) -> Key:
    """One check."""
    return ("check", (node.lower(), check_id.lower()))


def coordinate(node: str) -> Key:
    """The network coordinates of a node."""
    return ("coordinate", node.lower())


def node_sessions(node: str) -> Key:
    """The sessions of a node."""
    return ("node-sessions", node.lower())


def prepared_query(key: str) -> Key:
    """One prepared query, by the key under which it is kept."""
    return ("query", key)


def session(id: str) -> Key:
    """One session."""
    return ("session", id.lower())


class Wait:
    """Somebody who waits. Keep it to cancel."""

    __slots__ = ("callback", "keys")

    def __init__(self, keys: tuple[Key, ...], callback: Callable[[], object]) -> None:
        self.keys = keys
        self.callback = callback


#: One waiter, or several in the order in which they came: most keys have one, which then costs no container.
_Waiters = Wait | dict[Wait, None]


class Watches:
    """All waits of one store."""

    __slots__ = ("_by_key", "_by_prefix")

    def __init__(self) -> None:
        self._by_key: dict[Key, _Waiters] = {}
        #: length of a prefix -> prefix -> who waits
        self._by_prefix: dict[int, dict[bytes, _Waiters]] = {}

    def wait(self, keys: Iterable[Key], callback: Callable[[], object]) -> Wait:
        """
        Call C{callback}, once, after the next write that touches one of the keys.

        @param callback: called in the turn of the write. It may wait again. What it raises goes to the writer, so it
            must not raise.
        @return: the wait, for L{cancel}.
        """
        wait = Wait(tuple(keys), callback)
        for key in wait.keys:
            where, name = self._place(key)
            present = where.get(name)
            if present is None:
                where[name] = wait
            elif type(present) is dict:
                present[wait] = None
            elif present is not wait:
                where[name] = {present: None, wait: None}  # type: ignore[dict-item]
        return wait

    def cancel(self, wait: Wait) -> None:
        """Forget a wait: it is not called back any more. One that was woken or cancelled is no matter."""
        wait.callback = _nobody
        self._leave(wait)

    def _leave(self, wait: Wait) -> None:
        for key in wait.keys:
            kind, name = key
            if kind == _PREFIX:
                prefixes = self._by_prefix.get(len(name))  # type: ignore[arg-type]
                if prefixes is not None:
                    _leave(prefixes, name, wait)
                    if not prefixes:
                        del self._by_prefix[len(name)]  # type: ignore[arg-type]
            else:
                _leave(self._by_key, key, wait)
        wait.keys = ()

    def wake(self, touched: Iterable[Key]) -> None:
        """Call everybody back who waits for one of these keys (not prefixes: those follow from the keys)."""
        due: dict[Wait, None] = {}
        by_key, by_prefix = self._by_key, self._by_prefix
        for key in touched:
            found = by_key.get(key)
            if found is not None:
                _gather(due, found)
            if by_prefix and key[0] == _KV:
                name: bytes = key[1]  # type: ignore[assignment]
                for length, prefixes in by_prefix.items():
                    if length <= len(name) and (waiters := prefixes.get(name[:length])) is not None:
                        _gather(due, waiters)
        self._finish(due)

    def wake_all(self) -> None:
        """Call everybody back: the whole state was replaced."""
        self._finish(self._everybody())

    def __bool__(self) -> bool:
        return bool(self._by_key or self._by_prefix)

    def __len__(self) -> int:
        return len(self._everybody())

    def _everybody(self) -> dict[Wait, None]:
        due: dict[Wait, None] = {}
        for waiters in self._by_key.values():
            _gather(due, waiters)
        for prefixes in self._by_prefix.values():
            for waiters in prefixes.values():
                _gather(due, waiters)
        return due

    def _finish(self, due: Collection[Wait]) -> None:
        for wait in due:
            self._leave(wait)
        for wait in due:
            wait.callback()

    def _place(self, key: Key) -> tuple[dict[object, _Waiters], object]:
        kind, name = key
        if kind == _PREFIX:
            return self._by_prefix.setdefault(len(name), {}), name  # type: ignore[arg-type, return-value]
        return self._by_key, key  # type: ignore[return-value]


def _nobody() -> None:
    """Who was cancelled."""


def _leave(places: dict, name: object, wait: Wait) -> None:  # type: ignore[type-arg]
    present = places.get(name)
    if present is wait:
        del places[name]
    elif type(present) is dict and wait in present:
        del present[wait]
        if not present:
            del places[name]


def _gather(due: dict[Wait, None], waiters: _Waiters) -> None:
    if type(waiters) is dict:
        due.update(waiters)
    else:
        due[waiters] = None  # type: ignore[index]
