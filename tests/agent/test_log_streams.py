"""The log as it is written, for whoever watches it."""

from __future__ import annotations

import json
from typing import Any

from twisted.internet.defer import Deferred
from twisted.logger import Logger, LogPublisher
from twisted.trial.unittest import SynchronousTestCase

from txconsul.agent.log_streams import LINES_KEPT, STREAMS_MAX, LogStream, LogStreams
from txconsul.errors import BadRequest, Unavailable


class LogStreamTests(SynchronousTestCase):
    """C{/v1/agent/monitor}, below HTTP."""

    def setUp(self) -> None:
        """A log of its own."""
        self.publisher = LogPublisher()
        self.streams = LogStreams(self.publisher)
        self.log = Logger("txconsul.dns", observer=self.publisher)

    def take(self, stream: LogStream) -> list[Any]:
        """The next lines, or what came of them later."""
        found: list[Any] = []
        piece = next(stream)
        if isinstance(piece, Deferred):
            piece.addBoth(found.append)
        else:
            found.append(piece)
        return found

    def test_levels(self) -> None:
        """A watcher gets the lines of its level and above, and those from before it came not."""
        self.log.error("before")
        stream = self.streams.follow("WARN", False)
        self.log.info("low")
        self.log.warn("high {what}", what="enough")
        (lines,) = self.take(stream)
        self.assertRegex(lines, rb"^\S+Z \[WARN\]  agent.dns: high enough\n$")

    def test_asJSON(self) -> None:
        """Or objects, if it wants those."""
        stream = self.streams.follow("trace", True)
        self.log.debug("a")
        self.log.debug("b")
        (lines,) = self.take(stream)
        self.assertEqual([json.loads(line)["@message"] for line in lines.splitlines()], ["a", "b"])

    def test_waiting(self) -> None:
        """One who is up to date is told of the next line in its turn."""
        stream = self.streams.follow("info", False)
        found = self.take(stream)
        self.assertEqual(found, [])
        self.log.info("now")
        self.assertEqual(len(found), 1)
        self.assertTrue(found[0].endswith(b"now\n"))

    def test_slowWatcher(self) -> None:
        """For one who does not read, a bounded number is kept; how many were dropped is logged when it leaves."""
        told: list[str] = []
        self.patch(LogStreams, "_log", Logger("txconsul.agent", observer=lambda event: told.append(event["count"])))
        stream = self.streams.follow("info", False)
        for number in range(LINES_KEPT + 3):
            self.log.info("{number}", number=number)
        (lines,) = self.take(stream)
        self.assertEqual(len(lines.splitlines()), LINES_KEPT)
        stream.close()
        self.assertEqual(told, [3])

    def test_leaving(self) -> None:
        """One who is gone costs nothing any more, however it was waiting."""
        stream = self.streams.follow("info", False)
        waiting = next(stream)
        assert isinstance(waiting, Deferred)
        waiting.addErrback(lambda _: None)
        waiting.cancel()
        self.log.info("x")
        self.assertRaises(StopIteration, next, stream)
        self.assertEqual(self.publisher._observers, [])

    def test_end(self) -> None:
        """When the agent stops, what was logged is still told, and then the end."""
        first, second = (self.streams.follow("info", False) for _ in range(2))
        found = self.take(first)
        self.log.info("last words")
        self.streams.end()
        self.assertTrue(found[0].endswith(b"last words\n"))
        self.assertTrue(self.take(second)[0].endswith(b"last words\n"))
        for stream in (first, second):
            self.assertRaises(StopIteration, next, stream)

    def test_endWhileWaiting(self) -> None:
        """One who waits is woken by the end."""
        stream = self.streams.follow("info", False)
        found = self.take(stream)
        self.streams.end()
        self.assertEqual(found, [b""])
        self.assertRaises(StopIteration, next, stream)

    def test_refused(self) -> None:
        """There are no other levels, and a bounded number of watchers."""
        error = self.assertRaises(BadRequest, self.streams.follow, "loud", False)
        self.assertEqual(str(error), "Unknown log level: loud")
        for _ in range(STREAMS_MAX):
            self.streams.follow("err", False)
        self.assertRaises(Unavailable, self.streams.follow, "err", False)
