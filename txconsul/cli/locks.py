"""
Locks and semaphores in the key-value store, by the conventions of Consul's client library, so that both may compete.

A lock is a key that a session has acquired. A semaphore is a folder: each contender has a key there of its session's
name, and C{.lock} lists those who hold a slot, written by check-and-set. A holder whose contender is gone is dead.

Source: Consul's documentation "Distributed locks with sessions" and "Distributed semaphores with sessions".
"""

from __future__ import annotations

import json
import posixpath
from collections.abc import Callable, Iterable
from typing import NamedTuple, Protocol

from txconsul.cli import kv_store
from txconsul.cli.api import ApiError, Client
from txconsul.cli.kv_store import Entry

__all__ = ["Clock", "Lock", "LockError", "Mutex", "Semaphore"]

#: The flags of a key say which of the two it is for; the library's numbers.
_MUTEX_FLAGS = 0x2DDCCBC058A50C18
_SEMAPHORE_FLAGS = 0xE0F69A2BAA414DE0
_NAME = ".lock"

#: Seconds of one question for a lock that somebody holds, and until a lock is tried again that its delay protects.
WAIT_SECONDS = 15.0
RETRY_SECONDS = 5.0


class LockError(ApiError):
    """The lock cannot be had; the message is for the user."""


class Clock(NamedTuple):
    """
    @ivar now: seconds, of any origin.
    @ivar wait: waits so many seconds.
    """

    now: Callable[[], float]
    wait: Callable[[float], object]


class Lock(Protocol):
    """What L{Mutex} and L{Semaphore} have in common. Everything may raise L{ApiError}."""

    @property
    def behavior(self) -> str | None:
        """What the end of the session does to its keys; None for the default, which releases them."""

    def acquire(self, client: Client, session: str, seconds: float | None, clock: Clock) -> bool:
        """
        Wait until it is held.

        @param seconds: how long, or None for however long it takes.
        @return: whether it is held.
        """

    def held(self, client: Client, session: str, index: int) -> int | None:
        """
        Wait for something to happen behind an index, and look.

        @return: the next index to ask with, or None if it is not held any more.
        """

    def release(self, client: Client, session: str) -> None:
        """Hold it no more."""

    def clean_up(self, client: Client) -> bool:
        """Remove what is left in the store. Whether nobody else uses it."""


class _Patience:
    """How long each question may wait."""

    def __init__(self, seconds: float | None, clock: Clock) -> None:
        self._seconds = seconds
        self._clock = clock
        self._began = clock.now()
        self._first = True

    def next(self) -> float | None:
        """The seconds of the next question; None when there is no time left. The first one is always asked."""
        if self._seconds is None:
            return WAIT_SECONDS
        elapsed = 0.0 if self._first else self._clock.now() - self._began
        self._first = False
        return None if elapsed > self._seconds else self._seconds - elapsed


def _waiting(seconds: float, index: int) -> dict[str, str]:
    return {"wait": f"{max(int(seconds * 1000), 1)}ms", **({"index": str(index)} if index else {})}


def _since(index: int) -> dict[str, str]:
    return {"consistent": "", **({"index": str(index)} if index else {})}


class Mutex:
    """One holder."""

    behavior: str | None = None

    def __init__(self, prefix: str) -> None:
        self.key = posixpath.normpath(posixpath.join(prefix, _NAME))

    def acquire(self, client: Client, session: str, seconds: float | None, clock: Clock) -> bool:
        """See L{Lock}."""
        patience, index = _Patience(seconds, clock), 0
        while (wait := patience.next()) is not None:
            entry, found = self._read(client, _waiting(wait, index), "failed to read lock: ")
            if entry is not None and entry.session == session:
                return True
            if entry is not None and entry.session:
                index = found
                continue
            try:
                if kv_store.put(client, self.key, b"", {"acquire": session}, _MUTEX_FLAGS):
                    return True
            except ApiError as error:
                raise LockError(f"failed to acquire lock: {error}") from None
            entry, found = self._read(client, {})
            if entry is not None and entry.session:
                index = found
            else:  # nobody holds it, and still it is not to be had: its delay after a lost session
                index = 0
                clock.wait(RETRY_SECONDS)
        return False

    def held(self, client: Client, session: str, index: int) -> int | None:
        """See L{Lock}."""
        entries, found = kv_store.poll(client, self.key, _since(index))
        return found if entries and entries[0].session == session else None

    def release(self, client: Client, session: str) -> None:
        """See L{Lock}."""
        try:
            kv_store.put(client, self.key, b"", {"release": session}, _MUTEX_FLAGS)
        except ApiError as error:
            raise LockError(f"failed to release lock: {error}") from None

    def clean_up(self, client: Client) -> bool:
        """See L{Lock}."""
        entry, _ = self._read(client, {}, "failed to read lock: ")
        if entry is None:
            return True
        if entry.session:
            return False
        try:
            return kv_store.delete(client, self.key, {"cas": str(entry.modify_index)})
        except ApiError as error:
            raise LockError(f"failed to remove lock: {error}") from None

    def _read(self, client: Client, params: dict[str, str], lead: str = "") -> tuple[Entry | None, int]:
        try:
            entries, index = kv_store.poll(client, self.key, params)
        except ApiError as error:
            raise LockError(f"{lead}{error}") from None
        if entries and entries[0].flags != _MUTEX_FLAGS:
            raise LockError("Existing key does not match lock use")
        return entries[0] if entries else None, index


class _Holders(NamedTuple):
    """
    Who holds a semaphore.

    @ivar version: the ModifyIndex of C{.lock}, 0 where there is none.
    """

    limit: int
    sessions: frozenset[str]
    version: int


class Semaphore:
    """
    A few holders.

    @param limit: how many; all contenders must say the same.
    """

    behavior: str | None = "delete"

    def __init__(self, prefix: str, limit: int) -> None:
        if not prefix:
            raise LockError("missing prefix")
        self.prefix = prefix
        self.limit = limit
        self._key = posixpath.normpath(posixpath.join(prefix, _NAME))

    def acquire(self, client: Client, session: str, seconds: float | None, clock: Clock) -> bool:
        """See L{Lock}."""
        try:
            made = kv_store.put(client, self._contender(session), b"", {"acquire": session}, _SEMAPHORE_FLAGS)
        except ApiError as error:
            raise LockError(f"failed to make contender entry: {error}") from None
        if not made:
            raise LockError("failed to make contender entry")
        patience, index = _Patience(seconds, clock), 0
        while (wait := patience.next()) is not None:
            holders, found = self._read(client, _waiting(wait, index))
            if holders.limit != self.limit:
                raise LockError(f"semaphore limit conflict (lock: {holders.limit}, local: {self.limit})")
            if len(holders.sessions) >= holders.limit:
                index = found
                continue
            if self._write(client, holders, holders.sessions | {session}):
                return True
        return False

    def held(self, client: Client, session: str, index: int) -> int | None:
        """See L{Lock}."""
        entries, found = kv_store.poll(client, self.prefix, {"recurse": "", **_since(index)})
        return found if session in self._holders(entries).sessions else None

    def release(self, client: Client, session: str) -> None:
        """See L{Lock}."""
        while True:
            entries, _ = kv_store.poll(client, self._key, {})
            holders = self._decoded(entries[0] if entries else None)
            if session not in holders.sessions or self._write(client, holders, holders.sessions - {session}):
                break
        kv_store.delete(client, self._contender(session), {})

    def clean_up(self, client: Client) -> bool:
        """See L{Lock}."""
        holders, _ = self._read(client, {})
        if not holders.version:
            return True
        if holders.sessions:
            return False
        try:
            return kv_store.delete(client, self._key, {"cas": str(holders.version)})
        except ApiError as error:
            raise LockError(f"failed to remove semaphore: {error}") from None

    def _contender(self, session: str) -> str:
        return posixpath.normpath(posixpath.join(self.prefix, session))

    def _read(self, client: Client, params: dict[str, str]) -> tuple[_Holders, int]:
        try:
            entries, index = kv_store.poll(client, self.prefix, {"recurse": "", **params})
        except ApiError as error:
            raise LockError(f"failed to read prefix: {error}") from None
        return self._holders(entries), index

    def _holders(self, entries: Iterable[Entry]) -> _Holders:
        """Those who live."""
        entries = list(entries)
        holders = self._decoded(next((one for one in entries if one.key == self._key), None))
        alive = {one.session for one in entries if one.session}
        return holders._replace(sessions=holders.sessions & alive)

    def _decoded(self, entry: Entry | None) -> _Holders:
        if entry is not None and entry.flags != _SEMAPHORE_FLAGS:
            raise LockError("Existing key does not match semaphore use")
        if entry is None or not entry.value:
            return _Holders(self.limit, frozenset(), entry.modify_index if entry else 0)
        try:
            found = json.loads(entry.value)
            return _Holders(int(found["Limit"]), frozenset(found["Holders"] or ()), entry.modify_index)
        except (ValueError, TypeError, KeyError, RecursionError) as error:
            raise LockError(f"lock decoding failed: {error}") from None

    def _write(self, client: Client, before: _Holders, sessions: frozenset[str]) -> bool:
        value = {"Limit": before.limit, "Holders": dict.fromkeys(sorted(sessions), True)}
        data = json.dumps(value, separators=(",", ":")).encode()
        try:
            return kv_store.put(client, self._key, data, {"cas": str(before.version)}, _SEMAPHORE_FLAGS)
        except ApiError as error:
            raise LockError(f"failed to update lock: {error}") from None
