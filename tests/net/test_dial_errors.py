"""Failed connections, in the words of Go's programs."""

from __future__ import annotations

import errno

from twisted.internet.defer import TimeoutError as DeferredTimeout
from twisted.internet.error import ConnectError, ConnectionRefusedError, DNSLookupError, NoRouteError, TimeoutError
from twisted.python.failure import Failure
from twisted.trial.unittest import SynchronousTestCase

from txconsul.net.dial_errors import dial_error


class DialErrorTests(SynchronousTestCase):
    """What is told of each."""

    def test_words(self) -> None:
        """Each kind of failure has its words; what is none of a connection is left to others."""
        for error, why in (
            (ConnectionRefusedError(), "dial tcp h:1: connect: connection refused"),
            (NoRouteError(errno.ENETUNREACH, "x"), "dial tcp h:1: connect: network is unreachable"),
            (OSError(errno.EHOSTUNREACH, "x"), "dial tcp h:1: connect: no route to host"),
            (TimeoutError(), "dial tcp h:1: i/o timeout"),
            (DeferredTimeout(), "dial tcp h:1: i/o timeout"),
            (DNSLookupError(), "dial tcp h:1: lookup h: no such host"),
            (ConnectError(string="odd"), "dial tcp h:1: An error occurred while connecting: odd."),
            (ValueError("x"), None),
        ):
            self.assertEqual(dial_error(Failure(error), "tcp h:1", "h"), why)
