"""
The log as it is written, for whoever watches it over HTTP.

Source: Consul's documentation of C{/v1/agent/monitor}.
"""

from __future__ import annotations

from collections.abc import Callable

from twisted.logger import ILogObserver, LogEvent, Logger, LogLevel, LogPublisher, globalLogPublisher
from zope.interface import implementer

from txconsul.agent.following import Following
from txconsul.agent.logs import LEVELS, json_line, text_line
from txconsul.errors import BadRequest, Unavailable

__all__ = ["LINES_KEPT", "STREAMS_MAX", "LogStream", "LogStreams"]

#: Lines kept for one that does not take them; what comes then is dropped, and counted. Consul keeps as many.
LINES_KEPT = 512
#: Watchers at the same time. Each costs its rendering of every line, in the turn of who writes it.
STREAMS_MAX = 64

_ORDER = tuple(LogLevel.iterconstants())


@implementer(ILogObserver)
class LogStream(Following):
    """One watcher's lines."""

    def __init__(
        self, level: LogLevel, render: Callable[[LogEvent], str], ended: Callable[[LogStream], object]
    ) -> None:
        super().__init__(LINES_KEPT, ended)
        self._from = _ORDER.index(level)
        self._render = render

    def __call__(self, event: LogEvent) -> None:
        """Something was logged."""
        level = event.get("log_level")
        if level is not None and _ORDER.index(level) >= self._from:
            self.put(lambda: self._render(event))


class LogStreams:
    """Everybody who watches the log."""

    _log = Logger("txconsul.agent")

    def __init__(self, publisher: LogPublisher = globalLogPublisher) -> None:
        self._publisher = publisher
        self._open: list[LogStream] = []

    def follow(self, level: str, json: bool) -> LogStream:
        """
        Watch the log from now on.

        @raise BadRequest: there is no such level.
        @raise Unavailable: too many watch already.
        """
        least = LEVELS.get(level.lower())
        if least is None:
            raise BadRequest(f"Unknown log level: {level}")
        if len(self._open) >= STREAMS_MAX:
            raise Unavailable(f"{STREAMS_MAX} clients watch the log already")
        stream = LogStream(least, json_line if json else text_line, self._ended)
        self._open.append(stream)
        self._publisher.addObserver(stream)
        return stream

    def _ended(self, stream: LogStream) -> None:
        self._publisher.removeObserver(stream)
        self._open.remove(stream)
        if stream.dropped:
            self._log.warn("Dropped logs during monitor request: dropped_count={count}", count=stream.dropped)

    def end(self) -> None:
        """The agent stops."""
        for stream in list(self._open):
            stream.end()
