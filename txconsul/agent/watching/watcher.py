"""
The watches of an agent's configuration, each a conversation with the agent's own HTTP API, without a socket between.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any, Protocol
from urllib.parse import quote, urlencode

from twisted.application.service import Service
from twisted.internet.defer import CancelledError, Deferred
from twisted.internet.interfaces import IReactorTime
from twisted.internet.task import deferLater
from twisted.logger import Logger
from twisted.python.failure import Failure

from txconsul.agent.watching.configured import ConfiguredWatch
from txconsul.agent.watching.cursors import Cursors
from txconsul.agent.watching.telling import Handler
from txconsul.http.request import Request
from txconsul.http.response import Response
from txconsul.watches.progress import BadAnswer, Change, Progress

__all__ = ["Watcher", "Watchers"]

_PATH_SAFE = "$&+,/:;=@"


class Ask(Protocol):
    """The HTTP API: a request in, an answer out."""

    def __call__(self, request: Request, /) -> Response | Deferred[Response]: ...


class Watcher:
    """One watch: it asks, tells what changed, and asks again once that was dealt with."""

    _log = Logger("txconsul.agent.watch")

    def __init__(
        self, watch: ConfiguredWatch, ask: Ask, handler: Handler, cursors: Cursors, clock: IReactorTime
    ) -> None:
        self._watch = watch
        self._ask = ask
        self._handler = handler
        self._cursors = cursors
        self._clock = clock
        self._progress = Progress(watch.plan, cursors.find(watch.key))
        self._under_way: Deferred[None] | None = None

    def start(self) -> None:
        """Begin."""
        self._under_way = Deferred.fromCoroutine(self._run())
        self._under_way.addErrback(self._ended)

    def stop(self) -> None:
        """Ask no more. A program that a handler runs goes on."""
        under_way, self._under_way = self._under_way, None
        if under_way is not None:
            under_way.cancel()

    def _ended(self, reason: Failure) -> None:
        if not reason.check(CancelledError):
            self._log.failure("A watch ended: type={type}", failure=reason, type=self._watch.plan.type)

    async def _run(self) -> None:
        while True:
            try:
                change = await self._change()
            except BadAnswer as error:
                seconds = self._progress.failed()
                self._log.error(
                    "Watch errored: type={type} error={error} retry={seconds:g}s",
                    type=self._watch.plan.type,
                    error=error,
                    seconds=seconds,
                )
                await deferLater(self._clock, seconds)  # type: ignore[arg-type]  # it wants no more than IReactorTime
                continue
            if change is not None and await self._handler(change):
                self._cursors.keep(self._watch.key, change.cursor)

    async def _change(self) -> Change | None:
        plan = self._watch.plan
        query = urlencode(self._progress.question(), doseq=True)
        target = quote(plan.path, safe=_PATH_SAFE, errors="surrogateescape") + (f"?{query}" if query else "")
        headers = {b"x-consul-token": plan.token.encode("latin-1", "replace")} if plan.token else {}
        answer: Any = self._ask(Request(b"GET", target.encode("ascii"), headers, "watch"))
        response: Response = await answer if isinstance(answer, Deferred) else answer
        body = response.body if isinstance(response.body, bytes) else b""
        return self._progress.answered(response.status, _index(response.head), body)


def _index(head: bytes) -> int:
    for line in head.split(b"\r\n"):
        name, _, value = line.partition(b":")
        if name.lower() == b"x-consul-index" and value.strip().isdigit():
            return int(value)
    return 0


class Watchers(Service):
    """
    All of an agent's watches.

    @param make: makes a watch's L{Watcher}.
    """

    def __init__(self, cursors: Cursors, make: Callable[[ConfiguredWatch], Watcher]) -> None:
        self._cursors = cursors
        self._make = make
        self._wanted: list[ConfiguredWatch] = []
        self._watchers: dict[str, Watcher] = {}

    def change(self, watches: Iterable[ConfiguredWatch]) -> None:
        """Have these watches and no others. Those that were there already go on undisturbed."""
        self._wanted = list(watches)
        self._cursors.forget_others(one.key for one in self._wanted)
        if self.running:
            self._apply()

    def startService(self) -> None:
        """Begin to watch."""
        super().startService()
        self._apply()

    def stopService(self) -> None:
        """Watch no more."""
        super().stopService()
        for watcher in self._watchers.values():
            watcher.stop()
        self._watchers.clear()

    def _apply(self) -> None:
        keys = {one.key for one in self._wanted}
        for key in [key for key in self._watchers if key not in keys]:
            self._watchers.pop(key).stop()
        for one in self._wanted:
            if one.key not in self._watchers:
                self._watchers[one.key] = watcher = self._make(one)
                watcher.start()
