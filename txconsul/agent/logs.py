"""
Logs: twisted.logger's events as Consul's lines, text or JSON.

Source: Consul's documentation of C{log_level}, C{log_json}, C{log_file} and its rotation; hclog's two formats.
"""

from __future__ import annotations

import sys
import time
from collections.abc import Callable
from datetime import UTC, datetime
from typing import TextIO

import msgspec
from twisted.logger import (
    FilteringLogObserver,
    ILogObserver,
    LogEvent,
    LogLevel,
    LogLevelFilterPredicate,
    formatEvent,
    globalLogBeginner,
)
from twisted.python.logfile import LogFile
from zope.interface import implementer

from txconsul.errors import TxconsulError

__all__ = ["LEVELS", "JSONLines", "TextLines", "begin", "json_line", "observer", "text_line"]

#: Consul's level names, and twisted.logger's levels; trace is the finest that Twisted has.
LEVELS = {
    "trace": LogLevel.debug,
    "debug": LogLevel.debug,
    "info": LogLevel.info,
    "warn": LogLevel.warn,
    "err": LogLevel.error,
    "error": LogLevel.error,
}

#: How levels are written, in a column of their own.
_SHOWN = {
    LogLevel.debug: ("[DEBUG]", "debug"),
    LogLevel.info: ("[INFO] ", "info"),
    LogLevel.warn: ("[WARN] ", "warn"),
    LogLevel.error: ("[ERROR]", "error"),
    LogLevel.critical: ("[ERROR]", "error"),
}

_PACKAGE = "txconsul."


def _module(event: LogEvent) -> str:
    """The part that speaks, in Consul's manner: C{agent}, C{agent.http}, C{agent.consensus}."""
    name = str(event.get("log_namespace") or "-")
    if not name.startswith(_PACKAGE):
        return name
    part = name.split(".")[1]
    return part if part == "agent" else f"agent.{part}"


def _time(event: LogEvent) -> str:
    at = datetime.fromtimestamp(event.get("log_time") or 0.0, UTC)
    return at.strftime("%Y-%m-%dT%H:%M:%S.") + f"{at.microsecond // 1000:03d}Z"


def _text(event: LogEvent) -> str:
    text = formatEvent(event)
    failure = event.get("log_failure")
    if failure is not None:
        # What was raised on purpose needs no traceback; what was not does.
        told = isinstance(failure.value, TxconsulError)
        text += f": {failure.getErrorMessage()}" if told else "\n" + failure.getTraceback()
    # What comes from outside need not be UTF-8, and must not break the log.
    return text.encode("utf-8", "backslashreplace").decode()


def text_line(event: LogEvent) -> str:
    """C{2026-01-02T03:04:05.678Z [INFO]  agent.http: what happened}, and the line's end."""
    level, _ = _SHOWN.get(event.get("log_level"), _SHOWN[LogLevel.info])
    return f"{_time(event)} {level} {_module(event)}: {_text(event)}\n"


def json_line(event: LogEvent) -> str:
    """One JSON object with hclog's names, and the line's end."""
    _, level = _SHOWN.get(event.get("log_level"), _SHOWN[LogLevel.info])
    line = {
        "@level": level,
        "@message": _text(event),
        "@module": _module(event),
        "@timestamp": _time(event),
    }
    return msgspec.json.encode(line).decode() + "\n"


@implementer(ILogObserver)
class TextLines:
    """Writes L{text_line}s."""

    _line = staticmethod(text_line)

    def __init__(self, out: TextIO) -> None:
        self._out = out

    def __call__(self, event: LogEvent) -> None:
        self._out.write(self._line(event))
        self._out.flush()


class JSONLines(TextLines):
    """Writes L{json_line}s."""

    _line = staticmethod(json_line)


def observer(out: TextIO, *, level: str, json: bool) -> ILogObserver:
    """
    What writes the events of a level and above.

    @param level: one of L{LEVELS}, whatever its case.
    """
    return _above(LogLevelFilterPredicate(defaultLogLevel=LEVELS[level.lower()]), out, json)


def _above(threshold: LogLevelFilterPredicate, out: TextIO, json: bool) -> ILogObserver:
    return FilteringLogObserver(JSONLines(out) if json else TextLines(out), [threshold])


class _Rotated(LogFile):
    """A log file that begins anew by its size and by its age."""

    #: Seconds; infinite for never.
    seconds_max = float("inf")
    clock: Callable[[], float] = staticmethod(time.monotonic)
    _since = 0.0

    def _openFile(self) -> None:
        super()._openFile()
        self._since = self.clock()

    def shouldRotate(self) -> bool:
        """Is it too large, or too old?"""
        return bool(super().shouldRotate()) or self.clock() - self._since >= self.seconds_max


def open_file(path: str, *, rotate_bytes: int, rotate_files: int, rotate_seconds: float) -> TextIO:
    """
    A log file that begins anew when it has grown to C{rotate_bytes}, or is C{rotate_seconds} old; 0 is never.

    @param rotate_files: how many old ones are kept; 0 is all.
    """
    kept = rotate_files if rotate_files > 0 else None
    file: TextIO = _Rotated.fromFullPath(path, rotateLength=rotate_bytes or None, maxRotatedFiles=kept)
    file.seconds_max = rotate_seconds or float("inf")  # type: ignore[attr-defined]
    return file


def begin(level: str, json: bool, file: TextIO | None = None) -> Callable[[str], None]:
    """
    Log to standard output, and to a file as well if there is one.

    @return: call this to log from another level on.
    """
    threshold = LogLevelFilterPredicate(defaultLogLevel=LEVELS[level.lower()])
    outs: list[TextIO] = [sys.stdout] if file is None else [sys.stdout, file]
    globalLogBeginner.beginLoggingTo([_above(threshold, out, json) for out in outs], redirectStandardIO=False)

    def change(to: str) -> None:
        threshold.setLogLevelForNamespace("", LEVELS[to.lower()])

    return change
