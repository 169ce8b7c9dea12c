"""
The session behind C{txconsul lock}: made, renewed for as long as the program runs, and destroyed.

Source: Consul's documentation of sessions and their time to live.
"""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Callable
from contextlib import suppress

from txconsul.cli.api import ApiError, Client
from txconsul.cli.locks import Lock, LockError

__all__ = ["Renewal", "create_session", "keep_alive", "watch_lock"]

#: The session's time to live, in seconds, and how soon a renewal that failed is tried again.
TTL_SECONDS = 15.0
RENEW_RETRY_SECONDS = 1.0
#: Seconds until a lock is looked at again after the servers could not be asked.
LOOK_RETRY_SECONDS = 1.0
_GONE = 404


def create_session(client: Client, name: str, behavior: str | None) -> str:
    """
    Make a session.

    @return: its ID.
    @raise LockError: it cannot be made.
    """
    wanted = {"Name": name, "TTL": f"{TTL_SECONDS:g}s", **({"Behavior": behavior} if behavior else {})}
    try:
        id = client.call("PUT", "/v1/session/create", body=json.dumps(wanted).encode()).fields().get("ID")
    except ApiError as error:
        raise LockError(f"failed to create session: {error}") from None
    if not isinstance(id, str) or not id:
        raise LockError("failed to create session: the agent named none")
    return id


def keep_alive(
    client: Client, session: str, wait: Callable[[float], bool], now: Callable[[], float] = time.monotonic
) -> None:
    """
    Renew a session until it is not wanted any more, or cannot be saved.

    @param wait: waits so many seconds at most; whether the session is not wanted any more.
    """
    renewed, seconds = now(), TTL_SECONDS / 2
    while not wait(seconds) and now() - renewed <= TTL_SECONDS:
        try:
            answer = client.call("PUT", f"/v1/session/renew/{session}", allowed=(200, _GONE))
            answer.read()
        except ApiError:
            seconds = RENEW_RETRY_SECONDS
            continue
        if answer.status == _GONE:
            return
        renewed, seconds = now(), TTL_SECONDS / 2


class Renewal(threading.Thread):
    """L{keep_alive}, beside the program that runs meanwhile."""

    def __init__(self, client: Client, session: str) -> None:
        super().__init__(daemon=True)
        self._client = client
        self._session = session
        self._done = threading.Event()

    def run(self) -> None:
        """In a thread of its own."""
        keep_alive(self._client, self._session, self._done.wait)

    def finish(self, client: Client) -> None:
        """The session is not wanted any more."""
        self._done.set()
        with suppress(ApiError):  # it ends by itself when nobody renews it
            client.call("PUT", f"/v1/session/destroy/{self._session}").read()


def watch_lock(client: Client, lock: Lock, session: str, retries: int, wait: Callable[[float], bool]) -> bool:
    """
    Look after a lock for as long as it is held.

    @param retries: how often in a row the servers may be unable to answer before the lock counts as lost.
    @param wait: waits so many seconds at most; whether the lock is not wanted any more.
    @return: whether it was lost.
    """
    index: int | None = 0
    left = retries
    while not wait(0):
        try:
            index = lock.held(client, session, index or 0)
        except LockError:
            return True
        except ApiError as error:
            refused = getattr(error, "status", 500) < 500  # a connection that failed has none
            if refused or left <= 0:
                return True
            left -= 1
            index = 0
            wait(LOOK_RETRY_SECONDS)
            continue
        left = retries
        if index is None:
            return True
    return False
