"""
How far a watch has come: the next question, whether an answer is a change, and how long to wait after a failure.

Questions are blocking queries. The first comes without an index and is answered at once; whether its answer is told
depends on the cursor, a note of what was told last, which may be from an earlier run of the program. So a watch that
starts again, or finds its server again, does not tell the same a second time.

Source: Consul's documentation of blocking queries, and of watches.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, NamedTuple

from txconsul.errors import TxconsulError
from txconsul.watches.plan import Params, Plan
from txconsul.watches.render import render

__all__ = ["BadAnswer", "Change", "Cursor", "Progress"]

#: Seconds before a question is asked again: this much times the square of how often it failed, up to the other.
RETRY_SECONDS = 5.0
RETRY_SECONDS_MAX = 180.0


class BadAnswer(TxconsulError):
    """The agent's answer is none that this watch could read."""


class Cursor(NamedTuple):
    """
    What was told last.

    @ivar digest: of the data, in hexadecimal; empty before anything was told.
    @ivar event: the ID of the last event.
    """

    digest: str = ""
    event: str = ""

    @classmethod
    def read(cls, value: object) -> Cursor:
        """The cursor in a JSON object that L{write} made; that of a new watch where it is none."""
        if not isinstance(value, Mapping):
            return cls()
        digest, event = value.get("digest", ""), value.get("event", "")
        return cls(digest, event) if isinstance(digest, str) and isinstance(event, str) else cls()

    def write(self) -> dict[str, str]:
        """A JSON object for L{read}."""
        return {"digest": self.digest, **({"event": self.event} if self.event else {})}


@dataclass(frozen=True)
class Change:
    """
    Something to tell.

    @ivar index: the answer's; 0 for what is watched by its hash.
    @ivar data: in the form that handlers know.
    @ivar cursor: to be kept once it was told.
    """

    index: int
    data: Any
    cursor: Cursor


class Progress:
    """
    @param cursor: from an earlier run; that of a new watch tells its first answer, whatever it is.
    """

    def __init__(self, plan: Plan, cursor: Cursor = Cursor()) -> None:  # noqa: B008
        self._plan = plan
        self._cursor = cursor
        self._index = 0
        self._hash = ""
        self._failures = 0

    def question(self) -> Params:
        """The parameters to ask with: those of the plan, and where to wait from."""
        params = dict(self._plan.params)
        if self._plan.datacenter:
            params["dc"] = self._plan.datacenter
        if self._index:
            params["index"] = str(self._index)
        if self._hash:
            params["hash"] = self._hash
        return params

    def answered(self, status: int, index: int, body: bytes) -> Change | None:
        """
        Take an answer.

        @param index: its X-Consul-Index.
        @return: what is to be told, or None if nothing changed.
        @raise BadAnswer: it cannot be read. To be followed by L{failed}.
        """
        data = self._read(status, body)
        if self._plan.by_hash:
            self._hash = str(data.get("ContentHash") or "") if isinstance(data, dict) else ""
            if not self._hash:
                raise BadAnswer("the agent's answer has no ContentHash to wait with")
            self._failures = 0
            return self._told(0, data)
        self._failures = 0
        index = max(index, 1)  # 0 would not wait
        if index == self._index:
            return None  # the time was up
        # An index that went back belongs to another history, as after a restore: nothing is to be waited for there.
        self._index = index if index > self._index or self._plan.is_events else 0
        return self._events(index, data) if self._plan.is_events else self._told(index, data)

    def failed(self) -> float:
        """
        Nothing came, or nothing of use. The next question does not wait.

        @return: the seconds until then.
        """
        self._index, self._hash = 0, ""
        self._failures += 1
        return min(RETRY_SECONDS * self._failures**2, RETRY_SECONDS_MAX)

    def _read(self, status: int, body: bytes) -> Any:
        if status == 404 and self._plan.absent:
            return None
        if status != 200:
            raise BadAnswer(f"Unexpected response code: {status} ({body.decode('utf-8', 'replace').strip()})")
        try:
            data = json.loads(body)
        except (ValueError, RecursionError) as error:
            raise BadAnswer(f"the agent's answer is no JSON: {error}") from None
        if self._plan.single:
            if not isinstance(data, list) or not data:
                raise BadAnswer("the agent's answer is no list")
            data = data[0]
        try:
            return self._plan.shape(data)
        except (TypeError, AttributeError, RecursionError) as error:
            raise BadAnswer(f"the agent's answer has another form: {error}") from None

    def _told(self, index: int, data: Any) -> Change | None:
        cursor = Cursor(hashlib.sha256(render(data)).hexdigest())
        if cursor == self._cursor:
            return None
        self._cursor = cursor
        return Change(index, data, cursor)

    def _events(self, index: int, data: Any) -> Change | None:
        """Those behind the last one that was told; all, where that is forgotten already."""
        events = data if isinstance(data, list) else []
        ids = [str(one.get("ID", "")) if isinstance(one, dict) else "" for one in events]
        before = self._cursor
        new = events[ids.index(before.event) + 1 :] if before.event in ids else events
        if before.digest and not new:
            return None
        self._cursor = Cursor("events", ids[-1] if ids else before.event)
        return Change(index, new, self._cursor)
